"""The `[time]` table of the campaign file: fields of the context that the engine makes when it decides.

A caller says who the customer is; what time it is where they live, the engine knows better than any caller. So the fields
of `[time.fields]` are part of the schema like all others, but nobody may give them: each decision makes them anew from its
own time, in the customer's zone, and the log keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import TypeVar

from bandit.campaign_schema import FIELD_NAME
from bandit.context import Context, ContextValue
from bandit.errors import InvalidContext
from bandit.fault import Reader, shown
from bandit.limits import read_zone
from bandit.local_time import zone_in
from bandit.schema import CategoricalField, ContextField, Schema
from bandit.time_kinds import KINDS, Showing, Span

_T = TypeVar("_T")
_NO_SPAN = Span(date.min, date.max)


@dataclass(frozen=True, slots=True)
class TimeContext:
    """Which fields are made of the time, and how.

    Args:
        kinds: name of a field to what it holds; see `bandit.time_kinds.KINDS`.
        home: the zone of customers whose own is not known.
        zone: the context field that names a customer's IANA zone; empty where all live at home.
        span: days of the campaign, for the fields that count them.
        country: code of the country whose holidays count, or the context field that names it.
        is_south: whether seasons are those of the southern half of the world.

    >>> time = TimeContext({"local_hour": "hour", "weekday": "weekday"}, "UTC", zone="zone")
    >>> time.values({"zone": "Asia/Kolkata"}, datetime.fromisoformat("2026-11-21T22:45:00+00:00"))
    {'local_hour': '04', 'weekday': 'sun'}
    """

    kinds: Mapping[str, str]
    home: str
    zone: str = ""
    span: Span = _NO_SPAN
    country: str = ""
    country_field: str = ""
    is_south: bool = False
    fields: tuple[ContextField, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", MappingProxyType(dict(self.kinds)))
        object.__setattr__(
            self, "fields", tuple(KINDS[kind].field(name, self.span) for name, kind in self.kinds.items())
        )

    def __reduce__(self) -> tuple[type[TimeContext], tuple[object, ...]]:
        parts = (self.home, self.zone, self.span, self.country, self.country_field, self.is_south)
        return TimeContext, (dict(self.kinds), *parts)

    @property
    def sources(self) -> tuple[str, ...]:
        """Declared fields that the made ones hang on, besides the time."""
        return tuple(name for name in (self.zone, self.country_field) if name)

    def values(self, known: Mapping[str, ContextValue], at: datetime) -> dict[str, ContextValue]:
        """The made fields of a customer at a moment.

        Args:
            known: the declared fields, as given or as used.
            at: the moment, with a zone.

        Raises:
            InvalidContext: if the context names a zone that is none.
        """
        clock = at.astimezone(zone_in(known, self.zone, home=self.home, kept="the customer's own clock"))
        showing = Showing(clock, self.is_south, self.span, self._is_holiday(known, clock.date()))
        return {name: KINDS[kind].value(showing) for name, kind in self.kinds.items()}

    def completed(self, context: Context, at: datetime) -> Context:
        """What a caller knows of a customer, with the made fields.

        Raises:
            InvalidContext: if the caller gives one of them, or a zone that is none.
        """
        self.refuse(context.values)
        return Context({**context.values, **self.values(context.values, at)})

    def refuse(self, given: Mapping[str, ContextValue]) -> None:
        """Refuse a context that says what the engine makes.

        Raises:
            InvalidContext: naming the field.
        """
        for name, kind in self.kinds.items():
            if name in given:
                raise InvalidContext(
                    f"context {name!r} is {shown(given[name])}, and the engine makes it: [time.fields] says that it is the "
                    f"{kind} at the time of the decision, where the customer lives. Leave it out; to send another value, "
                    f"declare it as [context.{name}] and take it out of [time.fields]."
                )

    def without(self, values: Mapping[str, _T]) -> dict[str, _T]:
        """The part of a context that a caller gave; of anything by field, the part without the made ones."""
        return {name: value for name, value in values.items() if name not in self.kinds}

    def _is_holiday(self, known: Mapping[str, ContextValue], day: date) -> bool | None:
        code = known.get(self.country_field) if self.country_field else self.country
        if not code:
            return None
        from bandit.holiday_calendar import is_holiday  # noqa: PLC0415 - a fifth of a second, for those who ask

        return is_holiday(str(code), day)


def read_time(table: Reader, schema: Schema, *, home: str) -> TimeContext:
    """The table, with its faults noted.

    Args:
        table: `[time]`.
        schema: of the declared fields.
        home: the campaign's zone.
    """
    zone = read_zone(table, schema)
    is_south = _is_south(table)
    span = _span(table)
    country, country_field = _country(table, schema)
    kinds = _kinds(table.table("fields"), schema)
    for name, kind in kinds.items():
        if KINDS[kind].has_span and not span:
            table.fault("begins", None, f"the first and the last day, begins and ends, for {name} = {kind!r}")
        if KINDS[kind].has_country and not (country or country_field):
            table.fault("country", None, f"whose holidays count, such as ES, for {name} = {kind!r}")
    table.refuse_the_rest(("zone", "begins", "ends", "country", "hemisphere", "fields"))
    return TimeContext(kinds, home, zone, span or _NO_SPAN, country, country_field, is_south)


def _kinds(table: Reader, schema: Schema) -> dict[str, str]:
    kinds = {}
    names = table.names()
    for name in names:
        kind = table.text(name, wanted=f"what it is to hold: {', '.join(KINDS)}")
        if not FIELD_NAME.fullmatch(name) or name in schema:
            table.fault(name, name, "a name of letters, digits and _ that is not declared under [context]")
        elif kind and kind not in KINDS:
            table.fault(name, kind, f"one of {', '.join(KINDS)}")
        elif kind:
            kinds[name] = kind
    if not names:
        table.fault("", None, 'at least one field that is made of the time, such as local_hour = "hour"')
    return kinds


def _is_south(table: Reader) -> bool:
    wanted = "north or south: which months are summer"
    found = table.text("hemisphere", wanted=wanted, default="north")
    if found and found not in {"north", "south"}:
        table.fault("hemisphere", found, wanted)
    return found == "south"


def _span(table: Reader) -> Span | None:
    """The days of the campaign; None where it says none."""
    if not {"begins", "ends"} & set(table.names()):
        return None
    begins, ends = _day(table, "begins"), _day(table, "ends")
    if begins and ends and begins < ends:
        return Span(begins, ends)
    if begins and ends:
        table.fault("ends", ends, f"a day after {begins}, the first: the last day of the campaign")
    return _NO_SPAN


def _day(table: Reader, key: str) -> date | None:
    found = table.take(key)
    if type(found) is date:  # a datetime is a date too
        return found
    table.fault(key, found, "a day without quotes and without a time, such as 2026-12-01")
    return None


def _country(table: Reader, schema: Schema) -> tuple[str, str]:
    """The code, or the field that holds it."""
    if "country" not in table.names():
        return "", ""
    from bandit.holiday_calendar import is_country  # noqa: PLC0415 - a fifth of a second, for those who ask

    found = table.text("country", wanted="a country such as ES, or the context field that names a customer's")
    if found not in schema:
        if found and not is_country(found):
            table.fault("country", found, "a context field, or a country such as ES, or a part of one such as ES-CT")
        return found, ""
    item = schema[found]
    if not isinstance(item, CategoricalField) or item.protected:
        table.fault("country", found, "a categorical field that is not protected: holidays would tell of it")
        return "", found
    wrong = [value for value in item.values if not is_country(value)]
    if wrong:
        table.fault("country", f"{found} with the value {wrong[0]}", "countries such as ES or ES-CT only")
    return "", found
