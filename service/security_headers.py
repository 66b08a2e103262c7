"""Headers that every answer has: nothing is kept, guessed, framed or run."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import Message, Send

Header = tuple[bytes, bytes]

_SECURITY: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
_POLICY = b"default-src 'none'; frame-ancestors 'none'"
_CDN = b"https://cdn.jsdelivr.net"
_DOCS_POLICY = (
    b"default-src 'none'; frame-ancestors 'none'; connect-src 'self'; img-src 'self' data: https://fastapi.tiangolo.com; "
    b"script-src 'unsafe-inline' " + _CDN + b"; style-src 'unsafe-inline' " + _CDN
)
_HSTS = (b"strict-transport-security", b"max-age=31536000")

_NAMES = frozenset(name for name, _ in (*_SECURITY, _HSTS)) | {b"content-security-policy"}


def security_headers(*, is_docs: bool, is_https_only: bool) -> tuple[Header, ...]:
    """The headers of an answer.

    Args:
        is_docs: whether it is the page of the routes, which loads Swagger UI from its CDN.
        is_https_only: whether a browser shall come by HTTPS from now on.
    """
    policy = _DOCS_POLICY if is_docs else _POLICY
    return (*_SECURITY, (b"content-security-policy", policy), *([_HSTS] if is_https_only else []))


class Answer:
    """Sends an answer on, with the headers that every one has; a route's own of the same name stand."""

    __slots__ = ("_headers", "_send", "has_begun")

    def __init__(self, send: Send, headers: tuple[Header, ...]) -> None:
        self._send = send
        self._headers = headers
        self.has_begun = False

    def send(self, message: Message) -> Awaitable[None]:
        """One message of it. Not a coroutine of its own: one frame less for each message."""
        if message["type"] == "http.response.start":
            self.has_begun = True
            own = dict(message["headers"])
            added = self._headers if _NAMES.isdisjoint(own) else [pair for pair in self._headers if pair[0] not in own]
            message["headers"] = [*message["headers"], *added]
        return self._send(message)
