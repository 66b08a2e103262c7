"""Contexts of many customers as columns: each different value is checked once, however many customers have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import BoolArray, FloatArray
from bandit.context import Context, ContextValue, EncodedContext
from bandit.errors import InvalidContext
from bandit.exclusion import Excluded
from bandit.schema import Schema, encoded_value

Places = NDArray[np.int64]


class RawColumn(NamedTuple):
    """One name of many contexts as it was given: shape (n,) positions in a list of different values."""

    places: Places
    values: Sequence[ContextValue]


class ExcludedColumn(NamedTuple):
    """What is out of many decisions: shape (n,) positions in a list of different sets of arms."""

    places: Places
    values: Sequence[tuple[Excluded, ...]]

    def rows(self) -> list[tuple[Excluded, ...]]:
        """An entry a decision; decisions that have the same arms out share one object."""
        return [self.values[place] for place in self.places.tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class ContextColumn:
    """One declared name of many contexts.

    Attributes:
        name: of the field.
        places: shape (n,), positions in the other three.
        values: the different values as used.
        features: which context feature each makes active; -1 for a field that the learner does not see.
        weights: with what value.
    """

    name: str
    places: Places
    values: tuple[ContextValue, ...]
    features: Places
    weights: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class ContextColumns(Sequence[EncodedContext]):
    """Encoded contexts that are rows only when somebody asks for one.

    Attributes:
        columns: one a declared field, in file order.
        indices: shape (n, n_learnable), which context features are active.
        weights: the same shape, with what value.
        excluded: arms that are out of each decision; None for none of any.
    """

    columns: tuple[ContextColumn, ...]
    indices: Places
    weights: FloatArray
    excluded: ExcludedColumn | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, row: int) -> EncodedContext: ...
    @overload
    def __getitem__(self, row: slice) -> ContextColumns: ...
    def __getitem__(self, row: int | slice) -> EncodedContext | ContextColumns:
        """One row as `Schema.encode` makes it, or some as columns."""
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        values = {column.name: column.values[column.places[row]] for column in self.columns}
        excluded = self.excluded.values[self.excluded.places[row]] if self.excluded else ()
        numbers = tuple(self.indices[row].tolist()), tuple(self.weights[row].tolist())
        return EncodedContext(values, *numbers, excluded=excluded)

    def __iter__(self) -> Iterator[EncodedContext]:
        rows = zip(self.values(), map(tuple, self.indices.tolist()), map(tuple, self.weights.tolist()), strict=True)
        excluded = self.excluded.rows() if self.excluded else repeat(())
        return (EncodedContext(*row, excluded=out) for row, out in zip(rows, excluded, strict=False))

    def values(self) -> list[dict[str, ContextValue]]:
        """What the log keeps of each row."""
        names = [column.name for column in self.columns]
        found = [[column.values[place] for place in column.places.tolist()] for column in self.columns]
        if not found:
            return [{} for _ in range(len(self))]
        return [dict(zip(names, row, strict=True)) for row in zip(*found, strict=True)]

    def take(self, rows: Places) -> ContextColumns:
        """Some rows, in the order asked for."""
        columns = tuple(
            ContextColumn(one.name, one.places[rows], one.values, one.features, one.weights) for one in self.columns
        )
        excluded = self.excluded and ExcludedColumn(self.excluded.places[rows], self.excluded.values)
        return ContextColumns(columns, self.indices[rows], self.weights[rows], excluded)


def encode_columns(schema: Schema, given: Mapping[str, RawColumn], n: int) -> tuple[ContextColumns, BoolArray]:
    """Check and encode many contexts at once.

    Args:
        schema: the campaign's.
        given: columns by name, all of them declared; a name that is not given is missing in every row.
        n: number of rows.

    Returns:
        the contexts, and shape (n,), which of them `Schema.encode` would have refused; those rows mean nothing.
    """
    fine = np.ones(n, dtype=np.bool_)
    columns, indices, weights = [], [], []
    missing = RawColumn(np.zeros(n, dtype=np.int64), (None,))
    first = 0
    for item in schema.fields:
        raw = given.get(item.name, missing)
        column, known = _encoded(schema, item.name, first, raw)
        fine &= known[raw.places]
        columns.append(column)
        if not item.protected:
            indices.append(column.features[raw.places])
            weights.append(column.weights[raw.places])
            first += len(item.features)
    shape = (n, len(indices))
    return (
        ContextColumns(
            tuple(columns),
            np.stack(indices, axis=1) if indices else np.zeros(shape, dtype=np.int64),
            np.stack(weights, axis=1) if weights else np.zeros(shape),
        ),
        fine,
    )


def with_columns(schema: Schema, columns: ContextColumns, made: Mapping[str, RawColumn]) -> ContextColumns:
    """The same contexts with other values of some fields.

    Args:
        schema: the campaign's, which encoded them.
        columns: one a field of the schema.
        made: values by the field's name, all of them such as the field takes.
    """
    kept, indices, weights = list(columns.columns), columns.indices.copy(), columns.weights.copy()
    first = place = 0
    for number, item in enumerate(schema.fields):
        if item.name in made:
            raw = made[item.name]
            column = kept[number] = _encoded(schema, item.name, first, raw)[0]
            if not item.protected:
                indices[:, place], weights[:, place] = column.features[raw.places], column.weights[raw.places]
        if not item.protected:
            first, place = first + len(item.features), place + 1
    return replace(columns, columns=tuple(kept), indices=indices, weights=weights)


def _encoded(schema: Schema, name: str, first: int, raw: RawColumn) -> tuple[ContextColumn, BoolArray]:
    """Each different value, and which of them are known."""
    item = schema[name]
    values, features, weights, known = [], [], [], []
    for value in raw.values:
        try:
            used, feature, weight = encoded_value(item, value, first)
        except InvalidContext:
            used, feature, weight = None, first, 0.0
            known.append(False)
        else:
            known.append(True)
        values.append(used)
        features.append(-1 if item.protected else feature)
        weights.append(weight)
    column = ContextColumn(
        name, raw.places, tuple(values), np.array(features, dtype=np.int64), np.array(weights, dtype=np.float64)
    )
    return column, np.array(known, dtype=np.bool_)


def columns_of(schema: Schema, contexts: Sequence[Context]) -> ContextColumns | None:
    """Contexts that came one by one, encoded together in a fifth of the time.

    Returns:
        None where `Schema.encode` must look at each by itself, since it refuses one of them.
    """
    names = {item.name for item in schema.fields}
    given = [context.values for context in contexts]
    if not all(values.keys() <= names for values in given):
        return None
    try:
        raw = {item.name: _different([values.get(item.name) for values in given]) for item in schema.fields}
    except TypeError:  # a value that is not even hashable: a list, say
        return None
    columns, fine = encode_columns(schema, raw, len(contexts))
    return columns if fine.all() else None


def _different(column: list[ContextValue]) -> RawColumn:
    """The different values of a column; true is not 1, and 0.0 is not -0.0."""
    if set(map(type, column)) <= {str, type(None)}:
        places: dict[ContextValue, int] = {}
        found = [places.setdefault(value, len(places)) for value in column]
        return RawColumn(np.array(found, dtype=np.int64), tuple(places))
    exact: dict[tuple[str, str], int] = {}
    found = [exact.setdefault((type(value).__name__, repr(value)), len(exact)) for value in column]
    first = np.unique(found, return_index=True)[1]
    return RawColumn(np.array(found, dtype=np.int64), [column[row] for row in first.tolist()])
