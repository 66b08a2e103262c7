"""The ways to find segments, each with its settings: k-means, Gaussian mixture, Ward's hierarchy, DBSCAN.

Whatever a method finds is turned into a frozen shape at once, and is judged by what the shape says: a customer of the table
it was fitted on is assigned like a new one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

from bandit.arrays import FloatArray
from bandit.profile.cluster_shapes import DenseShape, GaussianShape, RoundShape, Shape
from bandit.profile.segment_spec import LearnedSpec

NEIGHBOURS: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Settings of DBSCAN: the share of customers that are to have enough neighbours within reach."""
_STARTS: Final = 3
_STEADIED: Final = 1e-3
"""Added to the variances of a mixture, in squared standard deviations: a category alone would be infinitely dense."""


class Setting(NamedTuple):
    """A method and what it is told.

    Attributes:
        method: of `METHODS`.
        value: number of segments, or for DBSCAN one of `NEIGHBOURS`.
    """

    method: str
    value: float

    def __str__(self) -> str:
        return f"{self.method}({self.value:g})"


def settings_of(spec: LearnedSpec) -> Iterator[Setting]:
    """Everything that is tried, in a fixed order.

    >>> [str(one) for one in settings_of(LearnedSpec(methods=("kmeans",), most=4))]
    ['kmeans(2)', 'kmeans(3)', 'kmeans(4)']
    """
    for method in spec.methods:
        for value in NEIGHBOURS if method == "dbscan" else range(spec.fewest, spec.most + 1):
            yield Setting(method, value)


def fitted(setting: Setting, points: FloatArray, seed: int) -> Shape | None:
    """The shape that a method finds among points; None where it finds fewer than two segments.

    Args:
        setting: method, and what it is told.
        points: shape (n, n_coordinates), n at least twice the number of segments.
        seed: of the method's own draws.
    """
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # fewer different points than segments: too small, left out later
        return _FITS[setting.method](points, setting.value, seed)


def _kmeans(points: FloatArray, value: float, seed: int) -> Shape | None:
    labels = KMeans(int(value), n_init=_STARTS, random_state=seed).fit_predict(points)
    return _round(points, labels)


def _hierarchical(points: FloatArray, value: float, seed: int) -> Shape | None:
    del seed  # nothing is drawn
    return _round(points, AgglomerativeClustering(int(value), linkage="ward").fit_predict(points))


def _round(points: FloatArray, labels: NDArray[np.int32]) -> RoundShape | None:
    found = np.unique(labels)
    if len(found) < 2:
        return None
    centres = np.stack([points[labels == label].mean(axis=0) for label in found])
    within = points - centres[np.searchsorted(found, labels)]
    variance = float((within**2).mean())
    return RoundShape(centres=_rows(centres), variance=max(variance, _STEADIED))


def _gaussian(points: FloatArray, value: float, seed: int) -> Shape | None:
    mixture = GaussianMixture(int(value), n_init=1, reg_covar=_STEADIED, max_iter=200, random_state=seed).fit(points)
    whitening = tuple(_rows(one) for one in mixture.precisions_cholesky_)
    return GaussianShape(
        log_weights=tuple(np.log(mixture.weights_).tolist()), means=_rows(mixture.means_), whitening=whitening
    )


def _dbscan(points: FloatArray, value: float, seed: int) -> Shape | None:
    del seed  # nothing is drawn
    enough = max(5, len(points) // 100)
    distances = NearestNeighbors(n_neighbors=enough).fit(points).kneighbors()[0][:, -1]
    reach = float(np.quantile(distances, value))
    if not reach > 0.0:
        return None
    found = DBSCAN(eps=reach, min_samples=enough + 1).fit(points)
    cores, labels = points[found.core_sample_indices_], found.labels_[found.core_sample_indices_]
    if not len(cores) or labels.max() < 1:
        return None
    return DenseShape(cores=tuple(_rows(cores[labels == label]) for label in range(labels.max() + 1)), reach=reach)


def _rows(matrix: FloatArray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())


_FITS: Final[Mapping[str, Callable[[FloatArray, float, int], Shape | None]]] = {
    "kmeans": _kmeans,
    "gaussian": _gaussian,
    "hierarchical": _hierarchical,
    "dbscan": _dbscan,
}
