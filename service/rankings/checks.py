"""Can the rankings be believed? Each is made again from the snapshot and the rules that its row names."""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache, partial
from heapq import merge
from typing import Any, NamedTuple

import numpy as np

from bandit.arrays import FloatArray
from bandit.draw import draw
from bandit.errors import BrokenSnapshot, EngineError
from bandit.estimates import NO_ESTIMATES, TIE, Estimates, Need
from bandit.group import Group
from bandit.policy import Policy
from bandit.ranking import Ranking, control_pmf, draw_position, group_of
from bandit.reward import UNSENT, State
from bandit.training import teaches
from evaluation.exact_ties import ExactTieRows
from evaluation.recomputed_check import RECOMPUTED_TOLERANCE, Problem
from evaluation.verify import SUM_TOLERANCE, Check
from policies.uniform import Uniform
from service.rankings.erasing import erased_rankings
from service.rankings.rows import RANKED, KeptRanking, next_link
from service.rankings.snapshots import is_kept, load, n_erased
from service.rankings.table import AT_ONCE, campaigns_ranked, iterate_rankings, values_in_time
from service.rankings.trainer import load_ranking, policy_under
from service.store import Store

MEANS = {
    "rank pmf": "each pmf is a distribution over the actions on offer, and the propensity is that of the drawn one",
    "rank draw": "group and drawn action are those at the positions that salt, campaign and event give",
    "rank again": "each pmf equals the one recomputed from the snapshot and rules named in the row, to 1e-6",
    "rank reward": "each matured reward is what was reported in time, and nothing else has one",
}
"""The checks of single rankings, with what each means."""


def check_rankings(store: Store) -> list[Check]:
    """Every check of the rankings in a store; none where nothing was ever ranked."""
    reader = store.reader()
    chain = check_ranking_chain(reader)
    if not chain.n_checked and chain.passed:
        return []
    checks = {name: Check(name, means) for name, means in MEANS.items()}
    training = Check(
        "rank training", "each snapshot is whole and learned each matured ranking up to its watermark once"
    )
    for campaign in campaigns_ranked(reader):
        remaker = _Remaker(store, campaign)
        for kept in iterate_rankings(reader, campaign, unreadable=lambda _, error: checks["rank pmf"].fail(str(error))):
            _check_row(checks, kept, remaker)
        checks["rank again"].notes += filter(None, [remaker.exact_ties.note()])
        _check_training(training, reader, campaign)
    return [chain, *checks.values(), training]


def check_ranking_chain(connection: sqlite3.Connection) -> Check:
    """No ranking was edited, removed or added since it was written, up to the last one acknowledged."""
    check = Check("rank chain", "no ranking was edited, removed or added since it was written")
    chain, before, key = bytes(16), 0, _key(connection)
    for link in merge(_chained(connection), _erased(connection, key), key=lambda one: one.seq):
        check.n_checked += 1
        if link.seq != before + 1:
            check.fail(f"rows {before + 1} to {link.seq - 1} are missing")
        elif link.values is not None and next_link(chain, link.values) != link.chain:
            check.fail(
                f"row {link.seq}, event {str(link.values[1])[:60]}: its contents are not the ones that were written"
            )
        if not link.is_signed:
            check.fail(f"row {link.seq} is said to be erased, and the store did not sign that")
        chain, before = link.chain, link.seq
    head = connection.execute("SELECT seq, chain FROM ranking_head").fetchone()
    if head != (before, chain):
        check.fail(
            f"the rankings end at row {before}, and the head says {head[0] if head else 'nothing'}: rows are missing"
        )
    return check


