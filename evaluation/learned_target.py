"""Learn and evaluate: a target made from a log, and judged only by rows it has not seen.

By default the earlier part of the log teaches and the later part judges, as in life. With folds every row judges, each by a
target that learned from the other folds: more rows, and for short logs; but a fold has then learned from its own future.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from evaluation.evaluate import Bootstrap, Tally, tally
from evaluation.log_batch import LogBatch
from evaluation.methods import Method
from evaluation.reward_model import folds_of
from evaluation.target import FixedTarget, Target
from evaluation.weighing import RewardModel, TargetWeigher, Weigher

Read = Callable[[], Iterable[LogBatch]]
"""Begins a new pass over a log."""


class Lesson(Protocol):
    """Makes a target from some rows."""

    @property
    def name(self) -> str:
        """The target's, in reports."""

    def __call__(self, batches: Iterable[LogBatch], /) -> Target:
        """The target, having learned from them."""


@dataclass(frozen=True, slots=True)
class BestConstant:
    """The arm of each dimension that earned most by its weighed average: the winner of an A/B test.

    Caution: each dimension by itself, over whatever the others were.
    """

    name: str = "best-constant"

    def __call__(self, batches: Iterable[LogBatch]) -> FixedTarget:
        """The winners.

        Raises:
            UnusableLog: if there are no rows.
        """
        rewards: list[FloatArray] | None = None
        weights: list[FloatArray] | None = None
        for batch in batches:
            rewards = rewards or [np.zeros(size) for size in batch.layout.sizes]
            weights = weights or [np.zeros(size) for size in batch.layout.sizes]
            for d, size in enumerate(batch.layout.sizes):
                weight = 1.0 / batch.propensities[:, d]
                rewards[d] += np.bincount(batch.picks[:, d], weight * batch.rewards, size)
                weights[d] += np.bincount(batch.picks[:, d], weight, size)
        if rewards is None or weights is None:
            raise UnusableLog("no rows to choose the best arm from. Use a longer log.")
        means = [
            np.divide(r, w, out=np.full_like(r, -np.inf), where=w > 0) for r, w in zip(rewards, weights, strict=True)
        ]
        return FixedTarget(tuple(int(np.argmax(mean)) for mean in means), self.name)


@dataclass(frozen=True, slots=True)
class Split:
    """Which rows teach and which judge.

    Args:
        n_rows: of the log.
        n_folds: 0 for the earlier half against the later one, else the number of folds.
    """

    n_rows: int
    n_folds: int = 0

    def parts(self, read: Read) -> Iterator[tuple[Callable[[], Iterator[LogBatch]], Callable[[], Iterator[LogBatch]]]]:
        """Pairs of rows that teach and rows that judge."""
        if not self.n_folds:
            first = self.n_rows // 2
            yield (
                lambda: _only(read(), lambda batch: batch.numbers <= first),
                lambda: _only(read(), lambda batch: batch.numbers > first),
            )
            return
        if self.n_rows < self.n_folds:
            raise UnusableLog(f"{self.n_rows} rows for {self.n_folds} folds: one would have no row. Use fewer folds.")
        for fold in range(self.n_folds):
            yield _apart(read, fold, self.n_folds)


def _apart(
    read: Read, fold: int, n_folds: int
) -> tuple[Callable[[], Iterator[LogBatch]], Callable[[], Iterator[LogBatch]]]:
    return (
        lambda: _only(read(), lambda batch: folds_of(batch, n_folds) != fold),
        lambda: _only(read(), lambda batch: folds_of(batch, n_folds) == fold),
    )


def _only(batches: Iterable[LogBatch], mask: Callable[[LogBatch], np.ndarray]) -> Iterator[LogBatch]:
    for batch in batches:
        kept = batch.only(mask(batch))
        if len(kept):
            yield kept


def tally_learned(
    read: Read,
    split: Split,
    methods: tuple[Method, ...],
    sides: Sequence[Weigher | Lesson],
    model: RewardModel | None = None,
    bootstrap: Bootstrap | None = None,
) -> Tally:
    """A tally in which every target that learns is judged by rows that it did not learn from.

    Args:
        read: begins a new pass over the log.
        split: which rows teach.
        methods: as in `evaluation.evaluate.tally`.
        sides: the target, and perhaps what it is held against; those that do not learn are judged by the same rows.
        model: reward model for the targets that learn.
        bootstrap: asks for resamples.
    """
    found: Tally | None = None
    for teach, judge in split.parts(read):
        weighers = [_taught(side, teach, model) for side in sides]
        one = tally(judge(), methods, weighers[0], weighers[1] if len(weighers) > 1 else None, bootstrap)
        found = one if found is None else found + one
    if found is None:
        raise UnusableLog(
            "nothing was split off to judge by. Use two folds or more, or none for earlier against later."
        )
    return found


def _taught(side: Weigher | Lesson, teach: Callable[[], Iterator[LogBatch]], model: RewardModel | None) -> Weigher:
    if callable(side):
        return TargetWeigher(side(teach()), model)
    return side
