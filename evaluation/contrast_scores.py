"""Contrast scores: one arm against another, or against the rest, on each send where the question makes sense."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.arm_scores import ArmScores, Numbers


class Weighting(StrEnum):
    """Which sends count how much in a difference of arms."""

    OVERLAP = "overlap"
    """By how well a send can tell the arms apart: 1 / sqrt(sum of c^2 / p). Narrower; the effect on such sends."""

    PLAIN = "plain"
    """All the same. Wider; the effect on all sends in which the arms were eligible."""


@dataclass(frozen=True, slots=True, eq=False)
class ContrastScores:
    """Scores of one contrast, sum over arms of c_a * score(a), on the sends in which its arms were eligible.

    Attributes:
        scores: shape (n,), between `lowest` and `highest`, on the scale where the reward range is [0, 1].
        lowest, highest: shape (n,), what the score could have been, known before the draw.
        noise: shape (n,), sum over arms of c_a^2 / p_a: the variance of a score in units of a reward's.
        spread: shape (n,), rough variance of a reward, known before the draw.
        pulls: shape (n,), c of the drawn arm / its probability: above 0 for the first arm, below for those it is held
            against, 0 for others.
        rewards: shape (n,), scaled to [0, 1].
        customers: shape (n,), a number for each customer.
        known: shape (n,), how many of these first rows had their reward before each was decided.
        rows: shape (n,), where these sends stand in the log.
        reward_range: least and largest possible reward, in reward units.
        rewarded: shape (n,), whether the outcomes were worth anything.
    """

    scores: FloatArray
    lowest: FloatArray
    highest: FloatArray
    noise: FloatArray
    spread: FloatArray
    pulls: FloatArray
    rewards: FloatArray
    customers: Numbers
    known: Numbers
    rows: Numbers
    reward_range: tuple[float, float]
    rewarded: BoolArray

    @property
    def width(self) -> float:
        """Reward units between the least and the largest possible reward."""
        return self.reward_range[1] - self.reward_range[0]

    def weights(self, weighting: Weighting) -> FloatArray:
        """Shape (n,), what each send counts; known before the draw."""
        if weighting is Weighting.PLAIN:
            return np.ones(len(self.scores))
        return np.asarray(1 / np.sqrt(self.noise), dtype=np.float64)


def pair_scores(scores: ArmScores, first: int, second: int) -> ContrastScores:
    """One arm minus another, on the sends in which both were eligible.

    Args:
        scores: of all arms.
        first: index of the arm asked about.
        second: index of the arm it is held against.

    Returns:
        score(first) - score(second); c is 1 and -1.

    Raises:
        UnusableLog: if no send could have had both.
        InvalidSettings: if an index is out of range, or both are the same.

    >>> from evaluation.arm_scores import ArmRows, arm_scores
    >>> found = pair_scores(arm_scores(ArmRows.of([[0.5, 0.5], [0.2, 0.8]], drawn=[0, 0], rewards=[1, 0])), 0, 1)
    >>> found.scores.round(3).tolist(), found.noise.tolist()
    ([1.0, -3.798], [4.0, 6.25])
    """
    _require_arms(scores, first, second)
    pmfs, estimates, drawn = scores.rows.pmfs, scores.estimates, scores.rows.drawn
    kept = _kept((pmfs[:, first] > 0) & (pmfs[:, second] > 0), f"arms {first} and {second} were never both eligible")
    p_first, p_second = pmfs[kept, first], pmfs[kept, second]
    e_first, e_second, arms = estimates[kept, first], estimates[kept, second], drawn[kept]
    gap, inverse_first, inverse_second = e_first - e_second, 1 / p_first, 1 / p_second
    return _contrast(
        scores,
        kept,
        coefficients=(arms == first).astype(np.float64) - (arms == second),
        gap=gap,
        lowest=gap - np.maximum(e_first * inverse_first, (1 - e_second) * inverse_second),
        highest=gap + np.maximum((1 - e_first) * inverse_first, e_second * inverse_second),
        noise=inverse_first + inverse_second,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """What all arms together say in each row, from which one arm's contrast with the others follows; make it with `of`.

    Attributes:
        scores: of all arms.
        n_eligible: shape (n,), eligible arms.
        estimates: shape (n,), sum of their estimates.
        inverse: shape (n,), sum of 1 / p of them.
        losses: largest and second largest (1 - estimate) / p of them.
        gains: largest and second largest estimate / p of them.
    """

    scores: ArmScores
    n_eligible: FloatArray
    estimates: FloatArray
    inverse: FloatArray
    losses: _LargestTwo
    gains: _LargestTwo

    @classmethod
    def of(cls, scores: ArmScores) -> Rest:
        """Sum up every row once, for all arms."""
        n, n_arms = scores.estimates.shape
        n_eligible, estimates, inverse = np.zeros(n), np.zeros(n), np.zeros(n)
        losses, gains = _LargestTwo.none(n), _LargestTwo.none(n)
        for arm in range(n_arms):
            probability, estimate = scores.rows.pmfs[:, arm], scores.estimates[:, arm]
            eligible = probability > 0
            each = np.divide(1.0, probability, out=np.zeros(n), where=eligible)
            n_eligible += eligible
            estimates += np.where(eligible, estimate, 0.0)
            inverse += each
            losses.put((1 - estimate) * each)
            gains.put(estimate * each)
        return cls(scores, n_eligible, estimates, inverse, losses, gains)

    def against(self, first: int) -> ContrastScores:
        """One arm minus the mean of the other eligible arms, on the sends in which it and another were eligible.

        Args:
            first: index of the arm asked about.

        Returns:
            score(first) - mean of the others' scores; c is 1, and -1 / (eligible arms - 1) for each of the others.

        Raises:
            UnusableLog: if no send could have had this arm and another.
            InvalidSettings: if the index is out of range.

        Caution: where eligibility differs between sends, so do the others that an arm is held against.
        """
        _require_arms(self.scores, first)
        pmfs, drawn = self.scores.rows.pmfs, self.scores.rows.drawn
        eligible = (pmfs[:, first] > 0) & (self.n_eligible > 1)
        kept = _kept(eligible, f"arm {first} was never eligible together with another")
        share, estimate, inverse = (
            1 / (self.n_eligible[kept] - 1),
            self.scores.estimates[kept, first],
            1 / pmfs[kept, first],
        )
        gap = estimate - (self.estimates[kept] - estimate) * share
        loss, gain = estimate * inverse, (1 - estimate) * inverse
        return _contrast(
            self.scores,
            kept,
            coefficients=np.where(drawn[kept] == first, 1.0, -share),
            gap=gap,
            lowest=gap - np.maximum(loss, share * self.losses.without(gain, kept)),
            highest=gap + np.maximum(gain, share * self.gains.without(loss, kept)),
            noise=inverse + share**2 * (self.inverse[kept] - inverse),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _LargestTwo:
    """Of each row, among the values put in so far; values are >= 0."""

    first: FloatArray
    second: FloatArray

    @classmethod
    def none(cls, n: int) -> _LargestTwo:
        return cls(np.zeros(n), np.zeros(n))

    def put(self, values: FloatArray) -> None:
        np.maximum(self.second, np.minimum(self.first, values), out=self.second)
        np.maximum(self.first, values, out=self.first)

    def without(self, values: FloatArray, kept: BoolArray | slice) -> FloatArray:
        """The largest among the others, of rows that are kept, where `values` were once put in."""
        return np.where(values >= self.first[kept], self.second[kept], self.first[kept])


def _contrast(
    scores: ArmScores,
    kept: BoolArray | slice,
    *,
    coefficients: FloatArray,
    gap: FloatArray,
    lowest: FloatArray,
    highest: FloatArray,
    noise: FloatArray,
) -> ContrastScores:
    rows = scores.rows
    at, known = np.arange(len(rows.drawn)), rows.known
    if isinstance(kept, np.ndarray):
        known = np.concatenate(([0], np.cumsum(kept)))[known[kept]]
    return ContrastScores(
        scores=gap + coefficients * scores.corrections[kept],
        lowest=lowest,
        highest=highest,
        noise=noise,
        spread=scores.spread[kept],
        pulls=coefficients / rows.pmfs[at[kept], rows.drawn[kept]],
        rewards=rows.rewards[kept],
        customers=rows.customers[kept],
        known=known,
        rows=at[kept],
        reward_range=rows.reward_range,
        rewarded=rows.rewarded[kept],
    )


def _kept(eligible: NDArray[np.bool_], never: str) -> BoolArray | slice:
    """The rows in which arms were eligible; all of them as a slice, which copies nothing."""
    if eligible.all():
        return slice(None)
    if not eligible.any():
        raise UnusableLog(
            f"{never}, so no send shows how they differ. Contrast arms that meet, or change the rules that remove them."
        )
    return eligible


def _require_arms(scores: ArmScores, *arms: int) -> None:
    n_arms = scores.estimates.shape[1]
    if len(set(arms)) < len(arms) or not all(0 <= arm < n_arms for arm in arms):
        raise InvalidSettings(
            f"arms are {list(arms)}, need different indices from 0 to {n_arms - 1}. An arm has no contrast with itself: pass "
            "positions in the campaign's arm order."
        )
