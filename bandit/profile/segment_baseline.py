"""How features were distributed when segments were learned, in few numbers: bins and how many customers stood in each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bandit.profile.cluster_space import MISSING, RARE, FeatureSpace, LevelColumn, NumberColumn, texts_of
from bandit.profile.numbers import numbers_of

N_BINS = 10


@dataclass(frozen=True, slots=True)
class FeatureBaseline:
    """The distribution of one feature.

    Attributes:
        feature: its name.
        edges: of a number, the inner edges of its bins, an edge belonging to the bin below it; empty for a category.
        levels: of a category; empty for a number.
        counts: customers in each bin or of each level, and last those without a value, or of no known level.
    """

    feature: str
    edges: tuple[float, ...]
    levels: tuple[str, ...]
    counts: tuple[int, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Of each bin, for a report."""
        if self.levels:
            return (*self.levels, RARE)
        return (*(f"up to {edge:.4g}" for edge in self.edges), "above", MISSING)

    def counted(self, values: pd.Series) -> tuple[int, ...]:
        """How many customers stand in each bin now.

        >>> FeatureBaseline("orders", (0.0, 2.0), (), (5, 4, 3, 0)).counted(pd.Series([0, 1, 2, 7, None]))
        (1, 2, 1, 1)
        """
        if self.levels:
            told = Counter(texts_of(values))
            known = tuple(told[level] for level in self.levels)
            return (*known, len(values) - sum(known))
        numbers = numbers_of(values)
        there = np.isfinite(numbers)
        bins = np.searchsorted(np.array(self.edges), numbers[there])
        return (*np.bincount(bins, minlength=len(self.edges) + 1).tolist(), int((~there).sum()))


def baselines_of(table: pd.DataFrame, space: FeatureSpace) -> tuple[FeatureBaseline, ...]:
    """The distribution of every feature of a space."""
    return tuple(_baseline(table[column.name], column) for column in space.columns)


def _baseline(values: pd.Series, column: NumberColumn | LevelColumn) -> FeatureBaseline:
    if isinstance(column, LevelColumn):
        empty = FeatureBaseline(column.name, (), tuple(one for one in column.levels if one != RARE), ())
    else:
        empty = FeatureBaseline(column.name, _edges(values), (), ())
    return FeatureBaseline(empty.feature, empty.edges, empty.levels, empty.counted(values))


def _edges(values: pd.Series) -> tuple[float, ...]:
    """Inner edges of at most `N_BINS` bins that hold equally many customers."""
    numbers = numbers_of(values)
    there = numbers[np.isfinite(numbers)]
    edges = np.unique(np.quantile(there, np.arange(1, N_BINS) / N_BINS, method="inverted_cdf"))
    return tuple(edges[edges < there.max()].tolist())
