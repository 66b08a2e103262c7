"""Frequency caps, kept inside the writer's transaction: of two decisions for one customer at once, one is refused."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from bandit.campaign import Campaign
from bandit.errors import CapReached, EngineError
from bandit.fatigue import Sent, count_all_campaigns, free_from, longest_of
from bandit.reward import State
from bandit.send_slots import LONGEST_HORIZON
from service.decisions_table import Row, insert_decisions
from service.rows import DECIDED, DecidedValues, stamp

_AHEAD = LONGEST_HORIZON + timedelta(days=2)
"""No message is planned further ahead of its decision: the longest of send slots, and a night of quiet hours."""
_LOG, _ID, _KEY, _DECIDED_AT, _SEND_AT = (
    DECIDED.index(name) for name in ("log_id", "decision_id", "customer_key", "decided_at", "send_at")
)
_ARMS = DECIDED.index("arms")
_SENT = f"""SELECT log_id, arms, coalesce(sent_at, send_at, decided_at) AS at, campaign
FROM decisions JOIN logs USING (log_id)
WHERE customer_key = :key AND (campaign = :campaign OR :everywhere) AND state NOT IN ('{State.VOID}', '{State.EXPIRED}')"""  # noqa: S608
# Of decisions from so long ago only those that were reported as sent late can count. The `+` keeps SQLite from looking for
# them in the index of decisions by time, where everything that the customer ever got would be read.
_SENDS = f"""{_SENT} AND at > :since AND decided_at > :planned
UNION ALL {_SENT} AND sent_at > :since AND +decided_at <= :planned"""
_arms = msgspec.json.Decoder(tuple[str, ...])

CampaignOf = Callable[[int], Campaign]
"""The campaign of a log, by its number."""


class Caps:
    """The caps of one campaign while rows are written; rows that were let through count from then on.

    Messages that were reported as not sent do not count, deferred ones do: they may still go out. Choices that send nothing
    neither count nor are refused. Rows under an earlier key of the customer cannot be told to be theirs, so a rotation of
    keys begins the counts anew.

    Args:
        connection: inside a transaction.
        campaign: one with `[limits]`.
        campaign_of: of the other logs.
    """

    def __init__(self, connection: sqlite3.Connection, campaign: Campaign, campaign_of: CampaignOf) -> None:
        self._connection, self._campaign, self._campaign_of = connection, campaign, campaign_of
        self._caps = campaign.caps
        self._everywhere, self._longest = count_all_campaigns(self._caps), longest_of(self._caps)
        self._waiting: dict[str, list[Sent]] = defaultdict(list)
        self._ids: set[str] = set()

    def refusal(self, row: DecidedValues) -> CapReached | None:
        """Why a row must not be stored; None where it may, and then it counts."""
        if not self._caps or self._is_known(row[_ID]):
            # Not stored a second time, so it uses up nothing: a repetition is answered as one, a conflict refused as one.
            return None
        key, moment = row[_KEY], datetime.fromisoformat(row[_SEND_AT] or row[_DECIDED_AT])
        message = message_of(self._campaign, row[_ARMS], moment, is_own=True)
        if message is None:
            return None
        free = free_from(self._caps, message, [*self._stored(key, moment), *self._waiting[key]])
        if free > moment:
            return CapReached(_said(row[_ID], moment, free))
        self._waiting[key].append(message)
        self._ids.add(row[_ID])
        return None

    def _stored(self, key: str, moment: datetime) -> list[Sent]:
        """The messages that may stand in the way of one at a time: those before the longest stretch do not."""
        since = moment - self._longest
        asked = {
            "key": key,
            "campaign": self._campaign.id,
            "everywhere": self._everywhere,
            "since": stamp(since),
            "planned": stamp(since - _AHEAD),
        }
        rows = self._connection.execute(_SENDS, asked).fetchall()
        found = [
            message_of(
                self._campaign_of(log_id), arms, datetime.fromisoformat(at), is_own=campaign == self._campaign.id
            )
            for log_id, arms, at, campaign in rows
        ]
        return [one for one in found if one is not None]

    def _is_known(self, decision_id: str) -> bool:
        if decision_id in self._ids:
            return True
        found = self._connection.execute("SELECT 1 FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
        return found is not None


def message_of(campaign: Campaign, arms: str, at: datetime, *, is_own: bool) -> Sent | None:
    """The message of a row; None where its choice sends nothing."""
    # The hot path of the writer: arms are read only where they say something about the message.
    asks = campaign.silent is not None or campaign.channel is not None
    return campaign.message_of(_arms.decode(arms) if asks else (), at, is_own=is_own)


def insert_within_caps(
    connection: sqlite3.Connection, rows: Sequence[Row], campaigns: Mapping[int, Campaign], campaign_of: CampaignOf
) -> list[EngineError | None]:
    """Insert decisions as `insert_decisions` does, but for those that a cap forbids.

    Args:
        connection: inside a transaction.
        rows: of any logs.
        campaigns: those with caps, by the number of their log.
        campaign_of: of any log: its messages may count as well.
    """
    caps = {log_id: Caps(connection, campaign, campaign_of) for log_id, campaign in campaigns.items()}
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
