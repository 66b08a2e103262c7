"""When the messages of a demo went out: send slots on the customers' own clocks, quiet hours, and caps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bandit.campaign import Campaign
from service.demos.demo import Played
from service.demos.sent_messages import SentMessage


@dataclass(frozen=True, slots=True)
class SentHours:
    """When messages went out, and how many to one customer.

    Attributes:
        by_slot: number of messages of each send slot, in the order of the campaign.
        earliest, latest: local times of day between which all of them went out; empty where none did.
        quiet_hours: of the campaign, in words; empty for none.
        n_quiet: messages in quiet hours.
        most: for each cap, in words, how many messages any customer got at most within its stretch.
        n_capped: decisions that caps refused.
    """

    by_slot: Mapping[str, int]
    earliest: str
    latest: str
    quiet_hours: str
    n_quiet: int
    most: Mapping[str, int]
    n_capped: int

    @classmethod
    def of(cls, played: Played, messages: Sequence[SentMessage]) -> SentHours:
        """Of the messages of a demo."""
        campaign = played.campaign
        clocks = sorted(message.local.time() for message in messages)
        quiet = campaign.limits.quiet_hours if campaign.limits else None
        return cls(
            _by_slot(campaign, messages),
            f"{clocks[0]:%H:%M}" if clocks else "",
            f"{clocks[-1]:%H:%M}" if clocks else "",
            f"{_clock(quiet.start)} to {_clock(quiet.end)}" if quiet else "",
            sum(map(quiet.has, clocks)) if quiet else 0,
            {f"{cap.most} within {cap.within.days} days": _most(messages, cap.within) for cap in campaign.caps},
            played.n_capped,
        )

    @property
    def lines(self) -> tuple[str, ...]:
        """For people."""
        if not self.by_slot:
            return ("No message went out.",)
        total = sum(self.by_slot.values())
        slots = ", ".join(f"{slot} {n / total:.0%}" for slot, n in self.by_slot.items())
        caps = ", ".join(f"{cap} (most that anybody got: {most})" for cap, most in self.most.items())
        between = f"The earliest went out at {self.earliest}, the latest at {self.latest}"
        return (
            f"Messages by the hour where the customer lives: {slots}.",
            f"{between}; {self.n_quiet} in quiet hours, which are {self.quiet_hours}.",
            f"At most {caps}: {self.n_capped} decisions were refused, and nothing is counted of them.",
        )


def _by_slot(campaign: Campaign, messages: Sequence[SentMessage]) -> dict[str, int]:
    if campaign.send_slots is None:
        return {}
    dimension = campaign.dimensions[campaign.send_slots.dimension]
    counts = Counter(message.choice[dimension.name] for message in messages)
    return {arm: counts[arm] for arm in dimension.ids if counts[arm]}


def _most(messages: Sequence[SentMessage], within: timedelta) -> int:
    """Messages that any customer got at most in any stretch of this length, its end left out."""
    by_customer: dict[str, list[datetime]] = defaultdict(list)
    for message in messages:
        # Of two times on one clock Python compares what the clock shows, which is an hour off where it was changed in between.
        by_customer[message.send.arrival.customer_id].append(message.local.astimezone(UTC))
    return max((_most_within(sorted(moments), within) for moments in by_customer.values()), default=0)


def _most_within(moments: Sequence[datetime], within: timedelta) -> int:
    return max(sum(first <= one < first + within for one in moments) for first in moments)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
