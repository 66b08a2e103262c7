"""POST /v1/decisions and GET /v1/decisions/{id}."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec
from fastapi import APIRouter, Request, Response

from bandit.context import Context
from bandit.decision import Decision
from bandit.errors import ConflictingDecision, UnknownDecision
from bandit.log import LoggedDecision
from service.deciding import Request as Asked
from service.deciding import choice_of, stored_decision, texts_of
from service.past_sends import PastSends
from service.schemas import (
    DecisionAnswer,
    DecisionBody,
    DecisionReceipt,
    DecisionRequest,
    documented,
    problems,
    read,
)
from service.serving import Serving

_decoder = msgspec.json.Decoder(DecisionRequest)
_encoder = msgspec.json.Encoder()
JSON = "application/json"
PREFIX = "/v1"


class Answer(msgspec.Struct, frozen=True):
    """What POST /v1/decisions answers; `DecisionAnswer` documents it."""

    decision_id: str
    campaign: str
    group: str
    choice: dict[str, str]
    texts: dict[str, str]
    propensity: float
    policy: str
    snapshot: str | None
    candidate: str | None
    fallback: str | None
    decided_at: datetime
    send_at: datetime | None


def decisions_router(serving: Serving) -> APIRouter:
    """Routes that decide and that show what was decided."""
    router = APIRouter(prefix=PREFIX, tags=["decisions"])
    router.add_api_route(
        "/decisions",
        _decide(serving),
        methods=["POST"],
        summary="Choose one arm of each dimension for one send",
        response_model=DecisionAnswer,
        openapi_extra=documented(DecisionBody),
        responses=problems(400, 409, 422, 503),
    )
    router.add_api_route(
        "/decisions/{decision_id:path}",
        _show(serving),
        methods=["GET"],
        summary="The receipt: everything needed to recompute the decision, and what became of it",
        response_model=DecisionReceipt,
        responses=problems(404),
    )
    return router


def _decide(serving: Serving) -> Callable[[Request], Awaitable[Response]]:
    async def decide(request: Request) -> Response:
        return Response(await decided(serving, await request.body()), media_type=JSON)

    return decide


async def decided(serving: Serving, body: bytes) -> bytes:
    """Decide for a request's body; the answer is made when the decision is on disk."""
    asked = read(_decoder, body)
    decision_id = serving.new_id() if asked.decision_id is None else asked.decision_id
    request = Asked(asked.customer_id, Context(asked.context), decision_id)
    # An id of our own is new: no need to look for it.
    decision = await (_store(serving, request) if asked.decision_id is None else _once(serving, request))
    return _encoder.encode(answer_of(decision, serving))


async def _store(serving: Serving, asked: Asked) -> Decision:
    """Decide, and wait until it is on disk."""
    at = serving.clock()
    past, seen = PastSends(serving.store, serving.log).to(asked.customer_id, at)
    decision = serving.engine.decide(asked.customer_id, asked.context, decision_id=asked.decision_id, at=at, past=past)
    row = serving.store.row_of(decision, serving.log, seen=seen)
    await serving.store.writer.submit_row(row, asyncio.get_running_loop())
    return decision


async def _once(serving: Serving, asked: Asked) -> Decision | LoggedDecision:
    """The stored decision for this id, made now if there is none."""
    found = stored_decision(serving.store, serving.log, asked)
    if found is not None:
        return found
    try:
        return await _store(serving, asked)
    except ConflictingDecision:
        # Another request with this id was faster by less than a commit; the same request gets its answer.
        found = stored_decision(serving.store, serving.log, asked)
        if found is None:
            raise
        return found


def _show(serving: Serving) -> Callable[[str], Awaitable[Response]]:
    async def show(decision_id: str) -> Response:
        found = serving.store.decision(decision_id, serving.log)
        if found is None:
            raise UnknownDecision(
                f"no decision {decision_id[:80]!r} in the log of campaign {serving.log.campaign.id!r}. "
                "Use the decision_id that POST /v1/decisions returned."
            )
        return Response(_encoder.encode(receipt_of(found, serving)), media_type=JSON)

    return show


def answer_of(decision: Decision | LoggedDecision, serving: Serving) -> Answer:
    """A decision as POST answers it."""
    choice = choice_of(decision, serving.log)
    return Answer(
        decision.decision_id,
        decision.campaign,
        str(decision.group),
        choice,
        texts_of(choice, serving.log),
        decision.propensity,
        decision.policy,
        decision.snapshot,
        decision.candidate,
        decision.fallback,
        decision.decided_at,
        decision.send_at,
    )


def receipt_of(row: LoggedDecision, serving: Serving) -> dict[str, object]:
    """A stored decision with everything that went into it."""
    dimensions = serving.log.campaign.dimensions
    pmfs = {d.name: dict(zip(d.ids, pmf, strict=True)) for d, pmf in zip(dimensions, row.pmfs, strict=True)}
    return {
        **msgspec.structs.asdict(answer_of(row, serving)),
        "customer_key": row.customer_key,
        "campaign_hash": row.campaign_hash,
        "context": row.context,
        "propensities": {d.name: p for d, p in zip(dimensions, row.propensities, strict=True)},
        "pmf": pmfs,
        "exposures": _exposures(row, serving),
        "estimate": row.estimate,
        "state": row.state,
        "sent_at": row.sent_at,
        "reward": row.reward,
    }


def _exposures(row: LoggedDecision, serving: Serving) -> dict[str, dict[str, dict[str, float]]]:
    """Recency and frequency of each arm the customer got lately, by dimension."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for exposure in row.exposures:
        dimension = serving.log.campaign.dimensions[exposure.dimension]
        worn = {"recency": exposure.recency, "frequency": exposure.frequency}
        found.setdefault(dimension.name, {})[dimension.ids[exposure.arm]] = worn
    return found
