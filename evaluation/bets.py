"""Bets on scores: the wealth of gamblers who think that a mean is higher, and the bounds that follow from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import numpy as np
import scipy
from numpy.typing import NDArray

from bandit.arrays import FloatArray

PRECISION = 1e-10
"""Of a bound, on the scale where rewards are in [0, 1]."""


@dataclass(frozen=True, slots=True, eq=False)
class Bets:
    """What is staked on every score.

    Attributes:
        scores: shape (n,), or (n_gamblers, n) where gamblers bet on different ones.
        least: the least that each score could be, of the same shape.
        stakes: shape (n_gamblers, n), by what was known before each score, and before any cap.
        largest_loss: share of the wealth that may be lost on one score.
        lowest: the least that the mean can be; it can be 1 at most.
    """

    scores: FloatArray
    least: FloatArray
    stakes: FloatArray
    largest_loss: float
    lowest: float = 0.0

    def log_wealth(self, mean: float, n: int, start: int = 0) -> float:
        """Largest log wealth after any of the rows start + 1 to n, had all gamblers bet on scores above `mean`.

        >>> bets = Bets(np.ones(4), np.zeros(4), np.ones((1, 4)), largest_loss=0.5)
        >>> round(float(np.exp(bets.log_wealth(0.5, 4))), 4)
        5.0625
        """
        with np.errstate(divide="ignore"):  # where a score cannot fall below the mean there is no cap
            stakes = np.minimum(self.stakes[:, :n], self.largest_loss / (mean - self.least[..., :n]))
        paths = np.cumsum(np.log1p(stakes * (self.scores[..., :n] - mean)), axis=1)[:, start:]
        best = paths.max(axis=0)
        # Only there can the mean of all gamblers be largest: it is at least a part of the best one's wealth, at most all.
        near = best >= best.max() - log(len(paths))
        return float(scipy.special.logsumexp(paths[:, near], axis=0).max()) - log(len(paths))

    def bounds(self, looks: NDArray[np.int64], wanted: float, beyond: Callable[[int], float]) -> FloatArray:
        """Lower bound of the mean score at each look: the largest mean at which log wealth of `wanted` was reached.

        Args:
            looks: shape (n_looks,), never falling numbers of rows.
            wanted: log wealth that rules a mean out.
            beyond: after so many rows even a mean of 1 is ruled out: the bound then, or a refusal.
        """
        found, start, bound = np.zeros(len(looks)), 0, self.lowest
        for at, n in enumerate(looks.tolist()):
            found[at] = bound = self._bound(n, start, bound, wanted, beyond) if n > start else bound
            start = n
        return found

    def _bound(self, n: int, start: int, before: float, wanted: float, beyond: Callable[[int], float]) -> float:
        def excess(mean: float) -> float:
            return self.log_wealth(mean, n, start) - wanted

        # Wealth falls as the mean rises: there is one root, and none if the rows since the last look ruled out nothing.
        if excess(before) <= 0:
            return before
        if excess(1.0) > 0:
            return beyond(n)
        root = float(scipy.optimize.brentq(excess, before, 1.0, xtol=PRECISION, rtol=PRECISION))
        return max(before, root - 2 * PRECISION)
