"""Thompson sampling over the members of a bootstrap, its pmf counted instead of sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bandit.arrays import BoolArray, FloatArray, count_true
from bandit.errors import InvalidEstimates
from bandit.estimates import NO_MEMBERS, Estimates, Need, Offer


@dataclass(frozen=True, slots=True)
class Thompson:
    """Probability of an arm = share of the members that believe it the best; ties within a member share its vote.

    Thompson sampling draws one belief and acts on it. With a bootstrap's members as the posterior, how often each arm is
    drawn can be counted, so the propensity in the log is exact.

    Caution: an arm that no member believes in has probability 0 before the floor is mixed in, so leave it a floor.

    See Also:
        SquareCB: needs one model instead of many.

    Source: Thompson (1933); Eckles and Kaptein (2014), Thompson sampling with the online bootstrap.

    >>> beliefs = np.array([[0.1, 0.2], [0.3, 0.2], [0.3, 0.1], [0.1, 0.1]])
    >>> Thompson().pmf(Estimates(members=beliefs), np.array([True, True]), dimension=0).tolist()
    [0.625, 0.375]
    """

    name: ClassVar[str] = "thompson"
    needs: ClassVar[Need] = Need.MEMBERS

    def shares(self, offer: Offer) -> list[float]:
        """Votes of the members."""
        members = offer.believed()
        votes = [0.0] * len(offer.arms)
        for scores in members:
            least = max(scores) - offer.tie * offer.spread
            winners = [arm for arm, score in enumerate(scores) if score >= least]
            for arm in winners:
                votes[arm] += 1.0 / (len(winners) * len(members))
        return votes

    def pmf(self, estimates: Estimates, eligible: BoolArray, *, dimension: int) -> FloatArray:
        """Shape (..., n_arms): votes of the members."""
        del dimension
        if estimates.members is None:
            raise InvalidEstimates(NO_MEMBERS)
        scores = np.where(eligible, estimates.members, -np.inf)
        best = scores >= np.maximum.reduce(scores, axis=-1, keepdims=True) - estimates.tie * estimates.spread
        votes: FloatArray = (best / count_true(best)).mean(axis=0)
        return votes
