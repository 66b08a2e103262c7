"""Customer value: what a customer is expected to spend within a horizon, and between which amounts it will mostly lie.

Expected spend = chance to be still there x purchases if there x mean order. Nothing is discounted, costs are not taken off,
and what a campaign adds is not in it: it is the spend of somebody who is treated as customers were treated so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import betaincinv, gammaincinv

from bandit.arrays import FloatArray
from bandit.errors import BrokenSnapshot
from bandit.profile.futures import Futures
from bandit.profile.occurrences import Occurrences
from bandit.profile.order_value import OrderValue, fit_order_value
from bandit.profile.purchase_process import PurchaseProcess, Purchases, fit_process
from bandit.profile.sums import microseconds

CONFIDENCE: Final = 0.8
"""Share of customers whose spend lies within their interval."""
MOST_TICKED: Final = 4000.0
"""Expected purchases up to which possible futures count them one by one, so that no customer takes more than 20 megabytes."""
_AT_ONCE: Final = 5000


class Spending(NamedTuple):
    """Purchases of customers up to a time.

    Attributes:
        customers: ids.
        seen: when they bought.
        n_orders, own_means: orders whose amount is known, and their mean (NaN where there is none).
        squares: the sum of their squared amounts.
    """

    customers: pd.Index
    seen: Purchases
    n_orders: FloatArray
    own_means: FloatArray
    squares: FloatArray


def spending_at(purchases: Occurrences, born: pd.Series, at: datetime) -> Spending:
    """What each customer bought before a time.

    Args:
        purchases: of all customers.
        born: time of each customer's first event, indexed by customer; those before `at` are told of.
        at: only purchases before it count.
    """
    here = born[born < at].sort_index()
    customers = pd.Index(here.index.astype(object))
    start = here.dt.as_unit("us").astype("int64").to_numpy()
    end = microseconds(at)
    places = customers.get_indexer(purchases.ids)[purchases.who]
    is_one = (places >= 0) & (purchases.times < end)
    who, times, amounts = places[is_one], purchases.times[is_one], purchases.values[is_one]
    again = times > start[who]
    counts = np.bincount(who[again], minlength=len(customers)).astype(np.float64)
    last = np.zeros(len(customers))
    np.maximum.at(last, who[again], (times[again] - start[who[again]]) / 86_400e6)
    known = np.isfinite(amounts) & (amounts >= 0)
    # Smallest first, so that the order of events changes no bit of a sum.
    order = np.lexsort((amounts[known], who[known]))
    payers, paid = who[known][order], amounts[known][order]
    n_orders = np.bincount(payers, minlength=len(customers)).astype(np.float64)
    sums = np.bincount(payers, weights=paid, minlength=len(customers))
    squares = np.bincount(payers, weights=paid**2, minlength=len(customers)).astype(np.float64)
    own_means = np.divide(sums, n_orders, out=np.full(len(customers), np.nan), where=n_orders > 0)
    return Spending(customers, Purchases(counts, last, (end - start) / 86_400e6), n_orders, own_means, squares)


class Beliefs(NamedTuple):
    """What is believed in each possible future, shape (n_futures, n) each.

    Attributes:
        rates: purchases a day, yet to be divided by `PurchaseProcess.rate` + days seen.
        until_left: purchases until somebody leaves.
    """

    rates: FloatArray
    until_left: FloatArray


@dataclass(frozen=True, slots=True)
class CustomerValue:
    """The model.

    Attributes:
        process: how often customers buy.
        orders: what orders are worth.
        usual: geometric mean of each part of the value among the customers it was made from, to compare one with.
    """

    process: PurchaseProcess
    orders: OrderValue
    usual: tuple[float, float, float]

    def parts(self, spending: Spending, days: float) -> FloatArray:
        """Chance to be still there, purchases if there, and mean order; their product is the value, shape (n, 3)."""
        return self.parts_with(spending, self.process.purchases_if_there(spending.seen, days))

    def parts_with(self, spending: Spending, purchases: FloatArray) -> FloatArray:
        """The same where the purchases if there are known, shape (n,)."""
        there, means = self.process.is_there(spending.seen), self.orders.means(spending.n_orders, spending.own_means)
        return np.stack([there, purchases, means], axis=1)

    def values(self, spending: Spending, days: float) -> FloatArray:
        """Expected spend of each customer within so many days, in money, shape (n,)."""
        found: FloatArray = self.parts(spending, days).prod(axis=1)
        return found

    def intervals(self, spending: Spending, days: float, seed: int) -> FloatArray:
        """Amounts between which a customer's spend lies with chance `CONFIDENCE`, shape (n, 2).

        Args:
            spending: what customers bought.
            days: the horizon.
            seed: of the possible futures, which are the same for all customers: who else is in the table changes nothing.
        """
        futures = Futures.drawn(seed)
        n_customers = len(spending.customers)
        found = np.empty((n_customers, 2))
        for start in range(0, n_customers, _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            some = _part(spending, part)
            counts, places = np.unique(some.seen.counts, return_inverse=True)
            believed = Beliefs(*(one[:, places] for one in self.beliefs(futures, counts)))
            found[part] = self.interval_of(futures, believed, some, days)
        return found

    def beliefs(self, futures: Futures, counts: FloatArray) -> Beliefs:
        """What is believed in each future of customers with so many purchases."""
        process = self.process
        leaves = betaincinv(process.leave, process.stay + counts + 1.0, futures.leave[:, None])
        # The purchase after which somebody leaves is still one.
        until_left = np.ceil(np.log(futures.turn[:, None]) / np.log1p(-np.clip(leaves, 1e-9, 1.0 - 1e-9)))
        return Beliefs(gammaincinv(process.shape + counts, futures.rate[:, None]), until_left)

    def interval_of(self, futures: Futures, believed: Beliefs, spending: Spending, days: float) -> FloatArray:
        """`intervals` with what is believed of each customer, whose columns stand in the order of customers."""
        tail = (1.0 - CONFIDENCE) / 2.0
        return np.quantile(self._spends(futures, believed, spending, days), (tail, 1.0 - tail), axis=0).T

    def _spends(self, futures: Futures, believed: Beliefs, spending: Spending, days: float) -> FloatArray:
        """What each customer spends in each future, shape (n_futures, n_customers)."""
        process, orders = self.process, self.orders
        rates = believed.rates / (process.rate + spending.seen.ages)
        n = np.minimum(purchases_in(futures, rates * days), believed.until_left) * (
            futures.alive[:, None] < process.is_there(spending.seen)
        )
        spread = np.log1p((1.0 - orders.trust(spending.n_orders)) * orders.between / orders.mean**2) ** 0.5
        means = orders.means(spending.n_orders, spending.own_means)
        found: FloatArray = (
            futures.totals(n, orders.relative_variance)
            * means
            * np.exp(spread * futures.own[:, None] - spread**2 / 2.0)
        )
        return found

    def document(self) -> dict[str, Any]:
        """The model for JSON."""
        return {"process": asdict(self.process), "orders": asdict(self.orders), "usual": list(self.usual)}


def purchases_in(futures: Futures, expected: FloatArray) -> FloatArray:
    """Poisson counts with these means in each future, shape (n_futures, n_customers).

    The clock ticks up to `MOST_TICKED`, so that the work is bounded however much somebody bought. How often it ticks later does
    not hang on what it did before, and is a normal number of the same mean and variance, which every customer meets alike.

    Args:
        futures: to count in.
        expected: shape (n_futures, n_customers).

    >>> counts = purchases_in(Futures.drawn(0), np.full((256, 1), 1e6))
    >>> bool(abs(counts.mean() - 1e6) < 300.0), bool(0.8e6 < counts.var() < 1.2e6)
    (True, True)
    """
    ticked = np.minimum(expected, MOST_TICKED)
    counts, later = futures.purchases(ticked).astype(np.float64), expected - ticked
    if not later.any():
        return counts
    away = np.random.default_rng([futures.seed, 3]).normal(size=len(later))[:, None]
    found: FloatArray = counts + np.rint(np.maximum(later + later**0.5 * away, 0.0))
    return found


def fit_customer_value(spending: Spending, days: float) -> CustomerValue:
    """The model of customers' purchases so far.

    Args:
        spending: what they bought.
        days: the horizon at which the usual customer is told.

    Raises:
        UnusableEvents: if too few customers bought, or too few amounts are known.
    """
    process = fit_process(spending.seen)
    orders = fit_order_value(spending.n_orders, spending.own_means, spending.squares)
    model = CustomerValue(process, orders, (1.0, 1.0, 1.0))
    usual = np.exp(np.log(np.maximum(model.parts(spending, days), 1e-12)).mean(axis=0)).tolist()
    return CustomerValue(process, orders, (usual[0], usual[1], usual[2]))


def read_customer_value(document: Mapping[str, Any]) -> CustomerValue:
    """The model from its document.

    Raises:
        BrokenSnapshot: if it is not one that `document` wrote.
    """
    try:
        usual = [float(one) for one in document["usual"]]
        process, orders = PurchaseProcess(**_sizes(document["process"])), OrderValue(**_sizes(document["orders"]))
        return CustomerValue(process, orders, (usual[0], usual[1], usual[2]))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BrokenSnapshot(
            f"a model's file lacks {error}, or has something else there. It is not as it was written; make the models anew."
        ) from error


def _sizes(document: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of a part of the model, each of which is above 0."""
    found = {name: float(one) for name, one in dict(document).items()}
    wrong = [f"{name} {one:g}" for name, one in found.items() if not 0.0 < one < np.inf]
    if wrong:
        raise BrokenSnapshot(f"customer_value has {', '.join(wrong)}, need numbers above 0. Make the models anew.")
    return found


def _part(spending: Spending, part: slice) -> Spending:
    seen = Purchases(*(column[part] for column in spending.seen))
    return Spending(
        spending.customers[part], seen, spending.n_orders[part], spending.own_means[part], spending.squares[part]
    )
