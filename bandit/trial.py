"""A trial: all candidates of a campaign's regression, learning the same rows and judged on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from bandit.bank import Bank
from bandit.candidates import Candidate, start_of_rewards, starts_of
from bandit.compiled import Tables
from bandit.features import FeatureSpace
from bandit.learner import TrainingRow
from bandit.readout import readout
from bandit.scaling import Scaling
from bandit.validation import Validation, ValidationState
from bandit.wear_out import WearOut

SURPRISE = 30.0
"""Log-odds beyond which a loss grows no more: one absurd prediction shall not decide a contest."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a campaign's regression has to learn, and who tries.

    Attributes:
        space: its features.
        numeric: which context features are numbers.
        candidates: at least one.
        worths: of the outcome types, one logistic model each; empty for one model of the reward itself.
        bounds: least and largest reward of one decision.
        shared: the part of the argument string that all models have in common.
        learner: name of the learner in the registry.
        wear_out: the campaign's, if it asks for one.
        resampled: whether the candidates are members of a bootstrap: all take the same steps, and each counts every row
            as often as its own Poisson draw says.
    """

    space: FeatureSpace
    numeric: tuple[bool, ...]
    candidates: tuple[Candidate, ...]
    worths: tuple[float, ...]
    bounds: tuple[float, float]
    shared: str
    learner: str = "regression"
    wear_out: WearOut | None = None
    resampled: bool = False

    @property
    def n_models(self) -> int:
        """Models of one candidate."""
        return len(self.worths) or 1

    def labels(self, row: TrainingRow) -> list[float]:
        """What each model of a candidate is to predict: the reward, or 1 and -1 for an outcome that happened or not."""
        return [2.0 * label - 1.0 for label in row.labels] if self.worths else [row.reward]

    def models_of(self, position: int) -> list[int]:
        """Places of one candidate's models among all: model after model, and within each candidate after candidate."""
        return [model * len(self.candidates) + position for model in range(self.n_models)]


class Trial:
    """The candidates' models with their validation."""

    __slots__ = ("_bank", "_task", "scaling", "validation")

    def __init__(self, task: Task, scaling: Scaling, bank: Bank, validation: Validation) -> None:
        self._task, self._bank = task, bank
        self.scaling, self.validation = scaling, validation

    @classmethod
    def begin(cls, task: Task, rows: Sequence[TrainingRow], *, first: int) -> Trial:
        """Start from what the first rows say of levels and scales, and learn them.

        Args:
            task: what is to be learned.
            rows: none is possible, and starts knowing nothing.
            first: position of the candidate that serves for a start.
        """
        contexts = [row.context for row in rows]
        neutral = Scaling((0.0,) * len(task.numeric), (1.0,) * len(task.numeric))
        scaling = Scaling.of(contexts, task.numeric) if rows else neutral
        if task.worths:
            starts = starts_of([row.labels for row in rows] or [[0.5] * task.n_models])
        else:
            starts = (start_of_rewards([row.reward for row in rows] or [0.0]),)
        arguments = [f"{c.arguments(start, task.bounds)} {task.shared}" for start in starts for c in task.candidates]
        validation = Validation([candidate.name for candidate in task.candidates], first=first)
        trial = cls(task, scaling, Bank(task.space, scaling, arguments, wear_out=task.wear_out), validation)
        trial.learn_many(rows)
        return trial

    @classmethod
    def resume(
        cls,
        task: Task,
        scaling: Scaling,
        state: ValidationState,
        arguments: Sequence[str],
        models: Sequence[bytes],
    ) -> Trial:
        """Go on from a snapshot."""
        validation = Validation([candidate.name for candidate in task.candidates], first=0, state=state)
        return cls(task, scaling, Bank(task.space, scaling, arguments, models, wear_out=task.wear_out), validation)

    def learn(self, row: TrainingRow) -> None:
        """Predict, score, learn: every candidate the same row."""
        self.learn_many([row])

    def learn_many(self, rows: Sequence[TrainingRow]) -> None:
        """The same for many rows in order; it comes to the same, in half the time."""
        n, labels = len(self._task.candidates), [self._task.labels(row) for row in rows]
        every = [[label for label in row for _ in range(n)] for row in labels]
        if self._task.resampled:
            first = self.validation.n_rows + 1
            self.validation.n_rows += len(rows)
            counts = [resample_counts(first + k, n) * self._task.n_models for k in range(len(rows))]
            self._bank.learn_many(rows, every, counts)
            return
        linear = self._bank.learn_many(rows, every)
        if n > 1:
            for row, predicted in zip(labels, linear, strict=True):
                self.validation.add([self._loss(row, predicted[position::n]) for position in range(n)])

    @property
    def arguments(self) -> tuple[str, ...]:
        """Of every model."""
        return self._bank.vw.arguments

    def tables(self, candidates: Sequence[int]) -> Tables:
        """The weights of some candidates' models as they stand, in raw terms; see `bandit.compiled`."""
        places = [place for models in zip(*map(self._task.models_of, candidates), strict=True) for place in models]
        return readout(self._task.space, self.scaling, partial(self._bank.probe, places=places))

    def save(self) -> tuple[bytes, ...]:
        """Every model's bytes."""
        return self._bank.vw.save()

    def _loss(self, labels: Sequence[float], linear: Sequence[float]) -> float:
        """Squared error of the reward; or log loss of each outcome, weighed by the square of what it is worth."""
        if not self._task.worths:
            low, high = self._task.bounds
            return (labels[0] - min(max(linear[0], low), high)) ** 2
        pairs = zip(self._task.worths, labels, linear, strict=True)
        return sum(worth * worth * _log_loss(label * z) for worth, label, z in pairs)


def resample_counts(number: int, n_members: int) -> list[float]:
    """How often each member of a bootstrap counts a row: a Poisson draw of mean 1, the same every time for this row.

    Source: Oza and Russell (2001), Online bagging and boosting.

    >>> resample_counts(1, 4) == resample_counts(1, 4) != resample_counts(2, 4)
    True
    """
    counts: list[float] = np.random.default_rng(number).poisson(1.0, n_members).astype(float).tolist()
    return counts


def _log_loss(margin: float) -> float:
    return math.log1p(math.exp(-max(margin, -SURPRISE)))
