"""The table of choices that `manyarm decide` writes: one row a customer, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bandit.campaign import Campaign
from bandit.decisions import Decisions
from bandit.group import Group
from service.rows_in_columns import joint_propensities
from service.table_writer import TIME

Cells = dict[str, list[Any]]
"""Cells of some rows by column."""


class Status(StrEnum):
    """What became of a row."""

    DECIDED = "decided"
    CAPPED = "capped"  # the customer has as many messages as allowed: no choice
    OPTED_OUT = "opted-out"  # the customer wants no mail: no choice
    NO_CONSENT = "no-consent"  # business as usual, and nothing is stored of it


def choices_schema(campaign: Campaign) -> pa.Schema:
    """Columns of the table of choices."""
    names = [d.name for d in campaign.dimensions]
    return pa.schema(
        [
            ("decision_id", pa.string()),
            ("customer_id", pa.string()),
            ("group", pa.string()),
            *[(f"arm.{name}", pa.string()) for name in names],
            *[(f"text.{name}", pa.string()) for name in names],
            ("propensity", pa.float64()),
            ("send_at", TIME),
            ("status", pa.string()),
        ]
    )


def chosen(decisions: Decisions) -> Cells:
    """The rows of decisions just made."""
    asked, picks = decisions.requests, decisions.picks.T.tolist()
    cells: Cells = {
        "decision_id": list(asked.decision_ids),
        "customer_id": list(asked.customer_ids),
        "group": [str(group) for group in decisions.groups],
        "propensity": joint_propensities(decisions.propensities).tolist(),
        "send_at": decisions.send_ats(),
        "status": [Status.DECIDED.value] * len(decisions),
    }
    for dimension, column in zip(decisions.campaign.dimensions, picks, strict=True):
        texts = [arm.text for arm in dimension.arms]
        cells[f"arm.{dimension.name}"] = [dimension.ids[pick] for pick in column]
        cells[f"text.{dimension.name}"] = [texts[pick] for pick in column]
    return cells


def unchosen(
    decision_ids: Sequence[str],
    customer_ids: Sequence[str],
    status: Status,
    campaign: Campaign,
    *,
    send_ats: Sequence[datetime | None] = (),
) -> Cells:
    """Rows that nothing was decided for; who did not consent gets business as usual all the same, outside quiet hours."""
    n, usual = len(decision_ids), campaign.groups.control_choice if status is Status.NO_CONSENT else {}
    cells: Cells = {name: [None] * n for name in choices_schema(campaign).names}
    cells |= {"decision_id": list(decision_ids), "customer_id": list(customer_ids), "status": [status.value] * n}
    if usual:
        cells |= {"group": [Group.CONTROL.value] * n, "propensity": [1.0] * n, "send_at": list(send_ats)}
    for dimension in campaign.dimensions if usual else ():
        arm = dimension.arms[dimension.index_of(usual[dimension.name])]
        cells |= {f"arm.{dimension.name}": [arm.id] * n, f"text.{dimension.name}": [arm.text] * n}
    return cells


def merged(n_rows: int, parts: Iterable[tuple[Sequence[int], Cells]], campaign: Campaign) -> pa.RecordBatch:
    """Cells of rows in their places.

    Args:
        n_rows: of all parts together.
        parts: positions, and the cells of the rows there.
        campaign: whose choices they are.
    """
    schema, parts = choices_schema(campaign), [part for part in parts if len(part[0])]
    if len(parts) == 1 and len(parts[0][0]) == n_rows:
        return pa.RecordBatch.from_pydict(parts[0][1], schema=schema)
    places = np.concatenate([np.asarray(rows, dtype=np.int64) for rows, _ in parts])
    together = {name: [cell for _, cells in parts for cell in cells[name]] for name in schema.names}
    return pa.RecordBatch.from_pydict(together, schema=schema).take(pa.array(np.argsort(places)))


def capped(batch: pa.RecordBatch, rows: Sequence[int]) -> pa.RecordBatch:
    """The same with some rows left without a choice, because their customers have as many messages as allowed."""
    if not rows:
        return batch
    mask = np.zeros(batch.num_rows, dtype=np.bool_)
    mask[list(rows)] = True
    columns = []
    for field in batch.schema:
        kept = field.name in {"decision_id", "customer_id"}
        instead = pa.scalar(Status.CAPPED.value if field.name == "status" else None, type=field.type)
        columns.append(batch[field.name] if kept else pc.if_else(pa.array(mask), instead, batch[field.name]))
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
