"""Local time: the hour of the week where a customer lives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import FloatArray
from bandit.local_time import known_zone
from simulator.world import ImpossibleWorld, check_utc

Moments: TypeAlias = NDArray[np.datetime64]
"""Points in time, in UTC, in microseconds; the shape stands in the docstring of whoever uses it."""

HOURS_OF_WEEK: Final = 168


def zone_named(name: str) -> ZoneInfo:
    """The IANA zone of this name.

    Raises:
        ImpossibleWorld: if there is no such zone; an offset is none, since it does not say when summer time begins.

    >>> zone_named("Europe/Berlin").key
    'Europe/Berlin'
    """
    zone = known_zone(name)
    if zone is not None:
        return zone
    raise ImpossibleWorld(
        f"zone is {name!r}, which is no IANA time zone: local hours could not be told on both sides of a clock change. "
        "Give a name such as 'Europe/Berlin', never an offset such as '+01:00'."
    )


def moments_of(ats: Sequence[datetime]) -> Moments:
    """Times as an array, shape (n,).

    Raises:
        ImpossibleWorld: if a time is not in UTC.

    >>> moments_of([datetime(2026, 3, 29, 1, tzinfo=ZoneInfo("UTC"))])
    array(['2026-03-29T01:00:00.000000'], dtype='datetime64[us]')
    """
    for at in ats:
        check_utc("time", at)
    return np.array([at.replace(tzinfo=None) for at in ats], dtype="datetime64[us]")


def hours_of_week(ats: Sequence[datetime], zones: Sequence[str]) -> FloatArray:
    """The local hour of the week: 0 on Monday at midnight, 9.5 at half past nine, always below 168.

    Args:
        ats: in UTC.
        zones: the IANA zone of each.

    Returns:
        Shape (n,), in hours.

    Raises:
        ImpossibleWorld: if a time is not in UTC, a zone has no such name, or there are more of one than of the other.

    >>> hours_of_week([datetime(2026, 1, 5, 8, 30, tzinfo=ZoneInfo("UTC"))] * 2, ["Europe/Berlin", "Asia/Kolkata"]).tolist()
    [9.5, 14.0]
    """
    if len(ats) != len(zones):
        raise ImpossibleWorld(f"{len(ats)} times and {len(zones)} zones: give the zone of each, in order.")
    named = {zone: zone_named(zone) for zone in set(zones)}
    return np.array([hour_of_week(at, named[zone]) for at, zone in zip(ats, zones, strict=True)], dtype=np.float64)


def hour_of_week(at: datetime, zone: ZoneInfo) -> float:
    """The local hour of the week of one moment; see `hours_of_week`.

    Raises:
        ImpossibleWorld: if the time is not in UTC.
    """
    check_utc("time", at)
    local = at.astimezone(zone)
    return local.weekday() * 24 + local.hour + (local.minute + (local.second + local.microsecond / 1e6) / 60) / 60
