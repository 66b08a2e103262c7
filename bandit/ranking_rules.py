"""The rules of rankings: how is explored, whose rewards count, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bandit.errors import InvalidRanking, InvalidSettings
from bandit.fault import is_number, shown
from bandit.group import Groups


@dataclass(frozen=True, slots=True)
class RankingRules:
    """Under which rules a ranking was made; its row keeps them, for settings may change.

    Attributes:
        policy: a name in the registry of policies.
        floor: share of every pmf that is spread evenly over the actions on offer.
        random, control: shares of the events that are drawn evenly, and that get the first action.
        wait: for how long rewards and the activation count, from the ranking on.
        default_reward: the reward of an event for which none came in time.
        aggregation: which of several rewards counts: the earliest, or their sum.
    """

    policy: str = "squarecb"
    floor: float = 0.2
    random: float = 0.0
    control: float = 0.0
    wait: timedelta = timedelta(minutes=10)
    default_reward: float = 0.0
    aggregation: str = "earliest"

    def __post_init__(self) -> None:
        shares = (self.floor, self.random, self.control, self.random + self.control)
        if not all(0.0 <= share <= 1.0 for share in shares):
            raise InvalidSettings(
                f"floor {self.floor!r}, random {self.random!r} and control {self.control!r} must be shares in [0, 1], the last "
                "two together at most 1."
            )
        if self.aggregation not in {"earliest", "sum"} or not -1.0 <= self.default_reward <= 1.0:
            raise InvalidSettings(
                f"rewards are added up as {self.aggregation!r} with {self.default_reward!r} where none came; need earliest or "
                "sum, and a default in [-1, 1]."
            )

    @property
    def groups(self) -> Groups:
        """Shares of the events in each group."""
        return Groups(random=self.random, control=self.control)

    def reward_of(self, values: Sequence[float]) -> float:
        """The reward of an event.

        Args:
            values: what was reported in time, in that order.

        >>> RankingRules().reward_of([0.5, 1.0]), RankingRules(aggregation="sum").reward_of([0.5, 1.0])
        (0.5, 1.5)
        """
        if not values:
            return self.default_reward
        return float(values[0] if self.aggregation == "earliest" else sum(values))


def check_reward(value: float) -> None:
    """Refuse a reward that cannot be learned from.

    Raises:
        InvalidRanking: for anything outside [-1, 1].
    """
    if not (is_number(value) and -1.0 <= value <= 1.0):
        raise InvalidRanking(
            f"value is {shown(value)}, need a number in [-1, 1], usually in [0, 1]. Nothing was stored; scale it."
        )
