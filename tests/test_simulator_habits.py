"""Habits move responses between the hours of a week and not in total, and hang on what is known about a customer."""

from __future__ import annotations

import pickle
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.schema import BooleanField, CategoricalField, NumericField, Schema
from simulator.customers import drawn_customers
from simulator.habits import HABITS, PEAKS, Habits, Season, drawn_habits, drawn_season
from simulator.local_time import moments_of
from simulator.world import ImpossibleWorld

LEVEL = CategoricalField("level", ("low", "middle", "high"))
GENDER = CategoricalField("gender", ("a", "b"), protected=True)
MEMBER = BooleanField("member")
ORDERS = NumericField("orders", 0.0, 50.0)
WEEK = np.arange(168.0)
EVERY = Habits(np.arange(len(HABITS)), size=0.4)


def curves(habits=EVERY, hours=WEEK):
    n = len(habits.kinds)
    return habits.lifts(np.arange(n), np.tile(hours, (n, 1)))


@pytest.mark.parametrize("size", [0.0, 0.4, 1.5])
def test_every_habit_has_mean_zero_and_the_size_asked_for_over_the_week(size):
    found = curves(Habits(np.arange(len(HABITS)), size))
    assert np.allclose(found.mean(axis=1), 0.0, atol=1e-12)
    assert np.allclose(found.std(axis=1), size)


def test_habits_have_mean_zero_over_minutes_too():
    assert np.allclose(curves(hours=np.arange(0.0, 168.0, 1 / 60)).mean(axis=1), 0.0, atol=1e-9)


def test_habits_never_jump_not_even_from_sunday_to_monday():
    quarter_hours = curves(hours=np.arange(0.0, 169.0, 0.25) % 168.0)
    assert np.abs(np.diff(quarter_hours, axis=1)).max() < 0.4 * 0.25
    assert np.allclose(quarter_hours[:, 0], quarter_hours[:, 168 * 4])


@pytest.mark.parametrize("habit", HABITS)
def test_a_habit_is_at_its_best_on_its_days_at_its_hour(habit):
    day_kind, time = habit.split()
    best = int(curves()[HABITS.index(habit)].argmax())
    assert (best // 24 >= 5) == (day_kind == "weekend")
    assert abs(best % 24 - PEAKS[time]) <= 1.0


@given(
    places=st.lists(st.integers(0, len(HABITS) - 1), min_size=1, max_size=5),
    hours=st.lists(st.floats(0.0, 168.0, exclude_max=True), min_size=1, max_size=5),
)
def test_many_lifts_at_once_are_those_one_by_one(places, hours):
    grid = EVERY.lifts(np.array(places), np.tile(hours, (len(places), 1)))
    assert grid.tolist() == [[EVERY.lift(place, hour) for hour in hours] for place in places]
    each = EVERY.lifts(np.array(places), np.full(len(places), hours[0]))
    assert each.tolist() == grid[:, 0].tolist()


def by_value(item, schema, follows, n=6_000):
    """Habits of the customers with each value of a field (None where missing)."""
    customers = drawn_customers(schema, 0, n)
    habits, found = drawn_habits(schema, customers, 0, follows=follows), defaultdict(Counter)
    for context, kind in zip(customers.contexts, habits.kinds.tolist(), strict=True):
        found[context[item.name]][kind] += 1
    return found


@pytest.mark.parametrize("others", [(GENDER, ORDERS, LEVEL, MEMBER), (LEVEL,)])
def test_each_value_of_the_first_open_category_has_a_typical_habit_of_its_own(others):
    found = by_value(LEVEL, Schema(others), follows=0.7)
    typical = {}
    for value in LEVEL.values:
        (typical[value], count), n = found[value].most_common(1)[0], found[value].total()
        # Of the rest, at most a sixth has the same habit by chance.
        assert 0.7 - 4 * np.sqrt(0.21 / n) < count / n < 0.76 + 4 * np.sqrt(0.19 / n)
    assert len(set(typical.values())) == 3


def test_customers_of_whom_nothing_is_known_have_any_habit():
    unknown = by_value(LEVEL, Schema((LEVEL,)), follows=1.0)[None]
    known = by_value(LEVEL, Schema((LEVEL,)), follows=1.0)["low"]
    assert len(known) == 1
    assert set(unknown) == set(range(len(HABITS)))


def test_without_following_no_value_tells_the_habit():
    found = by_value(LEVEL, Schema((LEVEL,)), follows=0.0)
    for value in LEVEL.values:
        n = found[value].total()
        for kind, name in enumerate(HABITS):
            share = (0.65 if name.startswith("weekday") else 0.35) / 4
            assert abs(found[value][kind] - n * share) < 4.5 * np.sqrt(n * share)


def test_yes_or_no_and_numbers_tell_the_habit_where_there_is_no_open_category():
    schema = Schema((GENDER, ORDERS, MEMBER))
    found = by_value(MEMBER, schema, follows=1.0)
    assert len(found[True]) == len(found[False]) == 1
    assert found[True] != found[False]
    numbers = by_value(ORDERS, Schema((GENDER, ORDERS)), follows=1.0)
    assert numbers[0.0].keys() == numbers[12.0].keys() != numbers[13.0].keys()


def test_a_protected_field_never_tells_the_habit():
    found = by_value(GENDER, Schema((GENDER,)), follows=1.0)
    assert all(len(habits) == len(HABITS) for habits in found.values())


def test_the_same_seed_draws_the_same_habits_and_another_seed_others():
    schema = Schema((LEVEL,))
    customers = drawn_customers(schema, 0, 200)
    first, again, other = (drawn_habits(schema, customers, seed).kinds.tolist() for seed in (5, 5, 6))
    assert first == again != other


def test_habits_survive_the_way_to_another_process():
    assert np.array_equal(curves(pickle.loads(pickle.dumps(EVERY))), curves())


def hours_of_days(first, n_days):
    ats = [first + timedelta(hours=number) for number in range(24 * n_days)]
    return moments_of(ats), np.arange(24.0 * n_days) % 168.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), yearly=st.floats(-2.0, 2.0), weekday=st.floats(0.0, 2.0))
