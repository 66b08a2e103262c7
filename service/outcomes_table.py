"""What happened after a decision: sent or not, outcomes, and the closing of its window."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby

import msgspec

from bandit.campaign import Campaign
from bandit.errors import ConflictingOutcome, InvalidOutcome, UnknownDecision
from bandit.reward import CLOCK_SKEW, Outcome, RewardSpec, State
from bandit.training import Matured
from service.decisions_table import Unreadable, readable
from service.marks import marks
from service.rows import READ, stamp

MATURE_AT_ONCE = 5000
AHEAD = timedelta(days=1) + CLOCK_SKEW
"""How far a sending may seem to lie in the future. A day for times that were written with the wrong zone."""
_COUNTED = "SELECT decision_id, type FROM outcomes WHERE late = 0 AND verdict IS NOT 'machine'"
_arms = msgspec.json.Decoder(tuple[str, ...])
RewardOf = Callable[[int], RewardSpec]


class Receipt(StrEnum):
    """What became of a reported outcome."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    LATE = "late"
    DEFERRED = "deferred"


@dataclass(frozen=True, slots=True)
class _Standing:
    """The changing part of a decision's row."""

    log_id: int
    decided_at: datetime
    state: str
    due_at: str
    sent_at: str | None


def record_outcome(
    connection: sqlite3.Connection, outcome: Outcome, reward_of: RewardOf, received_at: datetime, *, timed: bool = True
) -> Receipt:
    """Keep one outcome, once.

    Args:
        connection: inside a transaction.
        outcome: what happened.
        reward_of: the reward of a log, by its number.
        received_at: when we heard of it.
        timed: whether the reporter gave the time; if not, a repetition may seem to be of another time.

    Returns:
        accepted, duplicate (this event_id was kept before, with the same content), late (kept, never folded in), or deferred
        (kept, and counted once the decision is reported as sent). An outcome does not make a deferred decision count: of
        the sends whose report got lost only those that somebody reacted to would, and every rate would come out too high.

    Raises:
        UnknownDecision, InvalidOutcome, ConflictingOutcome: each says what to do.
    """
    standing = _standing(connection, outcome.decision_id)
    reward_of(standing.log_id).check(outcome, decided_at=standing.decided_at)
    if outcome.at > received_at + AHEAD:
        raise InvalidOutcome(
            f"outcome {outcome.event_id!r} is reported as of {outcome.at.isoformat()}, and it is {stamp(received_at)} now: kept, "
            "it would be late for ever and its event_id used up. Check the clock, and report it again."
        )
    at = stamp(outcome.at)
    found = connection.execute(
        "SELECT decision_id, type, at FROM outcomes WHERE event_id = ?", (outcome.event_id,)
    ).fetchone()
    if found is not None:
        return _repeated(outcome, found, (outcome.decision_id, outcome.type, at if timed else found[2]))
    waits = standing.state == State.DEFERRED
    late = not waits and (standing.state != State.PENDING or at > standing.due_at)
    connection.execute(
        "INSERT INTO outcomes (event_id, decision_id, type, at, received_at, late) VALUES (?, ?, ?, ?, ?, ?)",
        (outcome.event_id, outcome.decision_id, outcome.type, at, stamp(received_at), int(late)),
    )
    if waits:
        return Receipt.DEFERRED
    return Receipt.LATE if late else Receipt.ACCEPTED


