"""Snapshots and which of them serves. A snapshot row carries its watermark, so both are written or neither is."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from bandit.errors import BrokenSnapshot, OutdatedSnapshot, UnknownSnapshot
from bandit.snapshot import Snapshot, checksum
from service.rows import stamp


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


def add_snapshot(
    connection: sqlite3.Connection,
    log_id: int,
    snapshot: Snapshot,
    *,
    parent: str | None,
    newest: str | None,
    at: datetime,
) -> str | None:
    """Store a snapshot; returns its id.

    Args:
        connection: inside a transaction.
        log_id: whose it is.
        snapshot: what was trained.
        parent: the snapshot it was trained from.
        newest: the newest one when training began. If there is a newer one by now, another trainer was faster: nothing is
            stored and None is returned, for these rows would be learned twice.
        at: the time.
    """
    if newest_snapshot(connection, log_id) != newest:
        return None
    number = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM snapshots").fetchone()[0]
    name, body = f"s{number:05d}", snapshot.to_bytes()
    connection.execute(
        "INSERT INTO snapshots (number, log_id, snapshot, parent, n_learned, watermark, sha256, body, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (number, log_id, name, parent, snapshot.n_learned, snapshot.watermark, checksum(body), body, stamp(at)),
    )
    return name


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


def newest_snapshot(connection: sqlite3.Connection, log_id: int) -> str | None:
    """The snapshot that learning goes on from: the last one trained, serving or not."""
    row = connection.execute(
        "SELECT snapshot FROM snapshots WHERE log_id = ? ORDER BY number DESC LIMIT 1", (log_id,)
    ).fetchone()
    return row[0] if row else None


def newest_whole_snapshot(connection: sqlite3.Connection, log_id: int) -> tuple[str, Snapshot] | None:
    """The newest snapshot that can be loaded: what learning goes on from; None where nothing was trained yet.

    Raises:
        BrokenSnapshot: if there are snapshots and none of them is whole.
    """
    names = connection.execute("SELECT snapshot FROM snapshots WHERE log_id = ? ORDER BY number DESC", (log_id,))
    broken: BrokenSnapshot | None = None
    for (name,) in names.fetchall():
        try:
            return name, load_snapshot(connection, name)
        except OutdatedSnapshot:
            continue  # the rows it was trained on are all still there
        except BrokenSnapshot as error:
            broken = broken or error
    if broken is not None:
        raise broken
    return None


def load_snapshot(connection: sqlite3.Connection, snapshot: str) -> Snapshot:
    """Read a snapshot back, checked against both checksums.

    Raises:
        BrokenSnapshot: if it is missing or a byte of it changed.
    """
    row = connection.execute("SELECT body, sha256 FROM snapshots WHERE snapshot = ?", (snapshot,)).fetchone()
    if row is None:
        raise UnknownSnapshot(f"snapshot {snapshot!r} is not in this database; `manyarm snapshot list` shows what is.")
    try:
        return Snapshot.from_bytes(row[0], sha256=row[1])
    except BrokenSnapshot as error:
        raise type(error)(f"snapshot {snapshot!r}: {error}") from error


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
