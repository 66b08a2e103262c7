"""The model of customer value made ready for one customer at a time.

What depends on how often a customer bought, and on nothing else of them, is worked out once for each such number and kept:
inverse Gamma and Beta distributions in all possible futures are nearly all the work. The numbers have the bits of a table's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bandit.arrays import FloatArray
from bandit.profile.customer_value import Beliefs, CustomerValue, Spending
from bandit.profile.futures import Futures, enough_ticks
from bandit.profile.past import Purchase
from bandit.profile.purchase_process import Purchases

REMEMBERED: Final = 1024
"""Numbers of purchases, and of orders, of which what was worked out is kept; each takes 2 to 6 kilobytes."""
COMMON: Final = 24
"""Numbers of purchases, and of orders, from 0 on, that are worked out before anybody asks."""
_MOST_TICKS: Final = 1000
_DAY: Final = 86_400e6
_NOBODY: Final = pd.Index([""], dtype=object)


@dataclass(frozen=True, slots=True, eq=False)
class RememberedFutures(Futures):
    """Futures that one customer after another meets, and that remember what they were asked.

    Attributes:
        clocks: the first ticks of each future's clock, shape (n_futures, n).
        sums: by number of orders and relative variance, their sum in each future, shape (n_futures,).
    """

    clocks: FloatArray
    sums: dict[tuple[float, float], FloatArray]

    @classmethod
    def of(cls, futures: Futures) -> RememberedFutures:
        """The same futures, remembering."""
        same = {item.name: getattr(futures, item.name) for item in fields(futures)}
        return cls(**same, clocks=np.ascontiguousarray(futures.ticks(_MOST_TICKS)), sums={})

    def purchases(self, expected: FloatArray) -> NDArray[np.int64]:
        """Poisson counts with these means of one customer, shape (n_futures, 1)."""
        n = enough_ticks(expected)
        if n > _MOST_TICKS:
            return Futures.purchases(self, expected)
        found: NDArray[np.int64] = (self.clocks[:, :n] < expected).sum(axis=1, keepdims=True)
        return found

    def totals_of(self, counts: FloatArray, relative_variance: float) -> FloatArray:
        """The sum of so many orders in each future, shape (n_futures, n_counts)."""
        return np.stack([self._total(count, relative_variance) for count in counts.tolist()], axis=1)

    def _total(self, count: float, relative_variance: float) -> FloatArray:
        found = self.sums.get((count, relative_variance))
        if found is None:
            if len(self.sums) >= REMEMBERED:
                self.sums.clear()
            found = Futures.totals_of(self, np.array([count]), relative_variance)[:, 0]
            self.sums[count, relative_variance] = found
        return found


class CompiledValue:
    """The value of one customer, and between which amounts their spend mostly lies.

    Args:
        model: made before.
        days: the horizon.
        seed: of the possible futures.
    """

    def __init__(self, model: CustomerValue, days: float, seed: int) -> None:
        self._model, self._days = model, days
        self._futures = RememberedFutures.of(Futures.drawn(seed))
        self._known = lru_cache(maxsize=REMEMBERED)(self._worked_out)
        for count in range(COMMON):
            self._known(float(count))
        self._futures.totals_of(np.arange(float(COMMON)), model.orders.relative_variance)

    def numbers(self, born: int, at: int, purchases: Sequence[Purchase]) -> tuple[float, float, float]:
        """The value, and the lower and upper amount.

        Beside a look at each purchase the work is bounded: futures count no more than `MOST_TICKED` purchases one by one.

        Args:
            born: time of the customer's first event, in microseconds since 1970.
            at: the time, later.
            purchases: before it, in any order.
        """
        spending = _spending(born, at, purchases)
        believed, leaving = self._known(float(spending.seen.counts[0]))
        bought = self._model.process.purchases_leaving(spending.seen, self._days, leaving)
        value = self._model.parts_with(spending, bought).prod(axis=1)
        ends = self._model.interval_of(self._futures, believed, spending, self._days)
        return float(value[0]), float(ends[0, 0]), float(ends[0, 1])

    def _worked_out(self, count: float) -> tuple[Beliefs, FloatArray]:
        counts = np.array([count])
        return self._model.beliefs(self._futures, counts), self._model.process.leaving(counts)


def _spending(born: int, at: int, purchases: Sequence[Purchase]) -> Spending:
    """What `spending_at` makes of one customer."""
    again = [moment for moment, _ in purchases if moment > born]
    last = max(((moment - born) / _DAY for moment in again), default=0.0)
    paid = np.array(sorted(amount for _, amount in purchases if amount is not None and 0.0 <= amount < np.inf))
    # Added one by one from the smallest on, as `np.bincount` adds them.
    total = float(np.add.accumulate(paid)[-1]) if len(paid) else 0.0
    own_mean = total / len(paid) if len(paid) else np.nan
    seen = Purchases(np.array([float(len(again))]), np.array([last]), np.array([(at - born) / _DAY]))
    return Spending(_NOBODY, seen, np.array([float(len(paid))]), np.array([own_mean]), np.array([np.nan]))
