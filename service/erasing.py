"""Erasing rows for good: decisions, contexts, outcomes and raw events go; receipt, links of the chain and sums stay."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple, TypeVar

from bandit.group import Group
from bandit.reward import State
from service.clock import NewId
from service.customer_events import erase_events, erase_old_customer_events, has_old_customer_events
from service.customer_keys import read_customer_keys
from service.erased_sums import ErasedRow, add_sums
from service.erasure import Erasure, Link, Reason, Removed, add_erasure
from service.marks import marks
from service.product_table import erase_candidates
from service.rows import stamp
from service.store import Log, Store
from service.webhooks.digest import digest

_Value = TypeVar("_Value")
AT_ONCE = 2000
"""Rows that one transaction erases for their age: decisions wait meanwhile."""
NO_LOG = 0
"""Stands for the log of raw events that are erased for their age, whatever they name."""
_VARIABLES = 500
_OLD_EVENTS = "FROM webhook_events WHERE received_at < ? AND state <> 'waiting'"
_CLOSED = (State.MATURED.value, State.VOID.value, State.EXPIRED.value)
_READ = 'SELECT seq, log_id, chain, matured, "group", customer_key, state, reward, decision_id FROM decisions'


class _Row(NamedTuple):
    """A row that is about to go."""

    link: Link
    sums: ErasedRow
    decision_id: str


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be said of an erasure.

    Attributes:
        erasure_id: of the receipt.
        at: when.
        reason: why.
        before: rows decided before this are meant, where age is the reason.
    """

    erasure_id: str
    at: datetime
    reason: Reason
    before: datetime | None = None


def erase_customer(store: Store, customer_id: str, order: Order) -> Erasure:
    """Erase all that is known of a customer, whichever campaign it was, and store the receipt.

    An opt-out stays: without it the person would be mailed again. The write-ahead log is not emptied here; `store.wipe` does.

    Args:
        store: where; other processes may be writing to it.
        customer_id: as it was given to decide.
        order: time and id of the receipt.

    Returns:
        the receipt, of nothing where nothing was known.
    """
    return next(erase_customers(store, [(customer_id, order)]))


def erase_customers(store: Store, orders: Iterable[tuple[str, Order]]) -> Iterator[Erasure]:
    """The same for many, each with a receipt of their own; the log is read once for `AT_ONCE` of them."""
    left = iter(orders)
    while some := list(islice(left, AT_ONCE)):
        # Events that nobody has read yet name their decision in their body only.
        digest(store)
        store.reload_keys()
        names = {customer_id: store.customer_keys.of(customer_id) for customer_id, _ in some}
        # Looked up before anybody has to wait; the transaction looks only at what was written since.
        seen = store.last_seq()
        found = seqs_by_key(store.reader(), [key for keys in names.values() for key in keys])
        for customer_id, order in some:
            known = [seq for key in names[customer_id] for seq in found.get(key, ())]
            yield store.write(_Erasing(known, order, store.receipts_key, customer_id, seen))


def erase_expired(
    store: Store,
    log: Log,
    retention: timedelta,
    *,
    at: datetime,
    new_id: NewId,
    is_wanted: Callable[[], bool] = lambda: True,
) -> list[Erasure]:
    """Erase the rows of a campaign, its earlier logs included, that are older than it keeps them.

    Rows whose window is open, or that the trainer has yet to learn from, wait for it. Raw events of providers go by their age
    alone: some name decisions that are not known here, or not any more. Once `is_wanted` says no, the rest stays for another
    time.

    Returns:
        a receipt for each `AT_ONCE` rows; none where nothing was old enough.
    """
    before = at - retention
    found: list[int] = []
    for other in store.logs():
        if other.campaign.id == log.campaign.id:
            found += _expired(store.reader(), other, before, is_learning=other.log_id == log.log_id)
    receipts = []
    for some in _slices(found, AT_ONCE):
        if not is_wanted():
            break
        order = Order(new_id(), at, Reason.RETENTION, before)
        receipts.append(store.write(_Erasing(some, order, store.receipts_key)))
    if _has_old_events(store.reader(), before):
        order = Order(new_id(), at, Reason.RETENTION, before)
        receipts.append(store.write(lambda connection: erase_old_events(connection, order, before, store.receipts_key)))
    had_events = False
    while is_wanted() and has_old_customer_events(store.reader(), before):
        store.write(lambda connection: erase_old_customer_events(connection, before, AT_ONCE))
        had_events = True
    if receipts or had_events:
        store.wipe()
    return receipts


def erase_old_events(connection: sqlite3.Connection, order: Order, before: datetime, key: bytes) -> Erasure:
    """Erase raw events of providers that came before a time, of no decision that is known here too."""
    n_events = connection.execute(f"DELETE {_OLD_EVENTS}", (stamp(before),)).rowcount
    (snapshot,) = connection.execute("SELECT coalesce(max(number), 0) FROM snapshots").fetchone()
    removed = (Removed(NO_LOG, "", 0, 0, n_events),)
    unsigned = Erasure(order.erasure_id, stamp(order.at), order.reason.value, stamp(before), snapshot, removed)
    erasure = replace(unsigned, signature=unsigned.signed([], key))
    add_erasure(connection, erasure, [])
    return erasure


def _has_old_events(connection: sqlite3.Connection, before: datetime) -> bool:
    return connection.execute(f"SELECT 1 {_OLD_EVENTS} LIMIT 1", (stamp(before),)).fetchone() is not None


