"""Propensity honesty: were the logged probabilities the ones that were sampled from?

Everything off-policy divides by them, so a wrong floor, a stale snapshot or a temperature that is off by some percent
biases every estimate without a trace in any other number. Run both tests and `evaluation.sample_ratio`: each sees
faults that the others miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from bandit.arrays import FloatArray
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.intervals import require_answer
from evaluation.sample_ratio import LEAST_VARIANCE, SUM_TOLERANCE, checked_draws, checked_pmfs, chi_squared

MOST_SKEWNESS = 1 / sqrt(LEAST_VARIANCE)
"""As skewed as a Poisson count of 5; a p-value that calls more than that normal is a guess."""

TINIEST = 1e-100
"""Smaller probabilities are read as this in 1/p, so that its cube is a float; no log is long enough to see either."""

NO_CHANCE = (
    "No row left anything to chance: each had one eligible arm, or gave all of them the same probability. Such draws "
    "agree with any claim about probabilities; audit a log of a policy that explores."
)


@dataclass(frozen=True, slots=True)
class InversePropensity:
    """The answer of `inverse_propensity_test`.

    Args:
        statistic: z; above 0, unlikely arms were drawn more often than logged, below 0 less often; or None.
        p_value: two-sided, or None.
        n: rows in which more than one arm was eligible; the others say nothing.
        reason: why there is no p-value; None where there is one.
    """

    statistic: float | None
    p_value: float | None
    n: int
    reason: str | None

    def __post_init__(self) -> None:
        require_answer(self.p_value, self.reason)


def inverse_propensity_test(propensities: ArrayLike, pmfs: ArrayLike) -> InversePropensity:
    """Whether importance weights average what they must: E[1 / p_A] is the number of eligible arms.

    z = sum_t (1/p_{A_t} - K_t) / sqrt(sum_t (sum_a 1/p_ta - K_t^2)), both inner sums over the K_t eligible arms.

    Args:
        propensities: shape (n,), logged probability of the arm that was drawn.
        pmfs: shape (n, K), logged probability of each arm; 0 means not eligible.

    Returns:
        The test; without p-value, and saying why, where nothing was left to chance, or where so few draws of unlikely
        arms are expected that z is not normal.

    Raises:
        UnusableLog: if a row is no pmf, or its propensity is none of its pmf's.

    Caution: blind to faults that keep the mean of 1/p, such as lost rows of one arm.

    >>> answer = inverse_propensity_test([0.2] * 30 + [0.8] * 70, [[0.2, 0.8]] * 100)
    >>> round(answer.statistic, 3), round(answer.p_value, 3)
    (2.5, 0.012)
    """
    probabilities = checked_pmfs(pmfs)
    logged = np.maximum(_checked_propensities(propensities, probabilities), TINIEST)
    eligible = probabilities > 0
    n_eligible = eligible.sum(axis=1)
    inverse = np.where(eligible, 1 / np.maximum(probabilities, TINIEST), 0.0)
    spread = inverse.sum(axis=1) - n_eligible**2
    # A uniform pmf has the same 1/p for every arm, so its spread is 0 but for rounding, and its draw says nothing.
    informative = spread > 1e-9 * n_eligible**2
    n, variance = int(informative.sum()), float(spread[informative].sum())
    if n == 0:
        return InversePropensity(None, None, 0, NO_CHANCE)
    z = float((1 / logged - n_eligible)[informative].sum()) / sqrt(variance)
    third = (inverse**2).sum(axis=1) - 3 * n_eligible * inverse.sum(axis=1) + 2 * n_eligible**3
    skewness = float(third[informative].sum()) / variance**1.5
    if skewness > MOST_SKEWNESS:
        return InversePropensity(z, None, n, _too_skewed(skewness, n))
    return InversePropensity(z, float(2 * scipy.stats.norm.sf(abs(z))), n, None)


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """One bin of `calibration_test`: the eligible arms whose logged probability lies in [lower, upper].

    Args:
        lower: least probability in the bin.
        upper: largest probability in the bin.
        drawn: how often an arm of the bin was drawn.
        expected: sum of the bin's probabilities.
    """

    lower: float
    upper: float
    drawn: int
    expected: float

    def __post_init__(self) -> None:
        if not (0 < self.lower <= self.upper <= 1 and self.drawn >= 0 and self.expected > 0):
            raise UnusableLog(f"{self} is not a bin of positive probabilities; use calibration_test to make one.")


@dataclass(frozen=True, slots=True)
class Calibration:
    """The answer of `calibration_test`.

    Args:
        statistic: chi-squared, or None.
        degrees_of_freedom: number of contrasts between bins that the log can speak about.
        p_value: of "arms logged at p are drawn p of the time", or None.
        n: rows whose eligible arms lie in more than one bin; the others say nothing.
        bins: from the least to the largest probability, to see where it went wrong.
        reason: why there is no p-value; None where there is one.
    """

    statistic: float | None
    degrees_of_freedom: int
    p_value: float | None
    n: int
    bins: tuple[CalibrationBin, ...]
    reason: str | None

    def __post_init__(self) -> None:
        require_answer(self.p_value, self.reason)


def calibration_test(drawn: ArrayLike, pmfs: ArrayLike, n_bins: int = 10) -> Calibration:
    """Whether arms logged at probability p are drawn p of the time, for small p and for large.

    Bins hold about the same probability mass. The chi-squared of drawn minus expected counts uses their exact
    covariance, because one row usually has arms in several bins.

    Args:
        drawn: shape (n,), index of the arm drawn in each row.
        pmfs: shape (n, K), logged probability of each arm; 0 means not eligible.
        n_bins: at most this many bins, at least 2; fewer where few different probabilities occur.

    Returns:
        The test and its bins; without p-value, and saying why, where nothing or too little was left to chance.

    Raises:
        InvalidSettings: if n_bins is less than 2.
        UnusableLog: if a row is no pmf, or drew an arm to which it gave probability 0.

    Caution: it does not look at which arm was drawn, only at how likely it was said to be.

    >>> answer = calibration_test([0] * 30 + [1] * 70, [[0.2, 0.8]] * 100)
    >>> [(each.upper, each.drawn, round(each.expected)) for each in answer.bins]
    [(0.2, 30, 20), (0.8, 70, 80)]
    >>> round(answer.p_value, 3)
    0.012
    """
    if n_bins < 2:
        raise InvalidSettings(
            f"n_bins is {n_bins!r}, need at least 2. One bin holds every draw and agrees with any log: leave it at 10."
        )
    probabilities = checked_pmfs(pmfs)
    arms = checked_draws(drawn, probabilities)
    by_chance = (probabilities > 0).sum(axis=1) > 1
    if not by_chance.any():
        return Calibration(None, 0, None, 0, (), NO_CHANCE)
    probabilities, arms = probabilities[by_chance], arms[by_chance]
    bin_of, masses = _binned(probabilities, n_bins)
    counts = np.bincount(bin_of[np.arange(len(arms)), arms], minlength=masses.shape[1])
    statistic, degrees, p_value, reason = chi_squared(counts - masses.sum(axis=0), masses)
    n = int(((masses > 0).sum(axis=1) > 1).sum())
    return Calibration(statistic, degrees, p_value, n, _table(probabilities, bin_of, counts), reason)


def _binned(probabilities: FloatArray, n_bins: int) -> tuple[NDArray[np.intp], FloatArray]:
    """Bin of each cell, shape (n, K), and mass of each bin in each row, shape (n, bins); bins are never empty."""
    cells = np.sort(probabilities[probabilities > 0])
    mass = np.cumsum(cells)
    edges = np.unique(cells[np.searchsorted(mass, mass[-1] * np.arange(1, n_bins) / n_bins)])
    bin_of = np.searchsorted(edges[edges > cells[0]], probabilities, side="right")
    n, n_used = len(probabilities), int(bin_of.max()) + 1
    place = np.arange(n)[:, np.newaxis] * n_used + bin_of
    masses = np.bincount(place.ravel(), weights=probabilities.ravel(), minlength=n * n_used)
    return bin_of, masses.reshape(n, n_used).astype(np.float64)


def _table(probabilities: FloatArray, bin_of: NDArray[np.intp], counts: NDArray[np.intp]) -> tuple[CalibrationBin, ...]:
    members = [probabilities[(bin_of == each) & (probabilities > 0)] for each in range(len(counts))]
    return tuple(
        CalibrationBin(float(cells.min()), float(cells.max()), int(count), float(cells.sum()))
        for cells, count in zip(members, counts, strict=True)
    )


def _checked_propensities(propensities: ArrayLike, probabilities: FloatArray) -> FloatArray:
    logged = np.asarray(propensities, dtype=np.float64)
    if logged.shape != probabilities.shape[:1]:
        raise UnusableLog(
            f"propensities have shape {logged.shape}, pmfs {probabilities.shape}. Each draw is audited against its own "
            "pmf: pass one propensity a row."
        )
    # Of 1 - 1e-9 and the like: rounding in the log, and in the division by the sum of the pmf.
    near = np.abs(probabilities - logged[:, np.newaxis]) <= 2 * SUM_TOLERANCE
    broken = np.flatnonzero(~((logged > 0) & (near & (probabilities > 0)).any(axis=1)))
    if len(broken):
        raise UnusableLog(
            f"propensity of row {broken[0]} is {float(logged[broken[0]])!r}, its pmf {probabilities[broken[0]].tolist()} "
            f"({len(broken)} such rows). A propensity is the drawn arm's entry in (0, 1] of that very pmf: find out which "
            "of the two was written later, and drop the rows meanwhile."
        )
    return logged


def _too_skewed(skewness: float, n: int) -> str:
    return (
        f"Too few draws of unlikely arms are expected for z to be normal (skewness {skewness:.2g}, at most "
        f"{MOST_SKEWNESS:.2f}): wait for about {n * (skewness / MOST_SKEWNESS) ** 2:.2g} rows, or raise the policy's "
        "floor. Until then rely on the calibration test."
    )
