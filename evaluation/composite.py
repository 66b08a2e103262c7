"""Choices of several dimensions: what a target would earn, where few sends ever carried the same whole choice.

The weight of a whole choice is a product of ratios, and with four dimensions a handful of rows holds all of it. Here each
row's joint pmfs, of what decided and of the target, are made again from the snapshots, and weighed by the pseudo-inverse:
for rewards that add up over dimensions (`additive`), and over dimensions and pairs of them (`pairwise`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.context import Context, EncodedContext
from bandit.errors import UnusableLog
from evaluation.joint_pmf import Joint, JointPolicy
from evaluation.log_batch import LogBatch
from evaluation.pseudo_inverse import pinv_weights
from evaluation.reward_model import folds_of
from evaluation.weighed import Weighed, weigh

RECOMPUTED_TOLERANCE = 1e-6


class _Row(NamedTuple):
    """One row, as whole choices are weighed."""

    encoded: EncodedContext
    picks: tuple[int, ...]
    decider: str
    fold: int
    propensity: float
    number: int


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
    """

    campaign: Campaign
    target: Joint
    deciders: Mapping[str, Joint]
    name: str
    models: tuple[JointPolicy, ...] = ()
    scale: tuple[float, float] = (0.0, 1.0)

    def weigh(self, batch: LogBatch) -> Weighed:
        """The batch; its plain weights are the pairwise ones, so that the verdict is on what the honest interval rests on.

        Raises:
            UnusableLog: if a row's probabilities are not those that its snapshot gives, or the log does not say who decided.
        """
        if batch.deciders is None or (self.campaign.wear_out and batch.exposures is None):
            raise UnusableLog(
                "this log does not say which snapshot decided each row, or what customers had got before. Evaluate from the "
                "database itself: leave the log out and name --db."
            )
        rows = np.array([self._weigh(row) for row in self._rows(batch)])
        additive, pairwise = rows[:, 0], rows[:, 1]
        low, width = self.scale
        modelled = (low + width * rows[:, 2], low + width * rows[:, 3]) if self.models else (None, None)
        found = weigh(
            batch.rewards, batch.propensities.prod(axis=1), np.zeros(len(batch)), predicted=modelled[0],
            expected=modelled[1], additive=additive, pairwise=pairwise, first_row=batch.first_row,
        )  # fmt: skip
        return replace(found, weights=pairwise)

    def _rows(self, batch: LogBatch) -> Iterator[_Row]:
        folds = folds_of(batch, max(len(self.models), 1))
        exposures = batch.exposures or [()] * len(batch)
        columns = zip(
            batch.contexts(), exposures, batch.picks.tolist(), batch.deciders or (), folds.tolist(),
            batch.propensities.prod(axis=1).tolist(), batch.numbers.tolist(), strict=True,
        )  # fmt: skip
        for context, exposed, picks, decider, fold, propensity, number in columns:
            encoded = self.campaign.schema.encode(Context(context))._replace(exposures=exposed)
            yield _Row(encoded, tuple(picks), decider, fold, propensity, number)

    def _weigh(self, row: _Row) -> tuple[float, float, float, float]:
        """Additive and pairwise weight; the model's value of the logged choice and of the target."""
        encoded, picks, decider, fold, propensity, number = row
        behavior = self.deciders[decider].pmf(encoded)
        if abs(behavior[picks] - propensity) > RECOMPUTED_TOLERANCE * max(propensity, 1e-3):
            raise UnusableLog(
                f"row {number}: its propensity is {propensity!r}, its snapshot gives {float(behavior[picks])!r}. One of them is "
                "not what was used: run `manyarm verify`."
            )
        target = self.target.pmf(encoded)
        at = np.array([picks])
        additive, pairwise = (float(pinv_weights(behavior, target, at, order)[0]) for order in (1, 2))
        if not self.models:
            return additive, pairwise, 0.0, 0.0
        values: FloatArray = self.models[fold].values(encoded)
        return additive, pairwise, float(values[picks]), float(np.vdot(target, values))
