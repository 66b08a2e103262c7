"""What each scenario is there for: that it happens, and to whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from bandit.wear_out import PastSend
from simulator.misleading import group_of
from simulator.scenarios import SCENARIOS, Arms
from simulator.world import Arrival

N_SENDS = 160
RATES = {"click": 0.15, "open": 0.4}


@pytest.fixture(scope="module")
def campaign(worlds):
    return worlds.campaign(
        context={
            "level": {"kind": "categorical", "values": ["low", "middle", "high"]},
            "days": {"kind": "numeric", "range": [0, 10]},
            "country": {"kind": "categorical", "values": ["us", "de", "in"]},
        },
        reward={"window": "12h", "events": {"click": 0.5, "purchase": 2.0}},
        dimension=[
            worlds.dimension(
                "subject", "plain", "champion", "dominate", "calm", {"id": "vip", "when": {"level": ["high"]}}
            ),
            worlds.dimension("cta", "join", "invite", "claim"),
            worlds.dimension("send_slot", "weekday-09", "weekday-18", "weekend-11"),
        ],
    )


@pytest.fixture(scope="module")
def played(campaign):
    """Each scenario's stages, built once."""
    return {name: one.stages(campaign, 5, N_SENDS, rates=RATES) for name, one in SCENARIOS.items()}


def test_without_effects_every_choice_is_as_good_as_any_other(played):
    (stage,) = played["no-effect"]
    rewards = stage.world.expected_rewards_after(list(stage.world.arrivals(N_SENDS)))
    np.testing.assert_allclose(rewards, rewards[:, :1] * np.ones(rewards.shape[1]), rtol=1e-12)
    assert rewards[:, 0].std() > 0.01 * rewards.mean()


@pytest.mark.parametrize("name", ["new-arms", "retired-arms"])
def test_arms_that_stay_have_the_same_effects_in_both_stages(name, played):
    first, second = (stage.world for stage in played[name])
    fewer, more = (first, second) if SCENARIOS[name].arms is Arms.ARRIVE else (second, first)
    assert 0 < len(fewer.choices) < len(more.choices)
    arrivals = list(more.arrivals(20))
    columns = [more.choices.index(choice) for choice in fewer.choices]
    np.testing.assert_allclose(
        fewer.expected_rewards_after(arrivals), more.expected_rewards_after(arrivals)[:, columns], rtol=1e-12
    )
    chosen = fewer.choices.at(0)
    assert [fewer.react(a, chosen, decision_id="d") for a in arrivals] == [
        more.react(a, chosen, decision_id="d") for a in arrivals
    ]


@pytest.mark.parametrize("seed", range(4))
def test_an_arm_that_misleads_wins_on_average_and_loses_in_its_group(seed, campaign):
    (stage,) = SCENARIOS["misleading"].stages(campaign, seed, 1200)
    world, misleads = stage.world, 3  # the last of the subjects without rules
    chances = world.funnel.marginals(world.tastes.grid(world.tastes.rows(world._features)))
    clicks = chances[world.funnel.place("click")].reshape(-1, *world.choices.shape).mean(axis=(2, 3))
    assert clicks.mean(axis=0).argmax() == misleads
    group = group_of(campaign, world._features)
    inside = world._features[:, group] == 1.0
    assert 0.2 < inside.mean() < 0.6
    assert clicks[inside].mean(axis=0).argmin() == misleads


def test_tastes_drift_away_and_a_shock_comes_at_once(campaign):
    by_name = {name: SCENARIOS[name].stages(campaign, 2, 240)[0].world for name in ("steady", "drifting", "shock")}
    for name, world in by_name.items():
        who = next(iter(world.arrivals(1)))
        days = np.arange(0.0, 28.01, 0.25)
        rewards = world.expected_rewards_after(
            [Arrival(who.customer_id, world.schedule.start + timedelta(days=float(d)), who.context) for d in days]
        )
        steps = np.abs(np.diff(np.log(rewards), axis=0)).max(axis=1)
        moved = np.abs(np.log(rewards[-1] / rewards[0])).max()
        if name == "steady":
            assert moved == 0.0
        elif name == "shock":
            assert np.flatnonzero(steps).tolist() == [int(14 / 0.25) - 1]
        else:
            assert moved > 0.1
            assert steps.max() < 0.1 * moved


