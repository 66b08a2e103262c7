"""API keys: what they may do, and the table that keeps their digests.

A key is `manyarm_ID_SECRET`. The secret has 256 random bits, so that one SHA-256 of it is enough: there is nothing to guess
that a slow hash would have to protect. Only the digest is stored; the key itself is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bandit.errors import EngineError
from service.rows import moment_of, stamp

PREFIX = "manyarm"
ID_LETTERS = 10
NewSecret = Callable[[], str]
"""Makes a text of hex digits with 256 random bits."""

_COLUMNS = "key_id, name, scopes, digest, created_at, expires_at, revoked_at, replaced_by"
_NOBODY = bytes(hashlib.sha256().digest_size)


class UnknownKey(EngineError):
    """No key with that id, or one that is not valid any more."""


class Scope(StrEnum):
    """What a key may do; `admin` may do everything."""

    DECIDE = "decide"
    RECORD = "record"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key's row.

    Attributes:
        key_id: the part of the key that may be seen, in logs too.
        name: who has it.
        scopes: what it may do.
        digest: SHA-256 of its secret.
        created_at, expires_at, revoked_at: times; None for never.
        replaced_by: the key it was rotated for.
    """

    key_id: str
    name: str
    scopes: frozenset[Scope]
    digest: bytes
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    replaced_by: str | None = None

    def state(self, at: datetime) -> str:
        """`valid`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and at >= self.expires_at else "valid"

    def may(self, scope: Scope) -> bool:
        """Whether it may do this."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


def digest_of(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def parts_of(text: str) -> tuple[str, str] | None:
    """Id and secret of a key as it is sent; None for anything that is not shaped like one.

    >>> parts_of("manyarm_0123456789_ab12"), parts_of("Basic YW5u")
    (('0123456789', 'ab12'), None)
    """
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    return (key_id, secret) if prefix == PREFIX and key_id and secret and text.isascii() else None


def is_secret_of(secret: str, key: ApiKey | None) -> bool:
    """Whether a secret is this key's, in a time that does not depend on where they differ, or on whether there is a key."""
    return hmac.compare_digest(digest_of(secret), key.digest if key else _NOBODY) and key is not None


def issue_key(
    connection: sqlite3.Connection,
    key_id: str,
    name: str,
    scopes: Iterable[Scope],
    *,
    secret: str,
    at: datetime,
    lifetime: timedelta | None,
) -> str:
    """Store a new key; returns it whole, for the only time.

    Args:
        connection: inside a transaction.
        key_id: an id that was never used.
        name: who gets it.
        scopes: what it may do.
        secret: 256 random bits.
        at: the time.
        lifetime: how long it is valid; None for always.
    """
    expires_at = None if lifetime is None else stamp(at + lifetime)
    connection.execute(
        f"INSERT INTO api_keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, NULL, NULL)",  # noqa: S608 - our own column names
        (key_id, name, " ".join(sorted(scopes)), digest_of(secret), stamp(at), expires_at),
    )
    return f"{PREFIX}_{key_id}_{secret}"


def revoke_key(connection: sqlite3.Connection, key_id: str, *, at: datetime) -> None:
    """End a key now. A key that was revoked before stays as it is.

    Raises:
        UnknownKey: if there is none.
    """
    find_key(connection, key_id)
    connection.execute(
        "UPDATE api_keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL", (stamp(at), key_id)
    )


def rotate_key(
    connection: sqlite3.Connection, key_id: str, *, new_id: str, secret: str, at: datetime, grace: timedelta
) -> str:
    """Issue a key like this one and let this one end after a while; returns the new key whole.

    Args:
        connection: inside a transaction.
        key_id: the old one, still valid.
        new_id: an id that was never used.
        secret: 256 random bits.
        at: the time.
        grace: how long the old one goes on working; never longer than it would have.

    Raises:
        UnknownKey: if there is no such key, it is not valid any more, or it was rotated before.
    """
    old = find_key(connection, key_id)
    trouble = f"was rotated for {old.replaced_by}" if old.replaced_by else f"is {old.state(at)}"
    if trouble != "is valid":
        raise UnknownKey(
            f"key {key_id} {trouble}, so it cannot be rotated. Rotate the newer one, or make one with `manyarm key create`."
        )
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    ends = at + grace if old.expires_at is None else min(old.expires_at, at + grace)
    connection.execute(
        "UPDATE api_keys SET expires_at = ?, replaced_by = ? WHERE key_id = ?", (stamp(ends), new_id, key_id)
    )
    return issue_key(connection, new_id, old.name, old.scopes, secret=secret, at=at, lifetime=lifetime)


def list_keys(connection: sqlite3.Connection) -> list[ApiKey]:
    """All keys there ever were, oldest first."""
    query = f"SELECT {_COLUMNS} FROM api_keys ORDER BY created_at, key_id"  # noqa: S608 - our own column names
    return [_key_of(row) for row in connection.execute(query).fetchall()]


def find_key(connection: sqlite3.Connection, key_id: str) -> ApiKey:
    """One key.

    Raises:
        UnknownKey: if there is none.
    """
    query = f"SELECT {_COLUMNS} FROM api_keys WHERE key_id = ?"  # noqa: S608 - our own column names
    row = connection.execute(query, (key_id,)).fetchone()
    if row is None:
        raise UnknownKey(
            f"there is no key with the id {key_id[:ID_LETTERS]!r}; `manyarm key list` shows what there is. The id is the part "
            "between the two underscores, never the secret behind them."
        )
    return _key_of(row)


def _key_of(row: tuple[Any, ...]) -> ApiKey:
    key_id, name, scopes, digest, created_at, expires_at, revoked_at, replaced_by = row
    return ApiKey(
        key_id,
        name,
        frozenset(map(Scope, scopes.split())),
        digest,
        datetime.fromisoformat(created_at),
        moment_of(expires_at),
        moment_of(revoked_at),
        replaced_by,
    )
