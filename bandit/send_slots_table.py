"""Reading the `[send_slots]` table: arms that a grid makes, and the hours each arm stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from bandit.dimension import Arm, Dimension
from bandit.fault import Fault, Reader, shown
from bandit.limits import QuietHours, read_zone
from bandit.reward import parse_window
from bandit.schema import Schema
from bandit.send_slot import GRIDS, SendSlot, grid_arms, send_slot
from bandit.send_slots import LONGEST_HORIZON, USUAL_HORIZON, Bound, SendSlots

DIMENSION: Final = "send_slot"
"""The dimension of send slots, where the table names no other."""
_KEYS: Final = ("dimension", "grid", "hours", "zone", "within", "blackout", "earliest", "latest")
_EVERY_HOUR: Final = tuple(range(24))


def with_grid(tables: Mapping[str, Any]) -> dict[str, Any]:
    """A campaign's tables with the arms of `[send_slots].grid` written out; the same tables where there is no grid.

    Arms that the file lists itself stand first and stay as they are. A dimension that the file does not have stands last.

    >>> made = with_grid({"send_slots": {"grid": "daily", "hours": [9]}, "dimension": [{"name": "subject"}]})
    >>> [(one["name"], [arm["id"] for arm in one.get("arm", [])]) for one in made["dimension"]]
    [('subject', []), ('send_slot', ['daily-09'])]
    """
    asked = tables.get("send_slots")
    if not isinstance(asked, dict) or asked.get("grid") not in GRIDS:
        return dict(tables)
    name, hours = asked.get("dimension", DIMENSION), _hours(asked.get("hours", list(_EVERY_HOUR)))
    found = tables.get("dimension", [])
    if hours is None or not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        return dict(tables)
    dimensions = found if any(one.get("name") == name for one in found) else [*found, {"name": name}]
    made = list(grid_arms(asked["grid"], hours))
    return {**tables, "dimension": [_filled(one, made) if one.get("name") == name else one for one in dimensions]}


def slots_dimension(tables: Mapping[str, Any]) -> str | None:
    """Name of the dimension of send slots; None where the file has no such table."""
    asked = tables.get("send_slots")
    return str(asked.get("dimension", DIMENSION)) if isinstance(asked, dict) else None


def _filled(dimension: Mapping[str, Any], made: Sequence[Mapping[str, object]]) -> Mapping[str, Any]:
    listed = dimension.get("arm", [])
    if not isinstance(listed, list):
        return dimension
    known = {arm.get("id") for arm in listed if isinstance(arm, dict)}
    return {**dimension, "arm": [*listed, *(arm for arm in made if arm["id"] not in known)]}


def _hours(found: object) -> tuple[int, ...] | None:
    """Hours of a grid, in order; None for anything that is not such a list."""
    good = isinstance(found, list) and found and all(type(hour) is int and 0 <= hour < 24 for hour in found)
    return tuple(sorted(set(found))) if good and isinstance(found, list) else None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rest of the campaign file says that holds for send slots too.

    Attributes:
        schema: of the context.
        home: the zone of customers whose own is not known.
        quiet_hours: of `[limits]`.
        zone: the field that another table names for the customer's zone; empty where none does.
    """

    schema: Schema
    home: str
    quiet_hours: QuietHours | None = None
    zone: str = ""


def read_send_slots(table: Reader, dimensions: Sequence[Dimension], around: Surroundings) -> SendSlots | None:
    """The table, with its faults noted; None where they leave nothing to go by."""
    name = table.text("dimension", wanted="the name of the dimension of send slots", default=DIMENSION)
    _check_grid(table)
    zone = read_zone(table, around.schema) or around.zone
    within, blackout = _within(table), _blackout(table)
    earliest, latest = _bound(table, "earliest"), _bound(table, "latest")
    table.refuse_the_rest(_KEYS)
    place = next((d for d, one in enumerate(dimensions) if one.name == name), None)
    if place is None:
        known = ", ".join(one.name for one in dimensions)
        table.fault("dimension", name, f"a dimension of the file ({known}), or a grid, which makes one")
        return None
    slots = _slots(dimensions[place], table)
    return SendSlots(place, slots, zone, around.home, within, around.quiet_hours, blackout, earliest, latest)


def _slots(dimension: Dimension, table: Reader) -> tuple[SendSlot | None, ...]:
    """The hour of each arm; None for one that sends nothing."""
    unknown = [arm.id for arm in dimension.arms if not arm.no_send and slot_of(arm) is None]
    for arm_id in unknown[:12]:
        wanted = 'an id such as weekday-09 or mon-18, or slot = { days = ["mon"], at = "18:30" }'
        table.faults.append(Fault(f"dimension {dimension.name}, arm {arm_id}", "no hour", wanted))
    return tuple(None if arm.no_send else slot_of(arm) for arm in dimension.arms)


def slot_of(arm: Arm) -> SendSlot | None:
    """The hour an arm stands for, by what it says or by its id."""
    return arm.slot or send_slot(arm.id)


def refuse_slots_elsewhere(dimensions: Sequence[Dimension], slots: SendSlots | None, faults: list[Fault]) -> None:
    """Note an arm that says an hour which nobody would read."""
    for d, dimension in enumerate(dimensions):
        odd = [arm.id for arm in dimension.arms if arm.slot is not None]
        if odd and (slots is None or d != slots.dimension):
            wanted = "no `slot`, or a [send_slots] table that names this dimension: the hour would not be kept"
            faults.append(Fault(f"dimension {dimension.name}, arm {odd[0]}", "slot", wanted))


def _check_grid(table: Reader) -> None:
    grid, hours = table.take("grid"), table.take("hours")
    if grid is not None and grid not in GRIDS:
        table.fault("grid", grid, f"one of {', '.join(GRIDS)}, or arms that are listed")
    if hours is not None and grid is None:
        table.fault("hours", hours, "a grid beside them; arms that are listed say their hours themselves")
    elif hours is not None and _hours(hours) is None:
        table.fault("hours", hours, "a list of whole hours from 0 to 23, such as [9, 12, 18]")


def _within(table: Reader) -> timedelta:
    wanted = f"a duration up to {LONGEST_HORIZON.days}d, such as 7d or 24h: how far ahead a message may go out"
    if "within" not in table.names():
        return USUAL_HORIZON
    text = table.text("within", wanted=wanted)
    within = parse_window(text)
    if text and not (within and within <= LONGEST_HORIZON):
        table.fault("within", text, wanted)
        return USUAL_HORIZON
    return within or USUAL_HORIZON


def _blackout(table: Reader) -> frozenset[date]:
    found = table.take("blackout")
    if found is None:
        return frozenset()
    if isinstance(found, list) and all(_is_date(one) for one in found):
        return frozenset(found)
    odd = next((one for one in found if not _is_date(one)), found) if isinstance(found, list) else found
    table.fault("blackout", odd, "a list of dates without quotes, such as [2026-12-25]")
    return frozenset()


def _is_date(value: object) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


def _bound(table: Reader, key: str) -> Bound | None:
    found = table.take(key)
    if found is None or isinstance(found, date):  # of which a datetime is one
        return found
    table.fault(key, shown(found), "a date or a time without quotes, such as 2026-12-01 or 2026-12-01T09:00:00Z")
    return None
