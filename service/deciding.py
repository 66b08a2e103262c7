"""Deciding once: a retry with the same decision_id gets the stored decision, whatever serves by now."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from bandit.context import Context, ContextValue
from bandit.decision import Decision
from bandit.errors import ConflictingDecision
from bandit.exclusion import Excluded, Excludes, by_caller, excluded_in
from bandit.log import LoggedDecision
from bandit.product_candidates import NOT_A_CANDIDATE, NOT_POPULAR, Candidates, ProductOffers
from service.settings import Settings
from service.store import Log, Store


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks for.

    Attributes:
        customer_id, context, decision_id: of the send.
        exclude: arms by dimension that may not be used for it.
        candidates: the customer's products by dimension, where they came with the request.
        is_deferred: whether the decision counts only once it is reported as sent.
    """

    customer_id: str
    context: Context
    decision_id: str
    exclude: Excludes = field(default_factory=dict)
    is_deferred: bool = False
    candidates: Candidates = field(default_factory=dict)


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
    if not _is_same_context(found, request, log):
        return "for another context"
    if by_caller(found.excluded) != excluded_in(log.campaign.dimensions, request.exclude):
        return "with other arms excluded"
    if not are_same_candidates(found.context, found.excluded, request.candidates, log):
        return "with other candidates"
    if found.deferred != request.is_deferred:
        return "deferred" if found.deferred else "to count at once, and not deferred"
    return ""


def _is_same_context(found: LoggedDecision, request: Request, log: Log) -> bool:
    """Whether the caller knew the same; what a profile filled in was not the caller's to know."""
    before, now = dict(log.campaign.given_of(found.context)), dict(log.campaign.given(request.context))
    if log.campaign.profile is None:
        return before == now
    return all(before[name] == now[name] for name in before.keys() & request.context.values.keys())


def are_same_candidates(
    context: Mapping[str, ContextValue], excluded: Sequence[Excluded], candidates: Candidates, log: Log
) -> bool:
    """Whether candidates that came with a request would put the same products on offer as stand in a row.

    Args:
        context: of the row.
        excluded: arms that were out of it.
        candidates: by dimension; where there are none, nothing is different.
        log: of the row.
    """
    if not any(candidates.values()):
        return True
    now = ProductOffers(log.campaign.dimensions).out(context, by_caller(excluded), candidates)
    asked = {d for d, dimension in enumerate(log.campaign.dimensions) if candidates.get(dimension.name)}
    before, after = ({one for one in every if _is_offers(one, asked)} for every in (excluded, now))
    return before == after


def _is_offers(one: Excluded, dimensions: Container[int]) -> bool:
    """Whether an arm was out because it is not among some products."""
    return one.dimension in dimensions and one.rule in {NOT_A_CANDIDATE, NOT_POPULAR}


def deferral(request: Request, settings: Settings) -> timedelta | None:
    """How long a decision waits to be reported as sent before it expires; None if it counts from now on."""
    return settings.pause("deferred_for") if request.is_deferred else None


def choice_of(decision: Decision | LoggedDecision, log: Log) -> dict[str, str]:
    """The arm of each dimension, by name."""
    if isinstance(decision, Decision):
        return decision.choice
    return {d.name: arm for d, arm in zip(log.campaign.dimensions, decision.arms, strict=True)}
