"""Model bytes without what every untouched weight repeats, to be had back bit for bit.

Steps that shrink with evidence begin from a prior, which Vowpal Wabbit writes down for each of the half a million places
of its table, though a campaign touches some thousands. Twelve models of a campaign with four outcome types were 75 MB a
snapshot. Here only the places that differ from the commonest are kept. Nothing is assumed about the format: whatever does
not look like a table of three words a row, places at equal distances, is kept as it is.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from bandit.errors import BrokenSnapshot

ROW: Final = 12
"""Bytes of a row: place, weight and evidence, four each."""
_SAMPLED: Final = 1000


class Packed(msgspec.Struct, array_like=True, frozen=True):
    """A model's bytes taken apart.

    Attributes:
        head: what stands before the table; all there is where no table was found.
        n_rows: rows of the table.
        first, stride: place of the first row, and the distance from one to the next.
        common: weight and evidence of the rows left out.
        rows: which rows are kept, four bytes each.
        kept: their weights and evidence, eight bytes each.
    """

    head: bytes
    n_rows: int = 0
    first: int = 0
    stride: int = 0
    common: bytes = b""
    rows: bytes = b""
    kept: bytes = b""


def packed(model: bytes) -> Packed:
    """Take a model apart; `unpacked` gives back the same bytes."""
    n_rows = len(model) // ROW
    head, table = model[: len(model) - n_rows * ROW], _table(model, n_rows)
    # A header of any length may stand before the table: what does not continue the places at its end belongs to it.
    start = _first_regular(table[:, 0])
    n_rows -= start
    if n_rows < _SAMPLED:
        return Packed(model)
    table, head = table[start:], model[: len(head) + start * ROW]
    pairs = np.ascontiguousarray(table[:, 1:]).view("<u8").ravel()
    common, _ = Counter(pairs[:: max(n_rows // _SAMPLED, 1)].tolist()).most_common(1)[0]
    rows = np.flatnonzero(pairs != common).astype("<u4")
    first, stride = int(table[0, 0]), int(table[1, 0]) - int(table[0, 0])
    return Packed(head, n_rows, first, stride, _bytes_of(common), rows.tobytes(), pairs[rows].tobytes())


def unpacked(found: Packed) -> bytes:
    """The model's bytes.

    Raises:
        BrokenSnapshot: if the parts do not belong together.
    """
    if not found.n_rows:
        return found.head
    rows, kept = np.frombuffer(found.rows, "<u4"), np.frombuffer(found.kept, "<u8")
    if rows.size != kept.size or len(found.common) != 8 or (rows.size and int(rows.max()) >= found.n_rows):
        raise BrokenSnapshot("the parts of a model do not belong together. Train a new snapshot, or roll back.")
    pairs = np.full(found.n_rows, np.frombuffer(found.common, "<u8")[0], "<u8")
    pairs[rows] = kept
    table = np.empty((found.n_rows, 3), "<u4")
    table[:, 0] = found.first + found.stride * np.arange(found.n_rows, dtype=np.int64)
    table[:, 1:] = pairs.view("<u4").reshape(-1, 2)
    return found.head + table.tobytes()


def _table(model: bytes, n_rows: int) -> NDArray[np.uint32]:
    return np.frombuffer(model, "<u4", count=3 * n_rows, offset=len(model) - n_rows * ROW).reshape(n_rows, 3)


def _first_regular(places: NDArray[np.uint32]) -> int:
    """From which row on the places rise by one and the same distance up to the end."""
    if places.size < 2:
        return int(places.size)
    steps = np.diff(places.astype(np.int64))
    if steps[-1] <= 0:
        return int(places.size)
    irregular = np.flatnonzero(steps != steps[-1])
    return int(irregular[-1]) + 1 if irregular.size else 0


def _bytes_of(word: int) -> bytes:
    return word.to_bytes(8, "little")
