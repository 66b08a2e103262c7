"""The trainer: close windows, learn from what matured, store snapshot and watermark together, serve the new one."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from bandit.group import Group
from bandit.learner import LearnerKind
from bandit.learners import learner_for
from bandit.snapshot import Snapshot
from bandit.training import train
from policies.registry import group_policies
from service.erasure import last_erasure
from service.erasures_learned import was_erased_since
from service.outcomes_table import MATURE_AT_ONCE, expire, iterate_matured, mature
from service.snapshots_table import (
    add_snapshot,
    newest_snapshot,
    newest_whole_snapshot,
    promote,
    serving_snapshot,
)
from service.store import Log, Store
from service.webhooks.digest import digest

_log = logging.getLogger("manyarm")


@dataclass(frozen=True, slots=True)
class Training:
    """What one step of the trainer did."""

    n_matured: int
    n_learned: int
    snapshot: str | None


class Trainer:
    """Trains one log. Two trainers on one file do no harm: the slower one's step is thrown away, not stored twice."""

    def __init__(self, store: Store, log: Log) -> None:
        self._store = store
        self._log = log
        needs = group_policies(log.campaign)[Group.LEARNER].needs
        self._kind: LearnerKind = learner_for(log.campaign.learner, needs)

    def step(
        self,
        now: datetime,
        *,
        most: int | None = None,
        promoting: bool = True,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Training:
        """Mature everything due, learn from what is new, and promote the result.

        Args:
            now: windows that close until then are closed.
            most: learn from at most so many rows in this step; None for all.
            promoting: false leaves what serves, if anything does, and the new one waits for a gate or somebody's word.
            is_wanted: asked now and then; once it says no, no more windows are closed, and the next step goes on there.
        """
        n_matured = self.close_windows(now, is_wanted)
        reader = self._store.reader()
        newest = newest_snapshot(reader, self._log.log_id)
        parent, before = newest_whole_snapshot(reader, self._log.log_id) or (None, None)
        after = before.watermark if before else 0
        erasure = last_erasure(reader)
        rows = iterate_matured(reader, self._log.log_id, self._log.campaign, after=after, most=most)
        trained = train(self._log.campaign, self._kind, before, rows)
        if trained is None:
            return Training(n_matured, 0, None)

        def keep(connection: sqlite3.Connection) -> str | None:
            # What was erased while it was learned from must not be in a snapshot: the step is thrown away, and made again.
            if was_erased_since(connection, self._log.log_id, erasure, after=after, watermark=trained.watermark):
                return None
            return self._keep(connection, trained, parent, newest, now, promoting)

        name = self._store.write(keep)
        if name and before and before.candidate != trained.candidate:
            _log.info("snapshot %s: candidate %s took over from %s", name, trained.candidate, before.candidate)
        n_learned = trained.n_learned - (before.n_learned if before else 0)
        return Training(n_matured, n_learned if name else 0, name)

    def close_windows(self, now: datetime, is_wanted: Callable[[], bool] = lambda: True) -> int:
        """Mature every decision whose window has passed, those of the file's earlier logs too; returns how many.

        Deferred decisions that nobody reported as sent in time expire, and are not counted.
        """
        # What providers told before the window closed counts in it.
        digest(self._store)
        total = 0
        for log in self._store.logs():
            last = MATURE_AT_ONCE
            while last == MATURE_AT_ONCE and is_wanted():
                last = self._store.write(partial(expire, log_id=log.log_id, now=now))
            last = MATURE_AT_ONCE
            while last == MATURE_AT_ONCE and is_wanted():
                last = self._store.write(partial(mature, log_id=log.log_id, campaign=log.campaign, now=now))
                total += last
        return total

    def _keep(
        self,
        connection: sqlite3.Connection,
        trained: Snapshot,
        parent: str | None,
        newest: str | None,
        now: datetime,
        promoting: bool,
    ) -> str | None:
        log_id = self._log.log_id
        name = add_snapshot(connection, log_id, trained, parent=parent, newest=newest, at=now)
        # Somebody who rolled back, or promoted an older one, meant it: what is trained since waits for their word.
        if name and serving_snapshot(connection, log_id) in ({None, parent} if promoting else {None}):
            promote(connection, log_id, name, at=now, reason="trained")
        return name

    def serving_name(self) -> str | None:
        """Id of the serving snapshot."""
        return serving_snapshot(self._store.reader(), self._log.log_id)
