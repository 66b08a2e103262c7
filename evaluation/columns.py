"""The columns that estimators sum: a weight of some rule, times 1, the reward, or what a reward model left of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from evaluation.sums import Sums
from evaluation.weighed import Weighed
from evaluation.weight_rules import PLAIN, WeightRule


class Factor(StrEnum):
    """What a weight is multiplied with."""

    ONE = "1"
    REWARD = "r"
    RESIDUAL = "(r-q)"
    REWARDED = "rewarded"
    SUPPORT = "support"
    LARGEST = "largest"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `factor` times the rule's weight, or by itself where there is no rule.

    >>> Column(Factor.REWARD, PLAIN).name, Column(Factor.REWARD).name
    ('w*r', 'r')
    """

    factor: Factor
    rule: WeightRule | None = None

    @property
    def name(self) -> str:
        """How the column is called in `Sums`."""
        return f"{self.rule.key}*{self.factor}" if self.rule else str(self.factor)


@dataclass(frozen=True, slots=True)
class Expected:
    """The reward model's value of the target, row by row."""

    name: str = "q"


@dataclass(frozen=True, slots=True)
class Staged:
    """The stage-wise doubly robust score, row by row."""

    name: str = "stage-wise"


AnyColumn = Column | Expected | Staged
REWARD, WEIGHT, WEIGHED_REWARD = Column(Factor.REWARD), Column(Factor.ONE, PLAIN), Column(Factor.REWARD, PLAIN)
REWARDED = Column(Factor.REWARDED, PLAIN)
ALWAYS: tuple[AnyColumn, ...] = (REWARD, WEIGHT, WEIGHED_REWARD, REWARDED)
"""What diagnostics and intervals need, whatever the estimators."""
SUPPORT, LARGEST = Column(Factor.SUPPORT), Column(Factor.LARGEST)
"""What only logs with pmfs, or with known propensities, have."""


def stack(rows: Weighed, columns: Iterable[AnyColumn]) -> tuple[tuple[str, ...], FloatArray]:
    """Names, and values of shape (n_columns, n), of different columns; each weight is made once.

    Raises:
        UnusableLog: if a column needs a reward model, or models of every stage, and the rows have none.
    """
    wanted = dict.fromkeys(columns)
    factors = _factors(rows, wanted)
    weights: dict[str, FloatArray] = {}
    values = np.empty((len(wanted), len(rows)))
    for at, column in enumerate(wanted):
        _fill(values[at], column, rows, factors, weights)
    return tuple(column.name for column in wanted), values


def _factors(rows: Weighed, wanted: Mapping[AnyColumn, None]) -> dict[Factor, FloatArray]:
    """What weights are multiplied with, as far as the columns ask for it."""
    factors = {Factor.REWARD: rows.rewards}
    for column, values in ((SUPPORT, rows.support), (LARGEST, rows.largest)):
        if column in wanted and values is not None:
            factors[column.factor] = values
    if REWARDED in wanted:
        rewarded = rows.rewards != 0.0 if rows.rewarded is None else rows.rewarded
        factors[Factor.REWARDED] = rewarded.astype(np.float64)
    if any(column == Expected() or getattr(column, "factor", None) is Factor.RESIDUAL for column in wanted):
        if rows.predicted is None or rows.expected is None:
            raise UnusableLog(
                "an estimator needs a reward model, and these rows were not given to one. Name a model, or ask for estimators "
                "that need none: ips, snips, cressie-read."
            )
        factors[Factor.RESIDUAL] = rows.rewards - rows.predicted
    return factors


def _fill(
    out: FloatArray,
    column: AnyColumn,
    rows: Weighed,
    factors: Mapping[Factor, FloatArray],
    weights: dict[str, FloatArray],
) -> None:
    if isinstance(column, Expected):
        out[:] = rows.expected
    elif isinstance(column, Staged):
        out[:] = _staged(rows)
    elif column.rule is None:
        out[:] = factors[column.factor]
    else:
        if column.rule.key not in weights:
            weights[column.rule.key] = column.rule(rows)
        weight = weights[column.rule.key]
        if column.factor is Factor.ONE:
            out[:] = weight
        else:
            np.multiply(weight, factors[column.factor], out=out)


def _staged(rows: Weighed) -> FloatArray:
    if rows.staged is None:
        raise UnusableLog(
            "dr-stage-wise needs models of every stage, and these rows were not given to any. Evaluate several dimensions from "
            "the database (--db without a log), where they are trained, or use ips or snips."
        )
    return rows.staged


def has_one_reward(sums: Sums) -> bool:
    """Whether every reward is the same number: then whatever only averages rewards is that number, exactly."""
    return sums.low(REWARD.name) == sums.high(REWARD.name)
