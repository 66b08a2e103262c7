"""One fixed arm per dimension: business as usual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandit.arrays import BoolArray, FloatArray
from bandit.estimates import Estimates, Need, Offer
from policies.uniform import Uniform


@dataclass(frozen=True, slots=True)
class Fixed:
    """All probability on one arm of each dimension; where a rule has removed it, uniform over what is left.

    Args:
        picks: the arm's position in each dimension, in file order.

    Caution: its propensities are 1, so a log of nothing else can answer questions about nothing else.

    >>> Fixed((2,)).pmf(Estimates(), np.array([True, True, True]), dimension=0).tolist()
    [0.0, 0.0, 1.0]
    """

    picks: tuple[int, ...]
    name: str = "fixed"

    @property
    def needs(self) -> Need:
        """Nothing: it does not look at the estimates."""
        return Need.NOTHING

    def shares(self, offer: Offer) -> list[float]:
        """1 at the fixed arm if it is on offer."""
        pick = self.picks[offer.dimension]
        if pick not in offer.arms:
            return Uniform().shares(offer)
        return [float(arm == pick) for arm in offer.arms]

    def pmf(self, estimates: Estimates, eligible: BoolArray, *, dimension: int) -> FloatArray:
        """Shape (..., n_arms): 1 at the fixed arm where it is eligible."""
        pick = self.picks[dimension]
        certain = np.zeros(eligible.shape)
        certain[..., pick] = 1.0
        if eligible[..., pick].all():
            return certain
        spread = Uniform().pmf(estimates, eligible, dimension=dimension)
        return np.where(eligible[..., pick, None], certain, spread)
