"""Where a campaign may learn from before its first send: a former snapshot, the file's earlier logs, or a log as a table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from bandit.campaign import Campaign
from bandit.errors import BrokenSnapshot, UnusableLog
from bandit.group import Group
from bandit.learner import LearnerKind
from bandit.learners import learner_for
from bandit.log import RECENT_SENDS, LoggedDecision
from bandit.logged_time import without_unlike
from bandit.reward import State
from bandit.snapshot import Snapshot
from bandit.training import is_trained_on
from bandit.warm_start import HistoricalSend, LearnedLog, carry_over, learn_log
from bandit.wear_out import Exposure, exposures_of
from policies.registry import group_policies
from service.exported_exposures import exported_exposures
from service.foreign_log import ColumnMap, number_in, require_columns
from service.log_times import DECIDED_AT, made_of_times, moment_in
from service.outcome_worths import worth_behind
from service.outcomes_table import iterate_matured
from service.past_sends import stored_sends
from service.snapshots_table import add_snapshot, load_snapshot, newest_snapshot, promote
from service.store import Log, Store
from service.table import Cells, arms_in, columns_in, context_of, read_rows
from service.trainer import Trainer

EARLIER = "earlier"
"""The source that stands for all earlier logs of the campaign in the same database."""


@dataclass(frozen=True, slots=True)
class WarmStart:
    """What a campaign began with.

    Attributes:
        snapshot: its id.
        n_learned: decisions behind it.
        skipped: rows that taught nothing, by reason.
        unfit: context field to how many of its values did not fit the campaign and were learned as missing.
    """

    snapshot: str
    n_learned: int
    skipped: dict[str, int] = field(default_factory=dict)
    unfit: dict[str, int] = field(default_factory=dict)


def start_from_snapshot(store: Store, log: Log, name: str, at: datetime) -> WarmStart:
    """Begin with a snapshot that an earlier log of the same database trained.

    Raises:
        BrokenSnapshot: if there is none of that name, it is this log's own, it cannot be carried over, or the log has
            begun to learn.
    """
    row = store.reader().execute("SELECT log_id FROM snapshots WHERE snapshot = ?", (name,)).fetchone()
    loaded = load_snapshot(store.reader(), name)
    if row[0] == log.log_id:
        raise BrokenSnapshot(f"snapshot {name!r} is this campaign's own. To serve it: manyarm snapshot promote {name}")
    carried = carry_over(store.log(row[0]).campaign, loaded, log.campaign, _kind_of(log.campaign))
    return WarmStart(_begin_with(store, log, carried, at, f"warm start from {name}"), carried.n_learned)


def start_from_log(store: Store, log: Log, source: str, columns: ColumnMap | None, at: datetime) -> WarmStart:
    """Begin with what a log teaches.

    Args:
        store: where the campaign lives.
        log: its log, that has no snapshot yet.
        source: a CSV or Parquet file, or `earlier` for the campaign's earlier logs in this database.
        columns: which column is which, for a file that somebody else wrote.
        at: the time.

    Raises:
        UnusableLog: if no row of it fits the campaign, naming what was in the way; or if the campaign makes something of the
            time and a row does not say when it was, naming the row.
    """
    if source == EARLIER:
        Trainer(store, log).close_windows(at)
    learned = learn_log(log.campaign, _kind_of(log.campaign), _sends(store, log, source, columns))
    if learned.snapshot is None:
        raise UnusableLog(
            f"{source}: no row teaches this campaign anything ({_reasons(learned)}). Arms are matched by id: rename them in "
            "the file or in the campaign."
        )
    name = _begin_with(store, log, learned.snapshot, at, f"warm start from {source}")
    return WarmStart(name, learned.n_learned, dict(learned.skipped), dict(learned.unfit))


def _kind_of(campaign: Campaign) -> LearnerKind:
    return learner_for(campaign.learner, group_policies(campaign)[Group.LEARNER].needs)


def _reasons(learned: LearnedLog) -> str:
    return "; ".join(f"{count} rows: {reason}" for reason, count in learned.skipped.most_common(3)) or "it has no rows"


def _begin_with(store: Store, log: Log, snapshot: Snapshot, at: datetime, reason: str) -> str:
    return store.write(partial(_keep_first, log_id=log.log_id, snapshot=snapshot, at=at, reason=reason))


def _keep_first(connection: sqlite3.Connection, *, log_id: int, snapshot: Snapshot, at: datetime, reason: str) -> str:
    newest = newest_snapshot(connection, log_id)
    if newest is not None:
        raise BrokenSnapshot(
            f"this campaign has learned already (snapshot {newest}); starting over would forget it. A warm start is for a "
            "campaign that has no snapshot yet: give the file another [campaign] id, or another database."
        )
    name = add_snapshot(connection, log_id, snapshot, parent=None, newest=None, at=at)
    if name is None:
        raise BrokenSnapshot("somebody else trained this campaign at the same moment; nothing was changed.")
    promote(connection, log_id, name, at=at, reason=reason)
    return name


def _sends(store: Store, log: Log, source: str, columns: ColumnMap | None) -> Iterator[HistoricalSend | str]:
    if source == EARLIER:
        return _earlier_sends(store, log)
    path = Path(source)
    return _exported_sends(path, log.campaign) if columns is None else _foreign_sends(path, columns, log.campaign)


def _earlier_sends(store: Store, log: Log) -> Iterator[HistoricalSend]:
    for earlier in store.logs():
        if earlier.log_id == log.log_id or earlier.campaign.id != log.campaign.id:
            continue
        names = [dimension.name for dimension in earlier.campaign.dimensions]
        for row in iterate_matured(store.reader(), earlier.log_id, earlier.campaign, after=0):
            made = row.decision
            if is_trained_on(made):
                choice = dict(zip(names, made.arms, strict=True))
                propensities = dict(zip(names, made.propensities, strict=True))
                context = without_unlike(made.context, earlier.campaign, log.campaign)
                yield HistoricalSend(
                    context,
                    choice,
                    propensities,
                    None,
                    row.outcome_types,
                    _exposures(store, log, made),
                    made.decided_at,
                    f"decision {made.decision_id!r} of an earlier log",
                )


def _exposures(store: Store, log: Log, made: LoggedDecision) -> tuple[Exposure, ...]:
    """What the customer got before an earlier log's decision, counted as this campaign counts it."""
    spec = log.campaign.wear_out
    if spec is None:
        return ()
    found = stored_sends(store, log, (made.customer_key,), made.decided_at, before_seq=made.seq, whole=False)
    return exposures_of(log.campaign.dimensions, spec, [one.send for one in found if one.is_message], made.decided_at)


