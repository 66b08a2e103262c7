"""Counts of measurements by size: cheap enough for every request, and what a Prometheus histogram is made of."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate


class Histogram:
    """How many measurements were at most as large as each bound, and their sum.

    One thread observes; others may read at any time, at worst one measurement behind in one of the counts.

    Args:
        bounds: inclusive upper ends of the buckets, rising; there is one more bucket for everything above.

    >>> sizes = Histogram([1, 10])
    >>> for size in (1, 7, 10, 50): sizes.observe(size)
    >>> list(sizes.cumulated()), sizes.total
    ([('1', 1), ('10', 3), ('+Inf', 4)], 68.0)
    """

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One measurement."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulated(self) -> Iterator[tuple[str, int]]:
        """Each bound as Prometheus writes it, and how many measurements were at most that large."""
        labels = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        return zip(labels, accumulate(list(self._counts)), strict=True)
