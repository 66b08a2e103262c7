"""POST /v1/decisions and GET /v1/decisions/{id}."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Annotated, NamedTuple

import msgspec
from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from bandit.context import Context
from bandit.decision import Decision
from bandit.engine import check_ids
from bandit.errors import ConflictingDecision, UnknownDecision
from bandit.log import LoggedDecision
from service.answers import answered, explanation_of, receipt_of
from service.deciding import Request as Asked
from service.deciding import deferral, stored_decision
from service.past_sends import PastSends
from service.profiled import profiled
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
    request = Asked(
        asked.customer_id, Context(asked.context), decision_id, asked.exclude, asked.deferred, asked.candidates
    )
    filling = serving.wording.filling(asked.variables, is_whole=asked.render)
    known = _known(serving, request)
    ruled = await _ruled(serving, request, known)
    if ruled is not None:
        return answered(ruled, serving, filling=filling)
    # An id of our own is new: no need to look for it.
    decide = _store if asked.decision_id is None else _once
    decision = await decide(serving, request, known)
    if asked.explain or asked.render:
        # A snapshot that serves no longer has to be loaded, and a whole e-mail takes its time.
        return await run_in_threadpool(answered, decision, serving, explain=asked.explain, filling=filling)
    return answered(decision, serving, filling=filling)


class _Known(NamedTuple):
    """A customer at the time of a request: what the log may call them, the newest name first, and the key of that one."""

    names: tuple[str, ...]
    secret: bytes
    at: datetime


def _known(serving: Serving, asked: Asked) -> _Known:
    at = serving.clock()
    serving.renew_keys(at)
    check_ids(asked.customer_id, asked.decision_id)
    keys = serving.store.customer_keys
    return _Known(keys.of(asked.customer_id), keys.newest, at)


async def _ruled(serving: Serving, asked: Asked, known: _Known) -> Decision | None:
    """What somebody is answered who did not consent; None if there is something to decide."""
    at, has_left = known.at, await serving.opted_out.is_any(known.names)
    consent = serving.consent
    ruling = consent.ruling(asked, at) if has_left else consent.ruling_of_mailed(asked, at)
    if ruling is None:
        return None
    counting = serving.store.writer.submit(partial(consent.count, rulings=[ruling], at=at), asyncio.get_running_loop())
    await counting
    return ruling.decision()


async def _store(serving: Serving, asked: Asked, known: _Known) -> Decision:
    """Decide, and wait until it is on disk."""
    at = known.at
    context = await profiled(serving, asked.customer_id, asked.context, at)
    past, seen = PastSends(serving.store, serving.log).to(asked.customer_id, at)
    engine = serving.engine
    decision = engine.decide(
        asked.customer_id,
        context,
        decision_id=asked.decision_id,
        at=at,
        past=past,
        exclude=asked.exclude,
        candidates=serving.kept_candidates.of(asked.customer_id, asked.candidates),
        # A key that was replaced meanwhile is not used any more.
        known_as=known.names[0] if known.secret == engine.secret else None,
    )
    row = serving.store.row_of(decision, serving.log, seen=seen, deferred_for=deferral(asked, serving.settings))
    await serving.store.writer.submit_row(row, asyncio.get_running_loop())
    return decision


async def _once(serving: Serving, asked: Asked, known: _Known) -> Decision | LoggedDecision:
    """The stored decision for this id, made now if there is none."""
    found = stored_decision(serving.store, serving.log, asked)
    if found is not None:
        return found
    try:
        return await _store(serving, asked, known)
    except ConflictingDecision:
        # Another request with this id was faster by less than a commit; the same request gets its answer.
        found = stored_decision(serving.store, serving.log, asked)
        if found is None:
            raise
        return found


def _show(serving: Serving) -> Callable[[str, bool], Awaitable[Response]]:
    async def show(decision_id: str, explain: Annotated[bool, Query(description="Say why, too.")] = False) -> Response:
        found = serving.store.decision(decision_id, serving.log)
        if found is None:
            raise UnknownDecision(
                f"no decision {decision_id[:80]!r} in the log of campaign {serving.log.campaign.id!r}. "
                "Use the decision_id that POST /v1/decisions returned."
            )
        receipt = receipt_of(found, serving)
        if explain:
            receipt["explanation"] = await run_in_threadpool(explanation_of, found, serving)
        return Response(_encoder.encode(receipt), media_type=JSON)

    return show
