"""Arm scores: what each arm of a dimension would have earned on each send, without bias, from logged probabilities.

score_t(a) = estimate_t(a) + 1{arm t is a} (reward_t - estimate_t(a)) / pmf_t(a): augmented inverse propensity weighting. The
estimates come from rewards that had arrived before the send was decided, so the probability with which an arm was drawn makes
every score right on average, however the learner came to that probability and however the base rate drifts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import UnusableLog
from evaluation.reward_range import scaled
from evaluation.sample_ratio import checked_draws, checked_pmfs

SHRINKAGE = 20
"""Sends of the overall mean that every arm's running mean begins with."""

Numbers = NDArray[np.int64]
"""Whole numbers; the shape stands in the docstring of whoever uses it."""


@dataclass(frozen=True, slots=True, eq=False)
class ArmRows:
    """Sends of one dimension whose arm was drawn by chance, in the order in which they were decided; make it with `of`.

    Attributes:
        pmfs: shape (n, n_arms), probability of each arm; 0 means not eligible.
        drawn: shape (n,), index of the drawn arm.
        rewards: shape (n,), matured, scaled so that `reward_range` is [0, 1].
        customers: shape (n,), a number for each customer.
        known: shape (n,), how many of the first rows had their reward before this one was decided.
        reward_range: least and largest possible reward, in reward units.
        rewarded: shape (n,), whether the outcomes were worth anything.

    Raises:
        UnusableLog: if the arrays have not one entry a send.
    """

    pmfs: FloatArray
    drawn: Numbers
    rewards: FloatArray
    customers: Numbers
    known: Numbers
    reward_range: tuple[float, float]
    rewarded: BoolArray

    def __post_init__(self) -> None:
        columns = (self.drawn, self.rewards, self.customers, self.known, self.rewarded)
        if self.pmfs.ndim != 2 or any(column.shape != self.pmfs.shape[:1] for column in columns):
            raise UnusableLog(
                f"pmfs have shape {self.pmfs.shape}, the columns beside them {[column.shape for column in columns]}. Each send "
                "needs all of them: make the rows with ArmRows.of."
            )

    @classmethod
    def of(
        cls,
        pmfs: ArrayLike,
        drawn: ArrayLike,
        rewards: ArrayLike,
        *,
        customers: ArrayLike | None = None,
        known: ArrayLike | None = None,
        reward_range: tuple[float, float] = (0.0, 1.0),
        rewarded: ArrayLike | None = None,
    ) -> ArmRows:
        """Check and scale the sends of learner and random group.

        Args:
            pmfs: shape (n, n_arms), logged probability of each arm; 0 means not eligible; rows sum to 1.
            drawn: shape (n,), index of the arm drawn in each row.
            rewards: shape (n,), in reward units, within `reward_range`; matured.
            customers: shape (n,), whole numbers >= 0, the same for sends to the same customer; None if nobody has two.
            known: shape (n,), whole numbers in [0, row]: so many of the first rows had all matured when this one was
                decided. None for all earlier rows.
            reward_range: least and largest reward that is possible, not that was seen.
            rewarded: shape (n,), whether the outcomes were worth anything; None takes rewards other than 0 for it.

        Returns:
            The rows. They must be in the order in which they were decided, and none up to the last may be missing
            because its reward has not arrived.

        Raises:
            UnusableLog: if a column is not what is said above.
            InvalidSettings: if reward_range is not two finite numbers in order.

        Caution: with `known` None, and an attribution window, estimates use rewards that came after the decision. That is
        harmless as long as a send does not change the reward of an earlier one.
        """
        probabilities = checked_pmfs(pmfs)
        n = len(probabilities)
        own = scaled(rewards, reward_range)
        earned = np.asarray(rewards) != 0.0 if rewarded is None else np.asarray(rewarded, dtype=np.bool_)
        return cls(
            # One arm lies in one piece, because contrasts read few arms of all rows.
            pmfs=np.asfortranarray(probabilities),
            drawn=checked_draws(drawn, probabilities),
            rewards=own,
            customers=np.arange(n) if customers is None else _renumbered(_whole(customers, n, "customers", inf)),
            known=np.arange(n) if known is None else _whole(known, n, "known", np.arange(n)),
            reward_range=reward_range,
            rewarded=earned,
        )

    @property
    def width(self) -> float:
        """Reward units between the least and the largest possible reward."""
        return self.reward_range[1] - self.reward_range[0]


