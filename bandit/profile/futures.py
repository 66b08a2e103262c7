"""Possible futures of a customer, drawn once and met by everybody: what makes intervals of spend out of beliefs.

Each future is a point in a cube, one side a source of chance, and the arrivals of a clock that ticks at rate 1. Points lie
evenly (Sobol), so that few of them are as good as many drawn ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtri

from bandit.arrays import FloatArray

_LOG2_FUTURES: Final = 8
_N_FUTURES: Final = 2**_LOG2_FUTURES
_N_SIDES: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class Futures:
    """Positions in (0, 1) but for `own`, shape (n_futures,) each.

    Attributes:
        rate: of the customer's purchase rate among the rates it may be.
        leave: of the chance to leave.
        turn: decides after which purchase the customer leaves.
        alive: decides whether the customer is still there.
        orders: of the sum of the orders.
        own: how far the customer's mean order is from what is believed, as a standard normal number.
        seed: of the clocks.
    """

    rate: FloatArray
    leave: FloatArray
    turn: FloatArray
    alive: FloatArray
    orders: FloatArray
    own: FloatArray
    seed: int

    @classmethod
    def drawn(cls, seed: int) -> Futures:
        """The futures of a seed.

        >>> Futures.drawn(0).rate.shape
        (256,)
        """
        from scipy.stats import qmc  # noqa: PLC0415 - a second to load, and only values need it

        points = qmc.Sobol(_N_SIDES, rng=np.random.default_rng([seed, 1])).random_base2(_LOG2_FUTURES)
        rate, leave, turn, alive, orders, own = np.clip(points, 1e-6, 1.0 - 1e-6).T
        return cls(rate, leave, turn, alive, orders, ndtri(own), seed)

    def purchases(self, expected: FloatArray) -> NDArray[np.int64]:
        """Poisson counts with these means, shape (n_futures, n_customers): ticks of each future's clock by then."""
        ticks = self.ticks(enough_ticks(expected))
        return np.stack([np.searchsorted(clock, means) for clock, means in zip(ticks, expected, strict=True)])

    def ticks(self, n: int) -> FloatArray:
        """The first n ticks of each future's clock, shape (n_futures, n); the first ones are the same whatever n."""
        found: FloatArray = np.random.default_rng([self.seed, 2]).exponential(size=(n, _N_FUTURES)).cumsum(axis=0).T
        return found

    def totals(self, n: FloatArray, relative_variance: float) -> FloatArray:
        """The sum of n orders of mean 1, which are Gamma distributed, shape (n_futures, n_customers)."""
        counts, places = np.unique(n, return_inverse=True)
        sums = self.totals_of(counts, relative_variance)
        found: FloatArray = np.take_along_axis(sums, places.reshape(n.shape), axis=1)
        return found

    def totals_of(self, counts: FloatArray, relative_variance: float) -> FloatArray:
        """The sum of so many orders in each future, shape (n_futures, n_counts)."""
        ratio = max(relative_variance, 1e-9)
        sums: FloatArray = gammaincinv(np.maximum(counts, 1.0) / ratio, self.orders[:, None]) * ratio
        sums[:, counts == 0] = 0.0
        return sums


def enough_ticks(expected: FloatArray) -> int:
    """Ticks of a clock at rate 1 that lie beyond all of these times, with ten standard deviations to spare."""
    most = float(expected.max(initial=0.0))
    return int(most + 10.0 * most**0.5 + 20.0)
