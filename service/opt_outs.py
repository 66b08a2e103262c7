"""Who must not be mailed, known by customer_key only."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from service.customer_keys import CustomerKeys
from service.marks import marks
from service.rows import stamp

_AT_ONCE = 500


class OptOut(NamedTuple):
    """When a customer opted out, and by what."""

    at: str
    reason: str


def opt_out(connection: sqlite3.Connection, customer_id: str, keys: CustomerKeys, at: datetime, reason: str) -> OptOut:
    """Mail a customer no more; the latest opt-out stands, and is from now on known under the newest key.

    A provider's word, on its way for long, takes back what was said before it and nothing later.

    Args:
        connection: inside a transaction.
        customer_id: as it is given to decide.
        keys: of customers, read in the same transaction: under an older one nobody would find it.
        at: now.
        reason: in a word: where it came from.
    """
    given, found = OptOut(stamp(at), reason), find_opt_out(connection, customer_id, keys)
    latest = given if found is None or given.at > found.at else found
    _keep(connection, customer_id, keys, latest)
    return latest


def rekey_opt_out(connection: sqlite3.Connection, customer_id: str, keys: CustomerKeys) -> None:
    """Know an opt-out under the newest key from now on, so that an older key can be destroyed; without one, nothing."""
    found = find_opt_out(connection, customer_id, keys)
    if found is not None:
        _keep(connection, customer_id, keys, found)


def _keep(connection: sqlite3.Connection, customer_id: str, keys: CustomerKeys, one: OptOut) -> None:
    opt_in(connection, customer_id, keys)
    connection.execute(
        "INSERT INTO opt_outs (customer_key, at, reason, generation) VALUES (?, ?, ?, ?)",
        (keys.of(customer_id)[0], *one, keys.generation),
    )


def opt_in(connection: sqlite3.Connection, customer_id: str, keys: CustomerKeys) -> bool:
    """Take an opt-out back; returns whether there was one."""
    names = keys.of(customer_id)
    return connection.execute(f"DELETE FROM opt_outs WHERE customer_key IN ({marks(names)})", names).rowcount > 0  # noqa: S608


def find_opted_out(connection: sqlite3.Connection, customer_keys: Sequence[str]) -> set[str]:
    """Those of many customers' keys that stand for somebody who opted out."""
    found: set[str] = set()
    for start in range(0, len(customer_keys), _AT_ONCE):
        some = customer_keys[start : start + _AT_ONCE]
        query = f"SELECT customer_key FROM opt_outs WHERE customer_key IN ({marks(some)})"  # noqa: S608
        found |= {key for (key,) in connection.execute(query, some)}
    return found


def find_opt_out(connection: sqlite3.Connection, customer_id: str, keys: CustomerKeys) -> OptOut | None:
    """The latest opt-out of a customer, or None."""
    names = keys.of(customer_id)
    query = f"SELECT at, reason FROM opt_outs WHERE customer_key IN ({marks(names)}) ORDER BY at DESC LIMIT 1"  # noqa: S608
    row = connection.execute(query, names).fetchone()
    return None if row is None else OptOut(*row)
