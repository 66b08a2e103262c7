"""Segments then and now: who is in which, who moved, and which features moved them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy

from bandit.errors import UnusableLog
from bandit.profile.learned_segments import LearnedSegments
from bandit.stability_index import StabilityBin, StabilityIndex, stability_index

LEVEL = 0.01
"""Share of unchanged tables in which the shares of segments may be said to have changed; the same for all features together."""


@dataclass(frozen=True, slots=True)
class Moves:
    """Customers who were assigned then and are now.

    Attributes:
        counts: customers by (segment then, segment now).
        n_moved: who are in another one.
        n_new, n_gone: assigned only now, only then.
        statistic, p_value: of the Stuart-Maxwell test of "as many leave each segment as join it"; None where nobody moved.
    """

    counts: Mapping[tuple[str, str], int]
    n_moved: int
    n_new: int
    n_gone: int
    statistic: float | None
    p_value: float | None

    @property
    def n_both(self) -> int:
        """Assigned then and now."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class SegmentDrift:
    """The answer of `segment_drift`.

    Attributes:
        segments: customers in each segment, then (earlier) and now (later), with the index and its test.
        features: the same of every feature, those that moved most first.
        counts: customers of each segment as (then, now), whatever the index put together.
        moves: of customers who are known from then, or None.
    """

    segments: StabilityIndex
    features: Mapping[str, StabilityIndex]
    counts: Mapping[str, tuple[int, int]]
    moves: Moves | None = None

    @property
    def moved_features(self) -> tuple[str, ...]:
        """Features whose index is above its threshold."""
        return tuple(name for name, found in self.features.items() if found.alarm)


def segment_drift(
    segments: LearnedSegments, table: pd.DataFrame, assigned: pd.Series, before: pd.Series | None = None
) -> SegmentDrift:
    """What changed since segments were learned.

    Args:
        segments: as they were frozen, with the distributions of then.
        table: features now, one row a customer.
        assigned: the segment of each customer now, index customer_id.
        before: the same of an earlier time, for who moved.

    Raises:
        UnusableLog: if a customer stands twice.

    Caution: most customers of now were there then, so the index sees less than it says. A segment that changes its share is
    no fault: it is time to learn anew when features moved so far that the names no longer fit.
    """
    now = assigned.value_counts()
    counts = {one.name: (one.n_customers, int(now.get(one.name, 0))) for one in segments.profiles}
    bins = [StabilityBin(name, *pair) for name, pair in counts.items()]
    level = 1.0 - LEVEL / max(len(segments.baseline), 1)
    features = {}
    for one in segments.baseline:
        pairs = zip(one.labels, one.counts, one.counted(table[one.feature]), strict=True)
        features[one.feature] = stability_index([StabilityBin(*pair) for pair in pairs], confidence_level=level)
    ranked = dict(sorted(features.items(), key=lambda item: -(item[1].statistic or 0.0)))
    found = stability_index(bins, confidence_level=1.0 - LEVEL)
    return SegmentDrift(found, ranked, counts, None if before is None else segment_moves(before, assigned))


def segment_moves(before: pd.Series, now: pd.Series) -> Moves:
    """Who moved between segments, whether rules or a fit made them.

    Args:
        before: the segment of each customer then, index customer_id.
        now: the same now.

    Raises:
        UnusableLog: if a customer stands twice.

    Source: Stuart (1955), A test for homogeneity of the marginal distributions in a two-way classification; Maxwell (1970).

    >>> moves = segment_moves(pd.Series({"ann": "loyal", "bob": "loyal"}), pd.Series({"bob": "at_risk", "cy": "loyal"}))
    >>> moves.counts, moves.n_moved, moves.n_new, moves.n_gone
    ({('loyal', 'at_risk'): 1}, 1, 1, 1)
    """
    for which in (before, now):
        if not which.index.is_unique:
            twice = which.index[which.index.duplicated()][0]
            raise UnusableLog(f"customer {twice!r} stands twice in a table of segments. Give one row a customer.")
    both = before.index.intersection(now.index)
    told = Counter(zip(before.loc[both].astype(str), now.loc[both].astype(str), strict=True))
    counts = dict(sorted(told.items()))
    n_moved = sum(n for (then, new), n in counts.items() if then != new)
    tested = _stuart_maxwell(counts) if n_moved else (None, None)
    return Moves(counts, n_moved, len(now) - len(both), len(before) - len(both), *tested)


def _stuart_maxwell(counts: Mapping[tuple[str, str], int]) -> tuple[float, float]:
    """Statistic and p-value; segments that only exchange customers among a few of them take degrees of freedom away."""
    names = sorted({name for pair in counts for name in pair})
    table = np.array([[counts.get((then, new), 0) for new in names] for then in names], dtype=np.float64)
    joined = table.sum(axis=0) - table.sum(axis=1)
    covariance = np.diag(table.sum(axis=0) + table.sum(axis=1)) - table - table.T
    statistic = float(joined @ np.linalg.pinv(covariance, hermitian=True) @ joined)
    return statistic, float(scipy.stats.chi2.sf(statistic, np.linalg.matrix_rank(covariance, hermitian=True)))
