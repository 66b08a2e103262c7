"""Errors in Azure Personalizer's shape, with its codes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute

from bandit.errors import ConflictingDecision, EngineError, UnknownDecision, UnusableLog
from service.personalizer.schemas import ErrorAnswer, Fault
from service.problem import STATUS, Refused

BAD_REQUEST = "BadRequest"
NOT_FOUND = "ResourceNotFound"
BROKEN = "InternalServerError"
JSON = "application/json"
OURS: dict[type[EngineError], HTTPStatus] = {UnusableLog: HTTPStatus.SERVICE_UNAVAILABLE}
"""Errors that no request of a caller can cause: a row that was damaged."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PersonalizerRoute(APIRoute):
    """A route whose errors have Azure Personalizer's shape instead of that of the rest of the service."""

    def get_route_handler(self) -> Handler:
        """The route's handler with the errors of the engine answered."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except (EngineError, msgspec.DecodeError, Refused) as error:
                return failure_response(error)

        return answer


def failure_response(error: EngineError | msgspec.DecodeError | Refused) -> Response:
    """An error as a response: 400 for what cannot be understood, 404 for an unknown event, 409, or 503 for a sick store.

    What is not let in has the status and the headers that it has elsewhere, and its title as the code.
    """
    if isinstance(error, Refused):
        response = _response(HTTPStatus(error.status_code), error.title, str(error.detail))
        response.headers.update(error.headers or {})
        return response
    if isinstance(error, EngineError):
        status = OURS.get(type(error)) or STATUS.get(type(error), HTTPStatus.BAD_REQUEST)
        return _response(status, _code_of(error, status), str(error))
    return _response(HTTPStatus.BAD_REQUEST, BAD_REQUEST, f"{error}. Nothing was stored; see /docs for the fields.")


def _code_of(error: EngineError, status: HTTPStatus) -> str:
    if isinstance(error, UnknownDecision):
        return NOT_FOUND
    if isinstance(error, ConflictingDecision) or status is HTTPStatus.BAD_REQUEST:
        return BAD_REQUEST
    return BROKEN


def _response(status: HTTPStatus, code: str, message: str) -> Response:
    body = msgspec.json.encode(ErrorAnswer(Fault(code, message)))
    return Response(body, status_code=status.value, media_type=JSON)
