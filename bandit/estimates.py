"""What a learner tells a policy about the arms on offer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from bandit.arrays import BoolArray, FloatArray, count_true
from bandit.errors import InvalidEstimates


class Need(StrEnum):
    """What a policy needs from a learner, and what a learner provides."""

    NOTHING = "nothing"
    SCORES = "scores"
    NATIVE = "native"


@dataclass(frozen=True, slots=True)
class Estimates:
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
            raise InvalidEstimates(
                "this policy needs a score for each arm, and the learner gave only its own pmf. "
                'Use the policy "native" with a native learner, or the learner "regression".'
            )
        if np.count_nonzero(eligible) == eligible.size:
            return self.scores, eligible.shape[-1]
        return np.where(eligible, self.scores, -np.inf), count_true(eligible)


NO_ESTIMATES = Estimates()
"""For policies that need nothing."""
