"""From a file of events to a table of contexts: read, check, make features, and put them into the campaign's fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa

from bandit.campaign import Campaign
from bandit.errors import UnusableEvents
from bandit.profile.checked_events import checked_events
from bandit.profile.context_fields import fields_made, value_in_field
from bandit.profile.event_quality import EventQuality
from bandit.profile.features import table_of
from bandit.profile.population import Population, population_of
from bandit.profile.spec import ProfileSpec
from bandit.profile.summing import sums_at
from bandit.schema import BooleanField, ContextField, NumericField
from service.event_tables import read_events
from service.table_writer import write_batches

CUSTOMER = "customer_id"
_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class Profiled:
    """Customers as their events show them at a time.

    Attributes:
        spec: the campaign's `[profile]`, or what is usual.
        events: as `bandit.profile.events` says.
        quality: what was wrong with them.
        features: one row a customer.
        population: of all of them.
    """

    spec: ProfileSpec
    events: pd.DataFrame
    quality: EventQuality
    features: pd.DataFrame
    population: Population


@dataclass(frozen=True, slots=True)
class FieldsMade:
    """What became of the campaign's context fields.

    Attributes:
        made: the feature behind each field that was made.
        left: fields that events do not tell.
        written_as: for each field, how many values were written as another one or left empty, as `dormant as at_risk`.
    """

    made: Mapping[str, str]
    left: tuple[str, ...]
    written_as: Mapping[str, Mapping[str, int]]

    def __str__(self) -> str:
        same = [name for name, feature in self.made.items() if name == feature]
        others = [f"{name} (from {feature})" for name, feature in self.made.items() if name != feature]
        lines = [f"context fields made: {', '.join([*same, *others]) or 'none'}"]
        if self.left:
            lines.append(f"context fields that events do not tell: {', '.join(self.left)}")
        lines += [
            f"{name}: {how} for {n:,} customers, since the campaign declares no such value"
            for name, counts in self.written_as.items()
            for how, n in counts.items()
        ]
        return "\n".join(lines)


def profiled(path: Path, campaign: Campaign, at: datetime) -> Profiled:
    """Read events and make features of them.

    Args:
        path: the file.
        campaign: whose `[profile]` says what events mean.
        at: features use the events before it.

    Raises:
        UnusableEvents: if the file cannot be used.
    """
    spec = campaign.profile or ProfileSpec().at_home(campaign.timezone)
    raw = read_events(path)
    try:
        events, quality = checked_events(raw.table, spec, until=at, unread=raw.unread)
    except UnusableEvents as error:
        raise UnusableEvents(f"{path}: {error}") from error
    sums = sums_at(events, at, spec)
    population = population_of(sums, spec)
    return Profiled(spec, events, quality, table_of(sums, spec, population=population), population)


def with_customers(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A table with what else is known of customers, whoever had no event included; what is known so stands before what was made.

    Args:
        table: one row a customer, index customer_id.
        path: CSV or Parquet with customer_id, each once.

    Raises:
        UnusableEvents: if the file cannot be read, or names nobody or somebody twice.
    """
    known = _known_customers(path)
    every = table.index.union(known.index, sort=False)
    joined = table.reindex(every)
    for name in known.columns:
        column = known[name].reindex(every)
        joined[name] = column.where(column.notna(), joined[name]) if name in joined else column
    return joined


def _known_customers(path: Path) -> pd.DataFrame:
    try:
        is_csv = path.suffix == ".csv"
        found = pd.read_csv(path, dtype={CUSTOMER: "str"}) if is_csv else pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UnusableEvents(
            f"{path} cannot be read as a table of customers ({error}). Give CSV or Parquet."
        ) from error
    if CUSTOMER not in found or found[CUSTOMER].isna().any():
        raise UnusableEvents(
            f"{path}: every row needs a customer_id; it has the columns {', '.join(map(str, found.columns))}."
        )
    twice = found[CUSTOMER].duplicated()
    if twice.any():
        raise UnusableEvents(
            f"{path} names {int(twice.sum())} customers more than once, {str(found[CUSTOMER][twice].iloc[0])[:40]!r} for one: "
            "which row holds? Leave one row a customer."
        )
    return found.set_index(found[CUSTOMER].astype("str")).drop(columns=CUSTOMER)


def contexts_of(table: pd.DataFrame, campaign: Campaign, spec: ProfileSpec) -> tuple[pd.DataFrame, FieldsMade]:
    """The columns of a table of features that are context fields, as `manyarm decide` reads them.

    Args:
        table: features, one row a customer, index customer_id.
        campaign: that declares the fields.
        spec: its `[profile]`.

    Raises:
        UnusableEvents: if `[profile.fields]` names a field or a feature that there is not.
    """
    _require_names(table, campaign, spec)
    fields = campaign.declared.fields
    made = fields_made(fields, spec, table.columns)
    written_as: dict[str, dict[str, int]] = {}
    columns = {}
    for field in fields:
        if field.name in made:
            columns[field.name], others = _column(table[made[field.name]], field)
            if others:
                written_as[field.name] = others
    left = tuple(field.name for field in fields if field.name not in made)
    return pd.DataFrame(columns, index=table.index), FieldsMade(made, left, written_as)


def write_contexts(path: Path, table: pd.DataFrame) -> int:
    """Write one row a customer, CSV or Parquet; returns how many."""
    columns = {CUSTOMER: pa.array(table.index.to_numpy(dtype=object), pa.string())}
    columns |= {name: _arrow(table[name]) for name in table.columns}
    whole = pa.table(columns)
    return write_batches(path, whole.schema, _batches(whole))


def _require_names(table: pd.DataFrame, campaign: Campaign, spec: ProfileSpec) -> None:
    for name, feature in spec.fields.items():
        if name not in campaign.schema:
            raise UnusableEvents(
                f"[profile.fields] names {name}, which [context] does not declare. Declare it, or take it out."
            )
        if feature not in table.columns:
            raise UnusableEvents(
                f"[profile.fields].{name} is {feature!r}, which no feature is called here; there are {', '.join(table.columns)}. "
                "Numbers of models need --models."
            )


def _column(feature: pd.Series, field: ContextField) -> tuple[pd.Series, dict[str, int]]:
    """A feature as a field has it, and how many values were written as others."""
    counts = feature.value_counts()
    if isinstance(field, NumericField) and pd.api.types.is_numeric_dtype(feature):
        return feature.astype("float64"), {}
    values = {value: value_in_field(field, value) for value in counts.index}
    written_values = pd.Series(feature.map(values), index=feature.index, dtype="object")
    column = written_values.astype("boolean") if isinstance(field, BooleanField) else written_values.astype("str")
    others: Counter[str] = Counter()
    for value, written in values.items():
        if isinstance(value, str) and written != value:
            others[f"{value} as {written}" if written else f"{value} left empty"] += int(counts[value])
    return column, dict(others)


def _arrow(column: pd.Series) -> pa.Array:
    return pa.array(column, from_pandas=True, type=pa.float64() if column.dtype == "float64" else None)


def _batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    yield from table.to_batches(max_chunksize=_AT_ONCE)
