"""Who asked not to be mailed, as providers and the one-click link tell it. Decisions look at the table."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from service.customer_keys import generation_at
from service.rows import stamp


def opt_out_recipient(connection: sqlite3.Connection, decision_id: str, at: datetime, reason: str) -> None:
    """Opt the customer out whom a decision was made for: the latest opt-out stands.

    Events come in any order, and one that takes an opt-out back must not undo a later one.
    """
    query = "SELECT customer_key, decided_at FROM decisions WHERE decision_id = ?"
    for customer_key, decided_at in connection.execute(query, (decision_id,)).fetchall():
        # A row that was decided ahead of its time says less: it may have been written before the key was rotated.
        generation = generation_at(connection, min(datetime.fromisoformat(decided_at), at))
        connection.execute(
            "INSERT INTO opt_outs (customer_key, at, reason, generation) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (customer_key) DO UPDATE SET at = excluded.at, reason = excluded.reason WHERE excluded.at > at",
            (customer_key, stamp(at), reason, generation),
        )


def opt_in_recipient(connection: sqlite3.Connection, decision_id: str, at: datetime) -> None:
    """Take back an opt-out that was made before: the person said so at the provider."""
    connection.execute(
        "DELETE FROM opt_outs WHERE at <= ? AND customer_key = (SELECT customer_key FROM decisions WHERE decision_id = ?)",
        (stamp(at), decision_id),
    )
