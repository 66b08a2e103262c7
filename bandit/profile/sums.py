"""Sums of events up to a time, as whole numbers: all that features are made of.

Whole numbers are added in any order to the same sum, so it does not matter in which order events came, or whether they were
added one at a time (`bandit.profile.state`) or in columns (`bandit.profile.summing`): features are made from the sums by the
same functions, and are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import FloatArray

Counts = NDArray[np.int64]
Texts = NDArray[np.object_]
N_CELLS: Final = 168
"""Hours of a week; Monday from 00:00 to 01:00 is cell 0, Sunday from 23:00 on is cell 167."""
N_MONTHS: Final = 12
PERIOD: Final = 30
"""Days of the stretches of which brand loyalty asks in how many somebody bought."""
NEVER: Final = np.iinfo(np.int64).min
"""The time of something that did not happen."""
DAY_SECONDS: Final = 86_400
DAY_MICROSECONDS: Final = DAY_SECONDS * 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

COUNTED: Final[Mapping[str, tuple[str, str]]] = {
    "usage": ("feature_use", "usage"),
    "social": ("social", "social"),
    "support": ("support", "support"),
    "sent": ("email_sent", "email"),
    "opens": ("email_open", "email"),
    "clicks": ("email_click", "email"),
    "purchases": ("purchase", "purchases"),
    "priced": ("priced", "purchases"),
    "money": ("money", "purchases"),
    "discounted": ("discounted", "purchases"),
    "active": ("active", "trend"),
}
"""Sums within a window: what is counted, and the window of `Windows`."""
PREFERENCES: Final = ("channel", "device", "content")


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of the events strictly before a time, of n customers.

    Attributes:
        at: that time, in microseconds since 1970.
        customers: n ids.
        counts: within their windows, by the names of `COUNTED`, each of shape (n,); `money` in ten-thousandths.
        earlier: activity in the window of the trend before the last one, shape (n,).
        referrals: ever, shape (n,).
        first, last: times in microseconds, or `NEVER`, each of shape (n,): `first` of "any", "signup" and "purchase", `last` of
            "active", "login" and "purchase".
        sessions, session_seconds: how many, and how long together, each of shape (n,).
        periods: stretches of `PERIOD` days, counted back within the window of purchases, in which somebody bought, shape (n,).
        preferred: the channel, device and content that stands most often, or None, each of shape (n,).
        cells: activity by local hour of the week within its window, shape (n, N_CELLS).
        months: activity by local month, ever, shape (n, N_MONTHS).
    """

    at: int
    customers: Texts
    counts: Mapping[str, Counts]
    earlier: Counts
    referrals: Counts
    first: Mapping[str, Counts]
    last: Mapping[str, Counts]
    sessions: Counts
    session_seconds: Counts
    periods: Counts
    preferred: Mapping[str, Texts]
    cells: Counts
    months: Counts

    def __len__(self) -> int:
        return len(self.customers)

    def days_since(self, times: Counts) -> FloatArray:
        """Days from these times until `at`, NaN where they never were; shape (n,)."""
        return np.where(times == NEVER, np.nan, (self.at - np.where(times == NEVER, self.at, times)) / DAY_MICROSECONDS)


def microseconds(at: datetime) -> int:
    """Since 1970, exactly.

    >>> microseconds(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    return (at - _EPOCH) // _MICROSECOND


def day_of(at: int) -> int:
    """The day of a time in microseconds, by the calendar of UTC, counted from 1970.

    >>> day_of(86_400_000_000)
    1
    """
    return at // DAY_MICROSECONDS


def n_periods(window: int) -> int:
    """Whole stretches of `PERIOD` days in a window of so many days, at least one.

    >>> n_periods(365)
    12
    """
    return max(window // PERIOD, 1)
