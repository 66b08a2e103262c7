"""Decisions that send nothing, as rows of the log: nobody may report that they were sent, or that they were not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

from bandit.errors import InvalidOutcome

SilentOf = Callable[[int], str | None]
"""The arm of a log's last dimension that sends nothing, by the log's number."""
_arms = msgspec.json.Decoder(tuple[str, ...])


def refuse_silent(connection: sqlite3.Connection, decision_id: str, silent_of: SilentOf) -> None:
    """Refuse a report of a message that there never was.

    A deferred decision may be reported: that its choice was kept, although it sends nothing, is what it waits for.

    Raises:
        InvalidOutcome: if the choice sends nothing.
    """
    found = connection.execute("SELECT deferred FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
    if found == (None,) and is_silent(connection, decision_id, silent_of):
        raise InvalidOutcome(
            f"decision {decision_id[:80]!r} chose to send nothing, so there is no message that went out or did not. It counts "
            "as it is, from the time it was made: send nothing, and report nothing but outcomes."
        )


def is_silent(connection: sqlite3.Connection, decision_id: str, silent_of: SilentOf) -> bool:
    """Whether a decision chose to send nothing; not where there is no such decision."""
    query = "SELECT log_id, arms FROM decisions WHERE decision_id = ?"
    row = connection.execute(query, (decision_id,)).fetchone()
    silent = None if row is None else silent_of(row[0])
    return silent is not None and _arms.decode(row[1])[-1] == silent
