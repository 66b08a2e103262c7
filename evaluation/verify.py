"""Can this log be believed? Every row is recomputed, and every check says what failed and where.

A propensity is stored and never recomputed for use; this is the audit that recomputes it to compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from bandit.campaign import Campaign
from bandit.draw import draw, position_of
from bandit.engine import Served
from bandit.errors import BrokenSnapshot, EngineError
from bandit.group import Group
from bandit.learner import Scorer
from bandit.log import LoggedDecision
from bandit.policy import Policy
from evaluation.exposure_check import EarlierSend, exposure_problems
from evaluation.recent_send_check import recent_send_problems
from evaluation.recomputed_check import Problem, RecomputedRows
from evaluation.send_slot_check import send_slot_problems
from evaluation.time_check import time_problems

SUM_TOLERANCE = 1e-9
MOST_SHOWN = 20


@dataclass(slots=True)
class Check:
    """One kind of check: how often it was made, where it failed (the first few in words), and what else is to be known."""

    name: str
    means: str
    n_checked: int = 0
    n_failed: int = 0
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return self.n_failed == 0

    def fail(self, where: str) -> None:
        """Note one failure; only the first ones are kept in words."""
        self.n_failed += 1
        if len(self.failures) < MOST_SHOWN:
            self.failures.append(where)


CHECKS = {
    "pmf": "each pmf lists the campaign's arms, is not negative and sums to 1",
    "propensity": "each propensity is that of the drawn arm, and the joint one is their product",
    "draw": "the drawn arm is the one at the position that salt, decision and dimension give",
    "eligibility": "arms that rules removed have probability 0",
    "dead ends": "arms after which a later dimension would have none have probability 0",
    "recomputed": "each pmf equals the one recomputed from the snapshot and policy named in the row, to 1e-6",
    "snapshot": "the bytes of each snapshot named are the ones that were stored",
    "send slots": "hours were out of each decision as context and time say, and the message goes out at the hour picked",
    "exposures": "what the customer got before, as used, is what the log held",
    "recent sends": "the messages that the customer had got lately, as they were counted, are those that the log held",
    "time": "what was made of the time is what each row's own time and zone say",
    "group": "each customer is in one group, and each row in a known one",
    "campaign": "each row names the content of this campaign",
}
"""The checks of single rows, with what each means."""


@dataclass(frozen=True, slots=True)
class Recomputation:
    """Everything needed to make a decision of this log again.

    Attributes:
        campaign: whose log it is.
        policies: who decided for each group; the random group's also decides where the learner could not.
        salt: of the draws.
        served_by: loads a snapshot by its id; raises BrokenSnapshot.
        sends_before: earlier sends to a row's customer as the log held them; None where the campaign does not ask, or of a
            row that cannot be held against them any more.
    """

    campaign: Campaign
    policies: Mapping[Group, Policy]
    salt: bytes
    served_by: Callable[[str], Served]
    sends_before: Callable[[LoggedDecision], Sequence[EarlierSend] | None] | None = None


def verify_rows(rows: Iterable[LoggedDecision], by: Recomputation) -> dict[str, Check]:
    """Check every row by itself and against the campaign, the salt and the snapshots.

    Args:
        rows: a log, in any order.
        by: what the log claims to have been made by.

    Returns:
        every check by name, with its failures; nothing is raised for a bad row.
    """
    campaign, verifier = by.campaign, _Verifier(by)
    asked: dict[str, object] = {
        "exposures": campaign.wear_out,
        "send slots": campaign.send_slots,
        "time": campaign.time,
        "recent sends": campaign.reward.recent_send,
        "dead ends": verifier.recomputed.dead_ends.possible or None,
    }
    checks = {name: Check(name, means) for name, means in CHECKS.items() if asked.get(name, name) is not None}
    for row in rows:
        for check in checks.values():
            check.n_checked += 1
        for name, found in verifier.problems(row):
            checks[name].fail(f"row {row.seq}, decision {row.decision_id[:60]}: {found}")
    if "dead ends" in checks:
        for failure in verifier.recomputed.dead_ends.failures():
            checks["dead ends"].fail(failure)
        checks["dead ends"].notes += filter(None, [verifier.recomputed.dead_ends.note()])
    checks["recomputed"].notes += filter(None, [verifier.recomputed.exact_ties.note()])
    return checks


class _Verifier:
    """Holds what is shared among rows: loaded snapshots, and the group of each customer."""

    def __init__(self, by: Recomputation) -> None:
        self._by = by
        self._dimensions = by.campaign.dimensions
        self.recomputed = RecomputedRows(by.campaign)
        self._groups: dict[str, str] = {}
        self._broken: dict[str, BrokenSnapshot] = {}
        # Rows name snapshots roughly in order, so a few are enough.
        self._served = lru_cache(maxsize=4)(self._load)

    def problems(self, row: LoggedDecision) -> Iterator[Problem]:
        """Everything wrong with one row."""
        if row.campaign_hash != self._by.campaign.content_hash:
            yield "campaign", f"made under campaign content {row.campaign_hash}"
            return
        if row.group not in set(Group):
            yield "group", f"unknown group {row.group!r}"
            return
        yield from self._group_problems(row)
        shape = self._shape_problem(row)
        if shape:
            yield "pmf", shape
            return
        yield from self._pmf_problems(row)
        yield from self._propensity_problems(row)
        yield from self._draw_problems(row)
        yield from self._past_problems(row)
        if self._by.campaign.send_slots:
            yield from (("send slots", problem) for problem in send_slot_problems(self._by.campaign, row))
        yield from (("time", problem) for problem in time_problems(self._by.campaign, row))
        yield from self._recomputed_problems(row)

    def _shape_problem(self, row: LoggedDecision) -> str:
        if tuple(len(pmf) for pmf in row.pmfs) != self._by.campaign.sizes:
            return f"pmfs of {[len(pmf) for pmf in row.pmfs]} arms, the campaign has {list(self._by.campaign.sizes)}"
        if len(row.arms) != len(self._dimensions) or len(row.propensities) != len(self._dimensions):
            return (
                f"{len(row.arms)} arms and {len(row.propensities)} propensities for {len(self._dimensions)} dimensions"
            )
        for dimension, arm in zip(self._dimensions, row.arms, strict=True):
            if arm not in dimension:
                return f"arm {arm[:60]!r} is not one of dimension {dimension.name!r}"
        return ""

    def _group_problems(self, row: LoggedDecision) -> Iterator[Problem]:
        known = self._groups.setdefault(row.customer_key, row.group)
        if known != row.group:
            yield "group", f"customer {row.customer_key} is in group {row.group!r} here and in {known!r} before"

    def _pmf_problems(self, row: LoggedDecision) -> Iterator[Problem]:
        for dimension, pmf in zip(self._dimensions, row.pmfs, strict=True):
            # Written so that NaN fails each comparison.
            if not (min(pmf) >= 0.0 and abs(sum(pmf) - 1.0) <= SUM_TOLERANCE):
                yield "pmf", f"pmf of {dimension.name!r} sums to {sum(pmf)!r}, least entry {min(pmf)!r}"

    def _propensity_problems(self, row: LoggedDecision) -> Iterator[Problem]:
        product = 1.0
        for dimension, arm, pmf, propensity in self._stages(row):
            product *= propensity
            if pmf[dimension.index_of(arm)] != propensity:
                expected = pmf[dimension.index_of(arm)]
                yield "propensity", f"propensity of {dimension.name!r} is {propensity!r}, its pmf says {expected!r}"
        if not abs(product - row.propensity) <= SUM_TOLERANCE * product:
            yield "propensity", f"joint propensity is {row.propensity!r}, the product is {product!r}"

    def _draw_problems(self, row: LoggedDecision) -> Iterator[Problem]:
        for dimension, arm, pmf, _ in self._stages(row):
            position = position_of(row.campaign, row.decision_id, dimension.name, salt=self._by.salt)
            drawn = dimension.ids[draw(pmf, position)] if any(p > 0.0 for p in pmf) else None
            if drawn != arm:
                yield "draw", f"arm of {dimension.name!r} is {arm[:60]!r}, position {position!r} draws {drawn!r}"

    def _past_problems(self, row: LoggedDecision) -> Iterator[Problem]:
        campaign, sends_before = self._by.campaign, self._by.sends_before
        past = sends_before(row) if sends_before and campaign.looks_back is not None else None
        if past is None:
            return
        if campaign.wear_out:
            found = exposure_problems(self._dimensions, campaign.wear_out, row.decided_at, row.exposures, past)
            yield from (("exposures", problem) for problem in found)
        yield from (("recent sends", problem) for problem in recent_send_problems(campaign, row, past))

    def _recomputed_problems(self, row: LoggedDecision) -> Iterator[Problem]:
        try:
            yield from self.recomputed.problems(row, *self._who_decided(row))
        except BrokenSnapshot as error:
            yield "snapshot", str(error)
        except EngineError as error:
            yield "recomputed", f"cannot be decided again: {error}"

    def _who_decided(self, row: LoggedDecision) -> tuple[Policy, Scorer[Any] | None]:
        if row.fallback is not None:
            return self._by.policies[Group.RANDOM], None
        policy = self._by.policies[Group(row.group)]
        if policy.name != row.policy:
            raise EngineError(f"the row names policy {row.policy!r}, group {row.group!r} has {policy.name!r}")
        if row.snapshot is None:
            return policy, None
        served = self._served(row.snapshot)
        # Rows written before candidates were named have none.
        if row.candidate not in {None, served.candidate}:
            raise EngineError(f"the row names candidate {row.candidate!r}, in its snapshot {served.candidate!r} serves")
        return policy, served.scorer

    def _stages(self, row: LoggedDecision) -> Iterator[tuple[Any, str, tuple[float, ...], float]]:
        return zip(self._dimensions, row.arms, row.pmfs, row.propensities, strict=True)

    def _load(self, snapshot: str) -> Served:
        if snapshot in self._broken:
            raise self._broken[snapshot]
        try:
            return self._by.served_by(snapshot)
        except BrokenSnapshot as error:
            self._broken[snapshot] = error
            raise
