"""POST /v1/decisions/{id}/outcomes and /sent."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

import msgspec
from fastapi import APIRouter, Request, Response

from bandit.errors import InvalidOutcome
from bandit.reward import Outcome
from service.outcomes_table import Receipt, record_not_sent, record_outcome, record_sent
from service.routes.decisions import JSON
from service.schemas import (
    LONGEST_ID,
    OutcomeBody,
    OutcomeRequest,
    Recorded,
    SentBody,
    SentRequest,
    documented,
    problems,
    read,
)
from service.serving import Serving
from service.silent_rows import refuse_silent
from service.table import time_of

_outcome = msgspec.json.Decoder(OutcomeRequest)
_sent = msgspec.json.Decoder(SentRequest)
Handler = Callable[[str, Request], Awaitable[Response]]


def outcomes_router(serving: Serving) -> APIRouter:
    """Routes that report what happened after a decision."""
    router = APIRouter(prefix="/v1/decisions/{decision_id:path}", tags=["outcomes"])
    for path, handler, body, summary in (
        ("/outcomes", _record_outcome(serving), OutcomeBody, "Report a click, a conversion, ... once or more often"),
        ("/sent", _record_sent(serving), SentBody, "Report that the message went out, or that it never will"),
    ):
        router.add_api_route(
            path,
            handler,
            methods=["POST"],
            summary=summary,
            response_model=Recorded,
            openapi_extra=documented(body),
            responses=problems(400, 404, 409, 422, 503),
        )
    return router


def _record_outcome(serving: Serving) -> Handler:
    async def outcomes(decision_id: str, request: Request) -> Response:
        body = read(_outcome, await request.body())
        if not 0 < len(body.event_id) <= LONGEST_ID:
            raise InvalidOutcome(
                f"event_id has {len(body.event_id)} characters, need 1 to {LONGEST_ID}: a repeated report is known by it."
            )
        now = serving.clock()
        outcome = Outcome(body.event_id, decision_id, body.type, time_of(body.at, what="at") or now)
        timed = body.at is not None

        def operation(connection: sqlite3.Connection) -> Receipt:
            return record_outcome(connection, outcome, serving.store.reward_of, now, timed=timed)

        return await _written(serving, decision_id, operation)

    return outcomes


def _record_sent(serving: Serving) -> Handler:
    async def sent(decision_id: str, request: Request) -> Response:
        body = read(_sent, await request.body() or b"{}")
        now = serving.clock()
        sent_at, timed = time_of(body.at, what="at") or now, body.at is not None

        def operation(connection: sqlite3.Connection) -> Receipt:
            refuse_silent(connection, decision_id, serving.store.silent_of)
            if not body.sent:
                return record_not_sent(connection, decision_id)
            return record_sent(connection, decision_id, sent_at, serving.store.reward_of, now, timed=timed)

        return await _written(serving, decision_id, operation)

    return sent


async def _written(serving: Serving, decision_id: str, operation: Callable[[sqlite3.Connection], Receipt]) -> Response:
    """Answer when it is on disk."""
    receipt = await serving.store.writer.submit(operation, asyncio.get_running_loop())
    return Response(msgspec.json.encode({"decision_id": decision_id, "status": receipt.value}), media_type=JSON)
