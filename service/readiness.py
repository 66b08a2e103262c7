"""Whether this process should get requests: it can read and write, has room on the disk, and was not asked to stop.

A sick model is no reason to refuse: the random policy decides then, and each row says so. That, and a trainer in trouble,
are warnings.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import sqlite3
from dataclasses import dataclass, field
from datetime import timedelta

from bandit.engine import NO_SNAPSHOT
from bandit.errors import UnusableStore
from service.serving import Serving

PATIENCE = 2.0
"""Seconds that one write may take before the process is said to be unready; a commit takes milliseconds."""
FRESH = 1.0
"""Seconds for which a write that went well is enough: whoever asks, the disk is not asked more often."""
MEGABYTE = 1e6
STALE_STEPS, STALE_AT_LEAST = 3, timedelta(minutes=5)


@dataclass(slots=True)
class Readiness:
    """What was found; anything in `reasons` makes it unready."""

    store: str = "ok"
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Watch:
    """Looks at the store, the disk, the snapshot and the trainer of one service."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._writable_until = -math.inf

    async def look(self) -> Readiness:
        """How things are now."""
        serving, found = self._serving, Readiness()
        trouble = _read_trouble(serving) or await self._write_trouble()
        if trouble:
            found.store = trouble
            found.reasons.append(f"store: {trouble}")
        found.reasons += _disk_trouble(serving)
        if serving.is_draining:
            found.reasons.append("draining: this process was asked to stop; send requests to another one")
        found.warnings += _warnings(serving)
        return found

    async def _write_trouble(self) -> str | None:
        if self._serving.timer() < self._writable_until:
            return None
        trouble = await _write_trouble(self._serving)
        if trouble is None:
            self._writable_until = self._serving.timer() + FRESH
        return trouble


def step_age(serving: Serving) -> float | None:
    """Seconds since the trainer's last step that went well; None where there was none."""
    return None if serving.last_step_at is None else (serving.clock() - serving.last_step_at).total_seconds()


def _read_trouble(serving: Serving) -> str | None:
    try:
        serving.store.reader().execute("SELECT seq FROM head").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return None


async def _write_trouble(serving: Serving) -> str | None:
    """Write something that changes nothing, as a decision would be written: in the writer's next commit."""
    try:
        written = serving.store.writer.submit(_rewrite_head, asyncio.get_running_loop())
        await asyncio.wait_for(written, PATIENCE)
    except TimeoutError:
        return (
            f"a write has waited for more than {PATIENCE:g} seconds; another process may hold the lock of the database"
        )
    except (UnusableStore, sqlite3.Error) as error:
        return str(error)
    return None


def _rewrite_head(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE head SET seq = seq")


def _disk_trouble(serving: Serving) -> list[str]:
    least = serving.settings.number("least_free_disk")
    free = shutil.disk_usage(serving.store.path.absolute().parent).free / MEGABYTE
    if free >= least:
        return []
    return [f"disk: {free:.0f} MB are free, need {least:g} (setting least_free_disk); free some before writes fail"]


def _warnings(serving: Serving) -> list[str]:
    found = []
    if serving.snapshot is None and serving.engine.unserved != NO_SNAPSHOT:
        found.append(f"snapshot: choices are random ({serving.engine.unserved})")
    if serving.last_error is not None:
        found.append(f"trainer: the last step failed ({serving.last_error}; its text is in the log)")
    age = step_age(serving)
    if serving.pause is not None and age is not None:
        longest = max(STALE_STEPS * serving.pause, STALE_AT_LEAST)
        if age > longest.total_seconds():
            found.append(f"trainer: the last step that went well was {age:.0f} seconds ago")
    return found
