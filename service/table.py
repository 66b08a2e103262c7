"""Tables of customers, events and logs that people have: CSV and Parquet, read in chunks, typed by the campaign."""

from __future__ import annotations

import csv
import gzip
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from bandit.context import ContextValue
from bandit.errors import InvalidContext, InvalidOutcome, UnusableLog
from bandit.fault import repeated
from bandit.schema import BooleanField, CategoricalField, ContextField, NumericField, Schema

Cells = Mapping[str, object]
"""One row by column name; all texts from CSV, typed from Parquet."""

YES, NO = {"true", "yes", "1", "t", "y"}, {"false", "no", "0", "f", "n"}
ARM_ORDER = b"manyarm.arms"
"""Where an exported Parquet file says in which order the arms stand in its lists."""
FIRST_YEAR, LAST_YEAR = 1970, 5000
_AT_ONCE, _AS_COLUMNS = 5000, 10_000
_ROW_BYTES = 100
csv.field_size_limit(sys.maxsize)


def read_rows(path: Path) -> Iterator[Cells]:
    """Rows of a CSV (also .csv.gz) or Parquet file, with constant memory.

    Raises:
        UnusableLog: if the file is missing, of another kind, or cannot be parsed; names the line.
    """
    _require_file(path)
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
    elif path.name.endswith((".csv", ".csv.gz")):
        yield from _csv_rows(path)
    else:
        raise UnusableLog(f"{path}: found the ending {path.suffix!r}, need .csv, .csv.gz or .parquet.")


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise UnusableLog(f"{path}: this is a folder. Name a CSV or Parquet file in it.")
    if not path.is_file():
        raise UnusableLog(f"{path}: no such file. Name a CSV or Parquet file.")


def read_columns(path: Path) -> Iterator[pa.RecordBatch]:
    """The same rows some thousands at a time, as columns; those of CSV are texts.

    Raises:
        UnusableLog: as `read_rows`.
    """
    if path.suffix == ".parquet" and path.is_file():
        yield from _parquet_batches(path, _AS_COLUMNS)
        return
    rows = read_rows(path)
    while group := list(islice(rows, _AS_COLUMNS)):
        yield pa.RecordBatch.from_pydict({name: [row[name] for row in group] for name in group[0]})


def columns_in(path: Path) -> tuple[str, ...]:
    """Column names of a file; empty for a file without rows."""
    if path.suffix == ".parquet" and path.is_file():
        try:
            file = pq.ParquetFile(path)
            return tuple(file.schema_arrow.names) if file.metadata.num_rows else ()
        except (pa.ArrowException, OSError) as error:
            raise UnusableLog(f"{path}: not a readable Parquet file ({error}). Write it again, or use CSV.") from error
    return tuple(next(read_rows(path), {}))


def rows_about(path: Path) -> int:
    """About how many rows a file has, without reading it: what Parquet says of itself, else a guess from its size."""
    try:
        return int(pq.read_metadata(path).num_rows) if path.suffix == ".parquet" else path.stat().st_size // _ROW_BYTES
    except (pa.ArrowException, OSError):
        return 0


def arms_in(path: Path) -> dict[str, tuple[str, ...]]:
    """The order of each dimension's arms in the lists of an export of ours; empty for any other file."""
    if path.suffix != ".parquet":
        return {}
    try:
        kept = (pq.read_schema(path).metadata or {}).get(ARM_ORDER)
        return msgspec.json.decode(kept, type=dict[str, tuple[str, ...]]) if kept else {}
    except (pa.ArrowException, OSError, msgspec.DecodeError) as error:
        raise UnusableLog(f"{path}: not a readable Parquet file ({error}). Write it again, or use CSV.") from error


def _parquet_rows(path: Path) -> Iterator[Cells]:
    for batch in _parquet_batches(path, _AT_ONCE):
        yield from batch.to_pylist()


def _parquet_batches(path: Path, size: int) -> Iterator[pa.RecordBatch]:
    try:
        yield from pq.ParquetFile(path).iter_batches(batch_size=size)
    except (pa.ArrowException, OSError) as error:
        raise UnusableLog(f"{path}: not a readable Parquet file ({error}). Write it again, or use CSV.") from error


