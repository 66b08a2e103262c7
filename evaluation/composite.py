"""Choices of several dimensions: what a target would earn, where few sends ever carried the same whole choice.

The weight of a whole choice is a product of ratios, and with four dimensions a handful of rows holds all of it. Here each
row's joint pmfs, of what decided and of the target, are made again from the snapshots, and weighed by the pseudo-inverse:
for rewards that add up over dimensions (`additive`), and over dimensions and pairs of them (`pairwise`). With models of every
stage each row has its stage-wise doubly robust score as well (`staged`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.context import EncodedContext
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.behavior import Behavior, Decider, behavior_of, what_drew
from evaluation.joint_pmf import Joint, JointPolicy
from evaluation.log_batch import LogBatch
from evaluation.pseudo_inverse import pinv_weights
from evaluation.reward_model import folds_of
from evaluation.stage_models import StageModels
from evaluation.stage_wise import along, stage_wise_scores
from evaluation.weighed import Weighed, weigh


class _Row(NamedTuple):
    """One row, as whole choices are weighed."""

    encoded: EncodedContext
    picks: tuple[int, ...]
    decider: str
    fold: int
    propensities: tuple[float, ...]
    propensity: float
    reward: float
    number: int


class _Found(NamedTuple):
    """What was found of one row, values in the models' unit."""

    additive: float = 0.0
    pairwise: float = 0.0
    predicted: float = 0.0
    expected: float = 0.0
    whole: float = 0.0
    support: float = 1.0
    staged: float = 0.0


@dataclass(frozen=True, slots=True)
class CompositeWeigher:
    """Weighs rows of our own log for a target over whole choices.

    Args:
        campaign: that made the log.
        target: what is asked about.
        deciders: who decided, by snapshot; the random policy under the empty name.
        name: of the target, in reports.
        models: one reward model a fold, each trained on the rows of the others; empty for none.
        scale: least reward and width: what the models' values are multiplied with to be rewards.
        stages: models of every stage for this target, of the same folds; empty where nobody asks for stage-wise scores.
        by_pinv: whether to weigh by the pseudo-inverse, which takes most of the time; only stages can do without.

    Raises:
        InvalidSettings: if there are models and stages of different folds, or nothing to weigh by.
    """

    campaign: Campaign
    target: Joint
    deciders: Mapping[str, Decider]
    name: str
    models: tuple[JointPolicy, ...] = ()
    scale: tuple[float, float] = (0.0, 1.0)
    stages: tuple[StageModels, ...] = ()
    by_pinv: bool = True

    def __post_init__(self) -> None:
        if not self.by_pinv and not self.stages:
            raise InvalidSettings("no pseudo-inverse and no stages: nothing would weigh the rows. Ask for one of them.")
        if self.models and self.stages and len(self.models) != len(self.stages):
            raise InvalidSettings(
                f"{len(self.models)} reward models and {len(self.stages)} sets of stage models: folds would differ, and one "
                "of them would score what it learned from. Train both by the same folds."
            )

    def weigh(self, batch: LogBatch) -> Weighed:
        """The batch; its plain weights are the pairwise ones, so that the verdict is on what the honest interval rests on.

        With stage-wise scores they are those of whole choices, which the last stage is corrected by, and the batch says how
        much of the target could have been logged: no order of indicators makes up for what was not.

        Raises:
            UnusableLog: if a row's probabilities are not those that its snapshot gives, or the log does not say who decided.
        """
        if batch.deciders is None or not batch.tells_past(self.campaign):
            raise UnusableLog(
                "this log does not say which snapshot decided each row, or what customers had got before. Evaluate from the "
                "database itself: leave the log out and name --db."
            )
        rows = np.array([self._weigh(row) for row in self._rows(batch)])
        column = dict(zip(_Found._fields, rows.T, strict=True))
        low, width = self.scale
        modelled = [low + width * column[name] if self.models else None for name in ("predicted", "expected")]
        weights = [column[name] if self.by_pinv else None for name in ("additive", "pairwise")]
        found = weigh(
            batch.rewards, batch.propensities.prod(axis=1), np.zeros(len(batch)), predicted=modelled[0],
            expected=modelled[1], additive=weights[0], pairwise=weights[1], first_row=batch.first_row,
        )  # fmt: skip
        if not self.stages:
            return replace(found, weights=column["pairwise"])
        staged = low + width * column["staged"]
        return replace(found, weights=column["whole"], support=column["support"], staged=staged)

    def _rows(self, batch: LogBatch) -> Iterator[_Row]:
        folds = folds_of(batch, max(len(self.models), len(self.stages), 1))
        columns = zip(
            batch.encoded(self.campaign.schema), map(tuple, batch.picks.tolist()), batch.deciders or (), folds.tolist(),
            map(tuple, batch.propensities.tolist()), batch.propensities.prod(axis=1).tolist(), batch.rewards.tolist(),
            batch.numbers.tolist(), strict=True,
        )  # fmt: skip
        for row in columns:
            yield _Row(*row)

    def _weigh(self, row: _Row) -> _Found:
        behavior, target = self._behavior(row), self.target.pmf(row.encoded)
        found = _Found()
        if self.by_pinv:
            at = np.array([row.picks])
            found = _Found(*(float(pinv_weights(behavior.pmf, target, at, order)[0]) for order in (1, 2)))
        if self.models:
            values: FloatArray = self.models[row.fold].values(row.encoded)
            found = found._replace(predicted=float(values[row.picks]), expected=float(np.vdot(target, values)))
        if self.stages:
            whole, staged = self._staged(row, behavior, target)
            found = found._replace(whole=whole, staged=staged, support=float(target[behavior.pmf > 0.0].sum()))
        return found

    def _behavior(self, row: _Row) -> Behavior:
        made = partial(behavior_of, self.deciders[row.decider], row.encoded)
        has_dead_ends = any(self.campaign.eligibility.looks_ahead)
        return what_drew(made, row.picks, row.propensity, row.number, has_dead_ends=has_dead_ends)

    def _staged(self, row: _Row, behavior: Behavior, target: FloatArray) -> tuple[float, float]:
        """Weight of the whole choice, and the stage-wise score."""
        low, width = self.scale
        pmfs, masses = along(target, row.picks)
        values = self.stages[row.fold].values(row.encoded, row.picks)
        # Those in the row count answers that were refused; see `evaluation.behavior`.
        is_whole = behavior.answered == 1.0
        weights = masses / (np.cumprod(row.propensities) if is_whole else along(behavior.pmf, row.picks).masses)
        expected = [float(np.dot(pmf, value)) for pmf, value in zip(pmfs, values, strict=True)]
        chosen = [float(value[pick]) for value, pick in zip(values, row.picks, strict=True)]
        score = stage_wise_scores([(row.reward - low) / width], weights[None], [expected], [chosen])
        return float(weights[-1]), float(score[0])
