"""`manyarm decide`: one choice for every customer in a table."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.compute as pc

from bandit.errors import ConflictingDecision
from service.batch import decided_choices
from service.batch_runs import BatchRun, EarlierRun, begun_run, finish_run
from service.choices import Status, choices_schema
from service.clock import random_id
from service.commands.options import (
    advancing,
    answer,
    at_option,
    campaign_option,
    db_option,
    json_option,
    note,
    now_or,
    opened,
)
from service.desk import Job
from service.desks import expect_processes
from service.store import Log, Store
from service.table import rows_about
from service.table_writer import require_writable, write_batches
from service.user_check import check_table, content_of
from service.user_table import Columns, columns_for

WORTH_A_PROCESS = 50_000
"""Rows; a process takes a second or two to begin."""


@click.command(epilog="Example:  manyarm decide --users users.parquet --out choices.parquet")
@click.argument("users", type=click.Path(path_type=Path), required=False)
@click.option("--users", "users_option", type=click.Path(path_type=Path), help="The same as USERS.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("choices.csv"), show_default=True)
@click.option("--ignore", default="", metavar="COLUMNS", help="Columns to leave out, separated by commas.")
@click.option(
    "--variables",
    default="",
    metavar="COLUMNS",
    help="Columns to fill into texts, stored nowhere, separated by commas.",
)
@click.option(
    "--processes", type=click.IntRange(min=1), help="That decide; as many as cores where the table is long enough."
)
@click.option("--again", is_flag=True, help="Begin a new wave for a table that was decided before.")
@db_option
@campaign_option
@at_option
@json_option
def decide(  # noqa: PLR0913, PLR0917 - one parameter an option
    users: Path | None,
    users_option: Path | None,
    out: Path,
    ignore: str,
    variables: str,
    processes: int | None,
    again: bool,
    db: Path,
    campaign: Path,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Choose for every row of USERS (CSV or Parquet: customer_id, context columns, and decision_id for safe repeats).

    The whole table is checked before anything is decided. A run that was killed goes on when the same command is given
    again, with the ids and the snapshot it began with, and decides for nobody twice.
    """
    table = _one_of(users, users_option)
    if out.resolve() == table.resolve():
        raise click.UsageError(f"--out {out} is the table of customers itself: it would be lost. Name another file.")
    require_writable(out)
    if _processes(processes, rows_about(table)) > 1:
        expect_processes()
    with opened(db, campaign, at) as (store, log):
        columns = columns_for(table, log, ignored=_names(ignore), variables=_names(variables))
        n_rows = check_table(table, columns, log)
        run = _run(store, log, table, columns, n_rows, at=at, again=again)
        job = Job(db, log.log_id, log.campaign.toml, columns, run)
        counts = _written(store, log, table, out, job, n_rows, _processes(processes, n_rows))
        finish_run(store, run, now_or(at))
    n_decisions = counts.pop(Status.DECIDED)
    others = {f"n_{status.replace('-', '_')}": n for status, n in counts.items()}
    said = "".join(f", {n} rows {status}" for status, n in counts.items() if n)
    document = {"out": str(out), "n_decisions": n_decisions, **others}
    answer(document, f"Decided {n_decisions} sends{said}; choices in {out}, log in {db}.", as_json=as_json)


def _names(listed: str) -> list[str]:
    return [name for name in listed.split(",") if name]


def _one_of(argument: Path | None, option: Path | None) -> Path:
    if argument and option:
        raise click.UsageError(f"two tables, {argument} and --users {option}: name one.")
    found = argument or option
    if not found:
        raise click.UsageError("no table: name a CSV or Parquet file of customers, such as --users users.parquet.")
    return found


def _run(
    store: Store, log: Log, table: Path, columns: Columns, n_rows: int, *, at: datetime | None, again: bool
) -> BatchRun:
    """The run that a table goes on with, or a new one."""
    # A table with ids of its own repeats nothing, so it may always be run again.
    users_hash, repeats = content_of(table, columns), again or columns.has_ids
    run = begun_run(store, log, users_hash, n_rows, at=now_or(at), new_id=random_id, again=repeats)
    if isinstance(run, EarlierRun):
        raise ConflictingDecision(_refusal(table, run))
    if run.begun_before:
        note(
            f"{table} was begun at {run.begun_before.isoformat()} and not finished: going on with the decisions that are "
            "missing, now and from the snapshot that served then."
        )
    return run


def _refusal(table: Path, run: EarlierRun) -> str:
    if run.finished_at is None:
        return (
            f"{table} was begun at {run.at.isoformat()} and not finished, and the campaign file was changed since. Nothing was "
            "decided now, since customers who were decided for already would get a second message. Put the file back as it was "
            "and give the same command to go on, or say --again for a new wave to all of them."
        )
    return (
        f"{table} was decided before: begun at {run.at.isoformat()}, finished at {run.finished_at.isoformat()}. Nothing "
        "was decided now, since these customers would get a second message. Say --again for a new wave, or give the table "
        "a column decision_id, under which a second run only writes the same choices again."
    )


def _processes(asked: int | None, n_rows: int) -> int:
    return asked or max(1, min(os.cpu_count() or 1, n_rows // WORTH_A_PROCESS))


def _written(
    store: Store, log: Log, table: Path, out: Path, job: Job, n_rows: int, n_processes: int
) -> dict[Status, int]:
    """Decide, store, and write the choices; returns how many rows became what."""
    counts = dict.fromkeys(Status, 0)

    with advancing(n_rows, "deciding") as watch:
        choices = decided_choices(store, log, table, job, n_processes=n_processes, watch=watch)
        write_batches(out, choices_schema(log.campaign), (_counted(batch, counts) for batch in choices))
    return counts


def _counted(batch: pa.RecordBatch, counts: dict[Status, int]) -> pa.RecordBatch:
    for found in pc.value_counts(batch["status"]).to_pylist():
        counts[Status(found["values"])] += found["counts"]
    return batch
