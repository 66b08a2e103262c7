"""Logs that others wrote, through a mapping of their columns: arm, reward, propensity, context."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from bandit.campaign import Campaign, LearnerSpec, Option, PolicySpec
from bandit.context import ContextValue
from bandit.dimension import Arm, Dimension
from bandit.errors import UnusableLog
from bandit.reward import RewardSpec
from bandit.schema import CategoricalField, ContextField, NumericField, Schema
from service.table import Cells, columns_in, read_rows
from simulator.rejection import RandomisedRow

MOST_CATEGORIES = 200
FEW_NUMBERS = 12
MOST_ARMS = 10_000


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Which column is which; the propensity may be one number for all rows.

    `where` keeps only rows that have one of some values in each of some columns; `sent_at` says when each send was decided,
    with its zone, and is empty where nobody says.
    """

    arm: str
    reward: str
    propensity: str
    context: tuple[str, ...] = ()
    where: Mapping[str, frozenset[str]] = field(default_factory=dict)
    sent_at: str = ""


@dataclass(slots=True)
class _Seen:
    """What a first reading of the log found."""

    arms: dict[str, None] = field(default_factory=dict)
    values: dict[str, set[str]] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)
    rewards: tuple[float, float] = (math.inf, -math.inf)
    binary: bool = True
    least_propensity: float = math.inf
    n_rows: int = 0


@dataclass(frozen=True, slots=True)
class ForeignLog:
    """A checked foreign log: what was found in it, and its rows again and again.

    Attributes:
        n_rows: rows in the file.
        arms: in the order in which they first stand.
        least_propensity: over all rows.
        rewards: least and largest.
        is_binary: whether every reward is 0 or 1.
    """

    path: Path
    columns: ColumnMap
    schema: Schema
    arms: tuple[str, ...]
    n_rows: int
    least_propensity: float
    rewards: tuple[float, float]
    is_binary: bool

    @classmethod
    def read(cls, path: Path, columns: ColumnMap) -> ForeignLog:
        """Read the file once, refusing rows from which no honest number can be made.

        Raises:
            UnusableLog: naming the row, what was found, and what to do.
        """
        require_columns(path, columns)
        seen = _Seen(values={name: set() for name in columns.context})
        for number, cells in enumerate(kept_rows(path, columns.where), start=1):
            _look(seen, number, cells, columns)
        if not seen.n_rows:
            kept = " that --where keeps" if columns.where else ""
            raise UnusableLog(f"{path} has no rows{kept}. A log without rows answers nothing.")
        schema = Schema(tuple(_field(name, seen) for name in columns.context))
        return cls(
            path, columns, schema, tuple(seen.arms), seen.n_rows, seen.least_propensity, seen.rewards, seen.binary
        )

    def campaign(self, policy: PolicySpec, learner: LearnerSpec) -> Campaign:
        """A campaign of one dimension with the log's arms and context."""
        options: dict[str, Option] = dict(learner.options)
        if not self.is_binary and learner.name in {"", "regression"} and policy.name != "native":
            options.setdefault("target", "reward")
        return Campaign(
            id="foreign-log",
            schema=self.schema,
            dimensions=(Dimension(self.columns.arm, tuple(Arm(arm) for arm in self.arms)),),
            reward=RewardSpec(timedelta(hours=1), {"reward": 1.0}),
            policy=policy,
            learner=LearnerSpec(learner.name, options),
        )

    @property
    def scale(self) -> tuple[float, float]:
        """Least reward and width: what a reward in [0, 1] is made with, as learners want it."""
        low, high = (0.0, 1.0) if self.is_binary else self.rewards
        return low, (high - low) or 1.0

    def rows(self) -> Iterator[RandomisedRow]:
        """The rows in file order, rewards also scaled to [0, 1]."""
        return (row for row, _ in self.rows_with(()))

    def rows_with(self, columns: Sequence[str]) -> Iterator[tuple[RandomisedRow, dict[str, float]]]:
        """The same with other columns that hold numbers.

        Raises:
            UnusableLog: if one holds something else.
        """
        low, width = self.scale
        for number, cells in enumerate(self._read(), start=1):
            reward = _reward(number, cells, self.columns)
            context = {item.name: _value(item, cells[item.name]) for item in self.schema.fields}
            propensity = _propensity(number, cells, self.columns)
            row = RandomisedRow(context, str(cells[self.columns.arm]), reward, (reward - low) / width, propensity)
            yield row, {name: _number(number, cells, name) for name in columns}

    def _read(self) -> Iterator[Cells]:
        return kept_rows(self.path, self.columns.where)


