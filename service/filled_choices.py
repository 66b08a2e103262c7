"""Texts in the table of choices, filled in for each customer with columns of their own table, which are stored nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from bandit.arm_text import TEXT, Wording
from bandit.context_columns import ContextColumns
from bandit.errors import InvalidVariables
from bandit.variables import Value, checked_variables
from service.choices import Status

FILLED = (Status.DECIDED, Status.NO_CONSENT)
"""Rows that say something."""


def filled(
    choices: pa.RecordBatch, names: Sequence[str], wording: Wording, contexts: ContextColumns, cells: pa.RecordBatch
) -> pa.RecordBatch:
    """The choices with their texts filled in; a row one of whose texts cannot be is `unfilled`, and has none there.

    Args:
        choices: a group.
        names: of the dimensions.
        wording: the campaign's texts.
        contexts: of the same rows.
        cells: of the same rows, the columns that are variables.
    """
    if wording.is_constant:
        return choices
    arms = {name: choices[f"arm.{name}"].to_pylist() for name in names}
    texts: dict[str, list[str | None]] = {name: choices[f"text.{name}"].to_pylist() for name in names}
    statuses = choices["status"].to_pylist()
    for row, given in enumerate(cells.to_pylist() if cells.num_columns else [{}] * choices.num_rows):
        if statuses[row] not in FILLED:
            continue
        choice = {name: arms[name][row] for name in names}
        said = wording.said(choice, wording.variables(choice, contexts[row].values, _usable(given)))
        holes = {gap.dimension for gap in said.missing if gap.part == TEXT}
        for name in names:
            texts[name][row] = None if name in holes else said.texts.get(name, "")
        statuses[row] = Status.UNFILLED.value if holes else statuses[row]
    changed = {**{f"text.{name}": texts[name] for name in names}, "status": statuses}
    columns = [
        pa.array(changed[field.name], type=field.type) if field.name in changed else choices[field.name]
        for field in choices.schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=choices.schema)


def _usable(given: Mapping[str, Any]) -> dict[str, Value]:
    """The cells that can be filled in; an empty one, and one that is too long, counts as missing."""
    found: dict[str, Value] = {}
    for name, cell in given.items():
        try:
            found |= checked_variables({name: cell if cell != "" else None})
        except InvalidVariables:
            continue
    return found
