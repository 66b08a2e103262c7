"""Columns of a table of customers that say which products each may be offered, as `candidates` says in a request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isnan
from typing import Final

import pyarrow as pa

from bandit.dimension import Dimension
from bandit.errors import InvalidCandidates
from bandit.product_candidates import Candidates, check_candidates

PREFIX: Final = "candidates."
BETWEEN: Final = "|"
"""Stands between the products of one cell."""


def candidate_dimensions(columns: Iterable[str], dimensions: Sequence[Dimension]) -> tuple[str, ...]:
    """Dimensions for which a table brings candidates, in the order of its columns.

    Args:
        columns: names, such as `candidates.product`.
        dimensions: of the campaign.

    Raises:
        InvalidCandidates: for a dimension that offers none.
    """
    names = tuple(name.removeprefix(PREFIX) for name in columns if name.startswith(PREFIX))
    check_candidates(dimensions, dict.fromkeys(names, ()))
    return names


def candidates_in(batch: pa.RecordBatch, names: Sequence[str]) -> list[Candidates]:
    """The candidates of each row, by dimension; a dimension whose cell is empty is not in it.

    Args:
        batch: the rows.
        names: dimensions, as `candidate_dimensions` finds them.

    >>> batch = pa.RecordBatch.from_pydict({"candidates.product": ["tea|cup", ""], "candidates.offer": [["x"], None]})
    >>> candidates_in(batch, ["product", "offer"])
    [{'product': ['tea', 'cup'], 'offer': ['x']}, {}]
    >>> candidates_in(pa.RecordBatch.from_pydict({"candidates.product": [0, None, 7]}), ["product"])
    [{'product': ['0']}, {}, {'product': ['7']}]
    """
    columns = {name: [_ids(cell) for cell in batch[f"{PREFIX}{name}"].to_pylist()] for name in names}
    return [{name: ids[row] for name, ids in columns.items() if ids[row]} for row in range(batch.num_rows)]


def fault_of(candidates: Candidates, dimensions: Sequence[Dimension]) -> str:
    """What is wrong with one row's candidates, in words; empty where nothing is."""
    try:
        check_candidates(dimensions, candidates)
    except InvalidCandidates as error:
        return str(error)
    return ""


def _ids(cell: object) -> list[str]:
    if isinstance(cell, list):
        return [_text(one).strip() for one in cell if _text(one).strip()]
    return [one.strip() for one in _text(cell).split(BETWEEN) if one.strip()]


def _text(cell: object) -> str:
    """An id as the campaign has it: pandas makes 7.0 of a 7 beside empty cells."""
    if cell is None or (isinstance(cell, float) and isnan(cell)):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
