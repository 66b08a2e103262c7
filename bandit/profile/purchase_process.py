"""How often a customer will buy: buyers who each have a rate, and stop for good after some purchase.

While there, a customer buys at a constant rate; at the start and after each purchase they leave with a chance of their own.
Rates are Gamma and chances Beta distributed among customers, so that what is believed of one is drawn towards everybody as
long as little was seen of them. Nobody says that they left: a long silence, by the customer's own rate, makes it likely.

Source: Batislam, Denizel and Filiztekin (2007), Empirical validation and comparison of models for customer base analysis
(MBG/NBD), after Fader, Hardie and Lee (2005), "Counting your customers" the easy way (BG/NBD). Written here because the
library that had it (lifetimes) is no longer kept, and the one that is (pymc-marketing) brings a sampler and needs Python 3.12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy.special import betaincinv, betaln, gammaln

from bandit.arrays import FloatArray
from bandit.errors import UnusableEvents

FEWEST_BUYERS: Final = 100
"""Customers who bought, without whom four numbers cannot be told."""
_N_POINTS: Final = 200
_WEAKEST_PULL: Final = 1e-3
"""Pull of each logarithm towards 0, so that there is a best value where the events leave one open."""


class Purchases(NamedTuple):
    """What is known of each customer, one entry each, in days.

    Attributes:
        counts: purchases after the first event; a purchase that is the first event is the start.
        last: days from the first event to the last of them; 0 where there is none.
        ages: days from the first event to now.
    """

    counts: FloatArray
    last: FloatArray
    ages: FloatArray


@dataclass(frozen=True, slots=True)
class PurchaseProcess:
    """The four numbers of the process, all above 0.

    Attributes:
        shape, rate: of the Gamma distribution of purchases a day.
        leave, stay: of the Beta distribution of the chance to leave after a purchase.
    """

    shape: float
    rate: float
    leave: float
    stay: float

    def log_likelihoods(self, seen: Purchases) -> FloatArray:
        """Of what was seen of each customer."""
        there, gone = self._parts(seen)
        common = gammaln(self.shape + seen.counts) - gammaln(self.shape) + self.shape * np.log(self.rate)
        found: FloatArray = common + np.logaddexp(there, gone)
        return found

    def is_there(self, seen: Purchases) -> FloatArray:
        """The chance of each customer not to have left.

        >>> process = PurchaseProcess(1.0, 40.0, 1.0, 3.0)
        >>> process.is_there(Purchases(np.array([5.0, 5.0]), np.array([95.0, 30.0]), np.array([100.0, 100.0]))).round(2).tolist()
        [0.87, 0.11]
        """
        there, gone = self._parts(seen)
        return np.exp(there - np.logaddexp(there, gone))

    def purchases_if_there(self, seen: Purchases, days: float) -> FloatArray:
        """Purchases to be expected of each customer within so many days, if they have not left.

        Somebody with rate l and chance p buys (1 - exp(-l p days)) / p times on average; that is averaged over what is believed
        of l (exactly) and of p (at the midpoints of slices of equal weight).
        """
        counts, places = np.unique(seen.counts, return_inverse=True)
        chances = self.leaving(counts)
        found = np.empty(len(seen.counts))
        for start in range(0, len(found), 5000):  # 5000 customers at a time: a megabyte for each array
            part = slice(start, start + 5000)
            some = Purchases(*(column[part] for column in seen))
            found[part] = self.purchases_leaving(some, days, chances[places[part]])
        return found

    def leaving(self, counts: FloatArray) -> FloatArray:
        """Chances to leave by purchases so far: midpoints of slices of equal weight, shape (n_counts, n_slices)."""
        slices = (np.arange(_N_POINTS) + 0.5) / _N_POINTS
        found: FloatArray = np.maximum(betaincinv(self.leave, self.stay + counts[:, None] + 1.0, slices[None, :]), 1e-9)
        return found

    def purchases_leaving(self, seen: Purchases, days: float, chances: FloatArray) -> FloatArray:
        """`purchases_if_there` with the `leaving` chances of each customer, shape (n_customers, n_slices)."""
        shapes, ages = self.shape + seen.counts, self.rate + seen.ages
        none_of = np.exp(-shapes[:, None] * np.log1p(chances * days / ages[:, None]))
        found: FloatArray = ((1.0 - none_of) / chances).mean(axis=1)
        return found

    def _parts(self, seen: Purchases) -> tuple[FloatArray, FloatArray]:
        """Log weights of still being there and of having left right after the last purchase."""
        shapes = self.shape + seen.counts
        start = betaln(self.leave, self.stay)
        there = betaln(self.leave, self.stay + seen.counts + 1.0) - start - shapes * np.log(self.rate + seen.ages)
        gone = betaln(self.leave + 1.0, self.stay + seen.counts) - start - shapes * np.log(self.rate + seen.last)
        return there, gone


def fit_process(seen: Purchases) -> PurchaseProcess:
    """The process under which what was seen is likeliest.

    Args:
        seen: customers, those without a purchase among them.

    Raises:
        UnusableEvents: if too few customers bought, or no best value is found.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - using the process does without

    n_buyers = int((seen.counts > 0).sum())
    if n_buyers < FEWEST_BUYERS:
        raise UnusableEvents(
            f"customer_value: {n_buyers} customers bought after their first event, and {FEWEST_BUYERS} are needed to tell how "
            "purchase rates differ. Wait for more purchases, or give a longer history."
        )
    unit = float(seen.ages.mean())

    def loss(logs: FloatArray) -> float:
        shape, rate, leave, stay = np.exp(logs).tolist()
        found = PurchaseProcess(shape, rate * unit, leave, stay).log_likelihoods(seen)
        return float(-found.mean() + _WEAKEST_PULL * np.square(logs).sum() / 2.0)

    best = minimize(loss, np.array([0.0, -1.0, 0.0, 1.0]), method="L-BFGS-B", bounds=[(-7.0, 7.0)] * 4)
    if not (best.success and np.isfinite(best.fun)):
        raise UnusableEvents(
            f"customer_value: no process of purchases fits these events ({best.message}). Look at the purchases: are there times "
            "that are wrong, or the same purchase many times?"
        )
    shape, rate, leave, stay = np.exp(best.x).tolist()
    return PurchaseProcess(shape, rate * unit, leave, stay)
