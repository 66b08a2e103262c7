"""Snapshots of the ranking loop. The newest whole one serves; its row carries its watermark.

One is 4 MB, and a day has hundreds: those that no ranking names are deleted when another one is added.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from bandit.errors import BrokenSnapshot
from bandit.snapshot import Snapshot, checksum
from service.rows import stamp

NEWEST = 2
"""Snapshots that are kept in any case: the one just added, and the one that serves until it is taken up."""
PRUNED_AT_ONCE = 16


def newest_name(connection: sqlite3.Connection, campaign: str) -> str | None:
    """Name of the newest snapshot; None where there is none."""
    row = connection.execute(
        "SELECT snapshot FROM ranking_snapshots WHERE campaign = ? ORDER BY number DESC LIMIT 1", (campaign,)
    ).fetchone()
    return row[0] if row else None


def newest_whole(connection: sqlite3.Connection, campaign: str) -> tuple[str, Snapshot] | None:
    """The newest snapshot that can be loaded; None where nothing was trained yet.

    Raises:
        BrokenSnapshot: if there are snapshots and none of them is whole.
    """
    query = "SELECT snapshot FROM ranking_snapshots WHERE campaign = ? ORDER BY number DESC"
    broken: BrokenSnapshot | None = None
    for (name,) in connection.execute(query, (campaign,)).fetchall():
        try:
            return name, load(connection, name)
        except BrokenSnapshot as error:
            broken = broken or error
    if broken is not None:
        raise broken
    return None


def is_kept(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a snapshot is in the database, whole or not."""
    query = "SELECT 1 FROM ranking_snapshots WHERE snapshot = ?"
    return connection.execute(query, (name,)).fetchone() is not None


def load(connection: sqlite3.Connection, name: str) -> Snapshot:
    """Read a snapshot back, checked against both checksums.

    Raises:
        BrokenSnapshot: if it is missing or a byte of it changed.
    """
    row = connection.execute("SELECT body, sha256 FROM ranking_snapshots WHERE snapshot = ?", (name,)).fetchone()
    if row is None:
        raise BrokenSnapshot(f"ranking snapshot {name!r} is not in this database; restore a backup that has it.")
    try:
        return Snapshot.from_bytes(row[0], sha256=row[1])
    except BrokenSnapshot as error:
        raise type(error)(f"ranking snapshot {name!r}: {error}") from error


def add(
    connection: sqlite3.Connection,
    campaign: str,
    snapshot: Snapshot,
    *,
    parent: str | None,
    newest: str | None,
    at: datetime,
) -> str | None:
    """Store a snapshot; returns its name, or None where another trainer was faster and nothing was stored.

    Args:
        connection: inside a transaction.
        campaign: whose loop it is.
        snapshot: what was trained.
        parent: the snapshot it was trained from.
        newest: the newest one when training began.
        at: the time.
    """
    if newest_name(connection, campaign) != newest:
        return None
    number = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM ranking_snapshots").fetchone()[0]
    name, body = f"r{number:05d}", snapshot.to_bytes()
    connection.execute(
        "INSERT INTO ranking_snapshots (number, campaign, snapshot, parent, n_learned, watermark, sha256, body, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (number, campaign, name, parent, snapshot.n_learned, snapshot.watermark, checksum(body), body, stamp(at)),
    )
    _prune(connection, campaign)
    return name


def _prune(connection: sqlite3.Connection, campaign: str) -> None:
    """Delete snapshots that no ranking names, the newest ones excepted: no ranking can be asked to be made from them again.

    Some at a time: whoever decides waits for the transaction, and an old file may have thousands.
    """
    connection.execute(
        "DELETE FROM ranking_snapshots WHERE number IN ("
        "SELECT number FROM ranking_snapshots WHERE campaign = ? AND number NOT IN ("
        "SELECT number FROM ranking_snapshots WHERE campaign = ? ORDER BY number DESC LIMIT ?) "
        "AND NOT EXISTS (SELECT 1 FROM rankings WHERE rankings.snapshot = ranking_snapshots.snapshot) "
        "ORDER BY number LIMIT ?)",
        (campaign, campaign, NEWEST, PRUNED_AT_ONCE),
    )
