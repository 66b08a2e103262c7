"""Logs to evaluate, in batches of columns: our database, an export of it, somebody else's table, or VW's DSJSON.

Each source can be read again and again, and says which rows it left out and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice
from typing import Protocol

import numpy as np

from bandit.campaign import Campaign, LearnerSpec, PolicySpec
from bandit.group import Group
from bandit.log import LoggedDecision
from bandit.reward import RewardSpec, State
from evaluation.log_batch import Layout, LogBatch
from service.erased_sums import read_sums
from service.foreign_log import ForeignLog, number_in
from service.offered_arms import with_offered
from service.outcome_worths import with_worths
from service.outcomes_table import iterate_matured
from service.store import Log, Store

AT_ONCE = 50_000
"""Rows in memory at a time."""
PENDING = "no final reward yet"
OTHER_GROUP = "other group"
USUAL_GROUPS = frozenset({Group.LEARNER.value, Group.RANDOM.value})
"""Control rows have no propensities to weigh by: everybody got the same."""
LEARNED = "the snapshot learned from them"
ERASED = "erased since: only what their groups earned is known"


class LogSource(Protocol):
    """A log that can be read in batches."""

    @property
    def layout(self) -> Layout:
        """Its dimensions and arms."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Rows left out of the last pass, by reason."""

    @property
    def campaign(self) -> Campaign | None:
        """A campaign with its arms and context and one reward, for learners; None where nobody declared one."""

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Least and largest reward that a send can have; None where nobody says, so that it could be anything."""

    def batches(self) -> Iterator[LogBatch]:
        """Begin a new pass."""


@dataclass(frozen=True, slots=True)
class ForeignSource:
    """A table that somebody else wrote, through a mapping of its columns.

    Attributes:
        log: read and checked.
        targets: columns with a target's probability of what was logged.
    """

    log: ForeignLog
    targets: tuple[str, ...] = ()
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def layout(self) -> Layout:
        """One dimension, the arm's column."""
        return Layout((self.log.columns.arm,), (self.log.arms,))

    @property
    def campaign(self) -> Campaign:
        """Made from what was found."""
        return self.log.campaign(PolicySpec("uniform", 0.0), LearnerSpec())

    @property
    def bounds(self) -> None:
        """Not known."""
        return

    def batches(self) -> Iterator[LogBatch]:
        """Rows in file order."""
        index = {arm: k for k, arm in enumerate(self.log.arms)}
        names = [item.name for item in self.log.schema.fields]
        number, rows = 0, self.log.rows_with(self.targets)
        while block := list(islice(rows, AT_ONCE)):
            propensities = np.array([row.propensity for row, _ in block])[:, None]
            yield LogBatch(
                self.layout,
                np.arange(number + 1, number + 1 + len(block)),
                np.array([row.reward for row, _ in block]),
                np.array([index[row.arm] for row, _ in block])[:, None],
                propensities,
                self._pmfs(propensities),
                {name: [row.context[name] for row, _ in block] for name in names},
                {name: np.array([cells[name] for _, cells in block]) for name in self.targets},
            )
            number += len(block)

    def _pmfs(self, propensities: np.ndarray) -> tuple[np.ndarray, ...] | None:
        """Where every arm has 1 / their number, the log was uniform and all pmfs are known."""
        fixed, size = number_in(self.log.columns.propensity), len(self.log.arms)
        if fixed is None or abs(fixed * size - 1.0) > 1e-6:
            return None
        return (np.repeat(propensities, size, axis=1),)