def record_sent(
    connection: sqlite3.Connection,
    decision_id: str,
    sent_at: datetime,
    reward_of: RewardOf,
    received_at: datetime,
    *,
    timed: bool = True,
) -> Receipt:
    """The message went out: the window now counts from here, and a deferred decision counts from now on.

    Args:
        connection: inside a transaction.
        decision_id: of the decision.
        sent_at: when the message went out.
        reward_of: the reward of a log, by its number.
        received_at: when we heard of it.
        timed: whether the reporter gave the time; if not, a repetition may seem to be of another time.

    Raises:
        UnknownDecision, InvalidOutcome: if it was reported as not sent, had matured or expired, was sent at another time, or
            is to be sent in the future.
    """
    standing = _standing(connection, decision_id)
    if standing.sent_at == stamp(sent_at) or (standing.sent_at is not None and not timed):
        return Receipt.DUPLICATE
    if standing.state == State.EXPIRED:
        raise InvalidOutcome(
            f"decision {decision_id!r} was deferred, expired at {standing.due_at} because nobody had reported it as sent by "
            "then, and counts for nothing. Report a sending sooner, or make the setting deferred_for longer."
        )
    if standing.state not in {State.PENDING, State.DEFERRED} or standing.sent_at is not None:
        raise InvalidOutcome(
            f"decision {decision_id!r} is {standing.state}" + (f", sent at {standing.sent_at}" if standing.sent_at else "")
            + f"; it cannot be sent at {stamp(sent_at)} as well. Report a sending once, before its window closes."
        )  # fmt: skip
    if sent_at < standing.decided_at - CLOCK_SKEW:
        raise InvalidOutcome(
            f"decision {decision_id!r} was made at {stamp(standing.decided_at)} and cannot have been sent before, at "
            f"{stamp(sent_at)}. Check the clock or the decision_id."
        )
    if sent_at > received_at + AHEAD:
        raise InvalidOutcome(
            f"decision {decision_id!r} is reported as sent at {stamp(sent_at)}, and it is {stamp(received_at)} now: its window "
            "would close too late, or never. Check the clock; a mail that is queued for later is reported when it went out."
        )
    due_at = stamp(reward_of(standing.log_id).due_at(standing.decided_at, sent_at))
    connection.execute(
        "UPDATE decisions SET state = ?, sent_at = ?, due_at = ? WHERE decision_id = ?",
        (State.PENDING.value, stamp(sent_at), due_at, decision_id),
    )
    # The window has moved; what seemed late for the old one may lie in the new one.
    connection.execute("UPDATE outcomes SET late = at > ? WHERE decision_id = ?", (due_at, decision_id))
    return Receipt.ACCEPTED


def record_not_sent(connection: sqlite3.Connection, decision_id: str) -> Receipt:
    """The message never went out: the decision is void, never trained on, never evaluated.

    Raises:
        UnknownDecision, InvalidOutcome: if it was reported as sent, or had matured (it may have been learned from).
    """
    standing = _standing(connection, decision_id)
    if standing.state in {State.VOID, State.EXPIRED}:  # one that expired was never sent, as far as anybody said
        return Receipt.DUPLICATE
    if standing.state == State.MATURED or standing.sent_at is not None:
        raise InvalidOutcome(
            f"decision {decision_id!r} is {standing.state}" + (" and was sent" if standing.sent_at else "")
            + "; it cannot be taken back now. Report an unsent message before its window closes."
        )  # fmt: skip
    connection.execute("UPDATE decisions SET state = ? WHERE decision_id = ?", (State.VOID.value, decision_id))
    return Receipt.ACCEPTED


def mature(connection: sqlite3.Connection, log_id: int, campaign: Campaign, now: datetime) -> int:
    """Close the windows that have passed, at most `MATURE_AT_ONCE` of them; returns how many.

    Each gets its reward and the next number in the order of maturing, which is what watermarks count.
    """
    costs = "arms, recent_sends" if campaign.reward.recent_send else "NULL, NULL"
    due = connection.execute(
        f"SELECT seq, decision_id, {costs} FROM decisions WHERE log_id = ? AND state = 'pending' AND due_at <= ? "  # noqa: S608
        "ORDER BY due_at, seq LIMIT ?",
        (log_id, stamp(now), MATURE_AT_ONCE),
    ).fetchall()
    # Numbers of erased rows are never used again: those up to a watermark have been learned from.
    (last,) = connection.execute(
        "SELECT max((SELECT coalesce(max(matured), 0) FROM decisions WHERE log_id = :log AND matured IS NOT NULL), "
        "(SELECT coalesce(max(matured), 0) FROM erased_rows WHERE log_id = :log))",
        {"log": log_id},
    ).fetchone()
    types = _types_of(connection, [decision_id for _, decision_id, _, _ in due])
    connection.executemany(
        "UPDATE decisions SET state = 'matured', reward = ?, matured = ? WHERE seq = ?",
        [
            (_reward_of(campaign, arms, types.get(decision_id, ()), recent_sends), last + place, seq)
            for place, (seq, decision_id, arms, recent_sends) in enumerate(due, start=1)
        ],
    )
    return len(due)


