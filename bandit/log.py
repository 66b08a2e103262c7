"""The log's schema: one row a decision, flat, in the order and under the names that everybody reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from bandit.campaign import Campaign
from bandit.context import Context, ContextValue, EncodedContext
from bandit.decision import Decision
from bandit.exclusion import Excluded, named
from bandit.reward import State
from bandit.wear_out import Exposure

ROW_COLUMNS = (
    "decision_id",
    "campaign",
    "customer_key",
    "group",
    "decided_at",
    "sent_at",
    "send_at",
    "policy",
    "snapshot",
    "candidate",
    "fallback",
    "propensity",
    "estimate",
    "reward",
    "state",
    "excluded",
)
"""Columns that every log has; `arm.d, propensity.d, pmf.d` of each dimension and `context.c` of each name follow.

Campaigns with a `[wear_out]` table have `recency.d, frequency.d` too, those with `[reward].recent_send` have `recent_sends`.
`excluded` is a JSON map from dimension to the arms that the caller kept out, null where there are none.
"""

RECENT_SENDS = "recent_sends"
"""Column of the messages that a customer got lately, as they were counted for what they cost."""


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """One row as it stands in the log, joined with what became of it.

    Nothing here is checked: `verify` must be able to look at a row that was tampered with. What the fields mean stands
    at `bandit.decision.Decision`; these are the additions.

    Attributes:
        seq: number of the row in its store, without gaps.
        arms, propensities, pmfs: one entry a dimension, in file order; a pmf lists the campaign's arms, 0 = not eligible.
        state: pending, matured, void, deferred or expired.
        sent_at: when the message went out, where somebody said so.
        reward: final reward of a matured decision, else None.
        seen: the last row that stood in the log when the customer's past was read; None if it was not.
        deferred: whether it was to count only once it was reported as sent.
    """

    seq: int
    decision_id: str
    campaign: str
    campaign_hash: str
    customer_key: str
    group: str
    context: Mapping[str, ContextValue]
    arms: tuple[str, ...]
    propensities: tuple[float, ...]
    pmfs: tuple[tuple[float, ...], ...]
    propensity: float
    policy: str
    snapshot: str | None
    fallback: str | None
    estimate: float | None
    decided_at: datetime
    send_at: datetime | None
    state: str = State.PENDING
    sent_at: datetime | None = None
    reward: float | None = None
    candidate: str | None = None
    exposures: tuple[Exposure, ...] = ()
    seen: int | None = None
    excluded: tuple[Excluded, ...] = ()
    deferred: bool = False
    recent_sends: int | None = None

    @classmethod
    def of(cls, decision: Decision, seq: int) -> LoggedDecision:
        """A decision just made, as its row."""
        return cls(
            seq,
            decision.decision_id,
            decision.campaign,
            decision.campaign_hash,
            decision.customer_key,
            decision.group.value,
            decision.context,
            tuple(pick.arm for pick in decision.picks),
            tuple(pick.propensity for pick in decision.picks),
            tuple(pick.pmf.probabilities for pick in decision.picks),
            decision.propensity,
            decision.policy,
            decision.snapshot,
            decision.fallback,
            decision.estimate,
            decision.decided_at,
            decision.send_at,
            candidate=decision.candidate,
            exposures=decision.exposures,
            excluded=decision.excluded,
            recent_sends=decision.recent_sends,
        )


def columns_of(campaign: Campaign) -> tuple[str, ...]:
    """All columns of a campaign's log, in order.

    >>> ROW_COLUMNS[0]
    'decision_id'
    """
    names = [dimension.name for dimension in campaign.dimensions]
    kinds = ("arm", "propensity", "pmf", *(("recency", "frequency") if campaign.wear_out else ()))
    per_dimension = [f"{kind}.{name}" for name in names for kind in kinds]
    recent = (RECENT_SENDS,) if campaign.reward.recent_send else ()
    return (*ROW_COLUMNS, *recent, *per_dimension, *(f"context.{item.name}" for item in campaign.schema.fields))


def cells_of(row: LoggedDecision, campaign: Campaign) -> dict[str, object]:
    """One row's cells by column name; a pmf is a list in the campaign's arm order, and so are recency and frequency."""
    cells: dict[str, object] = {name: getattr(row, name) for name in ROW_COLUMNS}
    excluded = named(row.excluded, campaign.dimensions)
    cells["excluded"] = msgspec.json.encode(excluded).decode() if excluded else None
    for d, dimension in enumerate(campaign.dimensions):
        cells[f"arm.{dimension.name}"] = row.arms[d]
        cells[f"propensity.{dimension.name}"] = row.propensities[d]
        cells[f"pmf.{dimension.name}"] = list(row.pmfs[d])
    for item in campaign.schema.fields:
        cells[f"context.{item.name}"] = row.context.get(item.name)
    if campaign.reward.recent_send:
        cells[RECENT_SENDS] = row.recent_sends
    if campaign.wear_out:
        cells |= _exposure_cells(row, campaign)
    return cells


def _exposure_cells(row: LoggedDecision, campaign: Campaign) -> dict[str, object]:
    """Days since the customer last got each arm, None where not within the window; and how often within it."""
    recencies: list[list[float | None]] = [[None] * size for size in campaign.sizes]
    frequencies = [[0] * size for size in campaign.sizes]
    for d, arm, recency, frequency in row.exposures:
        recencies[d][arm], frequencies[d][arm] = recency, frequency
    names = [dimension.name for dimension in campaign.dimensions]
    return {f"recency.{name}": found for name, found in zip(names, recencies, strict=True)} | {
        f"frequency.{name}": found for name, found in zip(names, frequencies, strict=True)
    }


def encoded_context(row: LoggedDecision, campaign: Campaign) -> EncodedContext:
    """What a row was decided from: its context, what its customer got lately and what was excluded.

    Raises:
        InvalidContext: if the row's context does not fit the campaign's schema.
    """
    encoded = campaign.schema.encode(Context(row.context))
    return encoded._replace(exposures=row.exposures, excluded=row.excluded, recent_sends=row.recent_sends)
