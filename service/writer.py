"""One writer thread with group commit: what arrives while a commit is on its way goes into the next one.

Nothing lingers: the writer commits as soon as it is free, with all that waits. A caller is answered only after COMMIT,
so an acknowledged write is on disk. One operation that fails rolls back to its own savepoint and spoils no other.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

from bandit.errors import UnusableStore
from service.clock import Timer, system_timer
from service.commits import Commits

Result = TypeVar("Result")
Operation = Callable[[sqlite3.Connection], Result]
BulkInsert = Callable[[sqlite3.Connection, Sequence[Any]], Sequence[Exception | None]]
MOST_PER_COMMIT = 512


class _Waiting:
    """An operation, or a row for the bulk insert, on its way, and who wants to know."""

    __slots__ = ("error", "future", "loop", "operation", "result", "row")

    def __init__(
        self,
        future: Any,  # noqa: ANN401 - a concurrent or an asyncio future
        *,
        operation: Operation[Any] | None = None,
        row: Any = None,  # noqa: ANN401 - whatever the bulk insert takes
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.operation = operation
        self.row = row
        self.future = future
        self.loop = loop
        self.result: Any = None
        self.error: Exception | None = None

    def tell(self) -> None:
        """Answer the caller; a caller that went away is not an error."""
        if self.future.cancelled():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Writer:
    """Owns the only connection that writes.

    Args:
        connect: opens that connection, inside the writer's thread.
        insert: stores many rows in one go and returns what was wrong with each, None for nothing.
        timer: measures how long commits take.

    Attributes:
        commits: what they were like.
    """

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], insert: BulkInsert, timer: Timer = system_timer
    ) -> None:
        self.commits = Commits()
        self._timer = timer
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._connect = connect
        self._insert = insert
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="manyarm-writer", daemon=True)
        self._thread.start()

    def call(self, operation: Operation[Result]) -> Result:
        """Run an operation in a transaction and wait until it is on disk.

        Raises:
            UnusableStore: if the database cannot be written.
        """
        future: Future[Result] = Future()
        self._put(_Waiting(future, operation=operation))
        return future.result()

    def submit(self, operation: Operation[Result], loop: asyncio.AbstractEventLoop) -> asyncio.Future[Result]:
        """The same for a coroutine: a future of its loop."""
        future: asyncio.Future[Result] = loop.create_future()
        self._put(_Waiting(future, operation=operation, loop=loop))
        return future

    def submit_row(self, row: Any, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:  # noqa: ANN401
        """One row for the bulk insert; the future is done when it is on disk."""
        future: asyncio.Future[None] = loop.create_future()
        self._put(_Waiting(future, row=row, loop=loop))
        return future

    @property
    def n_waiting(self) -> int:
        """Writes that wait for the next commit."""
        return self._queue.qsize()

    def close(self) -> None:
        """Write what waits, then stop."""
        self._is_closed = True
        self._queue.put(None)
        self._thread.join()

    def _put(self, waiting: _Waiting) -> None:
        if self._is_closed:
            raise UnusableStore("the store is closed, so nothing of this was written. Open it again.")
        self._queue.put(waiting)

    def _run(self) -> None:
        connection = self._connect()
        is_open = True
        while is_open:
            batch, is_open = self._take()
            if batch:
                started = self._timer()
                error = _commit(connection, batch, self._insert)
                self.commits.note(len(batch), self._timer() - started, error)
                _tell_all(batch)
        connection.close()

    def _take(self) -> tuple[list[_Waiting], bool]:
        """Wait for one operation, then take all that came meanwhile."""
        batch: list[_Waiting] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == MOST_PER_COMMIT or self._queue.empty():
                return batch, True
            item = self._queue.get()
        return batch, False


def _commit(connection: sqlite3.Connection, batch: list[_Waiting], insert: BulkInsert) -> Exception | None:
    """All that waits in one transaction; returns what the database had against it."""
    rows = [waiting for waiting in batch if waiting.operation is None]
    try:
        connection.execute("BEGIN IMMEDIATE")
        if rows:
            for waiting, error in zip(rows, insert(connection, [waiting.row for waiting in rows]), strict=True):
                waiting.error = error
        for waiting in batch:
            if waiting.operation is not None:
                _apply(connection, waiting, waiting.operation)
        connection.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 - whatever it was, the callers must hear of it and the writer must live
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for waiting in batch:
            waiting.error = _unusable(error)
        return error
    return None


def _apply(connection: sqlite3.Connection, waiting: _Waiting, operation: Operation[Any]) -> None:
    connection.execute("SAVEPOINT operation")
    try:
        waiting.result = operation(connection)
    except sqlite3.IntegrityError as error:
        # A broken rule of the tables concerns this operation alone.
        waiting.error = _unusable(error)
        connection.execute("ROLLBACK TO operation")
    except sqlite3.DatabaseError:
        # A full disk or a lost lock concerns everybody.
        raise
    except Exception as error:  # noqa: BLE001 - whatever it was, its caller must hear of it and the writer must live
        waiting.error = error
        connection.execute("ROLLBACK TO operation")
    connection.execute("RELEASE operation")


def _unusable(error: Exception) -> UnusableStore:
    return UnusableStore(
        f"the database could not be written ({error}). Nothing of this was stored: free the disk or the lock, and send it "
        "again with the same ids."
    )


def _tell_all(batch: list[_Waiting]) -> None:
    """One wake-up an event loop, however many wait in it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Waiting]] = defaultdict(list)
    for waiting in batch:
        if waiting.loop is None:
            waiting.tell()
        else:
            by_loop[waiting.loop].append(waiting)
    for loop, group in by_loop.items():
        # A loop that was closed meanwhile has nobody left to tell.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_tell_group, group)


def _tell_group(group: list[_Waiting]) -> None:
    for waiting in group:
        waiting.tell()
