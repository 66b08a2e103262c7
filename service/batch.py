"""Deciding for a whole table of customers: groups are decided in any process, and stored here, one commit each."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from bandit.errors import ConflictingDecision
from service.batch_runs import advance_run
from service.caps import Caps
from service.choices import capped
from service.consent import Unstored, count_unstored
from service.customer_keys import read_customer_keys
from service.desk import DecidedGroup, Desk, Job, open_desk
from service.desks import UndecidedGroup, decided_by, desks_in_processes
from service.opt_outs import rekey_opt_out
from service.rows_in_columns import RowsInColumns, append_rows
from service.store import Log, Store
from service.table import read_columns

ATTEMPTS = 5


def decided_choices(
    store: Store, log: Log, users: Path, job: Job, *, n_processes: int, watch: Callable[[int], None] = lambda _: None
) -> Iterator[pa.RecordBatch]:
    """Decide a checked table and store it; each group's choices come when they are on disk.

    Args:
        store: where to.
        log: the campaign's.
        users: the table.
        job: what is asked.
        n_processes: that decide; this one alone decides where there is one, and else only writes.
        watch: told how many more rows are stored.

    Raises:
        ConflictingDecision, NoEligibleArm: the groups before it are stored; running the same table again repeats nothing.
    """
    batch = _Batch(store, log, job)
    groups = batch.groups_of(users)
    if n_processes == 1:
        yield from batch.stored(batch.decided_here(groups), watch)
        return
    with desks_in_processes(job, n_processes) as desks:
        yield from batch.stored(decided_by(desks, groups), watch)


class _Batch:
    """One table on its way into the store."""

    def __init__(self, store: Store, log: Log, job: Job) -> None:
        self._store, self._log, self._job = store, log, job
        self._looking = job.run.begun_before is not None
        self._own_desk: Desk | None = None

    def groups_of(self, users: Path) -> Iterator[UndecidedGroup]:
        """The table, group by group."""
        first = 0
        for batch in read_columns(users):
            yield UndecidedGroup(batch, first, self._looking)
            first += batch.num_rows

    def decided_here(self, groups: Iterable[UndecidedGroup]) -> Iterator[tuple[UndecidedGroup, DecidedGroup]]:
        """Groups decided by this process."""
        for group in groups:
            yield group, self._decided(group, looking=group.looking)

    def stored(
        self, decided: Iterable[tuple[UndecidedGroup, DecidedGroup]], watch: Callable[[int], None]
    ) -> Iterator[pa.RecordBatch]:
        """Store groups, each while the next one is decided."""
        with ThreadPoolExecutor(1) as storing:
            waiting: Future[pa.RecordBatch] | None = None
            for pair in decided:
                if waiting:
                    yield _told(waiting, watch)
                waiting = storing.submit(self._store_group, *pair)
            if waiting:
                yield _told(waiting, watch)

    def _store_group(self, group: UndecidedGroup, decided: DecidedGroup) -> pa.RecordBatch:
        """Store one group; where some of its ids are taken, look at what stands and try again."""
        for attempt in range(ATTEMPTS):
            try:
                return self._written(group, decided)
            except ConflictingDecision:
                if attempt == ATTEMPTS - 1:
                    raise
            self._looking = True
            decided = self._decided(group, looking=True)
        raise AssertionError

    def _written(self, group: UndecidedGroup, decided: DecidedGroup) -> pa.RecordBatch:
        rows, campaign = decided.rows, self._log.campaign
        n_done = group.first + group.batch.num_rows

        def operation(connection: sqlite3.Connection) -> list[int]:
            if advance_run(connection, self._job.run, n_done):
                self._count_unstored(connection, decided)
            if not campaign.has_caps:
                append_rows(connection, rows)
                return []
            refused = _refused(Caps(connection, campaign, lambda log_id: self._store.log(log_id).campaign), rows)
            append_rows(connection, rows.only(np.delete(np.arange(len(rows)), refused).tolist()) if refused else rows)
            return refused

        refused = self._store.write(operation)
        return capped(decided.choices, decided.places[refused].tolist() if refused else [])

    def _count_unstored(self, connection: sqlite3.Connection, decided: DecidedGroup) -> None:
        """Of whom nothing is stored, their number is; who opted out is from now on known under the newest key."""
        keys, at = read_customer_keys(connection), self._job.run.at
        for customer_id in decided.opted_out if keys.generation > 1 else ():
            rekey_opt_out(connection, customer_id, keys)
        counts = Counter({Unstored.OPTED_OUT: len(decided.opted_out), Unstored.NO_CONSENT: decided.n_without_consent})
        count_unstored(connection, self._log.campaign, +counts, at)

    def _decided(self, group: UndecidedGroup, *, looking: bool) -> DecidedGroup:
        if self._own_desk is None:
            self._own_desk = open_desk(self._job, self._store)
        return self._own_desk.decide(group.batch, group.first, looking=looking)


def _refused(caps: Caps, rows: RowsInColumns) -> list[int]:
    """Rows that a cap forbids."""
    return [row for row, values in enumerate(rows.values()) if caps.refusal(values)]


def _told(waiting: Future[pa.RecordBatch], watch: Callable[[int], None]) -> pa.RecordBatch:
    stored = waiting.result()
    watch(stored.num_rows)
    return stored
