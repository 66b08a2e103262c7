"""What a learner tells a policy about the arms on offer."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from bandit.arrays import BoolArray, FloatArray, count_true
from bandit.errors import InvalidEstimates


class Need(StrEnum):
    """What a policy needs from a learner, and what a learner provides."""

    NOTHING = "nothing"
    SCORES = "scores"
    NATIVE = "native"


class Estimates(NamedTuple):
    """Expected reward of each arm of one dimension, given the context and the earlier picks.

    Attributes:
        scores: shape (..., n_arms), mean reward in reward units, in the campaign's arm order; None from a native
            explorer. Entries of arms that are not eligible mean nothing.
        n_learned: decisions the learner had learned from; policies that explore less over time read it.
        native: shape (..., n_arms), the explorer's own pmf over the eligible arms, 0 elsewhere; None otherwise.
    """

    scores: FloatArray | None = None
    n_learned: int = 0
    native: FloatArray | None = None

    def offered(self, eligible: BoolArray) -> tuple[FloatArray, FloatArray | int]:
        """Scores with minus infinity where an arm is not eligible, and how many are eligible.

        The minus infinity lets a policy ignore rules: every sensible formula gives such an arm exactly 0.

        Returns:
            scores of shape (..., n_arms), and a count that broadcasts against them.

        Raises:
            InvalidEstimates: if the learner gave no scores.
        """
        if self.scores is None:
            raise InvalidEstimates(_NO_SCORES)
        if np.count_nonzero(eligible) == eligible.size:
            return self.scores, eligible.shape[-1]
        return np.where(eligible, self.scores, -np.inf), count_true(eligible)

    def on_offer(self, dimension: int, arms: Sequence[int]) -> Offer:
        """One decision's estimates, arrays of shape (n_arms,), cut down to the arms on offer."""
        scores = None if self.scores is None else self.scores.tolist()
        native = None if self.native is None else self.native.tolist()
        if len(arms) < len(scores or native or arms):
            scores = [scores[arm] for arm in arms] if scores else None
            native = [native[arm] for arm in arms] if native else None
        return Offer(dimension, arms, scores, native, self.n_learned)


class Offer(NamedTuple):
    """The arms on offer in one dimension of one decision, in plain numbers.

    At a dozen arms plain Python is many times as fast as arrays, so this is the form in which single decisions are made.

    Attributes:
        dimension: position of the dimension in the campaign file.
        arms: positions of the eligible arms, ascending; at least one.
        scores: expected reward of each of these, None from a native explorer or without a model.
        native: the explorer's probability of each of these, None from other learners.
        n_learned: decisions the learner had learned from.
    """

    dimension: int
    arms: Sequence[int]
    scores: list[float] | None = None
    native: list[float] | None = None
    n_learned: int = 0

    def scored(self) -> list[float]:
        """The scores.

        Raises:
            InvalidEstimates: if there are none.
        """
        if self.scores is None:
            raise InvalidEstimates(_NO_SCORES)
        return self.scores


_NO_SCORES = (
    "this policy needs a score for each arm, and the learner gave only its own pmf. "
    'Use the policy "native" with a native learner, or the learner "regression".'
)

NO_ESTIMATES = Estimates()
"""For policies that need nothing."""
