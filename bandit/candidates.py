"""The candidates of the regression: the same regression with different steps, of which the best one serves.

How far one send should move a weight is a property of the campaign: little where outcomes are rare and arms alike, far
where contexts tell nearly everything. So several answers learn side by side, and progressive validation chooses
(`bandit.validation`).

A *steady* candidate's steps shrink as evidence on a weight gathers: Vowpal Wabbit's adaptive steps with `--power_t 1` and
`--initial_t 1 / rate` divide each gradient by 1 / rate plus the sum of its squares, which is the posterior mean of a weight
with prior variance `rate` (a Laplace approximation that looks at each weight by itself). A *recent* candidate's steps keep
their size, so that it forgets what was long ago.

Source: Chapelle and Li (2011), An empirical evaluation of Thompson sampling, algorithm 3; Duchi, Hazan and Singer (2011)
for adaptive steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pvariance

LEAST_VARIANCE = 1e-8


@dataclass(frozen=True, slots=True)
class Start:
    """Where a model begins, and how noisy what it predicts is.

    Attributes:
        level: its linear prediction before it knows anything: log-odds of an outcome's rate, or the mean reward.
        variance: of the reward, in squared reward units; None for a logistic model, whose rate says it.
    """

    level: float
    variance: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way of taking steps.

    Attributes:
        name: as snapshots and decisions carry it; empty where nobody competes.
        rate: how far the first send moves a weight of value 1, on the log-odds scale and per unit of surprise.
        recent: whether steps keep their size instead of shrinking with evidence.
    """

    name: str
    rate: float
    recent: bool = False

    def arguments(self, start: Start, bounds: tuple[float, float]) -> str:
        """The part of Vowpal Wabbit's argument string that is this candidate's own.

        Args:
            start: of the model.
            bounds: least and largest reward of one decision; squared steps are measured against them, so that a reward
                in cents learns as fast as one in euros.
        """
        if start.variance is None:
            loss, step, prior = "--loss_function logistic", self.rate, 1.0 / self.rate
        else:
            width = max(bounds[1] - bounds[0], math.sqrt(LEAST_VARIANCE)) ** 2
            low, high = bounds
            loss = f"--loss_function squared --min_prediction {low!r} --max_prediction {high!r}"
            # Vowpal Wabbit's gradient of a squared loss is twice the surprise, its square four times the variance.
            step, prior = self.rate * start.variance / (2.0 * width), 4.0 * width / self.rate
        rate = step if self.recent else 1.0 if start.variance is None else 2.0 * start.variance
        power = "--power_t 0" if self.recent else f"--power_t 1 --initial_t {prior!r}"
        return f"{loss} --adaptive --invariant {power} -l {rate!r} --constant {start.level!r}"


CANDIDATES = (
    Candidate("steady-0.03", 0.03),
    Candidate("steady-0.1", 0.1),
    Candidate("steady-0.4", 0.4),
    Candidate("recent-0.03", 0.03, recent=True),
)
"""Who competes where the campaign does not fix a learning rate."""
FIRST = 1
"""Who serves until there is a reason to prefer another."""


def starts_of(labels: Sequence[Sequence[float]]) -> tuple[Start, ...]:
    """Where logistic models start: the log-odds of each outcome's rate in rows of labels 0 and 1.

    Half an outcome is added on either side, so that one never seen has a small rate and not none.

    >>> starts_of([[1.0], [0.0], [0.0]])
    (Start(level=-0.5108256237659907, variance=None),)
    """
    happened = [sum(column) for column in zip(*labels, strict=True)]
    return tuple(Start(math.log((count + 0.5) / (len(labels) - count + 0.5))) for count in happened)


def start_of_rewards(rewards: Sequence[float]) -> Start:
    """Where a model of the reward itself starts: the mean of the rewards seen, and their variance.

    >>> start_of_rewards([0.0, 1.0])
    Start(level=0.5, variance=0.25)
    """
    return Start(fmean(rewards), max(pvariance(rewards), LEAST_VARIANCE))
