"""What everybody takes: the products for customers of whom nothing is known."""

from __future__ import annotations

import numpy as np

from bandit.arrays import FloatArray
from bandit.products.interactions import Interactions


def popularity(interactions: Interactions) -> FloatArray:
    """How popular each product is: the sum of what all customers have to do with it, decayed by age.

    One customer counts as the logarithm of 1 plus their own sum, so that nobody makes a product popular alone.

    Returns:
        shape (n_products,), at least 0.

    >>> import pandas as pd
    >>> from datetime import UTC, datetime
    >>> from bandit.products.catalogue import Catalogue, Product
    >>> from bandit.products.interactions import interactions_of
    >>> rows = [("ann", "tea"), ("bob", "tea"), ("bob", "cup")]
    >>> events = pd.DataFrame(rows, columns=["customer_id", "product"]).assign(at="2026-11-01T09:00:00Z", type="view")
    >>> catalogue = Catalogue((Product("cup"), Product("tea"), Product("pot")))
    >>> found, _ = interactions_of(events, catalogue, until=datetime(2026, 11, 1, 10, tzinfo=UTC))
    >>> popularity(found).round(2).tolist()
    [0.69, 1.39, 0.0]
    """
    damped = interactions.weights.log1p()
    found: FloatArray = np.asarray(damped.sum(axis=0), dtype=np.float64).reshape(-1)
    return found
