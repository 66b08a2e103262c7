"""POST /v1/decisions/batch: many decisions in one request, as one JSON document or as lines without end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from bandit.decision import Decision
from bandit.errors import EngineError, UnusableStore
from bandit.log import LoggedDecision
from service.answers import answered
from service.body_limit import bounded
from service.decided_together import AT_ONCE, Asked, asked_in, decide_together
from service.line_stream import LONGEST_LINE, NDJSON, LineStream
from service.problem import Refused, problem_document, problem_in
from service.rate_limit import allowance_of
from service.routes.decisions import JSON, PREFIX
from service.schemas import BatchAnswer, BatchBody, BatchRequest, documented, problems, read
from service.serving import Serving

MOST = 1000
"""Decisions of one JSON document."""
LINES = {"type": "string", "description": "Line i answers line i of the body: a decision, or a problem."}
_batch = msgspec.json.Decoder(BatchRequest)


def batches_router(serving: Serving) -> APIRouter:
    """The route that decides for many."""
    router = APIRouter(prefix=PREFIX, tags=["decisions"])
    router.add_api_route(
        "/decisions/batch",
        _decide_many(serving),
        methods=["POST"],
        summary=f"Choose for many sends: up to {MOST} in a JSON document, or NDJSON without limit; one bad one spoils no other",
        response_model=BatchAnswer,
        openapi_extra=_documented(),
        responses={**problems(400, 413, 415, 422), 200: {"content": {NDJSON: {"schema": LINES}}}},
    )
    return router


def _decide_many(serving: Serving) -> Callable[[Request], Awaitable[Response]]:
    async def decide_many(request: Request) -> Response:
        media_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if media_type == NDJSON:
            return _stream(serving, request)
        if media_type != JSON:
            raise Refused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                f"the body is {media_type[:60]!r}, need {JSON} with a list, or {NDJSON} with one request a line.",
            )
        largest = int(serving.settings.number("largest_body"))
        receive = bounded({key.lower(): value for key, value in request.headers.raw}, request.receive, largest)
        items = read(_batch, await Request(request.scope, receive).body()).decisions
        if len(items) > MOST:
            raise _too_many(len(items))
        allowance = allowance_of(request.scope)
        if allowance is not None:
            allowance.spend(len(items))
        answers = await run_in_threadpool(answers_to, [bytes(item) for item in items], serving)
        return Response(b'{"decisions":[' + b",".join(answers) + b"]}", media_type=JSON)

    return decide_many


def _stream(serving: Serving, request: Request) -> Response:
    allowance = allowance_of(request.scope)

    async def answer(lines: Sequence[bytes]) -> Sequence[bytes]:
        if allowance is not None:
            await allowance.spend_in_time(len(lines), serving.sleep)
        return await run_in_threadpool(answers_to, lines, serving)

    too_long = problem_document(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "LineTooLong",
        f"this line has more than {LONGEST_LINE} bytes. It and what follows was not read; what came before is stored.",
    )
    at_once = AT_ONCE if allowance is None else min(AT_ONCE, allowance.most)
    return LineStream(answer, at_once=at_once, too_long=msgspec.json.encode(too_long))


def answers_to(bodies: Sequence[bytes], serving: Serving) -> list[bytes]:
    """A JSON answer or problem to each request, in order, once all of them are on disk."""
    asked = asked_in(bodies, serving)
    for start in range(0, len(asked), AT_ONCE):
        _decide(asked[start : start + AT_ONCE], serving)
    return [_answer(one, serving) for one in asked]


def _decide(asked: Sequence[Asked], serving: Serving) -> None:
    try:
        decide_together(asked, serving)
    except EngineError as error:
        # A store that cannot be written, say: those that are stored already keep their answers.
        for one in asked:
            one.outcome = one.outcome or error


def _answer(asked: Asked, serving: Serving) -> bytes:
    outcome = asked.outcome or UnusableStore("nothing became of this request. Ask again with the same decision_id.")
    if isinstance(outcome, Decision | LoggedDecision):
        return answered(outcome, serving, explain=asked.explain, filling=asked.filling)
    return msgspec.json.encode(problem_in(outcome))


def _too_many(found: int) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "BatchTooLarge",
        f"{found} decisions in one document, of which nothing was stored; {MOST} are the most. Send several, or one a line as "
        f"{NDJSON}, which has no limit.",
    )


def _documented() -> dict[str, Any]:
    """The OpenAPI entry of both forms of the body."""
    entry = documented(BatchBody)
    entry["requestBody"]["content"][NDJSON] = {
        "schema": {"type": "string", "description": "A request a line, each as in the document's list."}
    }
    lines = {"schema": {"type": "string", "description": "One DecisionAnswer or ProblemBody a line."}}
    entry["responses"] = {"200": {"content": {NDJSON: lines}}}
    return entry