@dataclass(frozen=True, slots=True, eq=False)
class ArmScores:
    """Running estimates and what each draw corrects in them; make it with `arm_scores`.

    Attributes:
        rows: the sends.
        estimates: shape (n, n_arms), from rewards before each row, in [0, 1].
        corrections: shape (n,), (reward - estimate of the drawn arm) / its probability.
        spread: shape (n,), variance of rewards around their mean, from rewards before each row.
    """

    rows: ArmRows
    estimates: FloatArray
    corrections: FloatArray
    spread: FloatArray

    @property
    def scores(self) -> FloatArray:
        """Shape (n, n_arms), on the scale where `reward_range` is [0, 1]; NaN where an arm was not eligible."""
        found = np.where(self.rows.pmfs > 0, self.estimates, np.nan)
        found[np.arange(len(found)), self.rows.drawn] += self.corrections
        return found

    def where(self, mask: BoolArray) -> ArmScores:
        """The rows of a segment, with the estimates that the whole log gave; `mask` has shape (n,).

        Caution: a segment must be known before the draw; one that depends on the reward or the arm biases everything.
        """
        rows, before = self.rows, np.concatenate(([0], np.cumsum(mask)))
        segment = replace(
            rows,
            pmfs=np.asfortranarray(rows.pmfs[mask]),
            drawn=rows.drawn[mask],
            rewards=rows.rewards[mask],
            customers=rows.customers[mask],
            known=before[rows.known[mask]],
            rewarded=rows.rewarded[mask],
        )
        return ArmScores(segment, self.estimates[mask], self.corrections[mask], self.spread[mask])


def arm_scores(rows: ArmRows) -> ArmScores:
    """Estimate every arm before every row, and score every draw.

    An arm's estimate is the mean of its rewards so far and of 20 sends that earned the mean of all arms.

    Args:
        rows: of learner and random group together.

    Returns:
        The scores; the estimates of a row depend on the first `known` rows alone.

    Source: Robins, Rotnitzky and Zhao (1994); with running estimates, Hadad et al. (2021), Confidence intervals for policy
    evaluation in adaptive experiments.

    >>> found = arm_scores(ArmRows.of([[0.5, 0.5], [0.5, 0.5]], drawn=[0, 0], rewards=[1, 0]))
    >>> found.estimates.round(3).tolist()
    [[0.5, 0.5], [0.762, 0.75]]
    >>> found.scores.round(3).tolist()
    [[1.5, 0.5], [-0.762, 0.75]]
    """
    n, n_arms = rows.pmfs.shape
    overall = (_before(rows.rewards, rows.known) + 0.5) / (rows.known + 1)
    estimates = np.empty((n_arms, n))
    for arm in range(n_arms):
        sent = rows.drawn == arm
        n_sent, earned = _before(sent.astype(np.float64), rows.known), _before(rows.rewards * sent, rows.known)
        estimates[arm] = (earned + SHRINKAGE * overall) / (n_sent + SHRINKAGE)
    at = np.arange(n)
    corrections = (rows.rewards - estimates[rows.drawn, at]) / rows.pmfs[at, rows.drawn]
    spread = (_before((rows.rewards - overall) ** 2, rows.known) + 0.25) / (rows.known + 1)
    return ArmScores(rows, estimates.T, corrections, spread)


def _before(values: FloatArray, known: Numbers) -> FloatArray:
    """Sum of the first `known` values, by row."""
    sums = np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return np.asarray(sums[known], dtype=np.float64)


def _whole(values: ArrayLike, n: int, name: str, most: float | Numbers) -> Numbers:
    """Numbers of a column, each between 0 and `most`."""
    numbers = np.asarray(values)
    if numbers.shape != (n,) or numbers.dtype.kind not in "iu":
        raise UnusableLog(
            f"{name} have shape {numbers.shape} and type {numbers.dtype}, need {n} whole numbers, one a send. Pass the codes "
            "of customer keys as customers, and as known how many of the first rows had matured at each decision."
        )
    broken = np.flatnonzero((numbers < 0) | (numbers > most))
    if len(broken):
        raise UnusableLog(
            f"{name} of row {broken[0]} is {numbers[broken[0]]} ({len(broken)} such rows). A customer's number is 0 or more; "
            "known is at most the row's own index, since no row knows its own reward or a later one."
        )
    return numbers.astype(np.int64)


def _renumbered(customers: Numbers) -> Numbers:
    """Numbers that can be counted in an array; those of `pandas.factorize` and the like already can."""
    if customers.max() < 2 * len(customers):
        return customers
    return np.unique(customers, return_inverse=True)[1]
