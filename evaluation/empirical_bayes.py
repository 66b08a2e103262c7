"""Empirical Bayes: estimates of many arms or segments, each drawn towards what all of them have in common.

The best of many noisy estimates is mostly luck. How far each is drawn in follows from how far all of them spread beyond
their own errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
import scipy
from numpy.typing import NDArray

from bandit.arrays import FloatArray
from bandit.errors import EngineError, UnusableLog
from evaluation.intervals import require_level

N_SPREADS = 100
"""Prior standard deviations that are weighed, evenly spaced in their logarithm where the data leave them possible."""

REACH = 1e3
"""They lie between the least standard error / REACH and the largest distance * REACH; beyond lies 2e-6 of the prior."""

NEGLIGIBLE = 1e-9
"""Weight, relative to the largest, under which a prior standard deviation is left out."""

METHOD = "normal-normal, uniform shrinkage prior"


@dataclass(frozen=True, slots=True)
class ShrunkValue:
    """One estimate, drawn in.

    Args:
        raw: the estimate as it was, in reward units.
        raw_se: its standard error, in reward units.
        value: posterior mean, between `raw` and the common mean but for rounding.
        se: posterior standard deviation, the prior's own uncertainty included.
        ci_lower: lower end of the posterior interval.
        ci_upper: upper end.

    Raises:
        EngineError: if the three numbers are not in order.
    """

    raw: float
    raw_se: float
    value: float
    se: float
    ci_lower: float
    ci_upper: float

    def __post_init__(self) -> None:
        if not self.ci_lower <= self.value <= self.ci_upper or not self.se >= 0:
            raise EngineError(
                f"{self} does not hold its own value. Publishing it would mislead: report this as a bug of `shrink`."
            )


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The answer of `shrink`.

    Args:
        mean: the common mean, in reward units.
        mean_se: its posterior standard deviation; None for one estimate, which says nothing about others.
        spread: posterior median of the standard deviation of the true values, in reward units; None for one estimate.
        values: in the order of the estimates; None where an estimate or its standard error was missing.
        method: in words a report can print.
    """

    mean: float
    mean_se: float | None
    spread: float | None
    values: tuple[ShrunkValue | None, ...]
    method: str = METHOD


Numbers = Sequence[float | None] | NDArray[np.float64]


def shrink(estimates: Numbers, standard_errors: Numbers, confidence_level: float = 0.95) -> Shrunk:
    """Draw estimates towards their common mean, as far as their errors explain how they differ.

    True values ~ Normal(mean, spread^2), estimates ~ Normal(true value, standard error^2). The mean is integrated out
    (flat prior), the spread numerically, so that `se` and the intervals know that both were estimated; a spread that the
    data put at 0 therefore does not make every arm exactly equal.

    Args:
        estimates: shape (n,), such as the value of each arm, or of each arm in each segment, in reward units.
        standard_errors: shape (n,), in reward units. None or NaN in either, or an error of 0 (nothing has varied yet, so
            nothing is known of the error), leaves that estimate out.
        confidence_level: in (0, 1), of each interval.

    Returns:
        One value an estimate. A single estimate comes back as it was.

    Raises:
        UnusableLog: if lengths differ, none is left, an estimate is infinite, or an error is negative or infinite.

    Caution: estimates are taken as independent, and as alike before the data came in: do not mix arms with a different
    reward, or effects with values. An interval covers on average over the family, not for the arm that was picked
    because it stood out.

    Source: Morris (1983), JASA 78; uniform shrinkage prior of Daniels (1999), Canadian J. of Statistics 27: s0^2 /
    (s0^2 + spread^2) ~ Uniform(0, 1), s0^2 the harmonic mean of the squared standard errors.

    >>> answer = shrink([0.02, 0.04, 0.09], [0.02, 0.02, 0.02])
    >>> [round(one.value, 3) for one in answer.values]
    [0.034, 0.045, 0.071]
    """
    require_level(confidence_level)
    values, errors, known = _known(estimates, standard_errors)
    posterior = _Posterior.of(values, errors)
    lower, upper = (posterior.quantile(half) for half in ((1 - confidence_level) / 2, (1 + confidence_level) / 2))
    found: list[ShrunkValue | None] = [None] * len(known)
    columns = (values, errors, posterior.value, posterior.se, lower, upper)
    for position, numbers in zip(np.flatnonzero(known).tolist(), np.column_stack(columns).tolist(), strict=True):
        found[position] = ShrunkValue(*numbers)
    if len(values) == 1:
        return Shrunk(posterior.mean, None, None, tuple(found))
    return Shrunk(posterior.mean, posterior.mean_se, posterior.median_spread, tuple(found))


