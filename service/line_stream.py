"""Answers to a body that is read line by line: NDJSON in, NDJSON out, however long, in flat memory.

Answers go out while the body still comes in. A client that writes everything before it reads anything would wait for a server
that waits for it; so what it does not read yet is spooled, beyond a megabyte on disk, and reading goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from tempfile import SpooledTemporaryFile
from typing import Self

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

NDJSON = "application/x-ndjson"
LONGEST_LINE = 1 << 20
IN_MEMORY = 1 << 20
PIECE = 1 << 16

AnswerLines = Callable[[Sequence[bytes]], Awaitable[Sequence[bytes]]]
"""One answer a line, in order."""


class LineStream(Response):
    """The response: line i of it answers line i of the request's body.

    Args:
        answer: answers some lines; called with at most `at_once` of them, as they have come so far, so nothing lingers.
        at_once: lines.
        too_long: the last answer, to a line of more than `LONGEST_LINE` bytes; nothing is read after it.
    """

    media_type = NDJSON

    def __init__(self, answer: AnswerLines, *, at_once: int, too_long: bytes) -> None:
        super().__init__()
        # The length of what is not written yet is not known.
        del self.headers["content-length"]
        self._answer, self._at_once, self._too_long = answer, at_once, too_long

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, answer and write, all at the same time."""
        del scope
        # Read first: a client that asked whether to go on is told so by that.
        first = await receive()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with _Spool() as spool:
            reading = asyncio.create_task(self._read(dict(first), receive, spool))
            try:
                async for piece in spool.pieces():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await reading
            finally:
                reading.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _read(self, message: dict[str, object], receive: Receive, spool: _Spool) -> None:
        """Answer lines until the body ends or the client goes away."""
        try:
            rest = b""
            while message["type"] == "http.request":
                body = message.get("body", b"")
                *lines, rest = (rest + (body if isinstance(body, bytes) else b"")).split(b"\n")
                await self._spool_answers(lines, spool)
                if len(rest) > LONGEST_LINE:
                    spool.put(self._too_long + b"\n")
                    return
                if not message.get("more_body", False):
                    await self._spool_answers([rest] if rest else [], spool)
                    return
                message = dict(await receive())
        finally:
            spool.end()

    async def _spool_answers(self, lines: Sequence[bytes], spool: _Spool) -> None:
        for start in range(0, len(lines), self._at_once):
            answers = await self._answer(lines[start : start + self._at_once])
            spool.put(b"".join(answer + b"\n" for answer in answers))


class _Spool:
    """Bytes on their way from a writer to a reader that may be slower."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed on exit
        self._written = self._read = 0
        self._is_ended = False
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def put(self, data: bytes) -> None:
        """More of it."""
        self._file.seek(self._written)
        self._file.write(data)
        self._written += len(data)
        self._changed.set()

    def end(self) -> None:
        """There will be no more."""
        self._is_ended = True
        self._changed.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it, as it comes; what was read takes no room any longer once the reader has caught up."""
        while True:
            if self._read < self._written:
                self._file.seek(self._read)
                piece = self._file.read(min(PIECE, self._written - self._read))
                self._read += len(piece)
                if self._read == self._written:
                    self._read = self._written = 0
                    self._file.truncate(0)
                yield piece
            elif self._is_ended:
                return
            else:
                self._changed.clear()
                await self._changed.wait()
