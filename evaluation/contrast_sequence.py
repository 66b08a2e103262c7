"""Confidence sequences of a difference of arms, on a learner's own traffic, that may be looked at after every send.

A gambler who thinks that the difference is above m stakes on every score in turn, by what is known before the draw. If the
difference is m or less, wealth of 2 / alpha is reached with probability at most alpha / 2, ever; so every m at which it was
reached is ruled out. Wealth is read every 16 sends, and at each look: reading it less often misses, but never invents, evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import exp, log

import numpy as np
import scipy
from numpy.typing import ArrayLike

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import UnusableLog
from evaluation.arm_scores import Numbers
from evaluation.contrast_scores import ContrastScores, Weighting
from evaluation.empirical_bernstein import ConfidenceSequence, in_order
from evaluation.intervals import require_level
from evaluation.looks import checked_looks, horizons

UNPLANNED = (1e3, 8e3, 64e3, 512e3)
"""Sends. Without a plan the stake is divided among gamblers who plan for these; it costs about a quarter of the width."""

PRIOR_ROWS = 200
"""Sends that the rough variance of a score counts for; while rewards are few it knows more than the scores do."""

LARGEST_LOSS = 0.75
"""Share of the wealth that may be lost on one send."""

BLOCK = 16
"""Sends whose wealth factors are multiplied before one logarithm is taken."""

BLOCKS_AT_ONCE = 2048
"""So many that what is computed of them stays in the processor's cache."""

TINIEST = 1e-300
"""Room to lose that is read as none."""

PRECISION = 1e-9
"""Of a bound, on the scale where rewards are in [0, 1]."""


def contrast_sequence(
    scores: ContrastScores,
    weighting: Weighting = Weighting.OVERLAP,
    confidence_level: float = 0.95,
    *,
    planned: int | None = None,
    looks: ArrayLike | None = None,
) -> ConfidenceSequence:
    """How much more one arm earns than another, or than the rest, valid however often somebody looks.

    Args:
        scores: of the contrast, in the order in which sends were decided.
        weighting: which sends count how much; named in the result's method.
        confidence_level: in (0, 1), of both bounds at all looks together.
        planned: sends of this contrast after which the bounds shall be narrowest, settled before the first look; None
            if unsettled.
        looks: shape (n_looks,), rising numbers of sends of this contrast after which to give bounds; None for all.

    Returns:
        The bounds at each look, in reward units. Each look uses every send before it, looked at or not.

    Raises:
        UnusableLog: if the bounds contradict each other, or lie beyond every possible difference.
        InvalidSettings: if another argument is out of range.

    Caution: the bounds are of one difference that holds throughout, or, where it varies with customers, of its weighted mean
    as long as that stays; where it drifts, the lower bound is of the largest and the upper of the least it was.

    Source: Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro (2022), Anytime-valid off-policy inference for contextual
    bandits; stakes tuned to a horizon, and with overlap weights divided by the score's own noise.

    >>> from evaluation.arm_scores import ArmRows, arm_scores
    >>> from evaluation.contrast_scores import pair_scores
    >>> rows = ArmRows.of([[0.5, 0.5]] * 400, drawn=[0, 1] * 200, rewards=[1, 0, 0, 0] * 100)
    >>> answer = contrast_sequence(pair_scores(arm_scores(rows), 0, 1), planned=400)
    >>> round(answer.ci_lower, 2), round(answer.ci_upper, 2)
    (0.4, 0.6)
    """
    require_level(confidence_level)
    ends, half = checked_looks(looks, len(scores.scores)), (1 - confidence_level) / 2
    stakes = _stakes(scores, scores.weights(weighting), half, horizons(planned, UNPLANNED))
    lower = _Bets.of(scores.scores, scores.lowest, stakes).bounds(ends, log(1 / half))
    upper = -_Bets.of(-scores.scores, -scores.highest, stakes).bounds(ends, log(1 / half))
    return in_order(ends, scores.width * lower, scores.width * upper, f"betting sequence, {weighting}-weighted")


