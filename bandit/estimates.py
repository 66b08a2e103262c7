"""What a learner tells a policy about the arms on offer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np

from bandit.arrays import BoolArray, FloatArray, count_true
from bandit.errors import InvalidEstimates

TIE: Final = 1e-12
"""Scores that are so close to the best, in standard deviations of the reward, tie with it.

Arms of which nothing was learned yet have equal scores. Numbers that are added in another order, or many at a time, differ in the
last digits, and which arm is the best must not hang on these: the audit decides again with other instructions. Rows of before
tied only where scores were equal to the last bit (`evaluation.exact_ties`).
"""


class Need(StrEnum):
    """What a policy needs from a learner, and what a learner provides."""

    NOTHING = "nothing"
    SCORES = "scores"
    MEMBERS = "members"
    NATIVE = "native"


class Estimates(NamedTuple):
    """Expected reward of each arm of one dimension, given the context and the earlier picks.

    Attributes:
        scores: shape (..., n_arms), mean reward in reward units, in the campaign's arm order; None from a native
            explorer. Entries of arms that are not eligible mean nothing.
        n_learned: decisions the learner had learned from; policies that explore less over time read it.
        native: shape (..., n_arms), the explorer's own pmf over the eligible arms, 0 elsewhere; None otherwise.
        spread: standard deviation of one decision's reward, in reward units: the noise that gaps are seen through.
        members: shape (n_members, ..., n_arms), what each member of a bootstrap believes instead of `scores`, their mean;
            None from learners that hold one belief only.
        tie: scores so close to the best tie with it, in units of `spread`; 0 for those alone that are equal to the last bit.
    """

    scores: FloatArray | None = None
    n_learned: int = 0
    native: FloatArray | None = None
    spread: float = 1.0
    members: FloatArray | None = None
    tie: float = TIE

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

    def on_offer(self, dimension: int, arms: Sequence[int], n_arms: int) -> Offer:
        """One decision's estimates, arrays of shape (n_arms,), cut down to the arms on offer.

        Raises:
            InvalidEstimates: if there is not one number an arm.
        """
        scores, native = _cut(self.scores, arms, n_arms), _cut(self.native, arms, n_arms)
        members = None if self.members is None else [_cut(member, arms, n_arms) or [] for member in self.members]
        return Offer(dimension, arms, scores, native, self.n_learned, self.spread, members, self.tie)


class Offer(NamedTuple):
    """The arms on offer in one dimension of one decision, in plain numbers.

    At a dozen arms plain Python is many times as fast as arrays, so this is the form in which single decisions are made.

    Attributes:
        dimension: position of the dimension in the campaign file.
        arms: positions of the eligible arms, ascending; at least one.
        scores: expected reward of each of these, None from a native explorer or without a model.
        native: the explorer's probability of each of these, None from other learners.
        n_learned: decisions the learner had learned from.
        spread: standard deviation of one decision's reward.
        members: what each member of a bootstrap believes of each of these, None from other learners.
        tie: as in `Estimates`.
    """

    dimension: int
    arms: Sequence[int]
    scores: list[float] | None = None
    native: list[float] | None = None
    n_learned: int = 0
    spread: float = 1.0
    members: list[list[float]] | None = None
    tie: float = TIE

    def believed(self) -> list[list[float]]:
        """The members' beliefs.

        Raises:
            InvalidEstimates: if there are none, or one is not finite.
        """
        if not self.members:
            raise InvalidEstimates(NO_MEMBERS)
        if not math.isfinite(sum(map(sum, self.members))):
            raise InvalidEstimates(
                f"members believe {self.members}, need finite numbers; the model is ill. Roll it back."
            )
        return self.members

    def scored(self) -> list[float]:
        """The scores.

        Raises:
            InvalidEstimates: if there are none, or one is not finite.
        """
        if self.scores is None:
            raise InvalidEstimates(_NO_SCORES)
        # The sum is finite only if every one is (or they are so large that no policy should believe them).
        if not math.isfinite(sum(self.scores)):
            raise InvalidEstimates(f"scores are {self.scores}, need finite numbers; the model is ill. Roll it back.")
        return self.scores


_NO_SCORES = (
    "this policy needs a score for each arm, and the learner gave only its own pmf. "
    'Use the policy "native" with a native learner, or the learner "regression".'
)


NO_MEMBERS = (
    "this policy needs the beliefs of several members, and the learner has one belief only. "
    'Use the learner "bootstrap".'
)


def _cut(values: FloatArray | None, arms: Sequence[int], n_arms: int) -> list[float] | None:
    """The entries of the arms on offer."""
    if values is None:
        return None
    listed: list[float] = values.tolist()
    if len(listed) != n_arms:
        raise InvalidEstimates(f"the learner gave {len(listed)} numbers for {n_arms} arms; need one an arm.")
    return listed if n_arms == len(arms) else [listed[arm] for arm in arms]


NO_ESTIMATES = Estimates()
"""For policies that need nothing."""
