"""The table a marketer reads: what each group earned, what it adds to business as usual, and which arms were chosen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from bandit.campaign import Campaign
from bandit.errors import UnusableLog
from bandit.group import Group
from bandit.log import LoggedDecision
from bandit.reward import UNSENT, State
from evaluation.lift import GroupSums, Lift, lift
from service.erased_sums import ErasedSums


@dataclass(frozen=True, slots=True)
class GroupLine:
    """One group's line; `lift` is against control, None for control itself and where it cannot be said."""

    group: str
    n_sends: int
    n_customers: int
    reward: float
    lift: Lift | None
    unsaid: str | None


@dataclass(frozen=True, slots=True)
class Favourite:
    """The arm the learner chose most for one value of a context name, and its share of those sends."""

    value: str
    dimension: str
    arm: str
    share: float


@dataclass(frozen=True, slots=True)
class GroupReport:
    """What a log says about its groups. Only matured decisions count."""

    campaign: str
    n_decisions: int
    n_matured: int
    lines: tuple[GroupLine, ...]
    by: str | None
    favourites: tuple[Favourite, ...]
    n_erased: int = 0


def report_groups(
    rows: Iterable[LoggedDecision],
    campaign: Campaign,
    *,
    by: str | None = None,
    erased: Mapping[str, ErasedSums] = MappingProxyType({}),
) -> GroupReport:
    """Make the report from a log.

    Args:
        rows: of one campaign's log.
        campaign: whose log it is.
        by: a context name by which the learner's favourite arms are listed; over the later half of its sends.
        erased: sums of the log's erased rows, by group (`service.erased_sums.read_sums`); they count as if they were there.
    """
    rewards: dict[str, list[float]] = defaultdict(list)
    customers: dict[str, list[str]] = defaultdict(list)
    learned: list[LoggedDecision] = []
    n_decisions = 0
    for n_decisions, row in enumerate(rows, start=1):  # noqa: B007 - counts
        if row.group == Group.LEARNER and row.state not in UNSENT:
            learned.append(row)
        if row.state == State.MATURED and row.reward is not None:
            rewards[row.group].append(row.reward)
            customers[row.group].append(row.customer_key)
    lines = _lines(rewards, customers, erased)
    favourites = _favourites(learned[len(learned) // 2 :], campaign, by) if by else ()
    n_erased = sum(sums.n_decisions for sums in erased.values())
    n_matured = sum(line.n_sends for line in lines)
    return GroupReport(campaign.id, n_decisions + n_erased, n_matured, lines, by, favourites, n_erased)


def _lines(
    rewards: dict[str, list[float]], customers: dict[str, list[str]], erased: Mapping[str, ErasedSums]
) -> tuple[GroupLine, ...]:
    every = {str(g): group_sums(rewards[g], customers[g], erased.get(g, ErasedSums())) for g in Group}
    sums = {group: found for group, found in every.items() if found.n_sends}
    control = sums.get(Group.CONTROL)
    return tuple(_line(group, found, control) for group, found in sums.items())


def _line(group: str, sums: GroupSums, control: GroupSums | None) -> GroupLine:
    answer, unsaid = None, None
    if group != Group.CONTROL:
        try:
            answer = lift(sums, control) if control else None
            unsaid = None if control else "no control group"
        except UnusableLog as error:
            unsaid = str(error)
    return GroupLine(group, int(sums.n_sends), int(sums.n_customers), sums.value, answer, unsaid)


def _favourites(rows: Iterable[LoggedDecision], campaign: Campaign, by: str) -> tuple[Favourite, ...]:
    chosen: dict[str, list[Counter[str]]] = {}
    for row in rows:
        value = str(row.context.get(by))
        counters = chosen.setdefault(value, [Counter() for _ in campaign.dimensions])
        for counter, arm in zip(counters, row.arms, strict=True):
            counter[arm] += 1
    order = _values_in_order(campaign, by, chosen)
    return tuple(
        Favourite(value, dimension.name, arm, count / counter.total())
        for value in order
        for dimension, counter in zip(campaign.dimensions, chosen[value], strict=True)
        for arm, count in counter.most_common(1)
    )


def _values_in_order(campaign: Campaign, by: str, found: Iterable[str]) -> list[str]:
    declared = list(getattr(campaign.schema[by], "values", ()))
    return sorted(found, key=lambda value: (declared.index(value) if value in declared else len(declared), value))


def text_of(report: GroupReport) -> str:
    """The report as a table of plain text."""
    erased = f" ({report.n_erased} erased since, and counted)" if report.n_erased else ""
    lines = [f"{report.campaign}: {report.n_decisions} decisions{erased}, {report.n_matured} with a final reward", ""]
    lines.append(
        f"  {'group':<9} {'sends':>7} {'customers':>10} {'reward a send':>14}   lift over control (95 % interval)"
    )
    lines += [f"  {_line_text(line)}" for line in report.lines]
    if report.favourites:
        lines += ["", *_favourites_text(report)]
    return "\n".join(lines)


def _line_text(line: GroupLine) -> str:
    start = f"{line.group:<9} {line.n_sends:>7} {line.n_customers:>10} {line.reward:>14.5f}"
    if line.lift is None:
        return f"{start}   {line.unsaid or ''}".rstrip()
    absolute, relative = line.lift.difference, line.lift.relative
    said = f"{absolute.estimate:+.5f} ({absolute.ci_lower:+.5f} to {absolute.ci_upper:+.5f})"
    if relative is not None:
        said += f", {relative.estimate:+.0%} ({relative.ci_lower:+.0%} to {relative.ci_upper:+.0%})"
    return f"{start}   {said}"


def _favourites_text(report: GroupReport) -> list[str]:
    names = list(dict.fromkeys(favourite.dimension for favourite in report.favourites))
    by_value: dict[str, list[Favourite]] = defaultdict(list)
    for favourite in report.favourites:
        by_value[favourite.value].append(favourite)
    head = f"  {report.by or '':<18}" + "".join(f"{name:<24}" for name in names)
    rows = [
        f"  {value:<18}" + "".join(f"{f'{f.arm} {f.share:.0%}':<24}" for f in found)
        for value, found in by_value.items()
    ]
    return [
        "Arms the learner chose most, in the later half of its sends:",
        head.rstrip(),
        *(row.rstrip() for row in rows),
    ]


def group_sums(rewards: Sequence[float], customers: Sequence[str], erased: ErasedSums) -> GroupSums:
    """Sums of a group, the erased rows included, as if nothing had been erased.

    Args:
        rewards: of the matured rows that are left, in reward units.
        customers: the customer key of each of them.
        erased: of those that are not.

    >>> from service.erased_sums import ErasedRow
    >>> gone = ErasedSums.of([ErasedRow(1, "learner", "ann", "matured", 1.0)])
    >>> group_sums([0.0], ["bob"], gone) == GroupSums.of([0.0, 1.0], ["bob", "ann"])
    True
    """
    if not erased.n_sends:
        return GroupSums.of(rewards, customers)
    member = pd.factorize(np.asarray(customers, dtype=object))[0]
    earned, sends = np.bincount(member, weights=np.asarray(rewards, dtype=np.float64)), np.bincount(member)
    n_sends = len(rewards) + erased.n_sends
    reward_sum = float(np.sum(rewards)) + erased.reward_sum
    value = reward_sum / n_sends
    residuals = earned - value * sends
    gone = erased.reward_squares - 2.0 * value * erased.reward_sends + value * value * erased.sends_squares
    # Equal customers must give exactly 0: a variance made of rounding would call any gap certain.
    rounding = 1e-12 * (float(earned @ earned) + erased.reward_squares)
    squares = float(residuals @ residuals) + gone
    is_binary = erased.is_binary and all(reward in {0.0, 1.0} for reward in rewards)
    return GroupSums(
        n_sends,
        len(earned) + erased.n_customers,
        reward_sum,
        squares if squares > rounding else 0.0,
        is_binary=is_binary,
    )
