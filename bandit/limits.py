"""The `[limits]` table of the campaign file: how often a customer may be mailed, and at which hours not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bandit.context import ContextValue
from bandit.fatigue import Cap, Sent, free_from, read_caps
from bandit.fault import Reader
from bandit.local_time import known_zone, moments_of, zone_in
from bandit.schema import CategoricalField, Schema
from bandit.send_slot import read_minute

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of the day, where the customer lives, at which nothing is sent.

    Attributes:
        start, end: minutes of the day; quiet from `start` on and no longer at `end`. The night is from 21:00 to 08:00.
        zone: the context field that names the customer's IANA zone; empty where all live in the campaign's.
    """

    start: int
    end: int
    zone: str = ""

    def has(self, clock: time) -> bool:
        """Whether it is quiet when a wall clock shows this.

        >>> [QuietHours(21 * 60, 8 * 60).has(time(hour)) for hour in (20, 21, 7, 8)]
        [False, True, True, False]
        """
        minute = clock.hour * 60 + clock.minute
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def over_at(self, at: datetime, zone: ZoneInfo) -> datetime:
        """The first moment from `at` on that is not quiet, in UTC; `at` itself where it is not.

        Quiet hours that end at a time which clocks skip end at the next minute there is, and at one shown twice they end the
        first time.

        >>> berlin = ZoneInfo("Europe/Berlin")
        >>> QuietHours(21 * 60, 8 * 60).over_at(datetime(2026, 3, 28, 22, tzinfo=UTC), berlin).isoformat()
        '2026-03-29T06:00:00+00:00'
        """
        local = at.astimezone(zone)
        if not self.has(local.time()):
            return at.astimezone(UTC)
        days = [local.date() + days * _DAY for days in range(3)]
        ends = [end for day in days for end in moments_of(zone, day, self.end)]
        return next(end for end in ends if end > at and not self.has(end.astimezone(zone).time()))


@dataclass(frozen=True, slots=True)
class Limits:
    """How often, and when not."""

    caps: tuple[Cap, ...] = ()
    quiet_hours: QuietHours | None = None

    def send_at(self, values: Mapping[str, ContextValue], at: datetime, *, home: str) -> datetime | None:
        """When a message decided at `at` may go out, in UTC; None for at once.

        Args:
            values: the context as used.
            at: time of the decision.
            home: the zone of customers whose own is not known.

        Raises:
            InvalidContext: if the context names a zone that is none.
        """
        if self.quiet_hours is None:
            return None
        over_at = self.quiet_hours.over_at(at, self.zone_of(values, home=home))
        return over_at if over_at > at else None

    def zone_of(self, values: Mapping[str, ContextValue], *, home: str) -> ZoneInfo:
        """The zone a customer lives in.

        Raises:
            InvalidContext: if the context names a zone that is none.
        """
        field = self.quiet_hours.zone if self.quiet_hours else ""
        return zone_in(values, field, home=home, kept="quiet hours")

    def free_from(self, moment: datetime, sends: Sequence[datetime]) -> datetime:
        """The first time from `moment` on at which one more message keeps every cap.

        Args:
            moment: when the message would go out.
            sends: when the customer's others went out or will go out, in any order.

        >>> noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
        >>> limits = Limits((Cap(2, timedelta(days=7)),))
        >>> limits.free_from(noon, [noon - timedelta(days=1)]) == noon
        True
        >>> (limits.free_from(noon, [noon - timedelta(days=days) for days in (1, 3)]) - noon).days
        4
        """
        return free_from(self.caps, Sent(moment), [Sent(send) for send in sends])


def read_limits(table: Reader, schema: Schema, channels: Sequence[str] = ()) -> Limits:
    """The table, with its faults noted; channels are those that caps may name."""
    if not table.names():
        table.fault("", None, 'caps = [{ most = 2, within = "7d" }], gap or quiet_hours, or no [limits] at all')
    caps = read_caps(table, channels)
    quiet_hours = _quiet_hours(table.table("quiet_hours"), schema) if "quiet_hours" in table.names() else None
    table.refuse_the_rest(("caps", "gap", "quiet_hours"))
    return Limits(caps, quiet_hours)


def _quiet_hours(table: Reader, schema: Schema) -> QuietHours | None:
    hours = read_hours(table)
    zone = read_zone(table, schema)
    table.refuse_the_rest(("from", "until", "zone"))
    return replace(hours, zone=zone) if hours else None


def read_hours(table: Reader) -> QuietHours | None:
    """Quiet hours of one zone, from `from` until `until`; None, and a fault, where there are none such."""
    start, end = read_minute(table, "from"), read_minute(table, "until")
    if start is None or end is None:
        return None
    if start == end:
        table.fault("until", "the same time as from", "another time: nothing could ever be sent")
    return QuietHours(start, end)


def read_zone(table: Reader, schema: Schema) -> str:
    """The context field that names a customer's zone, from the key `zone`; empty where there is no such key."""
    if "zone" not in table.names():
        return ""
    zone = table.text("zone", wanted="the context field that names a customer's zone")
    if zone:
        _check_zone(table, zone, schema)
    return zone


def _check_zone(table: Reader, zone: str, schema: Schema) -> None:
    item = next((item for item in schema.fields if item.name == zone), None)
    if not isinstance(item, CategoricalField):
        table.fault("zone", zone, "a categorical context field whose values are IANA zones such as Europe/Berlin")
        return
    wrong = [value for value in item.values if known_zone(value) is None]
    if wrong:
        table.fault("zone", f"{zone} with the value {wrong[0]}", "IANA zones only, such as Europe/Berlin")
