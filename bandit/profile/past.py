"""What one customer did before a time, beside their features: what live numbers look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bandit.profile.rhythm import rhythm_of
from bandit.profile.sums import NEVER, Sums

Purchase = tuple[int, float | None]
"""When, in microseconds since 1970, and for how much; None where that is not known."""
_DAY: Final = 86_400e6


@dataclass(frozen=True, slots=True)
class Past:
    """The past of one customer; all times in microseconds since 1970.

    Attributes:
        at: the time.
        born: of the first event of any kind.
        n_active: how often the customer did anything.
        last_active: when last; `NEVER` where there was nothing.
        purchases: in any order.
    """

    at: int
    born: int
    n_active: int
    last_active: int
    purchases: Sequence[Purchase]

    @property
    def rhythm(self) -> dict[str, float]:
        """What `rhythm_features` makes of it."""
        # As pandas has it: whole seconds and a fraction first, then days.
        age = (self.at - self.born) / 1e6 / 86_400.0
        last = max((moment for moment, _ in self.purchases), default=NEVER)
        purchases = rhythm_of("purchase", len(self.purchases), self._days_since(last), age)
        return purchases | rhythm_of("activity", self.n_active, self._days_since(self.last_active), age)

    def _days_since(self, moment: int) -> float:
        return math.inf if moment == NEVER else (self.at - moment) / _DAY


def past_of(sums: Sums, purchases: Sequence[Purchase]) -> Past:
    """The past of one customer, of whom there is at least one event.

    Args:
        sums: of the customer's events before a time.
        purchases: the same customer's before that time.
    """
    born, last = int(sums.first["any"][0]), int(sums.last["active"][0])
    return Past(sums.at, born, int(sums.months.sum()), last, purchases)
