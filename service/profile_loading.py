"""A table of events taken into the store, so that a running service goes on from what is known."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

import pandas as pd

from bandit.profile.events import COLUMNS, Event
from bandit.profile.population import Population
from service.live_profile import LiveProfile, ReportedEvent
from service.store import Log, Store

AT_ONCE = 100
"""Customers of one transaction: decisions wait meanwhile."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many events were new, and how many were there already."""

    accepted: int
    duplicate: int


def load_events(
    store: Store,
    log: Log,
    events: pd.DataFrame,
    population: Population,
    now: datetime,
    advance: Callable[[int], None] = lambda _: None,
) -> Loaded:
    """Take in customers' events as if they had been reported one by one, and what they are drawn towards.

    An event is known by what it says, so that the same table a second time adds nothing. A run that was killed may be
    started again.

    Args:
        store: where to.
        log: of a campaign with a `[profile]`.
        events: as `bandit.profile.events` says, checked.
        population: fitted on all of them.
        now: events after it are refused.
        advance: told how many more customers are done.

    Raises:
        UnusableEvents: if the campaign has no `[profile]`: a service would make nothing of events.
    """
    profile, left = LiveProfile(store, log), iter(events.groupby("customer_id", observed=True))
    n_all = n_new = 0
    while some := [(str(name), _reported(str(name), rows)) for name, rows in islice(left, AT_ONCE)]:
        news = store.write(partial(_recorded, profile, some, now))
        n_all, n_new = n_all + len(news), n_new + sum(news)
        advance(len(some))
    store.write(lambda connection: profile.keep_population(connection, population, now))
    return Loaded(n_new, n_all - n_new)


def _recorded(
    profile: LiveProfile,
    customers: list[tuple[str, list[ReportedEvent]]],
    now: datetime,
    connection: sqlite3.Connection,
) -> list[bool]:
    return [new for name, reported in customers for new in profile.record(connection, name, reported, now)]


def _reported(customer_id: str, rows: pd.DataFrame) -> list[ReportedEvent]:
    """Events with ids made of what they say; the n-th of equal ones is another one."""
    seen: Counter[str] = Counter()
    return [ReportedEvent(_id_of(event, seen), event) for event in _events(customer_id, rows)]


def _events(customer_id: str, rows: pd.DataFrame) -> Iterator[Event]:
    names = [name for name in COLUMNS if name != "customer_id"]
    columns = [rows[name].astype("object").where(rows[name].notna(), None).tolist() for name in names]
    for cells in zip(*columns, strict=True):
        known: dict[str, Any] = dict(zip(names, cells, strict=True))
        yield Event(customer_id, **{**known, "at": known["at"].to_pydatetime()})


def _id_of(event: Event, seen: Counter[str]) -> str:
    said = hashlib.blake2b(repr(event).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    seen[said] += 1
    return f"table-{said}-{seen[said]}"
