"""Customers without structure, to hold segments against: what the same search finds among them is the method's own work.

They are of two kinds, since neither is harder to beat everywhere: one Gaussian cloud with the covariances of the
customers, and a box along their principal axes, evenly filled. Both keep what a single feature does alone: a category
has its shares, and a number that takes few values, or one value often, takes them as often as it did. So the channel that a
customer prefers makes no segments by itself, nor does being without orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from bandit.arrays import BoolArray, FloatArray

GAUSSIAN, EVEN = "gaussian", "even"
KINDS: Final = (GAUSSIAN, EVEN)
_LUMP: Final = 0.05
"""Share of customers with the same number from which on a column is lumpy."""


def references(points: FloatArray, n_numbers: int, blocks: tuple[int, ...], n: int, seed: int) -> Iterator[FloatArray]:
    """`n` tables of each kind, in turn, each as large as that of the customers.

    Args:
        points: shape (n_customers, n_coordinates), numbers first.
        n_numbers: how many coordinates are numbers.
        blocks: how many coordinates each category has, in order.
        n: tables of each kind.
        seed: of the draws.

    Source: a cloud, as in Liu, Hayes, Nobel and Marron (2008), Statistical significance of clustering for high-dimension,
    low-sample size data; a box, as in Tibshirani, Walther and Hastie (2001), Estimating the number of clusters in a data
    set via the gap statistic.
    """
    rng = np.random.default_rng(seed)
    numbers = points[:, :n_numbers]
    lumpy = np.array([_is_lumpy(column) for column in numbers.T], dtype=np.bool_)
    for _ in range(n):
        for kind in KINDS:
            drawn = _gaussian(numbers, rng) if kind == GAUSSIAN else _even(numbers, rng)
            categories = _shuffled(points, n_numbers, blocks, rng)
            yield np.concatenate([_with_lumps(drawn, numbers, lumpy), *categories], axis=1)


def _is_lumpy(column: FloatArray) -> bool:
    return bool(np.unique(column, return_counts=True)[1].max() >= max(_LUMP * len(column), 2.0))


def _gaussian(numbers: FloatArray, rng: np.random.Generator) -> FloatArray:
    if not numbers.shape[1]:
        return numbers
    covariance = np.atleast_2d(np.cov(numbers, rowvar=False))
    return rng.multivariate_normal(np.zeros(len(covariance)), covariance, size=len(numbers), method="eigh")


def _even(numbers: FloatArray, rng: np.random.Generator) -> FloatArray:
    if not numbers.shape[1]:
        return numbers
    axes = np.linalg.svd(numbers - numbers.mean(axis=0), full_matrices=False)[2]
    turned = numbers @ axes.T
    return np.asarray(rng.uniform(turned.min(axis=0), turned.max(axis=0), size=turned.shape) @ axes)


def _with_lumps(drawn: FloatArray, numbers: FloatArray, lumpy: BoolArray) -> FloatArray:
    """Lumpy columns with the values they have, in the order in which they were drawn."""
    kept = drawn.copy()
    for column in np.flatnonzero(lumpy).tolist():
        kept[np.argsort(drawn[:, column]), column] = np.sort(numbers[:, column])
    return kept


def _shuffled(
    points: FloatArray, n_numbers: int, blocks: tuple[int, ...], rng: np.random.Generator
) -> Iterator[FloatArray]:
    start = n_numbers
    for width in blocks:
        yield rng.permutation(points[:, start : start + width])
        start += width
