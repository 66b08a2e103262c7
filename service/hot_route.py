"""POST /v1/decisions without the framework in between: most of a request's time would be spent there.

The route is declared to FastAPI like the others, for the documentation; this middleware answers it first, with the same
function and the same problem details.
"""

from __future__ import annotations

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from bandit.errors import EngineError
from service.problem import problem_of
from service.routes.decisions import JSON, PREFIX, decided
from service.serving import Serving

PATH = f"{PREFIX}/decisions"
_TYPE = (b"content-type", JSON.encode())


class HotRoute:
    """Answers the one hot route and passes everything else on."""

    def __init__(self, app: ASGIApp, serving: Serving) -> None:
        self._app = app
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if not is_hot(scope):
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        try:
            answer = await decided(self._serving, body)
        except (EngineError, msgspec.DecodeError) as error:
            await problem_of(error)(scope, receive, send)
            return
        # What a Response would send, without making one.
        length = str(len(answer)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length), _TYPE]})
        await send({"type": "http.response.body", "body": answer})


def is_hot(scope: Scope) -> bool:
    """Whether it is the one hot request."""
    return bool(scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST")


async def _body(receive: Receive) -> bytes:
    """The whole body; most come in one piece.

    Raises:
        ClientDisconnect: if the client leaves before all of it has come.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return body
