"""POST /v1/unsubscribe/{token}: one click in the mailbox. A GET only shows a button: scanners follow every link."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse

from service.outcomes_table import Receipt
from service.problem import problem_response
from service.routes.decisions import JSON
from service.schemas import problems
from service.serving import Serving
from service.webhooks.unsubscribe import decision_of_token, record_unsubscribe, unsubscribe_key

FIELD, VALUE = "List-Unsubscribe", "One-Click"
_BODY = {"type": "object", "properties": {FIELD: {"const": VALUE}}, "required": [FIELD]}
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_PAGE = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="robots" content="noindex"><title>Unsubscribe</title>
<form method="post"><input type="hidden" name="{FIELD}" value="{VALUE}">
<p>Nothing has happened yet.</p><button>Unsubscribe</button></form></html>
"""


class Unsubscribed(BaseModel):
    """Nobody is told who it was."""

    status: str = Field(description="accepted; once more changes nothing")


def unsubscribe_router(serving: Serving) -> APIRouter:
    """Routes behind the link in each message."""
    router = APIRouter(prefix="/v1/unsubscribe", tags=["unsubscribe"])
    router.add_api_route(
        "/{token}",
        _unsubscribe(serving),
        methods=["POST"],
        summary="One-click unsubscribe (RFC 8058)",
        response_model=Unsubscribed,
        openapi_extra={"requestBody": {"required": True, "content": {form: {"schema": _BODY} for form in _FORMS}}},
        responses=problems(400, 404, 503),
    )
    router.add_api_route(
        "/{token}",
        _show(serving),
        methods=["GET"],
        summary="A page with the button, for whoever opens the link; unsubscribes nobody",
        response_class=HTMLResponse,
        responses=problems(404),
    )
    return router


def _unsubscribe(serving: Serving) -> Callable[[str, Request], Awaitable[Response]]:
    key = unsubscribe_key(serving.store)

    async def unsubscribe(token: str, request: Request) -> Response:
        decision_id = decision_of_token(token, key)
        if await _value_in(request) != VALUE:
            detail = f"the body must be {FIELD}={VALUE}, as RFC 8058 has it. Nobody was opted out."
            return problem_response(HTTPStatus.BAD_REQUEST, "InvalidRequest", detail)
        at, reward_of = serving.clock(), serving.store.reward_of
        await serving.store.writer.submit(
            lambda connection: record_unsubscribe(connection, decision_id, at, reward_of), asyncio.get_running_loop()
        )
        return Response(Unsubscribed(status=Receipt.ACCEPTED.value).model_dump_json(), media_type=JSON)

    return unsubscribe


async def _value_in(request: Request) -> object:
    """What the form says; None where it cannot be read, as with a charset that is none of text."""
    try:
        async with request.form(max_files=0, max_fields=20) as form:
            return form.get(FIELD)
    except UnicodeError:
        return None


def _show(serving: Serving) -> Callable[[str], Awaitable[Response]]:
    key = unsubscribe_key(serving.store)

    async def show(token: str) -> Response:
        decision_of_token(token, key)
        return HTMLResponse(_PAGE)

    return show
