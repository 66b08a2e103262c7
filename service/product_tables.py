"""Tables of products, of what customers did with them, and of whom to offer what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow as pa

from bandit.errors import UnusableCatalogue
from bandit.products.candidates import Listed
from bandit.products.interactions import COLUMNS
from service.table import columns_in, read_columns, read_rows
from service.table_writer import write_batches

CUSTOMER, PRODUCT = "customer_id", "product"
CANDIDATES = pa.schema(
    [
        (CUSTOMER, pa.string()),
        (PRODUCT, pa.list_(pa.string())),
        ("source", pa.list_(pa.string())),
        ("score", pa.list_(pa.float64())),
    ]
)
"""Columns of a table of candidates: a row a customer, best product first."""
_AT_ONCE = 5000


def read_product_events(path: Path) -> pd.DataFrame:
    """What customers did, as `bandit.products.interactions` takes it.

    Raises:
        UnusableLog: if the file cannot be read.
        UnusableCatalogue: if it has no rows, or lacks a column.
    """
    found = columns_in(path)
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        raise UnusableCatalogue(
            f"{path} has the columns {', '.join(found) or 'none'}; {', '.join(missing)} is missing, so it cannot be said who "
            f"did what with which product. Need {', '.join(COLUMNS)}."
        )
    batches = [batch.select(list(COLUMNS)).to_pandas() for batch in read_columns(path)]
    events: pd.DataFrame = pd.concat(batches, ignore_index=True)
    return events


def write_candidates(path: Path, lists: Iterable[Listed]) -> None:
    """Write a table of candidates to a Parquet file."""
    write_batches(path, CANDIDATES, _batches(lists))


def read_candidates(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Customers and their products, best first: from a table of ours, or one with a row for each product in order.

    Raises:
        UnusableLog: if the file cannot be read.
        UnusableCatalogue: if it lacks a column.
    """
    found = columns_in(path)
    if not {CUSTOMER, PRODUCT} <= set(found):
        raise UnusableCatalogue(
            f"{path} has the columns {', '.join(found) or 'none'}; need {CUSTOMER} and {PRODUCT}: whom to offer what."
        )
    lists: dict[str, list[str]] = {}
    for row in read_rows(path):
        customer_id, cell = row[CUSTOMER], row[PRODUCT]
        if isinstance(cell, list):
            yield str(customer_id), [str(one) for one in cell]
        elif customer_id and cell:
            lists.setdefault(str(customer_id), []).append(str(cell))
    yield from lists.items()


def _batches(lists: Iterable[Listed]) -> Iterator[pa.RecordBatch]:
    left = iter(lists)
    while some := list(islice(left, _AT_ONCE)):
        columns = {
            CUSTOMER: [one.customer_id for one in some],
            PRODUCT: [[candidate.product for candidate in one.candidates] for one in some],
            "source": [[candidate.source for candidate in one.candidates] for one in some],
            "score": [[candidate.score for candidate in one.candidates] for one in some],
        }
        yield pa.RecordBatch.from_pydict(columns, schema=CANDIDATES)
