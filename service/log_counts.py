"""What the log itself says about how a campaign is doing, by queries that stay cheap with millions of rows."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from bandit.engine import NO_SNAPSHOT
from service.rows import moment_of

SETTLED = "state NOT IN ('pending', 'matured')"
"""As the index `decisions_settled` says it, or SQLite would not use the index."""

OTHER_TROUBLE = "no usable snapshot"
_SINCE = """SELECT "group", policy, CASE WHEN fallback IS NULL THEN 'none' WHEN fallback = ? THEN fallback ELSE ? END, count(*)
FROM {} WHERE seq > ? AND seq <= ? AND {} = ? GROUP BY 1, 2, 3"""


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What is known of a snapshot without loading it."""

    created_at: datetime
    n_learned: int


def decided_since(connection: sqlite3.Connection, log_id: int, after: int, last: int) -> dict[tuple[str, ...], int]:
    """Decisions of a log with seq in (after, last], by group, policy and why the learner did not decide.

    A fallback's text may name a snapshot; here it is one of three, so that no series begins with each of them.
    """
    rows = connection.execute(_SINCE.format("decisions", "log_id"), (NO_SNAPSHOT, OTHER_TROUBLE, after, last, log_id))
    return {tuple(labels): count for *labels, count in rows}


def ranked_since(connection: sqlite3.Connection, campaign: str, after: int, last: int) -> dict[tuple[str, ...], int]:
    """The same of a campaign's rankings."""
    rows = connection.execute(
        _SINCE.format("rankings", "campaign"), (NO_SNAPSHOT, OTHER_TROUBLE, after, last, campaign)
    )
    return {tuple(labels): count for *labels, count in rows}


def open_rankings(connection: sqlite3.Connection, campaign: str) -> dict[str, int]:
    """Rankings whose wait is open, by state; the count walks an index of just those rows."""
    query = (
        "SELECT state, count(*) FROM rankings WHERE campaign = ? AND state IN ('pending', 'deferred') GROUP BY state"
    )
    return {"pending": 0, "deferred": 0} | dict(connection.execute(query, (campaign,)).fetchall())


def ranking_snapshot_facts(connection: sqlite3.Connection, campaign: str) -> SnapshotFacts | None:
    """The same as `snapshot_facts`, of the newest snapshot of a ranking loop."""
    query = "SELECT created_at, n_learned FROM ranking_snapshots WHERE campaign = ? ORDER BY number DESC LIMIT 1"
    row = connection.execute(query, (campaign,)).fetchone()
    return SnapshotFacts(datetime.fromisoformat(row[0]), row[1]) if row else None


def open_decisions(connection: sqlite3.Connection, log_id: int) -> dict[str, int]:
    """Decisions that are not matured, by state; each count walks an index of just those rows."""
    pending = connection.execute("SELECT count(*) FROM decisions WHERE log_id = ? AND state = 'pending'", (log_id,))
    settled = connection.execute(
        f"SELECT state, count(*) FROM decisions WHERE log_id = ? AND {SETTLED} GROUP BY state",  # noqa: S608
        (log_id,),
    )
    return {"pending": pending.fetchone()[0], "void": 0} | dict(settled.fetchall())


def count_matured(connection: sqlite3.Connection, log_id: int) -> int:
    """Decisions that have ever matured: the last number given, which an index knows."""
    # Without the second condition SQLite may not use the index of matured rows, and walks the whole log.
    query = "SELECT coalesce(max(matured), 0) FROM {} WHERE log_id = ? AND matured IS NOT NULL"
    # Those that were erased since have had their numbers too.
    tables = ("decisions", "erased_rows")
    return max(int(connection.execute(query.format(table), (log_id,)).fetchone()[0]) for table in tables)


def count_unstored(connection: sqlite3.Connection, campaign: str) -> dict[str, int]:
    """Answers of which nothing was kept, by reason."""
    query = "SELECT reason, sum(n) FROM unstored WHERE campaign = ? GROUP BY reason"
    return dict(connection.execute(query, (campaign,)).fetchall())


def count_rankings(connection: sqlite3.Connection) -> int:
    """Number of the last ranking that was stored."""
    return int(connection.execute("SELECT seq FROM ranking_head").fetchone()[0])


def snapshot_facts(connection: sqlite3.Connection, snapshot: str) -> SnapshotFacts | None:
    """When a snapshot was trained, and on how many rows."""
    row = connection.execute("SELECT created_at, n_learned FROM snapshots WHERE snapshot = ?", (snapshot,)).fetchone()
    created_at = moment_of(row[0]) if row else None
    return SnapshotFacts(created_at, row[1]) if created_at else None


def count_webhook_events(connection: sqlite3.Connection) -> dict[tuple[str, ...], int]:
    """Events of mail providers, by provider and what became of them."""
    rows = connection.execute("SELECT provider, state, count(*) FROM webhook_events GROUP BY provider, state")
    return {(provider, state): count for provider, state, count in rows}


def oldest_waiting(connection: sqlite3.Connection) -> dict[str, datetime]:
    """When the oldest event came in that was not worked on yet, by provider."""
    # The plus keeps SQLite from walking the index of all events, in the order of providers.
    query = "SELECT provider, min(received_at) FROM webhook_events WHERE state = 'waiting' GROUP BY +provider"
    rows = connection.execute(query)
    return {provider: datetime.fromisoformat(at) for provider, at in rows}
