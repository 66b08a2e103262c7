"""The `[send_slots]` table: a dimension whose arms are hours, and which of those hours may be used.

An arm's message goes out the next time the customer's clock shows its hour on a day that is allowed. Arms whose hour does not
come in time, or falls into quiet hours, are out of the decision before the draw. All of it follows from the context and the
time of the decision alone, so that `manyarm verify` can work it out again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from bandit.context import ContextValue
from bandit.exclusion import Excluded
from bandit.limits import QuietHours
from bandit.local_time import moment_of, zone_in
from bandit.send_slot import SendSlot

WITHIN: Final = "[send_slots].within: the hour does not come in time"
QUIET: Final = "[limits].quiet_hours"
BLACKOUT: Final = "[send_slots].blackout"
EARLIEST: Final = "[send_slots].earliest"
LATEST: Final = "[send_slots].latest"

USUAL_HORIZON: Final = timedelta(days=7)
LONGEST_HORIZON: Final = timedelta(days=28)
_DAY: Final = timedelta(days=1)
_INSTANT: Final = timedelta.resolution
_BLOCK_DAYS: Final = 7
_MOST_KEPT: Final = 512
"""Weeks of one zone that stay worked out: customers live in a few hundred zones, and decisions come in time order."""

Bound = date | datetime
"""A date or a wall clock where the customer lives; a time with an offset is the same moment for everybody."""


class SlotTimes(NamedTuple):
    """What each arm would mean for one customer now.

    Attributes:
        send_at: when its message would go out, in UTC, an entry an arm; None where it would not, or sends nothing.
        excluded: the arms that are out, each with its rule.
    """

    send_at: tuple[datetime | None, ...]
    excluded: tuple[Excluded, ...]


class _Standing(NamedTuple):
    """What holds in one zone from a time on and before another."""

    since: datetime
    until: datetime
    times: SlotTimes


class _Showings(NamedTuple):
    """When one clock shows one slot, over some weeks.

    Attributes:
        moments: in order, in UTC.
        rules: what forbids each; empty where it is allowed.
        allowed: for each, place of the first from it on that is allowed; one past the end where none is.
    """

    moments: list[datetime]
    rules: list[str]
    allowed: list[int]


@dataclass(frozen=True, slots=True)
class SendSlots:
    """Which dimension says when messages go out, and what is allowed.

    Args:
        dimension: its position in the campaign.
        slots: of each arm; None for one that sends nothing.
        zone: the context field that names the customer's IANA zone; empty where all live in the campaign's.
        home: the zone of customers whose own is not known.
        within: how far ahead of the decision a message may go out.
        quiet_hours: of the campaign's limits.
        blackout: dates, where the customer lives, on which nothing is sent.
        earliest, latest: no message before, and none after.

    >>> from zoneinfo import ZoneInfo
    >>> slots = SendSlots(0, (SendSlot((0, 1, 2, 3, 4), 9 * 60), SendSlot((5, 6), 17 * 60)), home="Europe/Berlin",
    ...     within=timedelta(days=1))
    >>> found = slots.times({}, datetime(2026, 1, 9, 7, tzinfo=UTC))  # a Friday, eight o'clock in Berlin
    >>> found.send_at[0].isoformat(), found.excluded[0].rule
    ('2026-01-09T08:00:00+00:00', '[send_slots].within: the hour does not come in time')
    """

    dimension: int
    slots: tuple[SendSlot | None, ...]
    zone: str = ""
    home: str = "UTC"
    within: timedelta = USUAL_HORIZON
    quiet_hours: QuietHours | None = None
    blackout: frozenset[date] = frozenset()
    earliest: Bound | None = None
    latest: Bound | None = None
    _known: dict[tuple[str, int], tuple[_Showings | None, ...]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    _latest: dict[str, _Standing] = field(init=False, repr=False, compare=False, default_factory=dict)

    def times(self, values: Mapping[str, ContextValue], at: datetime) -> SlotTimes:
        """What each arm would mean for a customer.

        Args:
            values: the context as used.
            at: time of the decision.

        Raises:
            InvalidContext: if the context names a zone that is none.
        """
        return self.times_in(zone_in(values, self.zone, home=self.home, kept="send slots"), at)

    def times_in(self, zone: ZoneInfo, at: datetime) -> SlotTimes:
        """The same for whoever lives in a zone."""
        at = at.astimezone(UTC)
        known = self._latest.get(zone.key)
        # Minutes of many customers fall between two hours: until the next one comes, everything stays as it is.
        if known is None or not known.since <= at < known.until:
            if len(self._latest) >= _MOST_KEPT:
                self._latest.clear()
            known = self._latest[zone.key] = self._worked_out(zone, at)
        return known.times

    def _worked_out(self, zone: ZoneInfo, at: datetime) -> _Standing:
        last, found, excluded = at + self.within, list[datetime | None](), list[Excluded]()
        until = datetime.fromordinal((at.toordinal() // _BLOCK_DAYS + 1) * _BLOCK_DAYS).replace(tzinfo=UTC)
        for arm, showings in enumerate(self._showings(zone, at)):
            send_at = rule = None
            if showings is not None:
                send_at, rule = _next(showings, at, last)
                coming = bisect_left(showings.moments, at)
                beyond = bisect_right(showings.moments, last)
                ends = [one + _INSTANT for one in showings.moments[coming : coming + 1]]
                comes = [one - self.within for one in showings.moments[beyond : beyond + 1]]
                until = min([until, *ends, *comes])
            found.append(send_at)
            if rule is not None:
                excluded.append(Excluded(self.dimension, arm, rule))
        return _Standing(at, until, SlotTimes(tuple(found), tuple(excluded)))

    def local(self, values: Mapping[str, ContextValue], moment: datetime) -> datetime:
        """A moment as the customer's clock shows it."""
        return moment.astimezone(zone_in(values, self.zone, home=self.home, kept="send slots"))

    def _showings(self, zone: ZoneInfo, at: datetime) -> tuple[_Showings | None, ...]:
        """Of each arm, what is needed for decisions of the same week, worked out once."""
        key = zone.key, at.toordinal() // _BLOCK_DAYS
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            known = self._known[key] = tuple(
                None if slot is None else self._shown(slot, zone, key[1] * _BLOCK_DAYS) for slot in self.slots
            )
        return known

    def _shown(self, slot: SendSlot, zone: ZoneInfo, first: int) -> _Showings:
        """From the day of this number on (in UTC; a local date may be a day off) through the week and the horizon."""
        end = first + _BLOCK_DAYS + self.within // _DAY + 3
        days = map(date.fromordinal, range(first - 2, end))
        moments = [moment_of(zone, day, slot.minute) for day in days if day.weekday() in slot.days]
        rules = [self._rule(moment.astimezone(zone)) for moment in moments]
        allowed, following = [0] * len(rules), len(rules)
        for place in reversed(range(len(rules))):
            following = following if rules[place] else place
            allowed[place] = following
        return _Showings(moments, rules, allowed)

    def _rule(self, local: datetime) -> str:
        """What forbids a message at this time of the customer's clock; empty for nothing."""
        if self.earliest is not None and _is_before(local, self.earliest):
            return EARLIEST
        if self.latest is not None and _is_after(local, self.latest):
            return LATEST
        if local.date() in self.blackout:
            return BLACKOUT
        return QUIET if self.quiet_hours and self.quiet_hours.has(local.time()) else ""


