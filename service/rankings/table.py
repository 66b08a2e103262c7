"""The tables of rankings and of what was reported about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime

from bandit.errors import BrokenSnapshot, ConflictingDecision, UnknownDecision, UnusableLog
from bandit.ranking import Ranking
from bandit.ranking_learner import MaturedRanking
from bandit.ranking_request import RankingRequest
from bandit.reward import State
from service.marks import marks
from service.rankings.rows import RANKED, READ, KeptRanking, kept_of, next_link, ranked_values, rules_of
from service.rankings.snapshots import is_kept
from service.rows import stamp

AT_ONCE = 2000
MOST_REWARDS = 1000
"""Rewards of one event that are kept; what comes after them is without effect."""
Unreadable = Callable[[int, UnusableLog], None]
_INSERT = (
    f"INSERT INTO rankings (seq, {', '.join(RANKED)}, chain, state, due_at) "  # noqa: S608 - our own column names
    f"VALUES (?, {marks(RANKED)}, ?, ?, ?)"
)


def store_ranking(connection: sqlite3.Connection, ranking: Ranking) -> KeptRanking | None:
    """Store a ranking, once.

    Args:
        connection: inside a transaction.
        ranking: just drawn.

    Returns:
        None where it was stored; what stands under its event_id where another request was faster.

    Raises:
        BrokenSnapshot: if the snapshot it was drawn from is not kept any more, so that nobody could draw it again.
    """
    request = ranking.request
    found = find_ranking(connection, request.event_id)
    if found is not None:
        return found
    if ranking.snapshot is not None and not is_kept(connection, ranking.snapshot):
        raise BrokenSnapshot(
            f"ranking snapshot {ranking.snapshot!r} was replaced by another process meanwhile and is not kept. Nothing was "
            "stored; ask again with the same eventId."
        )
    seq, chain = connection.execute("SELECT seq, chain FROM ranking_head").fetchone()
    values = ranked_values(ranking)
    link = next_link(chain, values)
    state = State.DEFERRED if request.is_deferred else State.PENDING
    due_at = stamp(ranking.decided_at + ranking.rules.wait)
    connection.execute(_INSERT, (seq + 1, *values, link, state.value, due_at))
    connection.execute("UPDATE ranking_head SET seq = ?, chain = ?", (seq + 1, link))
    return None


def find_ranking(connection: sqlite3.Connection, event_id: str) -> KeptRanking | None:
    """The ranking of an event, or None.

    Raises:
        UnusableLog: if its row cannot be read.
    """
    row = connection.execute(f"SELECT {READ} FROM rankings WHERE event_id = ?", (event_id,)).fetchone()  # noqa: S608
    return kept_of(row) if row else None


def require_same(found: KeptRanking, asked: RankingRequest, campaign: str) -> Ranking:
    """The stored ranking, if it answers this request.

    Raises:
        ConflictingDecision: if the event_id was used for another one.
    """
    if (found.ranking.request, found.ranking.campaign) == (asked, campaign):
        return found.ranking
    raise ConflictingDecision(
        f"event {asked.event_id[:80]!r} was ranked at {found.ranking.decided_at.isoformat()} for another context, other actions "
        "or another campaign. That ranking stands and was not changed; give a new event an eventId of its own."
    )


def record_reward(connection: sqlite3.Connection, event_id: str, value: float, now: datetime) -> bool:
    """Keep a reward, if it is not beyond the most of one event; returns whether it came in time to count.

    Raises:
        UnknownDecision: if nothing was ranked under this id.
    """
    state, due_at = _standing(connection, event_id)
    query = "SELECT count(*) FROM ranking_rewards WHERE event_id = ?"
    if connection.execute(query, (event_id,)).fetchone()[0] >= MOST_REWARDS:
        return False
    at = stamp(now)
    late = state not in {State.PENDING, State.DEFERRED} or at > due_at
    connection.execute(
        "INSERT INTO ranking_rewards (event_id, value, received_at, late) VALUES (?, ?, ?, ?)",
        (event_id, value, at, int(late)),
    )
    return not late


def activate(connection: sqlite3.Connection, event_id: str, now: datetime) -> bool:
    """A deferred event is shown: from now on it counts. Returns whether it does.

    Raises:
        UnknownDecision: if nothing was ranked under this id.
    """
    state, due_at = _standing(connection, event_id)
    if state == State.DEFERRED and stamp(now) <= due_at:
        connection.execute(
            "UPDATE rankings SET state = ?, activated_at = ? WHERE event_id = ?",
            (State.PENDING.value, stamp(now), event_id),
        )
        return True
    return state in {State.PENDING, State.MATURED}


def mature_rankings(connection: sqlite3.Connection, campaign: str, now: datetime) -> int:
    """End the waits that are over, at most `AT_ONCE` of them; returns how many.

    Each gets its reward and the next number in the order of maturing, or expires where nobody activated it.
    """
    due = connection.execute(
        "SELECT seq, event_id, state, rules FROM rankings WHERE campaign = ? AND state IN ('pending', 'deferred') "
        "AND due_at <= ? ORDER BY due_at, seq LIMIT ?",
        (campaign, stamp(now), AT_ONCE),
    ).fetchall()
    if not due:
        return 0
    # Said twice, so that the index of matured rows answers it: decisions wait meanwhile.
    query = "SELECT coalesce(max(matured), 0) FROM {} WHERE campaign = ? AND matured IS NOT NULL"
    # Numbers of erased rows are never used again: those up to a watermark have been learned from.
    tables = ("rankings", "erased_rankings")
    number = max(connection.execute(query.format(table), (campaign,)).fetchone()[0] for table in tables)
    for seq, event_id, state, rules in due:
        if state == State.DEFERRED:
            connection.execute("UPDATE rankings SET state = ? WHERE seq = ?", (State.EXPIRED.value, seq))
            continue
        number += 1
        reward = rules_of(rules).reward_of(values_in_time(connection, event_id))
        connection.execute(
            "UPDATE rankings SET state = ?, reward = ?, matured = ? WHERE seq = ?",
            (State.MATURED.value, reward, number, seq),
        )
    return len(due)


def values_in_time(connection: sqlite3.Connection, event_id: str) -> list[float]:
    """The rewards that count, in the order in which they came."""
    query = "SELECT value FROM ranking_rewards WHERE event_id = ? AND late = 0 ORDER BY number"
    return [value for (value,) in connection.execute(query, (event_id,)).fetchall()]


def iterate_matured(
    connection: sqlite3.Connection, campaign: str, *, after: int, most: int | None = None
) -> Iterator[MaturedRanking]:
    """Matured rankings in the order of maturing, as the learner takes them.

    Raises:
        UnusableLog: if a row cannot be read.
    """
    left = most if most is not None else 1 << 62
    query = f"SELECT {READ} FROM rankings WHERE campaign = ? AND matured > ? ORDER BY matured LIMIT ?"  # noqa: S608
    while left > 0 and (rows := connection.execute(query, (campaign, after, min(left, AT_ONCE))).fetchall()):
        for row in rows:
            kept = kept_of(row)
            after, ranking = int(kept.matured or 0), kept.ranking
            yield MaturedRanking(after, ranking.request, ranking.chosen, ranking.group.value, float(kept.reward or 0.0))
        left -= len(rows)


def iterate_rankings(
    connection: sqlite3.Connection, campaign: str, *, unreadable: Unreadable | None = None
) -> Iterator[KeptRanking]:
    """All rankings of a campaign in order.

    Args:
        connection: for reading.
        campaign: whose loop it is.
        unreadable: told of rows that cannot be read, which are then left out; without it they raise.

    Raises:
        UnusableLog: for such a row.
    """
    query = f"SELECT {READ} FROM rankings WHERE campaign = ? AND seq > ? ORDER BY seq LIMIT {AT_ONCE}"  # noqa: S608
    after = -(1 << 62)
    while rows := connection.execute(query, (campaign, after)).fetchall():
        for row in rows:
            try:
                kept = kept_of(row)
            except UnusableLog as error:
                if unreadable is None:
                    raise
                unreadable(row[0], error)
            else:
                yield kept
        after = rows[-1][0]


def campaigns_ranked(connection: sqlite3.Connection) -> list[str]:
    """Names of the campaigns of which anything of rankings is there: rows, what is left of erased ones, or snapshots."""
    query = (
        "SELECT campaign FROM rankings UNION SELECT campaign FROM erased_rankings UNION SELECT campaign FROM ranking_snapshots "
        "ORDER BY campaign"
    )
    return [name for (name,) in connection.execute(query)]


def _standing(connection: sqlite3.Connection, event_id: str) -> tuple[str, str]:
    row: tuple[str, str] | None = connection.execute(
        "SELECT state, due_at FROM rankings WHERE event_id = ?", (event_id,)
    ).fetchone()
    if row is None:
        raise UnknownDecision(
            f"no event {event_id[:80]!r} was ranked here. Use the eventId that Rank answered with, and check that this is the "
            "database that ranked."
        )
    return row
