"""Self-normalised inverse propensity scoring: the weighted average reward."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.columns import Column, Factor, has_one_reward
from evaluation.estimator import ratio
from evaluation.sums import Gradient, Sums
from evaluation.weight_rules import PLAIN, WeightRule


@dataclass(frozen=True, slots=True)
class Snips:
    """Averages, sum(w r) / sum(w): never outside the rewards seen, and the one to report by default.

    Args:
        rule: the weights.
        name: in reports.

    Source: Hajek (1971); Swaminathan and Joachims (2015), the self-normalized estimator.
    """

    rule: WeightRule = PLAIN
    name: str = "snips"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Weighed reward and weight."""
        return Column(Factor.REWARD, self.rule), Column(Factor.ONE, self.rule)

    def value(self, sums: Sums) -> float:
        """The average; exactly c where every reward is c."""
        above, below = (sums.mean(column.name) for column in self.columns)
        return sums.low(str(Factor.REWARD)) if below and _is_constant(sums) else ratio(above, below)

    def gradient(self, sums: Sums) -> Gradient:
        """(1, -value) / mean(w)."""
        above, below = self.columns
        weight = sums.mean(below.name)
        if not weight or _is_constant(sums):
            return {}
        return {above.name: 1.0 / weight, below.name: -self.value(sums) / weight}


def _is_constant(sums: Sums) -> bool:
    """An average of equal numbers is that number; sums of rounded products would miss it in the last digit."""
    return str(Factor.REWARD) in sums.names and has_one_reward(sums)
