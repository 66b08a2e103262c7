"""What recent messages cost, taken off what a learner expects of every arm that sends something.

A learner learns what outcomes are worth. The cost is known, so it is never learned: it is subtracted when a decision is made,
and a difference between two customers, or between an arm and one that sends nothing, is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.context import EncodedContext
from bandit.dimension import Dimension
from bandit.estimates import Estimates, Offer
from bandit.learner import Scorer
from bandit.recent_sends import RecentSendCost


class Charges:
    """Takes the cost of recent messages off expected rewards.

    In the estimate of an arm all choices are meant that hold it. Only of an arm that sends nothing is it known that they end
    without a message, so every other arm bears the cost, in each dimension; where a later one may still end the choice, all
    arms bear the same, and no policy sees a difference.

    Args:
        spec: what they cost.
        dimensions: the campaign's.
    """

    __slots__ = ("_plain", "_sends", "_spec")

    def __init__(self, spec: RecentSendCost, dimensions: Sequence[Dimension]) -> None:
        self._spec = spec
        self._plain = [[float(not arm.no_send) for arm in d.arms] for d in dimensions]
        self._sends = tuple(map(np.array, self._plain))

    def of(self, recent_sends: int | None) -> float:
        """What sending costs after so many messages; nothing where they are not known."""
        return self._spec.of(recent_sends or 0)

    def of_many(self, contexts: Sequence[EncodedContext]) -> FloatArray:
        """The same for many customers, shape (n,)."""
        return np.array([self.of(context.recent_sends) for context in contexts])

    def sending(self, dimension: int) -> FloatArray:
        """Shape (n_arms,): 1 for an arm that bears the cost, 0 for one that sends nothing."""
        return self._sends[dimension]

    def off(self, estimates: Estimates, charge: float | FloatArray, dimension: int) -> Estimates:
        """Estimates less the cost.

        Args:
            estimates: of one decision or of many, arrays of shape (..., n_arms).
            charge: of each decision, a number or shape (n,).
            dimension: position of the dimension.
        """
        lost: FloatArray = np.multiply.outer(charge, self._sends[dimension])
        scores, members = estimates.scores, estimates.members
        return estimates._replace(
            scores=None if scores is None else scores - lost, members=None if members is None else members - lost
        )

    def off_offer(self, offer: Offer, charge: float) -> Offer:
        """The same of one decision in plain numbers."""
        sends = self._plain[offer.dimension]
        lost = [charge * sends[arm] for arm in offer.arms]
        members = offer.members
        return offer._replace(
            scores=None if offer.scores is None else _less(offer.scores, lost),
            members=None if members is None else [_less(member, lost) for member in members],
        )


class ChargedState(NamedTuple):
    """What the scorer inside remembers, and what sending costs this customer."""

    inner: Any
    charge: float


class ChargedScorer:
    """Serves another scorer's estimates less the cost of recent messages.

    Args:
        inner: what was learned.
        charges: of the campaign.
    """

    __slots__ = ("charges", "inner")

    def __init__(self, inner: Scorer[Any], charges: Charges) -> None:
        self.inner, self.charges = inner, charges

    @property
    def n_learned(self) -> int:
        """Decisions the snapshot had learned from."""
        return self.inner.n_learned

    def start(self, context: EncodedContext) -> ChargedState:
        """The state before the first pick."""
        return ChargedState(self.inner.start(context), self.charges.of(context.recent_sends))

    def estimates(self, state: ChargedState, dimension: int, offered: Sequence[int]) -> Estimates:
        """Estimates of the arms of a dimension, given the picks in the state, less the cost."""
        return self.charges.off(self.inner.estimates(state.inner, dimension, offered), state.charge, dimension)

    def offer(self, state: ChargedState, dimension: int, offered: Sequence[int]) -> Offer:
        """The same in plain numbers, of the arms on offer only."""
        return self.charges.off_offer(self.inner.offer(state.inner, dimension, offered), state.charge)

    def after(self, state: ChargedState, dimension: int, pick: int) -> ChargedState:
        """The state after a pick."""
        return state._replace(inner=self.inner.after(state.inner, dimension, pick))

    def whole(self, state: ChargedState, dimension: int, pick: int) -> float | None:
        """Expected reward of the whole choice; the last dimension says whether it sends something."""
        found = self.inner.whole(state.inner, dimension, pick)
        return found if found is None or not self.charges.sending(dimension)[pick] else found - state.charge


def charged(campaign: Campaign, scorer: Scorer[Any]) -> Scorer[Any]:
    """A scorer of the campaign's rewards: the given one, less what recent messages cost where the campaign says so."""
    spec = campaign.reward.recent_send
    return scorer if spec is None else ChargedScorer(scorer, Charges(spec, campaign.dimensions))


def charges_in(scorer: Scorer[Any]) -> Charges | None:
    """What a scorer takes off; None for nothing."""
    return scorer.charges if isinstance(scorer, ChargedScorer) else None


def _less(scores: Sequence[float], lost: Sequence[float]) -> list[float]:
    return [score - one for score, one in zip(scores, lost, strict=True)]
