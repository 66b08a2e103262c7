"""Frequency caps: how many messages a customer may get in any stretch of time, through which channel, of which campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from bandit.fault import Reader
from bandit.reward import parse_window

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many messages to one customer in any stretch of time of this length.

    Attributes:
        most: of messages.
        within: the stretch.
        channel: counts messages through this channel alone, and limits those; empty for all.
        all_campaigns: counts messages of every campaign in the same store, and not of this one alone.
    """

    most: int
    within: timedelta
    channel: str = ""
    all_campaigns: bool = False

    def counts(self, sent: Sent) -> bool:
        """Whether a message counts towards this cap."""
        return self.channel in {"", sent.channel} and (self.all_campaigns or sent.is_own)


class Sent(NamedTuple):
    """One message to a customer.

    Attributes:
        at: when it went out or will go out.
        channel: through which; None where the campaign has no channels.
        is_own: whether it is of the campaign that asks.
    """

    at: datetime
    channel: str | None = None
    is_own: bool = True


def longest_of(caps: Sequence[Cap]) -> timedelta:
    """The longest stretch of any of them: older messages bind nobody."""
    return max((cap.within for cap in caps), default=timedelta(0))


def count_all_campaigns(caps: Sequence[Cap]) -> bool:
    """Whether messages of other campaigns in the same store matter to any of them."""
    return any(cap.all_campaigns for cap in caps)


def free_from(caps: Sequence[Cap], message: Sent, sends: Sequence[Sent]) -> datetime:
    """The first time from that of a message on at which it keeps every cap.

    Args:
        caps: of the campaign.
        message: the one to be sent.
        sends: the customer's others, in any order.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    >>> sends = [Sent(noon - _DAY, "sms"), Sent(noon - 2 * _DAY, "email")]
    >>> caps = [Cap(1, timedelta(days=7), "sms")]
    >>> [(free_from(caps, Sent(noon, channel), sends) - noon).days for channel in ("email", "sms")]
    [0, 6]
    """
    asked = [
        (cap, [one.at for one in sends if cap.counts(one)]) for cap in caps if cap.channel in {"", message.channel}
    ]
    later = {at + cap.within for cap, ats in asked for at in ats}
    candidates = sorted(one for one in {message.at, *later} if one >= message.at)
    return next(one for one in candidates if all(_keeps(cap, one, ats) for cap, ats in asked))


def _keeps(cap: Cap, moment: datetime, sends: Sequence[datetime]) -> bool:
    """Whether no stretch of time that holds the moment gets too many; a later message may be on its way already."""
    ends = [moment, *(send for send in sends if moment <= send < moment + cap.within)]
    all_sends = [moment, *sends]
    return all(sum(end - cap.within < send <= end for send in all_sends) <= cap.most for end in ends)


def breaks(cap: Cap, message: Sent, others: Sequence[tuple[Sent, Sent]]) -> bool:
    """Whether a message is one too many, whatever is not known of when the others went out.

    Args:
        cap: that may be broken.
        message: looked at.
        others: of each of the customer's others the earliest and the latest it may have gone out.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    >>> late = [(Sent(noon - 8 * _DAY), Sent(noon - 6 * _DAY))]
    >>> breaks(Cap(1, 7 * _DAY), Sent(noon), late), breaks(Cap(1, 9 * _DAY), Sent(noon), late)
    (False, True)
    """
    if cap.channel not in {"", message.channel}:
        return False
    counted = [(first.at, last.at) for first, last in others if cap.counts(first)]
    ends = [message.at, *(last for _, last in counted if message.at <= last < message.at + cap.within)]
    return any(1 + sum(end - cap.within < first and last <= end for first, last in counted) > cap.most for end in ends)


def read_caps(table: Reader, channels: Sequence[str]) -> tuple[Cap, ...]:
    """`caps` and `gap` of the `[limits]` table, with their faults noted; a gap is one message in any stretch so long."""
    caps = [_cap(one, channels) for one in table.tables("caps")]
    if "gap" in table.names():
        caps.append(Cap(1, _duration(table, "gap", "a duration such as 24h, between two messages to a customer")))
    return tuple(caps)


def _cap(table: Reader, channels: Sequence[str]) -> Cap:
    wanted = "a whole number of messages from 1 on"
    most = table.number("most", low=1, high=1000, default=None, wanted=wanted)
    if most != int(most):
        table.fault("most", most, wanted)
    within = _duration(table, "within", "a duration such as 7d or 24h, in which so many are allowed")
    channel = table.text("channel", wanted="an arm of the dimension channel") if "channel" in table.names() else ""
    if channel and channel not in channels:
        table.fault("channel", channel, f"an arm of the dimension channel: {', '.join(channels) or 'there is none'}")
    all_campaigns = table.boolean("all_campaigns", default=False)
    table.refuse_the_rest(("most", "within", "channel", "all_campaigns"))
    return Cap(int(most), within, channel, all_campaigns)


def _duration(table: Reader, key: str, wanted: str) -> timedelta:
    text = table.text(key, wanted=wanted)
    within = parse_window(text)
    if text and not within:
        table.fault(key, text, wanted)
    return within or _DAY
