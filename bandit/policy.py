"""The policy protocol: from estimates to a pmf, before anything is drawn."""

from __future__ import annotations

from typing import Protocol

from bandit.arrays import BoolArray, FloatArray
from bandit.estimates import Estimates, Need, Offer


class Policy(Protocol):
    """Turns what the learner believes into the probability of each arm.

    A policy never sees the customer, the context or the position of the draw, so the pmf exists before the draw and the
    propensity logged is the one used. It is a frozen value: deciding changes nothing in it.
    """

    @property
    def name(self) -> str:
        """Its name in the campaign file and in the log."""

    @property
    def needs(self) -> Need:
        """What it reads of the estimates."""

    def shares(self, offer: Offer) -> list[float]:
        """Probability of each arm on offer in one decision, in the order of `offer.arms`; sums to 1."""

    def pmf(self, estimates: Estimates, eligible: BoolArray, *, dimension: int) -> FloatArray:
        """The same for many decisions at once, and for the audit that recomputes single ones.

        Args:
            estimates: arrays of shape (..., n_arms).
            eligible: shape (..., n_arms), at least one true in each row.
            dimension: position of the dimension in the campaign file.

        Returns:
            shape (..., n_arms), summing to 1 over the last axis, exactly 0 where not eligible, and equivariant: arms in
            another order give the same probabilities in that order, so equal scores have equal probabilities.
        """
