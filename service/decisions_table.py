"""Writing and reading the `decisions` table."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bandit.campaign import Campaign
from bandit.errors import ConflictingDecision, EngineError, UnusableLog, UnusableStore
from bandit.log import LoggedDecision
from bandit.reward import State
from service.rows import DECIDED, READ, DecidedValues, logged_of, next_chain

Row = tuple[DecidedValues, str]
"""The never-changing values of a decision, and when its window closes; when it expires, where it is deferred."""

_INSERT = f"""INSERT INTO decisions (seq, {", ".join(DECIDED)}, chain, state, due_at)
VALUES ({", ".join("?" * (len(DECIDED) + 4))})"""  # noqa: S608 - built from constants
_ID, _LOG, _DEFERRED = (DECIDED.index(name) for name in ("decision_id", "log_id", "deferred"))
_PENDING, _WAITING = State.PENDING.value, State.DEFERRED.value
Unreadable = Callable[[int, UnusableLog], None]
"""Told about a row that cannot be read, by its number; without it, such a row raises."""
_READ_AHEAD = 1000


def insert_decisions(connection: sqlite3.Connection, rows: Sequence[Row]) -> list[EngineError | None]:
    """Append rows, each chained to the one before; inside the caller's transaction.

    Returns:
        for each row None, or a ConflictingDecision if its decision_id is taken (the other rows are stored).
    """
    connection.execute("SAVEPOINT rows")
    try:
        _append(connection, rows)
    except (sqlite3.IntegrityError, ValueError):
        connection.execute("ROLLBACK TO rows")
        errors = [_append_one(connection, row) for row in rows]
    else:
        errors = [None] * len(rows)
    connection.execute("RELEASE rows")
    return errors


def _append(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    seq, chain = connection.execute("SELECT seq, chain FROM head").fetchone()
    complete = []
    for values, due_at in rows:
        seq += 1
        chain = next_chain(chain, values)
        complete.append((seq, *values, chain, _WAITING if values[_DEFERRED] else _PENDING, due_at))
    connection.executemany(_INSERT, complete)
    connection.execute("UPDATE head SET seq = ?, chain = ?", (seq, chain))


def _append_one(connection: sqlite3.Connection, row: Row) -> EngineError | None:
    decision_id = row[0][_ID]
    try:
        found = connection.execute("SELECT log_id FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
        if found:
            return ConflictingDecision(_taken(decision_id, same_log=found[0] == row[0][_LOG]))
        _append(connection, [row])
    except (sqlite3.IntegrityError, ValueError) as error:
        return UnusableStore(f"decision {decision_id!r} cannot be stored ({error}). Nothing was stored for it.")
    return None


def _taken(decision_id: str, *, same_log: bool) -> str:
    if not same_log:
        return (
            f"decision {decision_id!r} was made under an earlier campaign file and stands; nothing was stored for this one. "
            "Give a new send a new decision_id."
        )
    return (
        f"decision {decision_id!r} was stored by another request just now; nothing was stored for this one. "
        "Ask again with the same decision_id: you will get the stored one if the request is the same."
    )


def find_decision(
    connection: sqlite3.Connection, decision_id: str, log_id: int, campaign: Campaign
) -> LoggedDecision | None:
    """The row of a log with this id, or None."""
    query = f"SELECT {READ} FROM decisions WHERE decision_id = ? AND log_id = ?"  # noqa: S608 - built from constants
    row = connection.execute(query, (decision_id, log_id)).fetchone()
    return None if row is None else logged_of(row, campaign)


def iterate_decisions(
    connection: sqlite3.Connection,
    log_id: int,
    campaign: Campaign,
    *,
    after: int = 0,
    unreadable: Unreadable | None = None,
) -> Iterator[LoggedDecision]:
    """All rows of a log in order, read a thousand at a time so that memory does not grow with the log."""
    query = f"SELECT {READ} FROM decisions WHERE log_id = ? AND seq > ? ORDER BY seq LIMIT {_READ_AHEAD}"  # noqa: S608
    while True:
        rows = connection.execute(query, (log_id, after)).fetchall()
        yield from readable(rows, campaign, unreadable)
        if len(rows) < _READ_AHEAD:
            return
        after = rows[-1][0]


def readable(
    rows: Iterable[Sequence[Any]], campaign: Campaign, unreadable: Unreadable | None
) -> Iterator[LoggedDecision]:
    """Rows of `READ` columns as decisions; those that cannot be read are told about, or raise."""
    for row in rows:
        try:
            yield logged_of(row, campaign)
        except UnusableLog as error:
            if unreadable is None:
                raise
            unreadable(row[0], error)
