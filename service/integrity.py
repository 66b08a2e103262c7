"""What only the store can check: the chain over its rows, rewards against outcomes, counters against snapshots."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial
from typing import Any

from bandit.errors import BrokenSnapshot, UnusableLog
from bandit.group import Group
from bandit.reward import State
from evaluation.verify import Check
from service.outcomes_table import iterate_matured
from service.rows import DECIDED, next_chain
from service.snapshots_table import list_snapshots, load_snapshot
from service.store import Log

_READ_AHEAD = 2000


def check_chain(connection: sqlite3.Connection) -> Check:
    """No row was edited, removed, added or reordered since it was written, up to the last one acknowledged."""
    check = Check("chain", "no row was edited, removed or added since it was written")
    chain, before = bytes(16), 0
    for seq, stored, values in _chained_rows(connection):
        check.n_checked += 1
        if seq != before + 1:
            check.fail(f"row {before + 1}{f' to {seq - 1}' if seq > before + 2 else ''} is missing")
        elif next_chain(chain, values) != stored:
            check.fail(f"row {seq}, decision {values[1][:60]}: its contents are not the ones that were written")
        # Go on from what is stored, so that one bad row is reported once.
        chain, before = stored, seq
    head = connection.execute("SELECT seq, chain FROM head").fetchone()
    if head is None:
        check.fail("the head of the chain is missing: whether rows were cut off at the end cannot be said")
    elif head != (before, chain):
        check.fail(f"the log ends at row {before}, but row {head[0]} was written: rows are missing at the end")
    return check


def check_rewards(connection: sqlite3.Connection, log: Log) -> Check:
    """Each matured reward is what the outcomes within its window are worth."""
    check = Check("reward", "each matured reward is what the outcomes kept for it are worth")
    skipped = partial(_note, check)
    for matured in iterate_matured(connection, log.log_id, log.campaign, after=0, unreadable=skipped):
        check.n_checked += 1
        worth = log.campaign.reward.reward_of(matured.outcome_types)
        if matured.decision.reward != worth:
            where = f"row {matured.decision.seq}, decision {matured.decision.decision_id[:60]}"
            check.fail(f"{where}: reward is {matured.decision.reward!r}, its outcomes are worth {worth!r}")
        if matured.decision.state != State.MATURED:
            check.fail(f"row {matured.decision.seq}: it has matured, and its state says {matured.decision.state!r}")
    return check


def _note(check: Check, _: int, error: UnusableLog) -> None:
    check.fail(str(error))


def check_snapshots(connection: sqlite3.Connection, log: Log) -> Check:
    """Each snapshot is whole, and learned from just the rows up to its watermark, each once."""
    check = Check("training", "each snapshot is whole and learned each matured row up to its watermark once")
    inherited: dict[str | None, int] = {}
    for stored in list_snapshots(connection, log.log_id):
        check.n_checked += 1
        # A warm start has seen none of this log's rows; what it brought along runs through all its descendants.
        is_warm_start = stored.parent is None and stored.watermark == 0
        inherited[stored.snapshot] = stored.n_learned if is_warm_start else inherited.get(stored.parent, 0)
        try:
            snapshot = load_snapshot(connection, stored.snapshot)
        except BrokenSnapshot as error:
            check.fail(str(error))
            continue
        rows = connection.execute(
            'SELECT count(*) FROM decisions WHERE log_id = ? AND matured <= ? AND "group" <> ?',
            (log.log_id, snapshot.watermark, Group.CONTROL.value),
        ).fetchone()[0]
        if stored.n_learned != snapshot.n_learned or stored.watermark != snapshot.watermark:
            check.fail(f"snapshot {stored.snapshot}: its row and its bytes do not tell the same counters")
        learned_here = snapshot.n_learned - inherited[stored.snapshot]
        if rows != learned_here:
            check.fail(
                f"snapshot {stored.snapshot} learned {learned_here} rows, the log has {rows} up to its watermark"
            )
    return check


def _chained_rows(connection: sqlite3.Connection) -> Iterator[tuple[int, bytes, tuple[Any, ...]]]:
    query = f"SELECT seq, chain, {', '.join(DECIDED)} FROM decisions WHERE seq > ? ORDER BY seq LIMIT {_READ_AHEAD}"  # noqa: S608
    after = -(1 << 62)
    while rows := connection.execute(query, (after,)).fetchall():
        for row in rows:
            yield row[0], row[1], row[2:]
        after = rows[-1][0]
