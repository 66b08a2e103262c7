"""Replay of a randomised log that uses every row: the policy lives through some of them, and is valued on all.

By rejection alone (`simulator.rejection`) a row counts only where the policy chose what was logged. Here each row says what the
policy, as it is at that moment, would earn: by a model of the reward, corrected by what was seen. Which rows become the
policy's past is still decided by rejection, so that the past is spread as if the policy itself had made it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.context import Context
from bandit.draw import position_of
from bandit.engine import Engine, Served
from bandit.errors import UnusableLog
from bandit.group import Group
from bandit.learner import Learner, LearnerKind, TrainingRow
from bandit.policy import Policy
from simulator.rejection import RandomisedRow
from simulator.world import IntArray

LOOKED_BACK: Final = 2000
"""Rows whose ratios say how readily a row is accepted."""
_LOOKED_EVERY = 25  # accepted rows; a quantile of two thousand numbers after each would take longer than all decisions
# A replay has no calendar; the engine wants a time, and the same one gives the same answer.
_NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)


class CurvePoint(NamedTuple):
    """A stretch of the policy's own time.

    Attributes:
        n_lived: rows in the policy's past at its end.
        value: mean reward in it.
        se: standard error.
    """

    n_lived: int
    value: float
    se: float


@dataclass(frozen=True, slots=True, eq=False)
class DoublyRobustReplayed:
    """What a policy would have earned.

    Attributes:
        logged_mean: mean reward of all rows read.
        scores: what each row that counts says the policy earns at that moment, in reward units.
        weights: how much of a moment each of these rows is: the moments of the policy's own time count alike.
        lived: rows in the policy's past at each of these rows.
        n_rows: rows read.
        n_accepted: rows that became its past.
    """

    logged_mean: float
    scores: FloatArray = field(repr=False)
    weights: FloatArray = field(repr=False)
    lived: IntArray = field(repr=False)
    n_rows: int
    n_accepted: int

    @property
    def value(self) -> float:
        """Mean reward over the policy's own time."""
        return float(self.weights @ self.scores / self.weights.sum())

    @property
    def se(self) -> float:
        """Standard error of `value`; the policy's getting better counts as spread, so it is a little too large."""
        return _se(self.scores, self.weights)

    def curve(self, n_points: int = 20) -> tuple[CurvePoint, ...]:
        """The value along the policy's own time, in stretches of equal weight; fewer where there are few rows."""
        cuts = np.searchsorted(np.cumsum(self.weights), np.linspace(0.0, self.weights.sum(), n_points + 1)[1:-1])
        parts = [part for part in np.split(np.arange(len(self.scores)), np.unique(cuts + 1)) if len(part) > 1]
        return tuple(
            CurvePoint(
                int(self.lived[part[-1]]),
                float(np.average(self.scores[part], weights=self.weights[part])),
                _se(self.scores[part], self.weights[part]),
            )
            for part in parts
        )


def _se(scores: FloatArray, weights: FloatArray) -> float:
    apart = weights * (scores - weights @ scores / weights.sum())
    return float(np.sqrt((apart**2).sum()) / weights.sum())


