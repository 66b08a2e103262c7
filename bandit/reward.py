"""Outcomes and what they are worth: one number a decision, larger is better."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from bandit.errors import InvalidOutcome
from bandit.recent_sends import RecentSendCost

CLOCK_SKEW = timedelta(minutes=5)
"""How long before its decision an outcome may seem to lie: servers' clocks differ."""

REWARD = "reward"
"""Name of the metric that is the reward itself, and not one type of outcome."""

LONGEST_WINDOW = timedelta(days=3650)

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class State(StrEnum):
    """What is known about a decision's reward."""

    PENDING = "pending"  # the attribution window is open
    MATURED = "matured"  # the window has closed; the reward is final
    VOID = "void"  # reported as not sent: never trained on, never evaluated
    DEFERRED = "deferred"  # waits for somebody to say that it was sent; until then it counts for nothing
    EXPIRED = "expired"  # deferred, and nobody said so in time: as void


UNSENT = frozenset({State.VOID, State.DEFERRED, State.EXPIRED})
"""States of decisions of which nobody may say that they reached somebody."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Something that happened after a decision; its own event_id makes a repeated report harmless."""

    event_id: str
    decision_id: str
    type: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RewardSpec:
    """What each type of outcome is worth, for how long outcomes count, and what recent messages cost.

    >>> spec = RewardSpec(timedelta(hours=72), {"click": 0.2, "conversion": 1.0})
    >>> spec.reward_of(["click", "click", "conversion"])
    1.2
    """

    window: timedelta
    events: Mapping[str, float]
    recent_send: RecentSendCost | None = None
    types: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Sorted, for the order of keys in the file means nothing, and snapshots hold one model a type in this order.
        object.__setattr__(self, "types", tuple(sorted(self.events)))

    @property
    def worths(self) -> tuple[float, ...]:
        """What each of `types` is worth."""
        return tuple(self.events[name] for name in self.types)

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and largest reward that one decision can have: each type counts once, and recent messages cost their most."""
        least, largest = self.worth_bounds
        return (least, largest) if self.recent_send is None else (least - self.recent_send.largest, largest)

    @property
    def worth_bounds(self) -> tuple[float, float]:
        """Least and largest that the outcomes of one decision can be worth."""
        return sum(min(worth, 0.0) for worth in self.worths), sum(max(worth, 0.0) for worth in self.worths)

    def worth_of(self, types: Iterable[str]) -> float:
        """What outcomes are worth, which is what a learner learns: each type that happened counts once; 0 for nothing."""
        happened = frozenset(types)
        return float(sum(self.events[name] for name in self.types if name in happened)) if happened else 0.0

    def reward_of(self, types: Iterable[str], recent_sends: int = 0) -> float:
        """The reward of a matured decision: what its outcomes are worth, less what sending it cost.

        Args:
            types: what happened within the window.
            recent_sends: messages that its customer had got lately; 0 for a choice that sends nothing. See
                `Campaign.reward_of`.
        """
        worth = self.worth_of(types)
        return worth - self.recent_send.of(recent_sends) if self.recent_send and recent_sends else worth

    def labels_of(self, types: Iterable[str]) -> tuple[float, ...]:
        """For each of `types`, 1 where it happened within the window and 0 where it did not."""
        happened = frozenset(types)
        return tuple([float(name in happened) for name in self.types])

    def due_at(self, decided_at: datetime, sent_at: datetime | None) -> datetime:
        """When the window closes: it opens when the message was sent, or when it was decided if nobody said."""
        return (sent_at or decided_at) + self.window

    def check(self, outcome: Outcome, *, decided_at: datetime) -> None:
        """Refuse an outcome that cannot be counted.

        Raises:
            InvalidOutcome: for a type the campaign does not name, or a time before the decision.
        """
        if outcome.type not in self.events:
            raise InvalidOutcome(
                f"outcome type {outcome.type!r} is not in [reward].events, so it has no worth. "
                f"Known: {', '.join(self.types)}. Correct the type, or add it with its worth (0 to only keep it)."
            )
        if outcome.at.tzinfo is None:
            raise InvalidOutcome(
                f"outcome {outcome.event_id!r} has the time {outcome.at.isoformat()} without a zone; add one."
            )
        if outcome.at < decided_at - CLOCK_SKEW:
            raise InvalidOutcome(
                f"outcome {outcome.event_id!r} happened at {outcome.at.isoformat()}, before its decision "
                f"({decided_at.isoformat()}), so the decision cannot have caused it. Check the clock or the decision_id."
            )


def parse_window(text: str) -> timedelta | None:
    """A duration such as 90m, 72h or 7d; None for anything else.

    >>> parse_window("72h"), parse_window("soon")
    (datetime.timedelta(days=3), None)
    """
    found = re.fullmatch(r"(\d{1,6})([mhd])", text)
    window = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta(0)
    return window if timedelta(0) < window <= LONGEST_WINDOW else None
