"""Every eligible arm alike: the random group, and what decides when there is no usable model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bandit.arrays import BoolArray, FloatArray, count_true
from bandit.estimates import Estimates, Need, Offer


@dataclass(frozen=True, slots=True)
class Uniform:
    """Probability 1 / K on each of the K eligible arms.

    See Also:
        Fixed: business as usual, for comparison; uniform traffic is the one that any other policy can be judged on.

    >>> import numpy as np
    >>> Uniform().pmf(Estimates(), np.array([True, False, True]), dimension=0).tolist()
    [0.5, 0.0, 0.5]
    """

    name: ClassVar[str] = "uniform"
    needs: ClassVar[Need] = Need.NOTHING

    def shares(self, offer: Offer) -> list[float]:
        """1 / K each."""
        n_arms = len(offer.arms)
        return [1.0 / n_arms] * n_arms

    def pmf(self, estimates: Estimates, eligible: BoolArray, *, dimension: int) -> FloatArray:
        """Shape (..., n_arms): 1 / K where eligible, 0 elsewhere."""
        del estimates, dimension
        shares: FloatArray = eligible / count_true(eligible)
        return shares
