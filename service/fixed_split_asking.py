"""Classical tests on data that really is a fixed split: a table of ours or anybody's in which each customer got one arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from evaluation.fixed_split import Test, TwoArms, all_arms, two_arms
from evaluation.interactions import interactions
from evaluation.multiplicity import holm
from evaluation.time_to_conversion import TimeToConversion, time_to_conversion
from service.compared_log import ComparedLog
from service.foreign_log import kept_rows, number_in
from service.table import columns_in

CONVERTED_SHARE = 0.01
"""Of the customers whose time of conversion is told: e-mail converts few, so a median hardly ever exists."""


@dataclass(frozen=True, slots=True, eq=False)
class SplitLog:
    """Sends of a fixed split.

    Attributes:
        arms: shape (n,), what each got.
        rewards: shape (n,).
        customers: shape (n,), keys.
        context: columns for interactions, n rows.
        durations: shape (n,), time to the conversion, or for how long there was none; None where nobody asked.
    """

    arms: NDArray[np.object_]
    rewards: FloatArray
    customers: NDArray[np.object_]
    context: pd.DataFrame
    durations: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class SplitColumns:
    """Which column is which; an empty name is a column that is not there."""

    arm: str
    reward: str
    customer: str = ""
    context: tuple[str, ...] = ()
    time: str = ""
    where: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArmAgainst:
    """One arm against the baseline; `found` is None where `reason` says why, `p_adjusted` by Holm over the arms."""

    arm: str
    found: TwoArms | None
    p_adjusted: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Column:
    """Whether the arms' effect depends on a context column; `p_adjusted` by Holm over the columns."""

    name: str
    test: Test
    p_adjusted: float | None


@dataclass(frozen=True, slots=True)
class SplitFound:
    """What the classical tests say.

    Attributes:
        metric: what was compared.
        n: sends.
        values: by arm, sends and mean reward.
        baseline: the arm that the others are held against.
        every: whether any arm differs.
        against: each other arm against the baseline.
        columns: interactions.
        times: time to conversion; None where nobody asked.
    """

    metric: str
    n: int
    values: Mapping[str, tuple[int, float]]
    baseline: str
    every: Test
    against: tuple[ArmAgainst, ...]
    columns: tuple[Column, ...]
    times: TimeToConversion | None


def read_split(path: Path, columns: SplitColumns) -> SplitLog:
    """Read a table.

    Raises:
        UnusableLog: if a column is missing, a cell is no number where one is needed, or there are no rows.
    """
    wanted = [columns.arm, columns.reward, columns.customer, columns.time, *columns.context, *columns.where]
    found = columns_in(path)
    missing = [name for name in wanted if name and name not in found]
    if missing:
        raise UnusableLog(
            f"{path} has no column {', '.join(map(repr, missing))}. It has: {', '.join(found) or 'no rows at all'}. Name its "
            "columns with --arm, --reward, --customer, --context and --time."
        )
    rows = list(kept_rows(path, columns.where))
    if not rows:
        raise UnusableLog(f"{path} has no rows that count. Without sends there is nothing to compare.")
    numbers = [columns.reward, *([columns.time] if columns.time else [])]
    read = {name: np.array([_number(at, row[name], name) for at, row in enumerate(rows, 1)]) for name in numbers}
    customers = [row[columns.customer] for row in rows] if columns.customer else list(range(len(rows)))
    return SplitLog(
        np.array([str(row[columns.arm]) for row in rows], dtype=object),
        read[columns.reward],
        np.array(customers, dtype=object),
        pd.DataFrame({name: _column([row[name] for row in rows]) for name in columns.context}),
        read.get(columns.time),
    )


def split_of(log: ComparedLog, by: str) -> SplitLog:
    """Our own log as a fixed split: its groups are one; a context column, where one is named, for the interaction."""
    context = pd.DataFrame({} if log.segments is None else {by: log.segments})
    return SplitLog(log.groups, log.rewards, log.customers.astype(object), context)


def ask_split(log: SplitLog, metric: str, baseline: str = "", confidence_level: float = 0.95) -> SplitFound:
    """Make every classical test.

    Args:
        log: a fixed split.
        metric: what its rewards are, for the report.
        baseline: the arm that others are held against; empty for the one with most sends.
        confidence_level: in (0, 1).

    Raises:
        UnusableLog: if a customer got several arms, there is one arm, or the baseline is none of them.
    """
    names, counts = np.unique(log.arms.astype(str), return_counts=True)
    base = baseline or str(names[counts.argmax()])
    if base not in names:
        raise UnusableLog(f"--baseline {base!r} is not among the arms: {', '.join(names)}. Name one of them.")
    values = {
        str(name): (int(count), float(log.rewards[log.arms == name].mean()))
        for name, count in zip(names, counts, strict=True)
    }
    every = all_arms(log.arms, log.rewards, log.customers)
    others = [name for name in values if name != base]
    return SplitFound(
        metric, len(log.arms), values, base, every, _against(log, others, base, confidence_level), _columns(log),
        _times(log, confidence_level),
    )  # fmt: skip


def _against(log: SplitLog, others: Sequence[str], base: str, confidence_level: float) -> tuple[ArmAgainst, ...]:
    found: list[tuple[str, TwoArms | None, str]] = []
    for name in others:
        try:
            one = two_arms(
                log.arms, log.rewards, log.customers, treated=name, control=base, confidence_level=confidence_level
            )
            found.append((name, one, one.lift.reason or ""))
        except UnusableLog as error:
            found.append((name, None, str(error)))
    adjusted = holm([None if one is None else one.lift.p_value for _, one, _ in found])
    return tuple(ArmAgainst(name, one, p, reason) for (name, one, reason), p in zip(found, adjusted, strict=True))


def _columns(log: SplitLog) -> tuple[Column, ...]:
    if log.context.empty:
        return ()
    found = interactions(log.arms, log.rewards, log.customers, log.context)
    adjusted = holm([test.p_value for test in found.values()])
    return tuple(Column(name, test, p) for (name, test), p in zip(found.items(), adjusted, strict=True))


def _times(log: SplitLog, confidence_level: float) -> TimeToConversion | None:
    if log.durations is None:
        return None
    return time_to_conversion(
        log.arms, log.durations, log.rewards, log.customers, share=CONVERTED_SHARE, confidence_level=confidence_level
    )


def _column(cells: list[object]) -> pd.Series:
    """Numbers where all cells are, missing ones aside; else texts."""
    numbers = [None if cell is None or cell == "" else number_in(cell) for cell in cells]
    if all(number is not None or cell is None or cell == "" for number, cell in zip(numbers, cells, strict=True)):
        found = pd.Series(numbers, dtype="float64")
        # A handful of codes is a list of categories.
        return found if found.nunique() > 2 else found.astype(str)
    return pd.Series([str(cell) for cell in cells], dtype=object)


def _number(number: int, cell: object, name: str) -> float:
    found = number_in(cell)
    if found is None:
        raise UnusableLog(
            f"row {number}: {name} is {str(cell)[:60]!r}, need a finite number. One such row would make every mean "
            "meaningless: correct it, or drop it and say how many were dropped."
        )
    return found
