"""Epsilon-greedy on the learner's scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bandit.arrays import BoolArray, FloatArray, count_true
from bandit.estimates import Estimates, Need, Offer
from bandit.options import check_options, option


@dataclass(frozen=True, slots=True)
class EpsilonGreedy:
    """Probability 1 - epsilon on the best arms (ties share it), epsilon spread over all eligible arms.

    See Also:
        SquareCB: explores near-ties more and clear losers less; usually the better choice.

    Source: Sutton and Barto (2018), Reinforcement Learning, section 2.2.

    >>> EpsilonGreedy(0.1).pmf(Estimates(np.array([0.2, 0.1])), np.array([True, True]), dimension=0).round(3).tolist()
    [0.95, 0.05]
    """

    epsilon: float = option(0.1, "share of the draws that are uniform", high=1.0, searched=(0.0, 0.3))

    name: ClassVar[str] = "epsilon-greedy"
    needs: ClassVar[Need] = Need.SCORES

    def __post_init__(self) -> None:
        check_options(self)

    def shares(self, offer: Offer) -> list[float]:
        """Greedy plus epsilon."""
        scores = offer.scored()
        least, spread = max(scores) - offer.tie * offer.spread, self.epsilon / len(scores)
        winners = [score >= least for score in scores]
        greedy = (1.0 - self.epsilon) / max(winners.count(True), 1)
        return [spread + greedy if wins else spread for wins in winners]

    def pmf(self, estimates: Estimates, eligible: BoolArray, *, dimension: int) -> FloatArray:
        """Shape (..., n_arms): greedy plus epsilon."""
        del dimension
        scores, n_eligible = estimates.offered(eligible)
        best = scores >= np.maximum.reduce(scores, axis=-1, keepdims=True) - estimates.tie * estimates.spread
        greedy = best / count_true(best)
        mixed: FloatArray = (1.0 - self.epsilon) * greedy + (self.epsilon / n_eligible) * eligible
        return mixed
