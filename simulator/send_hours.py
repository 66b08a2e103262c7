"""Send slots: arms that say at what local hour a message goes out, and the moment at which it does."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from bandit.arrays import FloatArray
from bandit.local_time import moment_of
from bandit.send_slot import SendSlot, send_slot
from simulator.local_time import Moments, hour_of_week, moments_of, zone_named
from simulator.world import ImpossibleWorld, check_utc

_BLOCK_DAYS: Final = 56
_DAYS_BEFORE, _DAYS_AFTER = 2, 9
"""Local dates lie up to a day off those of UTC, a gap may push the last hour of a day into the next, and a slot of one
weekday that has just passed comes again after seven days."""


@dataclass(frozen=True, slots=True, eq=False)
class PlannedSends:
    """When messages would go out, for every arm of a dimension of send slots.

    Args:
        at: in UTC, shape (n_sends, n_arms).
        local_hours: the same on the customer's clock: hours since Monday at midnight, below 168.
        delay_hours: from the decision until then, at least 0.
    """

    at: Moments
    local_hours: FloatArray
    delay_hours: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Showings:
    """When one clock shows one slot, over some weeks, in time order."""

    moments: tuple[datetime, ...]
    at: Moments
    local_hours: FloatArray


@dataclass(frozen=True, slots=True)
class SendHours:
    """The arms of a dimension of send slots, in the order of the campaign file.

    A message goes out the next time that the customer's wall clock shows the slot, at the decision or after. A time
    skipped when clocks go forward becomes the next minute that exists; one shown twice, the first.

    Args:
        slots: one an arm.

    Raises:
        ImpossibleWorld: if there is none.

    >>> from datetime import UTC
    >>> hours = SendHours((SendSlot((0, 1, 2, 3, 4), 9 * 60),))
    >>> friday_noon = datetime(2026, 1, 9, 12, tzinfo=UTC)
    >>> hours.sent_at(friday_noon, 0, "Asia/Kolkata").isoformat()
    '2026-01-12T03:30:00+00:00'
    """

    slots: tuple[SendSlot, ...]
    _known: dict[tuple[str, int, int], _Showings] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not self.slots:
            raise ImpossibleWorld("slots is empty: nothing could ever be sent; give one an arm.")

    def sent_at(self, at: datetime, arm: int, zone: str) -> datetime:
        """When a message goes out, in UTC.

        Args:
            at: the decision, in UTC.
            arm: position in the dimension.
            zone: the customer's, an IANA name.

        Raises:
            ImpossibleWorld: if the time is not in UTC, or there is no such arm or zone.
        """
        check_utc("time of the decision", at)
        if not 0 <= arm < len(self.slots):
            raise ImpossibleWorld(f"arm {arm} is not a send slot: they are numbered from 0 to {len(self.slots) - 1}.")
        moments = self._showings(zone, arm, at.toordinal() // _BLOCK_DAYS).moments
        return moments[bisect.bisect_left(moments, at)]

    def planned(self, ats: Sequence[datetime], zones: Sequence[str]) -> PlannedSends:
        """When messages would go out with each arm; the same moments as those of `sent_at`.

        Args:
            ats: the decisions, in UTC.
            zones: the customers', one a decision.

        Raises:
            ImpossibleWorld: if a time is not in UTC, a zone has no such name, or there are more of one than of the other.

        >>> from datetime import UTC
        >>> planned = SendHours((SendSlot((5, 6), 600), SendSlot((0,), 0))).planned(
        ...     [datetime(2026, 1, 9, 12, tzinfo=UTC)], ["Europe/Berlin"])
        >>> planned.at[0, 0], planned.local_hours.tolist(), planned.delay_hours.tolist()
        (np.datetime64('2026-01-10T09:00:00.000000'), [[130.0, 0.0]], [[21.0, 59.0]])
        """
        if len(ats) != len(zones):
            raise ImpossibleWorld(f"{len(ats)} decisions and {len(zones)} zones: give the zone of each, in order.")
        decided = moments_of(ats)
        sent = np.empty((len(ats), len(self.slots)), dtype="datetime64[us]")
        hours = np.empty(sent.shape)
        rows_of: dict[tuple[str, int], list[int]] = {}
        for row, (at, zone) in enumerate(zip(ats, zones, strict=True)):
            rows_of.setdefault((zone, at.toordinal() // _BLOCK_DAYS), []).append(row)
        for (zone, block), rows in rows_of.items():
            for arm in range(len(self.slots)):
                showings = self._showings(zone, arm, block)
                places = np.searchsorted(showings.at, decided[rows])
                sent[rows, arm], hours[rows, arm] = showings.at[places], showings.local_hours[places]
        return PlannedSends(sent, hours, (sent - decided[:, None]) / np.timedelta64(1, "h"))

    def _showings(self, zone: str, arm: int, block: int) -> _Showings:
        """What is needed for decisions in this block of days, worked out once."""
        known = self._known.get((zone, arm, block))
        if known is None:
            known = self._known[zone, arm, block] = _showings(self.slots[arm], zone_named(zone), block * _BLOCK_DAYS)
        return known


def send_hours_of(arms: Sequence[str]) -> SendHours | None:
    """The send slots of a dimension, or None where not every arm names one.

    >>> send_hours_of(("weekday-09", "sat-10")) is None, send_hours_of(("weekday-09", "later")) is None
    (False, True)
    """
    slots = [slot for slot in map(send_slot, arms) if slot is not None]
    return SendHours(tuple(slots)) if len(slots) == len(arms) > 0 else None


def _showings(slot: SendSlot, zone: ZoneInfo, first: int) -> _Showings:
    """When the clock shows the slot next, for decisions from this day on (its number, in UTC) and through the block."""
    days = map(date.fromordinal, range(first - _DAYS_BEFORE, first + _BLOCK_DAYS + _DAYS_AFTER))
    moments = tuple(moment_of(zone, day, slot.minute) for day in days if day.weekday() in slot.days)
    return _Showings(moments, moments_of(moments), np.array([hour_of_week(at, zone) for at in moments]))
