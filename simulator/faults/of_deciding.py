"""Faults of the deciding and the sending: a misguided policy, another message than chosen, none at all, changed ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from bandit.arrays import BoolArray, FloatArray
from bandit.estimates import Estimates, Need, Offer
from bandit.policy import Policy
from simulator.faults.extent import Extent
from simulator.world import ChoiceGrid

_WEEK = timedelta(days=7)
_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Misguided:
    """A policy that prefers what it believes to be worst, and says so honestly: its pmfs are what it draws from.

    Args:
        inner: the policy whose estimates are turned round.
        share: of its pmf, in (0, 1]; the rest is as it should be.
    """

    inner: Policy
    share: float = 1.0

    @property
    def name(self) -> str:
        """The name of the policy inside: a sign that was lost is not written anywhere."""
        return self.inner.name

    @property
    def needs(self) -> Need:
        """What the policy inside needs."""
        return self.inner.needs

    def shares(self, offer: Offer) -> list[float]:
        """Probability of each arm on offer."""
        wrong = self.inner.shares(
            offer._replace(
                scores=offer.scores and [-score for score in offer.scores],
                native=offer.native and _least_first(offer.native),
                members=offer.members and [[-score for score in member] for member in offer.members],
            )
        )
        right = self.inner.shares(offer)
        return [self.share * w + (1.0 - self.share) * r for w, r in zip(wrong, right, strict=True)]

    def pmf(self, estimates: Estimates, eligible: BoolArray, *, dimension: int) -> FloatArray:
        """The same for many; shape (..., n_arms)."""
        turned = estimates._replace(
            scores=None if estimates.scores is None else -estimates.scores,
            native=None if estimates.native is None else _least_first_of(estimates.native, eligible),
            members=None if estimates.members is None else -estimates.members,
        )
        wrong = self.inner.pmf(turned, eligible, dimension=dimension)
        right = self.inner.pmf(estimates, eligible, dimension=dimension)
        mixed: FloatArray = self.share * wrong + (1.0 - self.share) * right
        return mixed


@dataclass(frozen=True, slots=True)
class MisguidedPolicy:
    """A reward with the wrong sign, or a sort in the wrong direction: the learner decides for what it believes to be worst.

    Args:
        extent: the share is that of each pmf, since a policy does not know which send it decides.
    """

    extent: Extent

    def policy(self, policy: Policy, at: datetime) -> Policy:
        """The policy turned round; one that asks for no estimates stays as it is."""
        if policy.needs is Need.NOTHING or not self.extent.began(at):
            return policy
        return Misguided(policy, self.extent.share)


@dataclass(frozen=True, slots=True)
class UnsentChoice:
    """The default message goes out in place of the chosen one: a template that could not be rendered.

    Args:
        extent: which sends.
    """

    extent: Extent

    def sent(
        self, decision_id: str, at: datetime, choice: Mapping[str, str], choices: ChoiceGrid
    ) -> Mapping[str, str] | None:
        """The first arm of every dimension where the send is hit."""
        return choices.at(0) if self.extent.hits(decision_id, at, "unsent") else choice


@dataclass(frozen=True, slots=True)
class UnvoidedSends:
    """Nothing goes out, and nobody reports it as not sent: the row will mature with nothing.

    Args:
        extent: which sends.
    """

    extent: Extent

    def sent(
        self, decision_id: str, at: datetime, choice: Mapping[str, str], choices: ChoiceGrid
    ) -> Mapping[str, str] | None:
        """Nothing where the send is hit."""
        del choices
        return None if self.extent.hits(decision_id, at, "unvoided") else choice


@dataclass(frozen=True, slots=True)
class ChangedIds:
    """Customers with another id every week, such as a cookie's: the hash puts the same person into one group after another.

    Args:
        extent: which customers.
    """

    extent: Extent

    def known_as(self, customer_id: str, at: datetime) -> str:
        """The id of the week."""
        if not self.extent.hits(customer_id, at, "changed"):
            return customer_id
        return f"{customer_id}~{(at - _MONDAY) // _WEEK}"


def _least_first(native: list[float]) -> list[float]:
    """(1 - p) / (K - 1): a pmf that prefers what the explorer's own avoids."""
    others = max(len(native) - 1, 1)
    return [(1.0 - p) / others for p in native] if len(native) > 1 else native


def _least_first_of(native: FloatArray, eligible: BoolArray) -> FloatArray:
    n_eligible = eligible.sum(axis=-1, keepdims=True)
    turned = np.where(eligible, (1.0 - native) / np.maximum(n_eligible - 1, 1), 0.0)
    return np.where(n_eligible > 1, turned, native)
