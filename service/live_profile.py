"""Features of customers from the live stream of their events; loaded only where a campaign has a `[profile]`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Any

import msgspec

from bandit.context import Context
from bandit.errors import UnusableEvents
from bandit.profile.context_fields import fields_made, value_in_field
from bandit.profile.events import Event
from bandit.profile.features import FEATURES, Feature, features_in
from bandit.profile.kept_state import kept_after_all
from bandit.profile.number_names import numbers_asked
from bandit.profile.past import Purchase
from bandit.profile.population import Population, population_of
from bandit.profile.state import State, state_after_all
from bandit.profile.state_sums import sums_of
from bandit.profile.sums import microseconds
from service.customer_events import (
    Reported,
    add_event,
    amounts_of,
    bodies_of,
    find_population,
    find_state,
    has_events,
    keep_population,
    keep_state,
    require_profile,
)
from service.customer_keys import read_customer_keys
from service.kept_models import UNASKED, Kept, keep, kept_as, latest
from service.live_columns import LiveColumns, Person, live_columns
from service.store import Log, Store

Numbers = tuple[tuple[str, int], ...]
"""What holds now, by kind: the numbers under which it was loaded."""
AHEAD = timedelta(minutes=5)
"""Clocks differ; an event that lies further in the future did not happen."""


@dataclass(frozen=True, slots=True)
class ReportedEvent:
    """An event with the id by which it is known when it is reported again.

    Attributes:
        event_id: its id.
        event: what it says.
        timed: whether the reporter gave its time.
    """

    event_id: str
    event: Event
    timed: bool = True


class LiveProfile:
    """Counts events of one campaign's `[profile]` and makes contexts of them.

    Args:
        store: where events are.
        log: of a campaign with a `[profile]`.

    Raises:
        UnusableEvents: at construction, if the campaign has none.
    """

    def __init__(self, store: Store, log: Log) -> None:
        self._store, self._campaign, self._spec = store, log.campaign, require_profile(log.campaign)
        self._made_by = self._spec.sums_hash
        self._fields = {item.name: item for item in log.campaign.declared.fields}
        self._population = lru_cache(maxsize=1)(Population.from_json)
        self._held: tuple[Numbers, LiveColumns, dict[str, str]] | None = None
        self._making = Lock()

    @property
    def known_types(self) -> frozenset[str]:
        """Types of events that mean something under the campaign's `[profile]`."""
        return frozenset(self._spec.role_by_type)

    def prepare(self) -> None:
        """Make ready what live contexts are made with now, and load what numbers of the campaign need later."""
        asked = numbers_asked(self._fields, self._spec.fields)
        if asked:
            from bandit.profile.customer_numbers import load_for  # noqa: PLC0415 - a second where spend is asked for

            load_for(asked)
        self._columns()

    def record(
        self, connection: sqlite3.Connection, customer_id: str, reported: Sequence[ReportedEvent], now: datetime
    ) -> list[Reported]:
        """Count a customer's events, inside the caller's transaction; says what became of each.

        Raises:
            UnusableEvents: for an event in the future; nothing is counted then.
        """
        for one in reported:
            if one.event.at > now + AHEAD:
                raise UnusableEvents(
                    f"event {one.event_id[:80]!r} is of {one.event.at.isoformat()}, and it is {now.isoformat()}: it would be "
                    "counted before it happened. Correct its time or your clock; none of the events was counted."
                )
        known = read_customer_keys(connection)
        keys = known.of(customer_id)
        kept = find_state(connection, keys, self._made_by)
        sums = kept if kept is not None else self._remade_json(connection, keys, customer_id)
        news = [
            add_event(connection, keys, known.generation, one.event_id, one.event.at, _body(one), now, timed=one.timed)
            for one in reported
        ]
        fresh = [one.event for one, became in zip(reported, news, strict=True) if became is Reported.ACCEPTED]
        if fresh or sums is not kept:
            after = kept_after_all(sums, fresh, self._spec)
            keep_state(connection, keys, known.generation, self._made_by, after)
        return news

    def completed(self, customer_id: str, context: Context, at: datetime) -> Context:
        """A context with what the customer's events say in the fields that the caller left out.

        Args:
            customer_id: who.
            context: what the caller knows; it is not overruled.
            at: features use the events before it.
        """
        columns, made = self._columns()
        wanted = {name: feature for name, feature in made.items() if name not in context.values}
        state = self._state(customer_id, at) if wanted else None
        if state is None:
            return context
        sums = sums_of(state, at, self._spec, customer_id=customer_id)
        features = features_in(sums, self._spec, self.population(at))
        person = Person(features, context.values, sums, lambda: self._purchases(customer_id, at), at)
        known: dict[str, Feature] = {**features, **columns.of(person, set(wanted.values()))}
        found = {name: value_in_field(self._fields[name], known.get(feature)) for name, feature in wanted.items()}
        return Context({**context.values, **{name: value for name, value in found.items() if value is not None}})

    def keep(self, connection: sqlite3.Connection, kind: str, kept: Kept, now: datetime) -> bool:
        """How segments or numbers are made from now on, inside the caller's transaction; says whether that is new."""
        return keep(connection, self._campaign.id, self._made_by, kind, kept, now)

    def population(self, at: datetime) -> Population:
        """What customers with few events are drawn towards: what was kept, else one that knows nothing."""
        kept = find_population(self._store.reader(), self._made_by)
        if kept is not None:
            return self._population(kept)
        nobody = sums_of(State(self._made_by), at, self._spec)
        return population_of(nobody, self._spec)

    def keep_population(self, connection: sqlite3.Connection, population: Population, now: datetime) -> None:
        """What customers are drawn towards from now on, inside the caller's transaction."""
        keep_population(connection, self._made_by, population.to_json(), now)

    def _columns(self) -> tuple[LiveColumns, dict[str, str]]:
        """What is made beside features, and the column behind each field; read again when something else was loaded."""
        held = self._held
        if held is None or held[0] != self._latest():
            with self._making:
                # Whoever waited here finds what another thread made meanwhile, and of what was loaded last.
                held, numbers = self._held, self._latest()
                if held is None or held[0] != numbers:
                    held = self._held = (numbers, *self._made_columns(numbers))
        return held[1:]

    def _latest(self) -> Numbers:
        return tuple(sorted(latest(self._store.reader(), self._campaign.id, self._made_by).items()))

    def _made_columns(self, numbers: Numbers) -> tuple[LiveColumns, dict[str, str]]:
        kept = {kind: kept_as(self._store.reader(), number) for kind, number in numbers}
        columns = live_columns(self._campaign, self._spec, UNASKED | kept)
        return columns, fields_made(list(self._fields.values()), self._spec, [*FEATURES, *columns.names])

    def _state(self, customer_id: str, at: datetime) -> State | None:
        reader, keys = self._store.reader(), self._store.customer_keys.of(customer_id)
        kept = find_state(reader, keys, self._made_by)
        state = State.from_json(kept) if kept is not None else self._remade(reader, keys, customer_id)
        if state is None or not _holds(state, at):
            return state
        # Something was reported that lies ahead of this clock.
        return self._remade(reader, keys, customer_id, before=at)

    def _remade(
        self, connection: sqlite3.Connection, keys: Sequence[str], customer_id: str, before: datetime | None = None
    ) -> State | None:
        """The sums of the kept events; None where there are none."""
        counted = _events(connection, keys, customer_id, before)
        return state_after_all(None, counted, self._spec) if counted else None

    def _remade_json(self, connection: sqlite3.Connection, keys: Sequence[str], customer_id: str) -> bytes | None:
        state = self._remade(connection, keys, customer_id)
        return None if state is None else state.to_json()

    def _purchases(self, customer_id: str, at: datetime) -> list[Purchase] | None:
        """When the customer bought before a time, and for how much; None where no event is kept."""
        reader, keys, end = self._store.reader(), self._store.customer_keys.of(customer_id), microseconds(at)
        stand_in = self._spec.missing.value
        bought = [
            (microseconds(moment), stand_in if amount is None else amount)
            for moment, amount in amounts_of(reader, keys, self._spec.roles.get("purchase", ()))
        ]
        if not bought and not has_events(reader, keys):
            return None
        return [one for one in bought if one[0] < end]


def _events(
    connection: sqlite3.Connection, keys: Sequence[str], customer_id: str, before: datetime | None
) -> list[Event]:
    """A customer's kept events before a time; all of them where none is given."""
    events = [event_in(body, customer_id) for body in bodies_of(connection, keys)]
    return [event for event in events if before is None or event.at < before]


def event_in(body: Mapping[str, Any], customer_id: str) -> Event:
    """An event from its kept body."""
    cells = {name: value for name, value in body.items() if name not in {"event_id", "at"}}
    return Event(customer_id, datetime.fromisoformat(body["at"]), **cells)


def _holds(state: State, at: datetime) -> bool:
    return state.latest >= microseconds(at)


def _body(one: ReportedEvent) -> bytes:
    event = one.event
    cells = {
        name: getattr(event, name) for name in ("type", "value", "channel", "device", "content", "zone", "discount")
    }
    said = {name: value for name, value in cells.items() if value is not None}
    return msgspec.json.encode({"event_id": one.event_id, "at": event.at.isoformat(), **said})