def erase_rows(connection: sqlite3.Connection, seqs: Sequence[int], order: Order, key: bytes) -> Erasure:
    """Erase rows by number, inside the caller's transaction; rows that are gone already are not counted again."""
    rows = list(_rows(connection, seqs))
    ids = [row.decision_id for row in rows]
    outcomes, events = _delete(connection, "outcomes", ids), _delete_events(connection, ids)
    add_sums(connection, (row.sums for row in rows), key)
    connection.executemany("DELETE FROM decisions WHERE seq = ?", [(row.link.seq,) for row in rows])
    (snapshot,) = connection.execute("SELECT coalesce(max(number), 0) FROM snapshots").fetchone()
    links = [row.link for row in rows]
    before = None if order.before is None else stamp(order.before)
    removed = _removed(connection, rows, outcomes, events)
    unsigned = Erasure(order.erasure_id, stamp(order.at), order.reason.value, before, snapshot, removed)
    erasure = replace(unsigned, signature=unsigned.signed(links, key))
    add_erasure(connection, erasure, links)
    return erasure


def seqs_by_key(connection: sqlite3.Connection, keys: Sequence[str], *, after: int = 0) -> dict[str, list[int]]:
    """Numbers of customers' rows, in order.

    Args:
        connection: to read from.
        keys: what the customers may be called.
        after: only rows after this one.
    """
    found: dict[str, list[int]] = {}
    for some in _slices(keys, AT_ONCE):
        query = (
            f"SELECT customer_key, seq FROM decisions WHERE customer_key IN ({marks(some)}) AND seq > ? ORDER BY seq"  # noqa: S608
        )
        for key, seq in connection.execute(query, (*some, after)):
            found.setdefault(key, []).append(seq)
    return found


@dataclass(frozen=True, slots=True)
class _Erasing:
    """`erase_rows` as the writer runs it, with the rows that a customer got since they were looked up."""

    seqs: Sequence[int]
    order: Order
    key: bytes
    customer_id: str | None = None
    seen: int = 0

    def __call__(self, connection: sqlite3.Connection) -> Erasure:
        # Read again: the key may have been rotated since.
        keys = () if self.customer_id is None else read_customer_keys(connection).of(self.customer_id)
        newer = seqs_by_key(connection, keys, after=self.seen).values()
        seqs = {*self.seqs, *(seq for found in newer for seq in found)}
        if keys:
            erase_candidates(connection, keys)
            erase_events(connection, keys)
        return erase_rows(connection, sorted(seqs), self.order, self.key)


def _expired(connection: sqlite3.Connection, log: Log, before: datetime, *, is_learning: bool) -> list[int]:
    """Closed rows decided before a time; of a log that learns, only those that the newest snapshot has behind it."""
    watermark = "SELECT coalesce(max(watermark), 0) FROM snapshots WHERE log_id = :log"
    learned = f'AND (matured IS NULL OR "group" = :control OR matured <= ({watermark}))' if is_learning else ""
    query = f"""SELECT seq FROM decisions WHERE log_id = :log AND decided_at < :before
                AND state IN {_CLOSED} {learned} ORDER BY seq"""  # noqa: S608
    values = {"log": log.log_id, "before": stamp(before)} | ({"control": Group.CONTROL.value} if is_learning else {})
    return [seq for (seq,) in connection.execute(query, values)]


def _rows(connection: sqlite3.Connection, seqs: Sequence[int]) -> Iterable[_Row]:
    for some in _slices(seqs, _VARIABLES):
        query = f"{_READ} WHERE seq IN ({marks(some)}) ORDER BY seq"
        for seq, log_id, chain, matured, group, customer, state, reward, decision_id in connection.execute(query, some):
            link = Link(seq, log_id, chain, matured, int(group != Group.CONTROL.value))
            yield _Row(link, ErasedRow(log_id, group, customer, state, reward), decision_id)


def _delete(connection: sqlite3.Connection, table: str, decision_ids: Sequence[str]) -> Counter[str]:
    """Delete what hangs on decisions; returns how many rows by decision."""
    counts: Counter[str] = Counter()
    for some in _slices(decision_ids, _VARIABLES):
        where = f"FROM {table} WHERE decision_id IN ({marks(some)})"
        counts.update(dict(connection.execute(f"SELECT decision_id, count(*) {where} GROUP BY 1", some).fetchall()))
        connection.execute(f"DELETE {where}", some)
    return counts


def _delete_events(connection: sqlite3.Connection, decision_ids: Sequence[str]) -> Counter[str]:
    """Delete raw events of decisions, and those that only name the message that another one of them names."""
    for some in _slices(decision_ids, _VARIABLES):
        named = connection.execute(
            "SELECT min(decision_id), provider, message_id FROM webhook_events "  # noqa: S608 - built from constants
            f"WHERE decision_id IN ({marks(some)}) AND message_id IS NOT NULL GROUP BY provider, message_id",
            some,
        ).fetchall()
        connection.executemany(
            "UPDATE webhook_events SET decision_id = ? WHERE provider = ? AND message_id = ? AND decision_id IS NULL",
            named,
        )
    return _delete(connection, "webhook_events", decision_ids)


def _removed(
    connection: sqlite3.Connection, rows: Sequence[_Row], outcomes: Counter[str], events: Counter[str]
) -> tuple[Removed, ...]:
    names = dict(connection.execute("SELECT log_id, campaign FROM logs").fetchall())
    by_log: dict[int, list[str]] = {}
    for row in rows:
        by_log.setdefault(row.link.log_id, []).append(row.decision_id)
    return tuple(
        Removed(log_id, names[log_id], len(ids), sum(outcomes[one] for one in ids), sum(events[one] for one in ids))
        for log_id, ids in sorted(by_log.items())
    )


def _slices(values: Sequence[_Value], size: int) -> Iterator[Sequence[_Value]]:
    return (values[start : start + size] for start in range(0, len(values), size))
