"""One `manyarm serve` a database: a lock on a file beside it, which the kernel lets go however a process ends."""

from __future__ import annotations

import fcntl
import os
from datetime import timedelta
from pathlib import Path
from typing import Self

import click

from service.patience import Patience

ENDING = "-serving"
_LONGEST = 200


class OneServer:
    """Holds a database for one server, from construction until it leaves.

    Commands that run beside a server do not ask for it. The file stays when the lock is gone; it is the lock that counts.

    Args:
        db: the database's file.
        who: this server, in words, for whoever is refused.
        wait: for how long to wait for another server to leave.

    Raises:
        UsageError: if another server holds it still.
    """

    def __init__(self, db: Path, who: str, wait: timedelta = timedelta(0)) -> None:
        self._path = Path(f"{db.resolve()}{ENDING}")
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise click.UsageError(
                f"{self._path} cannot be opened ({error}), by which two servers of one database know of each other. Make the "
                "folder writable, or name a database elsewhere with --db."
            ) from error
        patience = Patience(wait)
        while not self._taken():
            if not patience.pause():
                os.close(self._file)
                raise click.UsageError(self._refusal(db))
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"process {os.getpid()}, {who}".encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Let another server begin; a second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            os.close(self._file)
            raise click.UsageError(
                f"{self._path} cannot be locked ({error}), so a second server of this database would not be noticed. Keep the "
                "database on a disk of this machine: SQLite needs its locks too."
            ) from error
        return True

    def _refusal(self, db: Path) -> str:
        said = self._path.read_bytes()[:_LONGEST].decode(errors="replace") or "one that begins just now"
        return (
            f"another `manyarm serve` works on {db} already ({said}). Two would both train, and each would learn late of the "
            "opt-outs that the other is told of: nothing was started. Stop that one first, or give this one a database of its "
            "own with --db. To take over from one that is being stopped, start with --wait 60."
        )
