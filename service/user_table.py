"""Tables of customers as columns: what each column means, and its cells as the campaign declares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bandit.arrays import BoolArray
from bandit.context import Context, ContextValue
from bandit.context_columns import ContextColumns, RawColumn, encode_columns
from bandit.engine import LONGEST_ID, check_ids
from bandit.errors import InvalidContext, InvalidVariables
from bandit.local_time import known_zone, zone_in
from service.candidate_columns import PREFIX, candidate_dimensions, candidates_in, fault_of
from service.store import Log
from service.table import columns_in, context_of

CUSTOMER, DECISION = "customer_id", "decision_id"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table mean what.

    Attributes:
        has_ids: whether it brings decision_ids.
        context: columns that are context.
        variables: columns that are filled into texts, and stored nowhere; not in the `repr` by which a table is known again,
            since they do not change what is decided.
        candidates: dimensions of which it says what products each customer may be offered; `content_of` adds them.
    """

    has_ids: bool
    context: tuple[str, ...]
    variables: tuple[str, ...] = field(default=(), repr=False)
    candidates: tuple[str, ...] = field(default=(), repr=False)


def columns_for(path: Path, log: Log, *, ignored: Sequence[str], variables: Sequence[str] = ()) -> Columns:
    """Find the columns of a table of customers.

    Args:
        path: of the table.
        log: whose campaign declares what is known of customers.
        ignored: columns to leave out.
        variables: columns that are filled into texts.

    Raises:
        InvalidContext: if there is no customer_id, or a column the campaign does not declare.
        InvalidVariables: if a column that is to be filled in is not there, or nothing that texts can have.
        InvalidCandidates: if a column brings candidates for a dimension that offers none.
    """
    found = columns_in(path)
    if CUSTOMER not in found:
        raise InvalidContext(
            f"{path} has the columns {', '.join(found) or 'none'}; need customer_id, which groups hang on."
        )
    _check_variables(path, variables, found, log)
    rest = [name for name in found if name not in {CUSTOMER, DECISION, *ignored, *variables}]
    candidates = candidate_dimensions(rest, log.campaign.dimensions)
    rest = [name for name in rest if not name.startswith(PREFIX)]
    made = [name for name in rest if log.campaign.time and name in log.campaign.time.kinds]
    if made:
        raise InvalidContext(
            f"{path} has columns that the engine makes of the time, as [time.fields] says: {', '.join(made)}. Their cells would "
            f"not count; leave them out with --ignore {','.join(made)}."
        )
    unknown = [name for name in rest if name not in log.campaign.schema]
    if unknown:
        raise InvalidContext(
            f"{path} has columns that the campaign does not declare: {', '.join(unknown)}. Declare them under [context], "
            f"or leave them out with --ignore {','.join(unknown)}."
        )
    return Columns(DECISION in found and DECISION not in ignored, tuple(rest), tuple(variables), candidates)


def _check_variables(path: Path, variables: Sequence[str], found: Sequence[str], log: Log) -> None:
    absent = [name for name in variables if name not in found]
    if absent:
        raise InvalidVariables(f"{path} has no column {absent[0][:80]!r} to fill in; there are {', '.join(found)}.")
    known = [name for name in variables if name in log.campaign.schema or name in {CUSTOMER, DECISION}]
    if known:
        raise InvalidVariables(
            f"column {known[0]!r} is no variable: texts have context fields anyway, and ids are not for them. Leave it "
            "out of --variables."
        )
    log.campaign.content.checked(dict.fromkeys(variables, ""))


class UserGroup:
    """Some rows of a table of customers.

    Args:
        batch: the rows.
        columns: what its columns mean.
        log: whose campaign declares the context.
    """

    def __init__(self, batch: pa.RecordBatch, columns: Columns, log: Log) -> None:
        self._batch, self._columns, self._log = batch, columns, log
        raw = {name: _raw(batch[name], name, log) for name in columns.context}
        self._unreadable = {name: found[1] for name, found in raw.items()}
        self.contexts: ContextColumns
        self.contexts, self._encoded = encode_columns(
            log.campaign.schema, {name: found[0] for name, found in raw.items()}, len(self)
        )
        self.candidates = candidates_in(batch, columns.candidates) if columns.candidates else None

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def ids(self, name: str) -> list[str]:
        """A column of ids as texts; an empty cell is an empty text."""
        return texts_of(self._batch[name])

    def bad_rows(self) -> NDArray[np.int64]:
        """Positions of the rows that cannot be decided."""
        fine: BoolArray = self._encoded & _are_ids(self.ids(CUSTOMER))
        if self._columns.has_ids:
            fine &= _are_ids(self.ids(DECISION))
        for name, wrong in self._unreadable.items():
            place = next(one.places for one in self.contexts.columns if one.name == name)
            fine &= ~wrong[place]
        if self.candidates is not None:
            dimensions = self._log.campaign.dimensions
            fine &= np.array([not fault_of(one, dimensions) for one in self.candidates], dtype=np.bool_)
        return np.flatnonzero(~(fine & self._have_zones()))

    def fault(self, row: int) -> str:
        """What is wrong with a row, in words; empty where nothing is."""
        cells, schema = self._batch.slice(row, 1).to_pylist()[0], self._log.campaign.schema
        customer_id = self.ids(CUSTOMER)[row]
        try:
            check_ids(customer_id, self.ids(DECISION)[row] if self._columns.has_ids else "new")
            values = schema.encode(Context(context_of(cells, schema, self._columns.context))).values
            for field in self._log.campaign.zone_fields:
                zone_in(values, field, home=self._log.campaign.timezone, kept="hours")
        except InvalidContext as error:
            return str(error)
        return fault_of(self.candidates[row], self._log.campaign.dimensions) if self.candidates else ""

    def _have_zones(self) -> BoolArray:
        """Whether it is known where each customer lives, where anything hangs on it; shape (n,)."""
        fields = self._log.campaign.zone_fields
        fine = np.ones(len(self), dtype=np.bool_)
        for column in self.contexts.columns:
            if column.name in fields:
                known = [value is None or known_zone(str(value)) is not None for value in column.values]
                fine &= np.array(known, dtype=np.bool_)[column.places]
        return fine


def texts_of(column: pa.Array) -> list[str]:
    """Cells as texts; an empty cell is an empty text."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return [cell or "" for cell in column.to_pylist()]
    return ["" if cell is None else str(cell) for cell in column.to_pylist()]


def _are_ids(ids: Sequence[str]) -> BoolArray:
    """Which texts can be ids; CSV and Parquet hold no text that is not Unicode."""
    lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
    fine: BoolArray = (lengths > 0) & (lengths <= LONGEST_ID)
    return fine


def _raw(column: pa.Array, name: str, log: Log) -> tuple[RawColumn, BoolArray]:
    """A column of cells as different values, and which of these cannot be what the campaign declares."""
    cells, places = _different(column)
    values: list[ContextValue] = []
    wrong = np.zeros(len(cells), dtype=np.bool_)
    for place, cell in enumerate(cells):
        try:
            values.append(context_of({name: cell}, log.campaign.schema, [name])[name])
        except InvalidContext:
            values.append(None)
            wrong[place] = True
    return RawColumn(places, values), wrong


def _different(column: pa.Array) -> tuple[list[object], NDArray[np.int64]]:
    """The different cells of a column, and where in them each row's cell is."""
    try:
        coded = pc.dictionary_encode(column, null_encoding="encode")
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return column.to_pylist(), np.arange(len(column))
    return coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
