"""Writing and reading the `decisions` table."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from bandit.campaign import Campaign
from bandit.errors import ConflictingDecision, EngineError, UnusableLog, UnusableStore
from bandit.log import LoggedDecision
from bandit.reward import State
from service.marks import marks
from service.rows import DECIDED, READ, DecidedValues, logged_of, next_chain

Row = tuple[DecidedValues, str]
"""The never-changing values of a decision, and when its window closes; when it expires, where it is deferred."""

_INSERT = f"""INSERT INTO decisions (seq, {", ".join(DECIDED)}, chain, state, due_at)
VALUES (?, {marks(DECIDED)}, ?, ?, ?)"""  # noqa: S608 - built from constants
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
    errors: list[EngineError | None] = []
    while len(errors) < len(rows):
        chained = _Chained(connection, rows[len(errors) :])
        try:
            connection.executemany(_INSERT, chained.rows())
        except (sqlite3.IntegrityError, ValueError) as error:
            # A statement that fails leaves nothing of its own row behind, and the rows before it stand.
            errors += [None] * chained.n_stored
            errors.append(_refusal(connection, rows[len(errors)], error))
        else:
            errors += [None] * chained.n_stored
        connection.execute("UPDATE head SET seq = ?, chain = ?", (chained.seq, chained.chain))
    return errors


class _Chained:
    """Rows on their way into the table, and how far they have come: a row is asked for when the one before it is stored.

    No savepoint is needed so, for which SQLite keeps a copy of each page that is changed: a third of an insert's time.

    Attributes:
        seq, chain: of the last row that is stored.
        n_stored: rows that are.
    """

    __slots__ = ("_rows", "chain", "n_stored", "seq")

    def __init__(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.seq, self.chain = connection.execute("SELECT seq, chain FROM head").fetchone()
        self.n_stored = 0

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Values of one row after the other."""
        for values, due_at in self._rows:
            seq, chain = self.seq + 1, next_chain(self.chain, values)
            yield (seq, *values, chain, _WAITING if values[_DEFERRED] else _PENDING, due_at)
            self.seq, self.chain = seq, chain
            self.n_stored += 1


def _refusal(connection: sqlite3.Connection, row: Row, error: Exception) -> EngineError:
    """Why a row could not be stored."""
    decision_id = row[0][_ID]
    query = "SELECT log_id FROM decisions WHERE decision_id = ?"
    with suppress(ValueError):  # as of an id that is no Unicode
        found = connection.execute(query, (decision_id,)).fetchone()
        if found:
            return ConflictingDecision(_taken(decision_id, same_log=found[0] == row[0][_LOG]))
    return UnusableStore(f"decision {decision_id!r} cannot be stored ({error}). Nothing was stored for it.")


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
