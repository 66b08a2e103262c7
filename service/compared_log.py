"""The rows that `manyarm compare` asks about, as columns in order of decision: from a database, an export, or a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bandit.arrays import BoolArray, FloatArray
from bandit.context import ContextValue
from bandit.errors import UnusableLog
from bandit.group import Group
from bandit.reward import REWARD
from bandit.training import Matured
from evaluation.log_batch import IntArray, Layout, LogBatch, Sends
from service.erased_sums import ErasedSums, read_sums
from service.export_source import ExportSource
from service.log_source import AT_ONCE, ERASED, PENDING, ForeignSource, batch_of
from service.outcomes_table import count_pending, iterate_matured
from service.store import Log, Store

ALL_GROUPS = frozenset(group.value for group in Group)

Watch = Callable[[Iterable[LogBatch]], Iterable[LogBatch]]
"""Passes batches through, so that a progress bar can watch them."""


@dataclass(frozen=True, slots=True, eq=False)
class ComparedLog:
    """Matured rows in order of decision.

    Attributes:
        layout: dimensions and arms.
        metric: what `rewards` are: the reward, or 1 where an outcome of that type happened.
        rewards: shape (n,).
        rewarded: shape (n,), whether outcomes were worth anything, where recent messages cost something; else None.
        reward_range: least and largest that a send can have; None where nobody says.
        groups: shape (n,); all "random" where the log knows no groups.
        customers: shape (n,), a number for each customer.
        known: shape (n,), for each row how many rows had their reward when it was decided; see `arrived`.
        picks: shape (n, n_dimensions).
        pmfs: for each dimension shape (n, n_arms); empty where the log has none.
        happened: 1 where an outcome of that type happened, each of shape (n,).
        segments: the context column asked for, as text; None where nobody asked.
        shares: of the groups in the campaign; empty where nobody says.
        dropped: rows left out, by reason.
        erased: sums of rows that were erased, by group.
    """

    layout: Layout
    metric: str
    rewards: FloatArray
    rewarded: BoolArray | None
    reward_range: tuple[float, float] | None
    groups: NDArray[np.object_]
    customers: IntArray
    known: IntArray
    picks: IntArray
    pmfs: tuple[FloatArray, ...]
    happened: Mapping[str, FloatArray] = field(default_factory=dict)
    segments: NDArray[np.object_] | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    erased: Mapping[str, ErasedSums] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rewards)

    def of(self, group: Group) -> BoolArray:
        """Which rows are of a group, shape (n,)."""
        found: BoolArray = self.groups == group.value
        return found


def from_store(store: Store, log: Log, metric: str, by: str, watch: Watch = iter) -> ComparedLog:
    """From our database.

    Args:
        store: with the log.
        log: the campaign's.
        metric: `reward`, or a type of outcome.
        by: a context name, or empty.
        watch: sees every batch.

    Raises:
        UnusableLog: if nothing has matured, or metric or context name do not exist.
    """
    campaign = log.campaign
    if metric not in {REWARD, *campaign.reward.types}:
        raise UnusableLog(
            f"--metric {metric!r}: this campaign knows {', '.join((REWARD, *campaign.reward.types))}. Name one of them."
        )
    _require_name(by, [item.name for item in campaign.schema.fields])
    found = sorted(iterate_matured(store.reader(), log.log_id, campaign, after=0), key=lambda one: one.decision.seq)
    batches = list(watch(_blocks(found, log)))
    types = {
        kind: np.array([kind in one.outcome_types for one in found], dtype=np.float64) for kind in campaign.reward.types
    }
    read = _joined(batches, REWARD, by, campaign.reward.window, campaign.reward.bounds)
    erased = read_sums(store.reader(), log.log_id)
    n_erased = sum(sums.n_decisions for sums in erased.values())
    left_out = {PENDING: count_pending(store.reader(), log.log_id), ERASED: n_erased}
    return replace(
        read,
        metric=metric,
        rewards=read.rewards if metric == REWARD else types[metric],
        rewarded=read.rewarded if metric == REWARD else None,
        reward_range=campaign.reward.bounds if metric == REWARD else (0.0, 1.0),
        happened=types,
        shares={group.value: share for group, share in campaign.groups.shares.items()},
        dropped={reason: n for reason, n in left_out.items() if n},
        erased=erased,
    )


def from_export(source: ExportSource, metric: str, by: str, watch: Watch = iter) -> ComparedLog:
    """From an export of ours; `metric` is any of its columns that holds numbers.

    Raises:
        UnusableLog: if no row counts, or the context name does not exist.
    """
    _require_name(by, (*source.names, *source.made))
    columns = () if metric == REWARD else (metric,)
    asked = replace(source.with_context((by,)), groups=ALL_GROUPS, targets=columns, asks_who=True)
    batches = list(watch(asked.batches()))
    declared = source.declared
    # What a reward can be says nothing of another column.
    bounds = source.bounds if metric == REWARD else None
    read = _joined(batches, metric, by, declared.reward.window if declared else None, bounds)
    shares = {group.value: share for group, share in declared.groups.shares.items()} if declared else {}
    return replace(read, shares=shares, dropped={reason: n for reason, n in asked.dropped.items() if n})


def from_table(source: ForeignSource, by: str, customers: Sequence[str] | None, watch: Watch = iter) -> ComparedLog:
    """From a table that somebody else wrote: one dimension, all of it drawn at random.

    Args:
        source: the table.
        by: a context column, or empty.
        customers: the customer of each row; None where each row is another one.
        watch: sees every batch.

    Raises:
        UnusableLog: if no row counts, or the context column was not mapped.
    """
    _require_name(by, [item.name for item in source.log.schema.fields])
    batches = list(watch(source.batches()))
    read = _joined(batches, REWARD, by, None, (0.0, 1.0) if source.log.is_binary else None)
    read = replace(read, metric=source.log.columns.reward)
    if customers is None:
        return read
    return replace(read, customers=_codes(np.asarray(customers, dtype=object)))


def arrived(decided_at: NDArray[np.datetime64], due_at: NDArray[np.datetime64]) -> IntArray:
    """For each row, the earlier rows whose reward had arrived when it was decided, counted from the first: shape (n,).

    Rewards that came before an older, still open one wait for it, so that a count is enough.

    >>> day = np.array(["2026-01-01", "2026-01-02", "2026-01-05"], dtype="datetime64[D]")
    >>> arrived(day, day + np.timedelta64(3, "D")).tolist()
    [0, 0, 2]
    """
    complete = np.maximum.accumulate(due_at)
    counts = np.searchsorted(complete, decided_at, side="right")
    return np.asarray(np.minimum(counts, np.arange(len(counts))), dtype=np.int64)


def _blocks(found: Sequence[Matured], log: Log) -> Iterator[LogBatch]:
    for start in range(0, len(found), AT_ONCE):
        rows = [one.decision for one in found[start : start + AT_ONCE]]
        who = Sends(
            np.array([row.group for row in rows], dtype=object),
            np.array([row.customer_key for row in rows], dtype=object),
            np.array([_utc(row.decided_at) for row in rows], dtype="datetime64[us]"),
            np.array([_utc(row.sent_at) for row in rows], dtype="datetime64[us]"),
        )
        yield replace(batch_of(rows, log.campaign, start), sends=who)


def _utc(moment: object) -> object:
    return moment and moment.replace(tzinfo=None)  # type: ignore[attr-defined]


def _joined(
    batches: Sequence[LogBatch],
    metric: str,
    by: str,
    window: timedelta | None,
    reward_range: tuple[float, float] | None,
) -> ComparedLog:
    if not batches:
        raise UnusableLog(
            "no row has a final reward, so there is nothing to compare. Wait until the attribution window of the first sends "
            "has passed, and let `manyarm learn` close it."
        )
    rewards = np.concatenate([b.rewards if metric == REWARD else _numbers(b.targets[metric], metric) for b in batches])
    costs = metric == REWARD and any(batch.may_cost for batch in batches)
    rewarded = np.concatenate([batch.rewarded for batch in batches]) if costs else None
    picks = np.concatenate([batch.picks for batch in batches])
    n_dimensions = len(batches[0].layout.dimensions)
    pmfs = (
        ()
        if batches[0].pmfs is None
        else tuple(np.concatenate([(b.pmfs or ())[d] for b in batches]) for d in range(n_dimensions))
    )
    segments = np.concatenate([_texts(batch.context[by]) for batch in batches]) if by else None
    groups, customers, known = _who(batches, len(rewards), window)
    parts = (rewards, rewarded, reward_range, groups, customers, known, picks, pmfs)
    return ComparedLog(batches[0].layout, metric, *parts, segments=segments)


def _numbers(values: NDArray[np.generic], metric: str) -> FloatArray:
    found: FloatArray = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(dtype=np.float64)
    broken = np.flatnonzero(~np.isfinite(found))
    if len(broken):
        raise UnusableLog(
            f"--metric {metric!r}: the column holds {str(values[broken[0]])[:60]!r} ({len(broken)} rows like it), need finite "
            "numbers. Name a column that counts something of every send."
        )
    return found


def _who(
    batches: Sequence[LogBatch], n: int, window: timedelta | None
) -> tuple[NDArray[np.object_], IntArray, IntArray]:
    """Groups, customers and what was known when; a table has none of these, and each row counts as another customer."""
    sends = [batch.sends for batch in batches if batch.sends is not None]
    if not sends:
        return np.full(n, Group.RANDOM.value, dtype=object), np.arange(n), np.arange(n)
    groups, customers = (np.concatenate([getattr(one, name) for one in sends]) for name in ("groups", "customers"))
    decided_at, sent_at = (np.concatenate([getattr(one, name) for one in sends]) for name in ("decided_at", "sent_at"))
    if window is None:
        return groups, _codes(customers), np.arange(n)
    begun_at: NDArray[np.datetime64] = np.where(np.isnat(sent_at), decided_at, sent_at)
    return groups, _codes(customers), arrived(decided_at, np.asarray(begun_at + np.timedelta64(window)))


def _codes(keys: NDArray[np.object_]) -> IntArray:
    codes, _ = pd.factorize(keys)
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise UnusableLog(
            f"row {missing[0] + 1} has no customer key ({len(missing)} such rows). Sends without a key would count as one "
            "customer and spoil every interval: drop them and say how many were dropped."
        )
    return np.asarray(codes, dtype=np.int64)


def _texts(values: Sequence[ContextValue]) -> NDArray[np.object_]:
    return np.array(["(missing)" if value is None or value == "" else str(value) for value in values], dtype=object)


def _require_name(by: str, names: Sequence[str]) -> None:
    if by and by not in names:
        raise UnusableLog(
            f"--by {by!r}: the log has no such context. It has: {', '.join(names) or 'none'}; a table's columns are mapped "
            "with --context."
        )
