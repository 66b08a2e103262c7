"""When the rows of a table were decided: what a campaign's `[time]` is made of where the table does not hold it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from bandit.campaign import Campaign
from bandit.context import ContextValue
from bandit.errors import InvalidOutcome, UnusableLog
from bandit.logged_time import filled_in, unheld
from bandit.time_context import TimeContext
from service.table import columns_in, time_of

DECIDED_AT = "decided_at"
"""Column of an export of ours."""


def moment_in(cell: object, column: str, row: str) -> datetime:
    """The time in a cell.

    Args:
        cell: an ISO 8601 text with its zone, or a time of Parquet.
        column: where it stands.
        row: which it is, for messages.

    Raises:
        UnusableLog: if it is empty or no time with a zone, naming the row.

    >>> moment_in("2026-11-21T22:45:00+01:00", "sent_at", "row 1").isoformat()
    '2026-11-21T21:45:00+00:00'
    """
    try:
        found = time_of(cell, what=column)
    except InvalidOutcome:
        found = None
    if found is None:
        raise UnusableLog(
            f"{row}: {column} is {str('' if cell is None else cell)[:60]!r}, need an ISO 8601 time with its zone, such as "
            "2026-11-22T09:00:00Z: the fields of [time] are made of it. Correct or drop that row."
        )
    return found


def made_of_times(path: Path, columns: Collection[str], campaign: Campaign) -> tuple[str, ...]:
    """Fields of `[time]` that an export does not hold, and that are to be made of its rows' times.

    Args:
        path: of the export.
        columns: it has.
        campaign: that reads it.

    Raises:
        UnusableLog: as `require_times`.
    """
    made = unheld(campaign.time, {name.removeprefix("context.") for name in columns if name.startswith("context.")})
    if made:
        require_times(path, made, campaign)
    return made


def require_times(path: Path, made: Sequence[str], campaign: Campaign) -> None:
    """Refuse an export that does not say what fields of `[time]` are made of.

    Args:
        path: of the export.
        made: the fields.
        campaign: that makes them.

    Raises:
        UnusableLog: if it does not say when its rows were decided, or was written without the personal field that names zones.
    """
    found, names = columns_in(path), ", ".join(made)
    if DECIDED_AT not in found:
        raise UnusableLog(
            f"{path} has no column {DECIDED_AT!r}, of which {names} of [time.fields] must be made. Export the log again, or "
            "take [time] out of the campaign file."
        )
    sources = campaign.time.sources if campaign.time else ()
    hidden = [name for name in sources if f"context.{name}" not in found and campaign.schema[name].personal]
    if hidden:
        raise UnusableLog(
            f"{path} has no column {f'context.{hidden[0]}'!r}, which says where customers live: {names} of [time.fields] would "
            "be those of another place. Export the log again with --personal."
        )


def made_columns(
    time: TimeContext,
    made: Sequence[str],
    columns: Mapping[str, Sequence[ContextValue]],
    moments: Sequence[datetime],
    rows: Sequence[str],
) -> dict[str, list[ContextValue]]:
    """What is made of the times of many rows, a column for each field.

    Args:
        time: of the campaign.
        made: the fields.
        columns: what the log holds, by name.
        moments: when each row was decided.
        rows: which each is, for messages.

    Raises:
        UnusableLog: if a row names a zone that is none, naming the row.
    """
    known = [{name: columns[name][place] for name in time.sources if name in columns} for place in range(len(moments))]
    found = [filled_in(time, one, at, row) for one, at, row in zip(known, moments, rows, strict=True)]
    return {name: [one[name] for one in found] for name in made}
