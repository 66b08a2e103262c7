"""Rhythm: how long a customer has been silent, by their own measure.

Ten days of silence are nothing for somebody who buys twice a year, and a farewell from somebody who came daily. So silence
is counted in the events that were to be expected during it: days since the last one times the customer's own rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pandas as pd

from bandit.profile.occurrences import DAY, Occurrences

PRIOR_DAYS = 30.0
"""Days that are added to a customer's age before a rate is taken, so that one event in one day is no daily habit."""
RHYTHM = ("purchase_rate", "purchase_missed", "activity_rate", "activity_missed")
"""The features of the two kinds that models look at."""


def rhythm_features(kinds: Mapping[str, Occurrences], born: pd.Series, at: datetime) -> pd.DataFrame:
    """Silence and rate of each kind of event, one row a customer.

    Args:
        kinds: events by kind, such as purchase.
        born: time of each customer's first event, indexed by customer; those before `at` get a row.
        at: only events before it count.

    Returns:
        columns `KIND_rate` (a day) and `KIND_missed` (events that were to be expected since the last one, or since the first
        event of any kind).

    >>> from datetime import UTC
    >>> from bandit.profile.events import Event, events_of
    >>> from bandit.profile.occurrences import occurrences_of
    >>> noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    >>> events = events_of([Event("a", noon, "login"), Event("a", noon + 10 * DAY, "login")])
    >>> born = events.groupby("customer_id", observed=True)["at"].min()
    >>> rhythm_features({"login": occurrences_of(events, ["login"])}, born, noon + 20 * DAY).to_dict("list")
    {'login_rate': [0.04], 'login_missed': [0.4]}
    """
    here = born[born < at]
    age = ((pd.Timestamp(at) - here).dt.total_seconds() / DAY.total_seconds()).to_numpy()
    customers = pd.Index(here.index.astype(object))
    columns = {}
    for kind, occurrences in kinds.items():
        counts, since = occurrences.before(customers, at)
        rate = counts / (age + PRIOR_DAYS)
        columns[f"{kind}_rate"] = rate
        columns[f"{kind}_missed"] = rate * np.minimum(since, age)
    return pd.DataFrame(columns, index=customers)


def rhythm_of(kind: str, count: int, since: float, age: float) -> dict[str, float]:
    """The same of one kind for one customer.

    Args:
        kind: such as purchase.
        count: events of the kind.
        since: days since the last of them; infinity where there is none.
        age: days since the customer's first event of any kind.

    >>> rhythm_of("login", 2, 10.0, 20.0)
    {'login_rate': 0.04, 'login_missed': 0.4}
    """
    rate = count / (age + PRIOR_DAYS)
    return {f"{kind}_rate": rate, f"{kind}_missed": rate * min(since, age)}
