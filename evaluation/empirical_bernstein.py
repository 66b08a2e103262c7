"""The empirical-Bernstein confidence sequence, and what it shares with the betting one: its bets and its result.

A confidence sequence is an interval after every row that holds the mean after *all* of them at once, with the stated
probability. It may be looked at as often as one likes, and one may stop because of what one saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandit.arrays import FloatArray
from bandit.errors import EngineError, UnusableLog
from evaluation.intervals import finite_rewards, require_level

LARGEST_BET = 0.5
"""Share of the wealth that may be lost on one row; 1/2 is the reference's choice."""


@dataclass(frozen=True, slots=True, eq=False)
class ConfidenceSequence:
    """Bounds after some or all rows, each the intersection of those before.

    Args:
        n: shape (n_looks,), rows seen at each look, rising.
        lower: shape (n_looks,), in reward units, never falling.
        upper: shape (n_looks,), in reward units, never rising.
        method: how the bounds were found, in words a report can print.

    Raises:
        EngineError: if the arrays are not one look each, with at least one.
    """

    n: NDArray[np.int64]
    lower: FloatArray
    upper: FloatArray
    method: str

    def __post_init__(self) -> None:
        if self.n.ndim != 1 or not len(self.n) or not self.n.shape == self.lower.shape == self.upper.shape:
            raise EngineError(
                f"{self.method} has {self.n.shape} looks, {self.lower.shape} lower and {self.upper.shape} upper bounds. A "
                "look without its bounds cannot be published: report this as a bug of the method that made it."
            )

    @property
    def ci_lower(self) -> float:
        """Lower bound at the last look."""
        return float(self.lower[-1])

    @property
    def ci_upper(self) -> float:
        """Upper bound at the last look."""
        return float(self.upper[-1])


def empirical_bernstein_sequence(rewards: ArrayLike, confidence_level: float = 0.95) -> ConfidenceSequence:
    """The mean of rewards in [0, 1] after every row, by the predictable plug-in empirical-Bernstein bound.

    Args:
        rewards: shape (n,), in [0, 1], in the order in which they were drawn.
        confidence_level: in (0, 1), of both bounds at all rows together.

    Returns:
        One look a row.

    Raises:
        UnusableLog: if there is no reward, one is outside [0, 1] or not finite, or the bounds contradict each other.

    Caution: wider than `betting_sequence`, which is the one to publish; this one has a formula that can be checked by hand.

    Source: Waudby-Smith and Ramdas (2024), JRSS B 86, theorem 2.

    >>> answer = empirical_bernstein_sequence([0, 1] * 500)
    >>> round(answer.ci_lower, 4), round(answer.ci_upper, 4)
    (0.4358, 0.5639)
    """
    require_level(confidence_level)
    values = unit_rewards(rewards)
    one_side = (1 + confidence_level) / 2
    lower = np.maximum.accumulate(empirical_bernstein_lower(values, one_side))
    upper = np.minimum.accumulate(1 - empirical_bernstein_lower(1 - values, one_side))
    return in_order(np.arange(1, len(values) + 1), lower, upper, "empirical-Bernstein sequence")


def empirical_bernstein_lower(rewards: ArrayLike, confidence_level: float = 0.95) -> FloatArray:
    """The one-sided lower bound after every row, before intersecting it with the rows before.

    Args:
        rewards: shape (n,), in [0, 1], in the order in which they were drawn.
        confidence_level: in (0, 1), of this side alone.

    Returns:
        Shape (n,), at least 0; it may fall from one row to the next.

    Raises:
        UnusableLog: if there is no reward, or one is outside [0, 1] or not finite.

    Source: Waudby-Smith and Ramdas (2024), JRSS B 86, theorem 2.

    >>> bounds = empirical_bernstein_lower([1] * 200)
    >>> round(float(bounds[-1]), 4)
    0.9681
    """
    require_level(confidence_level)
    values = unit_rewards(rewards)
    bets = np.minimum(predictable_bets(values, 1 - confidence_level), LARGEST_BET)
    # Any guess from earlier rows is valid here. The reference guesses their plain mean, and 0 for the first row.
    guesses = np.concatenate(([0.0], np.cumsum(values[:-1]) / np.arange(1, len(values))))
    price = log(1 / (1 - confidence_level)) + np.cumsum((values - guesses) ** 2 * (-np.log1p(-bets) - bets))
    return np.asarray(np.maximum((np.cumsum(bets * values) - price) / np.cumsum(bets), 0.0), dtype=np.float64)


def predictable_bets(rewards: FloatArray, alpha: float) -> FloatArray:
    """How much to stake on each row, shape (n,), from the rows before it alone and before any cap.

    sqrt(2 ln(1/alpha) / (variance so far * t ln(t + 1))), for `alpha` the error of one side.
    """
    t = np.arange(1, len(rewards) + 1)
    # The mean that a row's square is taken around includes the row itself: so in the paper and in its reference code.
    means = (0.5 + np.cumsum(rewards)) / (t + 1)
    variances = mean_before((rewards - means) ** 2, 0.25)
    return np.asarray(np.sqrt(2 * log(1 / alpha) / (variances * t * np.log1p(t))), dtype=np.float64)


def mean_before(values: FloatArray, first: float) -> FloatArray:
    """Mean of what came before each row, shape (n,), with `first` counted as one row that came before all.

    >>> mean_before(np.array([1.0, 0.0, 1.0]), 0.5).tolist()
    [0.5, 0.75, 0.5]
    """
    sums = first + np.concatenate(([0.0], np.cumsum(values[:-1])))
    return np.asarray(sums / np.arange(1, len(values) + 1), dtype=np.float64)


def unit_rewards(rewards: ArrayLike) -> FloatArray:
    """Rewards as float64, shape (n,), refused with UnusableLog where one is missing, not finite or outside [0, 1]."""
    values = finite_rewards(rewards)
    broken = np.flatnonzero((values < 0) | (values > 1))
    if len(broken):
        raise UnusableLog(
            f"reward of row {broken[0]} is {float(values[broken[0]])!r} ({len(broken)} such rows), need [0, 1]. The bound "
            "rests on knowing the least and the largest reward: rescale by what a reward can be, not by what was seen."
        )
    return values


def in_order(n: NDArray[np.int64], lower: FloatArray, upper: FloatArray, method: str) -> ConfidenceSequence:
    """The sequence, refused with UnusableLog where its bounds leave no value between them."""
    crossed = np.flatnonzero(lower > upper)
    if len(crossed):
        at = crossed[0]
        raise UnusableLog(
            f"after {n[at]} rows the {method} says at least {lower[at]:.6g} and at most {upper[at]:.6g}. No constant mean "
            "fits these rows, beyond the chance that confidence_level allows: the rate drifted, or rows are missing by "
            "their reward. Evaluate shorter periods, and run the audits of propensities and sample ratio."
        )
    return ConfidenceSequence(n, lower, upper, method)
