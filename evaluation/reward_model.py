"""Reward models that never predict a row they have learned from: one a fold, each trained on all the others.

Folds go by the number of the row, so that a log is split alike in each pass over it, and a fold's rows lie all over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.context import Context
from bandit.errors import UnusableLog
from bandit.learner import LearnerKind, Scorer, TrainingRow
from evaluation.log_batch import LogBatch
from evaluation.weighing import RewardModel

N_FOLDS = 3


class Fit(Protocol):
    """Makes a model from some batches of a log."""

    def __call__(self, batches: Iterable[LogBatch], /) -> RewardModel:
        """A model of the rewards in them."""


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """One model a fold; a row is predicted by the one that did not learn from it."""

    models: tuple[RewardModel, ...]

    def values(self, batch: LogBatch) -> FloatArray:
        """Shape (n, n_arms)."""
        folds = folds_of(batch, len(self.models))
        found = np.empty((len(batch), batch.layout.sizes[0]))
        for fold, model in enumerate(self.models):
            if (folds == fold).any():
                found[folds == fold] = model.values(batch.only(folds == fold))
        return found


def cross_fit(read: Callable[[], Iterable[LogBatch]], fit: Fit, n_folds: int = N_FOLDS) -> CrossFitted:
    """Fit one model a fold, each in its own pass over the log.

    Args:
        read: begins a new pass; batches must come cut alike each time.
        fit: makes a model.
        n_folds: at least 2.

    Raises:
        UnusableLog: if there are fewer folds, or the log is too short for them.
    """
    if n_folds < 2:
        raise UnusableLog(f"{n_folds} folds: with fewer than 2 a model would predict rows that it learned from.")
    return CrossFitted(tuple(fit(others(read(), fold, n_folds)) for fold in range(n_folds)))


def others(batches: Iterable[LogBatch], fold: int, n_folds: int) -> Iterable[LogBatch]:
    """The rows that are not in a fold."""
    return (batch.only(folds_of(batch, n_folds) != fold) for batch in batches)


def folds_of(batch: LogBatch, n_folds: int) -> np.ndarray:
    """The fold of each row, shape (n,)."""
    found: np.ndarray = batch.numbers % n_folds
    return found


@dataclass(frozen=True, slots=True)
class VwRewardModel:
    """What a Vowpal Wabbit learner expects of each arm."""

    campaign: Campaign
    scorer: Any

    def values(self, batch: LogBatch) -> FloatArray:
        """Shape (n, n_arms)."""
        arms = range(batch.layout.sizes[0])
        encode, scorer = self.campaign.schema.encode, self.scorer
        states = (scorer.start(encode(Context(context))) for context in batch.contexts())
        found: FloatArray = np.stack([scorer.estimates(state, 0, arms).scores for state in states])
        return found


@dataclass(frozen=True, slots=True)
class VwFit:
    """Trains the campaign's learner on a log.

    Args:
        campaign: of the log's one dimension, arms and context.
        kind: its learner.
        scale: from rewards to what the learner learns, and back: least reward and width.
    """

    campaign: Campaign
    kind: LearnerKind
    scale: tuple[float, float] = (0.0, 1.0)

    def __call__(self, batches: Iterable[LogBatch]) -> RewardModel:
        """The trained model."""
        model = VwRewardModel(self.campaign, trained(batches, self.campaign, self.kind, self.scale))
        return model if self.scale == (0.0, 1.0) else _Rescaled(model, *self.scale)


@dataclass(frozen=True, slots=True)
class _Rescaled:
    model: RewardModel
    low: float
    width: float

    def values(self, batch: LogBatch) -> FloatArray:
        """In reward units."""
        return self.low + self.width * self.model.values(batch)


def trained(
    batches: Iterable[LogBatch], campaign: Campaign, kind: LearnerKind, scale: tuple[float, float]
) -> Scorer[Any]:
    """A fresh learner that learned the rows in order, ready to serve.

    Args:
        batches: the rows.
        campaign: with their dimensions and context, and one reward.
        kind: the learner.
        scale: least reward and width, from rewards to what the learner learns.
    """
    learner = kind.fresh(campaign)
    for batch in batches:
        for row in training_rows(batch, campaign, *scale):
            learner.learn(row)
    return kind.live(campaign, learner)


def training_rows(batch: LogBatch, campaign: Campaign, low: float = 0.0, width: float = 1.0) -> Iterable[TrainingRow]:
    """The rows as a learner sees them, rewards scaled to [0, 1]."""
    encode = campaign.schema.encode
    scaled = ((batch.rewards - low) / (width or 1.0)).tolist()
    # A learner of rewards begins once enough rows were rewarded; nothing, where rewards can be negative, is scaled to a half.
    by_reward = campaign.learner.options.get("target") == "reward"
    labels = batch.rewarded.astype(np.float64).tolist() if by_reward else scaled
    uniform = tuple(tuple([1.0 / size] * size) for size in batch.layout.sizes)
    pmfs: Sequence[tuple[tuple[float, ...], ...]] = [uniform] * len(batch)
    if batch.pmfs is not None:
        pmfs = list(zip(*(map(tuple, pmf.tolist()) for pmf in batch.pmfs), strict=True))
    columns = zip(
        batch.contexts(), batch.picks.tolist(), scaled, labels, batch.propensities.tolist(), pmfs, strict=True
    )
    for context, picks, reward, label, propensities, pmf in columns:
        encoded = encode(Context(context))
        yield TrainingRow(encoded, tuple(picks), reward, (label,), tuple(propensities), pmf)


class Regressor(Protocol):
    """What scikit-learn calls an estimator; one with `predict_proba` is asked for the probability of a 1."""

    def fit(self, features: FloatArray, rewards: FloatArray, /) -> Any:  # noqa: ANN401 - theirs
        """Learn."""


@dataclass(frozen=True, slots=True)
class RegressorFit:
    """Trains anybody's regressor or classifier: a fresh one for each fold, on one column for each category and arm.

    Args:
        campaign: whose schema turns contexts into numbers.
        fresh: makes an untrained one; `lambda: sklearn.base.clone(mine)`.

    Caution: it holds all its rows in memory at once, which scikit-learn asks for.
    """

    campaign: Campaign
    fresh: Callable[[], Regressor]

    def __call__(self, batches: Iterable[LogBatch]) -> RewardModel:
        """The trained model.

        Raises:
            UnusableLog: if there are no rows.
        """
        parts = [(_features(batch, self.campaign, batch.picks[:, 0]), batch.rewards) for batch in batches if len(batch)]
        if not parts:
            raise UnusableLog("no rows to fit a reward model to. Use a longer log, or fewer folds.")
        regressor = self.fresh()
        regressor.fit(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))
        return _Regressed(self.campaign, regressor)


@dataclass(frozen=True, slots=True)
class _Regressed:
    campaign: Campaign
    regressor: Any

    def values(self, batch: LogBatch) -> FloatArray:
        """One arm after another, for all rows."""
        arms = range(batch.layout.sizes[0])
        return np.stack([self._of_arm(batch, arm) for arm in arms], axis=1)

    def _of_arm(self, batch: LogBatch, arm: int) -> FloatArray:
        features = _features(batch, self.campaign, np.full(len(batch), arm))
        if not hasattr(self.regressor, "predict_proba"):
            found: FloatArray = np.asarray(self.regressor.predict(features), dtype=np.float64)
            return found
        shares = self.regressor.predict_proba(features)
        return np.asarray(shares @ np.asarray(self.regressor.classes_, dtype=np.float64))


def _features(batch: LogBatch, campaign: Campaign, arms: np.ndarray) -> FloatArray:
    """Shape (n, n_context_features + n_arms), one column for each number and category, and for each arm."""
    width = sum(len(item.features) for item in campaign.schema.fields)
    size = batch.layout.sizes[0]
    found = np.zeros((len(batch), width + size))
    for row, context in enumerate(batch.contexts()):
        encoded = campaign.schema.encode(Context(context))
        found[row, list(encoded.indices)] = encoded.weights
    found[np.arange(len(batch)), width + arms] = 1.0
    return found
