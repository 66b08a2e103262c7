"""What can be asked of joint pmfs: that they are distributions, and that one allows what another would do."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog

LEAST_MASS = 1e-9
"""Target probability that may be lost where the log has none: it moves no estimate that anybody reads."""


def checked_pmf(pmf: ArrayLike, name: str) -> FloatArray:
    """A joint pmf as float64, one axis for each dimension, refused with UnusableLog where it is none; `name` says whose."""
    values = np.asarray(pmf, dtype=np.float64)
    total = float(values.sum())
    # A NaN fails both comparisons, an infinity the second.
    if values.ndim < 1 or not values.size or not values.min() >= 0.0 or not abs(total - 1.0) <= 1e-6:
        raise UnusableLog(
            f"{name} has shape {values.shape} and sum {total!r}, need a joint pmf: one axis for each dimension, nothing "
            "negative or missing, sum 1. Weights from anything else mean nothing: multiply the dimensions' conditional pmfs."
        )
    return values


def require_support(behavior: FloatArray, target: FloatArray, order: int) -> None:
    """Refuse, with UnusableLog, a target that picks an arm, or set of arms, that the log cannot have picked.

    Args:
        behavior: shape (n_arms of dimension 0, of dimension 1, ...), joint pmf that choices were drawn from.
        target: same shape, joint pmf of the policy to be valued.
        order: how many arms of different dimensions make a set at most.
    """
    if target[behavior == 0.0].sum() <= LEAST_MASS:
        return
    for n_together in range(1, min(order, behavior.ndim) + 1):
        for dimensions in combinations(range(behavior.ndim), n_together):
            lost = np.where(marginal(behavior, dimensions) == 0.0, marginal(target, dimensions), 0.0)
            if lost.max() > LEAST_MASS:
                arms = np.unravel_index(int(lost.argmax()), lost.shape)
                found = named(dict(zip(dimensions, map(int, arms), strict=True)))
                lower = " Or ask for a lower order, which needs no such rows." if n_together > 1 else ""
                raise UnusableLog(
                    f"target picks {found} with probability {lost.max():.3g}, behavior never does. This log cannot say what "
                    f"that earns: value a target that stays with what was logged, or log with more exploration.{lower}"
                )


def marginal(pmf: FloatArray, dimensions: tuple[int, ...]) -> FloatArray:
    """Of some dimensions of a joint pmf: a table with an axis for each of them, in order."""
    others = tuple(dimension for dimension in range(pmf.ndim) if dimension not in dimensions)
    return np.asarray(pmf.sum(axis=others), dtype=np.float64)


def named(arms: dict[int, int]) -> str:
    """Arms by dimension in words."""
    return " with ".join(f"dimension {dimension} arm {arm}" for dimension, arm in arms.items()) or "any choice"
