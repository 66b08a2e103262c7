"""The pmf of the learner's own explorer, passed through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import InvalidEstimates
from bandit.estimates import Estimates, Need, Offer

_NO_PMF = (
    'the policy "native" passes through a native explorer\'s pmf, and this learner gave none. '
    'Set `[learner] name = "native"`, or choose a policy on scores such as squarecb.'
)


@dataclass(frozen=True, slots=True)
class Native:
    """What Vowpal Wabbit's `--cb_explore_adf` explorer says; which explorer is the learner's option `explorer`.

    See Also:
        SquareCB with the regression learner: learns faster on e-mail-like rewards, by measurement.
    """

    name: ClassVar[str] = "native"
    needs: ClassVar[Need] = Need.NATIVE

    def shares(self, offer: Offer) -> list[float]:
        """The explorer's pmf."""
        if offer.native is None:
            raise InvalidEstimates(_NO_PMF)
        return offer.native

    def pmf(self, estimates: Estimates, eligible: BoolArray, *, dimension: int) -> FloatArray:
        """Shape (..., n_arms): the explorer's pmf, 0 where not eligible.

        Raises:
            InvalidEstimates: if the learner is not a native explorer.
        """
        del eligible, dimension
        if estimates.native is None:
            raise InvalidEstimates(_NO_PMF)
        return estimates.native