def _next(showings: _Showings, at: datetime, last: datetime) -> tuple[datetime | None, str | None]:
    """When a slot comes next and is allowed; or what forbids it."""
    moments, place = showings.moments, bisect_left(showings.moments, at)
    if place == len(moments) or moments[place] > last:
        return None, WITHIN
    allowed = showings.allowed[place]
    if allowed < len(moments) and moments[allowed] <= last:
        return moments[allowed], None
    return None, showings.rules[place]


def _is_before(local: datetime, bound: Bound) -> bool:
    if not isinstance(bound, datetime):
        return local.date() < bound
    return local < bound if bound.tzinfo else local.replace(tzinfo=None) < bound


def _is_after(local: datetime, bound: Bound) -> bool:
    if not isinstance(bound, datetime):
        return local.date() > bound
    return local > bound if bound.tzinfo else local.replace(tzinfo=None) > bound


def with_slots(by_caller: Sequence[Excluded], by_slots: Iterable[Excluded]) -> tuple[Excluded, ...]:
    """What is out of a decision: what the caller excluded, and what hours removed besides.

    >>> with_slots((Excluded(1, 2),), (Excluded(1, 2, QUIET), Excluded(1, 3, QUIET)))[1]
    Excluded(dimension=1, arm=3, rule='[limits].quiet_hours')
    """
    if not by_caller:
        return tuple(by_slots)
    taken = {(one.dimension, one.arm) for one in by_caller}
    return tuple(sorted([*by_caller, *(one for one in by_slots if (one.dimension, one.arm) not in taken)]))
