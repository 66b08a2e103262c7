"""A send slot: an hour on some days of the week, on the customer's own clock, as an arm says it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from types import MappingProxyType
from typing import Final

from bandit.errors import InvalidSettings
from bandit.fault import Reader

_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SHORT_NAMES: Final = tuple(name[:3] for name in _NAMES)
"""Names of the days as ids of send slots have them, Monday first."""
DAYS: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {name: (day,) for day, name in enumerate(_NAMES)}
    | {name: (day,) for day, name in enumerate(SHORT_NAMES)}
    | {"weekday": tuple(range(5)), "weekend": (5, 6), "daily": tuple(range(7)), "hour": tuple(range(7))}
)
"""What may stand before the hour in the id of a send slot, with its days of the week (Monday is 0)."""

GRIDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"24x7": SHORT_NAMES, "weekday-weekend": ("weekday", "weekend"), "daily": ("daily",)}
)
"""What `[send_slots].grid` may say, with the days for which it makes an arm an hour."""

CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
"""A time of the day, such as 18:30."""
# "weekday-09", "sat-17:30", "hour-14"; a bare number of hours could be anything, so without a day it needs its minutes.
_SLOT: Final = re.compile(r"(?:(?P<day>[a-z]+)[-_])?(?P<hour>\d{1,2})(?::(?P<minute>[0-5]\d))?", re.ASCII)
_EVERY_DAY: Final = tuple(range(7))


@dataclass(frozen=True, slots=True)
class SendSlot:
    """A time of day on some days of the week, on the customer's own clock.

    Args:
        days: of the week, Monday is 0; at least one, in order.
        minute: of the day, in [0, 1440).

    Raises:
        InvalidSettings: if there is no such day or minute.
    """

    days: tuple[int, ...]
    minute: int

    @property
    def clock(self) -> time:
        """What a clock shows then."""
        return time(self.minute // 60, self.minute % 60)

    def __post_init__(self) -> None:
        good_days = self.days and sorted(set(self.days)) == list(self.days) and set(self.days) <= set(_EVERY_DAY)
        if not good_days or not 0 <= self.minute < 1440:
            raise InvalidSettings(
                f"{self!r} never comes: give days of the week from 0 (Monday) to 6, in order, and a minute from 0 to 1439."
            )


def send_slot(arm: str) -> SendSlot | None:
    """The send slot an arm's id names, or None: a day and an hour, or an hour with its minutes.

    >>> send_slot("weekend-17"), send_slot("09:30").minute, send_slot("plain"), send_slot("10")
    (SendSlot(days=(5, 6), minute=1020), 570, None, None)
    """
    found = _SLOT.fullmatch(arm.lower())
    if found is None or (found["day"] is None and found["minute"] is None):
        return None
    days, hour = DAYS.get(found["day"] or "daily"), int(found["hour"])
    return SendSlot(days, hour * 60 + int(found["minute"] or 0)) if days and hour < 24 else None


def read_slot(table: Reader) -> SendSlot | None:
    """An arm's `slot = { days = ["mon", "tue"], at = "18:30" }`, with its faults noted; without days it is every day."""
    wanted = f"a list of days: {', '.join(SHORT_NAMES)}, weekday or weekend"
    named = table.texts("days", wanted=wanted) if "days" in table.names() else ("daily",)
    days = sorted({day for name in named for day in DAYS.get(name.lower(), ())})
    unknown = [name for name in named if name.lower() not in DAYS]
    if unknown or not days:
        table.fault("days", unknown or None, wanted)
    minute = read_minute(table, "at")
    table.refuse_the_rest(("days", "at"))
    return SendSlot(tuple(days), minute) if days and minute is not None else None


def read_minute(table: Reader, key: str) -> int | None:
    """A time of the day such as "21:00", in minutes; None, and a fault, for anything else."""
    wanted = 'a time of the day in quotes, such as "21:00"'
    text = table.text(key, wanted=wanted)
    found = CLOCK.fullmatch(text)
    if text and not found:
        table.fault(key, text, wanted)
    return int(found[1]) * 60 + int(found[2]) if found else None


def grid_arms(grid: str, hours: Sequence[int]) -> Iterator[dict[str, object]]:
    """The arms a grid stands for, as the campaign file would have listed them.

    Each says its kind of day and its hour as features, so that what is learned of Monday at nine helps Tuesday at nine.

    >>> [arm["id"] for arm in grid_arms("weekday-weekend", (9, 18))]
    ['weekday-09', 'weekday-18', 'weekend-09', 'weekend-18']
    """
    for name in GRIDS[grid]:
        days = DAYS[name]
        kind = "weekday" if max(days) < 5 else "weekend" if min(days) >= 5 else "daily"
        for hour in hours:
            yield {"id": f"{name}-{hour:02}", "features": {"day_kind": kind, "hour": f"{hour:02}"}}
