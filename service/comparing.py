"""One comparison from end to end: groups, guardrails, the arms of every dimension, segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from bandit.arrays import BoolArray
from bandit.errors import UnusableLog
from bandit.group import Group
from evaluation.arm_comparison import ArmComparison, compare_arms
from evaluation.arm_scores import ArmRows
from evaluation.audit import Audit
from evaluation.contrast_scores import Weighting
from evaluation.group_comparison import GroupComparison, GroupRows, Rule, compare_groups
from evaluation.segment_comparison import SegmentArm, SegmentLift, segment_arms, segment_lifts
from service.compared_log import ComparedLog
from service.erased_sums import ErasedSums

PAIRS = ((Group.LEARNER, Group.CONTROL), (Group.RANDOM, Group.CONTROL), (Group.LEARNER, Group.RANDOM))
"""Groups that are compared, where both have sends; the first is asked about."""

MARGIN_SHARE = 0.1
"""Of what control earns: a difference that would not matter, where nobody said."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to compare; settled before the first look.

    Attributes:
        planned: sends of the whole log after which the classical test is read; None where nobody planned.
        margin: difference in reward a send that would not matter; None takes a tenth of what control earns.
        reward_range: least and largest reward a send can have, where somebody says.
        confidence_level: of every interval.
        weighting: which sends count how much between arms.
        by: a context name for segments, or empty.
        guardrails: types of outcomes that must not become more frequent.
    """

    planned: int | None = None
    margin: float | None = None
    reward_range: tuple[float, float] | None = None
    confidence_level: float = 0.95
    weighting: Weighting = Weighting.OVERLAP
    by: str = ""
    guardrails: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupValue:
    """What a group earned: `value` is reward a send."""

    group: str
    n_sends: int
    n_customers: int
    value: float


@dataclass(frozen=True, slots=True)
class Compared:
    """What `manyarm compare` found.

    Attributes:
        metric: what was compared.
        n: matured sends.
        rule: by what it was judged.
        values: one a group.
        groups: pairs of groups.
        dimensions: arms; empty where the log has no probabilities.
        no_arms: why there are no arms, or empty.
        by: the context name of the segments, or empty.
        lifts: the first pair of groups in each segment.
        segments: arms of each dimension in each segment.
        dropped: rows left out, by reason.
        erased: sums of rows that were erased, by group.
        audits: whether the log can be believed; empty where it was not asked.
    """

    metric: str
    n: int
    rule: Rule
    values: tuple[GroupValue, ...]
    groups: tuple[GroupComparison, ...]
    dimensions: tuple[ArmComparison, ...]
    no_arms: str = ""
    by: str = ""
    lifts: tuple[SegmentLift, ...] = ()
    segments: Mapping[str, tuple[SegmentArm, ...]] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    audits: tuple[Audit, ...] = ()
    erased: Mapping[str, ErasedSums] = field(default_factory=dict)


def compared(log: ComparedLog, wanted: Wanted) -> Compared:
    """Compare groups and arms of one log.

    Raises:
        UnusableLog: if rewards lie outside their range, or segments are too many.
        InvalidSettings: for a plan or margin that is none.
    """
    unknown = [name for name in wanted.guardrails if name not in log.happened]
    if unknown:
        raise UnusableLog(
            f"--guardrail {unknown[0]!r}: outcomes are known of a campaign's database alone, and this one has "
            f"{', '.join(log.happened) or 'none'}. Name one of them, with --db."
        )
    values = _values(log)
    rule = _rule(log, wanted, values)
    present = {value.group for value in values}
    pairs = [pair for pair in PAIRS if {group.value for group in pair} <= present]
    rows = {pair: _group_rows(log, pair, wanted.guardrails) for pair in pairs}
    groups = tuple(compare_groups((str(one), str(other)), rows[one, other][1], rule) for one, other in pairs)
    arms, no_arms = _arm_rows(log, rule.reward_range)
    names = log.layout.dimensions
    share = float(_drawn(log).mean())
    of_arms = Rule(
        rule.reward_range, rule.planned and max(round(rule.planned * share), 1), rule.margin, rule.confidence_level
    )
    dimensions = tuple(
        compare_arms(name, ids, one, of_arms, wanted.weighting)
        for name, ids, one in zip(names, log.layout.arms, arms, strict=False)
    )
    lifts, segments = _by_segment(log, wanted, next(iter(rows.values()), None), arms)
    parts = (log.metric, len(log), rule, values, groups, dimensions, no_arms, wanted.by, lifts, segments, log.dropped)
    return Compared(*parts, erased=log.erased)


def _values(log: ComparedLog) -> tuple[GroupValue, ...]:
    found = []
    for group in Group:
        of_group = log.of(group)
        if of_group.any():
            customers = int(np.count_nonzero(np.bincount(log.customers[of_group])))
            found.append(GroupValue(group.value, int(of_group.sum()), customers, float(log.rewards[of_group].mean())))
    return tuple(found)


def _rule(log: ComparedLog, wanted: Wanted, values: Sequence[GroupValue]) -> Rule:
    reward_range = wanted.reward_range or log.reward_range
    usual = [value.value for value in values if value.group == Group.CONTROL]
    base = abs(usual[0] if usual else float(log.rewards.mean()))
    margin = wanted.margin if wanted.margin is not None else MARGIN_SHARE * base or _least(log)
    rule = Rule(reward_range, wanted.planned, margin, wanted.confidence_level)
    if reward_range:
        _require_inside(log, reward_range)
    return rule


def _least(log: ComparedLog) -> float:
    """Where nothing was earned: a thousandth of the largest reward that was seen, or of 1."""
    return 1e-3 * (float(np.abs(log.rewards).max()) or 1.0)


def _require_inside(log: ComparedLog, reward_range: tuple[float, float]) -> None:
    low, high = reward_range
    outside = np.flatnonzero((log.rewards < low) | (log.rewards > high))
    if len(outside):
        raise UnusableLog(
            f"row {outside[0] + 1} has {log.metric} {float(log.rewards[outside[0]])!r} ({len(outside)} such rows), outside "
            f"{low:g} to {high:g}. Bounds rest on what a send can earn: give the true --reward-range, or correct the rows."
        )


def _group_rows(log: ComparedLog, pair: tuple[Group, Group], guardrails: Sequence[str]) -> tuple[BoolArray, GroupRows]:
    """Which rows of the log are of either group, and what they are."""
    either = log.of(pair[0]) | log.of(pair[1])
    shares = [log.shares.get(group.value, 0.0) for group in pair]
    share = shares[0] / sum(shares) if all(shares) else None
    happened = {name: log.happened[name][either] for name in guardrails}
    rewarded = None if log.rewarded is None else log.rewarded[either]
    rows = GroupRows(log.of(pair[0])[either], log.customers[either], log.rewards[either], share, happened, rewarded)
    return either, rows


def _drawn(log: ComparedLog) -> BoolArray:
    """Rows whose arm was drawn by chance: all but control's."""
    return ~log.of(Group.CONTROL)


