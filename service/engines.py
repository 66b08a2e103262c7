"""Engines with a store's keys, deciding from a snapshot that is kept in it."""

from __future__ import annotations

from bandit.engine import Engine, Served
from bandit.errors import BrokenSnapshot
from bandit.group import Group
from bandit.learners import learner_for
from policies.registry import group_policies
from service.snapshots_table import load_snapshot, serving_snapshot
from service.store import Log, Store


def engine_for(store: Store, log: Log) -> Engine:
    """An engine with the store's keys, deciding from the serving snapshot; from none where it is broken."""
    return engine_from(store, log, serving_snapshot(store.reader(), log.log_id))


def engine_from(store: Store, log: Log, snapshot: str | None) -> Engine:
    """An engine with the store's keys, deciding from this snapshot; from none where it is broken, or where there is none."""
    engine = Engine(log.campaign, group_policies(log.campaign), store.salt, store.secret)
    try:
        return engine.serving(served_by(store, log, snapshot)) if snapshot else engine
    except BrokenSnapshot as error:
        # The random policy decides and each row says why; /readyz says so too.
        return engine.serving(None, unserved=str(error))


def served_by(store: Store, log: Log, snapshot: str) -> Served:
    """A snapshot of this log, ready to decide.

    Raises:
        BrokenSnapshot: if its bytes are not the ones that were stored.
    """
    campaign = log.campaign
    kind = learner_for(campaign.learner, group_policies(campaign)[Group.LEARNER].needs)
    loaded = load_snapshot(store.reader(), snapshot)
    return Served(snapshot, kind.serve(campaign, loaded), loaded.candidate)
