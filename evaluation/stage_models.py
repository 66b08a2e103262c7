"""Models of every stage: what is to be expected once the first dimensions are picked and the target picks the others.

The last stage's model is of whole choices, and learns from rewards. The one before learns, backwards, what the last one says of
the target's next pick, and so on: fitted-Q evaluation. No model scores a row that it, or one behind it, has learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign, LearnerSpec
from bandit.context import Context, EncodedContext
from bandit.errors import InvalidSettings, UnusableLog
from bandit.learner import Scorer
from bandit.regression import REGRESSION
from bandit.schema import Schema
from evaluation.joint_pmf import Joint
from evaluation.log_batch import Layout, LogBatch
from evaluation.reward_model import folds_of, trained
from evaluation.stage_wise import along

FAST = 10.0
"""First step of the models that learn from another model: its values hold no noise that small steps would average out."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The model of one stage.

    Attributes:
        scorer: of the first dimensions, up to the stage's own.
        size: number of arms of the stage's dimension.
        low, width: what its scores are moved and multiplied by to be in the unit of the last stage's.
    """

    scorer: Scorer[Any]
    size: int
    low: float = 0.0
    width: float = 1.0

    def values(self, encoded: EncodedContext, earlier: Sequence[int]) -> FloatArray:
        """Shape (n_arms,): what is expected of each arm of the stage's dimension, given all earlier picks."""
        state = self.scorer.start(encoded)
        for d, pick in enumerate(earlier):
            state = self.scorer.after(state, d, pick)
        scores = self.scorer.estimates(state, len(earlier), range(self.size)).scores
        return np.full(self.size, self.low) if scores is None else self.low + self.width * scores


@dataclass(frozen=True, slots=True)
class StageModels:
    """One model a stage, in the order of dimensions."""

    stages: tuple[Stage, ...]

    def values(self, encoded: EncodedContext, picks: Sequence[int]) -> tuple[FloatArray, ...]:
        """For each stage shape (n_arms,): what is expected of each arm of its dimension, given the picks before it."""
        return tuple(stage.values(encoded, picks[:d]) for d, stage in enumerate(self.stages))


@dataclass(frozen=True, slots=True)
class StageFit:
    """Trains the regressions of all stages for one target.

    Args:
        campaign: dimensions and context, with one reward, and with interactions: a model that sees no earlier picks has no
            stages.
        target: which picks are to be expected.

    Raises:
        InvalidSettings: for a campaign whose dimensions do not look at each other.
    """

    campaign: Campaign
    target: Joint

    def __post_init__(self) -> None:
        if not self.campaign.policy.interactions:
            raise InvalidSettings(
                "the campaign has interactions = false, so its learner says nothing of earlier picks. Stages are about those: "
                "give the model a campaign with interactions = true, whatever the log was drawn with."
            )

    def __call__(self, batches: Sequence[LogBatch], last: Sequence[Scorer[Any]]) -> tuple[StageModels, ...]:
        """The models of each fold.

        Args:
            batches: rows, which all passes look at; the last stage may have learned from more.
            last: for each fold the last stage's model, which learned from the rewards of the other folds.

        Raises:
            UnusableLog: if all rows are of one fold, so that its models have nothing to learn from.
        """
        followed = [self._followed(batch) for batch in batches if len(batch)]
        folds = [[one.outside(fold, len(last)) for one in followed] for fold in range(len(last))]
        return tuple(self._backwards(rows, scorer) for rows, scorer in zip(folds, last, strict=True))

    def _followed(self, batch: LogBatch) -> _Followed:
        rows = zip(batch.encoded(self.campaign.schema), batch.picks.tolist(), strict=True)
        pmfs = [along(self.target.pmf(encoded), picks).pmfs for encoded, picks in rows]
        return _Followed(batch, tuple(np.array(one) for one in zip(*pmfs, strict=True)))

    def _backwards(self, rows: Sequence[_Followed], last: Scorer[Any]) -> StageModels:
        stages: tuple[Stage, ...] = (Stage(last, self.campaign.sizes[-1]),)
        for n_picked in range(len(self.campaign.dimensions) - 1, 0, -1):
            labelled = [one.labelled(n_picked, stages[0], self.campaign.schema) for one in rows]
            stages = (self._before(n_picked, labelled), *stages)
        return StageModels(stages)

    def _before(self, n_picked: int, labelled: Sequence[LogBatch]) -> Stage:
        """The model of the first dimensions; its unit is the spread of what it learns, often a thousandth of a reward's."""
        campaign = self.campaign
        learner = LearnerSpec(REGRESSION.name, {**campaign.learner.options, "target": "reward", "learning_rate": FAST})
        stage = replace(campaign, dimensions=campaign.dimensions[:n_picked], learner=learner)
        labels = np.concatenate([batch.rewards for batch in labelled]) if labelled else np.empty(0)
        if not len(labels):
            raise UnusableLog("no rows to fit models of stages to. Use a longer log, or fewer folds.")
        low, width = float(labels.min()), float(np.ptp(labels))
        return Stage(trained(labelled, stage, REGRESSION, (low, width)), campaign.sizes[n_picked - 1], low, width)


@dataclass(frozen=True, slots=True, eq=False)
class _Followed:
    """Rows with the target's pmfs along their picks, each of shape (n, n_arms)."""

    batch: LogBatch
    pmfs: tuple[FloatArray, ...]

    def outside(self, fold: int, n_folds: int) -> _Followed:
        """The rows of all other folds."""
        kept = folds_of(self.batch, n_folds) != fold
        return _Followed(self.batch.only(kept), tuple(pmf[kept] for pmf in self.pmfs))

    def labelled(self, n_picked: int, stage: Stage, schema: Schema) -> LogBatch:
        """Rows of the first dimensions only; in place of the reward stands what is expected of the target's next pick."""
        batch, pmfs = self.batch, self.pmfs[n_picked]
        rows = zip(batch.contexts(), batch.picks.tolist(), pmfs, strict=True)
        labels = [
            float(np.dot(pmf, stage.values(schema.encode(Context(context)), picks[:n_picked])))
            for context, picks, pmf in rows
        ]
        return replace(
            batch,
            layout=Layout(batch.layout.dimensions[:n_picked], batch.layout.arms[:n_picked]),
            rewards=np.array(labels),
            recent_sends=None,
            worths=None,
            picks=batch.picks[:, :n_picked],
            propensities=batch.propensities[:, :n_picked],
            pmfs=batch.pmfs and batch.pmfs[:n_picked],
            offered=None,
        )
