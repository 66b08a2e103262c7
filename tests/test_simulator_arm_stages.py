"""A campaign with fewer arms: which may go, and which must stay."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import read_campaign
from bandit.eligibility import Eligibility
from service.sample import sample_text
from simulator.arm_stages import with_fewer_arms
from simulator.random_policy import RandomPolicy
from simulator.scenarios import SCENARIOS


@pytest.fixture(scope="module")
def campaign(worlds):
    return worlds.campaign(
        dimension=[
            worlds.dimension("subject", "plain", "a", "b", "c", "d", {"id": "vip", "when": {"level": ["high"]}}),
            worlds.dimension("cta", "join", {"id": "win", "requires": {"subject": ["b"]}}, {"id": "go"}, "try"),
            worlds.dimension("hour", "u", "v"),
        ],
        groups={"control": {"share": 0.1, "choice": {"subject": "c", "cta": "try", "hour": "u"}}},
    )


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_some_arms_go_and_those_that_others_need_never_do(campaign, seed):
    fewer = with_fewer_arms(campaign, seed)
    for before, after in zip(campaign.dimensions, fewer.dimensions, strict=True):
        assert [arm for arm in before.ids if arm in after] == list(after.ids)
        assert sum(not arm.when and not arm.requires for arm in after.arms) >= 2
    assert len(fewer.dimensions[0].arms) == 4
    assert {"b", "c"} <= set(fewer.dimensions[0].ids)
    assert "try" in fewer.dimensions[1]
    assert fewer.dimensions[2].ids == ("u", "v")
    assert RandomPolicy(fewer).pmf([{"level": "low"}, {}]).sum() == pytest.approx(2.0)
    assert Eligibility(fewer.dimensions).offered(0, {"level": "low"}, ())


def test_a_changed_campaign_begins_a_log_of_its_own(campaign):
    first, second = with_fewer_arms(campaign, 0), with_fewer_arms(campaign, 1)
    assert first.dimensions != second.dimensions
    assert len({campaign.content_hash, first.content_hash, second.content_hash}) == 3
    assert with_fewer_arms(campaign, 0) == first
    assert first.toml == ""


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_whoever_may_get_nothing_still_may_and_hours_that_stay_are_the_same(quiet, seed):
    fewer = with_fewer_arms(quiet, seed)
    assert [d.silent for d in fewer.dimensions] == [d.silent for d in quiet.dimensions]
    assert fewer.sends_nothing(dict.fromkeys(("subject", "send_slot"), "none") | {"send_slot": "no_send"})
    hours = [dict(zip(one.dimensions[1].ids, one.send_slots.slots, strict=True)) for one in (quiet, fewer)]
    assert hours[1].items() <= hours[0].items()
    assert len(hours[1]) < len(hours[0])


@pytest.fixture(scope="module")
def quiet(worlds):
    hours = ("weekday-08", "weekday-10", "weekday-12", "weekday-14", "weekend-11", "weekend-18")
    nothing = {"id": "none", "no_send": True}
    return worlds.campaign(
        dimension=[worlds.dimension("subject", "a", "b", "c", "d", nothing), worlds.dimension("send_slot", *hours)],
        send_slots={"within": "7d"},
    )


@pytest.fixture(scope="module")
def may_end(worlds):
    """Whatever is sent later asks for a message of the subject, and `deep` for two of them."""
    nothing = {"id": "none", "no_send": True}
    vip, deep = {"id": "vip", "when": {"level": ["high"]}}, {"id": "deep", "requires": {"subject": ["b", "d"]}}
    return worlds.campaign(
        dimension=[
            worlds.dimension("subject", *"abcdef", nothing),
            worlds.dimension("cta", "x", vip, "y", deep),
            worlds.dimension("tail", "u", "v", "w"),
        ]
    )


def sent(dimension):
    """The arms that are messages."""
    return {arm.id for arm in dimension.arms if not arm.no_send}


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_that_an_arm_wants_a_message_before_it_keeps_no_message_and_is_no_rule_of_its_own(may_end, seed):
    subject, cta, tail = with_fewer_arms(may_end, seed).dimensions
    assert len(sent(subject)) == 4
    assert {"b", "d", "none"} <= set(subject.ids)  # `deep` asks for these, and may arrive again
    assert {"x", "y"} < sent(cta)
    assert len(sent(cta)) == len(sent(tail)) + 1 == 3
    for before, dimension in ((subject, cta), (cta, tail)):
        wanted = {arm.id: arm.requires[before.name] for arm in dimension.arms}
        deep = {"deep": {"b", "d"}} if "deep" in wanted else {}
        everybody = dict.fromkeys(sent(dimension), sent(before))
        assert wanted == everybody | {dimension.silent: {before.silent}} | deep


def test_every_arm_that_nothing_holds_goes_with_some_seed_in_a_campaign_that_may_end(may_end):
    fewer = [with_fewer_arms(may_end, seed) for seed in range(60)]
    gone = [set.union(*(set(before.ids) - set(one.dimensions[d].ids) for one in fewer))
            for d, before in enumerate(may_end.dimensions)]  # fmt: skip
    assert gone == [set("acef"), {"vip", "deep"}, set("uvw")]


@pytest.mark.parametrize("name", ["new-arms", "retired-arms"])
def test_arms_of_a_campaign_that_may_stay_silent_arrive_and_are_retired(name):
    campaign = read_campaign(sample_text("winback-es"))
    for seed in range(5):
        first, second = SCENARIOS[name].stages(campaign, seed, 200)
        fewer = first.campaign if name == "new-arms" else second.campaign
        assert [len(sent(one)) for one in fewer.dimensions] == [4, 2, 3, 4]
        assert [one.silent for one in fewer.dimensions] == [one.silent for one in campaign.dimensions]
        contexts = [stage.world.customers.contexts[0] for stage in (first, second)]
        assert RandomPolicy(fewer).pmf(contexts).sum() == pytest.approx(2.0)
