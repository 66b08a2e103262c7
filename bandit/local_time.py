"""Wall clocks: IANA zones, and the moment at which a clock shows a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from bandit.context import ContextValue
from bandit.errors import InvalidContext
from bandit.fault import shown

_MINUTE: Final = timedelta(minutes=1)


def known_zone(name: str) -> ZoneInfo | None:
    """The IANA zone of this name; None where there is no such zone.

    An offset is none, since it does not say when summer time begins.

    >>> known_zone("Europe/Berlin").key, known_zone("+01:00")
    ('Europe/Berlin', None)
    """
    try:
        # The machine's own zone would say something else on another machine.
        return ZoneInfo(name) if name != "localtime" else None
    except (KeyError, ValueError, OSError):
        return None


def zone_in(values: Mapping[str, ContextValue], field: str, *, home: str, kept: str) -> ZoneInfo:
    """The zone a customer lives in.

    Args:
        values: the context as used.
        field: the one that names the zone; empty where none does.
        home: the zone of customers whose own is not known.
        kept: what could not be kept without it, in words.

    Raises:
        InvalidContext: if the context names a zone that is none.

    >>> zone_in({"zone": None}, "zone", home="Europe/Berlin", kept="quiet hours").key
    'Europe/Berlin'
    """
    named = values.get(field) if field else None
    zone = known_zone(home if named is None else str(named))
    if zone is None:
        raise InvalidContext(
            f"context {field!r} is {shown(named)}, which is no IANA time zone: {kept} could not be kept. Send a name "
            "such as 'Europe/Berlin', or nothing where it is not known."
        )
    return zone


def moment_of(zone: ZoneInfo, day: date, minute: int) -> datetime:
    """The moment, in UTC, at which a wall clock shows this time on this day.

    A time that is skipped when clocks go forward becomes the next minute that exists, one that is shown twice the first.

    Args:
        zone: where the clock hangs.
        day: on its calendar.
        minute: of the day, in [0, 1440).

    >>> berlin = ZoneInfo("Europe/Berlin")
    >>> moment_of(berlin, date(2026, 3, 29), 150).astimezone(berlin).strftime("%H:%M %Z")
    '03:00 CEST'
    >>> moment_of(berlin, date(2026, 10, 25), 150).astimezone(berlin).strftime("%H:%M %Z")
    '02:30 CEST'
    """
    return moments_of(zone, day, minute)[0]


def moments_of(zone: ZoneInfo, day: date, minute: int) -> tuple[datetime, ...]:
    """The same with both moments of a time that is shown twice, the first one first.

    >>> len(moments_of(ZoneInfo("Europe/Berlin"), date(2026, 10, 25), 150))
    2
    """
    shown = datetime.combine(day, time(minute // 60, minute % 60), zone)
    first, second = shown.astimezone(UTC), shown.replace(fold=1).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) != shown.replace(tzinfo=None):
        return (_end_of_gap(zone, second, first),)
    return (first,) if second == first else (first, second)


def _end_of_gap(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first whole minute with the new offset; `before` still has the old one, `after` no longer."""
    old, n_minutes = before.astimezone(zone).utcoffset(), (after - before) // _MINUTE
    low, high = 0, n_minutes
    while high - low > 1:
        middle = (low + high) // 2
        is_old = (before + middle * _MINUTE).astimezone(zone).utcoffset() == old
        low, high = (middle, high) if is_old else (low, middle)
    return before + high * _MINUTE
