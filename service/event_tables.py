"""Tables of events that people have: CSV, Parquet, or the table `events` of an SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from bandit.errors import UnusableEvents, UnusableLog
from bandit.profile.checked_events import READ
from service.table import columns_in

TABLE: Final = "events"
SQLITE: Final = (".db", ".sqlite", ".sqlite3")
_AS_CODES: Final = ("customer_id", "type", "channel", "device", "content", "zone")
_AT_ONCE: Final = 50_000


@dataclass(frozen=True, slots=True)
class RawEvents:
    """The columns that are looked at, as they stand in the file, and the names of the others."""

    table: pa.Table
    unread: tuple[str, ...]


def read_events(path: Path) -> RawEvents:
    """Read a table of events.

    Raises:
        UnusableEvents: if the file is missing, of another kind, or cannot be read.
    """
    if path.is_file() and path.suffix in SQLITE:
        return _from_sqlite(path)
    if path.is_file() and not path.name.endswith((".csv", ".csv.gz", ".parquet")):
        raise UnusableEvents(
            f"{path}: found the ending {path.suffix!r}, need .csv, .csv.gz, .parquet, or .db, .sqlite or .sqlite3 for an SQLite "
            f"file with a table {TABLE}."
        )
    try:
        names = columns_in(path)
    except UnusableLog as error:
        raise UnusableEvents(str(error)) from error
    if not names:
        raise UnusableEvents(f"{path}: no row. Name a file with events, one row each.")
    read = [name for name in names if name in READ]
    table = pq.read_table(path, columns=read) if path.suffix == ".parquet" else _from_csv(path, read)
    return RawEvents(table, tuple(name for name in names if name not in READ))


def _from_csv(path: Path, names: Sequence[str]) -> pa.Table:
    kinds = {name: pa.dictionary(pa.int32(), pa.string()) if name in _AS_CODES else pa.string() for name in names}
    options = pa_csv.ConvertOptions(
        column_types=kinds, include_columns=list(names), strings_can_be_null=True, null_values=[""]
    )
    try:
        return pa_csv.read_csv(
            path, convert_options=options, parse_options=pa_csv.ParseOptions(newlines_in_values=True)
        )
    except (pa.ArrowException, OSError) as error:
        raise UnusableEvents(
            f"{path}: {error}. Save it as UTF-8 CSV with a header and as many cells in each row."
        ) from error


def _from_sqlite(path: Path) -> RawEvents:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({TABLE})")]
            read = [name for name in READ if name in names]
            if not names:
                raise UnusableEvents(
                    f"{path}: no table {TABLE}. Give the table that name, or make a view of that name."
                )
            batches = list(_batches(connection, read)) if read else []
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise UnusableEvents(f"{path}: not a readable SQLite file ({error}). Name another one.") from error
    schema = pa.schema([(name, pa.string()) for name in read])
    return RawEvents(pa.Table.from_batches(batches, schema), tuple(name for name in names if name not in READ))


def _batches(connection: sqlite3.Connection, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Rows as texts; a number keeps all its digits."""
    cells = ", ".join(
        f"CASE typeof({name}) WHEN 'real' THEN printf('%!.17g', {name}) ELSE CAST({name} AS TEXT) END" for name in names
    )
    cursor = connection.execute(f"SELECT {cells} FROM {TABLE}")  # noqa: S608 - names of ours alone
    while rows := cursor.fetchmany(_AT_ONCE):
        columns = zip(*rows, strict=True)
        yield pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], names=list(names))
