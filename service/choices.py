"""The table of choices that `manyarm decide` writes: one row a customer, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bandit.campaign import Campaign
from bandit.decisions import Decisions, sends_nothing
from bandit.group import Group
from service.rows_in_columns import joint_propensities
from service.table_writer import TIME
from service.usual_choice import Usual

Cells = dict[str, list[Any]]
"""Cells of some rows by column."""


class Status(StrEnum):
    """What became of a row."""

    DECIDED = "decided"
    CAPPED = "capped"  # the customer has as many messages as allowed: no choice
    OPTED_OUT = "opted-out"  # the customer wants no mail: no choice
    NO_SEND = "no-send"  # the choice is to send nothing
    UNFILLED = "unfilled"  # a text misses a variable and has no default: decided, and not to be sent
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
        "status": statuses(decisions.campaign, decisions.picks),
    }
    nothing = [status == Status.NO_SEND for status in cells["status"]]
    for dimension, column in zip(decisions.campaign.dimensions, picks, strict=True):
        texts = [arm.text for arm in dimension.arms]
        cells[f"arm.{dimension.name}"] = [dimension.ids[pick] for pick in column]
        cells[f"text.{dimension.name}"] = [
            "" if silent else texts[pick] for pick, silent in zip(column, nothing, strict=True)
        ]
    return cells


def statuses(campaign: Campaign, picks: NDArray[np.int64]) -> list[str]:
    """What became of rows that were decided; picks have the shape (n, n_dimensions)."""
    if campaign.silent is None:
        return [Status.DECIDED.value] * len(picks)
    return [Status.NO_SEND.value if nothing else Status.DECIDED.value for nothing in sends_nothing(campaign, picks)]


def unchosen(
    decision_ids: Sequence[str],
    customer_ids: Sequence[str],
    status: Status,
    campaign: Campaign,
    usual: Sequence[Usual] = (),
) -> Cells:
    """Rows that nothing was decided for; who did not consent gets business as usual all the same, outside quiet hours."""
    n = len(decision_ids)
    cells: Cells = {name: [None] * n for name in choices_schema(campaign).names}
    cells |= {"decision_id": list(decision_ids), "customer_id": list(customer_ids), "status": [status.value] * n}
    if usual:
        cells |= {
            "group": [Group.CONTROL.value] * n,
            "propensity": [1.0] * n,
            "send_at": [one.send_at for one in usual],
        }
    for dimension in campaign.dimensions if usual else ():
        arms = [dimension.arms[dimension.index_of(one.choice[dimension.name])] for one in usual]
        silent = [campaign.sends_nothing(one.choice) for one in usual]
        cells[f"arm.{dimension.name}"] = [arm.id for arm in arms]
        cells[f"text.{dimension.name}"] = ["" if no else arm.text for arm, no in zip(arms, silent, strict=True)]
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
