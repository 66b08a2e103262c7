"""The gate on a store: judges a snapshot against what serves, on sends that neither has learned from."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from bandit.errors import BrokenSnapshot
from evaluation.evaluate import conclude, tally
from evaluation.gate import GATE_METHODS, Gate, Ruling
from evaluation.methods import Known
from evaluation.weighing import TargetWeigher
from service.log_source import USUAL_GROUPS, StoreSource
from service.pairwise_gating import rule_by_pairs
from service.snapshots_table import load_snapshot, newest_snapshot, promote, serving_snapshot
from service.store import Log, Store
from service.target_text import snapshot_target
from service.trainer import Trainer


def judge(store: Store, log: Log, name: str, gate: Gate) -> Ruling:
    """Whether a snapshot may go live.

    Args:
        store: with the log.
        log: the campaign's.
        name: of the snapshot.
        gate: by how much it must be better.

    Raises:
        BrokenSnapshot: if there is no such snapshot, or its bytes are not those that were stored.
    """
    reader = store.reader()
    wanted, serving = load_snapshot(reader, name), serving_snapshot(reader, log.log_id)
    if wanted.campaign_hash != log.campaign.content_hash:
        raise BrokenSnapshot(
            f"snapshot {name!r} is of an earlier campaign file; `manyarm snapshot list` shows this one's."
        )
    if serving is None:
        return Ruling(True, ("nothing serves yet, so anything is better than choosing at random for ever.",), None)
    if serving == name:
        return Ruling(True, (f"{name} serves already.",), None)
    after = max(wanted.watermark, load_snapshot(reader, serving).watermark)
    unseen = StoreSource(store, log, USUAL_GROUPS, after)
    if next(unseen.batches(), None) is None:
        reason = (
            f"no send has matured since {name} was trained, so the log cannot tell: rows that it learned from would praise it. "
            "Wait until some have, or promote it by hand with --without-gate."
        )
        return Ruling(False, (reason,), None)
    if len(log.campaign.dimensions) > 1:
        return rule_by_pairs(unseen, name, serving, gate)
    sides = [TargetWeigher(snapshot_target(store, log, one)) for one in (name, serving)]
    found = tally(unseen.batches(), GATE_METHODS, sides[0], sides[1])
    known = Known(found.is_binary, log.campaign.reward.bounds)
    return gate.rule(conclude(found, GATE_METHODS, known, *(side.name for side in sides)))


def pass_gate(store: Store, log: Log, gate: Gate, now: datetime) -> Ruling | None:
    """Judge the newest snapshot, if it does not serve, by everything matured until now, and promote it if it passes.

    Returns:
        None where nothing waits: the newest snapshot serves, or there is none.
    """
    Trainer(store, log).close_windows(now)
    newest, serving = newest_snapshot(store.reader(), log.log_id), serving_snapshot(store.reader(), log.log_id)
    if newest is None or newest == serving:
        return None
    ruling = judge(store, log, newest, gate)
    if ruling.passed:
        store.write(partial(promote, log_id=log.log_id, snapshot=newest, at=now, reason=ruling.reasons[0]))
    return ruling
