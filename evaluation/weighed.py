"""Rows of a log beside what a target policy would have done there: rewards, importance weights, predicted rewards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import UnusableLog

LEAST_PROPENSITY = 1e-9
"""A draw rarer than one in a thousand million sends was not drawn: no log is long enough to have seen it."""
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """A batch of rows, ready for any estimator. Made by `weigh`, which checks; trusted after.

    Attributes:
        rewards: shape (n,), in reward units.
        weights: shape (n,), target probability of the logged choice divided by its propensity.
        predicted: shape (n,), a reward model's value of the logged choice; None where there is no model.
        expected: shape (n,), the model's value of the target: over its pmf, not over what was logged.
        additive: shape (n,), weights for rewards that add up over dimensions (`evaluation.pseudo_inverse`).
        pairwise: shape (n,), weights for rewards of single dimensions and pairs of them.
        support: shape (n,), the target's probability on choices that could have been logged; None where nobody knows.
        largest: shape (n,), the largest weight that the row could have had, whatever was drawn.
        staged: shape (n,), stage-wise doubly robust scores (`evaluation.stage_wise`); None where there are no such models.
        rewarded: shape (n,), whether the outcomes were worth anything; None takes rewards other than 0 for it.
    """

    rewards: FloatArray
    weights: FloatArray
    predicted: FloatArray | None = None
    expected: FloatArray | None = None
    additive: FloatArray | None = None
    pairwise: FloatArray | None = None
    support: FloatArray | None = None
    largest: FloatArray | None = None
    staged: FloatArray | None = None
    rewarded: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.rewards)


def weigh(
    rewards: ArrayLike,
    propensities: ArrayLike,
    target: ArrayLike,
    *,
    predicted: ArrayLike | None = None,
    expected: ArrayLike | None = None,
    additive: ArrayLike | None = None,
    pairwise: ArrayLike | None = None,
    first_row: int = 1,
) -> Weighed:
    """Check a batch of rows and weigh them.

    Args:
        rewards: shape (n,), finite.
        propensities: shape (n,), of the logged choice, in (0, 1].
        target: shape (n,), probability with which the target makes the logged choice, in [0, 1].
        predicted: shape (n,), a reward model's value of the logged choice; goes with `expected`.
        expected: shape (n,), the model's value of the target.
        additive: shape (n,), weights of a composite choice whose dimensions add up.
        pairwise: shape (n,), the same where pairs of dimensions matter too.
        first_row: number of the batch's first row, for messages.

    Raises:
        UnusableLog: naming the first row that cannot be weighed, what was found, and what to do.

    >>> weigh([1.0, 0.0], [0.5, 0.25], [1.0, 0.0]).weights.tolist()
    [2.0, 0.0]
    """
    reward, propensity, probability = _floats(rewards), _floats(propensities), _floats(target)
    _require_one_length(reward, propensity, probability)
    _refuse(
        ~np.isfinite(reward), reward, first_row, "reward", "a finite number", "Correct it, or drop it and report it."
    )
    valid = (propensity >= LEAST_PROPENSITY) & (propensity <= 1.0)
    _refuse(
        ~valid, propensity, first_row, "propensity", "a number in (0, 1] no smaller than 1e-9",
        "The row was not drawn with that probability: log the propensity that was used, or drop the row and report it.",
    )  # fmt: skip
    valid = (probability >= 0.0) & (probability <= 1.0 + ROUNDING)
    _refuse(~valid, probability, first_row, "target probability", "a number in [0, 1]", "Correct the target policy.")
    if (predicted is None) != (expected is None):
        raise UnusableLog(
            "a model's value of the logged choice goes with its value of the target; one of them is missing."
        )
    modelled, valued, additives, pairs = (
        _extra(values, len(reward), first_row) for values in (predicted, expected, additive, pairwise)
    )
    return Weighed(reward, probability / propensity, modelled, valued, additives, pairs)


def require_pmfs(pmfs: FloatArray, what: str, *, first_row: int = 1) -> None:
    """Refuse pmfs, shape (n, n_arms), that are no distributions, with UnusableLog naming the first such row."""
    # One pass over everything, and one product: rows are looked at one by one only where something is wrong.
    if not pmfs.min(initial=0.0) >= 0.0:
        least = np.asarray(pmfs.min(axis=1))
        need, what_is = "none below 0", f"least probability of {what}"
        _refuse(~(least >= 0.0), least, first_row, what_is, need, "Correct the log or target.")
    sums = np.einsum("na->n", pmfs)
    advice = "A part of the probability is missing or counted twice, and every weight would be off by it: correct it."
    _refuse(~(np.abs(sums - 1.0) <= 1e-6), sums, first_row, f"sum of {what}", "1 to one millionth", advice)


def _extra(values: ArrayLike | None, n: int, first_row: int) -> FloatArray | None:
    if values is None:
        return None
    found = _floats(values)
    if found.shape != (n,):
        raise UnusableLog(f"{found.shape} predictions or weights for {n} rows; need one a row.")
    _refuse(~np.isfinite(found), found, first_row, "prediction or weight", "a finite number", "Correct the model.")
    return found


def _floats(values: ArrayLike) -> FloatArray:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise UnusableLog(f"found an array of shape {found.shape}, need one number a row: (n_rows,).")
    return found


def _require_one_length(*columns: FloatArray) -> None:
    sizes = {len(column) for column in columns}
    if len(sizes) > 1 or sizes == {0}:
        raise UnusableLog(
            f"{sorted(sizes)} rewards, propensities and target probabilities; need as many of each, and at least one. Without "
            "rows there is no answer: check that the log has matured decisions."
        )


def _refuse(wrong: BoolArray, values: FloatArray, first_row: int, what: str, need: str, advice: str) -> None:
    if wrong.any():
        _say(int(np.argmax(wrong)), int(wrong.sum()), values, first_row, what, need, advice)


def _say(at: int, n: int, values: FloatArray, first_row: int, what: str, need: str, advice: str) -> NoReturn:
    raise UnusableLog(
        f"row {first_row + at}: {what} is {float(values[at])!r}, need {need} ({n} such rows here). One of them makes every "
        f"estimate meaningless. {advice}"
    )
