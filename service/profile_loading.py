"""A table of events taken into the store, so that a running service goes on from what is known."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

import pandas as pd

from bandit.profile.events import COLUMNS, Event
from bandit.profile.population import Population
from service.customer_events import Reported
from service.kept_models import KEPT, NONE, RULES, Kept
from service.live_profile import LiveProfile, ReportedEvent
from service.store import Log, Store

AT_ONCE = 100
"""Customers of one transaction: decisions wait meanwhile."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a running service goes on from.

    Attributes:
        accepted: events that were new.
        duplicate: events that were there already.
        kept: by kind, how live contexts get segments and numbers from now on: `how`, `model_id` and `made_at`.
    """

    accepted: int
    duplicate: int
    kept: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def load_events(
    store: Store,
    log: Log,
    events: pd.DataFrame,
    population: Population,
    now: datetime,
    advance: Callable[[int], None] = lambda _: None,
    kept: Mapping[str, Kept] | None = None,
) -> Loaded:
    """Take in customers' events as if they had been reported one by one, and what their contexts are made with.

    An event is known by what it says, so that the same table a second time adds nothing. A run that was killed may be
    started again.

    Args:
        store: where to.
        log: of a campaign with a `[profile]`.
        events: as `bandit.profile.events` says, checked.
        population: fitted on all of them.
        now: events after it are refused.
        advance: told how many more customers are done.
        kept: how live contexts get segments and numbers from now on, by kind; None leaves it as it is.

    Raises:
        UnusableEvents: if the campaign has no `[profile]`: a service would make nothing of events.
    """
    profile, left = LiveProfile(store, log), iter(events.groupby("customer_id", observed=True))
    n_all = n_new = 0
    while some := [(str(name), _reported(str(name), rows)) for name, rows in islice(left, AT_ONCE)]:
        news = store.write(partial(_recorded, profile, some, now))
        n_all, n_new = n_all + len(news), n_new + sum(news)
        advance(len(some))
    store.write(partial(_made_with, profile, population, kept or {}, now))
    said = {
        kind: {"how": one.how, "model_id": one.model_id, "made_at": one.made_at and one.made_at.isoformat()}
        for kind, one in (kept or {}).items()
    }
    return Loaded(n_new, n_all - n_new, said)


def loaded_text(loaded: Loaded, path: str) -> str:
    """What was loaded, for people."""
    lines = [f"{loaded.accepted:,} events are new in {path}, {loaded.duplicate:,} were there already."]
    for kind, one in loaded.kept.items():
        words = {KEPT: f"those of {one['model_id']}", RULES: "by the campaign's rules", NONE: "none"}
        lines.append(f"{kind} of live contexts from now on: {words[str(one['how'])]}.")
    return "\n".join(lines)


def _made_with(
    profile: LiveProfile,
    population: Population,
    kept: Mapping[str, Kept],
    now: datetime,
    connection: sqlite3.Connection,
) -> None:
    """Swapped together, after all events: no decision sees half of it."""
    profile.keep_population(connection, population, now)
    for kind, one in kept.items():
        profile.keep(connection, kind, one, now)


def _recorded(
    profile: LiveProfile,
    customers: list[tuple[str, list[ReportedEvent]]],
    now: datetime,
    connection: sqlite3.Connection,
) -> list[bool]:
    every = (became for name, reported in customers for became in profile.record(connection, name, reported, now))
    return [became is Reported.ACCEPTED for became in every]


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
