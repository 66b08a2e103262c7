"""Trying again for what another process holds just now, with pauses, for as long as somebody said."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

PAUSE_SECONDS: Final = 0.05


class Patience:
    """How long something is still waited for, by a clock that never goes back; it begins with construction.

    Args:
        wait: for how long. Without any, there is one attempt.

    >>> Patience(timedelta(0)).pause()
    False
    """

    __slots__ = ("_ends",)

    def __init__(self, wait: timedelta) -> None:
        self._ends = time.monotonic() + wait.total_seconds()

    def pause(self) -> bool:
        """Let a moment pass before the next attempt; False, at once, where the time is over."""
        if time.monotonic() >= self._ends:
            return False
        time.sleep(PAUSE_SECONDS)
        return True
