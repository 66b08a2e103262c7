"""Times every request, whoever answers it, and says so in the log where that is asked for.

The outermost layer, so that refusals at the door and the hot route count too. It costs about a microsecond a request.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.door import KEY_ID
from service.hot_route import PATH
from service.serving import Serving

_log = logging.getLogger("manyarm")
ELSEWHERE = "none"
"""The route of a request that no route was found for: paths are chosen by callers, labels must not be."""
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
GOING = (b"connection", b"close")


class _Named(msgspec.Struct):
    """The part of an answer that names its decision."""

    decision_id: str | None = None


_named = msgspec.json.Decoder(_Named)


class Measured:
    """Measures, and asks callers to come back elsewhere while the process drains.

    Args:
        app: everything else.
        serving: keeps the counts; its setting `log_requests` asks for one line a request.
    """

    def __init__(self, app: ASGIApp, serving: Serving) -> None:
        self._app = app
        self._serving = serving
        self._timer = serving.timer
        self._is_logging = serving.settings.is_on("log_requests")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Watched(self._serving, send, keeps=self._is_logging)
        started = self._timer()
        try:
            await self._app(scope, receive, answer.send)
        finally:
            seconds = self._timer() - started
            counted = (_method(scope), _route(scope), answer.status)
            self._serving.tallies.answered(counted, seconds)
            if self._is_logging:
                _say(scope, counted, seconds, answer.body)


class _Watched:
    """Passes an answer on and remembers its status, and how it began where that is wanted."""

    __slots__ = ("_keeps", "_send", "_serving", "body", "status")

    def __init__(self, serving: Serving, send: Send, *, keeps: bool) -> None:
        self._serving = serving
        self._send = send
        self._keeps = keeps
        self.status = 500  # where nothing answers, the server does
        self.body = b""

    def send(self, message: Message) -> Awaitable[None]:
        """Not a coroutine of its own: one frame less for each message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._serving.is_draining:
                message["headers"] = [*message.get("headers", ()), GOING]
        elif self._keeps and not self.body:
            self.body = message.get("body", b"")
        return self._send(message)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in METHODS else "other"


def _route(scope: Scope) -> str:
    """The template, such as /v1/decisions/{decision_id}; never the path, which may name somebody."""
    route = scope.get("route")
    if route is not None:
        return str(route.path)
    return PATH if scope["path"] == PATH else ELSEWHERE


def _say(scope: Scope, counted: tuple[str, str, int], seconds: float, body: bytes) -> None:
    method, route, status = counted
    said: dict[str, object] = {
        "method": method,
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1e3, 3),
    }
    if scope.get(KEY_ID):
        said["key_id"] = scope[KEY_ID]
    decision_id = scope.get("path_params", {}).get("decision_id") or _decision_id(body)
    _log.info("request", extra=said | ({"decision_id": decision_id} if decision_id else {}))


def _decision_id(body: bytes) -> str | None:
    try:
        return _named.decode(body).decision_id
    except msgspec.DecodeError:
        return None
