"""What the door asks for, in the OpenAPI document: the key of each route, and the problems the door answers with."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from service.keys_table import Scope
from service.problem import MEDIA_TYPE
from service.route_access import ACCESS

SCHEMES: dict[str, dict[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key made with `manyarm key create`."},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "The same key."},
}
_PROBLEM = {"$ref": "#/components/schemas/ProblemBody"}
_OF_KEYS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_OF_BODIES = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_OF_DECIDING = (HTTPStatus.TOO_MANY_REQUESTS,)


def document_access(app: FastAPI) -> None:
    """Let the app's OpenAPI document tell what the door does.

    Args:
        app: with all its routes; the document is made when somebody first asks for it.
    """
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        if "securitySchemes" not in document.setdefault("components", {}):
            document["components"]["securitySchemes"] = SCHEMES
            _describe(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _describe(document: dict[str, Any]) -> None:
    paths = {method_and_path(method, path): scope for (method, path), scope in ACCESS.items()}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            needed = paths.get(method_and_path(method, path), Scope.ADMIN)
            if isinstance(needed, Scope):
                operation["security"] = [{name: []} for name in SCHEMES]
                operation["x-scope"] = needed.value
            for status in _answers(method, path, needed):
                answer = operation["responses"].setdefault(str(status.value), {"description": status.phrase})
                media, schema = _shape(path)
                answer.setdefault("content", {}).setdefault(media, {"schema": schema})


def _shape(path: str) -> tuple[str, dict[str, str]]:
    """Media type and schema of the door's errors: Personalizer's clients get them as they know them."""
    if path.startswith("/personalizer/"):
        return "application/json", {"$ref": "#/components/schemas/ErrorBody"}
    return MEDIA_TYPE, _PROBLEM


def method_and_path(method: str, path: str) -> tuple[str, str]:
    """A route as the document names it.

    >>> method_and_path("GET", "/v1/decisions/{decision_id:path}")
    ('get', '/v1/decisions/{decision_id}')
    """
    return method.lower(), path.replace(":path}", "}")


def _answers(method: str, path: str, needed: object) -> Iterator[HTTPStatus]:
    """Statuses of what the door, or whatever looks for a route, answers instead of the route."""
    if "{" in path:
        yield HTTPStatus.NOT_FOUND
    if isinstance(needed, Scope):
        yield from _OF_KEYS
    if method == "post":
        yield from _OF_BODIES
    if method == "post" and needed is Scope.DECIDE:
        yield from _OF_DECIDING
