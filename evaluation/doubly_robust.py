"""Doubly robust: what a reward model says, corrected by what weighed rewards say of its errors."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.columns import AnyColumn, Column, Expected, Factor
from evaluation.estimator import ratio
from evaluation.sums import Gradient, Sums
from evaluation.weight_rules import PLAIN, WeightRule


@dataclass(frozen=True, slots=True)
class DoublyRobust:
    """Corrects, mean(q) + mean(w (r - q)): right where the propensities are, and narrow where the model is good.

    Args:
        rule: the weights; `Switched` makes it Switch-DR, `Shrunk` DRos.
        name: in reports.

    Caution: the model must not have learned from the rows that it corrects: cross-fit it (`evaluation.reward_model`).

    Source: Dudik, Langford, Li (2011); Robins, Rotnitzky, Zhao (1994).
    """

    rule: WeightRule = PLAIN
    name: str = "dr"

    @property
    def columns(self) -> tuple[AnyColumn, ...]:
        """The model's value of the target, and the weighed error."""
        return Expected(), Column(Factor.RESIDUAL, self.rule)

    def value(self, sums: Sums) -> float:
        """Both means together."""
        return sum(sums.mean(column.name) for column in self.columns)

    def gradient(self, sums: Sums) -> Gradient:
        """1 and 1."""
        del sums
        return {column.name: 1.0 for column in self.columns}


@dataclass(frozen=True, slots=True)
class SelfNormalisedDoublyRobust:
    """Corrects, mean(q) + sum(w (r - q)) / sum(w): the correction as a weighted average.

    Source: Thomas and Brunskill (2016), the weighted doubly robust estimator for one step.
    """

    rule: WeightRule = PLAIN
    name: str = "sndr"

    @property
    def columns(self) -> tuple[AnyColumn, ...]:
        """The model's value of the target, the weighed error, and the weight."""
        return Expected(), Column(Factor.RESIDUAL, self.rule), Column(Factor.ONE, self.rule)

    def value(self, sums: Sums) -> float:
        """The model's mean, and the average error."""
        expected, above, below = (sums.mean(column.name) for column in self.columns)
        return expected + ratio(above, below)

    def gradient(self, sums: Sums) -> Gradient:
        """(1, 1 / mean(w), -correction / mean(w))."""
        expected, above, below = (column.name for column in self.columns)
        weight = sums.mean(below)
        if not weight:
            return {}
        correction = sums.mean(above) / weight
        return {expected: 1.0, above: 1.0 / weight, below: -correction / weight}
