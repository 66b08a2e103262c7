"""Deciding once: a retry with the same decision_id gets the stored decision, whatever serves by now."""

from __future__ import annotations

from dataclasses import dataclass

from bandit.context import Context
from bandit.decision import Decision
from bandit.draw import customer_key
from bandit.errors import ConflictingDecision
from bandit.log import LoggedDecision
from service.store import Log, Store


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks for."""

    customer_id: str
    context: Context
    decision_id: str


def stored_decision(store: Store, log: Log, request: Request) -> LoggedDecision | None:
    """The decision made earlier for this request, or None.

    Raises:
        ConflictingDecision: if the id was used for another customer or context.
    """
    found = store.decision(request.decision_id, log)
    if found is None:
        return None
    asked = log.campaign.schema.encode(request.context).values
    same_customer = found.customer_key == customer_key(request.customer_id, secret=store.secret)
    if same_customer and dict(found.context) == dict(asked):
        return found
    what = "context" if same_customer else "customer"
    raise ConflictingDecision(
        f"decision {request.decision_id[:80]!r} was made at {found.decided_at.isoformat()} for another {what}. The stored "
        "one stands and was not changed; give a new send a new decision_id."
    )


def texts_of(choice: dict[str, str], log: Log) -> dict[str, str]:
    """The text of each chosen arm that has one, by dimension."""
    arms = ((d.name, d.arms[d.index_of(choice[d.name])]) for d in log.campaign.dimensions)
    return {name: arm.text for name, arm in arms if arm.text}


def choice_of(decision: Decision | LoggedDecision, log: Log) -> dict[str, str]:
    """The arm of each dimension, by name."""
    if isinstance(decision, Decision):
        return decision.choice
    return {d.name: arm for d, arm in zip(log.campaign.dimensions, decision.arms, strict=True)}
