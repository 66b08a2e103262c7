"""The trainer of the ranking loop, and what serves: end waits, learn, store snapshot and watermark together."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bandit.campaign import PolicySpec
from bandit.engine import NO_SNAPSHOT
from bandit.errors import BrokenSnapshot
from bandit.policy import Policy
from bandit.ranking import RankingEngine, ServedRanking
from bandit.ranking_learner import RankingModel, train_rankings
from bandit.ranking_rules import RankingRules
from policies.registry import policy_of
from policies.uniform import Uniform
from service.log_counts import count_rankings
from service.rankings.erasing import RankingRetention
from service.rankings.snapshots import add, load, newest_name, newest_whole
from service.rankings.table import AT_ONCE, iterate_matured, mature_rankings
from service.settings import Settings
from service.store import Store


@dataclass(frozen=True, slots=True)
class RankingTraining:
    """What one step did: waits that ended, events learned from, and the snapshot made, if any."""

    n_matured: int
    n_learned: int
    snapshot: str | None


class Rankings:
    """The ranking loop of a campaign in a running service: `engine` is swapped for another after each training.

    Args:
        store: where rankings go.
        campaign: its name.
        settings: of this installation; see `rules_from`.
        keep: how long rankings are kept; None for ever.

    Attributes:
        first_seq: the last ranking that stood in the store when this process began.

    Raises:
        InvalidSettings: for a policy that cannot rank, or shares that are none.
    """

    def __init__(self, store: Store, campaign: str, settings: Settings, keep: timedelta | None = None) -> None:
        self._store = store
        self._campaign = campaign
        rules = rules_from(settings)
        policy = policy_under(rules)
        self.engine = RankingEngine(campaign, rules, policy, Uniform(), store.salt)
        self.first_seq = count_rankings(store.reader())
        self._retention = RankingRetention(store, campaign, keep)
        self._seen: str | None = None
        self.refresh()

    def train(
        self, now: datetime, *, most: int | None = None, is_wanted: Callable[[], bool] = lambda: True
    ) -> RankingTraining:
        """One step of the trainer; serves what came of it, and erases what is too old once a day."""
        training = train_step(self._store, self._campaign, now, most=most, is_wanted=is_wanted)
        self.refresh()
        self._retention.step(now, is_wanted=is_wanted)
        return training

    def refresh(self) -> None:
        """Serve the newest snapshot, whoever trained it."""
        reader = self._store.reader()
        newest = newest_name(reader, self._campaign)
        if newest == self._seen:
            return
        try:
            found = newest_whole(reader, self._campaign)
            served = ServedRanking(found[0], RankingModel(self._campaign, found[1])) if found else None
            self.engine = self.engine.serving(served)
        except BrokenSnapshot as error:
            self.engine = self.engine.serving(None, unserved=f"{NO_SNAPSHOT}: {error}")
        self._seen = newest


def train_step(
    store: Store,
    campaign: str,
    now: datetime,
    *,
    most: int | None = None,
    is_wanted: Callable[[], bool] = lambda: True,
) -> RankingTraining:
    """End the waits that are over, and learn from what is new.

    Args:
        store: where rankings are.
        campaign: whose loop it is.
        now: waits that end until then are over.
        most: learn from at most so many rows; None for all.
        is_wanted: asked now and then; once it says no, what was done is kept, and the next step goes on there.

    Raises:
        UnusableLog: if a row cannot be read.
    """
    n_matured = _end_waits(store, campaign, now, is_wanted)
    reader = store.reader()
    newest = newest_name(reader, campaign)
    parent, before = newest_whole(reader, campaign) or (None, None)
    rows = iterate_matured(reader, campaign, after=before.watermark if before else 0, most=most)
    trained = train_rankings(campaign, before, rows, is_wanted=is_wanted)
    if trained is None:
        return RankingTraining(n_matured, 0, None)

    def keep(connection: sqlite3.Connection) -> str | None:
        return add(connection, campaign, trained, parent=parent, newest=newest, at=now)

    name = store.write(keep)
    n_learned = trained.n_learned - (before.n_learned if before else 0)
    return RankingTraining(n_matured, n_learned if name else 0, name)


def load_ranking(store: Store, campaign: str, snapshot: str) -> ServedRanking:
    """A snapshot ready to rank, whether or not it serves.

    Raises:
        BrokenSnapshot: if it is missing or damaged.
    """
    return ServedRanking(snapshot, RankingModel(campaign, load(store.reader(), snapshot)))


def rules_from(settings: Settings) -> RankingRules:
    """The rules that the settings `personalizer_...` give.

    Raises:
        InvalidSettings: if one of them cannot be.
    """
    return RankingRules(
        settings.text("personalizer_policy"),
        settings.number("personalizer_floor"),
        settings.number("personalizer_random"),
        settings.number("personalizer_control"),
        settings.pause("personalizer_wait") or RankingRules().wait,
        settings.number("personalizer_default_reward"),
        settings.text("personalizer_aggregation"),
    )


def policy_under(rules: RankingRules) -> Policy:
    """The learner group's policy, floor included.

    Raises:
        InvalidSettings: for a name that does not exist.
    """
    return policy_of(PolicySpec(rules.policy, rules.floor))


def _end_waits(store: Store, campaign: str, now: datetime, is_wanted: Callable[[], bool]) -> int:
    total, ended = 0, AT_ONCE
    while ended == AT_ONCE and is_wanted():
        ended = store.write(lambda connection: mature_rankings(connection, campaign, now))
        total += ended
    return total
