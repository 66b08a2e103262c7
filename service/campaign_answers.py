"""What `/v1/campaigns/{id}` answers about snapshots and earnings, by the functions that the command line has too."""

from __future__ import annotations

from typing import Any

from evaluation.gate import Gate
from service.comparing import Wanted
from service.comparison_report import document_of
from service.promoting import Promotion, promote_judged, roll_back
from service.serving import Serving
from service.snapshot_schemas import SnapshotAction
from service.store_comparing import compare_store


def act_on(serving: Serving, action: SnapshotAction) -> Promotion:
    """Promote a snapshot, past the gate or by hand, or go back to the one that served before.

    Raises:
        UnknownSnapshot: if there is none with that name, or none to go back to.
        InvalidSettings: for a margin that cannot be one.
    """
    store, log, now = serving.store, serving.log, serving.clock()
    if action.snapshot is None:
        return roll_back(store, log, now)
    gate = None if action.without_gate else Gate(action.margin)
    return promote_judged(store, log, action.snapshot, now, gate=gate)


def report_of(serving: Serving, metric: str, *, by: str, planned: int | None, margin: float | None) -> dict[str, Any]:
    """What `manyarm compare --db --json` says.

    Args:
        serving: whose log.
        metric: `reward`, or a type of outcome.
        by: a context name; empty for none.
        planned: sends after which the classical test is read.
        margin: difference in a send's reward that is none.

    Raises:
        UnusableLog: if nothing has matured, or a name is not the campaign's.
    """
    wanted = Wanted(planned, margin, by=by)
    return document_of(compare_store(serving.store, serving.log, wanted, metric=metric))
