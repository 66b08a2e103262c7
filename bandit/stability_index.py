"""The population stability index of counts: are customers spread over bins later as they were earlier?

The index (PSI) has no scale of its own: .1 is chance in a hundred customers and a landslide in a million. So it is held
against what chance does at this size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from bandit.arrays import FloatArray

LEAST_EXPECTED = 10.0
"""Customers that a bin must expect in the smaller part; with fewer, the logarithm of a share has a long tail."""

RARE = "(rare)"


@dataclass(frozen=True, slots=True)
class StabilityBin:
    """One bin of `stability_index`.

    Args:
        label: the value, or the largest number in it.
        earlier: customers of the earlier part in it.
        later: customers of the later part in it.
    """

    label: str
    earlier: int
    later: int


@dataclass(frozen=True, slots=True)
class StabilityIndex:
    """The answer of `stability_index`.

    Args:
        statistic: PSI, or None.
        threshold: PSI above which the parts differ, or None.
        p_value: of "both parts are from one population", or None.
        bins: those that most customers left or joined show what has changed.
        reason: why there is no p-value; None where there is one.
    """

    statistic: float | None
    threshold: float | None
    p_value: float | None
    bins: tuple[StabilityBin, ...]
    reason: str | None

    @property
    def alarm(self) -> bool:
        """Whether the index is above its threshold."""
        return self.statistic is not None and self.threshold is not None and self.statistic > self.threshold


def stability_index(bins: Sequence[StabilityBin], *, confidence_level: float = 0.99) -> StabilityIndex:
    """Whether customers are spread over bins later as they were earlier.

    PSI = sum_b (q_b - p_b) ln(q_b / p_b), shares p of the earlier and q of the later part with half a customer added to
    each bin; threshold (1/n + 1/m) chi2_{B-1, confidence_level}.

    Args:
        bins: at least one customer in either part, all together.
        confidence_level: in (0, 1); the share of equal parts that stay below the threshold.

    Returns:
        Index, threshold and bins; without p-value, and saying why, where all customers are in one bin.

    Caution: bins that expect fewer than 10 customers in the smaller part are put together. Customers who are in both parts
    make it see less than it says.

    Source: Yurdakul and Naranjo (2020), Statistical properties of the population stability index.

    >>> found = stability_index([StabilityBin("free", 50, 75), StabilityBin("paid", 50, 25)])
    >>> round(found.statistic, 3), round(found.threshold, 3), found.alarm
    (0.269, 0.133, True)
    """
    n, m = sum(one.earlier for one in bins), sum(one.later for one in bins)
    merged = _merged(bins, min(n, m))
    if len(merged) < 2:
        reason = f"Too few customers differ: all are in one bin, others would expect under {LEAST_EXPECTED:.0f}."
        return StabilityIndex(None, None, None, merged, reason)
    counts = np.array([[one.earlier, one.later] for one in merged], dtype=np.float64)
    index, scale, degrees = _index(counts), 1 / n + 1 / m, len(merged) - 1
    threshold = scale * float(scipy.stats.chi2.ppf(confidence_level, degrees))
    return StabilityIndex(index, threshold, float(scipy.stats.chi2.sf(index / scale, degrees)), merged, None)


def _index(counts: FloatArray) -> float:
    """PSI of counts of shape (n_bins, 2)."""
    shares = (counts + 0.5) / (counts + 0.5).sum(axis=0)
    return float(((shares[:, 1] - shares[:, 0]) * np.log(shares[:, 1] / shares[:, 0])).sum())


def _merged(bins: Sequence[StabilityBin], n_smaller: int) -> tuple[StabilityBin, ...]:
    """Bins with too few customers put together, and with the smallest other one if they still have too few."""
    total = sum(one.earlier + one.later for one in bins)

    def expected(one: StabilityBin) -> float:
        return (one.earlier + one.later) / total * n_smaller

    kept = [one for one in bins if expected(one) >= LEAST_EXPECTED]
    rare = [one for one in bins if expected(one) < LEAST_EXPECTED]
    if rare and sum(map(expected, rare)) < LEAST_EXPECTED and kept:
        smallest = min(kept, key=expected)
        kept.remove(smallest)
        rare.append(smallest)
    if rare:
        kept.append(StabilityBin(RARE, sum(one.earlier for one in rare), sum(one.later for one in rare)))
    return tuple(kept)
