"""The `[reward]` table of the campaign file."""

from __future__ import annotations

from datetime import timedelta

from bandit.fault import Reader
from bandit.recent_sends import LARGEST_MOST, LONGEST, MOST, RecentSendCost
from bandit.reward import RewardSpec, parse_window

_LARGEST = 1e6


def read_reward(table: Reader) -> RewardSpec:
    """What outcomes are worth and for how long they count, and what recent messages cost; faults are noted."""
    wanted = "a duration such as 72h, 7d or 90m"
    text = table.text("window", wanted=wanted)
    window = parse_window(text)
    if text and not window:
        table.fault("window", text, wanted)
    events = table.table("events")
    worths: dict[str, float] = {}
    for name in events.names():
        worths[name] = events.number(
            name, low=-_LARGEST, high=_LARGEST, default=None, wanted="a finite number; larger is better"
        )
    if not any(worths.values()):
        table.fault("events", worths or None, "at least one type with a worth other than 0, such as { click = 1.0 }")
    recent_send = _recent_send(table.table("recent_send")) if "recent_send" in table.names() else None
    table.refuse_the_rest(("window", "events", "recent_send"))
    return RewardSpec(window or timedelta(hours=1), worths, recent_send)


def _recent_send(table: Reader) -> RecentSendCost:
    """`{ cost = 0.02, within = "7d" }`."""
    wanted = "a number of reward units of at least 0: what each message within the stretch costs"
    cost = table.number("cost", low=0.0, high=_LARGEST, default=None, wanted=wanted)
    most = _whole(table)
    wanted = "a duration such as 7d or 24h, up to 366d: for how long a message counts"
    text = table.text("within", wanted=wanted)
    within = parse_window(text)
    if text and not (within and within <= LONGEST):
        table.fault("within", text, wanted)
    all_campaigns = table.boolean("all_campaigns", default=False)
    table.refuse_the_rest(("cost", "within", "most", "all_campaigns"))
    return RecentSendCost(cost, min(within or LONGEST, LONGEST), most, all_campaigns)


def _whole(table: Reader) -> int:
    wanted = f"a whole number of messages from 1 to {LARGEST_MOST}: so many count at most"
    most = table.number("most", low=1, high=LARGEST_MOST, default=MOST, wanted=wanted)
    if most != int(most):
        table.fault("most", most, wanted)
    return max(int(most), 1)