class _Remaker:
    """Makes rankings of one campaign again; loaded snapshots and policies are shared among rows."""

    def __init__(self, store: Store, campaign: str) -> None:
        self._store = store
        self.salt, self.exact_ties = store.salt, ExactTieRows()
        # Rows name snapshots roughly in order, so a few are enough.
        self._served = lru_cache(maxsize=4)(partial(load_ranking, store, campaign))
        self._policy = lru_cache(maxsize=16)(policy_under)

    def values_in_time(self, event_id: str) -> list[float]:
        """The rewards that count for an event."""
        return values_in_time(self._store.reader(), event_id)

    def pmf(self, ranking: Ranking, tie: float = TIE) -> FloatArray:
        """The pmf again, shape (n_actions,), in the form that decides for many at once.

        Args:
            ranking: that was made.
            tie: scores so close to the best tie with it; 0 as it was before scores apart by rounding tied.

        Raises:
            EngineError: if it cannot be made again.
        """
        request = ranking.request
        if ranking.group is Group.CONTROL:
            return np.array(control_pmf(request).probabilities)
        eligible = np.zeros(len(request.actions), dtype=np.bool_)
        eligible[list(request.offered)] = True
        estimates, policy = NO_ESTIMATES, self._who(ranking)
        if ranking.snapshot is not None:
            scorer = self._served(ranking.snapshot).scorer
            scores = np.zeros(len(request.actions))
            scores[list(request.offered)] = scorer.scores(request.features, request.offered)
            estimates = Estimates(scores, scorer.n_learned, spread=scorer.spread, tie=tie)
        return policy.pmf(estimates, eligible, dimension=0)

    def _who(self, ranking: Ranking) -> Policy:
        if ranking.fallback is not None or ranking.group is Group.RANDOM:
            return Uniform()
        policy: Policy = self._policy(ranking.rules)
        if policy.name != ranking.policy:
            raise EngineError(f"the row names policy {ranking.policy!r}, its rules {policy.name!r}")
        if (ranking.snapshot is None) != (policy.needs is Need.NOTHING):
            raise EngineError(
                f"policy {policy.name!r} with snapshot {ranking.snapshot!r}: one does not go with the other"
            )
        return policy


def _check_row(checks: dict[str, Check], kept: KeptRanking, remaker: _Remaker) -> None:
    for check in checks.values():
        check.n_checked += 1
    for name, found in _problems(kept, remaker):
        checks[name].fail(f"row {kept.seq}, event {kept.ranking.request.event_id[:60]}: {found}")


def _problems(kept: KeptRanking, remaker: _Remaker) -> Iterator[Problem]:
    ranking = kept.ranking
    pmf, offered = ranking.pmf, set(ranking.request.offered)
    # Written so that NaN fails each comparison.
    if not (min(pmf) >= 0.0 and abs(sum(pmf) - 1.0) <= SUM_TOLERANCE):
        yield "rank pmf", f"pmf sums to {sum(pmf)!r}, least entry {min(pmf)!r}"
    if any(probability for place, probability in enumerate(pmf) if place not in offered):
        yield "rank pmf", "an excluded action has a probability"
    if kept.propensity != ranking.propensity:
        yield "rank pmf", f"propensity is {kept.propensity!r}, the pmf says {ranking.propensity!r}"
    yield from _draw_problems(ranking, remaker.salt)
    yield from _again_problems(kept, remaker)
    yield from _reward_problems(kept, remaker)


def _draw_problems(ranking: Ranking, salt: bytes) -> Iterator[Problem]:
    event, rules = ranking.request.event_id, ranking.rules
    group = group_of(event, rules, campaign=ranking.campaign, salt=salt)
    if group is not ranking.group:
        yield "rank draw", f"group is {ranking.group.value!r}, its position says {group.value!r}"
    position = draw_position(event, campaign=ranking.campaign, salt=salt)
    drawn = draw(ranking.pmf, position) if any(p > 0.0 for p in ranking.pmf) else None
    if drawn != ranking.chosen:
        yield "rank draw", f"action {ranking.chosen} was drawn, position {position!r} draws {drawn}"


def _again_problems(kept: KeptRanking, remaker: _Remaker) -> Iterator[Problem]:
    ranking = kept.ranking
    try:
        gap = _gap(ranking, remaker.pmf(ranking))
        if gap <= RECOMPUTED_TOLERANCE:
            return
        if _gap(ranking, remaker.pmf(ranking, tie=0.0)) <= RECOMPUTED_TOLERANCE:
            remaker.exact_ties.note_row(kept.seq)
        else:
            yield "rank again", f"pmf differs by {gap:.3g} from the recomputed one"
    except EngineError as error:
        yield "rank again", f"cannot be made again: {error}"


