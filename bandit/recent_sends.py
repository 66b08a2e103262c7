"""The wear on a customer as a cost: each message lately costs something the next time one goes out.

What it costs is said by the campaign file and not learned, so it is taken off the reward, and off what a learner expects, to
the last bit. An arm that sends nothing costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bandit.dimension import Dimension
from bandit.errors import InvalidSettings
from bandit.wear_out import PastSend

MOST = 10
LARGEST_MOST = 1000
LONGEST = timedelta(days=366)
_NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True)
class RecentSendCost:
    """The key `recent_send` of `[reward]`: what each message of the last days costs when another one goes out.

    Args:
        cost: of one of them, in reward units; at least 0.
        within: for how long a message counts, above 0 and up to 366 days; one that is exactly so old counts no more.
        most: so many are counted at most, 1 to 1,000, so that the least reward of a decision is known.
        all_campaigns: whether messages of other campaigns in the same store count as well.

    Raises:
        InvalidSettings: if one of them is out of range.

    >>> RecentSendCost(0.25, timedelta(days=7)).of(3)
    0.75
    """

    cost: float
    within: timedelta
    most: int = MOST
    all_campaigns: bool = False

    def __post_init__(self) -> None:
        if not (0.0 <= self.cost < math.inf and _NOTHING < self.within <= LONGEST and 1 <= self.most <= LARGEST_MOST):
            raise InvalidSettings(
                f"{self!r}: need a cost of at least 0, a stretch of at most 366 days, and 1 to {LARGEST_MOST} messages that "
                "count at most, or the least reward of a decision is not known."
            )

    @property
    def largest(self) -> float:
        """The most that one decision can cost."""
        return self.of(self.most)

    def of(self, recent_sends: int) -> float:
        """What a message costs that goes out after so many."""
        return self.cost * recent_sends

    def count(self, dimensions: Sequence[Dimension], past: Iterable[PastSend], at: datetime) -> int:
        """Messages that a customer got within the stretch before a decision, at most `most`.

        Args:
            dimensions: of the campaign: they say which choices send nothing.
            past: earlier sends to the customer, in any order; only those before `at` count.
            at: time of the decision.

        >>> from datetime import UTC
        >>> noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
        >>> past = [PastSend(noon - timedelta(days=days), {"subject": "plain"}) for days in (0, 1, 6, 7)]
        >>> RecentSendCost(0.02, timedelta(days=7)).count([], past, noon)
        2
        """
        silent = [(dimension.name, dimension.silent) for dimension in dimensions if dimension.silent is not None]
        found = 0
        for send in past:
            if _NOTHING < at - send.at < self.within:
                choice = send.choice
                found += not (silent and any(choice.get(name) == arm for name, arm in silent))
        return min(found, self.most)
