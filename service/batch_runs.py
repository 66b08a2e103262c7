"""Runs of `manyarm decide`: a killed one goes on with the ids and the snapshot it began with, at the time it goes on."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.clock import NewId
from service.rows import moment_of, stamp
from service.snapshots_table import serving_snapshot
from service.store import Log, Store

_FOUND = """SELECT run, log_id, at, snapshot, finished_at FROM batch_runs JOIN logs USING (log_id)
WHERE campaign = ? AND users_hash = ? ORDER BY batch_runs.rowid DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class BatchRun:
    """One table of customers on its way.

    Attributes:
        run: its id, from which decision_ids are made where the table has none.
        at: time of the decisions it makes now; of one that goes on, those that are missing.
        snapshot: which decides for the learner group; None for none.
        begun_before: when it was begun, if that was by an earlier command, so that some rows may be stored already.
    """

    run: str
    at: datetime
    snapshot: str | None
    begun_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A run of the same table after which nobody should be decided for without being asked.

    Attributes:
        at: when it was begun.
        finished_at: when it had decided the whole table; None if it did not, and cannot go on since the campaign's content
            is another one now.
    """

    at: datetime
    finished_at: datetime | None


def begun_run(
    store: Store, log: Log, users_hash: str, n_rows: int, *, at: datetime, new_id: NewId, again: bool
) -> BatchRun | EarlierRun:
    """The run of a table: the one that was killed, or else a new one.

    The latest run of the table under the campaign's id counts, whatever the campaign's content was then.

    Args:
        store: where it is kept.
        log: the campaign's.
        users_hash: hash of the table's content.
        n_rows: of the table.
        at: time of its decisions.
        new_id: makes its id.
        again: begin a new one where the same table was decided before.

    Returns:
        the earlier run instead, if the same table was decided before, or begun under another content of the campaign, and
        `again` is false. Nothing was written.
    """

    def operation(connection: sqlite3.Connection) -> BatchRun | EarlierRun:
        found = connection.execute(_FOUND, (log.campaign.id, users_hash)).fetchone()
        if found:
            name, log_id, begun, snapshot, finished = found
            if finished is None and log_id == log.log_id:
                return BatchRun(name, at, snapshot, datetime.fromisoformat(begun))
            if not again:
                return EarlierRun(datetime.fromisoformat(begun), moment_of(finished))
        run = BatchRun(new_id(), at, serving_snapshot(connection, log.log_id))
        connection.execute(
            "INSERT INTO batch_runs (run, log_id, users_hash, at, snapshot, n_rows) VALUES (?, ?, ?, ?, ?, ?)",
            (run.run, log.log_id, users_hash, stamp(at), run.snapshot, n_rows),
        )
        return run

    return store.write(operation)


def advance_run(connection: sqlite3.Connection, run: BatchRun, n_done: int) -> bool:
    """Keep how far a run has come, inside the caller's transaction.

    Args:
        connection: inside a transaction.
        run: whose rows are stored group after group.
        n_done: rows of the table, from its first on, that are done with.

    Returns:
        whether that is further than it had come before.
    """
    moved = connection.execute(
        "UPDATE batch_runs SET n_done = ? WHERE run = ? AND n_done < ?", (n_done, run.run, n_done)
    )
    return moved.rowcount > 0


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
