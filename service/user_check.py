"""Checking a whole table of customers before anything is decided, however long it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bandit.errors import InvalidContext
from service.repeated_ids import RepeatedIds
from service.store import Log
from service.table import read_columns
from service.user_table import DECISION, Columns, UserGroup

MOST_SHOWN = 20
_READ_AT_ONCE = 1 << 20


def check_table(path: Path, columns: Columns, log: Log) -> int:
    """Read the whole table once and refuse it if any row cannot be decided; returns how many rows there are.

    Raises:
        InvalidContext: naming the first bad rows. Nothing was decided for any row.
    """
    n_rows, bad, said = 0, [np.zeros(0, dtype=np.int64)], dict[int, str]()
    with RepeatedIds() as repeated:
        for group in groups_of(path, columns, log):
            rows = group.bad_rows()
            said |= {n_rows + row: group.fault(row) for row in rows[: max(MOST_SHOWN - len(said), 0)].tolist()}
            bad.append(n_rows + rows)
            if columns.has_ids:
                repeated.add(group.ids(DECISION))
            n_rows += len(group)
        repetitions = repeated.repetitions()
    every = np.union1d(np.concatenate(bad), repetitions)
    if every.size:
        for row, decision_id in _ids_at(path, columns, log, set(repetitions[:MOST_SHOWN].tolist())).items():
            said[row] = f"decision_id {decision_id[:60]!r} stands above already; every send needs its own"
        shown = [f"row {row + 1}: {said[row]}" for row in every[:MOST_SHOWN].tolist()]
        raise InvalidContext(_refusal(path, shown, every.size, n_rows))
    return n_rows


def groups_of(path: Path, columns: Columns, log: Log) -> Iterator[UserGroup]:
    """The rows of a table, some thousands at a time."""
    return (UserGroup(batch, columns, log) for batch in read_columns(path))


def content_of(path: Path, columns: Columns) -> str:
    """A hash of a file's content and of what is read of it, 32 hex digits."""
    # Tables without candidates are known again as they were before there were such columns.
    read = repr(columns) + (repr(columns.candidates) if columns.candidates else "")
    hashed = hashlib.blake2b(read.encode(), digest_size=16)
    with path.open("rb") as file:
        while part := file.read(_READ_AT_ONCE):
            hashed.update(part)
    return hashed.hexdigest()


def _ids_at(path: Path, columns: Columns, log: Log, rows: set[int]) -> dict[int, str]:
    """The decision_ids of a few rows, read once more."""
    found: dict[int, str] = {}
    if not rows:
        return found
    first = 0
    for group in groups_of(path, columns, log):
        ids = group.ids(DECISION)
        found |= {row: ids[row - first] for row in rows if first <= row < first + len(ids)}
        first += len(ids)
    return found


def _refusal(path: Path, shown: list[str], n_bad: int, n_rows: int) -> str:
    listed = "\n  ".join(shown)
    more = f"\n  and {n_bad - MOST_SHOWN} more" if n_bad > MOST_SHOWN else ""
    return (
        f"{path}: {n_bad} of {n_rows} rows cannot be decided, so none was. Correct them and run it again.\n"
        f"  {listed}{more}"
    )