def test_a_season_has_mean_zero_over_whole_years_and_weeks(seed, yearly, weekday):
    season = drawn_season(seed, yearly=yearly, weekday=weekday)
    # A whole number of weeks, and 28 years but for a quarter of a day.
    days = np.arange(28 * 365 + 7)
    at = np.datetime64("2001-01-01T12", "us") + days * np.timedelta64(1, "D")
    assert abs(season.lifts(at, (days % 7) * 24.0 + 12.0).mean()) < 1e-3
    assert sum(season.weekdays) == pytest.approx(0.0, abs=1e-9)


def test_the_year_is_at_its_best_at_the_peak_and_at_its_worst_half_a_year_later():
    season = Season(yearly=0.3, peak_day=100.0)
    at, hours = hours_of_days(datetime(2026, 1, 1, tzinfo=UTC), 365)
    lifts = season.lifts(at, hours)
    assert lifts.argmax() / 24 == pytest.approx(100.0, abs=1.0)
    assert lifts.argmin() / 24 == pytest.approx(100.0 + 365.2425 / 2, abs=1.0)
    assert (lifts.max(), lifts.min()) == pytest.approx((0.3, -0.3), abs=1e-5)


def test_the_day_of_the_week_is_the_local_one():
    season = Season(weekdays=(0.6, -0.1, -0.1, -0.1, -0.1, -0.1, -0.1))
    late_sunday_in_utc = np.full(4, np.datetime64("2026-01-04T23:30", "us"))
    assert season.lifts(late_sunday_in_utc, np.array([167.5, 0.5, 23.99, 24.0])).tolist() == [-0.1, 0.6, 0.6, -0.1]


def test_a_season_takes_moments_of_any_shape():
    at, hours = hours_of_days(datetime(2026, 1, 5, tzinfo=UTC), 7)
    season = drawn_season(0)
    assert season.lifts(at.reshape(7, 24), hours.reshape(7, 24)).ravel().tolist() == season.lifts(at, hours).tolist()


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda: Habits(np.array([0]), size=-0.1), "0 or more"),
        (lambda: Habits(np.array([0]), size=float("nan")), "0 or more"),
        (lambda: Habits(np.array([8])), "from 0 to 7"),
        (lambda: Habits(np.array([[1]])), "one position"),
        (lambda: Season(weekdays=(0.1,) * 7), "sum 0"),
        (lambda: Season(weekdays=(0.0,) * 6), "seven of them"),
        (lambda: Season(yearly=float("inf")), "finite numbers"),
        (lambda: drawn_habits(Schema(()), drawn_customers(Schema(()), 0, 2), 0, follows=1.2), r"in \[0, 1\]"),
    ],
)
def test_habits_and_seasons_that_cannot_be_are_refused_with_advice(make, advice):
    with pytest.raises(ImpossibleWorld, match=advice):
        make()
