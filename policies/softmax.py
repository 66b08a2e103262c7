"""Softmax on the learner's scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import scipy  # its parts are loaded when first used: `special` alone takes as long as all else of a command

from bandit.arrays import BoolArray, FloatArray
from bandit.estimates import Estimates, Need, Offer
from bandit.options import check_options, option


@dataclass(frozen=True, slots=True)
class Softmax:
    """Probability proportional to exp(score / temperature).

    Caution: temperature is in reward units; at e-mail's rates, gaps are thousandths, so a temperature of 1 is uniform.

    See Also:
        SquareCB: keeps exploring arms whose scores are close, however far both are from 0.

    >>> import numpy as np
    >>> Softmax(0.1).pmf(Estimates(np.array([0.1, 0.0])), np.array([True, True]), dimension=0).round(3)
    array([0.731, 0.269])
    """

    temperature: float = option(
        0.01, "reward units by which an arm must lead to be e times as likely", low=1e-9, searched=(3e-4, 0.03)
    )

    name: ClassVar[str] = "softmax"
    needs: ClassVar[Need] = Need.SCORES

    def __post_init__(self) -> None:
        check_options(self)

    def shares(self, offer: Offer) -> list[float]:
        """Softmax over the arms on offer."""
        scores = offer.scored()
        best = max(scores)
        weights = [math.exp((score - best) / self.temperature) for score in scores]
        total = sum(weights)
        return [weight / total for weight in weights]

    def pmf(self, estimates: Estimates, eligible: BoolArray, *, dimension: int) -> FloatArray:
        """Shape (..., n_arms): softmax over the eligible arms."""
        del dimension
        scores, _ = estimates.offered(eligible)
        # Gaps before the division, as in `shares`: the scores themselves may be too large to be divided without loss.
        gaps = scores - scores.max(axis=-1, keepdims=True)
        probabilities: FloatArray = scipy.special.softmax(gaps / self.temperature, axis=-1)
        return probabilities
