"""What a customer's orders are worth on average, drawn towards everybody's mean while there are few of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from bandit.arrays import FloatArray
from bandit.errors import UnusableEvents

FEWEST_ORDERS: Final = 100
"""Amounts of customers with at least two, from which it is told how much orders of one customer differ."""


@dataclass(frozen=True, slots=True)
class OrderValue:
    """Means, and how orders differ.

    Attributes:
        mean: of the customers' mean orders.
        within: variance of the orders of one customer.
        between: variance of the customers' true means.
    """

    mean: float
    within: float
    between: float

    def trust(self, n_orders: FloatArray) -> FloatArray:
        """The weight of a customer's own mean, in [0, 1): n / (n + within / between).

        Source: Bühlmann (1967), Experience rating and credibility.
        """
        found: FloatArray = n_orders * self.between / np.maximum(n_orders * self.between + self.within, 1e-12)
        return found

    def means(self, n_orders: FloatArray, own_means: FloatArray) -> FloatArray:
        """The mean order of each customer, in money.

        Args:
            n_orders: shape (n,), orders whose amount is known.
            own_means: shape (n,), their mean; not looked at where there is none.

        >>> OrderValue(50.0, 400.0, 100.0).means(np.array([0.0, 4.0]), np.array([np.nan, 70.0])).tolist()
        [50.0, 60.0]
        """
        trust = self.trust(n_orders)
        return self.mean + trust * (np.where(n_orders > 0, own_means, self.mean) - self.mean)

    @property
    def relative_variance(self) -> float:
        """Squared coefficient of variation of the orders of one customer."""
        return self.within / (self.between + self.mean**2)


def fit_order_value(n_orders: FloatArray, own_means: FloatArray, squares: FloatArray) -> OrderValue:
    """Means and variances, by moments.

    Args:
        n_orders: shape (n_customers,), orders of each whose amount is known.
        own_means: shape (n_customers,), their mean; not looked at where there is none.
        squares: shape (n_customers,), the sum of their squared amounts.

    Raises:
        UnusableEvents: if there are too few orders of customers with more than one, or nobody paid anything.
    """
    several, own = n_orders >= 2, n_orders > 0
    n_repeated = int(n_orders[several].sum())
    if n_repeated < FEWEST_ORDERS or not own_means[own].sum() > 0:
        raise UnusableEvents(
            f"customer_value: {n_repeated} orders of customers with more than one have an amount, and {FEWEST_ORDERS} are "
            "needed. Fill the column `value` of purchases."
        )
    about_means = squares[several] - n_orders[several] * own_means[several] ** 2
    within = max(float(about_means.sum() / (n_repeated - several.sum())), 1e-12)
    between = max(float(own_means[own].var() - (within / n_orders[own]).mean()), 1e-6 * within)
    return OrderValue(float(own_means[own].mean()), within, between)
