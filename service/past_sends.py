"""What customers got before, from the log: all logs of the same campaign id, whatever its content was then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from bandit.decision import Decision
from bandit.log import LoggedDecision
from bandit.reward import UNSENT, State
from bandit.wear_out import PastSend
from service.marks import marks
from service.rows import stamp
from service.store import Log, Store

MOST = 1000
"""Of one customer's sends, the latest so many count: a monitor that decides every second must not slow everybody down."""
_arms = msgspec.json.Decoder(tuple[str, ...])
_ROWS = """SELECT log_id, arms, decided_at, state, seq, deferred FROM decisions
WHERE customer_key IN ({keys}) AND decided_at > ? AND decided_at < ? AND seq < ? AND log_id IN ({logs})
ORDER BY decided_at DESC LIMIT ?"""
_NO_SEQ = 1 << 62


class Remembered(NamedTuple):
    """What a customer got before, as far as the log was read.

    Attributes:
        sends: None where the campaign does not ask.
        seen: number of the last row that stood in the log then; every send up to it has been counted.
    """

    sends: list[PastSend] | None
    seen: int | None = None


class StoredSend(NamedTuple):
    """An earlier choice for a customer.

    Attributes:
        send: when, and which arms.
        is_void: whether it may not have counted when it was looked at.
        seq: number of its row.
        is_message: whether it sends anything.
    """

    send: PastSend
    is_void: bool
    seq: int
    is_message: bool


def stored_sends(
    store: Store, log: Log, keys: Sequence[str], at: datetime, *, before_seq: int = _NO_SEQ, whole: bool = True
) -> list[StoredSend]:
    """The latest sends to a customer within the stretch that the campaign looks back, at most `MOST`.

    Args:
        store: where the logs are.
        log: the campaign's; its earlier logs count too, for the customer got those messages, and those of all campaigns where
            `[reward].recent_send` says so.
        keys: what the customer may be called, one a generation of the key.
        at: only what was decided before.
        before_seq: only rows written before the one of this number.
        whole: also those reported as not sent.
    """
    span = log.campaign.looks_back
    if span is None:
        return []
    recent_send = log.campaign.reward.recent_send
    everywhere = recent_send is not None and recent_send.all_campaigns
    campaigns = {
        other.log_id: other.campaign for other in store.logs() if everywhere or other.campaign.id == log.campaign.id
    }
    query = _ROWS.format(keys=marks(keys), logs=", ".join(map(str, campaigns)))
    values = (*keys, stamp(at - span), stamp(at), before_seq, MOST)
    found = []
    for log_id, arms, decided_at, state, seq, deferred in store.reader().execute(query, values).fetchall():
        if whole or state not in UNSENT:
            sender, picked = campaigns[log_id], _arms.decode(arms)
            # Of another campaign's message it is known that it went out; its arms are others, whatever they are called.
            names = [dimension.name for dimension in sender.dimensions] if sender.id == log.campaign.id else []
            send = PastSend(datetime.fromisoformat(decided_at), dict(zip(names, picked, strict=False)))
            # A deferred one counted or not, as it had been reported as sent by then or not.
            is_message = sender.silent is None or picked[-1:] != (sender.silent,)
            found.append(StoredSend(send, state == State.VOID or deferred is not None, seq, is_message))
    return found


class PastSends:
    """What customers got before, while decisions are made of which some are not stored yet.

    Where the campaign has neither `[wear_out]` nor `[reward].recent_send`, nothing is looked up.
    """

    def __init__(self, store: Store, log: Log) -> None:
        self._store, self._log = store, log
        self._waiting: dict[str, list[PastSend]] = {}

    def to(self, customer_id: str, at: datetime) -> Remembered:
        """Earlier sends to a customer, but for those reported as not sent."""
        if self._log.campaign.looks_back is None:
            return Remembered(None)
        keys = self._store.customer_keys.of(customer_id)
        seen = self._store.last_seq()  # first: what is stored in between is seen too, but not counted on
        stored = stored_sends(self._store, self._log, keys, at, whole=False)
        return Remembered([one.send for one in stored if one.is_message] + self._waiting.get(keys[0], []), seen)

    def add(self, decision: Decision) -> None:
        """A decision that was made and waits to be stored."""
        if self._log.campaign.looks_back is not None:
            sends = self._waiting.setdefault(decision.customer_key, [])
            sends.append(PastSend(decision.decided_at, decision.choice))


def sends_before(store: Store, log: Log, row: LoggedDecision) -> list[tuple[PastSend, bool, bool]]:
    """What the log held of a row's customer when the row was written.

    Returns:
        each send, whether it was reported as not sent since, and whether it must have been seen.
    """
    found = stored_sends(store, log, (row.customer_key,), row.decided_at, before_seq=row.seq)
    # Where the latest were all that was looked at, which they were cannot be said afterwards.
    horizon = -1 if row.seen is None or len(found) == MOST else row.seen
    return [(one.send, one.is_void, one.seq <= horizon) for one in found if one.is_message]
