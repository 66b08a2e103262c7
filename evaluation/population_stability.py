"""Population stability: are the customers of a later part of the log like those of an earlier one?

What was learned and measured on the earlier ones need not hold for others. The index itself is that of
`bandit.stability_index`; here values become bins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from bandit.errors import InvalidSettings, UnusableLog
from bandit.stability_index import StabilityBin, stability_index
from evaluation.intervals import require_answer, require_level

MISSING = "(missing)"


@dataclass(frozen=True, slots=True)
class Stability:
    """The answer of `population_stability`.

    Args:
        statistic: PSI, or None.
        threshold: PSI above which the parts differ, or None.
        p_value: of "both parts are from one population", or None.
        n_earlier: customers in the earlier part.
        n_later: customers in the later part.
        bins: in order of value; those that most customers left or joined show what has changed.
        reason: why there is no p-value; None where there is one.
    """

    statistic: float | None
    threshold: float | None
    p_value: float | None
    n_earlier: int
    n_later: int
    bins: tuple[StabilityBin, ...]
    reason: str | None

    def __post_init__(self) -> None:
        require_answer(self.p_value, self.reason)

    @property
    def alarm(self) -> bool:
        """Whether the index is above its threshold."""
        return self.statistic is not None and self.threshold is not None and self.statistic > self.threshold


def population_stability(
    earlier: Sequence[ContextValue],
    later: Sequence[ContextValue],
    *,
    is_numeric: bool = False,
    n_bins: int = 10,
    confidence_level: float = 0.99,
) -> Stability:
    """Whether one thing known about customers is distributed later as it was earlier.

    PSI = sum_b (q_b - p_b) ln(q_b / p_b), shares p of the earlier and q of the later part with half a customer added to
    each bin; threshold (1/n + 1/m) chi2_{B-1, confidence_level}.

    Args:
        earlier: length n, the value of each customer of the reference part; None is missing, which is a bin of its own.
        later: length m, the same of the part asked about.
        is_numeric: bins are quantiles of the earlier part; if not, each value is one.
        n_bins: how many quantiles, at least 2.
        confidence_level: in (0, 1); the share of equal parts that stay below the threshold.

    Returns:
        Index, threshold and bins; without p-value, and saying why, where all customers are in one bin.

    Raises:
        UnusableLog: if a part is empty, or a number is none.
        InvalidSettings: if n_bins or confidence_level is out of range.

    Caution: each customer once: sends of one customer are not new evidence. Bins that expect fewer than 10 customers in
    the smaller part are put together. Customers who are in both parts make it see less than it says.

    Source: Yurdakul and Naranjo (2020), Statistical properties of the population stability index.

    >>> answer = population_stability(["free"] * 50 + ["paid"] * 50, ["free"] * 75 + ["paid"] * 25)
    >>> round(answer.statistic, 3), round(answer.threshold, 3), answer.alarm
    (0.269, 0.133, True)
    """
    require_level(confidence_level)
    if n_bins < 2:
        raise InvalidSettings(f"n_bins is {n_bins!r}, need at least 2: one bin never changes. Leave it at 10.")
    if not (len(earlier) and len(later)):
        raise UnusableLog(
            f"{len(earlier)} earlier and {len(later)} later customers: nothing to compare. Choose a time between them."
        )
    found = stability_index(_counted(earlier, later, n_bins, is_numeric=is_numeric), confidence_level=confidence_level)
    sizes = len(earlier), len(later)
    return Stability(found.statistic, found.threshold, found.p_value, *sizes, found.bins, found.reason)


def _counted(
    earlier: Sequence[ContextValue], later: Sequence[ContextValue], n_bins: int, *, is_numeric: bool
) -> list[StabilityBin]:
    labels: tuple[Sequence[Hashable], Sequence[Hashable]] = (earlier, later)
    names: dict[Hashable, str] = {}
    if is_numeric:
        edges = quantile_edges(earlier, n_bins)
        labels = binned(earlier, edges).tolist(), binned(later, edges).tolist()
        names.update({k: f"up to {edge:g}" for k, edge in enumerate(edges.tolist())})
        names.update({len(edges): "above", -1: MISSING})
    before, after = Counter(labels[0]), Counter(labels[1])
    order = sorted(before | after, key=lambda value: (isinstance(value, str), value) if value is not None else (2, 0))
    shown = {value: names.get(value, MISSING if value is None else str(value)) for value in order}
    return [StabilityBin(shown[value], before[value], after[value]) for value in order]


def quantile_edges(values: Sequence[ContextValue], n_bins: int) -> FloatArray:
    """Inner edges of at most n_bins bins that hold equally many of the numbers there are; (0,) where there are none.

    >>> quantile_edges([1, 2, 3, 4, None], 2).tolist()
    [2.0]
    """
    numbers = _numbers(values)
    there = numbers[~np.isnan(numbers)]
    if not len(there):
        return np.empty(0)
    edges = np.unique(np.quantile(there, np.arange(1, n_bins) / n_bins, method="inverted_cdf"))
    return np.asarray(edges[edges < there.max()], dtype=np.float64)


def binned(values: Sequence[ContextValue], edges: FloatArray) -> NDArray[np.int64]:
    """Bin of each number, an edge belonging to the bin below it; -1 where it is missing.

    >>> binned([2, 2.5, None], np.array([2.0])).tolist()
    [0, 1, -1]
    """
    numbers = _numbers(values)
    return np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers)).astype(np.int64)


def _numbers(values: Sequence[ContextValue]) -> FloatArray:
    try:
        return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    except ValueError as error:
        raise UnusableLog(
            f"a numeric field holds a text ({error}), so its values have no order. Declare it categorical, or correct it."
        ) from error
