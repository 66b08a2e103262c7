"""SLOPE: the bound of a weight rule chosen from the log itself, without knowing any bias.

Rules are looked at from the widest interval to the narrowest, that is from the least bias to the most. As long as the next
one's interval still meets those of all before it, its bias cannot be seen in the noise, and it is narrower: take it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

import scipy

from evaluation.columns import AnyColumn
from evaluation.estimator import Estimator
from evaluation.sums import Gradient, Sums

BOUNDS = (10.0, 50.0, 100.0, 500.0, 1000.0, 5000.0, 10000.0, float("inf"))
"""Bounds that compete, where nobody names others."""

_TIE = 1e-9
"""Widths that differ by less than this share are one width."""


@dataclass(frozen=True, slots=True)
class Slope:
    """The one among some estimators that Lepski's principle chooses.

    It is frozen and keeps nothing: each log, and each resample of a log, gets its own choice.

    Args:
        candidates: the same estimator with different bounds, the one with least bias last: it is taken where widths tie.
        name: in reports.
        error: probability with which each one-sided interval may miss.

    Source: Su, Srinath, Krishnamurthy (2020), Adaptive estimator selection for off-policy evaluation; the constant is
    that of Tucker and Lee (2021), SLOPE++.
    """

    candidates: tuple[Estimator, ...]
    name: str
    error: float = 0.1

    @property
    def columns(self) -> tuple[AnyColumn, ...]:
        """All that the candidates sum."""
        return tuple(dict.fromkeys(column for candidate in self.candidates for column in candidate.columns))

    def chosen(self, sums: Sums) -> Estimator:
        """The candidate for this log."""
        quantile = float(scipy.stats.t.ppf(1.0 - self.error, max(sums.n - 1, 1)))
        looked_at = [_look(candidate, sums, quantile) for candidate in self.candidates]
        return _narrowest_that_meets_all_before(_widest_first(looked_at)).candidate

    def value(self, sums: Sums) -> float:
        """The chosen candidate's."""
        return self.chosen(sums).value(sums)

    def gradient(self, sums: Sums) -> Gradient:
        """The chosen candidate's: that it was chosen by this log is not in its standard error."""
        return self.chosen(sums).gradient(sums)


class _LookedAt(NamedTuple):
    candidate: Estimator
    value: float
    width: float


def _look(candidate: Estimator, sums: Sums, quantile: float) -> _LookedAt:
    return _LookedAt(candidate, candidate.value(sums), sums.standard_error(candidate.gradient(sums)) * quantile)


def _widest_first(looked_at: Sequence[_LookedAt]) -> list[_LookedAt]:
    """Ordered by width, and where widths tie as they came.

    Bounds that no weight reaches give one and the same interval but for the last digits, which differ from one processor's
    sums to another's: which of them is chosen must not.
    """
    widest = sorted(range(len(looked_at)), key=lambda at: -looked_at[at].width)
    ranks, rank = {}, 0
    for before, at in pairwise([widest[0], *widest]):
        rank += looked_at[at].width < looked_at[before].width * (1.0 - _TIE)
        ranks[at] = rank
    return [looked_at[at] for at in sorted(ranks, key=lambda at: (ranks[at], at))]


def _narrowest_that_meets_all_before(looked_at: Sequence[_LookedAt]) -> _LookedAt:
    share = sqrt(6.0) - 1.0
    for at, one in enumerate(looked_at):
        meets = (abs(before.value - one.value) <= one.width + share * before.width for before in looked_at[:at])
        if not all(meets):
            return looked_at[at - 1]
    return looked_at[-1]
