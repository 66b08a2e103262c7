"""Which ids stand more than once in a column that need not fit into memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

_PARTS = 64
_RECORD = np.dtype([("first", "<i8"), ("second", "<i8"), ("row", "<i8")])


class RepeatedIds:
    """Takes ids in order, group by group, and says at the end which rows repeat an earlier one.

    What is kept of an id are two hashes of 64 bits, spread over temporary files by the first; each file is then sorted by
    itself. Ten million ids take 240 MB of disk and 4 MB of memory. Hashes are those of this process, so nobody can choose
    ids that collide.
    """

    def __init__(self) -> None:
        self._files: list[IO[bytes]] = []
        self._n_rows = 0

    def __enter__(self) -> Self:
        self._files = [tempfile.TemporaryFile() for _ in range(_PARTS)]  # noqa: SIM115 - closed on exit
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in self._files:
            file.close()

    def add(self, ids: Iterable[str]) -> None:
        """The ids of the next rows."""
        ids = list(ids)
        records = np.empty(len(ids), dtype=_RECORD)
        records["first"] = [hash(one) for one in ids]
        records["second"] = [hash("\0" + one) for one in ids]
        records["row"] = np.arange(self._n_rows, self._n_rows + len(ids))
        self._n_rows += len(ids)
        parts = records["first"] % _PARTS
        order = np.argsort(parts, kind="stable")
        ends = np.searchsorted(parts[order], np.arange(_PARTS), side="right")
        for file, part in zip(self._files, np.split(records[order], ends[:-1]), strict=True):
            file.write(part.tobytes())

    def repetitions(self) -> NDArray[np.int64]:
        """Rows whose id stands above already, counted from 0, ascending."""
        found = [self._in(file) for file in self._files]
        return np.sort(np.concatenate(found))

    def _in(self, file: IO[bytes]) -> NDArray[np.int64]:
        file.seek(0)
        records = np.frombuffer(file.read(), dtype=_RECORD)
        records = records[np.lexsort((records["row"], records["second"], records["first"]))]
        same = (records["first"][1:] == records["first"][:-1]) & (records["second"][1:] == records["second"][:-1])
        rows: NDArray[np.int64] = records["row"][1:][same]
        return rows
