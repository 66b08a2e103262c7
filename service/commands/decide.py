"""`manyarm decide`: one choice for every customer in a table."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
import pyarrow as pa

from service.batch import cells_for, check_table, columns_for, decide_all, requests_in
from service.clock import random_id
from service.commands.options import (
    answer,
    at_option,
    campaign_option,
    db_option,
    json_option,
    now_or,
    opened,
    progress,
)
from service.store import Log
from service.table_writer import TIME, require_writable, write_rows
from service.trainer import engine_for


@click.command(epilog="Example:  manyarm decide users.csv --out choices.csv")
@click.argument("users", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("choices.csv"), show_default=True)
@click.option("--ignore", default="", metavar="COLUMNS", help="Columns to leave out, separated by commas.")
@db_option
@campaign_option
@at_option
@json_option
def decide(users: Path, out: Path, ignore: str, db: Path, campaign: Path, at: datetime | None, as_json: bool) -> None:
    """Choose for every row of USERS (CSV or Parquet: customer_id, context columns, and decision_id for safe repeats).

    The whole table is checked before anything is decided.
    """
    require_writable(out)
    with opened(db, campaign, at) as (store, log):
        columns = columns_for(users, log, ignored=[name for name in ignore.split(",") if name])
        n_rows = check_table(users, columns, log)
        requests = requests_in(users, columns, log, random_id)
        made = decide_all(store, log, engine_for(store, log), requests, now_or(at))
        with progress(made, "deciding", n_rows) as rows:
            write_rows(out, output_schema(log), (cells_for(request, decision, log) for request, decision in rows))
    document = {"out": str(out), "n_decisions": n_rows}
    answer(document, f"Decided {n_rows} sends; choices in {out}, log in {db}.", as_json=as_json)


def output_schema(log: Log) -> pa.Schema:
    """Columns of the table of choices."""
    names = [d.name for d in log.campaign.dimensions]
    return pa.schema(
        [
            ("decision_id", pa.string()),
            ("customer_id", pa.string()),
            ("group", pa.string()),
            *[(f"arm.{name}", pa.string()) for name in names],
            *[(f"text.{name}", pa.string()) for name in names],
            ("propensity", pa.float64()),
            ("send_at", TIME),
        ]
    )
