"""What only the store can check: the chain over its rows, rewards against outcomes, counters against snapshots."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial
from heapq import merge
from typing import Any, NamedTuple

from bandit.errors import BrokenSnapshot, UnusableLog
from bandit.group import Group
from bandit.reward import State
from evaluation.verify import Check
from service.erased_sums import broken_sums, read_sums
from service.erasure import links_of, list_erasures
from service.erasures_learned import erased_by_snapshot
from service.outcomes_table import iterate_matured
from service.rows import DECIDED, next_chain
from service.snapshots_table import list_snapshots, load_snapshot
from service.store import Log

_READ_AHEAD = 2000
_ERASED = """SELECT log_id, (SELECT count(*) FROM erased_rows r WHERE r.log_id = found.log_id)
FROM (SELECT log_id FROM erased_rows UNION SELECT log_id FROM erased_sums) found ORDER BY 1"""
_MISPLACED = """SELECT seq, state, sent_at FROM decisions
WHERE log_id = ? AND (state IN ('deferred', 'expired') AND deferred IS NULL
    OR state IN ('deferred', 'expired', 'void') AND sent_at IS NOT NULL OR state = 'matured' AND matured IS NULL)
ORDER BY seq"""
_NUMBERS = """SELECT matured FROM decisions WHERE log_id = :log AND matured IS NOT NULL
UNION ALL SELECT matured FROM erased_rows WHERE log_id = :log AND matured IS NOT NULL ORDER BY 1"""


def check_chain(connection: sqlite3.Connection) -> Check:
    """No row was edited, removed, added or reordered since it was written, up to the last one acknowledged.

    Of an erased row the chain's link is left, and counts if a receipt signed by the store covers it.
    """
    check = Check("chain", "no row was edited, removed or added since it was written")
    chain, before, forged = bytes(16), 0, _unsigned(connection)
    for link in merge(_chained_rows(connection), _erased_rows(connection), key=lambda one: one.seq):
        if link.seq <= before:
            check.fail(f"row {link.seq} stands twice, or has a number that no row has")
        elif link.seq != before + 1:
            check.fail(f"row {before + 1}{f' to {link.seq - 1}' if link.seq > before + 2 else ''} is missing")
        if link.values is None:
            if link.erasure in forged:
                check.fail(f"row {link.seq} was removed; the receipt of its erasure is not one that this store signed")
        else:
            check.n_checked += 1
            if link.seq == before + 1 and next_chain(chain, link.values) != link.chain:
                decision = f"row {link.seq}, decision {link.values[1][:60]}"
                check.fail(f"{decision}: its contents are not the ones that were written")
        # Go on from what is stored, so that one bad row is reported once.
        chain, before = link.chain, link.seq
    head = connection.execute("SELECT seq, chain FROM head").fetchone()
    if head is None:
        check.fail("the head of the chain is missing: whether rows were cut off at the end cannot be said")
    elif head != (before, chain):
        check.fail(f"the log ends at row {before}, but row {head[0]} was written: rows are missing at the end")
    return check


def check_erasures(connection: sqlite3.Connection, key: bytes) -> Check:
    """Each receipt of an erasure is one that the store signed, for just the rows that are gone, and sums are its own."""
    check = Check(
        "erasures", "each erasure has a receipt signed by this store, and what is left of its rows is unchanged"
    )
    for number, erasure in list_erasures(connection):
        check.n_checked += 1
        if not erasure.is_signed(links_of(connection, number), key):
            check.fail(f"erasure {erasure.erasure_id[:60]}: the store did not sign this receipt for these rows")
    for log_id, n_rows in connection.execute(_ERASED).fetchall():
        n_summed = sum(sums.n_decisions for sums in read_sums(connection, log_id).values())
        if n_summed != n_rows:
            check.fail(f"log {log_id}: {n_rows} rows were erased, the sums that are kept of them have {n_summed}")
        for group in broken_sums(connection, log_id, key):
            check.fail(
                f"log {log_id}, group {group[:60]}: the sums of its erased rows are not the ones that were written"
            )
    return check


def check_rewards(connection: sqlite3.Connection, log: Log) -> Check:
    """Each matured reward is what the outcomes within its window are worth, and no row that matured was hidden."""
    check = Check("reward", "each matured reward is what the outcomes kept for it are worth, and none was taken out")
    skipped = partial(_note, check)
    for matured in iterate_matured(connection, log.log_id, log.campaign, after=0, unreadable=skipped):
        check.n_checked += 1
        row = matured.decision
        reward = log.campaign.reward_of(row.arms, matured.outcome_types, row.recent_sends)
        if row.reward != reward:
            where = f"row {row.seq}, decision {row.decision_id[:60]}"
            less = f" less the cost of {row.recent_sends} recent sends" if row.recent_sends else ""
            check.fail(f"{where}: reward is {row.reward!r}, its outcomes are worth {reward!r}{less}")
        if matured.decision.state != State.MATURED:
            check.fail(f"row {matured.decision.seq}: it has matured, and its state says {matured.decision.state!r}")
    for seq, state, sent_at in connection.execute(_MISPLACED, (log.log_id,)):
        check.fail(
            f"row {seq}: its state is {state!r}, which {f'a row sent at {sent_at}' if sent_at else 'it'} cannot have"
        )
    _check_numbers(check, connection, log.log_id)
    return check


def _check_numbers(check: Check, connection: sqlite3.Connection, log_id: int) -> None:
    """Rows that matured are numbered without gap or double: one that is hidden as never sent leaves its number free."""
    before = 0
    for (number,) in connection.execute(_NUMBERS, {"log": log_id}):
        if number <= before:
            check.fail(f"the number {number} in the order of maturing stands twice, or is one that no row has")
        elif number != before + 1:
            check.fail(f"no row has matured as number {before + 1}{f' to {number - 1}' if number > before + 2 else ''}")
        before = number
    query = "SELECT coalesce(max(watermark), 0) FROM snapshots WHERE log_id = ?"
    (watermark,) = connection.execute(query, (log_id,)).fetchone()
    if before < watermark:
        check.fail(f"rows up to number {watermark} were learned from, the last that has matured is number {before}")


def _note(check: Check, _: int, error: UnusableLog) -> None:
    check.fail(str(error))


def check_snapshots(connection: sqlite3.Connection, log: Log) -> Check:
    """Each snapshot is whole, and learned from just the rows up to its watermark, each once."""
    check = Check("training", "each snapshot is whole and learned each matured row up to its watermark once")
    inherited: dict[str | None, int] = {}
    erased = erased_by_snapshot(connection, log.log_id)
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
        ).fetchone()[0] + erased.get(stored.snapshot, 0)
        if stored.n_learned != snapshot.n_learned or stored.watermark != snapshot.watermark:
            check.fail(f"snapshot {stored.snapshot}: its row and its bytes do not tell the same counters")
        learned_here = snapshot.n_learned - inherited[stored.snapshot]
        if rows != learned_here:
            check.fail(
                f"snapshot {stored.snapshot} learned {learned_here} rows, the log has {rows} up to its watermark"
            )
    return check


class _Link(NamedTuple):
    """A link of the chain: of a row that is there, or of one that was erased (then `values` is None)."""

    seq: int
    chain: bytes
    values: tuple[Any, ...] | None
    erasure: int | None


def _unsigned(connection: sqlite3.Connection) -> set[int]:
    """Numbers of the erasures that rows name and that this store did not sign for them."""
    key = connection.execute("SELECT value FROM keys WHERE name = 'receipts'").fetchone()
    named = {number for (number,) in connection.execute("SELECT DISTINCT erasure FROM erased_rows")}
    if key is None:
        return named
    return named - {
        number
        for number, erasure in list_erasures(connection)
        if erasure.is_signed(links_of(connection, number), key[0])
    }


def _erased_rows(connection: sqlite3.Connection) -> Iterator[_Link]:
    for seq, chain, erasure in connection.execute("SELECT seq, chain, erasure FROM erased_rows ORDER BY seq"):
        yield _Link(seq, chain, None, erasure)


def _chained_rows(connection: sqlite3.Connection) -> Iterator[_Link]:
    query = f"SELECT seq, chain, {', '.join(DECIDED)} FROM decisions WHERE seq > ? ORDER BY seq LIMIT {_READ_AHEAD}"  # noqa: S608
    after = -(1 << 62)
    while rows := connection.execute(query, (after,)).fetchall():
        for row in rows:
            yield _Link(row[0], row[1], row[2:], None)
        after = rows[-1][0]
