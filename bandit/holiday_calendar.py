"""Public holidays by country, from the library `holidays`; imported only where a campaign asks for them."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Final

import holidays

_CODE: Final = re.compile(r"([A-Z]{2})(?:-(.{1,60}))?")
_KEPT: Final = 4096
"""Years of countries that stay worked out; a campaign needs two or three of each country."""


def is_country(code: str) -> bool:
    """Whether holidays are known of a country, ISO 3166 in capitals, or of a part of it after a hyphen.

    >>> [is_country(code) for code in ("ES", "ES-CT", "es", "ES-XX", "XX", "Spain")]
    [True, True, False, False, False, False]
    """
    return _calendar(code) is not None


def is_holiday(code: str, day: date) -> bool | None:
    """Whether a day is a public holiday, days in lieu included; None where the library does not know country or year.

    Args:
        code: of the country; see `is_country`.
        day: on its calendar.

    Caution: what is a holiday is the library's word; another version of it may say something else of the same day.

    >>> [is_holiday("ES", date(2026, 12, day)) for day in (7, 8)], is_holiday("ES", date(3000, 12, 8))
    ([False, True], None)
    """
    days = _days_of(code, day.year)
    return None if days is None else day in days


@lru_cache(maxsize=_KEPT)
def _days_of(code: str, year: int) -> frozenset[date] | None:
    calendar = _calendar(code, year)
    if calendar is None or not calendar.start_year <= year <= calendar.end_year:
        return None
    return frozenset(calendar)


def _calendar(code: str, year: int | None = None) -> holidays.HolidayBase | None:
    found = _CODE.fullmatch(code)
    try:
        return holidays.country_holidays(found[1], subdiv=found[2], years=year) if found else None
    except NotImplementedError:  # the library's way to say that it does not know a country or a part of it
        return None
