"""Tables of snapshots: immutable, checksummed, numbered; each row carries its watermark, so both are written or neither is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bandit.errors import BrokenSnapshot, OutdatedSnapshot
from bandit.snapshot import Snapshot, checksum
from service.rows import stamp

Owner = int | str


@dataclass(frozen=True, slots=True)
class SnapshotTable:
    """One table of them.

    Attributes:
        table: its name.
        owner: the column that says whose a snapshot is.
        letter: names are this and a number.
        called: what messages call a snapshot of it.
        missing: what is raised for a name that is not there.
    """

    table: str
    owner: str
    letter: str
    called: str
    missing: Callable[[str], BrokenSnapshot]

    def newest(self, connection: sqlite3.Connection, owner: Owner) -> str | None:
        """The snapshot that learning goes on from: the last one trained, serving or not."""
        row = connection.execute(f"{self._names} LIMIT 1", (owner,)).fetchone()
        return row[0] if row else None

    def newest_whole(self, connection: sqlite3.Connection, owner: Owner) -> tuple[str, Snapshot] | None:
        """The newest snapshot that can be loaded: what learning goes on from; None where nothing was trained yet.

        Raises:
            BrokenSnapshot: if there are snapshots and none of them is whole.
        """
        broken: BrokenSnapshot | None = None
        for (name,) in connection.execute(self._names, (owner,)).fetchall():
            try:
                return name, self.load(connection, name)
            except OutdatedSnapshot:
                continue  # learning begins again, from the rows that are still there
            except BrokenSnapshot as error:
                broken = broken or error
        if broken is not None:
            raise broken
        return None

    def load(self, connection: sqlite3.Connection, name: str) -> Snapshot:
        """Read a snapshot back, checked against both checksums.

        Raises:
            BrokenSnapshot: if it is missing or a byte of it changed.
        """
        query = f"SELECT body, sha256 FROM {self.table} WHERE snapshot = ?"  # noqa: S608 - our own names
        row = connection.execute(query, (name,)).fetchone()
        if row is None:
            raise self.missing(name)
        try:
            return Snapshot.from_bytes(row[0], sha256=row[1])
        except BrokenSnapshot as error:
            raise type(error)(f"{self.called} {name!r}: {error}") from error

    def add(
        self,
        connection: sqlite3.Connection,
        owner: Owner,
        snapshot: Snapshot,
        *,
        parent: str | None,
        newest: str | None,
        at: datetime,
    ) -> str | None:
        """Store a snapshot; returns its id.

        Args:
            connection: inside a transaction.
            owner: whose it is.
            snapshot: what was trained.
            parent: the snapshot it was trained from.
            newest: the newest one when training began. If there is a newer one by now, another trainer was faster: nothing
                is stored and None is returned, for these rows would be learned twice.
            at: the time.
        """
        if self.newest(connection, owner) != newest:
            return None
        number = connection.execute(f"SELECT coalesce(max(number), 0) + 1 FROM {self.table}").fetchone()[0]  # noqa: S608
        name, body = f"{self.letter}{number:05d}", snapshot.to_bytes()
        connection.execute(
            f"INSERT INTO {self.table} (number, {self.owner}, snapshot, parent, n_learned, watermark, sha256, body, "  # noqa: S608
            "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, owner, name, parent, snapshot.n_learned, snapshot.watermark, checksum(body), body, stamp(at)),
        )
        return name

    @property
    def _names(self) -> str:
        return f"SELECT snapshot FROM {self.table} WHERE {self.owner} = ? ORDER BY number DESC"  # noqa: S608