def require_columns(path: Path, columns: ColumnMap, targets: Sequence[str] = ()) -> None:
    """Refuse a mapping that names columns the file does not have, or as context what is not known before the draw.

    Raises:
        UnusableLog: naming them.
    """
    leaks = {columns.arm, columns.reward, columns.propensity} & set(columns.context)
    if leaks or len(set(columns.context)) < len(columns.context):
        raise UnusableLog(
            f"--context names {', '.join(sorted(leaks)) or 'a column twice'}: the arm, the reward and the propensity are not "
            "known before the draw, and each column counts once. Leave them out of --context."
        )
    found = columns_in(path)
    wanted = [columns.arm, columns.reward, *columns.context, *columns.where, *filter(None, [columns.sent_at]), *targets]
    if number_in(columns.propensity) is None:
        wanted.append(columns.propensity)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise UnusableLog(
            f"{path} has no column {', '.join(map(repr, missing))}. It has: {', '.join(found) or 'no rows at all'}. "
            "Name its columns with --arm, --reward, --propensity (a column or a number) and --context a,b,c."
        )


def kept_rows(path: Path, where: Mapping[str, frozenset[str]]) -> Iterator[Cells]:
    """The rows of a table that have one of the wanted values in each column of `where`."""
    for cells in read_rows(path):
        if all(str(cells[name]) in values for name, values in where.items()):
            yield cells


def _look(seen: _Seen, number: int, cells: Cells, columns: ColumnMap) -> None:
    seen.n_rows = number
    arm = cells[columns.arm]
    if arm is None or arm == "":
        raise UnusableLog(f"row {number}: arm is empty. A row without its arm cannot be replayed: correct or drop it.")
    seen.arms[str(arm)] = None
    if len(seen.arms) > MOST_ARMS:
        raise UnusableLog(
            f"column {columns.arm!r} has more than {MOST_ARMS} arms by row {number}; is it really the arm?"
        )
    reward = _reward(number, cells, columns)
    seen.rewards = min(seen.rewards[0], reward), max(seen.rewards[1], reward)
    seen.binary = seen.binary and reward in {0.0, 1.0}
    seen.least_propensity = min(seen.least_propensity, _propensity(number, cells, columns))
    for name in columns.context:
        _look_at_context(seen, name, cells[name])


def _look_at_context(seen: _Seen, name: str, cell: object) -> None:
    if cell is None or cell == "":
        return
    value = number_in(cell)
    if value is None:
        seen.texts.add(name)
    else:
        low, high = seen.ranges.get(name, (value, value))
        seen.ranges[name] = min(low, value), max(high, value)
    if len(seen.values[name]) <= MOST_CATEGORIES:
        seen.values[name].add(str(cell))


def _field(name: str, seen: _Seen) -> ContextField:
    """Numbers with many different values are numeric, everything else is categorical."""
    values = seen.values[name]
    if name not in seen.texts and len(values) > FEW_NUMBERS:
        low, high = seen.ranges[name]
        return NumericField(name, low, high)
    if len(values) > MOST_CATEGORIES:
        raise UnusableLog(
            f"context column {name!r} has texts of more than {MOST_CATEGORIES} different values; that is an identifier or "
            "free text, from which nothing can be learned. Leave it out of --context, or group its values."
        )
    return CategoricalField(name, tuple(sorted(values)) or ("",))


def _value(item: ContextField, cell: object) -> ContextValue:
    if cell is None or cell == "":
        return None
    return number_in(cell) if isinstance(item, NumericField) else str(cell)


def _reward(number: int, cells: Cells, columns: ColumnMap) -> float:
    reward = number_in(cells[columns.reward])
    if reward is None:
        raise UnusableLog(
            f"row {number}: reward is {str(cells[columns.reward])[:60]!r}, need a finite number. One such row would make "
            "every mean of this log meaningless: correct it, or drop it and say how many were dropped."
        )
    return reward


def _propensity(number: int, cells: Cells, columns: ColumnMap) -> float:
    fixed = number_in(columns.propensity)
    propensity = fixed if fixed is not None else number_in(cells[columns.propensity])
    if propensity is None or not 0.0 < propensity <= 1.0:
        found = columns.propensity if fixed is not None else cells[columns.propensity]
        raise UnusableLog(
            f"row {number}: propensity is {str(found)[:60]!r}, need a number in (0, 1]. A row logged without the probability "
            "it was drawn with cannot be weighed: drop it and say how many were dropped, or log propensities."
        )
    return propensity


def _number(number: int, cells: Cells, name: str) -> float:
    found = number_in(cells[name])
    if found is None:
        raise UnusableLog(
            f"row {number}: {name} is {str(cells[name])[:60]!r}, need a finite number: correct or drop it."
        )
    return found


def number_in(cell: object) -> float | None:
    """A finite number, or None."""
    try:
        value = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
