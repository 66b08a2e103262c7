"""What customers got before, from the log: all logs of the same campaign id, whatever its content was then."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple

import msgspec

from bandit.decision import Decision
from bandit.draw import customer_key
from bandit.log import LoggedDecision
from bandit.reward import State
from bandit.wear_out import PastSend
from service.rows import stamp
from service.store import Log, Store

_arms = msgspec.json.Decoder(tuple[str, ...])
_PAST = """SELECT log_id, arms, decided_at, state FROM decisions
WHERE customer_key = ? AND decided_at > ? AND decided_at < ? AND seq < ?"""
_NO_SEQ = 1 << 62


class StoredSend(NamedTuple):
    """An earlier send, and whether it was reported as not sent since."""

    send: PastSend
    is_void: bool


def stored_sends(store: Store, log: Log, key: str, at: datetime, *, before_seq: int = _NO_SEQ) -> list[StoredSend]:
    """Every earlier send to a customer within the window of wear-out.

    Args:
        store: where the logs are.
        log: the campaign's; its earlier logs count too, for the customer got those messages.
        key: the customer's key.
        at: only what was decided before.
        before_seq: only rows written before the one of this number.
    """
    spec, found = log.campaign.wear_out, []
    if spec is None:
        return []
    rows = store.reader().execute(_PAST, (key, stamp(at - spec.window), stamp(at), before_seq))
    for log_id, arms, decided_at, state in rows.fetchall():
        campaign = store.log(log_id).campaign
        if campaign.id == log.campaign.id:
            choice = {d.name: arm for d, arm in zip(campaign.dimensions, _arms.decode(arms), strict=False)}
            found.append(StoredSend(PastSend(datetime.fromisoformat(decided_at), choice), state == State.VOID))
    return found


class PastSends:
    """What customers got before, while decisions are made of which some are not stored yet.

    Where the campaign has no `[wear_out]` table it answers None and looks nothing up.
    """

    def __init__(self, store: Store, log: Log) -> None:
        self._store, self._log = store, log
        self._waiting: dict[str, list[PastSend]] = defaultdict(list)

    def to(self, customer_id: str, at: datetime) -> list[PastSend] | None:
        """Earlier sends to a customer, but for those reported as not sent."""
        if self._log.campaign.wear_out is None:
            return None
        key = customer_key(customer_id, secret=self._store.secret)
        stored = stored_sends(self._store, self._log, key, at)
        return [one.send for one in stored if not one.is_void] + self._waiting[key]

    def add(self, decision: Decision) -> None:
        """A decision that was made and waits to be stored."""
        if self._log.campaign.wear_out:
            self._waiting[decision.customer_key].append(PastSend(decision.decided_at, decision.choice))


def sends_before(store: Store, log: Log, row: LoggedDecision) -> list[StoredSend]:
    """What the log held of a row's customer when the row was written."""
    return stored_sends(store, log, row.customer_key, row.decided_at, before_seq=row.seq)
