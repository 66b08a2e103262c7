"""What is left of erased rows: sums by log and group, from which a group's value and its standard error stay right.

The cells are as coarse as the answers need: no arm, no context, no day. A finer cell would soon hold one person alone.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from typing import NamedTuple

import msgspec

from bandit.reward import State
from service.marks import marks


class ErasedRow(NamedTuple):
    """What sums need of a row before it goes."""

    log_id: int
    group: str
    customer_key: str
    state: str
    reward: float | None


@dataclass(frozen=True, slots=True)
class ErasedSums:
    """Sums over the erased rows of one group; the reward's are over matured ones, with customers as the units.

    Attributes:
        n_decisions: rows erased, matured or not.
        n_sends, n_customers: matured ones, and whose they were. Who was erased twice counts twice.
        reward_sum: in reward units.
        reward_squares, reward_sends, sends_squares: sums over customers of R^2, R n and n^2, of R rewards in n sends.
        is_binary: whether every reward was 0 or 1.
    """

    n_decisions: int = 0
    n_sends: int = 0
    n_customers: int = 0
    reward_sum: float = 0.0
    reward_squares: float = 0.0
    reward_sends: float = 0.0
    sends_squares: int = 0
    is_binary: bool = True

    @classmethod
    def of(cls, rows: Iterable[ErasedRow]) -> ErasedSums:
        """Sums over rows of one group."""
        n_decisions, rewards = 0, defaultdict[str, list[float]](list)
        for row in rows:
            n_decisions += 1
            if row.state == State.MATURED and row.reward is not None:
                rewards[row.customer_key].append(row.reward)
        earned = [(sum(found), len(found)) for found in rewards.values()]
        return cls(
            n_decisions,
            sum(n for _, n in earned),
            len(earned),
            float(sum(r for r, _ in earned)),
            float(sum(r * r for r, _ in earned)),
            float(sum(r * n for r, n in earned)),
            sum(n * n for _, n in earned),
            all(r in {0.0, 1.0} for found in rewards.values() for r in found),
        )

    def __add__(self, other: ErasedSums) -> ErasedSums:
        return ErasedSums(
            self.n_decisions + other.n_decisions,
            self.n_sends + other.n_sends,
            self.n_customers + other.n_customers,
            self.reward_sum + other.reward_sum,
            self.reward_squares + other.reward_squares,
            self.reward_sends + other.reward_sends,
            self.sends_squares + other.sends_squares,
            self.is_binary and other.is_binary,
        )


def read_sums(connection: sqlite3.Connection, log_id: int) -> Mapping[str, ErasedSums]:
    """The sums of a log's erased rows, by group."""
    return {group: sums for group, sums, _ in _stored(connection, log_id)}


def broken_sums(connection: sqlite3.Connection, log_id: int, key: bytes) -> list[str]:
    """Groups whose sums are not the ones that were written."""
    found = _stored(connection, log_id)
    return [group for group, sums, mac in found if not hmac.compare_digest(mac, _mac(key, log_id, group, sums))]


def add_sums(connection: sqlite3.Connection, rows: Iterable[ErasedRow], key: bytes) -> None:
    """Keep the sums of rows that are about to go, signed."""
    cells: dict[tuple[int, str], list[ErasedRow]] = defaultdict(list)
    for row in rows:
        cells[row.log_id, row.group].append(row)
    for (log_id, group), found in cells.items():
        sums = read_sums(connection, log_id).get(group, ErasedSums()) + ErasedSums.of(found)
        values = (log_id, group, *astuple(sums), _mac(key, log_id, group, sums))
        connection.execute(f"INSERT OR REPLACE INTO erased_sums VALUES ({marks(values)})", values)  # noqa: S608


def _stored(connection: sqlite3.Connection, log_id: int) -> list[tuple[str, ErasedSums, bytes]]:
    rows = connection.execute('SELECT * FROM erased_sums WHERE log_id = ? ORDER BY "group"', (log_id,)).fetchall()
    return [(row[1], replace(ErasedSums(*row[2:9]), is_binary=bool(row[9])), row[10]) for row in rows]


def _mac(key: bytes, log_id: int, group: str, sums: ErasedSums) -> bytes:
    covered = msgspec.msgpack.encode(("sums", log_id, group, *astuple(sums)))
    return hmac.digest(key, covered, hashlib.sha256)
