"""Were the send slots a row was decided from those that could be used then? Worked out again from its context and time."""

from __future__ import annotations

from collections.abc import Iterator

from bandit.campaign import Campaign
from bandit.context import Context
from bandit.errors import EngineError
from bandit.exclusion import BY_CALLER
from bandit.log import LoggedDecision


def send_slot_problems(campaign: Campaign, row: LoggedDecision) -> Iterator[str]:
    """What is wrong with the hours of one decision.

    Args:
        campaign: whose log it is; without send slots nothing is wrong.
        row: with arms that the campaign has.
    """
    slots = campaign.send_slots
    if slots is None:
        return
    dimension = campaign.dimensions[slots.dimension]
    choice = {one.name: arm for one, arm in zip(campaign.dimensions, row.arms, strict=True)}
    try:
        values = campaign.schema.encode(Context(row.context)).values
        times, send_at = slots.times(values, row.decided_at), campaign.send_at(values, row.decided_at, choice)
    except EngineError as error:
        yield f"the hours cannot be worked out again: {error}"
        return
    out = {one.arm: one.rule for one in row.excluded if one.dimension == slots.dimension}
    for arm, rule, _ in ((one.arm, one.rule, one) for one in times.excluded):
        if out.get(arm) not in {rule, BY_CALLER}:
            yield f"arm {dimension.ids[arm]!r} was to be out by {rule}, the row says {out.get(arm) or 'nothing'}"
    removed = {one.arm for one in times.excluded}
    for arm, rule in out.items():
        if rule != BY_CALLER and arm not in removed:
            yield f"arm {dimension.ids[arm]!r} is out by {rule}, and its hour could be used"
    if row.send_at != send_at:
        yield f"the message was to go out at {send_at}, the row says {row.send_at}"
