"""What silence is worth: messages alone, against every choice."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.customers import drawn_customers
from simulator.drawn_world import drawn_world
from simulator.silence_worth import message_worths

ARMS = [{"id": "plain"}, {"id": "bold"}, {"id": "no_send", "no_send": True}]
HATED = {"click": 0.05, "unsubscribe": 0.3}
"""Nearly every message costs something."""


def world_of(worlds, arms, rates):
    campaign = worlds.campaign(
        dimension=[{"name": "subject", "arm": arms}, {"name": "cta", "arm": [{"id": "join"}, {"id": "win"}]}],
        reward={"window": "24h", "events": {"click": 1.0, "unsubscribe": -1.0}},
    )
    return drawn_world(campaign, drawn_customers(campaign.schema, 3, 40), 3, 150, rates=rates)


def test_a_silent_campaign_never_loses_to_its_own_messages_and_silence_alone_earns_nothing(worlds):
    world = world_of(worlds, ARMS, HATED)
    arrivals = list(world.arrivals(150))
    found = message_worths(world, arrivals)
    np.testing.assert_allclose(found.best_choice, np.maximum(found.best, 0.0))
    assert (found.best < 0.0).mean() > 0.5
    assert (found.random <= found.best).all()


def test_messages_at_random_are_the_random_policy_where_it_writes(worlds):
    world = world_of(worlds, ARMS, HATED)
    arrivals = list(world.arrivals(90))
    rewards, pmf = world.expected_rewards_after(arrivals), world.random_pmf_at(arrivals)
    silent = np.array([choice["subject"] == "no_send" for choice in world.choices])
    share = pmf[:, ~silent].sum(axis=1)
    assert share == pytest.approx(2 / 3)
    np.testing.assert_allclose(message_worths(world, arrivals).random, (pmf * rewards).sum(axis=1) / share)


def test_where_nothing_is_silent_silence_is_worth_nothing(worlds):
    world = world_of(worlds, ARMS[:2], {"click": 0.2, "unsubscribe": 0.01})
    found = message_worths(world, list(world.arrivals(70)))
    assert (found.best == found.best_choice).all()
    assert found.best.mean() > 0.0


def test_where_rules_leave_no_message_nothing_is_earned(worlds):
    never = [{**arm, "when": {"level": ["high"]}} for arm in ARMS[:2]]
    world = world_of(worlds, [*never, ARMS[2]], {"click": 0.2, "unsubscribe": 0.01})
    arrivals = list(world.arrivals(70))
    out = np.array([arrival.context["level"] != "high" for arrival in arrivals])
    found = message_worths(world, arrivals)
    assert out.any()
    assert not found.random[out].any()
    assert not found.best[out].any()
    assert (found.best[~out] > 0.0).all()