def _gap(ranking: Ranking, again: FloatArray) -> float:
    return float(np.max(np.abs(again - np.array(ranking.pmf))))


def _reward_problems(kept: KeptRanking, remaker: _Remaker) -> Iterator[Problem]:
    is_matured = kept.state == State.MATURED
    if is_matured != (kept.matured is not None) or is_matured != (kept.reward is not None):
        yield "rank reward", f"state is {kept.state!r} with reward {kept.reward!r}"
    elif kept.state in UNSENT and not kept.ranking.request.is_deferred:
        yield "rank reward", f"state is {kept.state!r}, and the event was not deferred"
    elif kept.reward is not None:
        worth = kept.ranking.rules.reward_of(remaker.values_in_time(kept.ranking.request.event_id))
        if kept.reward != worth:
            yield "rank reward", f"reward is {kept.reward!r}, what was reported in time is worth {worth!r}"


def _check_training(check: Check, connection: sqlite3.Connection, campaign: str) -> None:
    taught = _numbers_taught(check, connection, campaign)
    query = "SELECT snapshot, n_learned, watermark, n_missed FROM ranking_snapshots WHERE campaign = ? ORDER BY number"
    for name, n_learned, watermark, n_missed in connection.execute(query, (campaign,)).fetchall():
        check.n_checked += 1
        try:
            snapshot = load(connection, name)
        except BrokenSnapshot as error:
            # The trainer may have deleted it since the list was read; where a ranking names it, `rank again` fails.
            if is_kept(connection, name):
                check.fail(str(error))
            continue
        if (snapshot.n_learned, snapshot.watermark) != (n_learned, watermark):
            check.fail(f"snapshot {name}: its row and its bytes do not tell the same counters")
        if n_missed and not 0 < n_missed <= n_erased(connection, campaign, 0, snapshot.watermark):
            check.fail(f"snapshot {name} is said to have missed {n_missed} events, and not so many were erased")
        n_rows = bisect_right(taught, snapshot.watermark) - n_missed
        if n_rows != snapshot.n_learned:
            check.fail(f"snapshot {name} learned {snapshot.n_learned} events, there are {n_rows} up to its watermark")


def _numbers_taught(check: Check, connection: sqlite3.Connection, campaign: str) -> array[int]:
    """Numbers of the matured rankings that a learner learns from, in order; a row that was hidden leaves its number free."""
    query = 'SELECT matured, "group" FROM rankings WHERE campaign = ? AND matured IS NOT NULL ORDER BY 1'
    there = ((number, teaches(group)) for number, group in connection.execute(query, (campaign,)))
    left = sorted((one.matured, bool(one.taught)) for one, _ in erased_rankings(connection, campaign) if one.matured)
    taught, before = array("q"), 0
    for number, has_taught in merge(there, left):
        if number != before + 1:
            check.fail(f"event number {number} in the order of maturing follows on number {before}")
        if has_taught:
            taught.append(number)
        before = number
    return taught


class _Link(NamedTuple):
    """A link of the chain: of a ranking that is there, or of one that was erased (then `values` is None)."""

    seq: int
    chain: bytes
    values: tuple[Any, ...] | None
    is_signed: bool = True


def _key(connection: sqlite3.Connection) -> bytes:
    found = connection.execute("SELECT value FROM keys WHERE name = 'receipts'").fetchone()
    return found[0] if found else b""


def _erased(connection: sqlite3.Connection, key: bytes) -> Iterator[_Link]:
    for one, signature in erased_rankings(connection):
        yield _Link(one.seq, one.chain, None, one.signature(key) == signature)


def _chained(connection: sqlite3.Connection) -> Iterator[_Link]:
    query = f"SELECT seq, chain, {', '.join(RANKED)} FROM rankings WHERE seq > ? ORDER BY seq LIMIT {AT_ONCE}"  # noqa: S608
    after = -(1 << 62)
    while rows := connection.execute(query, (after,)).fetchall():
        for row in rows:
            yield _Link(row[0], row[1], row[2:])
        after = rows[-1][0]
