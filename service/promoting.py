"""Which snapshot serves: promoting one, past the gate or by hand, and going back. The command line and HTTP both come here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from bandit.errors import UnknownSnapshot
from evaluation.gate import Gate, Ruling
from service.gating import judge
from service.snapshots_table import load_snapshot, promote, served_before, serving_snapshot
from service.store import Log, Store

BY_HAND = "promoted by hand"
ROLLED_BACK = "rolled back by hand"


@dataclass(frozen=True, slots=True)
class Promotion:
    """What became of it.

    Attributes:
        serving: the snapshot that serves now; None where none does.
        passed: whether what was asked for was done.
        reasons: why, or why not.
    """

    serving: str | None
    passed: bool
    reasons: tuple[str, ...]


def promote_judged(store: Store, log: Log, name: str, now: datetime, *, gate: Gate | None) -> Promotion:
    """Make a snapshot the one that serves, if the gate lets it.

    Args:
        store: with the log.
        log: the campaign's.
        name: of the snapshot.
        now: the time.
        gate: by how much it must be better; None promotes it whatever the log says.

    Raises:
        UnknownSnapshot: if there is no such snapshot.
        BrokenSnapshot: if its bytes are not those that were stored.
    """
    load_snapshot(store.reader(), name)
    ruling = Ruling(True, (BY_HAND,), None) if gate is None else judge(store, log, name, gate)
    if ruling.passed:
        store.write(partial(promote, log_id=log.log_id, snapshot=name, at=now, reason=ruling.reasons[0]))
    return Promotion(serving_snapshot(store.reader(), log.log_id), ruling.passed, ruling.reasons)


def roll_back(store: Store, log: Log, now: datetime) -> Promotion:
    """Serve the snapshot that served before.

    Raises:
        UnknownSnapshot: if there is none.
        BrokenSnapshot: if its bytes are not those that were stored.
    """
    name = served_before(store.reader(), log.log_id)
    if name is None:
        raise UnknownSnapshot("there is no earlier snapshot to go back to; what serves goes on serving.")
    load_snapshot(store.reader(), name)
    store.write(partial(promote, log_id=log.log_id, snapshot=name, at=now, reason=ROLLED_BACK))
    return Promotion(name, True, (ROLLED_BACK,))
