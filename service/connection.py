"""Connections to the store's file: one that reads for each thread, and how the log of changes is emptied."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from weakref import WeakSet

from service.patience import Patience

BUSY_SECONDS = 30.0
WIPING_ATTEMPTS = 10
WIPING_MILLISECONDS = 50
"""How long one attempt may wait for those who read: whoever writes waits along with it."""
WIPING_PAUSE_SECONDS = 0.1


def connect(path: Path) -> sqlite3.Connection:
    """A connection that any thread may use, one at a time; transactions are begun and ended in words."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def patience() -> Patience:
    """For a lock that is in the way and may go by itself."""
    return Patience(timedelta(seconds=BUSY_SECONDS))


class Readers:
    """A connection for each thread that reads, closed when the thread ends.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_thread = threading.local()
        self._open: WeakSet[_Held] = WeakSet()

    def own(self) -> sqlite3.Connection:
        """This thread's."""
        held: _Held | None = getattr(self._by_thread, "held", None)
        if held is None:
            held = self._by_thread.held = _Held(connect(self._path))
            self._open.add(held)
        return held.connection

    def close(self) -> None:
        """Close those of all threads."""
        for held in list(self._open):
            held.connection.close()


class _Held:
    """Closes a connection when nobody holds this any more; a connection by itself waits for the garbage collector."""

    __slots__ = ("__weakref__", "connection")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        # What was open in it was only read.
        with suppress(sqlite3.Error):
            self.connection.close()


def empty_log_of_changes(connection: sqlite3.Connection) -> bool:
    """Move all changes into the file and leave nothing of them behind; returns whether no reader was in the way."""
    # Most pages are moved while nobody waits, so that little is left for the last step.
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {WIPING_MILLISECONDS}")
    for attempt in range(WIPING_ATTEMPTS):
        if attempt:
            time.sleep(WIPING_PAUSE_SECONDS)
        if not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            return True
    return False
