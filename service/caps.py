"""Frequency caps, kept inside the writer's transaction: of two decisions for one customer at once, one is refused."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from bandit.campaign import Campaign
from bandit.errors import CapReached, EngineError
from bandit.reward import State
from service.decisions_table import Row, insert_decisions
from service.rows import DECIDED, DecidedValues

MOST = 1000
"""Of one customer's messages the latest so many are looked at."""
_LOG, _ID, _KEY, _DECIDED_AT, _SEND_AT = (
    DECIDED.index(name) for name in ("log_id", "decision_id", "customer_key", "decided_at", "send_at")
)
_SENDS = f"""SELECT coalesce(sent_at, send_at, decided_at) FROM decisions JOIN logs USING (log_id)
WHERE customer_key = ? AND campaign = ? AND state NOT IN ('{State.VOID}', '{State.EXPIRED}')
ORDER BY decided_at DESC LIMIT {MOST}"""  # noqa: S608 - built from constants


class Caps:
    """The caps of one campaign while rows are written; rows that were let through count from then on.

    Messages that were reported as not sent do not count, deferred ones do: they may still go out. Rows under an earlier
    key of the customer cannot be told to be theirs, so a rotation of keys begins the counts anew.

    Args:
        connection: inside a transaction.
        campaign: one with `[limits]`.
    """

    def __init__(self, connection: sqlite3.Connection, campaign: Campaign) -> None:
        self._connection, self._campaign = connection, campaign
        self._waiting: dict[str, list[datetime]] = defaultdict(list)
        self._ids: set[str] = set()

    def refusal(self, row: DecidedValues) -> CapReached | None:
        """Why a row must not be stored; None where it may, and then it counts."""
        limits = self._campaign.limits
        if limits is None or not limits.caps:
            return None
        if self._is_known(row[_ID]):
            # Not stored a second time, so it uses up nothing: a repetition is answered as one, a conflict refused as one.
            return None
        key, moment = row[_KEY], datetime.fromisoformat(row[_SEND_AT] or row[_DECIDED_AT])
        free_from = limits.free_from(moment, [*self._stored(key), *self._waiting[key]])
        if free_from > moment:
            return CapReached(_said(row[_ID], moment, free_from))
        self._waiting[key].append(moment)
        self._ids.add(row[_ID])
        return None

    def _stored(self, key: str) -> list[datetime]:
        rows = self._connection.execute(_SENDS, (key, self._campaign.id)).fetchall()
        return [datetime.fromisoformat(text) for (text,) in rows]

    def _is_known(self, decision_id: str) -> bool:
        if decision_id in self._ids:
            return True
        found = self._connection.execute("SELECT 1 FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
        return found is not None


def insert_within_caps(
    connection: sqlite3.Connection, rows: Sequence[Row], campaigns: Mapping[int, Campaign]
) -> list[EngineError | None]:
    """Insert decisions as `insert_decisions` does, but for those that a cap forbids.

    Args:
        connection: inside a transaction.
        rows: of any logs.
        campaigns: those with caps, by the number of their log.
    """
    caps = {log_id: Caps(connection, campaign) for log_id, campaign in campaigns.items()}
    errors: list[EngineError | None] = [
        caps[values[_LOG]].refusal(values) if values[_LOG] in caps else None for values, _ in rows
    ]
    allowed = [place for place, error in enumerate(errors) if error is None]
    for place, error in zip(allowed, insert_decisions(connection, [rows[place] for place in allowed]), strict=True):
        errors[place] = error
    return errors


def _said(decision_id: str, moment: datetime, free_from: datetime) -> str:
    return (
        f"decision {decision_id[:80]!r} was not made: at {moment.isoformat()} its customer has as many messages as the "
        f"campaign's [limits].caps allow. The next may go out from {free_from.isoformat()} on; ask again then."
    )
