"""Drift is found where rewards leave what was expected of them, on the right side, and hardly ever where they do not."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bandit.errors import InvalidSettings, UnusableLog
from evaluation.drift import LARGEST_STAKE, SHIFTS, calibration_drift, drift_alarms

UNIT = (0.0, 1.0)


def clicks(rng, expected, factor=1.0):
    return (rng.random(len(expected)) < factor * expected).astype(float)


def by_hand(rewards, estimates):
    """The formula row by row, gambler by gambler."""
    wealth = dict.fromkeys([(side, shift) for side in (1, -1) for shift in SHIFTS], 1 / (2 * len(SHIFTS)))
    floor, squares, sums = 1 / (2 * len(SHIFTS)), 0.25, []
    for k, (reward, estimate) in enumerate(zip(rewards, estimates, strict=True)):
        x, spread = reward - estimate, (squares / (k + 1)) ** 0.5
        for (side, shift), before in wealth.items():
            cost = estimate if side == 1 else 1 - estimate
            stake = min(shift / spread, LARGEST_STAKE / cost)
            wealth[side, shift] = max(before, floor) * (1 + side * stake * x)
        squares += x**2
        sums.append(sum(wealth.values()))
    return sums


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 80))
def test_the_statistic_is_the_recursion_of_the_paper(seed, n):
    rng = np.random.default_rng(seed)
    estimates = rng.uniform(0.05, 0.95, n)
    rewards = clicks(rng, estimates)
    answer = calibration_drift(rewards, estimates, UNIT, run_length=1e9)
    assert answer.statistic == pytest.approx(max(by_hand(rewards, estimates)), rel=1e-9)
    assert not answer.alarm


def test_the_first_row_by_hand():
    # Spread sqrt(.25) = .5, so stakes are .05, .1, .2, .4, .8; x = 1/2 gains half a stake on one side and loses it on the other.
    answer = calibration_drift([1.0], [0.5], UNIT)
    assert answer.statistic == pytest.approx(sum((1 + s) + (1 - s) for s in (0.025, 0.05, 0.1, 0.2, 0.4)) / 10)


@pytest.mark.parametrize(("factor", "direction"), [(0.4, "lower"), (1.8, "higher")])
def test_a_change_of_the_rate_is_found_soon_and_named(factor, direction):
    rng = np.random.default_rng(5)
    expected = rng.uniform(0.02, 0.1, 20_000)
    rewards = np.concatenate([clicks(rng, expected[:10_000]), clicks(rng, expected[10_000:], factor)])
    answer = calibration_drift(rewards, expected, UNIT)
    assert answer.direction == direction
    assert 10_000 < answer.alarm_row < 13_000
    assert 9_000 < answer.began_row < answer.alarm_row


def test_expectations_that_hold_rarely_alarm_at_the_length_that_a_level_asks_for():
    rng, n, n_runs = np.random.default_rng(6), 2000, 300
    alarms = 0
    for _ in range(n_runs):
        expected = rng.uniform(0.02, 0.3, n)
        alarms += calibration_drift(clicks(rng, expected), expected, UNIT, run_length=n / 0.05).alarm
    assert alarms <= stats.binom.ppf(0.999, n_runs, 0.05)


def test_the_p_value_is_length_over_wealth_and_at_most_one():
    quiet = calibration_drift([0.0, 1.0], [0.5, 0.5], UNIT)
    assert quiet.p_value == 1.0
    loud = calibration_drift([1.0] * 200, [0.1] * 200, UNIT)
    assert loud.statistic >= 100_000
    assert loud.p_value == pytest.approx(200 / loud.statistic)


@given(least=st.floats(-5, 0), width=st.floats(0.5, 20), seed=st.integers(0, 1000))
def test_units_of_the_reward_do_not_matter(least, width, seed):
    rng = np.random.default_rng(seed)
    estimates = rng.uniform(0.1, 0.9, 50)
    rewards = clicks(rng, estimates)
    plain = calibration_drift(rewards, estimates, UNIT)
    moved = calibration_drift(least + width * rewards, least + width * estimates, (least, least + width))
    assert log(moved.statistic) == pytest.approx(log(plain.statistic), abs=1e-6)


def test_an_estimate_outside_the_range_counts_as_its_end():
    inside, outside = ([0.0, 1.0, 0.5], [-0.3, 1.7, 0.5])
    rewards = [0.0, 1.0, 1.0]
    assert calibration_drift(rewards, outside, UNIT) == calibration_drift(rewards, inside, UNIT)


def test_the_detector_begins_anew_after_each_alarm():
    rng = np.random.default_rng(7)
    expected = np.full(9000, 0.2)
    rewards = np.concatenate([clicks(rng, expected[:3000], 2.0), clicks(rng, expected[:6000])])
    *alarms, last = drift_alarms(rewards, expected, UNIT, run_length=10_000)
    assert len(alarms) > 2
    assert all(each.direction == "higher" and each.alarm_row < 3100 for each in alarms)
    assert not last.alarm
    assert sum(each.n for each in alarms) + last.n == 9000
    assert [each.began_row for each in alarms] == sorted(each.began_row for each in alarms)
    first = calibration_drift(rewards, expected, UNIT, run_length=10_000)
    assert (alarms[0].alarm_row, alarms[0].statistic) == (first.alarm_row, first.statistic)


@pytest.mark.parametrize(
    ("rewards", "estimates", "reward_range", "words"),
    [
        ([], [], UNIT, "at least one"),
        ([np.nan], [0.5], UNIT, "not matured"),
        ([0.0, 1.0], [0.5], UNIT, "one estimate a row"),
        ([0.0], [np.nan], UNIT, "one estimate a row"),
        ([2.0], [0.5], UNIT, "reward of row 0 is 2.0"),
    ],
)
def test_a_log_that_cannot_be_watched_is_refused(rewards, estimates, reward_range, words):
    with pytest.raises(UnusableLog, match=words):
        calibration_drift(rewards, estimates, reward_range)


@pytest.mark.parametrize("reward_range", [(1.0, 1.0), (0.0, np.inf), (1.0, 0.0)])
def test_a_range_that_limits_nothing_is_refused(reward_range):
    with pytest.raises(InvalidSettings, match="reward_range"):
        calibration_drift([1.0], [1.0], reward_range)


@pytest.mark.parametrize("run_length", [1.0, 0.0, np.inf, np.nan])
def test_a_run_length_that_means_nothing_is_refused(run_length):
    with pytest.raises(InvalidSettings, match="run_length"):
        calibration_drift([1.0], [0.5], UNIT, run_length)
