"""Replay of a randomised log by rejection: the policy lives through the log, and only what it would have seen counts.

Row after row the policy chooses; where it chose the arm that was logged, the row is kept and learned from, else it is
as if the row had never been. Where propensities differ, a match is kept with probability least / propensity, so that
what is kept is spread as if the policy itself had sent it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bandit.campaign import Campaign
from bandit.context import Context, ContextValue
from bandit.decision import Decision
from bandit.draw import position_of
from bandit.engine import Engine, Served
from bandit.errors import UnusableLog
from bandit.group import Group
from bandit.learner import Learner, LearnerKind, TrainingRow
from bandit.policy import Policy

# A replay has no calendar; the engine wants a time, and the same one gives the same answer.
_NO_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RandomisedRow:
    """One row of a log that was drawn with known probabilities.

    Attributes:
        context: known before the draw.
        arm: what was sent.
        reward: as reported; any unit.
        scaled_reward: the reward as the learner sees it, in [0, 1].
        propensity: probability with which the arm was drawn.
    """

    context: Mapping[str, ContextValue]
    arm: str
    reward: float
    scaled_reward: float
    propensity: float


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a policy would have earned on the rows it would have seen.

    Attributes:
        n_rows: rows read.
        logged_mean: mean reward of all rows read.
        rewards: of the kept rows, in order; where learning stopped before the end, only of those after.
    """

    n_rows: int
    logged_mean: float
    rewards: tuple[float, ...]

    @property
    def last_half_mean(self) -> float:
        """Mean over the second half of the kept rows: what it earned once it had learned something."""
        half = self.rewards[len(self.rewards) // 2 :]
        return sum(half) / len(half)


@dataclass(frozen=True, slots=True)
class Rejection:
    """How to replay a log.

    Args:
        campaign: one dimension with the log's arms, and its context.
        policies: who decides; only the learner's and the random group's are used.
        kind: the learner.
        least_propensity: the least propensity in the log, in (0, 1].
        seed: of the draws.
        update_every: kept rows between two updates of what decides, as with rewards that arrive in batches.
        learn_rows: rows to learn from; those after are only counted. None to learn from all and count all.

    Source: Li, Chu, Langford, Wang (2011), Unbiased offline evaluation of contextual-bandit-based news article
    recommendation algorithms; the acceptance by 1 / propensity is rejection sampling.
    """

    campaign: Campaign
    policies: Mapping[Group, Policy]
    kind: LearnerKind
    least_propensity: float
    seed: int
    update_every: int = 100
    learn_rows: int | None = None

    def replay(self, rows: Iterable[RandomisedRow]) -> Replayed:
        """Live through the rows in order.

        Raises:
            UnusableLog: if there are no rows, or none is kept.
        """
        salt = str(self.seed).encode()
        engine, learner = Engine(self.campaign, self.policies, salt, salt), self.kind.fresh(self.campaign)
        n_rows, total, kept = 0, 0.0, []
        for n_rows, row in enumerate(rows, start=1):
            total += row.reward
            learning = self.learn_rows is None or n_rows <= self.learn_rows
            decision = engine.decide(f"row {n_rows}", Context(row.context), decision_id=f"row {n_rows}", at=_NO_TIME)
            if not self._is_kept(decision, row, n_rows):
                continue
            if learning:
                engine = self._learn(engine, learner, decision, row)
            if not learning or self.learn_rows is None:
                kept.append(row.reward)
        if not kept:
            raise UnusableLog(
                f"none of {n_rows} rows was kept, so this log says nothing about this policy. It needs rows where the "
                "policy can choose what was logged: check --arm and --propensity, or use a longer log."
            )
        return Replayed(n_rows, total / n_rows, tuple(kept))

    def _is_kept(self, decision: Decision, row: RandomisedRow, number: int) -> bool:
        if decision.picks[0].arm != row.arm:
            return False
        share = self.least_propensity / row.propensity
        return share >= 1.0 or position_of("keep", str(number), salt=str(self.seed).encode()) < share

    def _learn(self, engine: Engine, learner: Learner, decision: Decision, row: RandomisedRow) -> Engine:
        pick = decision.picks[0]
        encoded = self.campaign.schema.encode(Context(row.context))
        picks, reward = self.campaign.picks_of(decision.choice), row.scaled_reward
        learner.learn(TrainingRow(encoded, picks, reward, (reward,), (pick.propensity,), (pick.pmf.probabilities,)))
        if learner.n_learned % self.update_every:
            return engine
        return engine.serving(Served(str(learner.n_learned), self.kind.live(self.campaign, learner)))
