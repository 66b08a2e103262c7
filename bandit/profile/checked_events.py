"""A raw table made into events that can be trusted, and what was wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import UnusableEvents
from bandit.local_time import known_zone
from bandit.profile.event_quality import LEFT_OUT, UNKNOWN, EventQuality, Inspection, untold_types
from bandit.profile.events import COLUMNS, FIRST_TIME, LARGEST_VALUE, LONGEST_TEXT, NEEDED, TEXTS, typed
from bandit.profile.spec import ProfileSpec

EVENT_ID: Final = "event_id"
"""A column that tells events apart, where there is one: two rows with the same id are one event."""
READ: Final = (*COLUMNS, EVENT_ID)
"""Columns that are looked at; all others are ignored, and named."""
_HAS_ZONE: Final = r"[T ]\d\d.*([Zz]|[+-]\d\d(:?\d\d)?)$"


def checked_events(
    table: pa.Table, spec: ProfileSpec, *, until: datetime, unread: Sequence[str] = ()
) -> tuple[pd.DataFrame, EventQuality]:
    """The events of a raw table, as `bandit.profile.events` says, and what was found.

    Args:
        table: texts as CSV has them, or typed columns.
        spec: what types mean and what stands in for missing cells.
        until: when events can have happened at the latest; one at that time or later is left out.
        unread: columns of the file that are not in the table.

    Raises:
        UnusableEvents: if a column that is needed is not there, or no event is left.
    """
    absent = [name for name in NEEDED if name not in table.column_names]
    if absent:
        raise UnusableEvents(
            f"the table of events has the columns {', '.join(table.column_names) or 'none'}; need {', '.join(NEEDED)}. Rename "
            "them in the file or its query."
        )
    seen = Inspection(table.num_rows)
    columns: dict[str, pd.Series] = {name: _needed_text(table, name, seen) for name in ("customer_id", "type")}
    columns["at"] = _times(table["at"], spec, until, seen)
    for name in TEXTS:
        if name in table.column_names:
            columns[name] = _text(table, name, spec, seen)
    _numbers(table, columns, spec, seen)
    kept = pd.DataFrame({name: column[seen.keeps] for name, column in columns.items()})
    if spec.drop_duplicates:
        kept = _without_duplicates(table, kept, seen)
    if not len(kept):
        said = "".join(f"\n  {finding}" for finding in seen.findings)
        raise UnusableEvents(f"none of {table.num_rows} rows is an event that can be used.{said}")
    events = typed(kept)
    return events, EventQuality(
        n_rows=table.num_rows,
        n_events=len(events),
        findings=tuple(seen.findings),
        ignored=tuple(name for name in (*table.column_names, *unread) if name not in READ),
        absent=tuple(name for name in COLUMNS if name not in table.column_names),
        untold=untold_types(events["type"], spec.role_by_type),
    )


def _texts(table: pa.Table, name: str) -> pd.Series:
    """A column as a categorical; empty cells are missing."""
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    try:
        is_text = pa.types.is_dictionary(column.type) and pa.types.is_string(column.type.value_type)
        coded = column if is_text else pc.dictionary_encode(column.cast(pa.string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UnusableEvents(f"the column {name} of the events holds {column.type}, need texts.") from error
    series: pd.Series = pd.Series(coded.to_pandas().array)
    return series.cat.remove_categories([one for one in series.cat.categories if one == ""])


def _needed_text(table: pa.Table, name: str, seen: Inspection) -> pd.Series:
    column = _texts(table, name)
    seen.note(name, "empty", column.isna().to_numpy(), LEFT_OUT)
    long = [one for one in column.cat.categories if len(one) > LONGEST_TEXT]
    seen.note(name, f"more than {LONGEST_TEXT} letters", column.isin(long).to_numpy(), LEFT_OUT)
    return column


def _text(table: pa.Table, name: str, spec: ProfileSpec, seen: Inspection) -> pd.Series:
    """A column of texts; zones that there are none of are missing as well."""
    column = _texts(table, name)
    instead = getattr(spec.missing, name)
    done = f"taken for {instead!r}, as the campaign file says" if instead else UNKNOWN
    seen.note(name, "empty", column.isna().to_numpy(), done)
    wrong = [one for one in column.cat.categories if name == "zone" and known_zone(one) is None]
    if wrong:
        seen.note(name, "no IANA zone", column.isin(wrong).to_numpy(), done, column)
    return column.cat.remove_categories(wrong)


def _times(column: pa.ChunkedArray, spec: ProfileSpec, until: datetime, seen: Inspection) -> pd.Series:
    """Times in UTC; rows without a possible one are noted."""
    raw = pd.Series(column.to_pandas())
    moments, has_zone = _parsed(column)
    is_empty = _empty(raw)
    is_read = moments.notna().to_numpy()
    seen.note("at", "empty", is_empty, LEFT_OUT)
    seen.note("at", "no time that can be read", ~is_read & ~is_empty, LEFT_OUT, raw)
    home = spec.missing.time_zone
    if home:
        moments = _at_home(moments, has_zone, home)
    done = f"read as times in {home}, as the campaign file says" if home else LEFT_OUT
    seen.note("at", "a time without its zone", is_read & ~has_zone, done, raw)
    early, late = (moments < FIRST_TIME).to_numpy(), (moments >= until).to_numpy()
    seen.note("at", f"a time before {FIRST_TIME.year}", early, LEFT_OUT, raw)
    seen.note("at", f"a time not before {until.isoformat()}", late, LEFT_OUT, raw)
    return moments


def _parsed(column: pa.ChunkedArray) -> tuple[pd.Series, BoolArray]:
    """Times, those without a zone as if they were in UTC, and which have a zone."""
    if pa.types.is_timestamp(column.type):
        as_utc = column.cast(pa.timestamp("us", column.type.tz or "UTC"), safe=False)
        moments = pd.Series(as_utc.to_pandas().array).dt.tz_convert("UTC").dt.as_unit("us")
        return moments, np.full(len(column), column.type.tz is not None)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return pd.Series(pd.NaT, index=range(len(column)), dtype="datetime64[us, UTC]"), np.ones(
            len(column), dtype=np.bool_
        )
    moments = pd.to_datetime(pd.Series(column.to_pandas()), format="ISO8601", utc=True, errors="coerce").dt.as_unit(
        "us"
    )
    zoned = pc.fill_null(pc.match_substring_regex(column, _HAS_ZONE), False)
    return moments, zoned.to_numpy()


def _at_home(moments: pd.Series, has_zone: BoolArray, home: str) -> pd.Series:
    """Times without a zone as a clock in this one showed them: of two the first, and the next there is where it was skipped."""
    shown = moments.dt.tz_localize(None)
    first = np.ones(len(shown), dtype=np.bool_)
    there = shown.dt.tz_localize(home, ambiguous=first, nonexistent="shift_forward").dt.tz_convert("UTC")
    return moments.where(has_zone, there)


def _numbers(table: pa.Table, columns: dict[str, pd.Series], spec: ProfileSpec, seen: Inspection) -> None:
    is_bought = columns["type"].isin(spec.roles["purchase"]).to_numpy()
    for name, low, high in (("value", -LARGEST_VALUE, LARGEST_VALUE), ("discount", 0.0, 1.0)):
        if name not in table.column_names:
            continue
        numbers, raw, is_empty = _numbers_in(table[name])
        is_wrong = ~is_empty & ~((numbers >= low) & (numbers <= high))
        numbers[is_wrong] = np.nan
        instead = spec.missing.value if name == "value" else None
        done = UNKNOWN if instead is None else f"taken for {instead:g} where bought, as the campaign file says"
        seen.note(name, f"no number in [{low:g}, {high:g}]", is_wrong, done, raw)
        if name == "value":
            seen.note(name, "no amount for a purchase", is_empty & is_bought, done)
            seen.note(name, "a negative amount for a purchase", (numbers < 0.0) & is_bought, "added as it is", raw)
        columns[name] = pd.Series(numbers)


def _numbers_in(column: pa.ChunkedArray) -> tuple[FloatArray, pd.Series, BoolArray]:
    """Numbers, NaN for what is none; the cells as they stand; and which are empty."""
    raw = pd.Series(column.to_pandas())
    is_empty = _empty(raw)
    if raw.dtype == "bool":
        return np.full(len(raw), np.nan), raw, is_empty
    numbers = pd.to_numeric(raw, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers.copy(), raw, is_empty


def _empty(raw: pd.Series) -> BoolArray:
    blank = (raw == "").fillna(False).to_numpy() if raw.dtype == "str" else False
    empty: BoolArray = raw.isna().to_numpy() | blank
    return empty


def _without_duplicates(table: pa.Table, kept: pd.DataFrame, seen: Inspection) -> pd.DataFrame:
    """Rows that say the same in every column count once, and so do those of one event_id."""
    if EVENT_ID in table.column_names:
        ids = _texts(table, EVENT_ID)[seen.keeps]
        repeated = kept.assign(**{EVENT_ID: ids}).duplicated() | (ids.duplicated() & ids.notna())
    else:
        repeated = kept.duplicated()
    rows = np.zeros(seen.n, dtype=np.bool_)
    rows[kept.index[repeated.to_numpy()]] = True
    seen.note("rows", "the same as an earlier one", rows, "counted once")
    return kept[~repeated.to_numpy()]