@dataclass(frozen=True, slots=True)
class DoublyRobustReplay:
    """How to replay a log; the same as `simulator.rejection.Rejection` but for what a row says.

    A row with context x, logged arm a, propensity p and reward r scores sum over arms of pi(arm | x) rhat(x, arm) +
    pi(a | x) / p (r - rhat(x, a)), and joins the policy's past with probability c pi(a | x) / p.

    Args:
        campaign: one dimension with the log's arms, and its context.
        policies: who decides; only the learner's and the random group's are used.
        kind: the learner.
        seed: of the draws.
        least_propensity: c, for a past spread exactly as the policy's own; at most the least propensity in the log. None lets
            c grow as far as `quantile` of the last rows allow, so that the policy lives longer, in a past that leans on the
            log a little.
        quantile: share of the rows that c may cut off.
        update_every: accepted rows between two updates of what decides.
        learn_rows: rows to learn from; those after are only counted. None to learn from all and count all.

    Raises:
        UnusableLog: if the campaign has several dimensions.

    Source: Dudik, Erhan, Langford, Li (2012), Sample-efficient nonstationary policy evaluation for contextual bandits.
    """

    campaign: Campaign
    policies: Mapping[Group, Policy]
    kind: LearnerKind
    seed: int
    least_propensity: float | None = None
    quantile: float = 0.05
    update_every: int = 100
    learn_rows: int | None = None

    def __post_init__(self) -> None:
        if len(self.campaign.dimensions) != 1:
            raise UnusableLog(
                f"campaign {self.campaign.id!r} has {len(self.campaign.dimensions)} dimensions; a log is replayed by its one "
                "column of arms. Fit a world to it instead."
            )

    def replay(self, rows: Iterable[RandomisedRow], predicted: Iterable[FloatArray]) -> DoublyRobustReplayed:
        """Live through the rows in order.

        Args:
            rows: of the log.
            predicted: for each row the reward that every arm would bring, shape (n_arms,), by a model that has not seen the
                row; however wrong it is, the value stays unbiased.

        Raises:
            UnusableLog: if no row is left to be counted.
        """
        life = _Life(self)
        for row, rewards in zip(rows, predicted, strict=True):
            life.meet(row, rewards)
        if not life.scores:
            raise UnusableLog(
                f"none of {life.n_rows} rows was counted, so this log says nothing about this policy. Give at least one row, and "
                "keep some of them out of those to learn from."
            )
        columns = np.array(life.scores), np.array(life.weights), np.array(life.lived, dtype=np.int64)
        return DoublyRobustReplayed(life.total / life.n_rows, *columns, life.n_rows, life.n_accepted)


class _Life:
    """A policy on its way through the rows."""

    def __init__(self, how: DoublyRobustReplay) -> None:
        salt = str(how.seed).encode()
        self._how, self._salt = how, salt
        self._engine = Engine(how.campaign, how.policies, salt, salt)
        self._learner: Learner = how.kind.fresh(how.campaign)
        self._readiness = how.least_propensity or 1.0
        self._ratios: deque[float] = deque(maxlen=LOOKED_BACK)
        self.n_rows = self.n_accepted = 0
        self.total = 0.0
        self.scores: list[float] = []
        self.weights: list[float] = []
        self.lived: list[int] = []

    def meet(self, row: RandomisedRow, predicted: FloatArray) -> None:
        """Value the policy on a row, and perhaps learn from it."""
        self.n_rows += 1
        self.total += row.reward
        name = f"row {self.n_rows}"
        decision = self._engine.decide(name, Context(row.context), decision_id=name, at=_NO_TIME)
        pmf, arm = decision.picks[0].pmf.probabilities, self._how.campaign.dimensions[0].index_of(row.arm)
        learns = self._how.learn_rows is None or self.n_rows <= self._how.learn_rows
        if not learns or self._how.learn_rows is None:
            weight = pmf[arm] / row.propensity
            self.scores.append(float(np.dot(pmf, predicted)) + weight * (row.reward - float(predicted[arm])))
            self.weights.append(self._readiness)
            self.lived.append(self.n_accepted)
        if not learns:
            return
        if pmf[arm] > 0.0:
            self._ratios.append(row.propensity / pmf[arm])
        if self._is_accepted(pmf[arm] / row.propensity):
            self._learn(row, arm, pmf)

    def _is_accepted(self, ratio: float) -> bool:
        share = self._readiness * ratio
        return share >= 1.0 or position_of("keep", str(self.n_rows), salt=self._salt) < share

    def _learn(self, row: RandomisedRow, arm: int, pmf: tuple[float, ...]) -> None:
        """The row joins the policy's past, as if the policy had drawn its arm."""
        how = self._how
        encoded, reward = how.campaign.schema.encode(Context(row.context)), row.scaled_reward
        self._learner.learn(TrainingRow(encoded, (arm,), reward, (reward,), (pmf[arm],), (pmf,)))
        self.n_accepted += 1
        if how.least_propensity is None and self.n_accepted % _LOOKED_EVERY == 1:
            self._readiness = min(1.0, float(np.quantile(np.fromiter(self._ratios, np.float64), how.quantile)))
        if self._learner.n_learned % how.update_every == 0:
            served = Served(str(self._learner.n_learned), how.kind.live(how.campaign, self._learner))
            self._engine = self._engine.serving(served)
