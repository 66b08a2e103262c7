"""Many decisions as columns: who asked for them, and what was decided."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.context import Context, EncodedContext
from bandit.decision import Decision, Pick
from bandit.draw import customer_key
from bandit.errors import InvalidContext
from bandit.exclusion import Excludes
from bandit.group import Group
from bandit.pmf import Pmf
from bandit.product_candidates import Candidates
from bandit.slot_columns import named_in, slot_times
from bandit.wear_out import PastSend

PlainRow = tuple[tuple[int, ...], tuple[float, ...], tuple[tuple[float, ...], ...]]
"""Picks, propensities and pmfs of one decision, an entry a dimension."""


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """Sends to be decided at once; an entry each.

    Args:
        customer_ids: who. A customer who comes twice is decided for as if neither send had gone out yet.
        contexts: what is known about them; one that the campaign's schema has encoded before is not encoded again, but
            for what is made of the time.
        decision_ids: new for every send.
        at: the times of the decisions, each with a zone.
        pasts: earlier sends to each customer, where the campaign has a `[wear_out]` table or a cost of recent sends; None
            where it has neither.
        exclude: arms that may not be used for each of them; None where nobody excludes anything.
        candidates: the products of each of them; None where nobody has any.

    Raises:
        InvalidContext: if there is not one of each for every send.
    """

    customer_ids: Sequence[str]
    contexts: Sequence[Context | EncodedContext]
    decision_ids: Sequence[str]
    at: Sequence[datetime]
    pasts: Sequence[Sequence[PastSend]] | None = None
    exclude: Sequence[Excludes] | None = None
    candidates: Sequence[Candidates] | None = None

    def __post_init__(self) -> None:
        once = (self.customer_ids, self.contexts, self.decision_ids, self.at)
        parts = (*once, self.pasts, self.exclude, self.candidates)
        lengths = [len(part) for part in parts if part is not None]
        if len(set(lengths)) > 1:
            raise InvalidContext(
                f"{lengths} customers, contexts, decision ids, times, pasts, exclusions and candidates: give as many of "
                "each, or it would be guessed what belongs to whom."
            )

    def __len__(self) -> int:
        return len(self.decision_ids)


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """What was decided, a row a send; what the columns mean stands at `bandit.decision.Decision`.

    Attributes:
        campaign: whose arms the picks are.
        requests: what was asked.
        secret: key of the HMAC that stands in place of a customer_id.
        groups: of each customer.
        contexts: as used.
        picks: shape (n, n_dimensions), positions of the arms.
        propensities: shape (n, n_dimensions), given the earlier picks.
        pmfs: for each dimension shape (n, n_arms).
        policies: who decided.
        snapshots, candidates, fallbacks: None where there is none.
        estimates: shape (n,), expected reward of each choice; NaN without a model.
    """

    campaign: Campaign
    requests: Requests
    secret: bytes
    groups: Sequence[Group]
    contexts: Sequence[EncodedContext]
    picks: NDArray[np.int64]
    propensities: FloatArray
    pmfs: tuple[FloatArray, ...]
    policies: Sequence[str]
    snapshots: Sequence[str | None]
    candidates: Sequence[str | None]
    fallbacks: Sequence[str | None]
    estimates: FloatArray

    def __len__(self) -> int:
        return len(self.requests)

    def plain_rows(self) -> Iterator[PlainRow]:
        """Each row's numbers as tuples."""
        picks, propensities = map(tuple, self.picks.tolist()), map(tuple, self.propensities.tolist())
        pmfs = zip(*(map(tuple, pmf.tolist()) for pmf in self.pmfs), strict=True)
        return zip(picks, propensities, pmfs, strict=True)

    def send_ats(self) -> list[datetime | None]:
        """When each message may go out, in UTC; None for at once."""
        return send_ats(self.campaign, self.contexts, self.requests.at, self.picks)

    def decision(self, row: int) -> Decision:
        """One row as `Engine.decide` would have returned it."""
        campaign, asked, estimate = self.campaign, self.requests, float(self.estimates[row])
        picks = tuple(self._pick(row, d) for d in range(len(campaign.dimensions)))
        return Decision(
            asked.decision_ids[row],
            campaign.id,
            campaign.content_hash,
            customer_key(asked.customer_ids[row], secret=self.secret),
            self.groups[row],
            self.contexts[row].values,
            picks,
            math.prod(pick.propensity for pick in picks),
            self.policies[row],
            self.snapshots[row],
            self.fallbacks[row],
            None if math.isnan(estimate) else estimate,
            asked.at[row].astimezone(UTC),
            self.campaign.send_at(
                self.contexts[row].values, asked.at[row], {pick.dimension: pick.arm for pick in picks}
            ),
            candidate=self.candidates[row],
            exposures=self.contexts[row].exposures,
            excluded=self.contexts[row].excluded,
            recent_sends=self.contexts[row].recent_sends,
        )

    def _pick(self, row: int, d: int) -> Pick:
        dimension, pmf = self.campaign.dimensions[d], self.pmfs[d][row].tolist()
        arm = int(self.picks[row, d])
        return Pick(dimension.name, dimension.ids[arm], pmf[arm], Pmf(dimension.ids, tuple(pmf)))


def send_ats(
    campaign: Campaign, contexts: Sequence[EncodedContext], at: Sequence[datetime], picks: NDArray[np.int64]
) -> list[datetime | None]:
    """When messages decided at these times go out, in UTC; None for at once, or for none; see `Campaign.send_at`.

    Args:
        campaign: with its send slots and quiet hours.
        contexts: one a message.
        at: time of each decision.
        picks: shape (n, n_dimensions).
    """
    limits, slots = campaign.limits, campaign.send_slots
    quiet_hours = limits.quiet_hours if limits else None
    found: list[datetime | None]
    if slots is not None:
        times = slot_times(slots, contexts, at)
        arms = picks[:, slots.dimension].tolist()
        found = [one.send_at[arm] for one, arm in zip(times, arms, strict=True)]
    elif limits is None or quiet_hours is None:
        return [None] * len(contexts)
    else:
        pairs = list(zip(named_in(contexts, quiet_hours.zone), at, strict=True))
        home, zone = campaign.timezone, quiet_hours.zone
        known = {(name, one): limits.send_at({zone: name}, one, home=home) for name, one in set(pairs)}
        found = [known[pair] for pair in pairs]
    silent = sends_nothing(campaign, picks)
    return [None if nothing else one for one, nothing in zip(found, silent, strict=True)] if any(silent) else found


def sends_nothing(campaign: Campaign, picks: NDArray[np.int64]) -> list[bool]:
    """Which choices end without a message; see `Campaign.sends_nothing`."""
    silent = [arm.no_send for arm in campaign.dimensions[-1].arms]
    return [silent[pick] for pick in picks[:, -1].tolist()] if any(silent) else [False] * len(picks)
