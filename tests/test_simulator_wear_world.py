"""A world that remembers: an arm loses by its own exposures only, they halve in a half-life, and the truth knows of them."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from bandit.wear_out import PastSend
from simulator.click_world import START
from simulator.email_worlds import composite, email12hi
from simulator.rehearsal import Phase, play
from simulator.truth import value_of_choices
from simulator.wear_world import WearWorld, wearing
from simulator.world import Arrival, ImpossibleWorld, RememberingWorld

WEEK = timedelta(days=7)


@pytest.fixture(scope="module")
def world():
    return wearing(0, 60)


def logit(probability):
    return math.log(probability / (1.0 - probability))


def arrival_after(world, *sends):
    """A customer, and what each of (days before, choice number) leaves behind."""
    past = tuple(PastSend(START - timedelta(days=days), world.choices.at(number)) for days, number in sends)
    return Arrival("c0", START, dict(world.contexts[0]), past)


def test_it_is_a_world_that_remembers_and_its_base_is_not(world):
    assert isinstance(world, RememberingWorld)
    assert not isinstance(world.base, RememberingWorld)


@pytest.mark.parametrize(("days", "left"), [(1e-9, 1.0), (7, 0.5), (14, 0.25), (56, 2.0**-8), (57, 0.0)])
def test_an_exposure_takes_its_depth_off_and_half_of_it_is_back_after_a_half_life(world, days, left):
    rewards = world.expected_rewards_after([arrival_after(world, (days, 4))])[0]
    fresh = world.expected_rewards([world.contexts[0]])[0]
    lost = [logit(before) - logit(after) for before, after in zip(fresh, rewards, strict=True)]
    assert lost == pytest.approx([world.depth * left * (arm == 4) for arm in range(12)], abs=1e-9)


def test_exposures_add_up_in_each_dimension_by_itself():
    composed = WearWorld(composite(1, 20), 0.5, WEEK, timedelta(minutes=1))
    arrival = arrival_after(composed, (1, 0), (3, 1919), (7, 0))
    rewards, fresh = composed.expected_rewards_after([arrival])[0], composed.expected_rewards([arrival.context])[0]
    once, thrice = 2.0 ** (-3 / 7), 2.0 ** (-1 / 7) + 0.5
    for number in (0, 1919, 5, 1000):
        shared_first = sum(
            a == b for a, b in zip(composed.choices.at(number).items(), composed.choices.at(0).items(), strict=True)
        )
        shared_last = sum(
            a == b for a, b in zip(composed.choices.at(number).items(), composed.choices.at(1919).items(), strict=True)
        )
        expected = 0.5 * (shared_first * thrice + shared_last * once)
        assert logit(fresh[number]) - logit(rewards[number]) == pytest.approx(expected, abs=1e-9)


def test_customers_click_as_often_as_the_truth_says(world):
    arrival = arrival_after(world, (1, 2), (2, 2))
    for number in (2, 3):
        choice = world.choices.at(number)
        clicks = sum(bool(world.react(arrival, choice, decision_id=f"d{i}")) for i in range(10_000))
        chance = world.expected_rewards_after([arrival])[0][number]
        assert abs(clicks - 10_000 * chance) < 4.2 * math.sqrt(10_000 * chance * (1 - chance))


def test_the_same_customers_hear_again_and_again_at_uneven_intervals(world):
    arrivals = list(world.arrivals(1200))
    assert [a.at for a in arrivals] == sorted(a.at for a in arrivals)
    by_customer = {}
    for arrival in arrivals:
        by_customer.setdefault(arrival.customer_id, []).append(arrival.at)
    assert len(by_customer) == 60
    pauses = np.concatenate([np.diff(times) for times in by_customer.values()]) / timedelta(days=1)
    assert np.mean(pauses) == pytest.approx(2.0, rel=0.1)
    assert np.std(pauses.astype(float)) > 1.0
    assert list(world.arrivals(1200)) == arrivals


class Always:
    """Sends everybody the same arm."""

    def __init__(self, number):
        self.number, self.told = number, []

    def enter(self, phase, world):
        self.world = world

    def decide(self, sends):
        return [self.world.choices.at(self.number)] * len(sends)

    def learn(self, outcome_types):
        self.told += outcome_types


@pytest.mark.parametrize("batch", [1, 50])
def test_a_rehearsal_tells_the_world_what_each_customer_got_before(world, batch):
    played = play([Phase(world, 600)], Always(3), batch=batch)
    arrivals = list(world.arrivals(600))
    got = {}
    for arrival, value in zip(arrivals, played.truth.values, strict=True):
        past = tuple(PastSend(at, world.choices.at(3)) for at in got.get(arrival.customer_id, ()))
        expected = world.expected_rewards_after([replace(arrival, past=past)])[0][3]
        assert value == pytest.approx(expected, abs=1e-12)
        got.setdefault(arrival.customer_id, []).append(arrival.at)
    assert played.truth.values[-100:].mean() < 0.3 * played.truth.values[:20].mean()


def test_somebody_mailed_every_few_minutes_is_not_beyond_what_a_float_can_say():
    busy = WearWorld(email12hi(0, 1), 0.5, WEEK, timedelta(minutes=5))
    past = tuple(PastSend(START - timedelta(minutes=5 * k), busy.choices.at(0)) for k in range(1, 5000))
    arrival = Arrival("c0", START, dict(busy.contexts[0]), past)
    assert busy.react(arrival, busy.choices.at(0), decision_id="d") == ()
    assert busy.expected_rewards_after([arrival])[0][0] == pytest.approx(0.0, abs=1e-12)


def test_the_truth_of_an_arrival_without_a_past_is_that_of_the_base(world):
    arrivals = [replace(arrival, past=()) for arrival in world.arrivals(50)]
    made = [world.choices.at(k % 12) for k in range(50)]
    after, base = value_of_choices(world, arrivals, made), value_of_choices(world.base, arrivals, made)
    assert after.values == pytest.approx(base.values, abs=1e-12)
    assert after.best == pytest.approx(base.best, abs=1e-12)


@pytest.mark.parametrize(
    "wrong", [{"depth": -0.1}, {"depth": math.inf}, {"half_life": timedelta(0)}, {"between": timedelta(0)}]
)
def test_what_cannot_be_is_refused(wrong):
    settings = {"depth": 0.5, "half_life": WEEK, "between": timedelta(minutes=1)} | wrong
    with pytest.raises(ImpossibleWorld, match="finite depth of at least 0 and times above 0"):
        WearWorld(email12hi(0, 10), **settings)
    with pytest.raises(ImpossibleWorld, match="0 or more"):
        next(wearing(0, 10).arrivals(-1))
