"""The keys of a running service: read again every few seconds, so that one revoked elsewhere soon opens nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bandit.errors import UnusableStore
from service.keys_table import ApiKey, is_secret_of, list_keys, parts_of
from service.store import Store

PAUSE = timedelta(seconds=2)
"""A key made or revoked while the service runs is known after this long at the latest."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class KeyRing:
    """Says whose key a text is.

    Args:
        store: where keys are.
        is_needed: whether requests need a key; None for: as soon as there is one, valid or not. A service whose last key
            has ended lets nobody in; it does not open.
        on_read: told the ids of all keys whenever they were read.
    """

    def __init__(
        self,
        store: Store,
        *,
        is_needed: bool | None = None,
        on_read: Callable[[frozenset[str]], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._is_needed = is_needed
        self._on_read = on_read
        self._keys: dict[str, ApiKey] = {}
        self._read_at = self._old_at = _NEVER

    def needs_key(self, at: datetime) -> bool:
        """Whether a request must bring a key at this time.

        Raises:
            UnusableStore: if the keys cannot be read.
        """
        self._refresh(at)
        return bool(self._keys) if self._is_needed is None else self._is_needed

    def key_of(self, text: str, at: datetime) -> ApiKey | None:
        """The key that a text is, if it is valid at this time, else None.

        Raises:
            UnusableStore: if the keys cannot be read.
        """
        self._refresh(at)
        parts = parts_of(text)
        if parts is None:
            return None
        key = self._keys.get(parts[0])
        return key if is_secret_of(parts[1], key) and key and key.state(at) == "valid" else None

    def _refresh(self, at: datetime) -> None:
        # A clock that was set back must not keep a revoked key alive.
        if self._read_at <= at < self._old_at:
            return
        try:
            self._keys = {key.key_id: key for key in list_keys(self._store.reader())}
        except sqlite3.Error as error:
            raise UnusableStore(
                f"the API keys cannot be read ({error}), so nobody is let in. Free the database, and ask again."
            ) from error
        self._read_at, self._old_at = at, at + PAUSE
        self._on_read(frozenset(self._keys))
