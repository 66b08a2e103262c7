"""What a customer said about being mailed, asked before anything is decided or looked up.

Who opted out is refused. Who did not consent, where the campaign asks for consent, gets business as usual. Of both nothing
is stored but a count.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from bandit.campaign import Campaign
from bandit.decision import Decision, Pick
from bandit.engine import check_ids
from bandit.errors import NoEligibleArm, OptedOut
from bandit.exclusion import excluded_in
from bandit.group import Group
from bandit.pmf import Pmf
from service.customer_keys import read_customer_keys
from service.deciding import Request, stored_decision
from service.opt_outs import find_opt_out, rekey_opt_out
from service.store import Log, Store
from service.usual_choice import Usual, usual_choices

NO_CONSENT = "no-consent"
"""Stands for the policy in an answer that nothing is stored of."""


class Unstored(StrEnum):
    """Why nothing is stored of a request."""

    NO_CONSENT = NO_CONSENT
    OPTED_OUT = "opted-out"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A request that is not to be decided, and what is answered instead."""

    request: Request
    outcome: Decision | OptedOut

    @property
    def reason(self) -> Unstored:
        """Why."""
        return Unstored.OPTED_OUT if isinstance(self.outcome, OptedOut) else Unstored.NO_CONSENT

    def decision(self) -> Decision:
        """The answer.

        Raises:
            OptedOut: if there is none.
        """
        if isinstance(self.outcome, OptedOut):
            raise self.outcome
        return self.outcome


class Consent:
    """Looks at requests before they are decided; cheap to make.

    Args:
        store: with the opt-outs.
        log: of the campaign that may ask for consent.
    """

    def __init__(self, store: Store, log: Log) -> None:
        self._store, self._log, self._campaign = store, log, log.campaign

    def ruling(self, request: Request, at: datetime) -> Ruling | None:
        """What is answered without deciding; None if the request is to be decided. Count it with `count`.

        A repetition is ruled upon like the first request: somebody who opted out in between is not mailed.

        Raises:
            InvalidContext: for an id or a context that no decision can have, or a zone that is none.
            ConflictingDecision: if the id has a decision that was made with consent.
            InvalidExclusion, NoEligibleArm: if arms are excluded that do not exist, or that whoever did not consent gets.
        """
        check_ids(request.customer_id, request.decision_id)
        found = find_opt_out(self._store.reader(), request.customer_id, self._store.customer_keys)
        if found is not None:
            return Ruling(request, OptedOut(_refusal(request.decision_id, found.at, found.reason)))
        return self.ruling_of_mailed(request, at)

    def ruling_of_mailed(self, request: Request, at: datetime) -> Ruling | None:
        """The same for somebody who did not opt out, and ids that were checked."""
        if not self._campaign.privacy.is_withheld(request.context.values):
            return None
        used = self._campaign.schema.encode(self._campaign.completed(request.context, at))
        # A decision that was made with consent stands: what is sent under its id must be its choice, or nothing.
        stored_decision(self._store, self._log, request)
        _require_allowed(self._campaign, request)
        (usual,) = usual_choices(self._campaign, [used], at)
        return Ruling(request, as_usual(self._campaign, request.decision_id, at, usual))

    def count(self, connection: sqlite3.Connection, rulings: Sequence[Ruling], at: datetime) -> None:
        """Keep how many requests were answered so on this day, inside the caller's transaction."""
        keys = read_customer_keys(connection)
        for ruling in rulings:
            if ruling.reason is Unstored.OPTED_OUT and keys.generation > 1:
                rekey_opt_out(connection, ruling.request.customer_id, keys)
        count_unstored(connection, self._campaign, Counter(ruling.reason for ruling in rulings), at)


def count_unstored(connection: sqlite3.Connection, campaign: Campaign, counts: Counter[Unstored], at: datetime) -> None:
    """Keep how many requests nothing else is stored of; inside the caller's transaction."""
    day = at.astimezone(UTC).date().isoformat()
    connection.executemany(
        "INSERT INTO unstored (campaign, day, reason, n) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (campaign, day, reason) DO UPDATE SET n = n + excluded.n",
        [(campaign.id, day, reason.value, n) for reason, n in counts.items()],
    )


def _require_allowed(campaign: Campaign, request: Request) -> None:
    """Refuse to answer with an arm that the caller excluded; another one would be a choice made without consent."""
    choice = campaign.groups.control_choice
    for one in excluded_in(campaign.dimensions, request.exclude):
        dimension = campaign.dimensions[one.dimension]
        if choice[dimension.name] == dimension.ids[one.arm]:
            raise NoEligibleArm(
                f"the customer did not consent and gets the control choice alone, whose arm {choice[dimension.name]!r} of "
                f"{dimension.name!r} was excluded by the caller. Send nothing, or exclude fewer."
            )


def as_usual(campaign: Campaign, decision_id: str, at: datetime, usual: Usual) -> Decision:
    """The control choice as an answer: of no customer, from no context, and in no log; quiet hours are kept all the same."""
    choice = usual.choice
    picks = tuple(
        Pick(d.name, choice[d.name], 1.0, Pmf(d.ids, tuple(float(arm == choice[d.name]) for arm in d.ids)))
        for d in campaign.dimensions
    )
    return Decision(
        decision_id,
        campaign.id,
        campaign.content_hash,
        "",
        Group.CONTROL,
        {},
        picks,
        1.0,
        NO_CONSENT,
        None,
        None,
        None,
        at.astimezone(UTC),
        usual.send_at,
    )


def _refusal(decision_id: str, at: str, reason: str) -> str:
    return (
        f"the customer of decision {decision_id[:80]!r} opted out at {at} ({reason[:80]}): do not send. Nothing was decided and "
        "nothing stored but a count. If they asked to be mailed again, take the opt-out back with "
        "POST /v1/customers/{id}/opt-out and opted_out false."
    )