def _csv_rows(path: Path) -> Iterator[Cells]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            _require_commas(path, reader.fieldnames or ())
            twice = repeated(reader.fieldnames or ())
            if twice:
                raise UnusableLog(f"{path}: the column {twice} stands more than once. Rename or drop one of them.")
            for row in reader:
                if None in row or None in row.values():
                    raise UnusableLog(
                        f"{path}, line {reader.line_num}: {len([v for v in row.values() if v is not None])} cells, the header "
                        f"has {len(reader.fieldnames or ())} columns. Quote texts that hold commas."
                    )
                yield row
        except UnicodeDecodeError as error:
            raise UnusableLog(
                f"{path}, line {reader.line_num + 1} or after: found the byte 0x{error.object[error.start]:02x}, which is no "
                "UTF-8; the file is in another encoding, such as Latin-1 or UTF-16. Save it as UTF-8 CSV with a header."
            ) from error
        except (csv.Error, OSError, EOFError, zlib.error) as error:
            raise UnusableLog(
                f"{path}, line {reader.line_num}: {error}. Save it as UTF-8 CSV with a header."
            ) from error


def _require_commas(path: Path, names: Sequence[str]) -> None:
    """A header of one column that holds another separator was not meant as one column."""
    if len(names) != 1:
        return
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if separator in names[0]:
            raise UnusableLog(
                f"{path}: the header is one column, {names[0]!r}: the cells are separated by {word}, need commas. Save it "
                "as CSV with commas; if it really is one column, give it another name."
            )


def context_of(cells: Cells, schema: Schema, names: Sequence[str], *, lenient: bool = False) -> dict[str, ContextValue]:
    """The context in a row: texts become what the schema declares, empty cells are missing.

    Args:
        cells: the row.
        schema: the campaign's.
        names: columns that are context.
        lenient: leave a cell that cannot be what the schema declares as the text it is, for whoever counts those.

    Raises:
        InvalidContext: for a text that is not a number or not yes / no where the schema wants one, unless `lenient`.
    """
    found: dict[str, ContextValue] = {}
    for name in names:
        try:
            found[name] = _typed(name, cells[name], schema)
        except InvalidContext:
            if not lenient:
                raise
            found[name] = str(cells[name])
    return found


def _typed(name: str, cell: object, schema: Schema) -> ContextValue:
    if cell is None or cell == "":
        return None
    item = next((item for item in schema.fields if item.name == name), None)
    if not isinstance(cell, str):
        return _as_declared(cell, item)
    if isinstance(item, NumericField):
        try:
            return float(cell)
        except ValueError:
            raise InvalidContext(
                f"context {name!r} is {cell[:60]!r}, need a number, or nothing where it is not known."
            ) from None
    if isinstance(item, BooleanField):
        return _yes_or_no(name, cell)
    return cell


def _as_declared(cell: object, item: ContextField | None) -> ContextValue:
    """A typed cell of Parquet as the campaign declares it: 0 and 1 are no and yes, a number may name a category."""
    if isinstance(item, BooleanField) and isinstance(cell, (int, float)) and cell in {0, 1}:
        return bool(cell)
    if isinstance(cell, (bool, int, float)) and not (isinstance(item, CategoricalField) and type(cell) is int):
        return cell
    return str(cell)


def _yes_or_no(name: str, cell: str) -> bool:
    word = cell.strip().lower()
    if word in YES or word in NO:
        return word in YES
    raise InvalidContext(f"context {name!r} is {cell[:60]!r}, need true or false, or nothing where it is not known.")


def time_of(cell: object, *, what: str) -> datetime | None:
    """A time with a zone from an ISO 8601 text or a Parquet timestamp; None for an empty cell.

    Raises:
        InvalidOutcome: for anything else, and for a time without a zone.
    """
    if cell is None or cell == "":
        return None
    try:
        read = cell if isinstance(cell, datetime) else datetime.fromisoformat(str(cell))
        moment = read.astimezone(UTC) if read.tzinfo else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise InvalidOutcome(
            f"{what} is {str(cell)[:60]!r}, need an ISO 8601 time with its zone, such as 2026-11-22T09:00:00Z, "
            f"between the years {FIRST_YEAR} and {LAST_YEAR}: windows are counted from it."
        )
    return moment
