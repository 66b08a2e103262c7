"""Contexts of many requests as `Engine.decide` would use them, in columns where that can be, with what is made of the time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from bandit.campaign import Campaign
from bandit.context import Context, EncodedContext
from bandit.context_columns import ContextColumns, RawColumn, columns_of, with_columns
from bandit.schema import Schema
from bandit.time_context import TimeContext


def encoded_contexts(
    campaign: Campaign, given: Sequence[Context | EncodedContext], at: Sequence[datetime]
) -> Sequence[EncodedContext]:
    """Many contexts, checked and encoded.

    Args:
        campaign: with the schema.
        given: as callers gave them, or encoded before; fields that are made of the time are made anew in any case.
        at: when each is decided, with a zone.

    Raises:
        InvalidContext: as `Engine.decide`, for one of those that it would refuse.
    """
    time, schema = campaign.time, campaign.schema
    if isinstance(given, ContextColumns):
        return _timed(time, schema, given, at) if time else given
    plain = [context for context in given if isinstance(context, Context)]
    if time:
        for context in plain:
            time.refuse(context.values)
    together = columns_of(schema, plain) if len(plain) == len(given) else None
    if together is not None:
        return _timed(time, schema, together, at) if time else together
    return [_encoded(campaign, context, moment) for context, moment in zip(given, at, strict=True)]


def _encoded(campaign: Campaign, context: Context | EncodedContext, at: datetime) -> EncodedContext:
    if not isinstance(context, EncodedContext):
        return campaign.schema.encode(campaign.completed(context, at))
    time, values = campaign.time, context.values
    if time is None or all(values.get(name) == made for name, made in time.values(values, at).items()):
        return context
    return campaign.schema.encode(time.completed(Context(time.without(values)), at))


def _timed(time: TimeContext, schema: Schema, contexts: ContextColumns, at: Sequence[datetime]) -> ContextColumns:
    """Columns with the made fields; each different clock is read once."""
    if not len(contexts):
        return contexts
    sources = [column for column in contexts.columns if column.name in time.sources]
    which, rows = _combinations([_objects(at), *(column.places for column in sources)])
    known = [{column.name: column.values[column.places[row]] for column in sources} for row in rows]
    made = [time.values(values, at[row]) for values, row in zip(known, rows, strict=True)]
    columns = {name: RawColumn(which, [values[name] for values in made]) for name in time.kinds}
    return with_columns(schema, contexts, columns)


def _objects(at: Sequence[datetime]) -> NDArray[np.int64]:
    """Which of the different objects each row has: most batches have one for all, and to look at the object is quickest."""
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(id(moment), len(numbers)) for moment in at], dtype=np.int64)


def _combinations(columns: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], list[int]]:
    """Which combination each row has, shape (n,); and for each combination a row that has it."""
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        codes = codes * (int(column.max()) + 1) + column
    _, rows, which = np.unique(codes, return_index=True, return_inverse=True)
    return which.ravel(), rows.tolist()
