"""Inverse-gap weighting on the learner's scores (SquareCB)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bandit.arrays import BoolArray, FloatArray, count_true
from bandit.estimates import Estimates, Need, Offer
from bandit.options import check_options, option


@dataclass(frozen=True, slots=True)
class SquareCB:
    """Probability falls with the gap to the best score: 1 / (K + gamma_n * gap), the best arm takes the rest.

    gamma_n = gamma / spread * n_learned ** exponent: gaps are measured in standard deviations of the reward, and what was
    learned makes near-ties that are explored early settled late. Ties for the best share the rest.

    Caution: the regret bound of the paper is for a well-specified regression and its own schedule; this default was
    chosen by measurement at rewards of a few percent.

    Source: Foster and Rakhlin (2020), Beyond UCB: optimal and efficient contextual bandits with regression oracles.

    >>> SquareCB(gamma=100, exponent=0).pmf(Estimates(np.array([0.1, 0.0])), np.array([True, True]), dimension=0).round(4)
    array([0.9167, 0.0833])
    """

    gamma: float = option(
        1.5, "exploitation per standard deviation of the reward; larger explores less", searched=(0.3, 30.0)
    )
    exponent: float = option(
        1.0, "how fast gamma grows with the number of decisions learned from", high=1.0, searched=(0.4, 1.0)
    )

    name: ClassVar[str] = "squarecb"
    needs: ClassVar[Need] = Need.SCORES

    def __post_init__(self) -> None:
        check_options(self)

    def shares(self, offer: Offer) -> list[float]:
        """Inverse-gap weights."""
        scores = offer.scored()
        n_arms, best, gamma = len(scores), max(scores), self.gamma_at(offer.n_learned, offer.spread)
        shares = [1.0 / (n_arms + gamma * (best - score)) for score in scores]
        rest, least = 1.0 - sum(shares), best - offer.tie * offer.spread
        winners = [arm for arm, score in enumerate(scores) if score >= least]
        # Ties share the rest; NaN is at least nothing, and the pmf's check refuses what comes of it.
        for arm in winners:
            shares[arm] += rest / len(winners)
        return shares

    def gamma_at(self, n_learned: int, spread: float) -> float:
        """Exploitation per unit of reward after so many decisions learned from."""
        return self.gamma / spread * math.pow(max(n_learned, 1), self.exponent)

    def pmf(self, estimates: Estimates, eligible: BoolArray, *, dimension: int) -> FloatArray:
        """Shape (..., n_arms): inverse-gap weights."""
        del dimension
        scores, n_eligible = estimates.offered(eligible)
        best = np.maximum.reduce(scores, axis=-1, keepdims=True)
        shares: FloatArray = best - scores
        shares *= self.gamma_at(estimates.n_learned, estimates.spread)
        shares += n_eligible
        np.reciprocal(shares, out=shares)
        winners = scores >= best - estimates.tie * estimates.spread
        rest = 1.0 - np.add.reduce(shares, axis=-1, keepdims=True)
        shares += winners * (rest / count_true(winners))
        return shares
