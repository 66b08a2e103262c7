"""An arm that sends nothing ends the choice, and everything that is counted about choices stays exact."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from bandit import Context
from bandit.decide_many import decide_many
from bandit.decisions import Requests
from bandit.errors import InvalidCampaign, InvalidExclusion
from bandit.wear_out import PastSend, WearOut, exposures_of
from simulator.customers import drawn_customers
from simulator.drawn_world import drawn_world
from simulator.world import Arrival

QUIET = {"id": "no_send", "no_send": True}


def three(worlds, first=(QUIET,), second=(), last=()):
    """Subject, cta and send slot, with arms that send nothing where a test wants them."""
    return [
        worlds.dimension("subject", {"id": "plain", "text": "Hello"}, "champion", *first),
        worlds.dimension("cta", "join", {"id": "win", "requires": {"subject": ["champion"]}}, *second),
        worlds.dimension("send_slot", "weekday-09", "weekend-17", *last),
    ]


@pytest.fixture
def campaign(worlds):
    """It may end at the first dimension."""
    groups = {"random": 0.5, "control": {"share": 0.2, "choice": {"subject": "no_send"}}}
    return worlds.campaign(groups=groups, send_slots={}, dimension=three(worlds), wear_out={"window": "30d"})


def decided(worlds, campaign, n=200):
    engine = worlds.engine(campaign)
    return [
        engine.decide(
            f"c{i}", Context.of(), decision_id=f"d{i}", at=worlds.noon, past=[] if campaign.wear_out else None
        )
        for i in range(n)
    ]


def test_nothing_is_left_to_choose_after_it_and_it_is_never_a_choice_after_anything_else(campaign, worlds):
    made = decided(worlds, campaign)
    assert {len({"no_send"} & set(one.choice.values())) for one in made} == {0, 1}
    for one in made:
        ended = one.choice["subject"] == "no_send"
        for pick in one.picks[1:]:
            assert pick.pmf["no_send"] == float(ended)
            assert (pick.arm == "no_send") == ended
        assert (one.send_at is None) == ended
        assert one.propensity == (
            one.picks[0].propensity if ended else pytest.approx(np.prod([p.propensity for p in one.picks]))
        )


def test_the_control_group_may_get_no_message_at_all(campaign, worlds):
    assert campaign.groups.control_choice == dict.fromkeys(("subject", "cta", "send_slot"), "no_send")
    control = [one for one in decided(worlds, campaign) if one.group == "control"]
    assert control
    assert all(one.propensity == 1.0 and one.send_at is None for one in control)


@pytest.mark.parametrize("place", range(3))
def test_any_dimension_may_end_the_choice(worlds, place):
    arms = [(QUIET,) if place == d else () for d in range(3)]
    campaign = worlds.campaign(send_slots={}, dimension=three(worlds, *arms))
    made = decided(worlds, campaign)
    silent = [one for one in made if campaign.sends_nothing(one.choice)]
    assert 0 < len(silent) < len(made)
    for one in silent:
        arms = list(one.choice.values())
        assert arms[place:] == ["no_send"] * (3 - place)
        assert "no_send" not in arms[:place]


def test_many_decisions_end_where_each_would_have(campaign, worlds):
    made, ids = decided(worlds, campaign), [f"d{i}" for i in range(200)]
    requests = Requests([f"c{i}" for i in range(200)], [Context.of()] * 200, ids, [worlds.noon] * 200, [[]] * 200)
    many = decide_many(worlds.engine(campaign), requests)
    assert [many.decision(row) for row in range(200)] == made
    assert many.send_ats() == [one.send_at for one in made]


def test_an_end_may_come_twice_and_both_can_be_kept_out_but_not_the_second_alone(worlds):
    campaign = worlds.campaign(dimension=three(worlds, (QUIET,), (QUIET,)))
    engine = worlds.engine(campaign)
    choices = {tuple(one.choice.values()) for one in decided(worlds, campaign)}
    assert {("no_send",) * 3, ("plain", "no_send", "no_send")} <= choices
    assert all(choice[1:] == ("no_send", "no_send") for choice in choices if "no_send" in choice)
    with pytest.raises(InvalidExclusion, match="sends nothing there, too"):
        engine.decide("ann", Context.of(), decision_id="d", at=worlds.noon, exclude={"cta": ["no_send"]})
    every = {name: ["no_send"] for name in ("subject", "cta", "send_slot")}
    for i in range(60):
        found = engine.decide("ann", Context.of(), decision_id=f"d{i}", at=worlds.noon, exclude=every)
        assert "no_send" not in found.choice.values()


def test_what_was_not_sent_wears_nothing_out(campaign, worlds):
    sent = PastSend(worlds.noon - timedelta(days=1), {"subject": "plain", "cta": "join", "send_slot": "weekday-09"})
    ended = PastSend(worlds.noon - timedelta(days=2), {"subject": "plain", "cta": "no_send", "send_slot": "no_send"})
    found = exposures_of(campaign.dimensions, WearOut(), [sent, ended], worlds.noon)
    assert [(one.dimension, one.frequency) for one in found] == [(0, 1), (1, 1), (2, 1)]


@pytest.mark.parametrize(
    ("dimensions", "sections", "said"),
    [
        ([["plain", QUIET, {"id": "later", "no_send": True}]], {}, "2 arms with no_send"),
        ([[QUIET]], {}, "at least one that does"),
        ([["plain", {**QUIET, "text": "Bye"}]], {}, "nobody would read it"),
        ([["plain", QUIET], ["join", "no_send"]], {}, "another id, or no_send = true"),
        ([["plain", QUIET], ["join", {**QUIET, "when": {"level": ["low"]}}]], {}, "this arm alone is left"),
        ([["plain", QUIET], [{"id": "join", "requires": {"d0": ["no_send"]}}]], {}, "nothing is left to choose"),
        ([["plain", QUIET], ["join"]], {"policy": {"interactions": False}}, "in the last dimension only"),
        (
            [["plain", QUIET], ["join"]],
            {"groups": {"control": {"share": 0.1, "choice": {"d0": "no_send", "d1": "join"}}}},
            "which ends the choice",
        ),
    ],
)
def test_each_fault_is_named(worlds, dimensions, sections, said):
    listed = [worlds.dimension(f"d{d}", *arms) for d, arms in enumerate(dimensions)]
    with pytest.raises(InvalidCampaign) as found:
        worlds.campaign(dimension=listed, **sections)
    assert said in str(found.value)


def test_independent_dimensions_may_end_with_the_last(worlds):
    found = worlds.campaign(
        dimension=[worlds.dimension("a", "x"), worlds.dimension("b", "y", QUIET)], policy={"interactions": False}
    )
    assert found.silent == "no_send"


@pytest.fixture
def world(campaign):
    """Forty customers of it."""
    return drawn_world(campaign, drawn_customers(campaign.declared, 3, 40), 3, 400)


def test_in_a_world_nothing_sent_earns_nothing_brings_nothing_and_annoys_nobody(world, campaign):
    nothing = dict.fromkeys(("subject", "cta", "send_slot"), "no_send")
    arrivals = list(world.arrivals(20))
    assert world.rewards_of_choices(arrivals, [nothing] * 20).tolist() == [0.0] * 20
    assert world.reactions(arrivals, [nothing] * 20, [f"d{i}" for i in range(20)]) == [()] * 20
    assert world.expected_reward(arrivals[0].context, nothing) == 0.0
    assert world.sent_at(arrivals[0], nothing) == arrivals[0].at
    columns = world.expected_rewards_after(arrivals)
    assert (columns[:, world.choices.index(nothing)] == 0.0).all()
    assert world.expected_rewards_after([_after(one, nothing) for one in arrivals]).tolist() == columns.tolist()


def _after(arrival: Arrival, choice) -> Arrival:
    return replace(arrival, past=(PastSend(arrival.at - timedelta(hours=1), choice),))


def test_a_worlds_random_policy_is_the_campaigns(world):
    for row in world.random_pmf_at(list(world.arrivals(20))):
        pmf = dict(zip((tuple(choice.values()) for choice in world.choices), row.tolist(), strict=True))
        assert pmf["no_send", "no_send", "no_send"] == pytest.approx(1 / 3)
        assert sum(pmf.values()) == pytest.approx(1.0)
        assert all(p == 0.0 for choice, p in pmf.items() if 0 < choice.count("no_send") < 3)