def test_an_arm_sent_before_is_worth_less_and_its_hour_is_not(played):
    world = played["wearing"][0].world
    came = next(iter(world.arrivals(1)))
    choice = world.choices.at(0)
    worn = replace(came, past=(PastSend(came.at - timedelta(days=7), choice),))
    fresh, tired = world.expected_rewards_after([came, worn]).reshape(2, *world.choices.shape)
    assert (tired[0] < fresh[0]).all()
    np.testing.assert_array_equal(tired[1:, 1:], fresh[1:, 1:])
    logits = world._rows([came, worn])[world.funnel.place("click")]
    lost = logits[0] - logits[1]
    np.testing.assert_allclose(lost[[0, 5]], 0.25)  # half a logit, a half-life ago
    assert np.count_nonzero(np.abs(lost) > 1e-12) == 2


def test_where_arms_wear_out_the_random_policy_beats_the_best_choice_sent_again_and_again(played):
    world = played["wearing"][0].world
    came = next(iter(world.arrivals(1)))
    best, _ = world.best_choice(came.context)
    days = [timedelta(days=2 * k) for k in range(13)]
    rng = np.random.default_rng(0)
    pmf = world.random_pmf([came.context])[0]
    at_random = [world.choices.at(int(k)) for k in rng.choice(len(pmf), 13, p=pmf)]
    values = []
    for choices in ([best] * 13, at_random):
        sends = [PastSend(came.at + day, choice) for day, choice in zip(days, choices, strict=True)]
        arrivals = [replace(came, at=send.at, past=tuple(sends[:k])) for k, send in enumerate(sends)]
        values.append(world.rewards_of_choices(arrivals, choices))
    assert values[0][0] > values[1][0]
    assert values[0][4:].mean() < values[1][4:].mean()


def test_machines_report_outcomes_that_truth_leaves_out(played):
    world, persons = played["machines"][0].world, played["steady"][0].world
    arrivals = list(world.arrivals(N_SENDS))
    choices = [world.choices.at(k % len(world.choices)) for k in range(N_SENDS)]
    ids = [f"d{k}" for k in range(len(arrivals))]
    with_machines = world.reactions(arrivals, choices, ids)
    without = persons.reactions(arrivals, choices, ids)
    assert [tuple(o for o in outcomes if not o.machine) for outcomes in with_machines] == without
    assert any(o.machine for outcomes in with_machines for o in outcomes)
    np.testing.assert_array_equal(
        world.rewards_of_choices(arrivals, choices), persons.rewards_of_choices(arrivals, choices)
    )


def test_where_habits_matter_the_hour_of_the_send_does_too(played):
    world, still = played["habits"][0].world, played["steady"][0].world
    arrivals = list(world.arrivals(50))
    rewards = world.expected_rewards_after(arrivals).reshape(50, -1, 3)
    spread = (rewards.max(axis=2) / rewards.min(axis=2)).mean()
    other = still.expected_rewards_after(list(still.arrivals(50))).reshape(50, -1, 3)
    assert spread > 1.5 * (other.max(axis=2) / other.min(axis=2)).mean()


def test_messages_wait_for_their_slot_on_the_customers_own_clock(played):
    world = played["habits"][0].world
    n_outcomes, choice = 0, world.choices.at(0)
    for k, arrival in enumerate(world.arrivals(N_SENDS)):
        sent = world.sent_at(arrival, choice)
        local = sent.astimezone(ZoneInfo(world.customers.zones[world.customers.place(arrival.customer_id)]))
        assert sent >= arrival.at
        assert (local.hour, local.minute, local.weekday() < 5) == (9, 0, True)
        for outcome in world.react(arrival, choice, decision_id=f"d{k}"):
            assert outcome.at > sent
            n_outcomes += 1
    assert n_outcomes > 20
