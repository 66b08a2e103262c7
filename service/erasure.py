"""The receipt of an erasure: what was removed and when, of whom it does not say, signed by the store."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from bandit.errors import UnknownErasure


class Reason(StrEnum):
    """Why rows were erased."""

    REQUEST = "request"  # a person, or somebody for them, asked
    RETENTION = "retention"  # older than the campaign keeps its rows


class Removed(msgspec.Struct, frozen=True):
    """What was removed of one log."""

    log_id: int
    campaign: str
    decisions: int
    outcomes: int
    webhook_events: int


class Link(NamedTuple):
    """What is left of an erased row: its place in the chain, and what the trainer counts by."""

    seq: int
    log_id: int
    chain: bytes
    matured: int | None
    learnable: int


@dataclass(frozen=True, slots=True)
class Erasure:
    """A receipt.

    Attributes:
        erasure_id: its own; nothing of the customer goes into it.
        at: when, as the store writes times.
        reason: one of `Reason`.
        before: rows decided before this were erased, where age was the reason.
        after_snapshot: number of the newest snapshot then; it and those before may have learned from the rows.
        removed: by log; empty where nothing was known of the person.
        signature: HMAC-SHA256 over all this and the links of the erased rows, under the store's key.
    """

    erasure_id: str
    at: str
    reason: str
    before: str | None
    after_snapshot: int
    removed: tuple[Removed, ...]
    signature: bytes = b""

    @property
    def n_decisions(self) -> int:
        """Rows erased."""
        return sum(one.decisions for one in self.removed)

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "erasure_id": self.erasure_id,
            "at": self.at,
            "reason": self.reason,
            "before": self.before,
            "removed": [msgspec.structs.asdict(one) for one in self.removed],
            "signature": self.signature.hex(),
        }

    def signed(self, links: Sequence[Link], key: bytes) -> bytes:
        """What the signature must be."""
        removed = [msgspec.structs.astuple(one) for one in self.removed]
        said = (self.erasure_id, self.at, self.reason, self.before, self.after_snapshot, removed, sorted(links))
        return hmac.digest(key, msgspec.msgpack.encode(("erasure", *said)), hashlib.sha256)

    def is_signed(self, links: Sequence[Link], key: bytes) -> bool:
        """Whether the store itself wrote this receipt for just these rows."""
        return hmac.compare_digest(self.signature, self.signed(links, key))


def add_erasure(connection: sqlite3.Connection, erasure: Erasure, links: Sequence[Link]) -> None:
    """Store a signed receipt and the links of its rows."""
    cursor = connection.execute(
        "INSERT INTO erasures (erasure_id, at, reason, before, after_snapshot, removed, mac) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            erasure.erasure_id,
            erasure.at,
            erasure.reason,
            erasure.before,
            erasure.after_snapshot,
            msgspec.json.encode(erasure.removed).decode(),
            erasure.signature,
        ),
    )
    connection.executemany(
        "INSERT INTO erased_rows (seq, log_id, chain, matured, learnable, erasure) VALUES (?, ?, ?, ?, ?, ?)",
        [(*link, cursor.lastrowid) for link in links],
    )


def list_erasures(connection: sqlite3.Connection) -> list[tuple[int, Erasure]]:
    """All receipts with their numbers, oldest first.

    Raises:
        msgspec.DecodeError: if what stands there is none.
    """
    rows = connection.execute(
        "SELECT number, erasure_id, at, reason, before, after_snapshot, removed, mac FROM erasures ORDER BY number"
    )
    return [
        (number, Erasure(name, at, reason, before, snapshot, msgspec.json.decode(said, type=tuple[Removed, ...]), mac))
        for number, name, at, reason, before, snapshot, said, mac in rows.fetchall()
    ]


def links_of(connection: sqlite3.Connection, number: int) -> list[Link]:
    """What is left of the rows of an erasure."""
    query = "SELECT seq, log_id, chain, matured, learnable FROM erased_rows WHERE erasure = ? ORDER BY seq"
    return [Link(*row) for row in connection.execute(query, (number,)).fetchall()]


def find_erasure(connection: sqlite3.Connection, erasure_id: str, key: bytes) -> tuple[Erasure, bool]:
    """A receipt, and whether it is signed.

    Raises:
        UnknownErasure: if there is none with this id.
    """
    for number, erasure in list_erasures(connection):
        if erasure.erasure_id == erasure_id:
            return erasure, erasure.is_signed(links_of(connection, number), key)
    raise UnknownErasure(
        f"no receipt {erasure_id[:80]!r} in this database. The receipt says erasure_id; ask the database that erased."
    )


def last_erasure(connection: sqlite3.Connection) -> int:
    """Number of the newest erasure; 0 where there was none."""
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM erasures").fetchone()[0])


def expiries(connection: sqlite3.Connection) -> list[datetime]:
    """Times before which rows were erased for their age."""
    found = connection.execute("SELECT DISTINCT before FROM erasures WHERE before IS NOT NULL").fetchall()
    return [datetime.fromisoformat(text) for (text,) in found]
