"""Worlds in which false winners are counted: whatever the campaign says, nothing that is decided there changes anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandit import Engine, read_campaign
from bandit.campaign import PolicySpec
from bandit.send_slots import SendSlots
from policies import group_policies
from service.sample import sample_text
from simulator.level_campaign import levelled
from simulator.random_policy import RandomPolicy
from simulator.replay import replay
from simulator.scenarios import SCENARIOS

N = 150
NAMES = ("channel", "subject", "send_slot")
QUIET = {"id": "none", "no_send": True}
RATES = {"click": 0.3}
CAPS = [{"most": 2, "within": "10d"}, {"most": 1, "within": "20d", "channel": "sms"}]
COST = {"cost": 0.05, "within": "9d", "most": 4}
EVENTS = {"click": 1.0, "unsubscribe": -3.0}


@pytest.fixture(scope="module")
def campaign(worlds):
    """Builds a campaign of channels, subjects with rules, and hours; one of the three may send nothing."""

    def build(silent=None, control="message", *, caps=(), gap=None, cost=None, slots=True):
        arms = {
            "channel": ["email", "sms"],
            "subject": ["plain", {"id": "bold", "when": {"level": ["high"]}, "requires": {"channel": ["email"]}}],
            "send_slot": ["weekday-10", "weekend-18"],
        }
        choice = {"channel": "email", "subject": "plain", "send_slot": "weekday-10"}
        if silent:
            arms[silent].append(QUIET)
            later = NAMES[NAMES.index(silent) :]
            if control == "silence":
                choice = {name: choice[name] for name in NAMES if name not in later} | {silent: "none"}
        limits = {"caps": list(caps)} | ({"gap": gap} if gap else {})
        return worlds.campaign(
            reward={"window": "72h", "events": EVENTS} | ({"recent_send": cost} if cost else {}),
            groups={"random": 0.2, "control": {"share": 0.3, "choice": choice}},
            policy={"name": "uniform"},
            limits=limits if caps or gap else None,
            send_slots={"within": "7d"} if slots else None,
            dimension=[worlds.dimension(name, *arms[name]) for name in NAMES],
        )

    return build


def played(campaign, salt, seed=3, n=N):
    stages = SCENARIOS["no-effect"].stages(campaign, seed, n, rates=RATES)
    engines = [Engine(stage.campaign, group_policies(stage.campaign), salt, b"secret") for stage in stages]
    return stages[0].world, replay(stages, engines)


def facts(found):
    """All that a log holds but for what was decided."""
    (stage,) = found.stages
    came = [(arrival.customer_id, arrival.at) for arrival in stage.arrivals]
    return came, list(stage.rewards), list(stage.earned), list(stage.recent_sends), found.n_capped


campaigns = {
    "silent": st.sampled_from([None, *NAMES]),
    "control": st.sampled_from(["message", "silence"]),
    "caps": st.lists(st.sampled_from(CAPS), unique_by=str, max_size=2),
    "gap": st.sampled_from([None, "60h"]),
    "cost": st.sampled_from([None, COST]),
    "slots": st.booleans(),
}
often = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])


@given(salts=st.lists(st.binary(min_size=1, max_size=4), min_size=2, max_size=2, unique=True), **campaigns)
@often
def test_other_groups_and_other_draws_leave_every_reward_and_every_refusal_as_it_is(campaign, salts, **terms):
    """So a group is a random sample of the customers, and whatever tells two of them apart is chance."""
    asked = levelled(campaign(**terms))
    (_, one), (_, other) = (played(asked, salt) for salt in salts)
    assert facts(one) == facts(other)
    assert not np.array_equal(one.stages[0].picks, other.stages[0].picks)


@given(shift=st.floats(0.0, 200.0), **campaigns)
@often
def test_every_choice_is_worth_the_same_to_every_customer_at_every_hour_and_after_every_past(campaign, shift, **terms):
    world, found = played(levelled(campaign(**terms)), b"salt", n=60)
    (stage,) = found.stages
    arrivals = [replace(came, at=came.at + timedelta(hours=shift)) for came in stage.arrivals]
    rewards = world.expected_rewards_after(arrivals)
    np.testing.assert_allclose(rewards, rewards[:, :1] * np.ones(rewards.shape[1]), rtol=1e-12)
    assert rewards[:, 0].std() > 0.0
    assert (found.truth.best - found.truth.values).max() < 1e-12


@pytest.mark.parametrize(
    "terms",
    [
        {"silent": "channel"},
        {"silent": "send_slot", "cost": COST},
        {"caps": CAPS[1:], "slots": False},
        {"caps": CAPS[:1]},
        {"gap": "60h", "cost": COST},
    ],
    ids=["silence", "silence in the last dimension", "a cap on a channel", "a cap and hours", "a gap, hours and costs"],
)
def test_what_is_levelled_would_otherwise_make_a_difference(campaign, terms):
    asked = campaign(**terms)
    one, other = (facts(played(asked, salt)[1]) for salt in (b"a", b"b"))
    assert one != other


@pytest.mark.parametrize("silent", NAMES)
@pytest.mark.parametrize("control", ["message", "silence"])
def test_the_same_choices_may_be_picked_as_often_and_control_keeps_its_own(campaign, silent, control):
    asked = campaign(silent, control, caps=CAPS[:1])
    level = levelled(asked)
    contexts = [{"level": "high", "days": 3.0, "member": True}, {"level": "low", "days": None, "member": None}]
    assert np.array_equal(RandomPolicy(level).pmf(contexts), RandomPolicy(asked).pmf(contexts))
    assert level.groups == asked.groups
    assert asked.sends_nothing(asked.groups.control_choice) is (control == "silence")
    assert not level.sends_nothing(asked.groups.control_choice)


def test_a_campaign_whose_choices_are_messages_that_no_cap_tells_apart_stays_as_it_is(campaign):
    for asked in (campaign(), campaign(cost=COST), campaign(caps=CAPS[:1], slots=False)):
        assert levelled(asked) is asked


def test_a_changed_campaign_has_another_hash_and_no_text_of_a_file(campaign):
    """A snapshot of the one must not serve the other."""
    asked = campaign("subject")
    assert levelled(asked).content_hash not in {asked.content_hash, ""}
    assert levelled(asked).content_hash == levelled(asked).content_hash
    assert not levelled(asked).toml


def test_the_sample_campaign_keeps_its_caps_and_its_hours_make_no_difference():
    asked = replace(read_campaign(sample_text("winback-es")), policy=PolicySpec("uniform"))
    level = levelled(asked)
    assert level.caps == asked.caps
    assert isinstance(level.send_slots, SendSlots)
    assert level.send_slots.slots == (None,) * len(asked.send_slots.slots)
    assert [d.silent for d in level.dimensions] == [None] * len(level.dimensions)
    assert facts(played(level, b"a", n=60)[1]) == facts(played(level, b"b", n=60)[1])