def _arm_rows(log: ComparedLog, reward_range: tuple[float, float] | None) -> tuple[tuple[ArmRows, ...], str]:
    """Rows of each dimension, or why there are none."""
    drawn = _drawn(log)
    if not log.pmfs:
        return (), (
            "the log has only the probability of what was sent, and arms are weighed by those of all arms. If every arm had one "
            "fixed share, ask with --fixed-split."
        )
    if not drawn.any():
        return (), "no send of learner or random group has matured, and control's arms were not drawn by chance."
    before = np.concatenate(([0], np.cumsum(drawn)))
    known, customers, rewards = before[log.known[drawn]], log.customers[drawn], log.rewards[drawn]
    seen = float(log.rewards.min()), float(log.rewards.max())
    scale = reward_range or (seen if seen[0] < seen[1] else (seen[0], seen[0] + 1.0))
    rewarded = None if log.rewarded is None else log.rewarded[drawn]
    rows_of = partial(
        ArmRows.of, rewards=rewards, customers=customers, known=known, reward_range=scale, rewarded=rewarded
    )
    return tuple(rows_of(pmf[drawn], log.picks[drawn, d]) for d, pmf in enumerate(log.pmfs)), ""


def _by_segment(
    log: ComparedLog, wanted: Wanted, first: tuple[BoolArray, GroupRows] | None, arms: Sequence[ArmRows]
) -> tuple[tuple[SegmentLift, ...], dict[str, tuple[SegmentArm, ...]]]:
    if log.segments is None:
        return (), {}
    lifts = () if first is None else segment_lifts(first[1], log.segments[first[0]], wanted.confidence_level)
    drawn = log.segments[_drawn(log)]
    found = {
        name: segment_arms(ids, rows, drawn, wanted.weighting, wanted.confidence_level)
        for name, ids, rows in zip(log.layout.dimensions, log.layout.arms, arms, strict=False)
    }
    return lifts, found
