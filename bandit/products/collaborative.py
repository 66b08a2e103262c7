"""Customers with like tastes: what those take who took the same, by factors of both (alternating least squares).

Source: Hu, Koren and Volinsky (2008), Collaborative filtering for implicit feedback datasets; the library is `implicit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from bandit.arrays import FloatArray
from bandit.errors import InvalidSettings, UnusableCatalogue
from bandit.products.interactions import Interactions

LARGEST_FACTORS: Final = 512


@dataclass(frozen=True, slots=True)
class CollaborativeOptions:
    """How factors are found.

    Attributes:
        factors: numbers that stand for a taste.
        regularisation: how much factors are held back.
        confidence: how much surer an event makes than none; alpha of the source.
        rounds: of the alternation.

    Raises:
        InvalidSettings: for values that no factors can be found with.
    """

    factors: int = 16
    regularisation: float = 1.0
    confidence: float = 2.0
    rounds: int = 15

    def __post_init__(self) -> None:
        fine = 1 <= self.factors <= LARGEST_FACTORS and self.rounds >= 1
        if not (fine and self.regularisation >= 0.0 and self.confidence > 0.0):
            raise InvalidSettings(
                f"{self}: need 1 to {LARGEST_FACTORS} factors, at least 1 round, no negative regularisation and a positive "
                "confidence."
            )


@dataclass(frozen=True, slots=True, eq=False)
class Tastes:
    """Factors of customers, shape (n_customers, k), and of products, shape (n_products, k)."""

    customers: FloatArray
    products: FloatArray

    def scores(self, rows: slice) -> FloatArray:
        """How much customers would have to do with each product; shape (n, n_products)."""
        found: FloatArray = self.customers[rows] @ self.products.T
        return found


def find_tastes(interactions: Interactions, *, seed: int, options: CollaborativeOptions | None = None) -> Tastes:
    """Factors of all customers and products; the same for the same seed.

    Args:
        interactions: what customers did.
        seed: where the alternation begins.
        options: how.

    Raises:
        UnusableCatalogue: if the library is not installed.

    Caution: a customer or a product without any event gets factors of 0.
    """
    try:
        from implicit.cpu.als import AlternatingLeastSquares  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UnusableCatalogue(
            f"collaborative filtering needs the library `implicit` ({error}). Install it with `pip install "
            "'manyarm[products]'`, or leave this source out with --source content --source popular."
        ) from error
    options = options or CollaborativeOptions()
    with threadpool_limits(1):
        model = AlternatingLeastSquares(
            factors=options.factors,
            regularization=options.regularisation,
            alpha=options.confidence,
            iterations=options.rounds,
            random_state=seed,
            num_threads=1,  # sums in another order would make other factors
            dtype=np.float64,
        )
        model.fit(csr_matrix(interactions.weights, dtype=np.float64), show_progress=False)
    customers, products = np.array(model.user_factors), np.array(model.item_factors)
    # The library leaves where it began, at random, whoever has no events.
    customers[np.diff(interactions.weights.indptr) == 0] = 0.0
    products[np.diff(interactions.weights.tocsc().indptr) == 0] = 0.0
    return Tastes(customers, products)
