"""Drift: do rewards still come as the learner expected them before it drew?

A learner that lags behind its customers sends what used to work. Gamblers bet on every row that rewards are now higher,
or lower, than was expected; while expectations are right none of them can win for long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, log

import numpy as np
from numpy.typing import ArrayLike

from bandit.arrays import FloatArray
from bandit.errors import EngineError, InvalidSettings, UnusableLog
from evaluation.empirical_bernstein import mean_before
from evaluation.intervals import finite_rewards

SHIFTS = (0.025, 0.05, 0.1, 0.2, 0.4)
"""Standard deviations of a reward by which gamblers think that it has moved: .1 is a rate of 4 % that halves."""

LARGEST_STAKE = 0.75
"""Share of a gambler's wealth that one row can cost."""

FIRST_LOOK = 2048
"""Rows in which an alarm is looked for first."""

LARGEST_LOG = 690.0
"""Wealth beyond e^690 is held at it: the sum of all must be a float."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The answer of `calibration_drift`.

    Args:
        statistic: largest wealth that the gamblers had together, up to the alarm, which is raised at `run_length`.
        alarm_row: position (from 0) of the row at which it reached `run_length`, or None.
        began_row: position from which the richest gambler had been winning by then, about where it began; or None.
        direction: "higher" or "lower" than expected; None without alarm.
        run_length: rows between false alarms, on average at least.
        n: rows.
    """

    statistic: float
    alarm_row: int | None
    began_row: int | None
    direction: str | None
    run_length: float
    n: int

    def __post_init__(self) -> None:
        there = {
            self.alarm_row is None,
            self.began_row is None,
            self.direction is None,
            self.statistic < self.run_length,
        }
        if len(there) != 1:
            raise EngineError(f"{self} is half an alarm. Report this as a bug of calibration_drift.")

    @property
    def alarm(self) -> bool:
        """Whether wealth reached `run_length`."""
        return self.alarm_row is not None

    @property
    def p_value(self) -> float:
        """At most this share of logs of this length reach that wealth while expectations are right."""
        return min(1.0, self.n / self.statistic) if self.statistic > 0 else 1.0


def calibration_drift(
    rewards: ArrayLike, estimates: ArrayLike, reward_range: tuple[float, float], run_length: float = 100_000.0
) -> Drift:
    """Watch rewards minus what was expected of them, row by row, for a lasting shift to either side.

    With x = (reward - estimate) / (largest - least reward), each of J gamblers has wealth M_k = max(M_{k-1}, 1/J)
    (1 + s lambda_k x_k) for a side s of +1 or -1; lambda_k = min(shift / sd of x before k, .75 / what x can cost). An
    alarm is raised when the sum of all M reaches run_length.

    Args:
        rewards: shape (n,), final, in order of decision.
        estimates: shape (n,), reward expected of the send, known before it was drawn; those outside the range are clipped.
        reward_range: least and largest reward that is possible, not that was seen.
        run_length: rows between false alarms, on average at least, above 1.

    Returns:
        Whether and where an alarm was raised, and to which side rewards have moved.

    Raises:
        UnusableLog: if rewards or estimates are missing, not finite or of different lengths, or a reward is out of range.
        InvalidSettings: if reward_range or run_length is not what is said above.

    Caution: the right expectation is the mean reward given everything known at the draw. A learner that has hardly
    learned, or that cannot see what rewards depend on, raises the alarm without anything having changed.

    Source: Shin, Ramdas and Rinaldo (2024), E-detectors; e-CUSUM with a mixture of betting increments.

    >>> rewards, estimates = [1, 0, 0, 0] * 500 + [0, 0, 0, 0] * 100, [0.25] * 2400
    >>> answer = calibration_drift(rewards, estimates, (0.0, 1.0), run_length=10_000)
    >>> answer.alarm_row, answer.began_row, answer.direction
    (2052, 1997, 'lower')
    """
    residuals, expected = _residuals(rewards, estimates, reward_range)
    if not 1 < run_length < inf:
        raise InvalidSettings(
            f"run_length is {run_length!r}, need a number of rows above 1. It is how many rows pass between false alarms: "
            "100000 is one in a hundred thousand sends."
        )
    paths, starts = _wealth(residuals, expected)
    wealth = np.exp(np.minimum(paths, LARGEST_LOG)).sum(axis=0)
    reached, n = np.flatnonzero(wealth >= run_length), len(residuals)
    if not len(reached):
        return Drift(float(wealth.max()), None, None, None, run_length, n)
    row = int(reached[0])
    richest = int(paths[:, row].argmax())
    direction = "higher" if richest < len(SHIFTS) else "lower"
    return Drift(float(wealth[row]), row, int(starts[richest, row]), direction, run_length, n)


