"""Features of customers at a time, from the events strictly before it.

`MAKERS` is the list of everything that can be made of a customer's sums: a new feature is a new entry of it. What needs more
than that (a model that was trained, a segment) is made from the table that `features_at` returns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import pandas as pd

from bandit.profile.activity import ACTIVITY, SEASONS
from bandit.profile.engagement import EMAIL, ENGAGEMENT
from bandit.profile.lifecycle import LIFECYCLE
from bandit.profile.maker import Column, Maker
from bandit.profile.population import Population, population_of
from bandit.profile.preferences import PREFERRED, SESSIONS
from bandit.profile.purchases import PURCHASES
from bandit.profile.spec import ProfileSpec
from bandit.profile.state import State
from bandit.profile.state_sums import sums_of
from bandit.profile.summing import sums_at
from bandit.profile.sums import Sums

Feature = float | str | None
MAKERS: Final[tuple[Maker, ...]] = (ENGAGEMENT, LIFECYCLE, PURCHASES, SESSIONS, PREFERRED, EMAIL, ACTIVITY, SEASONS)
FEATURES: Final = {name: means for maker in MAKERS for name, means in maker.means.items()}
"""Every feature, with what it is."""
DRAWN: Final = frozenset(name for maker in (PURCHASES, EMAIL, ACTIVITY, SEASONS) for name in maker.means)
"""Those that depend on the population; all others are the same with any."""


def features_at(
    events: pd.DataFrame, at: datetime, spec: ProfileSpec, *, population: Population | None = None
) -> pd.DataFrame:
    """One row for each customer who had an event before a time, sorted by `customer_id`, one column for each of `FEATURES`.

    Args:
        events: as `bandit.profile.events` says, checked; events at the time and later ones change nothing.
        at: with a zone.
        spec: the campaign's `[profile]`.
        population: towards which customers are drawn; fitted on the same sums where none is given.

    Returns:
        Numbers as float64 with NaN where not known, texts as str with NaN where not known.

    >>> from datetime import UTC
    >>> from bandit.profile.events import Event, events_of
    >>> noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    >>> events = events_of([Event("c1", noon, "login"), Event("c2", noon, "purchase", value=9.5)])
    >>> made = features_at(events, datetime(2026, 11, 3, 12, tzinfo=UTC), ProfileSpec())
    >>> made[["days_since_login", "monetary"]].to_dict("list")
    {'days_since_login': [2.0, nan], 'monetary': [0.0, 9.5]}
    """
    return table_of(sums_at(events, at, spec), spec, population=population)


def table_of(sums: Sums, spec: ProfileSpec, *, population: Population | None = None) -> pd.DataFrame:
    """The features of customers whose sums are known, as `features_at` returns them."""
    columns = _columns(sums, population or population_of(sums, spec), spec)
    index = pd.Index(sums.customers, name="customer_id", dtype="str")
    return pd.DataFrame({name: _series(column, index) for name, column in columns.items()}, index=index)


def features_of(
    state: State, at: datetime, spec: ProfileSpec, population: Population, *, customer_id: str = ""
) -> dict[str, Feature]:
    """The features of one customer, bit for bit those of `features_at` on the same events with the same population.

    Args:
        state: of all the customer's events before the time, and none later.
        at: with a zone.
        spec: the one under which the state was made.
        population: fitted before.
        customer_id: only named in errors.

    Returns:
        By name, as in `FEATURES`; None where not known.

    Raises:
        UnusableEvents: if the state holds an event at this time or after it, or was made under another `[profile]`.
    """
    return features_in(sums_of(state, at, spec, customer_id=customer_id), spec, population)


def features_in(
    sums: Sums, spec: ProfileSpec, population: Population, *, wanted: Collection[str] = FEATURES
) -> dict[str, Feature]:
    """The features of one customer whose sums are known; with those that are wanted come those that are made with them."""
    makers = [maker for maker in MAKERS if not maker.means.keys().isdisjoint(wanted)]
    return {name: _cell(column) for name, column in _columns(sums, population, spec, makers).items()}


def _columns(
    sums: Sums, population: Population, spec: ProfileSpec, makers: Sequence[Maker] = MAKERS
) -> dict[str, Column]:
    return {name: column for maker in makers for name, column in maker.make(sums, population, spec).items()}


def _series(column: Column, index: pd.Index) -> pd.Series:
    return pd.Series(column, index=index, dtype="str" if column.dtype == object else "float64")


def _cell(column: Column) -> Feature:
    found = column[0]
    if found is None or isinstance(found, str):
        return found
    return None if found != found else float(found)  # noqa: PLR0124 - NaN alone differs from itself
