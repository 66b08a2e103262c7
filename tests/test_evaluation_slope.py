"""The choice of a bound: no last digit of a sum decides it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from evaluation.columns import ALWAYS, stack
from evaluation.ips import Ips
from evaluation.slope import BOUNDS, Slope
from evaluation.sums import Sums
from evaluation.weighed import weigh
from evaluation.weight_rules import Clipped


@dataclass(frozen=True)
class Rounded:
    """An estimator on a processor that sums in another order: its width is off by a last digit."""

    inner: Ips
    factor: float

    @property
    def columns(self):
        return self.inner.columns

    def value(self, sums):
        return self.inner.value(sums)

    def gradient(self, sums):
        return {name: slope * self.factor for name, slope in self.inner.gradient(sums).items()}


def chosen(factors):
    rng = np.random.default_rng(5)
    pmf, target = rng.uniform(0.02, 0.2, 4000), rng.uniform(0.0, 1.0, 4000)
    rows = weigh((rng.random(4000) < 0.1).astype(float), pmf, target)
    bounds = BOUNDS[-len(factors) :]
    candidates = [Rounded(Ips(Clipped(bound)), factor) for bound, factor in zip(bounds, factors, strict=True)]
    slope = Slope(tuple(candidates), "slope")
    return slope.chosen(Sums.of_stack(*stack(rows, [*ALWAYS, *slope.columns]))).inner.rule.most


@pytest.mark.parametrize("factors", [(1.0, 1.0, 1.0), (1.0, 1.0 + 1e-15, 1.0 + 2e-15), (1.0 - 2e-15, 1.0 - 1e-15, 1.0)])
def test_bounds_that_no_weight_reaches_tie_and_the_one_with_least_bias_is_taken(factors):
    assert chosen(factors) == float("inf")


def test_a_width_that_is_really_narrower_is_no_tie():
    assert chosen((1.0, 1.0 - 1e-6, 1.0)) == BOUNDS[-2]
