"""The embedded store: one SQLite file, one writer, many readers."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from sqlite_utils import Database

from bandit.campaign import Campaign
from bandit.campaign_file import read_campaign
from bandit.decision import Decision
from bandit.draw import SALT_BYTES
from bandit.errors import UnusableStore
from bandit.log import LoggedDecision
from bandit.reward import RewardSpec
from service.decisions_table import Row, Unreadable, find_decision, insert_decisions, iterate_decisions
from service.migrations import migrations
from service.rows import decided_values, stamp
from service.writer import Operation, Result, Writer

BUSY_SECONDS = 30.0
OPENING_ATTEMPTS = 200
_BY_CUSTOMER = "CREATE INDEX IF NOT EXISTS decisions_customer ON decisions(customer_key, decided_at)"
"""Finds what a customer got before. It costs a fifth of all decisions a second, so only a file that asks for it has it."""


@dataclass(frozen=True, slots=True)
class Log:
    """The log of one campaign's content in a store.

    Attributes:
        log_id: its number in the store.
        campaign: as it stands in the store.
        is_new: whether it was begun just now.
        replaces: content hash of the campaign's earlier log, if the campaign file changed under it.
    """

    log_id: int
    campaign: Campaign
    is_new: bool = False
    replaces: str | None = None


class Store:
    """Opens or creates the database; close it to have everything written.

    Args:
        path: the file.
        salt, secret: keys for a new file; random where not given. A file keeps the keys it was created with.

    Raises:
        UnusableStore: if the file is not a database of ours or cannot be written.
    """

    def __init__(self, path: str | Path, *, salt: bytes | None = None, secret: bytes | None = None) -> None:
        self.path = Path(path)
        self._readers = threading.local()
        self._logs: dict[int, Log] = {}
        self._opened: list[sqlite3.Connection] = []
        try:
            self.salt, self.secret = self._prepared(salt, secret)
        except (sqlite3.Error, OSError) as error:
            raise UnusableStore(
                f"{self.path} cannot be used as a database ({error}). Name another file with --db, or make this one "
                "readable and writable."
            ) from error
        self._writer = Writer(self._connect, insert_decisions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self._writer.close()
        for connection in self._opened:
            connection.close()

    def open_log(self, campaign: Campaign, now: datetime) -> Log:
        """The log of this campaign's content, begun if there is none.

        A campaign whose content changed has another log: rows made under other arms or rules must not be mixed.
        """

        def operation(connection: sqlite3.Connection) -> Log:
            if campaign.wear_out:
                connection.execute(_BY_CUSTOMER)
            rows = connection.execute(
                "SELECT log_id, campaign_hash FROM logs WHERE campaign = ? ORDER BY log_id", (campaign.id,)
            ).fetchall()
            for log_id, content_hash in rows:
                if content_hash == campaign.content_hash:
                    return Log(log_id, campaign)
            cursor = connection.execute(
                "INSERT INTO logs (campaign, campaign_hash, toml, started_at) VALUES (?, ?, ?, ?)",
                (campaign.id, campaign.content_hash, campaign.toml, stamp(now)),
            )
            return Log(int(cursor.lastrowid or 0), campaign, is_new=True, replaces=rows[-1][1] if rows else None)

        return self.write(operation)

    def logs(self) -> list[Log]:
        """Every log in the file, oldest first."""
        ids = self.reader().execute("SELECT log_id FROM logs ORDER BY log_id").fetchall()
        return [self.log(log_id) for (log_id,) in ids]

    def log(self, log_id: int) -> Log:
        """A log by its number; its campaign is parsed once."""
        if log_id not in self._logs:
            (toml,) = self.reader().execute("SELECT toml FROM logs WHERE log_id = ?", (log_id,)).fetchone()
            self._logs[log_id] = Log(log_id, read_campaign(toml))
        return self._logs[log_id]

    def reward_of(self, log_id: int) -> RewardSpec:
        """What outcomes are worth in a log: a late click of an old campaign counts by the old campaign's rules."""
        return self.log(log_id).campaign.reward

    def write(self, operation: Operation[Result]) -> Result:
        """Run an operation in the writer's next transaction; returns after COMMIT."""
        return self._writer.call(operation)

    @property
    def writer(self) -> Writer:
        """The writer, for coroutines."""
        return self._writer

    def reader(self) -> sqlite3.Connection:
        """This thread's reading connection."""
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._connect()
            self._readers.connection = connection
            self._opened.append(connection)
        return connection

    def last_seq(self) -> int:
        """Number of the last row that was written."""
        seq: int = self.reader().execute("SELECT seq FROM head").fetchone()[0]
        return seq

    def row_of(self, decision: Decision, log: Log, *, seen: int | None = None) -> Row:
        """A decision as the bulk insert takes it.

        Args:
            decision: to be stored.
            log: the campaign's.
            seen: the last row that stood in the log when the customer's past was read; None if it was not.
        """
        due_at = log.campaign.reward.due_at(decision.decided_at, None)
        return decided_values(decision, log_id=log.log_id, seen=seen), stamp(due_at)

    def add_decisions(self, rows: Sequence[Row]) -> None:
        """Store decisions together, all or none.

        Raises:
            ConflictingDecision: if one of the ids is taken.
        """

        def operation(connection: sqlite3.Connection) -> None:
            for error in insert_decisions(connection, rows):
                if error is not None:
                    raise error

        self.write(operation)

    def decision(self, decision_id: str, log: Log) -> LoggedDecision | None:
        """The stored decision with this id, or None."""
        return find_decision(self.reader(), decision_id, log.log_id, log.campaign)

    def decisions(self, log: Log, *, unreadable: Unreadable | None = None) -> Iterator[LoggedDecision]:
        """All rows of a log in order."""
        return iterate_decisions(self.reader(), log.log_id, log.campaign, unreadable=unreadable)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _prepared(self, salt: bytes | None, secret: bytes | None) -> tuple[bytes, bytes]:
        """Make the tables and keys that are missing; again where another process is at it just now."""
        for attempt in range(OPENING_ATTEMPTS):
            try:
                with self._once() as connection:
                    _refuse_another_programs(connection, self.path)
                    connection.execute("PRAGMA journal_mode = WAL")
                    migrations.apply(Database(connection))
                    return _key(connection, "salt", salt), _key(connection, "secret", secret)
            except sqlite3.OperationalError as error:
                is_busy = any(word in str(error) for word in ("locked", "already exists", "duplicate column"))
                if not is_busy or attempt == OPENING_ATTEMPTS - 1:
                    raise
                time.sleep(0.05)
        raise UnusableStore(f"{self.path} was locked by another process for too long. Try again.")

    @contextmanager
    def _once(self) -> Iterator[sqlite3.Connection]:
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()


def _refuse_another_programs(connection: sqlite3.Connection, path: Path) -> None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and migrations.migrations_table not in tables:
        raise UnusableStore(
            f"{path} is a database of another program (it has {', '.join(sorted(tables)[:5])}) and was left as it is. "
            "Name another file with --db."
        )


def _key(connection: sqlite3.Connection, name: str, wanted: bytes | None) -> bytes:
    """A key of this installation, made when the file was."""
    connection.execute(
        "INSERT OR IGNORE INTO keys (name, value) VALUES (?, ?)", (name, wanted or secrets.token_bytes(SALT_BYTES))
    )
    value: bytes = connection.execute("SELECT value FROM keys WHERE name = ?", (name,)).fetchone()[0]
    return value
