"""Reads a log for fitting a world to it: our database, an export of it, or somebody else's table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import FloatArray
from bandit.campaign import Campaign, LearnerSpec
from bandit.context import ContextValue
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.log_batch import Layout, LogBatch
from service.evaluating import NO_CAMPAIGN
from service.export_source import ExportSource
from service.foreign_log import ForeignLog, kept_rows
from service.log_source import ForeignSource, LogSource, StoreSource
from service.log_times import moment_in, require_times
from service.outcome_worths import worths_behind
from service.outcomes_table import iterate_matured
from simulator.click_world import START
from simulator.fit_rows import FitRows
from simulator.world import ChoiceGrid

MOST_LEVELS: Final = 8
EVENTS_A_LEVEL: Final = 50
"""Fewer non-zero rewards are not divided further: what a level does could not be told."""
REWARD: Final = "reward"
_NOTHING = "the log has no row with a final reward, so no world can be fitted to it: wait, or check the groups."
_HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """Rewards as outcomes: which level of the amount a send brought, if any.

    Attributes:
        events: level to what it is worth, the mean of its rewards.
        labels: shape (n, n_levels), 1 at each row's level; nothing where the reward is 0.
    """

    events: dict[str, float]
    labels: FloatArray


def levels_of(rewards: FloatArray, most: int = MOST_LEVELS) -> Levels:
    """Levels of non-zero rewards, by quantiles.

    One value other than 0 is one type, `reward`; a few are a level each; more are divided at their quantiles into at most
    `most` levels of at least `EVENTS_A_LEVEL` rewards each, so that the sum over levels of rate x worth is the mean reward.

    Args:
        rewards: shape (n,), any unit.
        most: levels.

    Raises:
        UnusableLog: if every reward is 0.

    >>> levels_of(np.array([0.0, 2.5, 0.0])).events
    {'reward': 2.5}
    >>> levels_of(np.array([0.0, 10.0, 30.0, 30.0])).events
    {'reward-1': 10.0, 'reward-2': 30.0}
    """
    at = np.flatnonzero(rewards)
    if not at.size:
        raise UnusableLog(
            "every reward in the log is 0, so nothing can be fitted to it. Check which column is the reward."
        )
    values = np.unique(rewards[at])
    level = np.searchsorted(values, rewards[at])
    if len(values) > most:
        wanted = int(np.clip(len(at) // EVENTS_A_LEVEL, 1, most))
        inner = np.unique(np.quantile(rewards[at], np.linspace(0.0, 1.0, wanted + 1)[1:-1]))
        level = np.unique(np.searchsorted(inner, rewards[at], side="right"), return_inverse=True)[1].ravel()
    labels = np.zeros((len(rewards), int(level.max()) + 1))
    labels[at, level] = 1.0
    worths = [float(rewards[at][level == k].mean()) for k in range(labels.shape[1])]
    names = [f"{REWARD}-{k + 1}" for k in range(len(worths))] if len(worths) > 1 else [REWARD]
    return Levels(dict(zip(names, worths, strict=True)), labels)


def fit_rows_of(source: LogSource) -> tuple[FitRows, Campaign]:
    """The log of a source, and the campaign that a world fitted to it is of.

    Our database tells which outcomes happened and when. An export and a foreign log tell rewards alone: one outcome where
    there is one amount, else levels of it (see `levels_of`), and then the campaign rewards these.

    Args:
        source: matured rows of the groups it names are read.

    Raises:
        InvalidSettings: if nobody declared the log's context.
        UnusableLog: if there are too few rows, or all rewards are 0; or, of an export, as `require_times`.
    """
    if isinstance(source, StoreSource):
        return _stored(source)
    if isinstance(source, ExportSource):
        if source.declared is None:
            raise InvalidSettings(NO_CAMPAIGN)
        if source.declared.time:
            # The world makes the time anew where customers live, whether the export holds it or not.
            require_times(source.path, tuple(source.declared.time.kinds), source.declared)
        return _rewarded(replace(source, asks_who=True), source.declared)
    if isinstance(source, ForeignSource):
        return _rewarded(source, source.campaign)
    raise InvalidSettings(
        f"a world cannot be fitted to {type(source).__name__}: use --db, an export, or a mapped table."
    )


class _Sent(NamedTuple):
    """What is kept of a decision: its pmfs would be most of the memory."""

    seq: int
    decision_id: str
    context: Mapping[str, ContextValue]
    places: tuple[int, ...]
    propensity: float
    labels: tuple[float, ...]
    customer: str
    at: datetime


def _stored(source: StoreSource) -> tuple[FitRows, Campaign]:
    campaign = source.log.campaign
    sent = sorted(_sent(source, campaign))
    if not sent:
        raise UnusableLog(_NOTHING)
    start = min((one.at for one in sent), default=START)
    rows = FitRows(
        ChoiceGrid({d.name: d.ids for d in campaign.dimensions}),
        [one.context for one in sent],
        np.array([one.places for one in sent], dtype=np.int64).reshape(len(sent), -1),
        np.array([one.propensity for one in sent]),
        np.array([one.labels for one in sent]).reshape(len(sent), -1),
        campaign.reward.types,
        campaign.reward.worths,
        [one.customer for one in sent],
        _delays(source, {one.decision_id for one in sent}),
        np.array([(one.at - start).total_seconds() / 3600.0 for one in sent]),
        start,
    )
    return rows, campaign


def _sent(source: StoreSource, campaign: Campaign) -> Iterator[_Sent]:
    """Matured decisions of the groups asked for."""
    for row in iterate_matured(source.store.reader(), source.log.log_id, campaign, after=source.after):
        made = row.decision
        if made.group in source.groups:
            places = tuple(d.index_of(arm) for d, arm in zip(campaign.dimensions, made.arms, strict=True))
            labels = campaign.reward.labels_of(row.outcome_types)
            yield _Sent(
                made.seq, made.decision_id, made.context, places, math.prod(made.propensities), labels, made.customer_key,
                made.decided_at,
            )  # fmt: skip


def _delays(source: StoreSource, kept: AbstractSet[str]) -> dict[str, FloatArray]:
    """Hours from send to the first outcome of each type within its window, of the decisions that are kept."""
    query = """SELECT o.decision_id, o.type, min(julianday(o.at)) - julianday(coalesce(d.sent_at, d.send_at, d.decided_at))
               FROM outcomes o JOIN decisions d ON d.decision_id = o.decision_id
               WHERE d.log_id = ? AND d.state = 'matured' AND o.late = 0 AND o.verdict IS NOT 'machine'
               GROUP BY o.decision_id, o.type"""
    found: dict[str, list[float]] = {}
    for decision_id, name, days in source.store.reader().execute(query, (source.log.log_id,)):
        if decision_id in kept:
            # Clocks differ: what seems to come before its send came at once.
            found.setdefault(name, []).append(max(24.0 * days, 0.0))
    return {name: np.array(hours) for name, hours in sorted(found.items())}


def _rewarded(source: ExportSource | ForeignSource, campaign: Campaign) -> tuple[FitRows, Campaign]:
    batches = list(source.batches())
    if not batches:
        raise UnusableLog(_NOTHING)
    rewards = np.concatenate([worths_behind(batch, campaign) for batch in batches])
    amounts = levels_of(rewards)
    rewarded = _rewarding(campaign, amounts)
    order = [list(amounts.events).index(name) for name in rewarded.reward.types] if len(amounts.events) > 1 else [0]
    customers, at, start = _who_and_when(batches)
    if isinstance(source, ForeignSource) and source.log.columns.sent_at:
        at, start = _hours_since_first(_said_times(source.log))
    rows = FitRows(
        _grid(source.layout),
        [context for batch in batches for context in batch.contexts()],
        np.concatenate([batch.picks for batch in batches]),
        np.concatenate([batch.propensities.prod(axis=1) for batch in batches]),
        amounts.labels[:, order],
        rewarded.reward.types,
        rewarded.reward.worths,
        customers,
        {},
        at,
        start,
        exclusive=len(order) > 1,
    )
    return rows, rewarded


def _rewarding(campaign: Campaign, amounts: Levels) -> Campaign:
    """The campaign as far as its log tells: with its one outcome, or with levels of the reward."""
    if len(amounts.events) == 1 and len(campaign.reward.events) == 1:
        (worth,) = amounts.events.values()
        events = {campaign.reward.types[0]: worth}
    else:
        events = amounts.events
    options = {k: v for k, v in campaign.learner.options.items() if k != "target" or len(events) > 1}
    learner = LearnerSpec(campaign.learner.name, options)
    reward = replace(campaign.reward, events=events)
    return replace(campaign, reward=reward, learner=learner, wear_out=None)


def _grid(layout: Layout) -> ChoiceGrid:
    return ChoiceGrid(dict(zip(layout.dimensions, layout.arms, strict=True)))


def _who_and_when(batches: Sequence[LogBatch]) -> tuple[list[str], FloatArray | None, datetime]:
    """Customers and hours since the first send; where the log does not say, everybody is somebody else."""
    sends = [batch.sends for batch in batches]
    if any(one is None for one in sends):
        return [f"row {number}" for batch in batches for number in batch.numbers], None, START
    known = [one for one in sends if one is not None]
    at, start = _hours_since_first(np.concatenate([one.decided_at for one in known]))
    return [str(key) for one in known for key in one.customers], at, start


def _hours_since_first(times: NDArray[np.datetime64]) -> tuple[FloatArray, datetime]:
    """Hours since the first of some times in UTC, and that one."""
    exact = times.astype("datetime64[us]")
    first = exact.min()
    return (exact - first) / _HOUR, first.item().replace(tzinfo=UTC)


def _said_times(log: ForeignLog) -> NDArray[np.datetime64]:
    """When each send of somebody else's log was, in UTC.

    Raises:
        UnusableLog: for a row that does not say it, naming the row.
    """
    name = log.columns.sent_at
    rows = enumerate(kept_rows(log.path, log.columns.where), start=1)
    found = [moment_in(cells[name], name, f"{log.path}, row {number}") for number, cells in rows]
    return np.array([moment.replace(tzinfo=None) for moment in found], dtype="datetime64[us]")
