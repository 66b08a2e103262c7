"""The estimator protocol: columns to sum, and a smooth function of their means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import scipy

from evaluation.columns import AnyColumn
from evaluation.intervals import require_level
from evaluation.sums import Gradient, Sums


class Estimator(Protocol):
    """Estimates a target's value. A frozen value: nothing of one log is kept for the next."""

    @property
    def name(self) -> str:
        """Its name on the command line and in JSON."""

    @property
    def columns(self) -> tuple[AnyColumn, ...]:
        """What it sums."""

    def value(self, sums: Sums) -> float:
        """The estimate, in reward units."""

    def gradient(self, sums: Sums) -> Gradient:
        """How the estimate moves with the mean of each column; empty where it cannot move at all."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """One estimator's answer.

    Attributes:
        value: in reward units.
        se: standard error; None where none can be trusted.
        ci_lower, ci_upper: the interval's ends; None where none can be trusted.
        method: how the interval was found, or why there is none.
    """

    value: float
    se: float | None
    ci_lower: float | None
    ci_upper: float | None
    method: str


def estimate(estimator: Estimator, sums: Sums, confidence_level: float = 0.95) -> Estimate:
    """The estimate with a standard error by its influence function, and the normal interval.

    Source: the delta method on the means of the estimator's columns, which is the influence function's spread.

    >>> import numpy as np
    >>> from evaluation.columns import stack
    >>> from evaluation.snips import Snips
    >>> from evaluation.weighed import weigh
    >>> rows = weigh([1, 0, 1, 0], [0.5, 0.5, 0.25, 0.75], [1, 1, 0, 1])
    >>> found = estimate(Snips(), Sums.of_stack(*stack(rows, Snips().columns)))
    >>> round(found.value, 4), round(found.se, 4)
    (0.375, 0.3337)
    """
    method = "normal, influence function"
    return _normal(estimator.value(sums), sums, estimator.gradient(sums), confidence_level, method)


def difference(estimator: Estimator, sums: Sums, target: str, against: str, confidence_level: float = 0.95) -> Estimate:
    """One target's value minus another's, from sums over the columns of both, with the noise they share cancelled.

    Args:
        estimator: the same for both.
        sums: with each column's name after `target` and after `against`.
        target: prefix of the names of the one.
        against: prefix of the names of the other.
        confidence_level: in (0, 1).
    """
    first, second = part(sums, target), part(sums, against)
    value = estimator.value(first) - estimator.value(second)
    gradient = {target + name: slope for name, slope in estimator.gradient(first).items()}
    gradient |= {against + name: -slope for name, slope in estimator.gradient(second).items()}
    return _normal(value, sums, gradient, confidence_level, "normal, influence function of the difference")


def _normal(value: float, sums: Sums, gradient: Gradient, confidence_level: float, method: str) -> Estimate:
    """The value between normal ends; without width where it cannot move."""
    require_level(confidence_level)
    se = sums.standard_error(gradient) if gradient else 0.0
    half = se * float(scipy.stats.norm.ppf((1 + confidence_level) / 2))
    return Estimate(value, se, value - half, value + half, method)


def part(sums: Sums, prefix: str) -> Sums:
    """The columns whose names begin with a prefix, without it."""
    at = [i for i, name in enumerate(sums.names) if name.startswith(prefix)]
    names = tuple(sums.names[i].removeprefix(prefix) for i in at)
    scatter = sums.scatter[at][:, at]
    return Sums(names, sums.n, sums.means[at], scatter, sums.lows[at], sums.highs[at])


def ratio(above: float, below: float) -> float:
    """A quotient that is NaN, not an error, where nothing was weighed: the verdict says what that means."""
    return above / below if below else math.nan
