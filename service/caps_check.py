"""What `verify` says of frequency caps: no message is stored that the writer ought to have refused."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import msgspec

from bandit.campaign import Campaign
from bandit.fatigue import Cap, Sent, breaks, count_all_campaigns, longest_of
from bandit.reward import State
from evaluation.verify import Check
from service.caps import message_of
from service.store import Log

_MESSAGES = f"""SELECT customer_key, seq, decision_id, log_id, campaign, arms, coalesce(send_at, decided_at), sent_at
FROM decisions JOIN logs USING (log_id) WHERE (campaign = ? OR ?) AND state NOT IN ('{State.VOID}', '{State.EXPIRED}')
AND customer_key IN (SELECT customer_key FROM decisions WHERE log_id = ?) ORDER BY customer_key, seq"""  # noqa: S608
_Row = tuple[str, int, str, int, str, str, str, str | None]


class _Message(NamedTuple):
    """One of a customer's messages.

    Attributes:
        seq, decision_id, log_id: of its row.
        first, last: the earlier and the later of when it was to go out and when it did.
        planned: when it was to go out.
    """

    seq: int
    decision_id: str
    log_id: int
    first: Sent
    last: Sent
    planned: Sent


def check_caps(connection: sqlite3.Connection, log: Log, campaign_of: Callable[[int], Campaign]) -> Check:
    """No message of a log had as many before it as a cap allows.

    Messages that were reported as not sent do not count: whoever was refused because of one is not in the log. One that
    went out at another time than planned counts only where it was in the way at both times: which of them the writer knew
    then is not kept.

    Args:
        connection: reads a store that stands still.
        log: of a campaign with caps.
        campaign_of: of any log, by its number: its messages may count as well.
    """
    check = Check("caps", "each message kept the frequency caps, by the messages stored before it")
    caps = log.campaign.caps
    rows = connection.execute(_MESSAGES, (log.campaign.id, count_all_campaigns(caps), log.log_id))
    for _, found in groupby(rows, key=itemgetter(0)):
        _check_customer(check, log, caps, list(_messages(found, log, campaign_of)))
    return check


def _messages(rows: Iterator[_Row], log: Log, campaign_of: Callable[[int], Campaign]) -> Iterator[_Message]:
    for _, seq, decision_id, log_id, campaign, arms, send_at, sent_at in rows:
        try:
            own, moment = campaign == log.campaign.id, datetime.fromisoformat(send_at).astimezone(UTC)
            planned = message_of(campaign_of(log_id), arms, moment, is_own=own)
            went_at = datetime.fromisoformat(sent_at or send_at).astimezone(UTC)
        except (ValueError, TypeError, IndexError, msgspec.MsgspecError):
            continue  # the row checks name it
        if planned is not None:
            first, last = sorted((planned, planned._replace(at=went_at)), key=lambda one: one.at)
            yield _Message(seq, decision_id, log_id, first, last, planned)


def _check_customer(check: Check, log: Log, caps: Sequence[Cap], messages: Sequence[_Message]) -> None:
    longest = longest_of(caps)
    before: list[_Message] = []
    for one in messages:
        if one.log_id == log.log_id:
            # One that went out before the longest stretch is in nobody's way; a customer may have got many.
            near = before[bisect_right(before, one.planned.at - longest, key=_went_at) :]
            _check_message(check, caps, one, [(other.first, other.last) for other in near])
        insort(before, one, key=_went_at)


def _check_message(check: Check, caps: Sequence[Cap], one: _Message, others: Sequence[tuple[Sent, Sent]]) -> None:
    check.n_checked += 1
    broken = [cap for cap in caps if breaks(cap, one.planned, others)]
    for cap in broken[:1]:
        through = f" through {cap.channel}" if cap.channel else ""
        check.fail(
            f"row {one.seq}, decision {one.decision_id[:60]}: at {one.planned.at.isoformat()} its customer gets more than "
            f"{cap.most}{through} within {cap.within}"
        )


def _went_at(message: _Message) -> datetime:
    """The latest that it may have gone out."""
    return message.last.at
