"""One bootstrap for all estimators: each row counts a Poisson number of times, the same number for every estimator.

A Poisson count needs no knowledge of how long the log is, so shards are resampled where they lie and added.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import scipy
from numpy.typing import NDArray

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from evaluation.estimator import Estimate, Estimator
from evaluation.intervals import require_level
from evaluation.sums import Sums

_DRAWS = 1 << 16
_AT_ONCE = 2000
"""Rows drawn for in one call."""
_PIECE = 250
"""Rows of a product so small that BLAS keeps it in one thread, which does not stall where the cores are busy."""
METHOD = "Poisson bootstrap, percentiles"


@dataclass(frozen=True, slots=True, eq=False)
class Resamples:
    """Sums of the same columns over many resamples of the rows.

    Attributes:
        names: of the columns.
        counts: shape (n_resamples,), rows in each.
        totals: shape (n_columns, n_resamples).
    """

    names: tuple[str, ...]
    counts: FloatArray
    totals: FloatArray

    @classmethod
    def of_stack(cls, names: tuple[str, ...], values: FloatArray, generator: np.random.Generator, n: int) -> Resamples:
        """Resample one batch of rows `n` times; values of shape (n_columns, n_rows)."""
        counts, totals = np.zeros(n), np.zeros((len(values), n))
        for start in range(0, values.shape[1], _AT_ONCE):
            block = values[:, start : start + _AT_ONCE]
            draws = generator.integers(_DRAWS, size=(block.shape[1], n), dtype=np.uint16)
            weights = _counts().take(draws)
            counts += weights.sum(axis=0)
            block = block.astype(np.float32) if _fits(block) else block
            for piece in range(0, block.shape[1], _PIECE):
                totals += block[:, piece : piece + _PIECE] @ weights[piece : piece + _PIECE]
        return cls(names, counts, totals)

    def __add__(self, other: Resamples) -> Resamples:
        """Resamples of both batches together.

        Raises:
            UnusableLog: if they are of other columns, or of another number of resamples.
        """
        if self.names != other.names or len(self.counts) != len(other.counts):
            raise UnusableLog(
                f"resamples of {len(self.names)} columns, {len(self.counts)} times, cannot be added to those of "
                f"{len(other.names)}, {len(other.counts)} times. Evaluate both parts of the log alike."
            )
        return Resamples(self.names, self.counts + other.counts, self.totals + other.totals)

    def interval(self, estimator: Estimator, sums: Sums, confidence_level: float = 0.95) -> Estimate:
        """The estimate on the rows as they are, between percentiles of the estimate on the resamples.

        Args:
            estimator: evaluated anew in each resample, denominators included.
            sums: of the rows as they are.
            confidence_level: in (0, 1).
        """
        require_level(confidence_level)
        means = self.totals / np.maximum(self.counts, 1.0)
        found = [estimator.value(replace(sums, means=means[:, b])) for b in range(means.shape[1])]
        finite = np.array(found)[np.isfinite(found)]
        value = estimator.value(sums)
        if not len(finite):
            return Estimate(value, None, None, None, "no resample had a weight")
        tail = (1.0 - confidence_level) / 2.0
        lower, upper = np.quantile(finite, [tail, 1.0 - tail])
        return Estimate(value, float(finite.std()), min(float(lower), value), max(float(upper), value), METHOD)


@cache
def _counts() -> NDArray[np.float32]:
    """The Poisson count that each of 65,536 equally likely draws stands for."""
    reached = scipy.stats.poisson(1.0).cdf(np.arange(16))
    return np.searchsorted(reached, (np.arange(_DRAWS) + 0.5) / _DRAWS).astype(np.float32)


def _fits(block: FloatArray) -> bool:
    """Whether single precision holds the values: 7 digits are far below the noise of a resample, overflow is not."""
    return bool(np.abs(block).max(initial=0.0) < 1e30)
