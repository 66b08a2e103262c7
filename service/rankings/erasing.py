"""Erasing rankings: by age, or one by its event. What verify and the trainer count by stays, and names nobody.

Of an erased ranking are kept its number, its link of the chain, its place in the order of maturing and whether it was
learned from, signed by the store; context, actions, ids and rewards are gone.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import msgspec

from bandit.errors import UnknownDecision, UnusableLog
from bandit.training import teaches
from service.daily import Daily
from service.rankings.snapshots import newest_whole
from service.rows import stamp
from service.store import Store

AT_ONCE = 200
"""Rankings of one transaction: whoever ranks waits meanwhile."""
_FIELDS = 'seq, event_id, chain, matured, "group"'
_OLD = (
    f"SELECT {_FIELDS} FROM rankings WHERE campaign = ? AND decided_at < ? "  # noqa: S608 - our own column names
    "AND (state NOT IN ('pending', 'deferred', 'matured') OR matured <= ?) ORDER BY decided_at LIMIT ?"
)


class ErasedRanking(NamedTuple):
    """What is left of one; `taught` says whether a learner learned from it."""

    seq: int
    campaign: str
    chain: bytes
    matured: int | None
    taught: int

    def signature(self, key: bytes) -> bytes:
        """By the store's key, over all of it."""
        return hashlib.blake2b(msgspec.msgpack.encode(tuple(self)), key=key, digest_size=16).digest()


class RankingRetention:
    """Erases old rankings once a day; one a process.

    Args:
        store: where they are.
        campaign: whose loop it is.
        keep: how long they are kept; None for ever.
    """

    def __init__(self, store: Store, campaign: str, keep: timedelta | None) -> None:
        self._store, self._campaign, self._keep = store, campaign, keep
        self._daily = Daily()

    def step(self, now: datetime, *, is_wanted: Callable[[], bool] = lambda: True) -> int:
        """Erase what is too old, if a day has gone by since the last time; returns how many.

        Args:
            now: the time.
            is_wanted: asked now and then; once it says no, the rest stays until the next time.
        """
        if self._keep is None or not self._daily.is_due(now):
            return 0
        erased = erase_old_rankings(self._store, self._campaign, self._keep, now, is_wanted=is_wanted)
        self._daily.done(now)
        return erased


def erase_old_rankings(
    store: Store, campaign: str, keep: timedelta, now: datetime, *, is_wanted: Callable[[], bool] = lambda: True
) -> int:
    """Erase the rankings of a loop that are older than they are kept; returns how many.

    Those whose wait is open, or that the trainer has yet to learn from, stay until that is done.
    """
    before, learned = now - keep, _watermark(store, campaign)
    total, found = 0, AT_ONCE
    while found == AT_ONCE and is_wanted():
        found = store.write(partial(_erase_some, store.receipts_key, campaign, before, learned))
        total += found
    if total:
        store.wipe()
    return total


def erase_ranking(store: Store, campaign: str, event_id: str) -> None:
    """Erase the ranking of one event, whatever its age.

    Raises:
        UnknownDecision: if nothing was ranked under this id.
        UnusableLog: if it has matured and was not learned from yet.
    """
    learned = _watermark(store, campaign)

    def operation(connection: sqlite3.Connection) -> None:
        query = f"SELECT {_FIELDS} FROM rankings WHERE event_id = ? AND campaign = ?"  # noqa: S608
        row = connection.execute(query, (event_id, campaign)).fetchone()
        if row is None:
            raise UnknownDecision(f"no event {event_id[:80]!r} was ranked by {campaign!r} here. Nothing was erased.")
        if row[3] is not None and row[3] > learned:
            raise UnusableLog(
                f"event {event_id[:80]!r} waits to be learned from, and a learner would count it twice or never. Run `manyarm "
                "learn`, or wait for the service's trainer, and erase it then."
            )
        _erase(connection, campaign, [row], store.receipts_key)

    store.write(operation)
    store.wipe()


def erased_rankings(
    connection: sqlite3.Connection, campaign: str | None = None
) -> Iterator[tuple[ErasedRanking, bytes]]:
    """What is left of erased rankings, with the signatures, in the order in which they were written."""
    query = (
        "SELECT seq, campaign, chain, matured, taught, signature FROM erased_rankings "
        "WHERE ?1 IS NULL OR campaign = ?1 ORDER BY seq"
    )
    for *values, signature in connection.execute(query, (campaign,)):
        yield ErasedRanking(*values), signature


def _watermark(store: Store, campaign: str) -> int:
    found = newest_whole(store.reader(), campaign)
    return found[1].watermark if found else 0


def _erase_some(key: bytes, campaign: str, before: datetime, learned: int, connection: sqlite3.Connection) -> int:
    rows = connection.execute(_OLD, (campaign, stamp(before), learned, AT_ONCE)).fetchall()
    _erase(connection, campaign, rows, key)
    return len(rows)


def _erase(
    connection: sqlite3.Connection, campaign: str, rows: Sequence[tuple[int, str, bytes, int | None, str]], key: bytes
) -> None:
    left = [
        ErasedRanking(seq, campaign, chain, matured, int(matured is not None and teaches(group)))
        for seq, _, chain, matured, group in rows
    ]
    connection.executemany(
        "INSERT INTO erased_rankings (seq, campaign, chain, matured, taught, signature) VALUES (?, ?, ?, ?, ?, ?)",
        [(*one, one.signature(key)) for one in left],
    )
    connection.executemany("DELETE FROM ranking_rewards WHERE event_id = ?", [(row[1],) for row in rows])
    connection.executemany("DELETE FROM rankings WHERE seq = ?", [(row[0],) for row in rows])
