"""Is a share of sends the same for customers of every value of something known about them?

Customers are the units, because sends of one customer are alike. A small minority does not prove a difference by being
small: its own spread and that of all customers are both looked at, and the larger one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from evaluation.intervals import require_answer
from evaluation.propensity_honesty import MOST_SKEWNESS

LEAST_CUSTOMERS = 30
"""Of one value. More are asked for where customers differ so unevenly that the mean of so few is not normal."""


@dataclass(frozen=True, slots=True)
class ShareOf:
    """The share of one value.

    Args:
        value: such as "female".
        share: sum of the customers' numerators over sum of their denominators.
        n: customers.
    """

    value: str
    share: float
    n: int


@dataclass(frozen=True, slots=True)
class SharesByValue:
    """The answer of `shares_by_value`.

    Args:
        statistic: Welch's F, or None; 0 where no customer differs from another.
        p_value: of "the share is the same for every value", or None.
        n: customers of the values that were compared.
        shares: of the values that were compared.
        left_out: values with too few customers.
        least: customers that a value needs.
        reason: why there is no p-value; None where there is one.
    """

    statistic: float | None
    p_value: float | None
    n: int
    shares: tuple[ShareOf, ...]
    left_out: tuple[str, ...]
    least: int
    reason: str | None

    def __post_init__(self) -> None:
        require_answer(self.p_value, self.reason)

    @property
    def gap(self) -> float:
        """Largest share minus least."""
        found = [one.share for one in self.shares]
        return max(found) - min(found) if found else 0.0


def shares_by_value(numerators: ArrayLike, denominators: ArrayLike, values: Sequence[str]) -> SharesByValue:
    """Test that sum(numerators) / sum(denominators) is the same for customers of every value.

    With u = numerator - share * denominator of each customer (the share of all), a value's share has variance n max(S^2,
    s^2) / (its sum of denominators)^2, S^2 being the variance of u over all customers and s^2 that of the value's own;
    Welch's analysis of variance takes it from there.

    Args:
        numerators: shape (n,), one a customer.
        denominators: shape (n,), above 0.
        values: length n, the value of each customer.

    Returns:
        The test; without p-value, and saying why, where fewer than two values have enough customers: 30, or as many as
        make the skewness of their mean that of a Poisson count of 5.

    Raises:
        UnusableLog: if lengths differ, or numbers are not what is said above.

    Source: Welch (1951), through statsmodels `anova_generic(use_var="unequal")`; linearised ratio of two sums.

    >>> answer = shares_by_value(np.tile([0.2, 0.4], 100), np.ones(200), ["a", "b"] * 50 + ["a"] * 100)
    >>> [(one.value, round(one.share, 2), one.n) for one in answer.shares], answer.p_value < 1e-6
    ([('a', 0.27, 150), ('b', 0.4, 50)], True)
    """
    tops, bottoms = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    _require_customers(tops, bottoms, values)
    value_of, found = pd.factorize(np.asarray(values, dtype=object), sort=True)
    names = [str(name) for name in found]
    counts = np.bincount(value_of)
    least = max(LEAST_CUSTOMERS, int(np.ceil((_skewness(_residuals(tops, bottoms)) / MOST_SKEWNESS) ** 2)))
    enough = counts >= least
    left_out = tuple(f"{names[at]} ({counts[at]})" for at in np.flatnonzero(~enough))
    if enough.sum() < 2:
        reason = (
            f"Need two values with at least {least} customers each; too few have {', '.join(left_out) or 'the others'}."
        )
        return SharesByValue(None, None, 0, (), left_out, least, reason)
    kept = enough[value_of]
    statistic, p_value, shares = _compared(tops[kept], bottoms[kept], value_of[kept], np.flatnonzero(enough), names)
    return SharesByValue(statistic, p_value, int(kept.sum()), shares, left_out, least, None)


def _compared(
    tops: FloatArray,
    bottoms: FloatArray,
    value_of: NDArray[np.intp],
    compared: NDArray[np.intp],
    names: Sequence[str],
) -> tuple[float, float, tuple[ShareOf, ...]]:
    pooled = _residuals(tops, bottoms)
    means, variances, counts = [], [], []
    for value in compared.tolist():
        own = value_of == value
        n, total = int(own.sum()), float(bottoms[own].sum())
        spread = max(float(pooled.var(ddof=1)), float(_residuals(tops[own], bottoms[own]).var(ddof=1)))
        means.append(float(tops[own].sum()) / total)
        # Per customer, as the analysis of variance wants it: it divides by n itself.
        variances.append(spread * (n / total) ** 2)
        counts.append(n)
    shares = tuple(ShareOf(str(names[v]), mean, n) for v, mean, n in zip(compared, means, counts, strict=True))
    if not pooled.any():
        return 0.0, 1.0, shares
    from statsmodels.stats.oneway import anova_generic  # noqa: PLC0415 - it takes a second to load

    answer = anova_generic(np.array(means), np.array(variances), np.array(counts), use_var="unequal")
    return float(answer.statistic), float(answer.pvalue), shares


def _residuals(tops: FloatArray, bottoms: FloatArray) -> FloatArray:
    """What each customer's numerator is beyond the common share; exactly 0 where that is rounding."""
    residuals = np.asarray(tops - tops.sum() / bottoms.sum() * bottoms, dtype=np.float64)
    residuals[np.abs(residuals) <= 1e-12 * np.abs(bottoms)] = 0.0
    return residuals


def _skewness(residuals: FloatArray) -> float:
    spread = float(np.sqrt((residuals**2).mean()))
    return float((residuals**3).mean()) / spread**3 if spread > 0 else 0.0


def _require_customers(tops: FloatArray, bottoms: FloatArray, values: Sequence[str]) -> None:
    fits = tops.ndim == 1 and tops.shape == bottoms.shape == (len(values),) and len(tops) > 1
    if not (fits and np.isfinite(tops).all() and np.isfinite(bottoms).all() and (bottoms > 0).all()):
        raise UnusableLog(
            f"numerators of shape {tops.shape}, denominators of shape {bottoms.shape} and {len(values)} values, need one finite "
            "number of each a customer, at least 2 customers, denominators above 0. Leave out customers without sends."
        )
