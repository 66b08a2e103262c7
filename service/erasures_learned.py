"""Which erased rows a snapshot had learned from before they went: its counters must still add up."""

from __future__ import annotations

import sqlite3

from service.snapshots_table import list_snapshots


def erased_by_snapshot(connection: sqlite3.Connection, log_id: int) -> dict[str, int]:
    """Erased rows that each snapshot of a log has learned from.

    A snapshot has learned what its parent has, and of the rows between both watermarks those that were still there when it
    was made: the ones erased after it.
    """
    numbers = dict(connection.execute("SELECT snapshot, number FROM snapshots WHERE log_id = ?", (log_id,)).fetchall())
    counts: dict[str, int] = {}
    watermarks: dict[str | None, int] = {None: 0}
    for stored in list_snapshots(connection, log_id):
        after = watermarks.get(stored.parent, 0)
        (own,) = connection.execute(
            "SELECT count(*) FROM erased_rows r JOIN erasures e ON e.number = r.erasure WHERE r.log_id = ? "
            "AND r.matured > ? AND r.matured <= ? AND r.learnable AND e.after_snapshot >= ?",
            (log_id, after, stored.watermark, numbers[stored.snapshot]),
        ).fetchone()
        counts[stored.snapshot] = own + counts.get(stored.parent or "", 0)
        watermarks[stored.snapshot] = stored.watermark
    return counts


def was_erased_since(connection: sqlite3.Connection, log_id: int, erasure: int, *, after: int, watermark: int) -> bool:
    """Whether rows between two watermarks were erased after an erasure of this number: while they were learned from."""
    found = connection.execute(
        "SELECT 1 FROM erased_rows WHERE log_id = ? AND erasure > ? AND matured > ? AND matured <= ? LIMIT 1",
        (log_id, erasure, after, watermark),
    ).fetchone()
    return found is not None
