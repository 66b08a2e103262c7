"""The `webhook_events` table: events as they came, once each, and what became of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.rows import stamp
from service.webhooks.event import Kind, RawEvent, Reading
from service.webhooks.refusal import RefusedWebhook


class EventState(StrEnum):
    """What became of an event."""

    WAITING = "waiting"  # nobody has looked at it yet
    PARSED = "parsed"  # understood; `reason` says what followed
    UNKNOWN = "unknown"  # understood, and of no decision in this database
    UNREADABLE = "unreadable"  # signed, and not of the provider's form
    REFUSED = "refused"  # of a message, where the decision was to send none; nothing follows but an opt-out
    SURPLUS = "surplus"  # an open or click of a message that had `MOST_JUDGED` of them; nothing follows from it


MOST_JUDGED = 1000
"""Opens and clicks of one message. All are judged again for each new one, while decisions wait; no person makes so many."""


@dataclass(frozen=True, slots=True)
class Appended:
    """How many events of a delivery are new, and how many were there already."""

    n_new: int
    n_duplicate: int


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it stands in the table."""

    number: int
    provider: str
    event_key: str
    body: bytes
    state: EventState
    received_at: datetime

    @property
    def event_id(self) -> str:
        """Under which its outcome is kept."""
        return f"{self.provider}:{self.event_key}"


@dataclass(frozen=True, slots=True)
class EventCount:
    """How many events of a provider are in a state, and when the first of them came."""

    provider: str
    state: EventState
    n: int
    first_at: datetime


_READ = "number, provider, event_key, body, state, received_at"


def append_events(
    connection: sqlite3.Connection, provider: str, events: Sequence[RawEvent], received_at: datetime
) -> Appended:
    """Keep events that are new, all of a delivery together.

    Raises:
        RefusedWebhook: if a token that is good for one event comes with another one; then none is kept.
    """
    n_new = 0
    for event in events:
        _refuse_a_used_token(connection, provider, event)
        cursor = connection.execute(
            "INSERT INTO webhook_events (provider, event_key, received_at, body, token, state) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (provider, event_key) DO NOTHING",
            (provider, event.key, stamp(received_at), event.body, event.token, EventState.WAITING.value),
        )
        n_new += cursor.rowcount
    return Appended(n_new, len(events) - n_new)


def _refuse_a_used_token(connection: sqlite3.Connection, provider: str, event: RawEvent) -> None:
    if event.token is None:
        return
    used = connection.execute(
        "SELECT event_key FROM webhook_events WHERE provider = ? AND token = ?", (provider, event.token)
    ).fetchone()
    if used is not None and used[0] != event.key:
        raise RefusedWebhook(
            "its token came before with another event, so one of them is not the provider's. Nothing of this was stored."
        )


def iterate_in_state(connection: sqlite3.Connection, state: EventState, *, after: int, most: int) -> list[StoredEvent]:
    """Events in a state, in the order in which they came."""
    query = f"SELECT {_READ} FROM webhook_events WHERE state = ? AND number > ? ORDER BY number LIMIT ?"  # noqa: S608
    return list(_stored(connection.execute(query, (state.value, after, most)).fetchall()))


def events_of(connection: sqlite3.Connection, decision_id: str) -> list[StoredEvent]:
    """Everything that was understood of one decision's message, in the order in which it came."""
    query = f"SELECT {_READ} FROM webhook_events WHERE decision_id = ? AND state = ? ORDER BY number"  # noqa: S608
    return list(_stored(connection.execute(query, (decision_id, EventState.PARSED.value)).fetchall()))


def is_surplus(connection: sqlite3.Connection, decision_id: str) -> bool:
    """Whether a decision's message has as many opens and clicks as are judged."""
    query = "SELECT state FROM webhook_events WHERE decision_id = ? AND kind IN (?, ?)"
    of_message = decision_id, Kind.OPEN.value, Kind.CLICK.value
    last = connection.execute(f"{query} ORDER BY number DESC LIMIT 1", of_message).fetchone()
    if last is not None and last[0] == EventState.SURPLUS:
        return True  # one row instead of a thousand, for each of those that go on coming
    counted = (*of_message, EventState.PARSED.value, MOST_JUDGED - 1)
    return connection.execute(f"{query} AND state = ? LIMIT 1 OFFSET ?", counted).fetchone() is not None


def settle(
    connection: sqlite3.Connection, number: int, state: EventState, reason: str, reading: Reading | None = None
) -> None:
    """Write down what became of an event."""
    kind, at, decision_id, message_id = (
        (reading.kind.value, stamp(reading.at), reading.decision_id, reading.message_id) if reading else (None,) * 4
    )
    connection.execute(
        "UPDATE webhook_events SET state = ?, reason = ?, kind = ?, at = ?, decision_id = ?, message_id = ? "
        "WHERE number = ?",
        (state.value, reason, kind, at, decision_id, message_id, number),
    )


def decision_of_message(connection: sqlite3.Connection, provider: str, message_id: str) -> str | None:
    """The decision that another event of the same message named."""
    found = connection.execute(
        "SELECT decision_id FROM webhook_events WHERE provider = ? AND message_id = ? AND decision_id IS NOT NULL "
        "ORDER BY number LIMIT 1",
        (provider, message_id),
    ).fetchone()
    return None if found is None else str(found[0])


def count_events(connection: sqlite3.Connection) -> list[EventCount]:
    """Events by provider and state, and how long the first of each has been there."""
    rows = connection.execute(
        "SELECT provider, state, count(*), min(received_at) FROM webhook_events GROUP BY provider, state ORDER BY 1, 2"
    ).fetchall()
    return [EventCount(name, EventState(state), n, datetime.fromisoformat(at)) for name, state, n, at in rows]


def confirmations(connection: sqlite3.Connection, most: int = 5) -> list[str]:
    """What providers asked somebody to confirm by hand, the newest first."""
    rows = connection.execute(
        "SELECT reason FROM webhook_events WHERE kind = ? ORDER BY number DESC LIMIT ?", (Kind.CONFIRMATION.value, most)
    )
    return [str(reason) for (reason,) in rows.fetchall()]


def drop_unused(connection: sqlite3.Connection) -> int:
    """Forget events from which nothing follows for anybody here: of unknown decisions, and unreadable ones."""
    states = (EventState.UNKNOWN.value, EventState.UNREADABLE.value)
    return connection.execute("DELETE FROM webhook_events WHERE state IN (?, ?)", states).rowcount


def wake_message(connection: sqlite3.Connection, provider: str, message_id: str) -> int:
    """Let events of a message wait again that named no decision: it is known now. Returns how many."""
    cursor = connection.execute(
        "UPDATE webhook_events SET state = ? WHERE provider = ? AND message_id = ? AND state = ? AND decision_id IS NULL",
        (EventState.WAITING.value, provider, message_id, EventState.UNKNOWN.value),
    )
    return cursor.rowcount


def is_still(connection: sqlite3.Connection, event: StoredEvent) -> bool:
    """Whether nobody else has dealt with an event meanwhile."""
    found = connection.execute("SELECT state FROM webhook_events WHERE number = ?", (event.number,)).fetchone()
    return found is not None and found[0] == event.state.value


def _stored(rows: Sequence[tuple[int, str, str, bytes, str, str]]) -> Iterator[StoredEvent]:
    return (StoredEvent(*row[:4], EventState(row[4]), datetime.fromisoformat(row[5])) for row in rows)
