"""Inverse propensity scoring: each reward counts for as many sends as it stands for."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.columns import Column, Factor
from evaluation.sums import Gradient, Sums
from evaluation.weight_rules import PLAIN, WeightRule


@dataclass(frozen=True, slots=True)
class Ips:
    """Sums, mean(w r): unbiased with plain weights, and wide where they are large.

    Args:
        rule: the weights; `Clipped` and `SubGaussian` trade bias for variance.
        name: in reports.

    Caution: not the value of an average send: where weights do not average 1 it is off by as much. Prefer snips.

    Source: Horvitz and Thompson (1952).
    """

    rule: WeightRule = PLAIN
    name: str = "ips"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Weighed reward."""
        return (Column(Factor.REWARD, self.rule),)

    def value(self, sums: Sums) -> float:
        """The mean, over all rows."""
        return sums.mean(self.columns[0].name)

    def gradient(self, sums: Sums) -> Gradient:
        """1."""
        del sums
        return {self.columns[0].name: 1.0}
