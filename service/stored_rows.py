"""Decisions that stand already, looked up by many ids at once, and held against what is asked for them now."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from bandit.context import ContextValue
from bandit.errors import ConflictingDecision
from bandit.exclusion import by_caller, unwritten
from bandit.product_candidates import Candidates
from service.choices import Cells, Status, statuses
from service.deciding import are_same_candidates
from service.marks import marks
from service.rows import moment_of
from service.store import Log, Store

_AT_ONCE = 500
_NONE: Candidates = {}
_COLUMNS = """decision_id, customer_key, context, "group", arms, propensity, send_at, decided_at, excluded, deferred"""
_excluded = msgspec.json.Decoder(list[list[int | str]])
_arms = msgspec.json.Decoder(list[str])
_values = msgspec.json.Decoder(dict[str, str | float | bool | None])


class StoredRow(NamedTuple):
    """What is needed of a stored decision to answer for it again; texts as the store keeps them."""

    decision_id: str
    customer_key: str
    context: str
    group: str
    arms: str
    propensity: float
    send_at: str | None
    decided_at: str
    excluded: str | None
    deferred: int | None


def find_rows(connection: sqlite3.Connection, decision_ids: Sequence[str], log_id: int) -> dict[str, StoredRow]:
    """Those of the decisions that a log holds, by id."""
    found: dict[str, StoredRow] = {}
    for some in _in_parts(decision_ids):
        query = f"SELECT {_COLUMNS} FROM decisions WHERE log_id = ? AND decision_id IN ({marks(some)})"  # noqa: S608
        found |= {row[0]: StoredRow(*row) for row in connection.execute(query, (log_id, *some))}
    return found


def _in_parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def require_same(
    store: Store,
    log: Log,
    row: StoredRow,
    customer_id: str,
    context: Mapping[str, ContextValue],
    candidates: Candidates = _NONE,
) -> None:
    """Refuse a stored decision that was made for another request.

    Raises:
        ConflictingDecision: if the id was used for another customer, context, candidates or kind of request.
    """
    what, before, excluded = "", _values.decode(row.context), unwritten(_excluded.decode(row.excluded or "[]"))
    if row.customer_key not in store.customer_keys.of(customer_id):
        what = "for another customer"
    elif log.campaign.given_of(before) != log.campaign.given_of(context):
        what = "for another context"
    elif row.deferred is not None or by_caller(excluded):
        what = "deferred, or with arms excluded"
    elif not are_same_candidates(before, excluded, candidates, log):
        what = "with other candidates"
    if what:
        raise ConflictingDecision(
            f"decision {row.decision_id[:80]!r} was made at {row.decided_at} {what}. The stored one stands and was not "
            "changed; give a new send a new decision_id."
        )


def chosen_before(rows: Sequence[tuple[StoredRow, str]], log: Log) -> Cells:
    """The rows of stored decisions, each with its customer_id."""
    dimensions = log.campaign.dimensions
    arms = [_arms.decode(row.arms) for row, _ in rows]
    picks = np.array(
        [[d.index_of(arm) for d, arm in zip(dimensions, choice, strict=True)] for choice in arms], np.int64
    )
    picks = picks.reshape(len(rows), len(dimensions))
    cells: dict[str, list[Any]] = {
        "decision_id": [row.decision_id for row, _ in rows],
        "customer_id": [customer_id for _, customer_id in rows],
        "group": [row.group for row, _ in rows],
        "propensity": [row.propensity for row, _ in rows],
        "send_at": [moment_of(row.send_at) for row, _ in rows],
        "status": statuses(log.campaign, picks),
    }
    nothing = [status == Status.NO_SEND for status in cells["status"]]
    for d, dimension in enumerate(dimensions):
        cells[f"arm.{dimension.name}"] = [choice[d] for choice in arms]
        texts = [arm.text for arm in dimension.arms]
        cells[f"text.{dimension.name}"] = [
            "" if silent else texts[pick] for pick, silent in zip(picks[:, d].tolist(), nothing, strict=True)
        ]
    return cells
