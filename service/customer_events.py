"""Customers' events as the store keeps them: under the customer's key, each once by its id, with the sums made of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from bandit.campaign import Campaign
from bandit.errors import UnusableEvents
from bandit.profile.spec import ProfileSpec
from service.marks import marks
from service.rows import stamp

_bodies = msgspec.json.Decoder(dict[str, Any])


class Reported(StrEnum):
    """What became of a reported event: counted, there already, or there already with other contents, which stay."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


def require_profile(campaign: Campaign) -> ProfileSpec:
    """What the campaign makes of events.

    Raises:
        UnusableEvents: if it makes nothing of them.
    """
    if campaign.profile is None:
        raise UnusableEvents(
            f"campaign {campaign.id!r} has no [profile] table, so nothing would be made of events. Add one to the campaign file; "
            "an empty one will do."
        )
    return campaign.profile


def add_event(
    connection: sqlite3.Connection,
    keys: Sequence[str],
    generation: int,
    event_id: str,
    at: datetime,
    body: bytes,
    now: datetime,
    *,
    timed: bool = True,
) -> Reported:
    """Keep an event under the customer's newest key, unless one of its id is there already, under any of the keys.

    Args:
        connection: inside a transaction.
        keys: what the customer may be called, the newest first.
        generation: of the newest.
        event_id: known by it when it is reported again.
        at: of the event.
        body: all of it, as JSON.
        now: when it was reported.
        timed: whether the reporter gave the time; if not, a repetition may seem to be of another time.
    """
    query = f"SELECT body FROM customer_events WHERE event_id = ? AND customer_key IN ({marks(keys)})"  # noqa: S608
    found = connection.execute(query, (event_id, *keys)).fetchone()
    if found:
        return Reported.DUPLICATE if _says(found[0], timed) == _says(body, timed) else Reported.CONFLICT
    connection.execute(
        "INSERT INTO customer_events (customer_key, event_id, at, body, received_at, generation) VALUES (?, ?, ?, ?, ?, ?)",
        (keys[0], event_id, stamp(at), body.decode(), stamp(now), generation),
    )
    return Reported.ACCEPTED


def _says(body: str | bytes, timed: bool) -> dict[str, Any]:
    said = _bodies.decode(body)
    return said if timed else {name: value for name, value in said.items() if name != "at"}


def bodies_of(connection: sqlite3.Connection, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """All events of a customer, by time."""
    query = f"SELECT body FROM customer_events WHERE customer_key IN ({marks(keys)}) ORDER BY at, event_id"  # noqa: S608
    for (body,) in connection.execute(query, keys):
        yield _bodies.decode(body)


class _Brief(msgspec.Struct):
    """What is read of an event where its purchases alone are asked for."""

    at: str
    type: str
    value: float | None = None


_briefs = msgspec.json.Decoder(_Brief)
_MOST_TOLD_APART = 50
"""Types that the database looks for; of more than that all events are read. It refuses a thousand."""


def amounts_of(
    connection: sqlite3.Connection, keys: Sequence[str], types: Collection[str]
) -> list[tuple[datetime, float | None]]:
    """When a customer had events of some types, and their values, in any order.

    Args:
        connection: to read with.
        keys: what the customer may be called.
        types: event types, such as those that are purchases.
    """
    chosen = frozenset(types)
    # A quotation mark inside a text is written as \" in JSON, so that this stands nowhere but for the type itself.
    wanted = [f'"type":{msgspec.json.encode(one).decode()}' for one in chosen]
    says = " OR ".join("instr(body, ?)" for _ in wanted) or "0"
    if len(wanted) > _MOST_TOLD_APART:
        wanted, says = [], "1"
    query = f"SELECT body FROM customer_events WHERE customer_key IN ({marks(keys)}) AND ({says})"  # noqa: S608
    briefs = (_briefs.decode(body) for (body,) in connection.execute(query, (*keys, *wanted)))
    return [(datetime.fromisoformat(one.at), one.value) for one in briefs if one.type in chosen]


def has_events(connection: sqlite3.Connection, keys: Sequence[str]) -> bool:
    """Whether any event of a customer is kept."""
    query = f"SELECT 1 FROM customer_events WHERE customer_key IN ({marks(keys)}) LIMIT 1"  # noqa: S608
    return connection.execute(query, keys).fetchone() is not None


def find_state(connection: sqlite3.Connection, keys: Sequence[str], made_by: str) -> bytes | None:
    """A customer's sums; None where they have to be made from the events first, if there are any.

    Sums under an earlier key are none: the customer may have had events under the newer one since.
    """
    query = "SELECT state FROM customer_states WHERE customer_key = ? AND made_by = ?"
    found = connection.execute(query, (keys[0], made_by)).fetchone()
    return found[0] if found else None


def keep_state(
    connection: sqlite3.Connection, keys: Sequence[str], generation: int, made_by: str, state: bytes
) -> None:
    """Keep a customer's sums in place of all earlier ones.

    Those of another `[profile]` go too: they do not hold what this one has just counted, and are made again when asked for.
    """
    connection.execute(f"DELETE FROM customer_states WHERE customer_key IN ({marks(keys)})", keys)  # noqa: S608
    row = (keys[0], made_by, state, generation)
    connection.execute(
        "INSERT INTO customer_states (customer_key, made_by, state, generation) VALUES (?, ?, ?, ?)", row
    )


def find_population(connection: sqlite3.Connection, made_by: str) -> bytes | None:
    """The population that was kept last; None where none was."""
    found = connection.execute("SELECT body FROM populations WHERE made_by = ?", (made_by,)).fetchone()
    return found[0] if found else None


def keep_population(connection: sqlite3.Connection, made_by: str, body: bytes, now: datetime) -> None:
    """Keep a population in place of the one before."""
    connection.execute("INSERT OR REPLACE INTO populations VALUES (?, ?, ?)", (made_by, body, stamp(now)))


def erase_events(connection: sqlite3.Connection, keys: Sequence[str]) -> None:
    """Forget what a customer did."""
    for table in ("customer_events", "customer_states"):
        connection.execute(f"DELETE FROM {table} WHERE customer_key IN ({marks(keys)})", keys)  # noqa: S608


def has_old_customer_events(connection: sqlite3.Connection, before: datetime) -> bool:
    """Whether any event was reported before a time."""
    query = "SELECT 1 FROM customer_events WHERE received_at < ? LIMIT 1"
    return connection.execute(query, (stamp(before),)).fetchone() is not None


def erase_old_customer_events(connection: sqlite3.Connection, before: datetime, most: int) -> None:
    """Forget some of the events that were reported before a time, the oldest first, and the sums that hold them.

    Sums are made again from what is left, when somebody asks.
    """
    query = "SELECT customer_key, event_id, generation FROM customer_events WHERE received_at < ? ORDER BY received_at LIMIT ?"
    old = connection.execute(query, (stamp(before), most)).fetchall()
    connection.executemany(
        "DELETE FROM customer_states WHERE customer_key = ?", [(key,) for key in {key for key, _, _ in old}]
    )
    if old:
        # Sums under a newer key may hold these events too, and whose they are cannot be told from the older key.
        earliest = min(generation for _, _, generation in old)
        connection.execute("DELETE FROM customer_states WHERE generation > ?", (earliest,))
    connection.executemany(
        "DELETE FROM customer_events WHERE customer_key = ? AND event_id = ?", [(key, one) for key, one, _ in old]
    )


def events_of_person(connection: sqlite3.Connection, keys: Sequence[str]) -> list[Mapping[str, object]]:
    """What a customer did, readable."""
    return list(bodies_of(connection, keys))
