"""Events: what customers did, one row each, in a pandas DataFrame that everything in this package reads.

Columns, in this order, always all of them (a file may lack any but the first three):

customer_id   categorical of str, never missing; the categories are sorted
at            datetime64[us, UTC], never missing
type          categorical of str, never missing: `login`, `purchase`, ...; what it means stands in `ProfileSpec.roles`
value         float64, NaN where not known: an amount of money for a purchase, minutes for the end of a session
channel, device, content, zone   categorical of str; NaN where not known; `zone` holds IANA names only
discount      float64, NaN where not known: the share of the price that was taken off, in [0, 1]

The index counts from 0; rows stand in the order of the file, which need not be that of time. A million events take about
50 megabytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final

import pandas as pd

from bandit.errors import UnusableEvents
from bandit.fault import is_number, shown
from bandit.local_time import known_zone

NEEDED: Final = ("customer_id", "at", "type")
NUMBERS: Final = ("value", "discount")
TEXTS: Final = ("channel", "device", "content", "zone")
COLUMNS: Final = (*NEEDED, "value", *TEXTS, "discount")
TIME: Final = "datetime64[us, UTC]"
FIRST_TIME: Final = datetime(1990, 1, 1, tzinfo=UTC)
"""Events before it did not happen: they are zeros, or dates that were never filled in."""
LARGEST_VALUE: Final = 1e9
LONGEST_TEXT: Final = 1000
FRACTION: Final = 10_000
"""Amounts are added in ten-thousandths, as whole numbers, so that the order of events changes no sum."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the live stream, as a row of the table; None where not known.

    Raises:
        UnusableEvents: for an empty id or type, a time without a zone or before 1990, a number out of range, and a zone
            that there is none of.

    >>> Event("c1", datetime(2026, 11, 1, 9, tzinfo=UTC), "purchase", value=19.9).channel is None
    True
    """

    customer_id: str
    at: datetime
    type: str
    value: float | None = None
    channel: str | None = None
    device: str | None = None
    content: str | None = None
    zone: str | None = None
    discount: float | None = None

    def __post_init__(self) -> None:
        for name in ("customer_id", "type"):
            if not 0 < len(getattr(self, name)) <= LONGEST_TEXT:
                raise self._refusal(name, f"a text of 1 to {LONGEST_TEXT} letters")
        for name in TEXTS:
            found = getattr(self, name)
            if found is not None and len(found) > LONGEST_TEXT:
                raise self._refusal(name, f"a text of at most {LONGEST_TEXT} letters, or nothing")
        if self.at.tzinfo is None or self.at < FIRST_TIME:
            raise self._refusal(
                "at", f"a time with its zone from {FIRST_TIME.year} on, since features are made up to a time"
            )
        if self.value is not None and not (is_number(self.value) and abs(self.value) <= LARGEST_VALUE):
            raise self._refusal("value", f"a number in [-{LARGEST_VALUE:g}, {LARGEST_VALUE:g}], or nothing")
        if self.discount is not None and not (is_number(self.discount) and 0.0 <= self.discount <= 1.0):
            raise self._refusal("discount", "a share in [0, 1], such as 0.2, or nothing")
        if self.zone is not None and known_zone(self.zone) is None:
            raise self._refusal("zone", "an IANA zone such as Europe/Berlin, or nothing where it is not known")

    def _refusal(self, name: str, wanted: str) -> UnusableEvents:
        return UnusableEvents(f"the event's {name} is {shown(getattr(self, name))}, need {wanted}. It was not counted.")


def events_of(events: Iterable[Event]) -> pd.DataFrame:
    """The table of some events, in their order.

    >>> noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    >>> events_of([Event("c2", noon, "login"), Event("c1", noon, "purchase", value=5.0)])["value"].tolist()
    [nan, 5.0]
    """
    names = [item.name for item in fields(Event)]
    kept = list(events)
    return typed({name: [getattr(event, name) for event in kept] for name in names})


def typed(columns: dict[str, Sequence[object]] | pd.DataFrame) -> pd.DataFrame:
    """Columns of checked cells as the table that this package reads; those that are not there are missing everywhere.

    Args:
        columns: by name, all of one length; times with a zone; texts, or None where not known.

    >>> typed({"customer_id": ["c1"], "at": [datetime(2026, 11, 1, tzinfo=UTC)], "type": ["login"]}).dtypes["at"]
    datetime64[us, UTC]
    """
    raw = pd.DataFrame(columns)
    absent = [name for name in NEEDED if name not in raw]
    if absent:
        raise UnusableEvents(f"events have no column {', '.join(absent)}, need {', '.join(NEEDED)} at least.")
    made = {name: _typed(raw, name) for name in COLUMNS}
    return pd.DataFrame(made).reset_index(drop=True)


def _typed(raw: pd.DataFrame, name: str) -> pd.Series:
    if name not in raw:
        return pd.Series(None, index=raw.index, dtype="float64" if name in NUMBERS else "category")
    if name in NUMBERS:
        return raw[name].astype("float64")
    if name == "at":
        return pd.to_datetime(raw[name], utc=True).dt.as_unit("us")
    return sorted_categories(raw[name])


def sorted_categories(column: pd.Series) -> pd.Series:
    """Texts as a categorical whose categories are those that occur, in the order of their code points."""
    coded = (column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("category")).cat
    used = coded.remove_unused_categories()
    return used.cat.set_categories(sorted(used.cat.categories))
