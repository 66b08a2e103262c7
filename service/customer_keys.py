"""Generations of the key under which the log knows customers: new rows use the newest, look-ups all that are left.

A key that is retired is destroyed. Rows written under it cannot be linked to anybody any more, by us neither.
"""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bandit.draw import SALT_BYTES, KeyedHmac, key_under, keyed_hmac
from bandit.errors import UnusableStore
from service.rows import stamp

_AT_RISK = "opt_outs WHERE generation IS NULL OR generation <= ?"
"""Opt-outs that may be lost with the keys up to a generation."""
OLD_KEY_IN_USE = timedelta(days=1)
"""So long after a rotation rows may still bear the earlier key: a batch goes on under the one it began with."""
_KEYS = """SELECT value, 1 + (SELECT coalesce(max(generation), 0) FROM customer_keys) FROM keys WHERE name = 'secret'
UNION ALL SELECT key, generation FROM customer_keys WHERE key IS NOT NULL ORDER BY 2 DESC"""
"""One statement, so that a rotation in another process is seen as a whole or not at all."""


@dataclass(frozen=True, slots=True)
class CustomerKeys:
    """The keys that are left, newest first; `generation` is the newest one's number.

    >>> keys = CustomerKeys((b"this year's", b"last year's"))
    >>> keys.of("ann")[1] == CustomerKeys((b"last year's",)).of("ann")[0]
    True
    """

    secrets: tuple[bytes, ...]
    generation: int = 1
    _keyed: tuple[KeyedHmac, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keyed", tuple(keyed_hmac(secret) for secret in self.secrets))

    @property
    def newest(self) -> bytes:
        """The key of new rows."""
        return self.secrets[0]

    def of(self, customer_id: str) -> tuple[str, ...]:
        """What a customer may be called in the log, the newest name first."""
        return tuple(key_under(keyed, customer_id) for keyed in self._keyed)


def read_customer_keys(connection: sqlite3.Connection) -> CustomerKeys:
    """All generations that are left."""
    found = connection.execute(_KEYS).fetchall()
    return CustomerKeys(tuple(key for key, _ in found), found[0][1])


def rotate_key(connection: sqlite3.Connection, at: datetime) -> int:
    """Begin a new generation; returns its number, the first being 1."""
    (secret,) = connection.execute("SELECT value FROM keys WHERE name = 'secret'").fetchone()
    connection.execute("INSERT INTO customer_keys (key, replaced_at) VALUES (?, ?)", (secret, stamp(at)))
    connection.execute("UPDATE keys SET value = ? WHERE name = 'secret'", (secrets.token_bytes(SALT_BYTES),))
    (generation,) = connection.execute("SELECT max(generation) + 1 FROM customer_keys").fetchone()
    return int(generation)


def retire_keys(connection: sqlite3.Connection, before: datetime, at: datetime, *, dropping: bool) -> int:
    """Destroy the keys that were replaced before a time; returns how many.

    Args:
        connection: inside a transaction.
        before: rows are written under a key until it is replaced.
        at: now.
        dropping: go on though opt-outs stand that may be known under these keys only.

    Raises:
        UnusableStore: if there may be such opt-outs: these people would be mailed again.
    """
    found = connection.execute(
        "SELECT generation FROM customer_keys WHERE key IS NOT NULL AND replaced_at <= ? ORDER BY generation",
        (stamp(before),),
    ).fetchall()
    if not found:
        return 0
    last = found[-1][0]
    (at_risk,) = connection.execute(f"SELECT count(*) FROM {_AT_RISK}", (last,)).fetchone()  # noqa: S608 - a constant
    if at_risk and not dropping:
        raise UnusableStore(
            f"{at_risk} opt-outs may be known under these keys alone: without the keys these people would be mailed again. "
            "Nothing was retired. Opt them out again (`manyarm opt-out --file`), which uses the newest key, or say "
            "--drop-opt-outs."
        )
    connection.execute(f"DELETE FROM {_AT_RISK}", (last,))  # noqa: S608 - a constant
    for table in ("product_candidates", "customer_events"):
        connection.execute(f"DELETE FROM {table} WHERE generation <= ?", (last,))  # noqa: S608 - of constants
    # Sums under a newer key hold what was reported under the older ones; they are made again from what is left.
    connection.execute("DELETE FROM customer_states")
    connection.executemany(
        "UPDATE customer_keys SET key = NULL, retired_at = ? WHERE generation = ?",
        [(stamp(at), generation) for (generation,) in found],
    )
    return len(found)


def generation_at(connection: sqlite3.Connection, at: datetime) -> int:
    """The oldest generation of the key that a row decided at this time may bear."""
    query = "SELECT 1 + coalesce(max(generation), 0) FROM customer_keys WHERE replaced_at <= ?"
    (generation,) = connection.execute(query, (stamp(at - OLD_KEY_IN_USE),)).fetchone()
    return int(generation)


def rotations(connection: sqlite3.Connection) -> list[datetime]:
    """When keys were replaced, those of retired ones too."""
    found = connection.execute("SELECT replaced_at FROM customer_keys ORDER BY generation").fetchall()
    return [datetime.fromisoformat(text) for (text,) in found]
