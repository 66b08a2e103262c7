"""The only place where clocks and fresh ids are read; everything else has them passed in."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Says what time it is, with a zone."""

Timer = Callable[[], float]
"""Seconds from some moment on: only differences mean anything."""

Sleep = Callable[[float], Awaitable[None]]
"""Lets so many seconds pass; other requests go on meanwhile."""

NewId = Callable[[], str]
"""Makes an id that was never used before."""

_IDS_AT_ONCE = 256


def system_clock() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def system_timer() -> float:
    """Seconds of a clock that never goes back."""
    return time.perf_counter()


class RandomIds:
    """Ids for many: the operating system is asked for hundreds at a time, from any thread.

    An id begins with the time in milliseconds and goes on with 80 random bits, as in a UUID of version 7: rows that are written
    together stand together in the index of ids, so that a commit changes a few of its pages instead of one a row.

    Caution: a process that forks would give the same ids as its parent; make another one there.

    >>> new_id = RandomIds()
    >>> len({new_id() for _ in range(1000)}), len(new_id())
    (1000, 32)
    """

    __slots__ = ("_ready",)

    def __init__(self) -> None:
        self._ready: list[str] = []

    def __call__(self) -> str:
        """32 hex digits that nobody has used."""
        while True:
            try:
                return self._ready.pop()  # no two threads get the same
            except IndexError:
                time_now, digits = f"{time.time_ns() // 1_000_000:012x}", secrets.token_hex(10 * _IDS_AT_ONCE)
                self._ready.extend(time_now + digits[place : place + 20] for place in range(0, len(digits), 20))


def random_id() -> str:
    """32 hex digits that nobody has used."""
    return uuid.uuid4().hex


def random_secret() -> str:
    """64 hex digits that nobody can guess: 256 bits of the operating system's randomness."""
    return secrets.token_hex(32)
