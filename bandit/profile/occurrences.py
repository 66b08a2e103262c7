"""When something happened to each customer, and the past days from which models of it are made.

Models are always made and judged in the order of time. An *origin* is a past day: features are made of what happened before
it, and what is to be foretold is read from what happened from it on. Rows are never split at random: the rows of one origin
stand on one side.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import UnusableEvents

DAY: Final = timedelta(days=1)
GRID: Final = 30
"""Days between the origins that models share, so that the features of few days must be made."""
LEAST_PAST: Final = 30
"""Days of events that must stand before the earliest origin."""
FEWEST_ORIGINS: Final = 3
_MICROSECONDS: Final = 86_400e6
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Occurrences:
    """Times of the events of some types.

    Attributes:
        ids: customers, sorted.
        who: position in `ids` of each event.
        times: of each, in microseconds since 1970.
        values: amounts; NaN where not known.
    """

    ids: pd.Index
    who: NDArray[np.int64]
    times: NDArray[np.int64]
    values: FloatArray

    def first_after(self, customers: pd.Index, at: datetime) -> FloatArray:
        """Days from `at` to each customer's first event from then on; infinity where there is none.

        Args:
            customers: ids; those who never had such an event may be among them.
            at: an event at this very moment counts, since features do not know of it.

        >>> from bandit.profile.events import Event, events_of
        >>> noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
        >>> events = events_of([Event("a", noon, "purchase"), Event("a", noon + DAY, "purchase"), Event("b", noon, "login")])
        >>> occurrences_of(events, ["purchase"]).first_after(pd.Index(["a", "b"]), noon + DAY / 2).tolist()
        [0.5, inf]
        """
        start = _micro(at)
        later = self.times >= start
        first = np.full(len(self.ids) + 1, np.inf)
        np.minimum.at(first, self.who[later], self.times[later].astype(np.float64))
        # The last place stands for customers who have no such event: position -1.
        return (first[self.ids.get_indexer(customers)] - start) / _MICROSECONDS

    def within(self, customers: pd.Index, at: datetime, days: float) -> BoolArray:
        """Whether it happens to each customer from `at` on and before `days` are over."""
        found: BoolArray = self.first_after(customers, at) < days
        return found

    def before(self, customers: pd.Index, at: datetime) -> tuple[FloatArray, FloatArray]:
        """How often it happened to each customer before `at`, and the days since the last time; infinity where never."""
        end = _micro(at)
        earlier = self.times < end
        counts = np.bincount(self.who[earlier], minlength=len(self.ids) + 1).astype(np.float64)
        last = np.full(len(self.ids) + 1, -np.inf)
        np.maximum.at(last, self.who[earlier], self.times[earlier].astype(np.float64))
        places = self.ids.get_indexer(customers)
        return counts[places], (end - last[places]) / _MICROSECONDS


def occurrences_of(events: pd.DataFrame, types: Collection[str]) -> Occurrences:
    """The events of these types.

    Args:
        events: the table, as bandit.profile.events describes it.
        types: event types.
    """
    chosen = events.loc[events["type"].isin(list(types)), ["customer_id", "at", "value"]]
    ids = pd.Index(sorted(chosen["customer_id"].unique()), dtype=object)
    who = ids.get_indexer(pd.Index(chosen["customer_id"].astype(object)))
    times = chosen["at"].dt.as_unit("us").astype("int64").to_numpy()
    return Occurrences(ids, who.astype(np.int64), times, chosen["value"].to_numpy(dtype=np.float64, na_value=np.nan))


def origins_before(at: datetime, horizon: int, first: datetime, *, most: int = 4) -> tuple[datetime, ...]:
    """Past days to make and judge a model on, the latest first; the horizon of each ends before the next begins.

    Args:
        at: now: what happens later is not known.
        horizon: days that the model looks ahead.
        first: time of the first event there is.
        most: origins wanted at most.

    Raises:
        UnusableEvents: if the events do not reach back far enough for three.

    >>> now = datetime(2026, 11, 1, tzinfo=UTC)
    >>> [(now - one).days for one in origins_before(now, 7, now - 400 * DAY)]
    [7, 30, 60, 90]
    >>> [(now - one).days for one in origins_before(now, 45, now - 200 * DAY)]
    [45, 90, 150]
    """
    ages = [horizon]
    while len(ages) < most:
        ages.append(GRID * int(np.ceil((ages[-1] + horizon) / GRID)))
    past = (at - first) / DAY
    usable = [age for age in ages if age + LEAST_PAST <= past]
    if len(usable) < FEWEST_ORIGINS:
        need = ages[FEWEST_ORIGINS - 1] + LEAST_PAST
        raise UnusableEvents(
            f"the events reach {max(past, 0.0):.0f} days back, and {horizon} days ahead need {need}: a model must be made on one "
            "stretch of time, calibrated on the next and judged on the last. Give older events, or a shorter horizon."
        )
    return tuple(at - age * DAY for age in usable)


def _micro(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
