"""What follows from an event: a sending, an outcome, an opt-out, or nothing; and why."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from types import MappingProxyType

from bandit.context import is_unicode
from bandit.errors import EngineError
from bandit.reward import Outcome
from service.outcomes_table import RewardOf, record_not_sent, record_outcome, record_sent
from service.silent_rows import SilentOf, is_silent
from service.webhooks.event import Kind, Reading
from service.webhooks.events_table import MOST_JUDGED, EventState, StoredEvent, decision_of_message, is_surplus, settle
from service.webhooks.opt_outs import opt_in_recipient, opt_out_recipient
from service.webhooks.verdict import JUDGED

OUTCOMES = frozenset({Kind.OPEN, Kind.CLICK, Kind.UNSUBSCRIBE, Kind.COMPLAINT})


def apply_event(
    connection: sqlite3.Connection, event: StoredEvent, reading: Reading, reward_of: RewardOf, silent_of: SilentOf
) -> tuple[EventState, str | None]:
    """Let an event have its consequence, once, and write down which.

    Args:
        connection: inside a transaction.
        event: as it is stored.
        reading: what it says.
        reward_of: the reward of a log, by its number.
        silent_of: the arm of a log that sends nothing, by its number.

    Returns:
        what became of the event, and the decision that it was of; None where it was of none.
    """
    decision_id = reading.decision_id or _by_message(connection, event, reading)
    named = _with_decision(reading, decision_id)
    if reading.kind in {Kind.CONFIRMATION, Kind.OTHER}:
        return _settled(connection, event, EventState.PARSED, reading.note or "nothing follows from it", named)
    if decision_id is None:
        return _settled(connection, event, EventState.UNKNOWN, "it carries no decision_id", named)
    if not is_unicode(decision_id) or not _is_known(connection, decision_id):
        return _settled(connection, event, EventState.UNKNOWN, "no decision with that id", named)
    if is_silent(connection, decision_id, silent_of):
        return _settled(connection, event, EventState.REFUSED, _contradiction(connection, event, named), named)
    if reading.kind in JUDGED and is_surplus(connection, decision_id):
        reason = f"its message had {MOST_JUDGED:,} opens and clicks already: no outcome, and not judged"
        return _settled(connection, event, EventState.SURPLUS, reason, named)
    try:
        reason = _FOLLOWS[reading.kind](connection, event, named, reward_of)
    except EngineError as error:
        reason = f"nothing changed: {error}"
    return _settled(connection, event, EventState.PARSED, reason, named)


def _settled(
    connection: sqlite3.Connection, event: StoredEvent, state: EventState, reason: str, reading: Reading
) -> tuple[EventState, str | None]:
    settle(connection, event.number, state, reason, reading)
    return state, reading.decision_id if state is EventState.PARSED else None


def _by_message(connection: sqlite3.Connection, event: StoredEvent, reading: Reading) -> str | None:
    return decision_of_message(connection, event.provider, reading.message_id) if reading.message_id else None


def _with_decision(reading: Reading, decision_id: str | None) -> Reading:
    return Reading(reading.kind, reading.at, decision_id, reading.message_id, reading.clues, reading.note)


def _is_known(connection: sqlite3.Connection, decision_id: str) -> bool:
    return connection.execute("SELECT 1 FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone() is not None


def _contradiction(connection: sqlite3.Connection, event: StoredEvent, reading: Reading) -> str:
    """Somebody was sent what nobody chose: it is no outcome of the choice, and whoever does not want it is heard."""
    if reading.kind in {Kind.UNSUBSCRIBE, Kind.COMPLAINT}:
        _opted_out(connection, event, reading)
    elif reading.kind is Kind.RESUBSCRIBE:
        opt_in_recipient(connection, str(reading.decision_id), reading.at)
    return f"{reading.kind.value}, and the decision was to send nothing: look at who sent this message under its decision_id"


def _opted_out(connection: sqlite3.Connection, event: StoredEvent, reading: Reading) -> None:
    opt_out_recipient(connection, str(reading.decision_id), reading.at, f"{event.provider} {reading.kind.value}")


Follows = Callable[[sqlite3.Connection, StoredEvent, Reading, RewardOf], str]
"""Does what follows from an event, and says it."""


def _delivered(connection: sqlite3.Connection, event: StoredEvent, reading: Reading, reward_of: RewardOf) -> str:
    decision_id = str(reading.decision_id)
    (sent_at,) = connection.execute("SELECT sent_at FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
    if sent_at is not None:
        return f"it was reported as sent already, at {sent_at}"
    return f"sent: {record_sent(connection, decision_id, reading.at, reward_of, event.received_at).value}"


def _not_sent(connection: sqlite3.Connection, _: StoredEvent, reading: Reading, __: RewardOf) -> str:
    decision_id = str(reading.decision_id)
    query = "SELECT type FROM outcomes WHERE decision_id = ? AND verdict IS NOT 'machine' LIMIT 1"
    contradiction = connection.execute(query, (decision_id,)).fetchone()
    if contradiction:
        return f"nothing changed: somebody reacted to it ({contradiction[0]}), so it did arrive"
    return f"not_sent: {record_not_sent(connection, decision_id).value}"


def _happened(connection: sqlite3.Connection, event: StoredEvent, reading: Reading, reward_of: RewardOf) -> str:
    outcome = Outcome(event.event_id, str(reading.decision_id), reading.kind.value, reading.at)
    return f"{reading.kind.value}: {record_outcome(connection, outcome, reward_of, event.received_at).value}"


def _refused(connection: sqlite3.Connection, event: StoredEvent, reading: Reading, reward_of: RewardOf) -> str:
    """Somebody does not want such mail: that holds whether or not the campaign counts it."""
    _opted_out(connection, event, reading)
    return _happened(connection, event, reading, reward_of)


def _wanted_again(connection: sqlite3.Connection, _: StoredEvent, reading: Reading, __: RewardOf) -> str:
    opt_in_recipient(connection, str(reading.decision_id), reading.at)
    return "an earlier opt-out, if there was one, is taken back"


_FOLLOWS: Mapping[Kind, Follows] = MappingProxyType(
    {
        Kind.DELIVERED: _delivered,
        Kind.NOT_SENT: _not_sent,
        Kind.OPEN: _happened,
        Kind.CLICK: _happened,
        Kind.UNSUBSCRIBE: _refused,
        Kind.COMPLAINT: _refused,
        Kind.RESUBSCRIBE: _wanted_again,
    }
)
