"""Deciding once: a retry with the same decision_id gets the stored decision, whatever serves by now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from bandit.context import Context
from bandit.decision import Decision
from bandit.errors import ConflictingDecision
from bandit.exclusion import Excludes, by_caller, excluded_in
from bandit.log import LoggedDecision
from service.settings import Settings
from service.store import Log, Store


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks for.

    Attributes:
        customer_id, context, decision_id: of the send.
        exclude: arms by dimension that may not be used for it.
        is_deferred: whether the decision counts only once it is reported as sent.
    """

    customer_id: str
    context: Context
    decision_id: str
    exclude: Excludes = field(default_factory=dict)
    is_deferred: bool = False


def stored_decision(store: Store, log: Log, request: Request) -> LoggedDecision | None:
    """The decision made earlier for this request, or None.

    Raises:
        ConflictingDecision: if the id was used for another request.
    """
    found = store.decision(request.decision_id, log)
    if found is None:
        return None
    what = _difference(found, request, store, log)
    if not what:
        return found
    raise ConflictingDecision(
        f"decision {request.decision_id[:80]!r} was made at {found.decided_at.isoformat()} {what}. The stored "
        "one stands and was not changed; give a new send a new decision_id."
    )


def _difference(found: LoggedDecision, request: Request, store: Store, log: Log) -> str:
    """In what a request differs from the one that a decision was made for; empty if in nothing."""
    if found.customer_key not in store.customer_keys.of(request.customer_id):
        return "for another customer"
    if dict(found.context) != dict(log.campaign.schema.encode(request.context).values):
        return "for another context"
    if by_caller(found.excluded) != excluded_in(log.campaign.dimensions, request.exclude):
        return "with other arms excluded"
    if found.deferred != request.is_deferred:
        return "deferred" if found.deferred else "to count at once, and not deferred"
    return ""


def deferral(request: Request, settings: Settings) -> timedelta | None:
    """How long a decision waits to be reported as sent before it expires; None if it counts from now on."""
    return settings.pause("deferred_for") if request.is_deferred else None


def texts_of(choice: dict[str, str], log: Log) -> dict[str, str]:
    """The text of each chosen arm that has one, by dimension."""
    arms = ((d.name, d.arms[d.index_of(choice[d.name])]) for d in log.campaign.dimensions)
    return {name: arm.text for name, arm in arms if arm.text}


def choice_of(decision: Decision | LoggedDecision, log: Log) -> dict[str, str]:
    """The arm of each dimension, by name."""
    if isinstance(decision, Decision):
        return decision.choice
    return {d.name: arm for d, arm in zip(log.campaign.dimensions, decision.arms, strict=True)}
