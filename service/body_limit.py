"""How much a request may bring: known from its header, or counted while it is read."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.types import Message, Receive

from service.problem import Refused


def bounded(headers: Mapping[bytes, bytes], receive: Receive, most: int) -> Receive:
    """Where to read a body from, if it is not too large.

    A server reads no more than a Content-Length says, so only bodies without one are counted.

    Args:
        headers: of the request, lower case.
        receive: where its body comes from.
        most: bytes it may have.

    Raises:
        Refused: if its length is known to be more; while it is read, if that turns out then.
    """
    length = headers.get(b"content-length")
    if length is None or b"transfer-encoding" in headers:
        return _Counted(receive, most)
    if not length.isdigit():
        raise Refused(HTTPStatus.BAD_REQUEST, "InvalidRequest", "the header Content-Length is not a number of bytes.")
    if len(length) > _DIGITS or int(length) > most:
        raise _too_large(most)
    return receive


_DIGITS = 18


class _Counted:
    """A body of unknown length, counted while it is read."""

    __slots__ = ("_left", "_most", "_receive")

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = self._left = most

    async def __call__(self) -> Message:
        """The next message.

        Raises:
            Refused: when there is too much of it.
        """
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _too_large(self._most)
        return message


def _too_large(most: int) -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "BodyTooLarge",
        f"the body has more than {most} bytes. Nothing was stored. Send fewer rows at once, or have the setting largest_body "
        "raised.",
        {"Connection": "close"},
    )
