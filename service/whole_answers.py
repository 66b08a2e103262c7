"""Answers go out in one piece: the server writes head and body apart, and each write is a call of the operating system.

That call costs a short request more than parsing it does, and a client is woken twice.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class WholeAnswers(HttpToolsProtocol):
    """Uvicorn's protocol, which writes an answer's head together with what comes after it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        self.transport = Gathered(transport, self.loop)


class Gathered(asyncio.Transport):
    """Holds a write until the next one comes, or the event loop's round is over; nothing lingers.

    Args:
        transport: to the client.
        loop: the transport's.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport, self._loop = transport, loop
        self._held = b""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """What an answer begins with waits; what follows takes it along."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(b"".join((held, data)))
        else:
            self._held = bytes(data)
            self._loop.call_soon(self._let_go)

    def close(self) -> None:
        """Write what is held, then close."""
        self._let_go()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._transport.is_closing()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Somebody else talks to the client from now on."""
        self._transport.set_protocol(protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as in asyncio
        """What is known about the connection."""
        return self._transport.get_extra_info(name, default)

    def _let_go(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)
