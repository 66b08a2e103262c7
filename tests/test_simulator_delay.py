"""The distribution function of every delay is exact, and a conversion never precedes its click."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from simulator.delay import LONGEST_HOURS, DelayMixture, DelayModel, DelayPart
from simulator.response import EVENT_TYPES
from simulator.world import ImpossibleWorld

MODEL = DelayModel()
POSITION = st.floats(2**-53, 1 - 2**-53)


@pytest.mark.parametrize("tail", [0.4, 1.5, 20.0])
@pytest.mark.parametrize("hours", [0.001, 0.7, 5.0, 72.0, 5_000.0])
def test_a_stretched_part_agrees_with_scipys_exponentially_modified_normal(tail, hours):
    part = DelayPart(1.0, median_hours=4.0, spread=0.9)
    expected = stats.exponnorm.cdf(math.log(hours), 1 / (0.9 * tail), loc=math.log(4.0), scale=0.9)
    assert part.share_within(hours, tail) == pytest.approx(expected, rel=1e-9, abs=1e-14)


def test_an_unstretched_part_agrees_with_scipys_log_normal():
    part = DelayPart(1.0, median_hours=4.0, spread=0.9, after_hours=10.0)
    assert part.share_within(16.0, math.inf) == pytest.approx(stats.lognorm.cdf(6.0, 0.9, scale=4.0), rel=1e-12)
    assert part.share_within(10.0, math.inf) == 0.0


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_drawn_delays_fall_within_a_window_as_often_as_its_exact_share(event_type):
    n = 20_000
    mixture = MODEL.of(event_type)
    drawn = [mixture.delay(positions) for positions in np.random.default_rng(5).random((n, 3)).tolist()]
    for hours in (0.25, 2.0, 24.0, 72.0, 900.0):
        window = timedelta(hours=hours)
        share = mixture.share_within(window)
        # Binomial, 4 standard deviations: 20 comparisons with a fixed seed.
        assert abs(np.mean([d <= window for d in drawn]) - share) < 4 * math.sqrt(share * (1 - share) / n)


@given(POSITION, POSITION, POSITION, st.floats(0.05, 50.0))
def test_a_conversion_never_precedes_its_click(which, where, stretch, tail):
    model = DelayModel(conversion_tail=tail)
    positions = (which, where, stretch)
    assert timedelta(0) < model.of("click").delay(positions) <= model.of("conversion").delay(positions)


def test_conversions_take_longer_than_clicks():
    positions = (0.3, 0.5, 0.5)
    # The middle of a Pareto factor of index 1.5 is 2 ** (1 / 1.5) = 1.587.
    assert MODEL.of("conversion").delay(positions) / MODEL.of("click").delay(positions) == pytest.approx(
        1.587, abs=1e-3
    )
    window = timedelta(hours=72)
    assert MODEL.of("conversion").share_within(window) < MODEL.of("click").share_within(window) - 0.03


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=2), st.sampled_from(EVENT_TYPES))
def test_longer_windows_never_hold_less(hours, event_type):
    short, long = (MODEL.of(event_type).share_within(timedelta(hours=h)) for h in sorted(hours))
    assert 0.0 <= short <= long <= 1.0


@given(st.floats(1e-6, 1e6))
def test_a_window_never_holds_more_conversions_than_clicks(hours):
    window = timedelta(hours=hours)
    assert MODEL.of("conversion").share_within(window) <= MODEL.of("click").share_within(window)


def test_some_reactions_are_later_than_a_month_and_none_later_than_ten_years():
    for event_type in EVENT_TYPES:
        mixture = MODEL.of(event_type)
        assert mixture.share_within(timedelta(days=30)) < 0.98
        assert mixture.share_within(timedelta(hours=LONGEST_HOURS)) == 1.0
    heavy = replace(MODEL.click, tail=0.01)
    assert heavy.delay((0.5, 0.5, 1e-12)) == timedelta(hours=LONGEST_HOURS)


@pytest.mark.parametrize("shares", [(0.5, 0.4), (), (0.7, 0.7)])
def test_shares_that_do_not_sum_to_one_are_refused(shares):
    with pytest.raises(ImpossibleWorld, match="sum to 1"):
        DelayMixture(tuple(DelayPart(share, median_hours=1.0, spread=1.0) for share in shares))


@pytest.mark.parametrize(
    "numbers",
    [(1.5, 1.0, 1.0, 0.0), (0.5, 0.0, 1.0, 0.0), (0.5, 1.0, math.nan, 0.0), (0.5, 1.0, 1.0, -1.0)],
)
def test_a_part_with_an_impossible_number_is_refused(numbers):
    with pytest.raises(ImpossibleWorld, match="positive median and spread"):
        DelayPart(*numbers)


def test_a_tail_that_is_not_positive_is_refused():
    with pytest.raises(ImpossibleWorld, match=r"math\.inf for no stretching"):
        replace(MODEL.click, tail=0.0)


def test_an_event_without_delays_is_refused_by_name():
    with pytest.raises(ImpossibleWorld, match="'open' has no delays"):
        MODEL.of("open")
