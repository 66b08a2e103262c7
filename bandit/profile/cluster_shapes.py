"""Frozen segments: shapes in the space of features that say of any customer which one it is in, and how surely.

A shape says the same of a customer alone as among a million others, and the same after it was written and read: nothing
here is refitted. Sums run over the coordinates of one customer at a time, so that they do not hang on who else is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bandit.arrays import FloatArray

_AT_ONCE = 4096
_LOG_2_PI = float(np.log(2.0 * np.pi))
Row = tuple[float, ...]
"""One point, or one row of a matrix."""


class Membership(NamedTuple):
    """Which segment each customer is in.

    Attributes:
        best: shape (n,), the most probable segment.
        confidence: shape (n,), its probability as the shape sees it, in (0, 1].
        runner_up: shape (n,), the next most probable.
    """

    best: NDArray[np.int64]
    confidence: FloatArray
    runner_up: NDArray[np.int64]


class RoundShape(msgspec.Struct, frozen=True, kw_only=True, tag="round"):
    """Equal balls around centres: what k-means and Ward's hierarchy find.

    Attributes:
        centres: one a segment.
        variance: of a coordinate within segments, all together; how sure an assignment is hangs on it alone.
    """

    centres: tuple[Row, ...]
    variance: float

    @property
    def n_segments(self) -> int:
        """How many."""
        return len(self.centres)

    @property
    def widths(self) -> set[int]:
        """Coordinates that its points have; one number, unless somebody broke it."""
        return set(map(len, self.centres))

    def logits(self, points: FloatArray) -> FloatArray:
        """Log-probability of each segment but for a constant; shape (n, n_segments)."""
        centres = np.array(self.centres)
        squares = np.stack([((points - centre) ** 2).sum(axis=1) for centre in centres], axis=1)
        return np.asarray(-0.5 * squares / self.variance)


class GaussianShape(msgspec.Struct, frozen=True, kw_only=True, tag="gaussian"):
    """A mixture of Gaussians.

    Attributes:
        log_weights: of each segment.
        means: one a segment.
        whitening: of each segment the matrix W with W W' = inverse covariance, row by row, upper triangular.
    """

    log_weights: Row
    means: tuple[Row, ...]
    whitening: tuple[tuple[Row, ...], ...]

    @property
    def n_segments(self) -> int:
        """How many."""
        return len(self.means)

    @property
    def widths(self) -> set[int]:
        """Coordinates that its points have; one number, unless somebody broke it."""
        rows = (row for matrix in self.whitening for row in (*matrix, matrix))
        return {*map(len, self.means), *map(len, rows)}

    def logits(self, points: FloatArray) -> FloatArray:
        """Log-density of each segment, its weight included; shape (n, n_segments)."""
        each = zip(self.log_weights, self.means, self.whitening, strict=True)
        return np.stack(
            [_log_density(points, np.array(mean), np.array(white)) + log for log, mean, white in each], axis=1
        )


def _log_density(points: FloatArray, mean: FloatArray, whitening: FloatArray) -> FloatArray:
    apart = points - mean
    white = np.stack([(apart * column).sum(axis=1) for column in whitening.T], axis=1)
    constant = np.log(np.diag(whitening)).sum() - 0.5 * len(mean) * _LOG_2_PI
    return np.asarray(constant - 0.5 * (white**2).sum(axis=1))


class DenseShape(msgspec.Struct, frozen=True, kw_only=True, tag="dense"):
    """Neighbourhoods of dense points, of any form, and whoever is outside of all of them: what DBSCAN finds.

    Attributes:
        cores: of each segment, the points that many others are near to.
        reach: a customer no further from a core point than this is in its segment; the last segment is outside.
    """

    cores: tuple[tuple[Row, ...], ...]
    reach: float

    @property
    def n_segments(self) -> int:
        """How many, the outside included."""
        return len(self.cores) + 1

    @property
    def widths(self) -> set[int]:
        """Coordinates that its points have; one number, unless somebody broke it."""
        return {len(row) for core in self.cores for row in core}

    def logits(self, points: FloatArray) -> FloatArray:
        """Falls with the distance to the nearest core point, and crosses that of the outside at `reach`."""
        nearest = np.stack([cKDTree(np.array(core)).query(points)[0] for core in self.cores], axis=1)
        outside = np.full((len(points), 1), -2.0)
        return np.concatenate([-2.0 * (nearest / self.reach) ** 2, outside], axis=1)


Shape = RoundShape | GaussianShape | DenseShape


def membership(shape: Shape, points: FloatArray) -> Membership:
    """The segment of each point, how sure that is, and the next best one.

    Args:
        shape: with at least two segments.
        points: shape (n, n_coordinates).

    Caution: the probability is that of the shape: among customers who really are in one of these segments, and where
    segments have its form. Segments side by side in a crowd are surer of themselves than they should be.

    >>> shape = RoundShape(centres=((0.0,), (4.0,)), variance=1.0)
    >>> found = membership(shape, np.array([[0.0], [1.9], [4.0]]))
    >>> found.best.tolist(), found.runner_up.tolist(), found.confidence.round(2).tolist()
    ([0, 0, 1], [1, 1, 0], [1.0, 0.6, 1.0])
    """
    logits = _in_parts(shape.logits, points)
    order = np.argsort(-logits, axis=1, kind="stable")
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return Membership(order[:, 0].astype(np.int64), 1.0 / odds.sum(axis=1), order[:, 1].astype(np.int64))


def _in_parts(logits: Callable[[FloatArray], FloatArray], points: FloatArray) -> FloatArray:
    starts = range(0, max(len(points), 1), _AT_ONCE)
    return np.concatenate([logits(points[start : start + _AT_ONCE]) for start in starts])
