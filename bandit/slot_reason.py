"""Why a message goes out at this hour: what each send slot would have meant, best first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from bandit.campaign import Campaign
from bandit.context import ContextValue


class SlotReason(NamedTuple):
    """One send slot that could be picked.

    Attributes:
        arm: its id.
        utc, local: when its message would go out; None for an arm that sends nothing.
        estimate: expected reward; None without a model.
        probability: of being picked.
    """

    arm: str
    utc: datetime | None
    local: datetime | None
    estimate: float | None
    probability: float


def slot_reasons(
    campaign: Campaign,
    values: Mapping[str, ContextValue],
    at: datetime,
    eligible: Iterable[str],
    estimates: Mapping[str, float] | None,
    pmf: Mapping[str, float],
) -> list[SlotReason]:
    """What each eligible send slot would have meant, the best estimate first; without estimates the soonest.

    Args:
        campaign: one with send slots, or the list is empty.
        values: the context as used.
        at: time of the decision.
        eligible: arms that could be picked.
        estimates: expected reward of each of them; None without a model.
        pmf: probability of each.

    Raises:
        InvalidContext: if the context names a zone that is none.
    """
    slots = campaign.send_slots
    if slots is None:
        return []
    dimension, times = campaign.dimensions[slots.dimension], slots.times(values, at)
    found = []
    for arm in eligible:
        utc = times.send_at[dimension.index_of(arm)]
        local = None if utc is None else slots.local(values, utc)
        found.append(SlotReason(arm, utc, local, estimates[arm] if estimates else None, pmf[arm]))
    return sorted(found, key=lambda one: (-(one.estimate or 0.0), one.utc is None, one.utc or at))