@dataclass(frozen=True, slots=True)
class StoreSource:
    """The log in our database.

    Attributes:
        store: with the log.
        log: the campaign's.
        groups: whose rows count.
        after: only rows that matured after this watermark count: a snapshot's own, so that it is not judged by what it learned.
    """

    store: Store
    log: Log
    groups: frozenset[str]
    after: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def layout(self) -> Layout:
        """The campaign's."""
        return layout_of(self.log.campaign)

    @property
    def campaign(self) -> Campaign:
        """The campaign, with one reward."""
        return with_one_reward(self.log.campaign)

    @property
    def bounds(self) -> tuple[float, float]:
        """From what the campaign's outcomes are worth."""
        return self.log.campaign.reward.bounds

    def batches(self) -> Iterator[LogBatch]:
        """Matured rows of the groups asked for, in order."""
        self.dropped.clear()
        self._count_erased()
        if self.after:
            self._count_unread()
        rows = (row for row in self._rows() if self._is_kept(row))
        number = 0
        while block := list(islice(rows, AT_ONCE)):
            yield batch_of(block, self.log.campaign, number)
            number += len(block)

    def unseen_by(self, watermark: int) -> StoreSource:
        """Without the rows that a snapshot with this watermark has learned from."""
        return replace(self, after=watermark, dropped=Counter())

    def _rows(self) -> Iterator[LoggedDecision]:
        if not self.after:
            return self.store.decisions(self.log)
        matured = iterate_matured(self.store.reader(), self.log.log_id, self.log.campaign, after=self.after)
        return (one.decision for one in matured)

    def _count_erased(self) -> None:
        """Rows that were erased, and so cannot say what another policy would have earned."""
        erased = read_sums(self.store.reader(), self.log.log_id)
        n_erased = sum(sums.n_decisions for group, sums in erased.items() if group in self.groups)
        if n_erased:
            self.dropped[ERASED] = n_erased

    def _count_unread(self) -> None:
        """Rows that a pass after the watermark does not read, by reason."""
        query = """SELECT "group", matured IS NOT NULL, count(*) FROM decisions
                   WHERE log_id = ? AND (matured IS NULL OR matured <= ?) GROUP BY 1, 2"""
        for group, matured, count in self.store.reader().execute(query, (self.log.log_id, self.after)):
            reason = LEARNED if matured else PENDING
            self.dropped[reason if group in self.groups else OTHER_GROUP] += count

    def _is_kept(self, row: LoggedDecision) -> bool:
        reason = left_out(row.group, row.state, row.reward, self.groups)
        if reason:
            self.dropped[reason] += 1
        return not reason


def batch_of(block: Sequence[LoggedDecision], campaign: Campaign, number: int) -> LogBatch:
    """Matured rows of our log as columns; `number` rows stood before them."""
    dimensions = campaign.dimensions
    pmfs = tuple(np.array([row.pmfs[d] for row in block]) for d in range(len(dimensions)))
    is_random = np.array([row.group == Group.RANDOM for row in block], dtype=np.bool_)
    batch = LogBatch(
        layout_of(campaign),
        np.arange(number + 1, number + 1 + len(block)),
        np.array([row.reward for row in block], dtype=np.float64),
        np.array([[d.index_of(arm) for d, arm in zip(dimensions, row.arms, strict=True)] for row in block]),
        np.array([row.propensities for row in block]),
        pmfs,
        {f.name: [row.context.get(f.name) for row in block] for f in campaign.schema.fields},
        is_product=are_product(pmfs, is_random),
        exposures=[row.exposures for row in block],
        deciders=["" if row.fallback or row.group == Group.RANDOM else row.snapshot or "" for row in block],
        excluded=[row.excluded for row in block],
        recent_sends=[row.recent_sends for row in block],
    )
    is_control = np.array([row.group == Group.CONTROL for row in block], dtype=np.bool_)
    return with_offered(with_worths(batch, campaign), is_control, is_random, campaign)


def left_out(group: str, state: str, reward: float | None, groups: frozenset[str]) -> str:
    """Why a row does not count; empty if it does."""
    if group not in groups:
        return OTHER_GROUP
    return PENDING if state != State.MATURED or reward is None else ""


def layout_of(campaign: Campaign) -> Layout:
    """A campaign's dimensions and arms."""
    return Layout(tuple(dimension.name for dimension in campaign.dimensions), tuple(d.ids for d in campaign.dimensions))


def with_one_reward(campaign: Campaign) -> Campaign:
    """The campaign for a learner that knows rewards, but neither the outcomes behind them nor what customers got before."""
    options = {**campaign.learner.options, "target": "reward"}
    spec = LearnerSpec(campaign.learner.name, options if campaign.learner.name in {"", "regression"} else {})
    reward = RewardSpec(timedelta(hours=1), {"reward": 1.0})
    return replace(campaign, reward=reward, learner=spec, wear_out=None)


def are_product(pmfs: tuple[np.ndarray, ...], is_random: np.ndarray) -> np.ndarray:
    """Whether each row's dimensions were drawn independently: drawn at random, with nothing that rules had removed."""
    found = np.array(is_random, dtype=np.bool_)
    for pmf in pmfs:
        found &= (pmf > 0.0).all(axis=1)
    return found
