"""Business as usual for whoever did not consent to more: the control choice, at an hour that can be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from bandit.campaign import Campaign
from bandit.context import EncodedContext
from bandit.decisions import send_ats
from bandit.errors import NoEligibleArm
from bandit.slot_columns import slot_times


class Usual(NamedTuple):
    """What somebody gets for whom nothing is decided.

    Attributes:
        choice: one arm a dimension.
        send_at: when it goes out, in UTC; None for at once.
    """

    choice: dict[str, str]
    send_at: datetime | None


def usual_choices(campaign: Campaign, contexts: Sequence[EncodedContext], at: datetime) -> list[Usual]:
    """The control choice of each customer; where its send slot cannot be used now, with the next that goes with the rest.

    Args:
        campaign: one with a control choice.
        contexts: of the customers.
        at: the time.

    Raises:
        NoEligibleArm: if no send slot can be used for one of them.
        InvalidContext: if a context names a zone that is none.
    """
    choice, slots, n = dict(campaign.groups.control_choice), campaign.send_slots, len(contexts)
    if slots is None or campaign.sends_nothing(choice):
        picks = np.array([campaign.picks_of(choice)] * n, dtype=np.int64).reshape(n, -1)
        return [Usual(choice, send_at) for send_at in send_ats(campaign, contexts, [at] * n, picks)]
    dimension = campaign.dimensions[slots.dimension]
    usual, found = dimension.index_of(choice[dimension.name]), []
    fitting = [
        arm for arm, name in enumerate(dimension.ids) if _go_together(campaign, {**choice, dimension.name: name})
    ]
    for times in slot_times(slots, contexts, [at] * n):
        left = [(moment, arm) for arm in fitting if (moment := times.send_at[arm]) is not None]
        if not left:
            rules = "; ".join(sorted({one.rule for one in times.excluded}))
            raise NoEligibleArm(f"no arm of dimension {dimension.name!r} is eligible, by {rules}: send nothing now.")
        send_at = times.send_at[usual]
        moment, arm = (send_at, usual) if send_at is not None else min(left)
        found.append(Usual({**choice, dimension.name: dimension.ids[arm]}, moment))
    return found


def _go_together(campaign: Campaign, choice: Mapping[str, str]) -> bool:
    """Whether each arm goes with the others: an hour of another channel is none of this choice's."""
    return all(one.arms[one.index_of(choice[one.name])].goes_with(choice) for one in campaign.dimensions)
