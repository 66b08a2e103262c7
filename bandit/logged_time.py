"""What `[time]` makes of the rows of a log that does not hold it: of each row's own time, as a decision then would have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime

from bandit.campaign import Campaign
from bandit.context import ContextValue
from bandit.errors import InvalidContext, UnusableLog
from bandit.time_context import TimeContext
from bandit.time_kinds import KINDS


def unheld(time: TimeContext | None, held: Collection[str]) -> tuple[str, ...]:
    """Made fields that a log does not hold.

    Args:
        time: of the campaign; None where it makes nothing of the time.
        held: fields that the log holds.

    >>> unheld(TimeContext({"hour": "hour", "weekday": "weekday"}, "UTC"), {"plan", "hour"})
    ('weekday',)
    """
    return () if time is None else tuple(name for name in time.kinds if name not in held)


def filled_in(time: TimeContext, logged: Mapping[str, ContextValue], at: datetime, row: str) -> dict[str, ContextValue]:
    """The context of a row of a log with the made fields that it does not hold; what it holds stays as it was logged.

    Args:
        time: of the campaign.
        logged: name to value.
        at: when the row was decided, with a zone.
        row: which it is, for messages.

    Raises:
        UnusableLog: if the row names a zone that is none, naming the row.

    >>> time = TimeContext({"hour": "hour", "weekday": "weekday"}, "UTC", zone="zone")
    >>> at = datetime.fromisoformat("2026-11-21T22:45:00+00:00")
    >>> filled_in(time, {"zone": "Asia/Kolkata", "hour": "23"}, at, "row 1")
    {'hour': '23', 'weekday': 'sun', 'zone': 'Asia/Kolkata'}
    """
    try:
        return {**time.values(logged, at), **logged}
    except InvalidContext as error:
        raise UnusableLog(f"{row}: {error} Correct or drop that row.") from error


def filled_or_counted(
    time: TimeContext | None, logged: Mapping[str, ContextValue], at: datetime | None, row: str, unfit: Counter[str]
) -> Mapping[str, ContextValue]:
    """The same for a row that may not say when it was; what is missing then is counted by name.

    A log that does not know the field that names zones has its customers live where the campaign does; that is counted too.

    Raises:
        UnusableLog: as `filled_in`.
    """
    made = unheld(time, logged)
    if time is None or not made:
        return logged
    if at is None:
        unfit.update(made)
        return logged
    unfit.update(name for name in time.sources if name not in logged)
    return filled_in(time, logged, at, row)


def held_alike(earlier: TimeContext | None, now: TimeContext | None) -> frozenset[str]:
    """Made fields that the log of an earlier campaign holds as this campaign means them.

    Those that count the days of a campaign are: last year's last day teaches what a last day is. The others are if they were
    read off the same clock and the same calendar.

    Args:
        earlier: of the campaign that made the log.
        now: of the one that learns from it.

    >>> plain = TimeContext({"hour": "hour"}, "UTC")
    >>> held_alike(plain, TimeContext({"hour": "hour", "block": "hour_block"}, "UTC"))
    frozenset({'hour'})
    >>> held_alike(plain, TimeContext({"hour": "hour"}, "Europe/Berlin"))
    frozenset()
    """
    if earlier is None or now is None:
        return frozenset()
    is_same = _clock(earlier) == _clock(now)
    alike = (name for name, kind in now.kinds.items() if earlier.kinds.get(name) == kind)
    return frozenset(name for name in alike if is_same or KINDS[now.kinds[name]].has_span)


def _clock(time: TimeContext) -> tuple[object, ...]:
    return time.home, time.zone, time.country, time.country_field, time.is_south


def unlike(earlier: Campaign, campaign: Campaign) -> tuple[str, ...]:
    """Made fields of a campaign that an earlier one has by the same name, and that mean something else in it.

    Args:
        earlier: made a log or a snapshot.
        campaign: is to go on from it.
    """
    if campaign.time is None:
        return ()
    alike = held_alike(earlier.time, campaign.time)
    return tuple(name for name in campaign.time.kinds if name in earlier.schema and name not in alike)


def without_unlike(
    context: Mapping[str, ContextValue], earlier: Campaign, campaign: Campaign
) -> Mapping[str, ContextValue]:
    """A logged context without made fields that mean something else in the campaign that learns from it."""
    if campaign.time is None:
        return context
    alike = held_alike(earlier.time, campaign.time)
    return {name: value for name, value in context.items() if name in alike or name not in campaign.time.kinds}