def _exported_sends(path: Path, campaign: Campaign) -> Iterator[HistoricalSend | str]:
    found = columns_in(path)
    names = [d.name for d in campaign.dimensions]
    missing = [column for column in ("reward", *(f"arm.{name}" for name in names)) if column not in found]
    if missing:
        raise UnusableLog(
            f"{path} has no column {', '.join(map(repr, missing))}, so it is no export of a campaign like this one. It has: "
            f"{', '.join(found) or 'no rows at all'}. For a log that somebody else wrote name its columns with --arm, --reward, "
            "--propensity and --context."
        )
    known, order = [item.name for item in campaign.schema.fields if f"context.{item.name}" in found], arms_in(path)
    is_timed = bool(made_of_times(path, found, campaign))
    for number, cells in enumerate(read_rows(path), start=1):
        send, row = _exported_send(cells, campaign, names, known), f"{path}, row {number}"
        if not isinstance(send, str):
            at = moment_in(cells[DECIDED_AT], DECIDED_AT, row) if is_timed else None
            send = replace(send, exposures=exported_exposures(cells, campaign, order), at=at, row=row)
        yield send


def _exported_send(
    cells: Cells, campaign: Campaign, names: Sequence[str], known: Sequence[str]
) -> HistoricalSend | str:
    """One row of an export of ours, or why it teaches nothing."""
    if cells.get("state", State.MATURED) != State.MATURED:
        return f"{cells['state']}: its reward was not final"
    if cells.get("group") == Group.CONTROL:
        return "control group: kept for comparison, never learned from"
    found = {name: number_in(cells[f"propensity.{name}"]) for name in names if f"propensity.{name}" in cells}
    propensities = {name: propensity for name, propensity in found.items() if propensity is not None}
    reward = number_in(cells["reward"])
    if reward is None or len(propensities) < len(found):
        return f"no number as {'reward' if reward is None else 'propensity'}"
    context = context_of({name: cells[f"context.{name}"] for name in known}, campaign.schema, known, lenient=True)
    choice = {name: str(cells[f"arm.{name}"]) for name in names}
    worth = worth_behind(campaign, choice, reward, number_in(cells.get(RECENT_SENDS)))
    return HistoricalSend(context, choice, propensities, worth)


def _foreign_sends(path: Path, columns: ColumnMap, campaign: Campaign) -> Iterator[HistoricalSend | str]:
    if len(campaign.dimensions) > 1:
        raise UnusableLog(
            f"a log with one column of arms cannot teach {len(campaign.dimensions)} dimensions. Use an export of a campaign "
            "with the same dimensions, or begin without a warm start."
        )
    require_columns(path, columns)
    undeclared = [name for name in columns.context if name not in campaign.schema]
    if undeclared:
        raise UnusableLog(
            f"--context names {', '.join(undeclared)}, which the campaign does not declare, so the learner would never see "
            f"them. Declared: {', '.join(item.name for item in campaign.schema.fields) or 'nothing'}. Rename the columns, "
            "declare them in the campaign file, or leave them out."
        )
    for number, cells in enumerate(read_rows(path), start=1):
        send, row = _foreign_send(cells, columns, campaign), f"{path}, row {number}"
        if columns.sent_at and campaign.time and not isinstance(send, str):
            send = replace(send, at=moment_in(cells[columns.sent_at], columns.sent_at, row), row=row)
        yield send


def _foreign_send(cells: Cells, columns: ColumnMap, campaign: Campaign) -> HistoricalSend | str:
    """One row of somebody else's log, or why it teaches nothing."""
    fixed = number_in(columns.propensity)
    propensity = number_in(cells[columns.propensity]) if fixed is None else fixed
    reward = number_in(cells[columns.reward])
    if reward is None or propensity is None:
        return f"no number as {'reward' if reward is None else 'propensity'}"
    name, arm = campaign.dimensions[0].name, str(cells[columns.arm])
    context = context_of(cells, campaign.schema, columns.context, lenient=True)
    return HistoricalSend(context, {name: arm}, {name: propensity}, reward)
