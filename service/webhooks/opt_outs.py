"""Who asked not to be mailed, as providers and the one-click link tell it. Decisions look at the table."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from service.rows import stamp


def opt_out_recipient(connection: sqlite3.Connection, decision_id: str, at: datetime, reason: str) -> None:
    """Opt the customer out whom a decision was made for; an earlier opt-out stands as it is."""
    connection.execute(
        "INSERT INTO opt_outs (customer_key, at, reason) SELECT customer_key, ?, ? FROM decisions WHERE decision_id = ? "
        "ON CONFLICT (customer_key) DO NOTHING",
        (stamp(at), reason, decision_id),
    )


def opt_in_recipient(connection: sqlite3.Connection, decision_id: str, at: datetime) -> None:
    """Take back an opt-out that was made before: the person said so at the provider."""
    connection.execute(
        "DELETE FROM opt_outs WHERE at <= ? AND customer_key = (SELECT customer_key FROM decisions WHERE decision_id = ?)",
        (stamp(at), decision_id),
    )
