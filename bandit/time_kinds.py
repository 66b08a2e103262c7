"""What can be made of a moment for the context: each kind's field, and its value on the customer's own clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from bandit.context import ContextValue
from bandit.schema import BooleanField, CategoricalField, ContextField, NumericField

HOURS: Final = tuple(f"{hour:02d}" for hour in range(24))
HOUR_BLOCKS: Final = ("night", "morning", "afternoon", "evening")
"""Of six hours each, from midnight on."""
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SEASONS: Final = ("spring", "summer", "autumn", "winter")
"""Of whole months; in the north spring begins with March, in the south with September."""
PHASES: Final = ("before", "early", "middle", "late", "last_day", "after")


@dataclass(frozen=True, slots=True)
class Span:
    """The days of a campaign, the first and the last included; each lasts from midnight to midnight where the customer is."""

    begins: date
    ends: date

    @property
    def most_days(self) -> float:
        """From the first day to the last."""
        return float((self.ends - self.begins).days)

    def days_since_begin(self, day: date) -> float:
        """Whole days since the first one: 0 on it and before, and no more after the last.

        >>> Span(date(2026, 11, 1), date(2026, 12, 1)).days_since_begin(date(2026, 11, 8))
        7.0
        """
        return min(max(float((day - self.begins).days), 0.0), self.most_days)

    def days_until_end(self, day: date) -> float:
        """Whole days until the last one: 0 on it and after, and no more before the first."""
        return self.most_days - self.days_since_begin(day)

    def phase(self, day: date) -> str:
        """In which third of the days one lies, but for the last day, which stands for itself.

        >>> contest = Span(date(2026, 11, 1), date(2026, 12, 1))
        >>> [contest.phase(date(2026, *day)) for day in ((10, 31), (11, 1), (11, 30), (12, 1), (12, 2))]
        ['before', 'early', 'late', 'last_day', 'after']
        """
        if not self.begins <= day <= self.ends:
            return "before" if day < self.begins else "after"
        if day == self.ends:
            return "last_day"
        return PHASES[1 + 3 * (day - self.begins).days // ((self.ends - self.begins).days + 1)]


class Showing(NamedTuple):
    """What a customer's clock and calendar show.

    Attributes:
        clock: the local time.
        is_south: whether it is summer in January.
        span: of the campaign, where it says one.
        is_holiday: None where the country is not known.
    """

    clock: datetime
    is_south: bool
    span: Span
    is_holiday: bool | None


class TimeKind(NamedTuple):
    """One thing that can be made.

    Attributes:
        field: the field of this name, for a campaign of this span.
        value: what it holds.
        has_span, has_country: what the campaign must say for it.
    """

    field: Callable[[str, Span], ContextField]
    value: Callable[[Showing], ContextValue]
    has_span: bool = False
    has_country: bool = False


def season_of(month: int, *, is_south: bool = False) -> str:
    """The season of a month from 1 to 12.

    >>> season_of(2), season_of(3), season_of(12, is_south=True)
    ('winter', 'spring', 'summer')
    """
    return SEASONS[((month - 3) // 3 + 2 * is_south) % 4]


def _one_of(values: tuple[str, ...]) -> Callable[[str, Span], ContextField]:
    return lambda name, _: CategoricalField(name, values)


def _yes_or_no(name: str, _: Span) -> ContextField:
    return BooleanField(name)


def _days(name: str, span: Span) -> ContextField:
    return NumericField(name, 0.0, span.most_days)


KINDS: Final[Mapping[str, TimeKind]] = MappingProxyType(
    {
        "hour": TimeKind(_one_of(HOURS), lambda seen: HOURS[seen.clock.hour]),
        "hour_block": TimeKind(_one_of(HOUR_BLOCKS), lambda seen: HOUR_BLOCKS[seen.clock.hour // 6]),
        "weekday": TimeKind(_one_of(WEEKDAYS), lambda seen: WEEKDAYS[seen.clock.weekday()]),
        "is_weekend": TimeKind(_yes_or_no, lambda seen: seen.clock.weekday() >= 5),
        "season": TimeKind(_one_of(SEASONS), lambda seen: season_of(seen.clock.month, is_south=seen.is_south)),
        "holiday": TimeKind(_yes_or_no, lambda seen: seen.is_holiday, has_country=True),
        "days_since_begin": TimeKind(_days, lambda seen: seen.span.days_since_begin(seen.clock.date()), has_span=True),
        "days_until_end": TimeKind(_days, lambda seen: seen.span.days_until_end(seen.clock.date()), has_span=True),
        "phase": TimeKind(_one_of(PHASES), lambda seen: seen.span.phase(seen.clock.date()), has_span=True),
    }
)
"""Everything that can be made, by the word that stands for it in `[time.fields]`."""