@dataclass(frozen=True, slots=True)
class _Posterior:
    """A mixture over spreads: weights, shape (n_spreads,); normal parts of each value, shape (n_spreads, n)."""

    spreads: FloatArray
    weights: FloatArray
    means: FloatArray
    sds: FloatArray
    common: FloatArray
    common_variance: FloatArray

    @classmethod
    def of(cls, values: FloatArray, errors: FloatArray) -> _Posterior:
        spreads, weights = _weighed_spreads(values, errors)
        precision = 1 / (errors**2 + spreads[:, None] ** 2)
        total = precision.sum(axis=1)
        common = precision @ values / total
        drawn = errors**2 * precision
        means = drawn * common[:, None] + (1 - drawn) * values
        sds = np.sqrt(errors**2 * (1 - drawn) + drawn**2 / total[:, None])
        return cls(spreads, weights, means, sds, common, 1 / total)

    @property
    def value(self) -> FloatArray:
        return self.weights @ self.means

    @property
    def se(self) -> FloatArray:
        variance: FloatArray = self.weights @ (self.sds**2 + (self.means - self.value) ** 2)
        return np.asarray(np.sqrt(variance), dtype=np.float64)

    @property
    def mean(self) -> float:
        return float(self.weights @ self.common)

    @property
    def mean_se(self) -> float:
        return sqrt(float(self.weights @ (self.common_variance + (self.common - self.mean) ** 2)))

    @property
    def median_spread(self) -> float:
        return float(self.spreads[np.searchsorted(self.weights.cumsum(), 0.5)])

    def quantile(self, probability: float) -> FloatArray:
        """Of each value, shape (n,), by halving: the mixture's distribution function rises steadily."""
        far = abs(float(scipy.stats.norm.ppf(probability))) + 1.0
        low, high = (self.means - far * self.sds).min(axis=0), (self.means + far * self.sds).max(axis=0)
        for _ in range(40):
            middle = (low + high) / 2
            under = self.weights @ scipy.special.ndtr((middle - self.means) / self.sds) < probability
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return np.asarray((low + high) / 2, dtype=np.float64)


def _weighed_spreads(values: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Spreads that the data leave possible, and their posterior weights, summing to 1."""
    widest = max(float(np.ptp(values)), float(errors.max()))
    low, high = float(errors.min()) / REACH, widest * REACH
    # Many estimates leave a narrow range, which a grid over all there is would step across.
    for _ in range(2):
        spreads = np.geomspace(low, high, N_SPREADS)
        log_weights = _log_posterior(values, errors, spreads)
        weights = np.exp(log_weights - log_weights.max())
        kept = np.flatnonzero(weights > NEGLIGIBLE)
        low, high = spreads[max(kept[0] - 1, 0)], spreads[min(kept[-1] + 1, N_SPREADS - 1)]
    return spreads[kept], weights[kept] / weights[kept].sum()


def _log_posterior(values: FloatArray, errors: FloatArray, spreads: FloatArray) -> FloatArray:
    """Of the logarithm of each spread, the common mean integrated out; up to a constant."""
    typical = 1 / np.mean(1 / errors**2)
    share = typical / (typical + spreads**2)
    likelihood = [_log_likelihood(values, errors, spread) for spread in spreads.tolist()]
    return np.asarray(np.log(share) + np.log1p(-share) + likelihood, dtype=np.float64)


def _log_likelihood(values: FloatArray, errors: FloatArray, spread: float) -> float:
    """Of one spread, the common mean integrated out; up to a constant."""
    precision = 1 / (errors**2 + spread**2)
    total = precision.sum()
    distance = values - precision @ values / total
    return float(np.log(precision).sum() - np.log(total) - precision @ distance**2) / 2


def _known(estimates: Numbers, standard_errors: Numbers) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """The estimates and errors that are there, and which they are."""
    values, errors = (
        np.array([np.nan if one is None else one for one in numbers], dtype=np.float64)
        for numbers in (estimates, standard_errors)
    )
    if values.shape != errors.shape:
        raise UnusableLog(
            f"{len(values)} estimates with {len(errors)} standard errors. Which belongs to which is unknown: pass one "
            "error an estimate, None where it is missing."
        )
    for value, error in zip(values.tolist(), errors.tolist(), strict=True):
        if value in {inf, -inf} or error < 0 or error == inf:
            raise UnusableLog(
                f"estimate {value!r} with standard error {error!r}. One of them would move all the others: pass finite "
                "numbers, and None where an arm has no estimate yet."
            )
    known = np.isfinite(values) & np.isfinite(errors) & (errors > 0)
    if not known.any():
        raise UnusableLog(
            f"none of {len(values)} estimates has a standard error above 0. There is nothing to draw together: wait "
            "until some arms have rewards that differ."
        )
    return values[known], errors[known], known
