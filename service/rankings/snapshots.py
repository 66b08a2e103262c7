"""Snapshots of the ranking loop. The newest whole one serves; its row carries its watermark.

One is 4 MB, and a day has hundreds: those that no ranking names are deleted when another one is added.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from bandit.errors import BrokenSnapshot
from bandit.snapshot import Snapshot
from service.snapshot_rows import SnapshotTable

NEWEST = 2
"""Snapshots that are kept in any case: the one just added, and the one that serves until it is taken up."""
PRUNED_AT_ONCE = 16


def _missing(name: str) -> BrokenSnapshot:
    return BrokenSnapshot(f"ranking snapshot {name!r} is not in this database; restore a backup that has it.")


_TABLE = SnapshotTable("ranking_snapshots", "campaign", "r", "ranking snapshot", _missing)
load = _TABLE.load
newest_name = _TABLE.newest
newest_whole = _TABLE.newest_whole


def is_kept(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a snapshot is in the database, whole or not."""
    query = "SELECT 1 FROM ranking_snapshots WHERE snapshot = ?"
    return connection.execute(query, (name,)).fetchone() is not None


def add(
    connection: sqlite3.Connection,
    campaign: str,
    snapshot: Snapshot,
    *,
    parent: str | None,
    newest: str | None,
    at: datetime,
) -> str | None:
    """Store a snapshot as `SnapshotTable.add` does, and delete some that nobody needs.

    With it is kept how many rankings it could not learn from any more, for `verify` to count by.
    """
    name = _TABLE.add(connection, campaign, snapshot, parent=parent, newest=newest, at=at)
    if name is not None:
        n_missed = _n_missed(connection, campaign, parent, snapshot.watermark)
        connection.execute("UPDATE ranking_snapshots SET n_missed = ? WHERE snapshot = ?", (n_missed, name))
        _prune(connection, campaign)
    return name


def n_erased(connection: sqlite3.Connection, campaign: str, after: int, until: int) -> int:
    """Rankings that had been learned from and were erased, by their numbers in the order of maturing."""
    query = "SELECT count(*) FROM erased_rankings WHERE campaign = ? AND matured > ? AND matured <= ? AND taught"
    (found,) = connection.execute(query, (campaign, after, until)).fetchone()
    return int(found)


def _n_missed(connection: sqlite3.Connection, campaign: str, parent: str | None, watermark: int) -> int:
    """What its parent missed, and what was erased before it went on from there: usually nothing."""
    query = "SELECT watermark, n_missed FROM ranking_snapshots WHERE snapshot = ?"
    after, before = connection.execute(query, (parent,)).fetchone() or (0, 0)
    return int(before) + n_erased(connection, campaign, after, watermark)


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
