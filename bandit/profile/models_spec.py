"""The `[profile.models]` table of the campaign file: how far ahead each number looks, and what counts as a conversion."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Final

from bandit.errors import InvalidSettings
from bandit.fault import Reader
from bandit.reward import parse_window

LONGEST: Final = 1100
_DAY: Final = timedelta(days=1)
_WANTED: Final = "a duration of whole days, 1d to 1100d, such as 30d"
_HORIZONS: Final = ("churn", "purchase", "conversion", "value")


@dataclass(frozen=True, slots=True)
class ModelsSpec:
    """How the models of customers are made.

    Attributes:
        churn: days without any activity that count as churn.
        purchase: days within which a purchase is awaited.
        conversion: days within which a conversion is awaited.
        value: days of which the spend is told.
        conversion_types: event types that are conversions.
        most_customers: customers the models are made from at most, drawn by a hash of their id; all of them get numbers.
        seed: of every draw.

    >>> ModelsSpec().purchase
    30
    """

    churn: int = 60
    purchase: int = 30
    conversion: int = 7
    value: int = 365
    conversion_types: tuple[str, ...] = ("email_click",)
    most_customers: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in _HORIZONS:
            if not 1 <= getattr(self, name) <= LONGEST:
                raise InvalidSettings(f"{name} looks {getattr(self, name)} days ahead, need 1 to {LONGEST}.")
        if not self.conversion_types or self.most_customers < 1:
            raise InvalidSettings(
                f"conversion_types is {self.conversion_types} and most_customers {self.most_customers}: name one type, and one."
            )


def read_models(table: Reader) -> ModelsSpec:
    """The table, with its faults noted."""
    usual = ModelsSpec()
    days = {name: _days(table, name, getattr(usual, name)) for name in _HORIZONS}
    types = usual.conversion_types
    if "conversion_types" in table.names():
        wanted = "a list of event types, as they stand in the column `type`"
        types = table.texts("conversion_types", wanted=wanted)
        if not types:
            table.fault("conversion_types", "an empty list", wanted)
    most = _whole(table, "most_customers", usual.most_customers, low=500, high=10_000_000)
    seed = _whole(table, "seed", usual.seed, low=0, high=2**31 - 1)
    table.refuse_the_rest(item.name for item in fields(ModelsSpec))
    return ModelsSpec(**days, conversion_types=types or usual.conversion_types, most_customers=most, seed=seed)


def _days(table: Reader, key: str, usual: int) -> int:
    text = table.text(key, wanted=_WANTED, default=f"{usual}d")
    window = parse_window(text)
    if window and _DAY <= window <= LONGEST * _DAY and not window % _DAY:
        return window.days
    if text:
        table.fault(key, text, _WANTED)
    return usual


def _whole(table: Reader, key: str, usual: int, *, low: int, high: int) -> int:
    wanted = f"a whole number in [{low}, {high}]"
    found = table.number(key, low=low, high=high, default=usual, wanted=wanted)
    if found != int(found):
        table.fault(key, found, wanted)
    return int(found)
