"""Cells of an export of ours: pmfs, arms that callers excluded, numbers of messages, arms by their positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bandit.errors import UnusableLog
from bandit.exclusion import Excluded
from evaluation.log_batch import Layout


def pmf_map(cell: object) -> Mapping[str, float]:
    """A pmf as CSV has it: a JSON map.

    Raises:
        UnusableLog: if it is none.
    """
    try:
        return msgspec.json.decode(str(cell), type=dict[str, float])
    except msgspec.DecodeError as error:
        raise UnusableLog(
            f"a pmf is {str(cell)[:60]!r}, need a JSON map from arm to probability ({error}). Export the log again."
        ) from error


def lists_in(column: pa.ChunkedArray, size: int, name: str) -> np.ndarray:
    """Lists of one length as an array of shape (n, size).

    Raises:
        UnusableLog: if one has another length.
    """
    lengths = pc.list_value_length(column)
    if pc.any(pc.not_equal(lengths, size)).as_py() or column.null_count:
        raise UnusableLog(f"a pmf of {name!r} does not have {size} entries, one an arm. Export the log again.")
    flat = column.combine_chunks().flatten() if column.num_chunks != 1 else column.chunk(0).flatten()
    return np.asarray(flat.to_numpy(zero_copy_only=False), dtype=np.float64).reshape(-1, size)


def excluded_in_each(cells: Sequence[object], layout: Layout) -> list[tuple[Excluded, ...]]:
    """Arms that callers excluded, from JSON maps; most rows have none.

    Raises:
        UnusableLog: if a cell is no such map, or names what the log does not have.
    """
    return [_excluded_in(str(cell), layout) if cell else () for cell in cells]


def _excluded_in(cell: str, layout: Layout) -> tuple[Excluded, ...]:
    try:
        found = msgspec.json.decode(cell, type=dict[str, list[str]])
        arms = dict(zip(layout.dimensions, layout.arms, strict=True))
        at = {name: place for place, name in enumerate(layout.dimensions)}
        return tuple(sorted(Excluded(at[name], arms[name].index(arm)) for name, ids in found.items() for arm in ids))
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        raise UnusableLog(
            f"excluded is {cell[:60]!r}, need a JSON map from dimension to arms of the log ({error}). Export the log again."
        ) from error


def counts_in(cells: Sequence[float | None]) -> list[int | None]:
    """Numbers of messages; a CSV file has them as texts, read as numbers."""
    return [None if cell is None else int(cell) for cell in cells]


def positions_in(column: pa.ChunkedArray, name: str, arms: Sequence[str]) -> np.ndarray:
    """Where each row's arm stands among those of its dimension, shape (n,).

    Raises:
        UnusableLog: if an arm is none of them.
    """
    found = pc.index_in(column, value_set=pa.array(arms))
    if found.null_count:
        unknown = column.filter(pc.is_null(found))[0].as_py()
        raise UnusableLog(
            f"arm {unknown!r} of {name!r} is not among the {len(arms)} that the file lists. Export it again."
        )
    return np.asarray(found.to_numpy(), dtype=np.int64)
