"""Runs of `manyarm decide`: a killed one goes on with the snapshot and the time it began with."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.clock import NewId
from service.rows import stamp
from service.snapshots_table import serving_snapshot
from service.store import Log, Store

_FOUND = """SELECT run, at, snapshot, finished_at FROM batch_runs
WHERE log_id = ? AND users_hash = ? ORDER BY rowid DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class BatchRun:
    """One table of customers on its way.

    Attributes:
        run: its id, from which decision_ids are made where the table has none.
        at: time of all its decisions.
        snapshot: which decides for the learner group; None for none.
        is_resumed: whether it was begun before, so that some rows may be stored already.
    """

    run: str
    at: datetime
    snapshot: str | None
    is_resumed: bool


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that decided a whole table."""

    run: str
    at: datetime
    finished_at: datetime


def begun_run(
    store: Store, log: Log, users_hash: str, n_rows: int, *, at: datetime, new_id: NewId, again: bool
) -> BatchRun | FinishedRun:
    """The run of a table: the one that was killed, or else a new one.

    Args:
        store: where it is kept.
        log: the campaign's.
        users_hash: hash of the table's content.
        n_rows: of the table.
        at: time of its decisions, where it is new.
        new_id: makes its id.
        again: begin a new one where the same table was decided before.

    Returns:
        the finished run instead, if the same table was decided before and `again` is false. Nothing was written.
    """

    def operation(connection: sqlite3.Connection) -> BatchRun | FinishedRun:
        found = connection.execute(_FOUND, (log.log_id, users_hash)).fetchone()
        if found and found[3] is None:
            return BatchRun(found[0], datetime.fromisoformat(found[1]), found[2], is_resumed=True)
        if found and not again:
            return FinishedRun(found[0], *map(datetime.fromisoformat, (found[1], found[3])))
        run = BatchRun(new_id(), at, serving_snapshot(connection, log.log_id), is_resumed=False)
        connection.execute(
            "INSERT INTO batch_runs (run, log_id, users_hash, at, snapshot, n_rows) VALUES (?, ?, ?, ?, ?, ?)",
            (run.run, log.log_id, users_hash, stamp(at), run.snapshot, n_rows),
        )
        return run

    return store.write(operation)


def finish_run(store: Store, run: BatchRun, now: datetime) -> None:
    """All rows of a run are stored and its choices stand in their file."""

    def operation(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE batch_runs SET finished_at = ? WHERE run = ?", (stamp(now), run.run))

    store.write(operation)


def ids_in(run: str, customer_ids: Sequence[str], first: int, *, salt: bytes) -> list[str]:
    """Decision ids of a table that brings none: of run, customer and row only, so that a run that goes on repeats them.

    They ascend with the rows, which keeps the store's index of ids compact, and end in 48 bits that nobody can guess.

    Args:
        run: id of the run.
        customer_ids: of some rows.
        first: number of the first of these rows.
        salt: the store's.

    >>> ids_in("5f0c1ee7b14d2a90", ["ann"], 4096, salt=b"pepper")[0][:20]
    '5f0c1ee7b14d00001000'
    """
    begun = hashlib.blake2b(f"{len(run)}:{run}".encode(), digest_size=6, key=salt).copy
    found = []
    for row, customer_id in enumerate(customer_ids, start=first):
        hashed = begun()
        hashed.update(f"{row}:{customer_id}".encode())
        found.append(f"{run[:12]}{row:08x}{hashed.hexdigest()}")
    return found
