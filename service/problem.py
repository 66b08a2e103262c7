"""Errors over HTTP: RFC 9457 problem details, one shape for everything that can go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from bandit.errors import (
    BrokenSnapshot,
    CapReached,
    ConflictingDecision,
    ConflictingOutcome,
    EngineError,
    OptedOut,
    UnknownCampaign,
    UnknownDecision,
    UnknownErasure,
    UnknownSnapshot,
    UnusableStore,
)
from service.webhooks.refusal import NoSuchWebhook, RefusedWebhook, UncheckableWebhook, UnreadableWebhook
from service.webhooks.unsubscribe import UnknownLink

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[EngineError], HTTPStatus] = {
    UnknownCampaign: HTTPStatus.NOT_FOUND,
    UnknownDecision: HTTPStatus.NOT_FOUND,
    UnknownSnapshot: HTTPStatus.NOT_FOUND,
    CapReached: HTTPStatus.CONFLICT,
    ConflictingDecision: HTTPStatus.CONFLICT,
    ConflictingOutcome: HTTPStatus.CONFLICT,
    OptedOut: HTTPStatus.CONFLICT,
    UnknownErasure: HTTPStatus.NOT_FOUND,
    NoSuchWebhook: HTTPStatus.NOT_FOUND,
    RefusedWebhook: HTTPStatus.UNAUTHORIZED,
    UncheckableWebhook: HTTPStatus.SERVICE_UNAVAILABLE,
    UnreadableWebhook: HTTPStatus.BAD_REQUEST,
    UnknownLink: HTTPStatus.NOT_FOUND,
    BrokenSnapshot: HTTPStatus.SERVICE_UNAVAILABLE,
    UnusableStore: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Status of an error; every other one is 422: the request is understood and cannot be done."""


class Problem(msgspec.Struct, frozen=True):
    """A problem detail. `type` names the error as the docs do; `detail` says what, why, and what to do."""

    type: str
    title: str
    status: int
    detail: str


class Refused(HTTPException):
    """A request that is not let in, wherever that is found out.

    Args:
        status: of the answer.
        title, detail: of the problem; neither holds anything the request brought that nobody else should read.
        headers: that belong to the answer.
    """

    def __init__(self, status: HTTPStatus, title: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status.value, detail, dict(headers or {}))
        self.title = title


def refusal(error: Refused) -> Response:
    """A refusal as a response."""
    response = problem_response(HTTPStatus(error.status_code), error.title, error.detail)
    response.headers.update(error.headers or {})
    return response


def problem_response(status: HTTPStatus, title: str, detail: str) -> Response:
    """A problem as a response."""
    return _response(problem_document(status, title, detail))


def problem_of(error: EngineError | msgspec.DecodeError) -> Response:
    """The response to an error of the engine, or to a body that cannot be read."""
    return _response(problem_in(error))


def problem_in(error: EngineError | msgspec.DecodeError) -> Problem:
    """The same as a document of its own, for one among many."""
    if isinstance(error, EngineError):
        status = STATUS.get(type(error), HTTPStatus.UNPROCESSABLE_ENTITY)
        return problem_document(status, type(error).__name__, str(error))
    understood = isinstance(error, msgspec.ValidationError)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if understood else HTTPStatus.BAD_REQUEST
    advice = "Nothing was stored; see /docs for the fields and their types."
    return problem_document(status, "InvalidRequest", f"{error}. {advice}")


def problem_document(status: HTTPStatus, title: str, detail: str) -> Problem:
    """A problem as a document."""
    return Problem(f"urn:manyarm:problem:{title}", title, status.value, detail)


def _response(problem: Problem) -> Response:
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of this app with a problem detail."""

    @app.exception_handler(EngineError)
    def explain(_: Request, error: EngineError) -> Response:
        return problem_of(error)

    @app.exception_handler(msgspec.DecodeError)
    def unreadable(_: Request, error: msgspec.DecodeError) -> Response:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    def refused(_: Request, error: RequestValidationError) -> Response:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, "InvalidRequest", f"{found}. Nothing was stored.")

    @app.exception_handler(HTTPException)
    def elsewhere(request: Request, error: HTTPException) -> Response:
        if isinstance(error, Refused):
            return refusal(error)
        status = HTTPStatus(error.status_code)
        detail = f"{request.method} {_place(request)}: {error.detail}. The routes stand at /docs."
        response = problem_response(status, status.phrase.replace(" ", ""), detail)
        response.headers.update(error.headers or {})
        return response


def _place(request: Request) -> str:
    """Where a request went, without what may name somebody: the route, else the first parts of the path.

    >>> _place(Request({"type": "http", "path": "/v1/customer/ann@example.org", "headers": []}))
    '/v1/customer/...'
    """
    route = request.scope.get("route")
    parts = request.scope["path"].split("/")
    return str(route.path) if route else "/".join(parts[:3]) + ("/..." if len(parts) > 3 else "")
