"""Stage-wise doubly robust: dimensions are drawn one after another, and each stage corrects the model of the one before.

A model of each stage says what is to be expected once its dimension is picked. What the first pick changed is weighed by the
first dimension's ratio alone, what the second changed by two ratios, and only the reward itself by the product of them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from evaluation.columns import AnyColumn, Staged
from evaluation.sums import Gradient, Sums


@dataclass(frozen=True, slots=True)
class StageWise:
    """Averages, mean(score), the scores that `stage_wise_scores` gives: right where the propensities are.

    Caution: the models must not have learned from the rows that they score: cross-fit them (`evaluation.stage_models`).

    Source: Jiang and Li (2016), doubly robust off-policy value evaluation for reinforcement learning, with no reward
    before the last stage.
    """

    name: str = "dr-stage-wise"

    @property
    def columns(self) -> tuple[AnyColumn, ...]:
        """The score alone."""
        return (Staged(),)

    def value(self, sums: Sums) -> float:
        """The mean, over all rows."""
        return sums.mean(Staged().name)

    def gradient(self, sums: Sums) -> Gradient:
        """1."""
        del sums
        return {Staged().name: 1.0}


def stage_wise_scores(rewards: ArrayLike, weights: ArrayLike, expected: ArrayLike, chosen: ArrayLike) -> FloatArray:
    """The score of each row: V_1 + sum over stages d of w_1..d (V_d+1 - Q_d), where the reward stands for the last V.

    Args:
        rewards: shape (n,).
        weights: shape (n, n_dimensions), target probability of the first d logged arms together, divided by their propensity.
        expected: shape (n, n_dimensions), V_d: what the model of stage d expects of the target's arms of dimension d,
            given the logged arms before it.
        chosen: shape (n, n_dimensions), Q_d: what it expects of the logged arm.

    Returns:
        Shape (n,), in reward units.

    Raises:
        UnusableLog: if shapes differ, or a number is not finite, or a weight is negative.

    Source: Jiang and Li (2016), doubly robust off-policy value evaluation for reinforcement learning, with no reward
    before the last stage.

    >>> stage_wise_scores([1.0], [[2.0, 4.0]], [[0.25, 0.5]], [[0.375, 0.75]]).tolist()
    [1.5]
    """
    reward, weight, value, picked = (np.asarray(x, dtype=np.float64) for x in (rewards, weights, expected, chosen))
    if reward.ndim != 1 or weight.ndim != 2 or not weight.shape[1] or weight.shape[0] != len(reward):
        raise UnusableLog(
            f"rewards have shape {reward.shape}, weights {weight.shape}; need (n,) and (n, n_dimensions). Each stage has its "
            "own weight: give one column for each dimension."
        )
    if value.shape != weight.shape or picked.shape != weight.shape:
        raise UnusableLog(
            f"weights have shape {weight.shape}, the models' values {value.shape} and {picked.shape}; need the same. Each "
            "stage corrects the model of the one before, so none can be left out."
        )
    _require_numbers(weight >= 0.0, reward, weight, value, picked)
    following = np.concatenate([value[:, 1:], reward[:, None]], axis=1)
    scores: FloatArray = value[:, 0] + np.einsum("nd,nd->n", weight, following - picked)
    return scores


def _require_numbers(is_positive: np.ndarray, rewards: FloatArray, *tables: FloatArray) -> None:
    sound = np.isfinite(rewards) & is_positive.all(axis=1)
    for table in tables:
        sound &= np.isfinite(table).all(axis=1)
    if not sound.all():
        raise UnusableLog(
            f"row {int(np.argmin(sound))} has a reward, weight or model's value that is no finite number, or a negative "
            "weight. One of them spoils every mean: correct the log, the target or the model."
        )


class Along(NamedTuple):
    """A joint pmf along the logged picks.

    Attributes:
        pmfs: of each dimension shape (n_arms,), given the picks before it.
        masses: shape (n_dimensions,), probability of the first d picks together.
    """

    pmfs: tuple[FloatArray, ...]
    masses: FloatArray


def along(joint: FloatArray, picks: Sequence[int]) -> Along:
    """Follow logged picks through a joint pmf.

    Where it gives the earlier picks no probability there is nothing to divide by, and the dimension's pmf over all choices
    stands in: rows that come there have weight 0, and only a model may still learn from them.

    Args:
        joint: shape (n_arms of each dimension).
        picks: position of the logged arm of each dimension.

    >>> import numpy as np
    >>> found = along(np.array([[0.125, 0.375], [0.5, 0.0]]), (0, 1))
    >>> [pmf.tolist() for pmf in found.pmfs], found.masses.tolist()
    ([[0.5, 0.5], [0.25, 0.75]], [0.5, 0.375])
    """
    pmfs, masses, rest = [], [], joint
    for d, pick in enumerate(picks):
        reached = rest.sum(axis=tuple(range(1, rest.ndim)))
        total = reached.sum()
        pmfs.append(reached / total if total > 0.0 else _over_all(joint, d))
        masses.append(reached[pick])
        rest = rest[pick]
    return Along(tuple(pmfs), np.array(masses))


def _over_all(joint: FloatArray, dimension: int) -> FloatArray:
    return np.asarray(joint.sum(axis=tuple(d for d in range(joint.ndim) if d != dimension)))
