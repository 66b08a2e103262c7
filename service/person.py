"""All that a store holds of one person, readable: decisions, contexts, outcomes, raw events, opt-out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from typing import TypedDict

from bandit.log import LoggedDecision
from service.customer_events import events_of_person
from service.decisions_table import readable
from service.erasing import seqs_by_key
from service.opt_outs import find_opt_out
from service.product_table import candidates_of_person
from service.rows import READ
from service.store import Log, Store

_OUTCOMES = "SELECT event_id, type, at, received_at, late FROM outcomes WHERE decision_id = ? ORDER BY at, event_id"
_EVENTS = "SELECT provider, kind, at, received_at, body FROM webhook_events WHERE decision_id = ? ORDER BY number"


class Person(TypedDict):
    """What is known of one person."""

    customer_id: str
    opted_out: dict[str, str] | None
    product_candidates: list[Mapping[str, object]]
    events: list[Mapping[str, object]]
    decisions: list[dict[str, object]]


def person_document(store: Store, customer_id: str) -> Person:
    """Everything, as JSON has it; decisions in the order in which they were made.

    Args:
        store: with any number of logs.
        customer_id: as it was given to decide.
    """
    store.reload_keys()
    reader = store.reader()
    keys = store.customer_keys.of(customer_id)
    rows = seqs_by_key(reader, keys)
    seqs = sorted(seq for found in rows.values() for seq in found)
    found = find_opt_out(reader, customer_id, store.customer_keys)
    return {
        "customer_id": customer_id,
        "opted_out": None if found is None else {"at": found.at, "reason": found.reason},
        "product_candidates": candidates_of_person(reader, keys),
        "events": events_of_person(reader, keys),
        "decisions": list(_decisions(reader, {log.log_id: log for log in store.logs()}, seqs)),
    }


def _decisions(reader: sqlite3.Connection, logs: dict[int, Log], seqs: list[int]) -> Iterator[dict[str, object]]:
    for seq in seqs:
        row = reader.execute(f"SELECT log_id, {READ} FROM decisions WHERE seq = ?", (seq,)).fetchone()  # noqa: S608
        # Somebody may have erased it in between.
        if row is not None:
            campaign = logs[row[0]].campaign
            for decision in readable([row[1:]], campaign, None):
                names = [dimension.name for dimension in campaign.dimensions]
                yield _decision(decision, names) | _what_followed(reader, decision.decision_id)


def _decision(row: LoggedDecision, names: list[str]) -> dict[str, object]:
    return {
        "decision_id": row.decision_id,
        "campaign": row.campaign,
        "customer_key": row.customer_key,
        "group": row.group,
        "context": dict(row.context),
        "choice": dict(zip(names, row.arms, strict=True)),
        "propensity": row.propensity,
        "policy": row.policy,
        "decided_at": row.decided_at,
        "send_at": row.send_at,
        "sent_at": row.sent_at,
        "state": row.state,
        "reward": row.reward,
    }


def _what_followed(reader: sqlite3.Connection, decision_id: str) -> dict[str, object]:
    outcomes = reader.execute(_OUTCOMES, (decision_id,)).fetchall()
    events = reader.execute(_EVENTS, (decision_id,)).fetchall()
    return {
        "outcomes": [
            {"event_id": event_id, "type": kind, "at": at, "received_at": received_at, "is_late": bool(late)}
            for event_id, kind, at, received_at, late in outcomes
        ],
        "webhook_events": [
            {"provider": provider, "kind": kind, "at": at, "received_at": received_at, "body": _body(body)}
            for provider, kind, at, received_at, body in events
        ],
    }


def _body(body: bytes) -> object:
    """What the provider sent: as JSON where it is, as text where it is not."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "backslashreplace")
