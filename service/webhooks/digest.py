"""Reading what was kept: events that wait become sendings, outcomes and opt-outs, each once, in the order they came."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from service.store import Store
from service.webhooks.applying import apply_event
from service.webhooks.event import Kind, Reading
from service.webhooks.events_table import EventState, StoredEvent, is_still, iterate_in_state, settle, wake_message
from service.webhooks.judging import judge_decision, read_stored
from service.webhooks.refusal import UnreadableWebhook
from service.webhooks.verdict import JUDGED

logger = logging.getLogger("manyarm")
AT_ONCE = 32
"""Events of one transaction: decisions wait meanwhile."""


@dataclass(frozen=True, slots=True)
class Digested:
    """What became of the events that were looked at.

    Attributes:
        counts: events by what became of them.
        n_woken: events that wait again, for their message's decision is known now.
    """

    counts: Counter[EventState] = field(default_factory=Counter)
    n_woken: int = 0

    def __add__(self, other: Digested) -> Digested:
        return Digested(self.counts + other.counts, self.n_woken + other.n_woken)


def digest(store: Store, *, again: bool = False) -> Digested:
    """Read every event that waits. Two of these at once do no harm: each event is dealt with by one of them.

    Args:
        store: with the events.
        again: also those whose decision was unknown, in case it has come meanwhile.
    """
    total = _digest_all(store, EventState.UNKNOWN) if again else Digested()
    n_woken = 1
    while n_woken:
        found = _digest_all(store, EventState.WAITING)
        total, n_woken = total + found, found.n_woken
    return total


def _digest_all(store: Store, state: EventState) -> Digested:
    total, after = Digested(), 0
    while events := iterate_in_state(store.reader(), state, after=after, most=AT_ONCE):
        readings = [(event, _reading_or_reason(event)) for event in events]
        total += store.write(partial(_settle_all, store, readings))
        after = events[-1].number
    return total


def _reading_or_reason(event: StoredEvent) -> Reading | str:
    try:
        return read_stored(event)
    except UnreadableWebhook as error:
        return str(error)
    except Exception as error:
        # A fault of ours; but an event that nobody foresaw must not keep all others, and the trainer, from going on.
        logger.exception("event %s cannot be read", event.event_id)
        return f"a fault of this version: {error!r}"


def _settle_all(
    store: Store, readings: Sequence[tuple[StoredEvent, Reading | str]], connection: sqlite3.Connection
) -> Digested:
    counts: Counter[EventState] = Counter()
    touched: dict[str, None] = {}
    n_woken = 0
    for event, reading in readings:
        if not is_still(connection, event):
            continue
        if isinstance(reading, str):
            settle(connection, event.number, EventState.UNREADABLE, reading)
            counts[EventState.UNREADABLE] += 1
            continue
        state, decision_id = apply_event(connection, event, reading, store.reward_of, store.silent_of)
        counts[state] += 1
        if decision_id is not None and reading.kind in JUDGED | {Kind.DELIVERED}:
            touched[decision_id] = None
        if reading.decision_id and reading.message_id:
            n_woken += wake_message(connection, event.provider, reading.message_id)
    for decision_id in touched:
        judge_decision(connection, decision_id)
    return Digested(counts, n_woken)