def _reward_of(campaign: Campaign, arms: str, types: Sequence[str], recent_sends: int | None) -> float:
    """The reward of a row; its arms are read only where they matter."""
    if not recent_sends:
        return campaign.reward.worth_of(types)
    return campaign.reward_of(_arms.decode(arms), types, recent_sends)


def expire(connection: sqlite3.Connection, log_id: int, now: datetime) -> int:
    """End the wait of deferred decisions that nobody reported as sent, at most `MATURE_AT_ONCE`; returns how many."""
    overdue = (
        "SELECT seq FROM decisions WHERE log_id = ? AND state = 'deferred' AND due_at <= ? ORDER BY due_at LIMIT ?"
    )
    cursor = connection.execute(
        f"UPDATE decisions SET state = ? WHERE seq IN ({overdue})",  # noqa: S608 - built from constants
        (State.EXPIRED.value, log_id, stamp(now), MATURE_AT_ONCE),
    )
    return cursor.rowcount


def count_pending(connection: sqlite3.Connection, log_id: int) -> int:
    """Decisions of a log whose window is open."""
    query = "SELECT count(*) FROM decisions WHERE log_id = ? AND state = 'pending'"
    return int(connection.execute(query, (log_id,)).fetchone()[0])


def iterate_matured(
    connection: sqlite3.Connection,
    log_id: int,
    campaign: Campaign,
    *,
    after: int,
    most: int | None = None,
    unreadable: Unreadable | None = None,
) -> Iterator[Matured]:
    """Matured decisions in the order of maturing, with what happened in their windows."""
    left = most if most is not None else 1 << 62
    query = f"SELECT matured, {READ} FROM decisions WHERE log_id = ? AND matured > ? ORDER BY matured LIMIT ?"  # noqa: S608
    while left > 0:
        rows = connection.execute(query, (log_id, after, min(left, MATURE_AT_ONCE))).fetchall()
        numbers = {row[1]: row[0] for row in rows}
        logged = list(readable((row[1:] for row in rows), campaign, unreadable))
        types = _types_of(connection, [row.decision_id for row in logged])
        for row in logged:
            yield Matured(numbers[row.seq], row, frozenset(types.get(row.decision_id, ())))
        if len(rows) < MATURE_AT_ONCE:
            return
        left -= len(rows)
        after = rows[-1][0]


def _types_of(connection: sqlite3.Connection, decision_ids: list[str]) -> dict[str, list[str]]:
    """Types of the outcomes within the window that no machine made, by decision."""
    found: list[tuple[str, str]] = []
    for start in range(0, len(decision_ids), 500):
        some = decision_ids[start : start + 500]
        found += connection.execute(
            f"{_COUNTED} AND decision_id IN ({marks(some)}) ORDER BY decision_id",
            some,
        ).fetchall()
    found.sort()
    return {decision_id: [kind for _, kind in group] for decision_id, group in groupby(found, key=lambda pair: pair[0])}


def _standing(connection: sqlite3.Connection, decision_id: str) -> _Standing:
    row = connection.execute(
        "SELECT log_id, decided_at, state, due_at, sent_at FROM decisions WHERE decision_id = ?", (decision_id,)
    ).fetchone()
    if row is None:
        raise UnknownDecision(
            f"no decision {decision_id[:80]!r}. Outcomes join on the decision_id that /decisions returned: check that it "
            "travels with the message, and that this is the database that decided."
        )
    return _Standing(row[0], datetime.fromisoformat(row[1]), *row[2:])


def _repeated(outcome: Outcome, found: tuple[str, str, str], given: tuple[str, str, str]) -> Receipt:
    if found == given:
        return Receipt.DUPLICATE
    raise ConflictingOutcome(
        f"event {outcome.event_id!r} was already reported as {found[1]!r} of decision {found[0]!r} at {found[2]}, and now "
        f"as {given[1]!r} of {given[0]!r} at {given[2]}. The first one stands; give each event an id of its own."
    )
