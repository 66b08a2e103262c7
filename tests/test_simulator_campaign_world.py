"""One campaign's world: luck, windows, delays, schedule, other contexts, and what it refuses."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.dimension import Dimension
from bandit.errors import InvalidContext
from bandit.wear_out import PastSend
from simulator.customers import drawn_customers
from simulator.delay import DelayMixture, DelayModel, DelayPart
from simulator.drawn_world import WorldSettings, drawn_world
from simulator.drift import Change
from simulator.fatigue import Fatigue
from simulator.funnel import Funnel, Role
from simulator.reactions import Reactions, delay_of
from simulator.schedule import START, Schedule
from simulator.world import Arrival, ChoiceGrid, ImpossibleWorld

EVENTS = {"open": 0.0, "click": 0.5, "conversion": 2.0, "unsubscribe": -1.0}
RATES = {"open": 0.6, "click": 0.4, "conversion": 0.5, "unsubscribe": 0.2}


@pytest.fixture(scope="module")
def campaign(worlds):
    return worlds.campaign(reward={"window": "24h", "events": EVENTS})


@pytest.fixture(scope="module")
def customers(campaign):
    return drawn_customers(campaign.schema, 1, 20)


@pytest.fixture(scope="module")
def world(campaign, customers):
    return drawn_world(campaign, customers, 1, 100, rates=RATES)


def test_who_converts_has_clicked_and_who_clicks_has_opened_before(world):
    n_conversions = 0
    for arrival in world.arrivals(400):
        outcomes = world.react(arrival, world.choices.at(3), decision_id=str(arrival.at))
        at = {outcome.type: outcome.at for outcome in outcomes}
        assert [outcome.at for outcome in outcomes] == sorted(outcome.at for outcome in outcomes)
        if "conversion" in at:
            n_conversions += 1
            assert at["open"] <= at["click"] <= at["conversion"]
        if "click" in at:
            assert at["open"] <= at["click"]
    assert n_conversions > 40


def test_luck_is_the_sends_and_not_the_choices(campaign, customers):
    """Whoever reacts to a choice reacts to one on which every step is more probable too, and as fast."""
    low, high = (
        drawn_world(campaign, customers, 1, 100, rates={name: rate * share for name, rate in RATES.items()})
        for share in (0.6, 1.0)
    )
    n_more = 0
    for k, arrival in enumerate(low.arrivals(200)):
        choice = low.choices.at(k % len(low.choices))
        few, many = (set(world.react(arrival, choice, decision_id=f"d{k}")) for world in (low, high))
        assert few <= many
        n_more += few < many
    assert n_more > 20


def test_one_at_a_time_and_all_at_once_are_the_same(world):
    arrivals = list(world.arrivals(50))
    choices = [world.choices.at(k % len(world.choices)) for k in range(50)]
    ids = [f"d{k}" for k in range(50)]
    together = world.reactions(arrivals, choices, ids)
    assert together == [
        world.react(arrival, choice, decision_id=name)
        for arrival, choice, name in zip(arrivals, choices, ids, strict=True)
    ]
    assert world.reactions([], [], []) == []
    with pytest.raises(ImpossibleWorld, match="one of each a send"):
        world.reactions(arrivals, choices, ids[:-1])


def test_only_what_the_campaign_hears_of_is_reported(worlds, customers):
    quiet = worlds.campaign(reward={"window": "24h", "events": {"conversion": 1.0}})
    world = drawn_world(quiet, customers, 1, 100, rates={"open": 0.6, "click": 0.5, "conversion": 0.9})
    outcomes = [world.react(a, world.choices.at(0), decision_id=str(a.at)) for a in world.arrivals(100)]
    assert {outcome.type for found in outcomes for outcome in found} == {"conversion"}


def test_a_longer_window_only_ever_counts_more(campaign, customers):
    rewards = []
    for window in ("1h", "24h", "720h"):
        hours = int(window[:-1])
        reward = replace(campaign.reward, window=timedelta(hours=hours), events={"click": 1.0, "conversion": 1.0})
        world = drawn_world(replace(campaign, reward=reward), customers, 1, 100)
        rewards.append(world.expected_rewards(customers.contexts))
    assert (rewards[0] < rewards[1]).all()
    assert (rewards[1] < rewards[2]).all()


def test_truth_of_a_context_is_that_of_its_customers_first_send_in_a_world_without_time(world):
    arrivals = list(world.arrivals(20))
    np.testing.assert_allclose(
        world.expected_rewards([arrival.context for arrival in arrivals]),
        world.expected_rewards_after(arrivals),
        rtol=1e-12,
    )


def test_somebody_may_ask_what_a_customer_would_do_if_something_else_were_known(world):
    came = next(iter(world.arrivals(1)))
    context = came.context | {"level": "high", "days": 0.0, "member": None}
    (found,) = world.expected_rewards_after([replace(came, context=context)])
    np.testing.assert_allclose(found, world.expected_rewards([context])[0], rtol=1e-12)


def test_revenue_is_worked_out_and_earned_by_conversions_alone(world):
    arrivals = list(world.arrivals(100))
    choices = [world.choices.at(2)] * 100
    expected = world.revenues_of_choices(arrivals, choices)
    lives = range(60)
    earned = np.zeros((len(lives), 100))
    for life in lives:
        found = world.reactions(arrivals, choices, [f"{life}-{k}" for k in range(100)])
        for k, outcomes in enumerate(found):
            closes = arrivals[k].at + world.window
            assert all((o.revenue > 0.0) == (o.type == "conversion") for o in outcomes)
            earned[life, k] = sum(o.revenue for o in outcomes if o.at <= closes)
    errors = earned - expected
    assert abs(errors.mean()) < 4.0 * errors.std() / np.sqrt(errors.size)


def test_delays_are_those_of_the_model(campaign, customers):
    quick = DelayMixture((DelayPart(1.0, median_hours=1.0, spread=0.1),))
    delays = DelayModel(click=quick, unsubscribe=quick, complaint=quick, conversion_tail=50.0)
    world = drawn_world(campaign, customers, 1, 100, WorldSettings(delays=delays), rates=RATES)
    for arrival in world.arrivals(100):
        for outcome in world.react(arrival, world.choices.at(0), decision_id=str(arrival.at)):
            assert timedelta(minutes=30) < outcome.at - arrival.at < timedelta(hours=12)


@given(numbers=st.tuples(*[st.floats(0.001, 0.999)] * 3), tail=st.floats(0.3, 20.0))
@settings(max_examples=50)
def test_each_step_comes_after_the_one_it_needs_whatever_the_luck(numbers, tail):
    model = DelayModel(conversion_tail=tail)
    delays = [delay_of(role, model).delay(numbers) for role in (Role.OPEN, Role.CLICK, Role.CONVERSION)]
    assert delays == sorted(delays)


@pytest.mark.parametrize("n_sends", [1, 19, 20, 21, 100])
def test_everybody_is_written_to_before_anybody_is_again(world, n_sends):
    arrivals = list(world.arrivals(n_sends))
    assert len(arrivals) == n_sends
    for first in range(0, n_sends, 20):
        turn = [arrival.customer_id for arrival in arrivals[first : first + 20]]
        assert len(set(turn)) == len(turn)
    assert arrivals == list(world.arrivals(100))[:n_sends]


@given(n_sends=st.integers(1, 90), first=st.integers(0, 90))
@settings(max_examples=30, deadline=None)
def test_a_stage_that_begins_later_goes_on_where_the_former_ended(world, n_sends, first):
    whole = list(Schedule(90).arrivals(world.customers, 7, first + n_sends))
    later = list(Schedule(90, first=first).arrivals(world.customers, 7, n_sends))
    assert later == whole[first:]
    assert all(a.at < b.at for a, b in pairwise(whole))


def test_tastes_that_turn_keep_the_rates_and_the_arms_of_a_stage_their_effects(campaign, customers):
    world = drawn_world(campaign, customers, 1, 100, WorldSettings(change=Change(0.2, 0.8)), rates=RATES)
    ats = [START + timedelta(days=days) for days in (0, 28)]
    first, last = (
        [Arrival(name, at, dict(context)) for name, context in zip(customers.ids, customers.contexts, strict=True)]
        for at in ats
    )
    for arrivals in (first, last):
        rates = world.funnel.marginals(world.tastes.grid(world._rows(arrivals))).mean(axis=(1, 2))
        np.testing.assert_allclose(rates, [0.6, 0.4, 0.2, 0.2], rtol=1e-9)
    assert not np.allclose(world.expected_rewards_after(first), world.expected_rewards_after(last), rtol=0.01)
    fewer = replace(campaign, dimensions=(campaign.dimensions[0], Dimension("cta", campaign.dimensions[1].arms[1:])))
    np.testing.assert_allclose(
        world.stage(fewer, 50).expected_rewards_after(last), world.expected_rewards_after(last)[:, 1::2], rtol=1e-12
    )


def test_fatigue_adds_up_is_forgotten_and_does_not_care_for_arms_that_are_gone():
    grid = ChoiceGrid({"subject": ("a", "b"), "cta": ("x", "y"), "slot": ("u", "v")})
    noon, fatigue = datetime(2026, 5, 1, 12, tzinfo=UTC), Fatigue(depth=0.8, half_life=timedelta(days=2))

    def sent(days, **choice):
        return PastSend(noon - timedelta(days=days), choice)

    past = (
        sent(100.0, subject="a", cta="x", slot="u"),
        sent(4.0, subject="a", cta="gone", slot="u"),
        sent(2.0, subject="a", cta="y", slot="u"),
        sent(0.0, subject="b", cta="y", slot="u"),
    )
    arrival = Arrival("ann", noon, {}, past)
    lost = fatigue.lost([arrival, replace(arrival, past=())], grid, fresh="slot")
    np.testing.assert_allclose(lost, [[0.8 * (0.25 + 0.5), 0.0, 0.0, 0.8 * 0.5, 0.0, 0.0], [0.0] * 6])
    assert fatigue.memory == timedelta(days=16)
    with pytest.raises(ImpossibleWorld, match="half-life above 0"):
        Fatigue(half_life=timedelta(0))


@pytest.mark.parametrize(
    ("ask", "advice"),
    [
        (lambda w, a: w.react(replace(a, customer_id="nobody"), w.choices.at(0), decision_id="d"), "Ask about one of the"),
        (lambda w, a: w.react(a, {"subject": "plain"}, decision_id="d"), "exactly one arm of each dimension"),
        (lambda w, a: w.sent_at(a, {"subject": "plain", "cta": "no"}), "exactly one arm of each dimension"),
        (lambda w, a: w.rewards_of_choices([a], [{"cta": "join"}]), "exactly one arm of each dimension"),
        (lambda w, a: next(w.arrivals(-1)), "0 or more"),
        (lambda w, a: replace(w, tastes=w.tastes.only(ChoiceGrid({"subject": ("plain",), "cta": ("join",)}))), "own arms"),
        (lambda w, a: replace(w, revenue=-1.0), "give 0 or more"),
        (lambda w, a: replace(w.schedule, n_sends=0), "at least 1 send"),
        (lambda w, a: replace(w.schedule, start=datetime(2026, 1, 1)), "counted in UTC"),  # noqa: DTZ001
        (lambda w, a: WorldSettings(habits=-0.1), "0 or more"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_what_would(world, ask, advice):
    with pytest.raises(ImpossibleWorld, match=re.escape(advice)):
        ask(world, next(iter(world.arrivals(1))))


def test_a_context_that_does_not_fit_the_campaign_is_refused_by_name(world):
    with pytest.raises(InvalidContext, match="'levle' is not declared"):
        world.expected_rewards([{"levle": "low"}])


def test_a_campaign_is_long_enough_for_its_sends_and_begins_on_a_monday(world):
    arrivals = list(world.arrivals(100))
    assert START.weekday() == 0
    assert timedelta(0) <= arrivals[0].at - START < timedelta(days=28) / 100
    assert timedelta(days=27) < arrivals[-1].at - START < timedelta(days=28)


def test_more_outcome_types_than_one_digest_has_numbers_for_are_no_trouble(worlds, customers):
    events = {f"type{k}": 1.0 for k in range(11)}
    world = drawn_world(
        worlds.campaign(reward={"window": "720h", "events": events}), customers, 1, 50,
        rates=dict.fromkeys(events, 0.5),
    )  # fmt: skip
    seen = {o.type for a in world.arrivals(50) for o in world.react(a, world.choices.at(0), decision_id=str(a.at))}
    assert seen == set(events)


def test_luck_of_different_steps_is_independent():
    reactions = Reactions(0, Funnel.of({f"type{k}": 1.0 for k in range(12)}), DelayModel(), 1.0)
    happened = np.array([reactions.happened(f"d{k}", [0.5] * 14) for k in range(2000)])[:, 2:]
    together = np.corrcoef(happened.T.astype(float))
    # 66 correlations of 2,000 pairs; the standard error of each is 0.022.
    assert np.abs(together - np.eye(12)).max() < 5 * 0.022
