"""One fixed group against another: at the planned date, at every look, and whether a guardrail says stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.empirical_bernstein import ConfidenceSequence
from evaluation.finding import Finding, Word, cannot_say, find
from evaluation.group_sequence import group_sequence
from evaluation.grouped_sends import GroupedSends
from evaluation.harm_stop import HarmStop, harm_stop
from evaluation.lift import GroupSums, Lift, lift

UNKNOWN_RANGE = (
    "bounds that hold at every look need the least and the largest reward a send can have: give --reward-range."
)

N_LOOKS = 20
"""Looks of a sequence that are kept to be drawn; the bounds hold at all others too."""


@dataclass(frozen=True, slots=True)
class Rule:
    """By what comparisons are judged; settled before the first look.

    Args:
        reward_range: least and largest reward a send can have; None where nobody says.
        planned: sends after which the classical test is read, once; None where nobody planned.
        margin: difference in reward units that would not matter; above 0.
        confidence_level: in (0, 1).

    Raises:
        InvalidSettings: for a range, plan or margin that is none.
    """

    reward_range: tuple[float, float] | None
    planned: int | None
    margin: float
    confidence_level: float = 0.95

    def __post_init__(self) -> None:
        if self.reward_range is not None and not -inf < self.reward_range[0] < self.reward_range[1] < inf:
            raise InvalidSettings(
                f"reward_range is {self.reward_range!r}, need the least and the largest reward a send can have, in this order."
            )
        if self.planned is not None and self.planned < 1:
            raise InvalidSettings(f"planned is {self.planned!r}, need at least 1 send, or leave it out.")
        if not 0 < self.margin < inf:
            raise InvalidSettings(
                f"margin is {self.margin!r}, need a number above 0: the difference in reward a send that would not matter."
            )


@dataclass(frozen=True, slots=True)
class GroupComparison:
    """What one group earns beyond another.

    Attributes:
        treated: the group asked about.
        control: the group it is held against.
        n: sends of both.
        lift: for one look on the planned date; None where it cannot be said.
        fixed_date: when `lift` may be read, or why it is missing.
        sequence: of the difference, valid at every look; None where it cannot be said.
        guardrails: by type of outcome.
        finding: the word, by the sequence and the guardrails.
    """

    treated: str
    control: str
    n: int
    lift: Lift | None
    fixed_date: str
    sequence: ConfidenceSequence | None
    guardrails: Mapping[str, HarmStop]
    finding: Finding


@dataclass(frozen=True, slots=True, eq=False)
class GroupRows:
    """Sends of two groups, in order of decision; each of shape (n,).

    Attributes:
        treated: whether a send belongs to the group asked about.
        customers: keys or numbers.
        rewards: matured.
        share: of the treated among the customers of both groups, by the campaign; None where nobody says.
        guardrails: types of outcomes that must not become more frequent; 1 where it happened.
        rewarded: whether outcomes were worth anything, where recent messages cost something; else None.
    """

    treated: BoolArray
    customers: NDArray[np.int64]
    rewards: FloatArray
    share: float | None
    guardrails: Mapping[str, FloatArray] = field(default_factory=dict)
    rewarded: BoolArray | None = None

    @property
    def difference(self) -> float:
        """Mean reward of a treated send minus that of a control send."""
        return float(self.rewards[self.treated].mean() - self.rewards[~self.treated].mean())

    def lift(self, confidence_level: float, mask: BoolArray | None = None) -> tuple[Lift | None, str]:
        """For one look, or why it cannot be said; of the rows of a mask alone where there is one."""
        every = np.ones(len(self.rewards), dtype=np.bool_) if mask is None else mask
        parts = (every & self.treated, every & ~self.treated)
        sums = [GroupSums.of(self.rewards[part], self.customers[part]) for part in parts]
        try:
            return lift(sums[0], sums[1], confidence_level), ""
        except UnusableLog as error:
            return None, str(error)


def compare_groups(names: tuple[str, str], rows: GroupRows, rule: Rule) -> GroupComparison:
    """Compare two groups that were fixed by a hash of the customer.

    Args:
        names: of the treated and the control group.
        rows: of both groups.
        rule: by what they are judged.

    Returns:
        The comparison; a guardrail's alarm overrules everything else.

    Raises:
        UnusableLog: if rewards are not finite.

    Caution: the lift's p-value is valid at one look only. Where `fixed_date` says so it is not to be read yet.

    >>> half = np.array([True, False] * 1000)
    >>> rows = GroupRows(half, np.arange(2000), np.array([1.0, 0.0, 0.0, 0.0] * 500), share=0.5)
    >>> compare_groups(("learner", "control"), rows, Rule((0.0, 1.0), 2000, 0.01)).finding.text
    'winner'
    """
    found, reason = rows.lift(rule.confidence_level)
    bounds, stops, finding = _watched(names, rows, rule)
    n = len(rows.rewards)
    return GroupComparison(*names, n, found, reason or _when(n, rule.planned), bounds, stops, finding)


def _watched(
    names: tuple[str, str], rows: GroupRows, rule: Rule
) -> tuple[ConfidenceSequence | None, Mapping[str, HarmStop], Finding]:
    """What may be looked at daily."""
    try:
        sends = _grouped(names, rows)
    except UnusableLog as error:
        return None, {}, cannot_say(str(error))
    stops = _stops(sends, rows.guardrails, rule.confidence_level)
    harmed = _harm(names, stops)
    try:
        bounds = _sequence(sends, rows, rule)
    except UnusableLog as error:
        # The effect turned around and the bounds crossed, or the range is not known.
        return None, stops, harmed or cannot_say(str(error))
    ends = bounds.ci_lower, bounds.ci_upper
    found = find(rows.difference, ends, sends.n, rule.margin, one=names[0], other=names[1])
    return bounds, stops, harmed or found


def _grouped(names: tuple[str, str], rows: GroupRows) -> GroupedSends:
    if not rows.treated.any() or rows.treated.all():
        missing = names[1] if rows.treated.all() else names[0]
        raise UnusableLog(f"no send of {missing} has matured. Wait, or give the group a share in [groups].")
    if rows.share is None:
        raise UnusableLog("the groups' shares are not known: name the campaign file with --campaign.")
    return GroupedSends.of(rows.treated, rows.customers, rows.share)


def _when(n: int, planned: int | None) -> str:
    if planned is None:
        return "valid if this is the only look; nobody planned one, so rely on the bounds that hold at every look"
    if n < planned:
        return f"not to be read before the planned {planned:,} sends ({n:,} so far)"
    return f"valid at this one look, planned after {planned:,} sends"


def _sequence(sends: GroupedSends, rows: GroupRows, rule: Rule) -> ConfidenceSequence:
    if rule.reward_range is None:
        raise UnusableLog(UNKNOWN_RANGE)
    looks = np.unique(np.linspace(0, sends.n, N_LOOKS + 1).astype(np.int64)[1:])
    return group_sequence(
        sends, rows.rewards, rule.confidence_level, reward_range=rule.reward_range, planned=rule.planned,
        looks=looks[looks > 0], rewarded=rows.rewarded,
    )  # fmt: skip


def _stops(sends: GroupedSends, events: Mapping[str, FloatArray], confidence_level: float) -> dict[str, HarmStop]:
    """All guardrails together alarm falsely no more often than one test would."""
    each = 1 - (1 - confidence_level) / max(len(events), 1)
    return {name: harm_stop(sends, happened, each) for name, happened in events.items()}


def _harm(names: tuple[str, str], stops: Mapping[str, HarmStop]) -> Finding | None:
    for name, stop in stops.items():
        if stop.alarm:
            return Finding(
                Word.HARM,
                f"{names[0]} brings more {name} than {names[1]}: the e-value against that being chance reached "
                f"{stop.e_value:.3g}, first above its limit after {stop.alarm_row:,} sends.",
            )
    return None