def _stakes(scores: ContrastScores, weights: FloatArray, half: float, plans: tuple[float, ...]) -> FloatArray:
    """What each gambler would stake on each score before any cap, in blocks, shape (n_gamblers, BLOCK, n_blocks).

    weight * sqrt(2 ln(1/half) / (plan * v)), where v is the mean square of the weighted scores known before each send, and
    of PRIOR_ROWS sends of the rough variance.
    """
    rough = scores.spread * scores.noise * weights**2
    squares = np.concatenate(([0.0], np.cumsum((weights * scores.scores) ** 2)))[scores.known]
    stakes = weights * np.sqrt(2 * log(1 / half) * (PRIOR_ROWS + scores.known) / (PRIOR_ROWS * rough + squares))
    return np.asarray(_in_blocks(stakes) / np.sqrt(np.array(plans))[:, np.newaxis, np.newaxis], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Bets:
    """Scores to bet on and the least each could be, in blocks, and the stakes of each gambler.

    Attributes:
        scores: shape (BLOCK, n_blocks).
        least: shape (BLOCK, n_blocks).
        stakes: shape (n_gamblers, BLOCK, n_blocks).
        risky: shape (n_blocks,), whether some stake is so large that some difference caps it.
    """

    scores: FloatArray
    least: FloatArray
    stakes: FloatArray
    risky: BoolArray

    @classmethod
    def of(cls, scores: FloatArray, least: FloatArray, stakes: FloatArray) -> _Bets:
        """Of scores and least scores of shape (n,), and stakes in blocks."""
        lows = _in_blocks(least)
        risky = (stakes.max(axis=0) * (1 - lows) > LARGEST_LOSS).any(axis=0)
        return cls(_in_blocks(scores), lows, stakes, risky)

    def bounds(self, looks: Numbers, wanted: float) -> FloatArray:
        """Lower bound of the mean score at each look: the largest difference at which log wealth of `wanted` was reached."""
        found, bound = np.empty(len(looks)), -1.0
        for at, n in enumerate(looks.tolist()):
            found[at] = bound = self._bound(n, bound, wanted)
        return found

    def log_wealth(self, difference: float, n: int) -> float:
        """Largest log wealth of all gamblers together, after any whole block of the first n sends and after all n."""
        whole, left = divmod(n, BLOCK)
        factors = np.empty((len(self.stakes), whole + 1))
        for start in range(0, whole, BLOCKS_AT_ONCE):
            blocks = slice(start, min(start + BLOCKS_AT_ONCE, whole))
            self._multiply(difference, slice(None), blocks, factors)
        # A look need not fall on the end of a block.
        self._multiply(difference, slice(left), slice(whole, whole + 1), factors)
        paths = np.cumsum(np.log(factors, out=factors), axis=1)
        best = paths.max(axis=0)
        if len(paths) > 1:
            best += np.log(np.exp(paths - best).mean(axis=0))
        return float(best.max())

    def _multiply(self, difference: float, sends: slice, blocks: slice, factors: FloatArray) -> None:
        """Write each gambler's wealth factors of some blocks, the product over some sends of each."""
        gains, cap = self.scores[sends, blocks] - difference, None
        if self.risky[blocks].any():
            # Where a score cannot fall below the difference there is no cap.
            cap = difference - self.least[sends, blocks]
            np.divide(LARGEST_LOSS, np.maximum(cap, TINIEST, out=cap), out=cap)
        for gambler, stakes in enumerate(self.stakes[:, sends, blocks]):
            each = gains * (stakes if cap is None else np.minimum(stakes, cap))
            each += 1.0
            np.multiply.reduce(each, axis=0, out=factors[gambler, blocks])

    def _bound(self, n: int, before: float, wanted: float) -> float:
        @cache
        def excess(difference: float) -> float:
            return self.log_wealth(difference, n) - wanted

        # Wealth falls as the difference rises: there is one root, and none if the sends ruled out nothing more.
        low, high = _bracket(excess, *self._guess(n, wanted), before)
        if excess(low) <= 0:
            return before
        if excess(high) > 0:
            raise UnusableLog(
                f"the first {n} sends say that the difference lies beyond every possible one, as at most {exp(-wanted):.3g} of "
                "honest logs do. No bound from them means anything: run the audits of propensities and sample ratio, and if "
                "all is well start again with later sends."
            )
        root = float(scipy.optimize.brentq(excess, low, high, xtol=PRECISION, rtol=PRECISION))
        return max(before, root - 2 * PRECISION)

    def _guess(self, n: int, wanted: float) -> tuple[float, float]:
        """About where the bound is, and about how far from there it may be: log(1 + x) is nearly x - x^2 / 2."""
        blocks = slice(0, -(-n // BLOCK))
        # Gamblers stake in proportion to each other, so one is enough to know of all.
        share = self.stakes[:, 0, 0] / self.stakes[0, 0, 0]
        bets = self.stakes[0, :, blocks] * self.scores[:, blocks]
        needed, staked = wanted + log(len(share)), share * float(self.stakes[0, :, blocks].sum())
        guesses = (share * bets.sum() - share**2 * float(np.vdot(bets, bets)) / 2 - needed) / staked
        best = int(guesses.argmax())
        return float(guesses[best]), 0.1 * needed / float(staked[best])


def _bracket(excess: Callable[[float], float], guess: float, step: float, least: float) -> tuple[float, float]:
    """Differences in [least, 1] between which the root is, or else the two ends nearest to it."""
    low = min(max(guess - step, least), 1.0)
    high = low
    while low > least and excess(low) <= 0:
        low, high, step = max(low - step, least), low, 4 * step
    while high < 1.0 and excess(high) > 0:
        low, high, step = high, min(high + 2 * step, 1.0), 4 * step
    return low, high


def _in_blocks(values: FloatArray) -> FloatArray:
    """Columns of BLOCK sends, filled up with zeros, at least one of them not full."""
    n_blocks = len(values) // BLOCK + 1
    filled = np.zeros(n_blocks * BLOCK)
    filled[: len(values)] = values
    return np.ascontiguousarray(filled.reshape(n_blocks, BLOCK).T)
