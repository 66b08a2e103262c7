"""Errors over HTTP: RFC 9457 problem details, one shape for everything that can go wrong."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from bandit.errors import (
    BrokenSnapshot,
    ConflictingDecision,
    ConflictingOutcome,
    EngineError,
    UnknownDecision,
    UnusableStore,
)

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[EngineError], HTTPStatus] = {
    UnknownDecision: HTTPStatus.NOT_FOUND,
    ConflictingDecision: HTTPStatus.CONFLICT,
    ConflictingOutcome: HTTPStatus.CONFLICT,
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


def problem_response(status: HTTPStatus, title: str, detail: str) -> Response:
    """A problem as a response."""
    body = msgspec.json.encode(Problem(f"urn:manyarm:problem:{title}", title, status.value, detail))
    return Response(body, status_code=status.value, media_type=MEDIA_TYPE)


def problem_of(error: EngineError | msgspec.DecodeError) -> Response:
    """The response to an error of the engine, or to a body that cannot be read."""
    if isinstance(error, EngineError):
        status = STATUS.get(type(error), HTTPStatus.UNPROCESSABLE_ENTITY)
        return problem_response(status, type(error).__name__, str(error))
    understood = isinstance(error, msgspec.ValidationError)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if understood else HTTPStatus.BAD_REQUEST
    advice = "Nothing was stored; see /docs for the fields and their types."
    return problem_response(status, "InvalidRequest", f"{error}. {advice}")


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
        status = HTTPStatus(error.status_code)
        detail = f"{request.method} {request.url.path}: {error.detail}. The routes stand at /docs."
        response = problem_response(status, status.phrase.replace(" ", ""), detail)
        response.headers.update(error.headers or {})
        return response
