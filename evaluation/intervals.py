"""Intervals around one rate or one mean, and the checks that every interval and test of this package shares."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
import scipy
from numpy.typing import ArrayLike

from bandit.arrays import FloatArray
from bandit.errors import EngineError, InvalidSettings, UnusableLog


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and what it may be off by.

    Args:
        estimate: in reward units, or dimensionless where `method` says ratio.
        ci_lower: lower end, never above `estimate`.
        ci_upper: upper end, never below `estimate`.
        n: sends the estimate rests on; fractional where it is an effective sample.
        method: how the ends were found, in words a report can print.

    Raises:
        EngineError: if the three numbers are not in order.
    """

    estimate: float
    ci_lower: float
    ci_upper: float
    n: float
    method: str

    def __post_init__(self) -> None:
        if not self.ci_lower <= self.estimate <= self.ci_upper:
            raise EngineError(
                f"{self.method} interval [{self.ci_lower!r}, {self.ci_upper!r}] does not hold its estimate "
                f"{self.estimate!r}. Publishing it would mislead: report this as a bug of the method that made it."
            )


def wilson(successes: float, n: float, confidence_level: float = 0.95) -> Interval:
    """The rate of successes, with Wilson's score interval.

    Args:
        successes: between 0 and n; fractional for an effective sample.
        n: sends, above 0; fractional for an effective sample.
        confidence_level: in (0, 1).

    Returns:
        An interval inside [0, 1], honest also at 0 or n successes, where the textbook interval has no width.

    Raises:
        UnusableLog: if there are no sends, or the successes do not fit them.

    Caution: sends are taken as independent. Where customers repeat it is too narrow.

    Source: Wilson (1927), through statsmodels `proportion_confint(method="wilson")`.

    >>> answer = wilson(4, 100)
    >>> round(answer.ci_lower, 4), round(answer.ci_upper, 4)
    (0.0157, 0.0984)
    """
    require_level(confidence_level)
    require_successes(successes, n)
    from statsmodels.stats.proportion import proportion_confint  # noqa: PLC0415 - it takes a second to load

    rate = successes / n
    lower, upper = proportion_confint(successes, n, alpha=1 - confidence_level, method="wilson")
    # The formula is exact at 0 and n successes, its floating point is not: it may miss 0, 1 or the rate by 1e-17.
    return Interval(rate, min(max(float(lower), 0.0), rate), max(min(float(upper), 1.0), rate), n, "Wilson")


def mean_interval(rewards: ArrayLike, confidence_level: float = 0.95) -> Interval:
    """The mean reward of a send: Wilson where every reward is 0 or 1, else Student's t.

    Args:
        rewards: shape (n_sends,), finite, in reward units.
        confidence_level: in (0, 1).

    Returns:
        The interval; its `method` says which of the two was used.

    Raises:
        UnusableLog: if there is no reward, one that is not finite, or a single one that is neither 0 nor 1.

    Caution: sends are taken as independent, and rewards that are all the same number (but not 0 or 1) give an
    interval without width: nothing in the log then says how far other rewards may lie.

    >>> mean_interval([0, 1, 1, 0]).method
    'Wilson'
    >>> mean_interval([0.2, 1.0, -1.0, 0.2]).method
    "Student's t"
    """
    values = finite_rewards(rewards)
    if is_binary(values):
        return wilson(float(values.sum()), len(values), confidence_level)
    require_level(confidence_level)
    if len(values) < 2:
        raise UnusableLog(
            f"one reward, {float(values[0])!r}, is all there is. A single number says nothing about how far rewards spread: "
            "wait until at least two sends have matured."
        )
    return student(values, confidence_level)


def student(values: FloatArray, confidence_level: float = 0.95) -> Interval:
    """The mean of some numbers, by Student's t.

    Args:
        values: shape (n,), finite, at least two.
        confidence_level: in (0, 1).

    Caution: numbers that are all the same give an interval without width.

    Source: Student (1908), The probable error of a mean.

    >>> round(student(np.array([1.0, 2.0, 3.0])).ci_upper, 3)
    4.484
    """
    mean, error = float(values.mean()), float(values.std(ddof=1)) / sqrt(len(values))
    half = error * float(scipy.stats.t.ppf((1 + confidence_level) / 2, len(values) - 1))
    return Interval(mean, mean - half, mean + half, len(values), "Student's t")


def finite_rewards(rewards: ArrayLike) -> FloatArray:
    """The rewards as float64, shape (n_sends,), refused with UnusableLog where one is missing or not finite."""
    values = np.asarray(rewards, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise UnusableLog(
            f"rewards have shape {values.shape}, need (n_sends,) with at least one. Without rewards there is no "
            "estimate: wait until the attribution window of the first sends has passed."
        )
    broken = np.flatnonzero(~np.isfinite(values))
    if len(broken):
        raise UnusableLog(
            f"reward of row {broken[0]} is {float(values[broken[0]])!r} ({len(broken)} such rows). One of them makes "
            "every mean meaningless: drop rows that have not matured and report how many, or fix the join."
        )
    return values


def is_binary(rewards: FloatArray) -> bool:
    """Whether every reward, shape (n_sends,), is 0 or 1, so that rates can be counted instead of approximated."""
    return bool(np.all((rewards == 0) | (rewards == 1)))


def require_level(confidence_level: float) -> None:
    """Refuse a confidence level outside (0, 1) with InvalidSettings."""
    if not 0 < confidence_level < 1:
        raise InvalidSettings(
            f"confidence_level is {confidence_level!r}, need a number between 0 and 1. It is the share of intervals "
            "that hold the truth: write 0.95 for 95 percent."
        )


def require_successes(successes: float, n: float) -> None:
    """Refuse a count of successes that cannot come from n sends with UnusableLog."""
    if not 0 < n < inf or not 0 <= successes <= n:
        raise UnusableLog(
            f"{successes!r} successes of {n!r} sends. A rate needs at least one send and between 0 and n successes: "
            "count matured sends only, and each send once."
        )


def require_answer(p_value: float | None, reason: str | None) -> None:
    """Refuse, with EngineError, a result that has neither a p-value in [0, 1] nor a reason for having none."""
    if (p_value is None) == (reason is None) or not (p_value is None or 0 <= p_value <= 1):
        raise EngineError(
            f"p_value {p_value!r} with reason {reason!r}: a test gives a number in [0, 1] or says why it cannot. "
            "Report this as a bug of the test."
        )
