"""How good lists of products are, held against what customers took afterwards.

Source: Manning, Raghavan and Schuetze (2008), Introduction to Information Retrieval, chapter 8. Mean average precision is cut
off at k and divided by the number of relevant products or k, whichever is less, so that a perfect list has 1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from bandit.arrays import FloatArray
from bandit.errors import UnusableCatalogue


@dataclass(frozen=True, slots=True)
class RankingQuality:
    """Means over customers, each from 0 to 1.

    Attributes:
        precision: share of the k places that hold a product which the customer took.
        recall: share of the products the customer took that are in the first k places.
        average_precision: the mean of the precision at each place that holds one.
        n_customers: who took anything; nothing can be said of the others.
    """

    precision: float
    recall: float
    average_precision: float
    n_customers: int


def ranking_quality(ranked: Sequence[Sequence[str]], taken: Sequence[Collection[str]], k: int) -> RankingQuality:
    """Judge one list a customer.

    Args:
        ranked: products, best first; a list may be shorter than k, and then has empty places.
        taken: what each customer took afterwards; those who took nothing are left out.
        k: how many places count.

    Raises:
        UnusableCatalogue: if nobody took anything.

    >>> ranking_quality([["tea", "cup", "pot"]], [{"cup", "pot", "jar"}], 3)
    RankingQuality(precision=0.6666666666666666, recall=0.6666666666666666, average_precision=0.38888888888888884, n_customers=1)
    """
    found = np.array(
        [quality_of(one, after, k) for one, after in zip(ranked, taken, strict=True) if after], dtype=np.float64
    )
    if not len(found):
        raise UnusableCatalogue(
            "nobody took any product, so lists cannot be held against anything. Take a longer time, or other events."
        )
    precision, recall, average_precision = found.mean(axis=0).tolist()
    return RankingQuality(precision, recall, average_precision, len(found))


def quality_of(ranked: Sequence[str], taken: Collection[str], k: int) -> FloatArray:
    """Precision, recall and average precision at k of one list; shape (3,).

    Raises:
        UnusableCatalogue: for a k below 1, or a list that names a product twice.
    """
    first = list(ranked[:k])
    if k < 1 or len(set(first)) != len(first):
        raise UnusableCatalogue(f"k is {k}, and the list {first}: need at least one place, and each product once.")
    hits = np.array([one in taken for one in first], dtype=np.float64)
    precisions = np.cumsum(hits) / np.arange(1, len(first) + 1)
    n_relevant = len(set(taken))
    return np.array([hits.sum() / k, hits.sum() / n_relevant, float((precisions * hits).sum()) / min(n_relevant, k)])
