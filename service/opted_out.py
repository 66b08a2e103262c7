"""Who of those that requests came for opted out: one look at the store for all that arrived together.

Nothing is remembered from one look to the next. A look is made after the requests it is for have arrived, so whatever was
acknowledged before one of them was sent, in this process or another, is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from service.opt_outs import find_opted_out
from service.store import Store


class OptedOut:
    """Asked by coroutines; those that ask in the same round of the event loop are answered by one query.

    Each query in the loop's thread lets the writer's thread run, and waits until that lets go again: at 64 connections it
    took an eighth of a request.

    Args:
        store: with the opt-outs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._round: _Round | None = None

    def is_any(self, names: Sequence[str]) -> asyncio.Future[bool]:
        """Whether somebody opted out who may be called by one of these names; of a coroutine's own loop.

        Args:
            names: a customer's keys, one a generation.
        """
        loop = asyncio.get_running_loop()
        asked = self._round
        if asked is None or asked.loop is not loop:
            asked = self._round = _Round(loop)
            loop.call_soon(self._look, asked)
        future: asyncio.Future[bool] = loop.create_future()
        asked.waiting.append((names, future))
        return future

    def _look(self, asked: _Round) -> None:
        if self._round is asked:
            self._round = None
        try:
            found = find_opted_out(self._store.reader(), [name for names, _ in asked.waiting for name in names])
        except Exception as error:  # noqa: BLE001 - whatever it was, those who wait must hear of it
            for _, future in asked.waiting:
                if not future.done():
                    future.set_exception(error)
            return
        for names, future in asked.waiting:
            if not future.done():  # as it is when its caller went away
                future.set_result(not found.isdisjoint(names))


class _Round:
    """Who asked since the last look, in one event loop."""

    __slots__ = ("loop", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting: list[tuple[Sequence[str], asyncio.Future[bool]]] = []
