"""Which segments, if any: a silhouette that structureless customers do not reach, found again by both halves of them.

Every method finds segments in anything. So a method and a number of segments are believed only if, on what the frozen
shape says, (1) segments are apart: the mean silhouette is at least `LEAST_SILHOUETTE`; (2) they are there again: shapes
fitted to random halves of the customers agree on everybody, adjusted Rand index at least `LEAST_STABILITY`; (3) they are
no work of the method: among customers who differ without any structure the same search finds no silhouette nearly as high.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, pairwise_distances, silhouette_samples

from bandit.arrays import FloatArray
from bandit.profile.cluster_methods import Setting, fitted, settings_of
from bandit.profile.cluster_shapes import DenseShape, Shape, membership
from bandit.profile.segment_spec import LearnedSpec

LEAST_SILHOUETTE: Final = 0.25
"""Below it Kaufman and Rousseeuw (1990) see no substantial structure."""
LEAST_STABILITY: Final = 0.8
TIE: Final = 0.05
MOST_OUTSIDE: Final = 0.3
"""Share of customers outside of all segments above which a shape describes too few of them."""
N_SPLITS: Final = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """One method with one setting, and how its segments look.

    Attributes:
        setting: method, and what it was told.
        shape: what it found.
        silhouette: mean over customers, in [-1, 1]; those outside of all segments count 0.
        shares: of each segment, the outside last where there is one.
        stability: mean adjusted Rand index of refits on halves, at most 1; None where nobody asked.
        found_again: of each segment, its mean best Jaccard similarity in those refits, in [0, 1].
    """

    setting: Setting
    shape: Shape
    silhouette: float
    shares: tuple[float, ...]
    stability: float | None = None
    found_again: tuple[float, ...] = field(default=())

    @property
    def n_segments(self) -> int:
        """How many, without the outside."""
        return len(self.shares) - (outside_of(self.shape) >= 0)

    @property
    def is_stable(self) -> bool:
        """Whether halves of the customers find the same."""
        return self.stability is not None and self.stability >= LEAST_STABILITY


def candidates(points: FloatArray, spec: LearnedSpec, seed: int) -> list[Candidate]:
    """What every setting finds, the highest silhouette first; shapes with a segment that is too small are left out."""
    distances = pairwise_distances(points)
    found = [candidate(points, distances, setting, spec, seed) for setting in settings_of(spec)]
    return sorted((one for one in found if one), key=lambda one: -one.silhouette)


def candidate(
    points: FloatArray, distances: FloatArray, setting: Setting, spec: LearnedSpec, seed: int
) -> Candidate | None:
    """What one setting finds.

    Source: Rousseeuw (1987), Silhouettes: a graphical aid to the interpretation and validation of cluster analysis.
    """
    shape = fitted(setting, points, seed)
    if shape is None:
        return None
    labels = membership(shape, points).best
    shares = np.bincount(labels, minlength=shape.n_segments) / len(labels)
    inside = labels != outside_of(shape)
    if not _is_usable(shares, shape, spec):
        return None
    each = silhouette_samples(distances[np.ix_(inside, inside)], labels[inside], metric="precomputed")
    return Candidate(setting, shape, float(each.sum()) / len(labels), tuple(shares.tolist()))


def outside_of(shape: Shape) -> int:
    """The number of the segment that is no segment; -1 where everybody is in one."""
    return shape.n_segments - 1 if isinstance(shape, DenseShape) else -1


def _is_usable(shares: FloatArray, shape: Shape, spec: LearnedSpec) -> bool:
    outside = outside_of(shape)
    segments = shares[:outside] if outside >= 0 else shares
    is_covering = outside < 0 or shares[outside] <= MOST_OUTSIDE
    return bool(is_covering and spec.fewest <= len(segments) <= spec.most and segments.min() >= spec.least_share)


def with_stability(points: FloatArray, one: Candidate, seed: int) -> Candidate:
    """The candidate with how well halves of the customers find its segments again.

    Each of `N_SPLITS` times the customers are split at random, a shape is fitted to each half, and both assign everybody.

    Source: Lange, Roth, Braun and Buhmann (2004), Stability-based validation of clustering solutions; the similarity of a
    segment is that of Hennig (2007), Cluster-wise assessment of cluster stability.
    """
    labels = membership(one.shape, points).best
    rng = np.random.default_rng(seed)
    agreements, found_again = [], []
    for _ in range(N_SPLITS):
        pair = _halves(points, one.setting, rng)
        agreements.append(adjusted_rand_score(*pair) if len(pair) == 2 else 0.0)
        found_again += [_best_jaccard(labels, other, one.shape.n_segments) for other in pair]
    means = np.mean(found_again, axis=0) if found_again else np.zeros(one.shape.n_segments)
    stability = float(np.mean(agreements))
    return Candidate(one.setting, one.shape, one.silhouette, one.shares, stability, tuple(means.tolist()))


def _halves(points: FloatArray, setting: Setting, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Everybody's segment after a fit to either half; fewer than two where a half shows no segments."""
    order = rng.permutation(len(points))
    seed = int(rng.integers(2**31))
    halves = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    shapes = [fitted(setting, points[half], seed) for half in halves]
    return [membership(shape, points).best for shape in shapes if shape is not None]


def _best_jaccard(labels: NDArray[np.int64], others: NDArray[np.int64], n_segments: int) -> list[float]:
    """Of each segment, the Jaccard similarity to the most similar one of another assignment."""
    both = np.zeros((n_segments, int(others.max()) + 1))
    np.add.at(both, (labels, others), 1.0)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    return [float(one) for one in (both / np.maximum(either, 1.0)).max(axis=1)]


def doubted(points: FloatArray, found: list[Candidate], seed: int) -> Iterator[Candidate]:
    """Candidates with their stability, as far as it is asked for: the last stable one is the choice.

    It is the stable one with the highest silhouette, or one with more segments that is hardly less apart: silhouettes that
    differ by less than `TIE` do not tell which is right, and more segments tell more.

    Args:
        points: shape (n, n_coordinates).
        found: the highest silhouette first.
        seed: of the halves.
    """
    least, most_segments = LEAST_SILHOUETTE, 0
    for one in found:
        if one.silhouette < least:
            return
        if one.n_segments <= most_segments:
            continue
        tried = with_stability(points, one, seed)
        yield tried
        if tried.is_stable:
            least, most_segments = max(least, one.silhouette - TIE) if not most_segments else least, one.n_segments
