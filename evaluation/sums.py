"""Sums over rows that add: what every estimator is made of, so that two shards of a log equal the whole log.

Kept are the number of rows, the mean of each column and the centred cross-products of all of them. A value that is a
smooth function of means then has its standard error by the delta method, and so has the difference of two such values,
with whatever noise they share already cancelled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog

Gradient = Mapping[str, float]
"""How a value moves with the mean of each column it is made of."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Means and centred cross-products of named columns.

    Attributes:
        names: of the columns.
        n: rows.
        means: shape (n_columns,).
        scatter: shape (n_columns, n_columns), sums of products of what is left of each column without its mean.
        lows, highs: shape (n_columns,), least and largest value of each.

    Source: merging by Chan, Golub and LeVeque (1979), which loses no digits where means are large.

    >>> whole = Sums.of({"reward": np.array([1.0, 0.0, 1.0, 1.0])})
    >>> parts = Sums.of({"reward": np.array([1.0, 0.0])}) + Sums.of({"reward": np.array([1.0, 1.0])})
    >>> whole.mean("reward") == parts.mean("reward") == 0.75
    True
    """

    names: tuple[str, ...]
    n: int
    means: FloatArray
    scatter: FloatArray
    lows: FloatArray
    highs: FloatArray

    @classmethod
    def of(cls, columns: Mapping[str, FloatArray]) -> Sums:
        """The sums of one batch of rows; each column has shape (n_rows,), at least one row."""
        return cls.of_stack(tuple(columns), np.stack(list(columns.values())))

    @classmethod
    def of_stack(cls, names: tuple[str, ...], values: FloatArray) -> Sums:
        """The same from columns that stand in one array, shape (n_columns, n_rows)."""
        # Each column lies in one piece, so that its mean is numpy's own mean of it to the last digit.
        means = values.mean(axis=1)
        centred = values - means[:, None]
        return cls(names, values.shape[1], means, centred @ centred.T, values.min(axis=1), values.max(axis=1))

    def __add__(self, other: Sums) -> Sums:
        """Both batches as one.

        Raises:
            UnusableLog: if they are sums of other columns.
        """
        if self.names != other.names:
            raise UnusableLog(
                f"sums of {', '.join(self.names)} cannot be added to sums of {', '.join(other.names)}. Evaluate both parts of "
                "the log with the same target and the same estimators."
            )
        n = self.n + other.n
        apart = other.means - self.means
        between = np.outer(apart, apart) * (self.n * other.n / n)
        return Sums(
            self.names,
            n,
            self.means + apart * (other.n / n),
            self.scatter + other.scatter + between,
            np.minimum(self.lows, other.lows),
            np.maximum(self.highs, other.highs),
        )

    def mean(self, name: str) -> float:
        """Mean of a column."""
        return float(self.means[self.names.index(name)])

    def low(self, name: str) -> float:
        """Least value of a column."""
        return float(self.lows[self.names.index(name)])

    def high(self, name: str) -> float:
        """Largest value of a column."""
        return float(self.highs[self.names.index(name)])

    def covariance(self, first: str, second: str) -> float:
        """Covariance of two columns over the rows (divided by n)."""
        return float(self.scatter[self.names.index(first), self.names.index(second)]) / self.n

    def covariances(self, names: Sequence[str]) -> FloatArray:
        """Covariances of some columns, shape (n_names, n_names), divided by n."""
        at = [self.names.index(name) for name in names]
        return self.scatter[np.ix_(at, at)] / self.n

    def standard_error(self, gradient: Gradient) -> float:
        """Standard error of a value with this gradient, by the delta method; 0 for a single row, which says nothing."""
        if self.n < 2:
            return 0.0
        along = np.array(list(gradient.values()))
        variance = float(along @ self.covariances(list(gradient)) @ along) / (self.n - 1)
        return math.sqrt(max(variance, 0.0))
