"""The embedded store: one SQLite file, one writer, many readers."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from bandit.campaign import Campaign
from bandit.campaign_file import read_campaign
from bandit.decision import Decision
from bandit.draw import SALT_BYTES
from bandit.errors import EngineError, UnusableStore
from bandit.log import LoggedDecision
from bandit.reward import RewardSpec
from service.caps import insert_within_caps
from service.connection import Readers, connect, empty_log_of_changes, patience
from service.current_tables import bring_up_to_date
from service.customer_keys import read_customer_keys
from service.decisions_table import Row, Unreadable, find_decision, insert_decisions, iterate_decisions
from service.rows import decided_values, stamp
from service.writer import Operation, Result, Writer

_BY_CUSTOMER = "CREATE INDEX IF NOT EXISTS decisions_customer ON decisions(customer_key, decided_at)"
"""Finds what a customer got before. It costs a fifth of all decisions a second, so only a file that asks for it has it."""
_BY_SENT = "CREATE INDEX IF NOT EXISTS decisions_sent ON decisions(customer_key, sent_at) WHERE sent_at IS NOT NULL"
"""Finds what went out long after it was decided; no decision is in it until its message is reported as sent."""


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
        self._readers = Readers(self.path)
        self._logs: dict[int, Log] = {}
        try:
            self.salt, self.receipts_key = self._prepared(salt, secret)
            with self._once() as connection:
                self.customer_keys = read_customer_keys(connection)
        except (sqlite3.Error, OSError) as error:
            raise UnusableStore(
                f"{self.path} cannot be used as a database ({error}). Name another file with --db, or make this one "
                "readable and writable."
            ) from error
        self._capped: dict[int, Campaign] = {}
        self._writer = Writer(self._connect, self._insert)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self._writer.close()
        self._readers.close()

    @property
    def secret(self) -> bytes:
        """The newest key of customer_keys."""
        return self.customer_keys.newest

    def reload_keys(self) -> None:
        """Look whether another process has made or destroyed keys of customers."""
        found = read_customer_keys(self.reader())
        if found != self.customer_keys:
            self.customer_keys = found

    def wipe(self, *, rewriting: bool = False) -> bool:
        """Let nothing of what was deleted stay in the files; returns whether the log of changes could be emptied.

        Deleted bytes are overwritten at once, and the write-ahead log is emptied here. What SQLite moved between pages
        earlier may have left a copy behind in free space.

        Args:
            rewriting: write the whole file anew, which leaves no copy; others wait meanwhile.
        """
        with self._once() as connection:
            if rewriting:
                connection.execute("VACUUM")
            return empty_log_of_changes(connection)

    def open_log(self, campaign: Campaign, now: datetime) -> Log:
        """The log of this campaign's content, begun if there is none.

        A campaign whose content changed has another log: rows made under other arms or rules must not be mixed.
        """

        def operation(connection: sqlite3.Connection) -> Log:
            if campaign.looks_back is not None or campaign.has_caps:
                connection.execute(_BY_CUSTOMER)
            if campaign.has_caps:
                connection.execute(_BY_SENT)
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

        log = self.write(operation)
        if campaign.has_caps:
            self._capped[log.log_id] = campaign
        return log

    def find_log(self, campaign: Campaign) -> Log | None:
        """The log of this campaign's content; None where none was begun."""
        query = "SELECT log_id FROM logs WHERE campaign = ? AND campaign_hash = ?"
        found = self.reader().execute(query, (campaign.id, campaign.content_hash)).fetchone()
        return Log(found[0], campaign) if found else None

    def logs(self) -> list[Log]:
        """Every log in the file, oldest first."""
        ids = self.reader().execute("SELECT log_id FROM logs ORDER BY log_id").fetchall()
        return [self.log(log_id) for (log_id,) in ids]

    def log(self, log_id: int) -> Log:
        """A log by its number; its campaign is parsed once."""
        if log_id not in self._logs:
            (toml,) = self.reader().execute("SELECT toml FROM logs WHERE log_id = ?", (log_id,)).fetchone()
            self._logs[log_id] = Log(log_id, read_campaign(toml, has_log=True))
        return self._logs[log_id]

    def reward_of(self, log_id: int) -> RewardSpec:
        """What outcomes are worth in a log: a late click of an old campaign counts by the old campaign's rules."""
        return self.log(log_id).campaign.reward

    def silent_of(self, log_id: int) -> str | None:
        """The arm of a log's last dimension that sends nothing; None where every choice is a message."""
        return self.log(log_id).campaign.silent

    def write(self, operation: Operation[Result]) -> Result:
        """Run an operation in the writer's next transaction; returns after COMMIT."""
        return self._writer.call(operation)

    @property
    def writer(self) -> Writer:
        """The writer, for coroutines."""
        return self._writer

    def reader(self) -> sqlite3.Connection:
        """This thread's reading connection; it is closed when the thread ends, or the store."""
        return self._readers.own()

    def last_seq(self) -> int:
        """Number of the last row that was written."""
        seq: int = self.reader().execute("SELECT seq FROM head").fetchone()[0]
        return seq

    def row_of(
        self, decision: Decision, log: Log, *, seen: int | None = None, deferred_for: timedelta | None = None
    ) -> Row:
        """A decision as the bulk insert takes it.

        Args:
            decision: to be stored.
            log: the campaign's.
            seen: the last row that stood in the log when the customer's past was read; None if it was not.
            deferred_for: how long it waits to be reported as sent, before it expires; None if it counts from now on.
        """
        if deferred_for is not None:
            values = decided_values(decision, log_id=log.log_id, seen=seen, deferred=True)
            return values, stamp(decision.decided_at + deferred_for)
        due_at = log.campaign.reward.due_at(decision.decided_at, decision.send_at)
        return decided_values(decision, log_id=log.log_id, seen=seen), stamp(due_at)

    def add_decisions(self, rows: Sequence[Row]) -> None:
        """Store decisions together, all or none.

        Raises:
            ConflictingDecision: if one of the ids is taken.
            CapReached: if one of the customers has as many messages as the campaign allows.
        """

        def operation(connection: sqlite3.Connection) -> None:
            for error in self._insert(connection, rows):
                if error is not None:
                    raise error

        self.write(operation)

    def add_each(self, rows: Sequence[Row]) -> Sequence[EngineError | None]:
        """Store decisions in one commit, each for itself; returns what was wrong with each, None for nothing."""
        return self.write(lambda connection: self._insert(connection, rows))

    def decision(self, decision_id: str, log: Log) -> LoggedDecision | None:
        """The stored decision with this id, or None."""
        return find_decision(self.reader(), decision_id, log.log_id, log.campaign)

    def decisions(self, log: Log, *, unreadable: Unreadable | None = None) -> Iterator[LoggedDecision]:
        """All rows of a log in order."""
        return iterate_decisions(self.reader(), log.log_id, log.campaign, unreadable=unreadable)

    def _insert(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> Sequence[EngineError | None]:
        if not self._capped:
            return insert_decisions(connection, rows)
        return insert_within_caps(connection, rows, self._capped, lambda log_id: self.log(log_id).campaign)

    def _connect(self) -> sqlite3.Connection:
        return connect(self.path)

    def _prepared(self, salt: bytes | None, secret: bytes | None) -> tuple[bytes, bytes]:
        """Make the tables and keys that are missing; again where another process is at it just now.

        Returns:
            the key of the draws, and the one that signs receipts of erasures.
        """
        _make_private(self.path)
        waiting = patience()
        while True:
            try:
                with self._once() as connection:
                    bring_up_to_date(connection, self.path)
                    _key(connection, "secret", secret)
                    return _key(connection, "salt", salt), _key(connection, "receipts", None)
            except sqlite3.OperationalError as error:
                is_busy = any(word in str(error) for word in ("locked", "already exists", "duplicate column"))
                if not (is_busy and waiting.pause()):
                    raise

    @contextmanager
    def _once(self) -> Iterator[sqlite3.Connection]:
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()


def _make_private(path: Path) -> None:
    """A new file is its owner's alone: it holds what is known about customers, and the keys of this installation."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _key(connection: sqlite3.Connection, name: str, wanted: bytes | None) -> bytes:
    """A key of this installation, made when the file was."""
    connection.execute(
        "INSERT OR IGNORE INTO keys (name, value) VALUES (?, ?)", (name, wanted or secrets.token_bytes(SALT_BYTES))
    )
    value: bytes = connection.execute("SELECT value FROM keys WHERE name = ?", (name,)).fetchone()[0]
    return value
