"""Whom a command is about: one customer_id, or a table of them."""

from __future__ import annotations

from pathlib import Path

import click

from bandit.engine import check_ids
from bandit.errors import UnusableLog
from service.table import read_rows

COLUMN = "customer_id"
file_option = click.option(
    "--file", "file", type=click.Path(path_type=Path), help="A table (.csv, .parquet) with the column customer_id."
)


def customer_ids(customer_id: str | None, file: Path | None) -> list[str]:
    """The customers named, each once.

    Raises:
        UsageError: if none or both were named.
        UnusableLog, InvalidContext: for a table without the column, or an id that nobody can have.
    """
    if (customer_id is None) == (file is None):
        raise click.UsageError("name one customer, CUSTOMER_ID, or a table of them with --file.")
    ids = [customer_id] if customer_id is not None else list(_ids_in(file or Path()))
    for one in ids:
        check_ids(one, one)
    return list(dict.fromkeys(ids))


def _ids_in(path: Path) -> list[str]:
    found = []
    for cells in read_rows(path):
        if COLUMN not in cells:
            raise UnusableLog(f"{path} has the columns {', '.join(cells)}; need {COLUMN}: the ids given to decide.")
        found.append("" if cells[COLUMN] is None else str(cells[COLUMN]))
    return found
