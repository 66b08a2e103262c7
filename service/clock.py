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


def system_clock() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def system_timer() -> float:
    """Seconds of a clock that never goes back."""
    return time.perf_counter()


def random_id() -> str:
    """32 hex digits that nobody has used."""
    return uuid.uuid4().hex


def random_secret() -> str:
    """64 hex digits that nobody can guess: 256 bits of the operating system's randomness."""
    return secrets.token_hex(32)
