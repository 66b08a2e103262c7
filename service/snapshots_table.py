"""Snapshots of a log, and which of them serves."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from bandit.errors import UnknownSnapshot
from service.rows import stamp
from service.snapshot_rows import SnapshotTable


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot's row without its bytes."""

    snapshot: str
    parent: str | None
    n_learned: int
    watermark: int
    sha256: str
    n_bytes: int
    created_at: str
    is_serving: bool


def _missing(name: str) -> UnknownSnapshot:
    return UnknownSnapshot(f"snapshot {name!r} is not in this database; `manyarm snapshot list` shows what is.")


_TABLE = SnapshotTable("snapshots", "log_id", "s", "snapshot", _missing)
add_snapshot = _TABLE.add
load_snapshot = _TABLE.load
newest_snapshot = _TABLE.newest
newest_whole_snapshot = _TABLE.newest_whole


def promote(connection: sqlite3.Connection, log_id: int, snapshot: str, *, at: datetime, reason: str) -> None:
    """Make a snapshot the one that serves.

    Raises:
        BrokenSnapshot: if there is no such snapshot in this log.
    """
    found = connection.execute(
        "SELECT 1 FROM snapshots WHERE log_id = ? AND snapshot = ?", (log_id, snapshot)
    ).fetchone()
    if found is None:
        raise UnknownSnapshot(
            f"no snapshot {snapshot!r} in this campaign's log; `manyarm snapshot list` shows what there is. "
            "What served goes on serving."
        )
    connection.execute(
        "INSERT INTO promotions (log_id, snapshot, promoted_at, reason) VALUES (?, ?, ?, ?)",
        (log_id, snapshot, stamp(at), reason),
    )


def serving_snapshot(connection: sqlite3.Connection, log_id: int) -> str | None:
    """The snapshot that serves: the last one promoted."""
    row = connection.execute(
        "SELECT snapshot FROM promotions WHERE log_id = ? ORDER BY number DESC LIMIT 1", (log_id,)
    ).fetchone()
    return row[0] if row else None


def served_before(connection: sqlite3.Connection, log_id: int) -> str | None:
    """The snapshot that served before the one that serves now, for a rollback."""
    serving = serving_snapshot(connection, log_id)
    row = connection.execute(
        "SELECT s.snapshot FROM snapshots s JOIN promotions p ON p.snapshot = s.snapshot WHERE s.log_id = ? "
        "AND s.number < (SELECT number FROM snapshots WHERE snapshot = ?) ORDER BY s.number DESC LIMIT 1",
        (log_id, serving),
    ).fetchone()
    return row[0] if row else None


def checksum_of(connection: sqlite3.Connection, snapshot: str) -> str | None:
    """The sha256 that was stored with a snapshot; None if it is not there any more."""
    row = connection.execute("SELECT sha256 FROM snapshots WHERE snapshot = ?", (snapshot,)).fetchone()
    return row[0] if row else None


def list_snapshots(connection: sqlite3.Connection, log_id: int) -> list[StoredSnapshot]:
    """All snapshots of a log, oldest first."""
    serving = serving_snapshot(connection, log_id)
    rows = connection.execute(
        "SELECT snapshot, parent, n_learned, watermark, sha256, length(body), created_at, snapshot IS ? FROM snapshots "
        "WHERE log_id = ? ORDER BY number",
        (serving, log_id),
    )
    return [StoredSnapshot(*row) for row in rows.fetchall()]
