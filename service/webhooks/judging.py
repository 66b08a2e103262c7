"""Verdicts on the outcomes of a decision, from the raw events: made when events come, made again under newer rules."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from bandit.reward import State
from service.store import Store
from service.webhooks.event import Kind, Reading
from service.webhooks.events_table import StoredEvent, events_of
from service.webhooks.refusal import UnreadableWebhook
from service.webhooks.registry import PROVIDERS
from service.webhooks.verdict import JUDGED, VERDICT_VERSION, Seen, Verdict, judge

AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Rescored:
    """What judging again changed.

    Attributes:
        n_decisions: that had verdicts of other rules.
        n_changed: outcomes with another verdict, of decisions that are still open: it counts.
        n_final: outcomes with another verdict, of matured decisions: it is kept beside the one that counted.
    """

    n_decisions: int
    n_changed: int
    n_final: int

    def __add__(self, other: Rescored) -> Rescored:
        return Rescored(
            self.n_decisions + other.n_decisions, self.n_changed + other.n_changed, self.n_final + other.n_final
        )


@dataclass(frozen=True, slots=True)
class VerdictCount:
    """How many outcomes of a type a rule gave a verdict."""

    type: str
    verdict: str
    rule: str
    n: int


def count_verdicts(connection: sqlite3.Connection) -> list[VerdictCount]:
    """Outcomes that were judged, by type, verdict and rule."""
    rows = connection.execute(
        "SELECT type, verdict, verdict_rule, count(*) FROM outcomes WHERE verdict IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    return [VerdictCount(*row) for row in rows.fetchall()]


def read_stored(event: StoredEvent) -> Reading:
    """What a stored event says.

    Raises:
        UnreadableWebhook: if it does not have the provider's form, or no provider of that name is known any more.
    """
    provider = PROVIDERS.get(event.provider)
    if provider is None:
        raise UnreadableWebhook(f"this version knows no provider {event.provider!r}")
    return provider.read(event.body)


def judge_decision(connection: sqlite3.Connection, decision_id: str) -> Rescored:
    """Judge all opens and clicks of a decision's message; outcomes of a matured one keep what they counted by."""
    readings = list(_readable(events_of(connection, decision_id)))
    seen = {key: Seen(one.kind, one.at, one.clues) for key, one in readings if one.kind in JUDGED}
    delivered_at = min((one.at for _, one in readings if one.kind is Kind.DELIVERED), default=None)
    return _written(connection, decision_id, judge(seen, delivered_at))


def _readable(events: Iterable[StoredEvent]) -> Iterator[tuple[str, Reading]]:
    """Events that this version still reads; an earlier one may have read more."""
    for event in events:
        with suppress(UnreadableWebhook):
            yield event.event_id, read_stored(event)


def rescore(store: Store) -> Rescored:
    """Judge every decision again that has a verdict of other rules than today's."""
    found = (
        store.reader()
        .execute(
            "SELECT DISTINCT decision_id FROM outcomes WHERE verdict_version <> ? ORDER BY decision_id",
            (VERDICT_VERSION,),
        )
        .fetchall()
    )
    ids = [decision_id for (decision_id,) in found]
    total = Rescored(0, 0, 0)
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        total += store.write(partial(_all_judged, decision_ids=some))
    return total


def _all_judged(connection: sqlite3.Connection, *, decision_ids: list[str]) -> Rescored:
    return sum((judge_decision(connection, one) for one in decision_ids), start=Rescored(0, 0, 0))


def _written(connection: sqlite3.Connection, decision_id: str, verdicts: dict[str, Verdict]) -> Rescored:
    state = connection.execute("SELECT state FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
    is_final = state is not None and state[0] == State.MATURED
    n_changed = n_final = 0
    rows = connection.execute(
        "SELECT event_id, verdict, late FROM outcomes WHERE decision_id = ?", (decision_id,)
    ).fetchall()
    for event_id, before, late in rows:
        verdict = verdicts.get(event_id)
        if verdict is None:
            continue
        if is_final and not late:
            n_final += verdict.word != before
            _keep_beside(connection, event_id, verdict)
        else:
            n_changed += verdict.word != before
            _keep(connection, event_id, verdict)
    return Rescored(1, n_changed, n_final)


def _keep(connection: sqlite3.Connection, event_id: str, verdict: Verdict) -> None:
    connection.execute(
        "UPDATE outcomes SET verdict = ?, verdict_rule = ?, verdict_version = ? WHERE event_id = ?",
        (verdict.word.value, verdict.rule, VERDICT_VERSION, event_id),
    )


def _keep_beside(connection: sqlite3.Connection, event_id: str, verdict: Verdict) -> None:
    """The verdict that counted stays, with its rule; what newer rules say is noted."""
    connection.execute(
        "UPDATE outcomes SET rescored = ?, verdict_version = ? WHERE event_id = ?",
        (verdict.word.value, VERDICT_VERSION, event_id),
    )