def drift_alarms(
    rewards: ArrayLike, estimates: ArrayLike, reward_range: tuple[float, float], run_length: float = 100_000.0
) -> tuple[Drift, ...]:
    """Every alarm of `calibration_drift`, which begins anew after each.

    Args:
        rewards: shape (n,), final, in order of decision.
        estimates: shape (n,), reward expected of the send before it was drawn.
        reward_range: least and largest reward that is possible.
        run_length: rows between false alarms, on average at least.

    Returns:
        The alarms, rows counted from the first; then what was found since the last of them, if there are rows since.

    Raises:
        UnusableLog, InvalidSettings: as `calibration_drift`.

    >>> rewards, estimates = [1, 0, 0, 0] * 500 + [0] * 100, [0.25] * 2100
    >>> [(each.alarm_row, each.n) for each in drift_alarms(rewards, estimates, (0.0, 1.0), run_length=10_000)]
    [(2052, 2053), (None, 47)]
    """
    values, expected, start = np.asarray(rewards), np.asarray(estimates), 0
    found: list[Drift] = []
    while start < len(values) or not found:
        one = _next_run(values[start:], expected[start:], reward_range, run_length)
        if one.alarm_row is None or one.began_row is None:
            return (*found, one)
        found.append(
            replace(one, alarm_row=start + one.alarm_row, began_row=start + one.began_row, n=one.alarm_row + 1)
        )
        start += one.alarm_row + 1
    return tuple(found)


def _next_run(rewards: ArrayLike, estimates: ArrayLike, reward_range: tuple[float, float], run_length: float) -> Drift:
    """Up to the first alarm; most of a long log need not be looked at where it comes soon."""
    values, expected, n = np.asarray(rewards), np.asarray(estimates), FIRST_LOOK
    while True:
        found = calibration_drift(values[:n], expected[:n], reward_range, run_length)
        if found.alarm or n >= len(values):
            return found
        n *= 4


def _wealth(residuals: FloatArray, expected: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log wealth of each gambler after each row, and the row at which each last began anew, both (n_gamblers, n)."""
    spread = np.sqrt(mean_before(residuals**2, 0.25))
    stakes = np.array(SHIFTS)[:, np.newaxis] / spread
    with np.errstate(divide="ignore"):  # where nothing can be lost there is no cap
        higher = np.minimum(stakes, LARGEST_STAKE / expected) * residuals
        lower = np.minimum(stakes, LARGEST_STAKE / (1 - expected)) * -residuals
    gains = np.log1p(np.concatenate([higher, lower]))
    sums = np.cumsum(gains, axis=1)
    before = np.concatenate([np.zeros((len(sums), 1)), sums[:, :-1]], axis=1)
    least = np.minimum.accumulate(before, axis=1)
    rows = np.arange(gains.shape[1])
    starts = np.maximum.accumulate(np.where(before <= least, rows, 0), axis=1)
    return sums - least - log(len(gains)), starts


def _residuals(
    rewards: ArrayLike, estimates: ArrayLike, reward_range: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """Reward minus estimate, and the estimate, both where the range is [0, 1]."""
    least, largest = reward_range
    if not -inf < least < largest < inf:
        raise InvalidSettings(
            f"reward_range is {reward_range!r}, need the least and the largest possible reward, in this order and finite: "
            "they limit every bet. Pass what the campaign's reward can be."
        )
    values, expected = finite_rewards(rewards), np.asarray(estimates, dtype=np.float64)
    if expected.shape != values.shape or not np.isfinite(expected).all():
        raise UnusableLog(
            f"estimates have shape {expected.shape} for {len(values)} rewards, or are not all finite. Each row is held "
            "against what was expected of it: pass one estimate a row, and leave out rows without."
        )
    broken = np.flatnonzero((values < least) | (values > largest))
    if len(broken):
        raise UnusableLog(
            f"reward of row {broken[0]} is {float(values[broken[0]])!r} ({len(broken)} such rows), need {reward_range}. Bets "
            "rest on knowing what a reward can be: pass the campaign's reward range, or correct the join."
        )
    width = largest - least
    scaled = np.clip((expected - least) / width, 0.0, 1.0)
    return (values - least) / width - scaled, scaled
