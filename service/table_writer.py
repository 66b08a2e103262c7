"""Writing tables: CSV or Parquet by the file's ending, whole or not at all."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bandit.errors import UnusableLog

_AT_ONCE = 5000
TIME = pa.timestamp("us", tz="UTC")


def require_writable(path: Path) -> None:
    """Refuse a place where no table can be written, before any work is done for it.

    Raises:
        UnusableLog: for an unknown ending or a folder that is not there.
    """
    if not path.name.endswith((".csv", ".parquet")):
        raise UnusableLog(f"{path}: found the ending {path.suffix!r}, need .csv or .parquet.")
    if not path.parent.is_dir():
        raise UnusableLog(f"{path}: the folder {path.parent} does not exist. Make it, or name another one.")


def write_rows(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, object]]) -> int:
    """Write rows to a new file and put it in its place when it is complete; returns how many.

    Args:
        path: .csv or .parquet; what is there stays until the new file is whole.
        schema: columns and their types.
        rows: cells by column name.
    """
    require_writable(path)
    with replacing(path) as draft:
        return _write_csv(draft, schema, rows) if path.suffix == ".csv" else _write_parquet(draft, schema, rows)


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """The same for rows that come as columns."""
    require_writable(path)
    with replacing(path) as draft:
        if path.suffix == ".csv":
            return _write_csv_batches(draft, schema, batches)
        written = 0
        with pq.ParquetWriter(draft, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
                written += batch.num_rows
        return written


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft to write to, put in the place of a file when it is complete; what is there stays until then."""
    # The same table may be asked for twice at once; each writes its own, and the later one stays.
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        raise UnusableLog(f"{path} could not be written ({error}). What was there is unchanged.") from error
    finally:
        draft.unlink(missing_ok=True)


def _write_csv(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, object]]) -> int:
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(schema.names)
        for written, row in enumerate(rows, start=1):  # noqa: B007 - counts
            writer.writerow([_cell(row.get(name)) for name in schema.names])
    return written


def _write_csv_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(schema.names)
        for batch in batches:
            columns = [[_cell(cell) for cell in batch[name].to_pylist()] for name in schema.names]
            writer.writerows(zip(*columns, strict=True))
            written += batch.num_rows
    return written


def _write_parquet(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, object]]) -> int:
    written, left = 0, iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(left, _AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            written += len(batch)
    return written


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
