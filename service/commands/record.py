"""`manyarm record`: outcomes and sendings into the log."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path

import click

from bandit.context import is_unicode
from bandit.errors import EngineError, InvalidOutcome
from bandit.reward import Outcome
from service.commands.options import answer, at_option, existing, existing_db_option, json_option, now_or, progress
from service.outcomes_table import Receipt, record_not_sent, record_outcome, record_sent
from service.silent_rows import refuse_silent
from service.store import Store
from service.table import Cells, read_rows, time_of

SENT, NOT_SENT = "sent", "not_sent"
AT_ONCE = 1000
MOST_SHOWN = 20
Report = tuple[str, str, str, datetime | None]
"""event_id, decision_id, type, and the time where it was given."""


@click.command(
    epilog="Example:  manyarm record events.csv\n\nExample:  manyarm record --decision d17 --type click --event-id e1"
)
@click.argument("events", type=click.Path(path_type=Path), required=False)
@click.option("--decision", help="Record one event: the decision_id.")
@click.option("--type", "kind", help="Record one event: its type, or sent / not_sent.")
@click.option("--event-id", help="Record one event: its own id; a repetition with the same id is harmless.")
@existing_db_option
@at_option
@json_option
@click.pass_context
def record(
    ctx: click.Context,
    events: Path | None,
    decision: str | None,
    kind: str | None,
    event_id: str | None,
    db: Path,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Record what happened: a table EVENTS with event_id, decision_id, type and at, or one event by options.

    The types `sent` and `not_sent` report the sending itself. A row that cannot be recorded is shown and spoils no other;
    then the exit status is 1.
    """
    if (events is None) == (decision is None):
        raise click.UsageError("name a table of events, or one event with --decision and --type.")
    if decision is not None:
        reports: Iterator[Report | str] = iter([_single(decision, kind, event_id, at)])
    else:
        reports = (_report(number, cells) for number, cells in enumerate(read_rows(events or Path()), start=1))
    with existing(db) as store, progress(reports, "recording") as bar:
        counts, refused = _record_all(store, iter(bar), now_or(at))
    document = {**{receipt.value: counts[receipt] for receipt in Receipt}, "refused": refused}
    text = ", ".join(f"{name} {count}" for name, count in document.items() if name != "refused")
    lines = [f"{text}, refused {len(refused)}", *(f"  {reason}" for reason in refused[:MOST_SHOWN])]
    answer(document, "\n".join(lines), as_json=as_json)
    ctx.exit(1 if refused else 0)


def _single(decision: str, kind: str | None, event_id: str | None, at: datetime | None) -> Report:
    if not kind or (kind not in {SENT, NOT_SENT} and not event_id):
        raise click.UsageError("one event needs --type, and --event-id unless the type is sent or not_sent.")
    return event_id or "", decision, kind, at


def _report(number: int, cells: Cells) -> Report | str:
    """A row as a report, or why it is none."""
    missing = [name for name in ("decision_id", "type") if not cells.get(name)]
    if missing or not (cells.get("event_id") or cells.get("type") in {SENT, NOT_SENT}):
        return (
            f"row {number} has no {', '.join(missing) or 'event_id'}; need the columns event_id, decision_id, type and, "
            "where known, at. Correct it and run the table again: repeated events are harmless."
        )
    try:
        at = time_of(cells.get("at"), what=f"at of row {number}")
    except InvalidOutcome as error:
        return str(error)
    return str(cells.get("event_id") or ""), str(cells["decision_id"]), str(cells["type"]), at


def _record_all(store: Store, reports: Iterator[Report | str], now: datetime) -> tuple[Counter[Receipt], list[str]]:
    counts: Counter[Receipt] = Counter()
    refused: list[str] = []
    while group := list(islice(reports, AT_ONCE)):
        for found in store.write(partial(_record_group, store=store, group=group, now=now)):
            if isinstance(found, Receipt):
                counts[found] += 1
            else:
                refused.append(found)
    return counts, refused


def _record_group(
    connection: sqlite3.Connection, *, store: Store, group: list[Report | str], now: datetime
) -> list[Receipt | str]:
    """Each report in turn; a refused one changes nothing, so the others stand."""
    found: list[Receipt | str] = []
    for report in group:
        if isinstance(report, str):
            found.append(report)
            continue
        try:
            found.append(_record_one(connection, store, report, now))
        except EngineError as error:
            found.append(f"{report[2]} {report[0]}: {error}".encode("utf-8", "backslashreplace").decode())
    return found


def _record_one(connection: sqlite3.Connection, store: Store, report: Report, now: datetime) -> Receipt:
    event_id, decision_id, kind, at = report
    if not is_unicode(event_id + decision_id + kind):
        raise InvalidOutcome("an id or type holds bytes that are no text; write it in UTF-8.")
    if kind in {SENT, NOT_SENT}:
        refuse_silent(connection, decision_id, store.silent_of)
    if kind == SENT:
        return record_sent(connection, decision_id, at or now, store.reward_of, now, timed=at is not None)
    if kind == NOT_SENT:
        return record_not_sent(connection, decision_id)
    outcome = Outcome(event_id, decision_id, kind, at or now)
    return record_outcome(connection, outcome, store.reward_of, now, timed=at is not None)
