"""The only place where the wall clock and fresh ids are read; everything else has them passed in."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Says what time it is, with a zone."""

NewId = Callable[[], str]
"""Makes an id that was never used before."""


def system_clock() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def random_id() -> str:
    """32 hex digits that nobody has used."""
    return uuid.uuid4().hex
