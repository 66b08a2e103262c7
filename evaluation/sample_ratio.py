"""Sample ratio: did groups and arms receive the sends that their shares and probabilities promised?

A mismatch means that rows were lost, repeated or misrouted on the way to the log, and then no value computed from the
log can be trusted, however narrow its interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from bandit.arrays import FloatArray
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.intervals import require_answer, require_level

LEAST_VARIANCE = 5.0
"""Squared sends. Counts that vary less are not nearly normal. Ten sends between two even arms reach it."""

SUM_TOLERANCE = 1e-6
"""How far a logged pmf may be from 1: logs are also read from CSV, which rounds."""


@dataclass(frozen=True, slots=True)
class GroupRatio:
    """The answer of `group_ratio_e_value`.

    Args:
        e_value: evidence against the shares; 1 is none, inf is a group that has customers but no share.
        alarm: whether `e_value` exceeds 1 / (1 - confidence_level).
        counts: customers found in each group.
        expected: customers that the shares promise, in the same order.
    """

    e_value: float
    alarm: bool
    counts: tuple[int, ...]
    expected: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.e_value >= 0 or len(self.counts) != len(self.expected):
            raise UnusableLog(f"{self} is not an e-value with one expected count a group; use group_ratio_e_value.")


def group_ratio_e_value(
    counts: ArrayLike, shares: ArrayLike, confidence_level: float = 0.95, prior_weight: float = 100.0
) -> GroupRatio:
    """Evidence that customers do not arrive in the groups by their shares; may be looked at after every customer.

    e = DirichletMultinomial(counts; prior_weight * shares) / Multinomial(counts; shares).

    Args:
        counts: shape (n_groups,), customers (not sends: a group is drawn once a customer), whole numbers >= 0.
        shares: shape (n_groups,), the promised shares, >= 0, summing to 1.
        confidence_level: in (0, 1). However often one looks, a correct log alarms with probability at most 1 minus it.
        prior_weight: how close to the shares a mismatch is expected to be, in customers; 100 looks for some percent.

    Returns:
        The e-value and whether it is an alarm. Without customers it is 1.

    Raises:
        UnusableLog: if counts or shares are not what is said above.
        InvalidSettings: if confidence_level or prior_weight is out of range.

    Caution: keep an alarm once it has been raised. An e-value that later sinks under the threshold does not take it
    back.

    Source: Lindon and Malek (2022), Anytime-valid inference for multinomial count data.

    >>> group_ratio_e_value([900, 50, 50], [0.9, 0.05, 0.05]).alarm
    False
    >>> group_ratio_e_value([900, 50, 10], [0.9, 0.05, 0.05]).alarm
    True
    """
    require_level(confidence_level)
    if not 0 < prior_weight < inf:
        raise InvalidSettings(
            f"prior_weight is {prior_weight!r}, need a number above 0. It says how small a mismatch to look for: "
            "leave it at 100 unless you know better."
        )
    found, promised = _counts(counts), _shares(shares)
    if found.shape != promised.shape:
        raise UnusableLog(
            f"{len(found)} counts for {len(promised)} shares. A group without its share cannot be checked: pass both in "
            "the same order, 0 for a group without customers."
        )
    log_e = _log_e_value(found, promised, prior_weight)
    # Above e^709 there is no float; evidence of that size needs no digits.
    e_value = exp(log_e) if log_e < 709 else inf
    expected = tuple(float(share) for share in found.sum() * promised)
    return GroupRatio(e_value, e_value > 1 / (1 - confidence_level), tuple(int(count) for count in found), expected)


@dataclass(frozen=True, slots=True)
class ArmRatio:
    """The answer of `arm_ratio_test`.

    Args:
        statistic: chi-squared, or None.
        degrees_of_freedom: number of contrasts between arms that the log can speak about.
        p_value: of "every arm was drawn with its logged probabilities", or None.
        n: rows.
        drawn: rows in which each arm was drawn.
        expected: sum of each arm's probabilities, in rows.
        reason: why there is no p-value; None where there is one.
    """

    statistic: float | None
    degrees_of_freedom: int
    p_value: float | None
    n: int
    drawn: tuple[int, ...]
    expected: tuple[float, ...]
    reason: str | None

    def __post_init__(self) -> None:
        require_answer(self.p_value, self.reason)


def arm_ratio_test(drawn: ArrayLike, pmfs: ArrayLike) -> ArmRatio:
    """Whether each arm appears in the log as often as its logged probabilities promise.

    D = sum_t (e_{A_t} - p_t), V = sum_t (diag p_t - p_t p_t'), D' V^+ D ~ chi2(rank V). Of V only the directions with a
    variance of at least 5 are used: an arm expected .01 times and drawn once by chance would else prove a fault.

    Args:
        drawn: shape (n,), index of the arm drawn in each row.
        pmfs: shape (n, K), probability of each arm in each row; 0 means not eligible.

    Returns:
        The test; without p-value, and saying why, where hardly any draw was left to chance.

    Raises:
        UnusableLog: if a row is no pmf, or drew an arm to which it gave probability 0.

    Caution: it sees lost and repeated rows. Probabilities that are wrong but right on average over the log pass it:
    run `evaluation.propensity_honesty` too.

    Source: Pearson's chi-squared with the covariance of draws of unequal probability.

    >>> answer = arm_ratio_test([0] * 30 + [1] * 10, [[0.5, 0.5]] * 40)
    >>> round(answer.statistic, 3), round(answer.p_value, 4)
    (10.0, 0.0016)
    """
    probabilities = checked_pmfs(pmfs)
    arms = checked_draws(drawn, probabilities)
    counts, expected = np.bincount(arms, minlength=probabilities.shape[1]), probabilities.sum(axis=0)
    statistic, degrees, p_value, reason = chi_squared(counts - expected, probabilities)
    return ArmRatio(statistic, degrees, p_value, len(arms), tuple(counts.tolist()), tuple(expected.tolist()), reason)


def fixed_ratio_test(counts: ArrayLike, shares: ArrayLike) -> ArmRatio:
    """Whether arms of one fixed split received the sends that their shares promise, from counts alone.

    Args:
        counts: shape (K,), sends of each arm, whole numbers >= 0.
        shares: shape (K,), probability of each arm in every send, summing to 1.

    Returns:
        The same as `arm_ratio_test` of all these sends.

    Raises:
        UnusableLog: if counts or shares are not what is said above.

    Caution: one look at a split that never changed. Where the learner sends, pass its pmfs to `arm_ratio_test`.

    Source: Pearson's chi-squared.

    >>> round(fixed_ratio_test([1022, 1003, 1020], [1 / 3] * 3).p_value, 3)
    0.898
    """
    found, promised = _counts(counts), _shares(shares)
    if found.shape != promised.shape:
        raise UnusableLog(f"{len(found)} counts for {len(promised)} shares: pass one share an arm, in the same order.")
    n = found.sum()
    covariance = n * (np.diag(promised) - np.outer(promised, promised))
    statistic, degrees, p_value, reason = _chi_squared_of(found - n * promised, covariance)
    drawn, expected = tuple(int(count) for count in found), tuple((n * promised).tolist())
    return ArmRatio(statistic, degrees, p_value, int(n), drawn, expected, reason)


def chi_squared(excess: FloatArray, probabilities: FloatArray) -> tuple[float | None, int, float | None, str | None]:
    """Test that counts of chance draws exceed their expectation by nothing but chance.

    Args:
        excess: shape (n_classes,), count minus expected count.
        probabilities: shape (n, n_classes), probability of each class in each draw; rows sum to 1.

    Returns:
        statistic, degrees of freedom, p-value, and the reason where statistic and p-value are None.
    """
    return _chi_squared_of(excess, np.diag(probabilities.sum(axis=0)) - probabilities.T @ probabilities)


def _chi_squared_of(excess: FloatArray, covariance: FloatArray) -> tuple[float | None, int, float | None, str | None]:
    variances, directions = np.linalg.eigh(covariance)
    kept = variances >= LEAST_VARIANCE
    if not kept.any():
        return (
            None,
            0,
            None,
            (
                f"Chance decided too little: the largest variance of any count is {max(variances.max(), 0.0):.3g}, need "
                f"{LEAST_VARIANCE:.0f}. Wait for more sends, or raise the policy's floor so that more than one arm is likely."
            ),
        )
    projected = directions[:, kept].T @ excess
    statistic, degrees = float((projected**2 / variances[kept]).sum()), int(kept.sum())
    return statistic, degrees, float(scipy.stats.chi2.sf(statistic, degrees)), None


def checked_pmfs(pmfs: ArrayLike) -> FloatArray:
    """Logged pmfs as float64 of shape (n, K) whose rows sum to 1 exactly; refused with UnusableLog where they cannot.

    The rounding of a log read from CSV (1e-6 at most) is divided out, else it would show up as a tiny variance.
    """
    rows = np.asarray(pmfs, dtype=np.float64)
    if rows.ndim != 2 or not rows.size:
        raise UnusableLog(
            f"pmfs have shape {rows.shape}, need (n_rows, n_arms), both at least 1. The audit compares draws with the "
            "whole pmf they came from: pass one row a send, 0 for arms that were not eligible."
        )
    sums = rows.sum(axis=1)
    # Written so that NaN fails the comparison instead of passing it.
    broken = np.flatnonzero(~((rows >= 0).all(axis=1) & (np.abs(sums - 1) <= SUM_TOLERANCE)))
    if len(broken):
        raise UnusableLog(
            f"pmf of row {broken[0]} is {rows[broken[0]].tolist()} with sum {sums[broken[0]]:.9g} ({len(broken)} such "
            "rows), need numbers >= 0 that sum to 1. Draws from anything else cannot be audited: log the pmf that was "
            "sampled from, after floor and eligibility, and drop rows that lack it."
        )
    return np.asarray(rows / sums[:, np.newaxis], dtype=np.float64)


def checked_draws(drawn: ArrayLike, probabilities: FloatArray) -> NDArray[np.int64]:
    """Indices of the drawn arms, shape (n,), refused with UnusableLog where row and pmf do not belong together."""
    arms = np.asarray(drawn)
    n, n_arms = probabilities.shape
    if arms.shape != (n,) or arms.dtype.kind not in "iu":
        raise UnusableLog(
            f"drawn arms have shape {arms.shape} and type {arms.dtype}, need {n} whole numbers, one a pmf. "
            "Pass the index of each drawn arm in the campaign's arm order."
        )
    indices = arms.astype(np.int64)
    inside = (indices >= 0) & (indices < n_arms)
    possible = probabilities[np.arange(n), np.where(inside, indices, 0)] > 0
    broken = np.flatnonzero(~(inside & possible))
    if len(broken):
        raise UnusableLog(
            f"row {broken[0]} drew arm {indices[broken[0]]}, to which its pmf {probabilities[broken[0]].tolist()} gives "
            f"no chance ({len(broken)} such rows). The pmf is not the one that was sampled from, or the choice was edited "
            "afterwards: find out which rows, and drop them all before evaluating."
        )
    return indices


def _log_e_value(counts: FloatArray, shares: FloatArray, prior_weight: float) -> float:
    if np.any((shares == 0) & (counts > 0)):
        return inf
    found, promised = counts[shares > 0], shares[shares > 0]
    prior = prior_weight * promised
    gained = scipy.special.gammaln(prior + found) - scipy.special.gammaln(prior) - found * np.log(promised)
    return float(gained.sum() + scipy.special.gammaln(prior.sum()) - scipy.special.gammaln(prior.sum() + found.sum()))


def _counts(counts: ArrayLike) -> FloatArray:
    found = np.asarray(counts, dtype=np.float64)
    if found.ndim != 1 or not np.all((found >= 0) & (found == np.floor(found)) & (found < inf)):
        raise UnusableLog(
            f"counts are {found.tolist()}, need a whole number >= 0 for each group. The test counts customers, each "
            "once: count distinct customer keys by group."
        )
    return found


def _shares(shares: ArrayLike) -> FloatArray:
    promised = np.asarray(shares, dtype=np.float64)
    if promised.ndim != 1 or not np.all(promised >= 0) or not abs(promised.sum() - 1) <= SUM_TOLERANCE:
        raise UnusableLog(
            f"shares are {promised.tolist()}, need numbers >= 0 that sum to 1. They are what the counts are held "
            "against: pass the campaign's group shares, the learner's being what is left."
        )
    return np.asarray(promised / promised.sum(), dtype=np.float64)
