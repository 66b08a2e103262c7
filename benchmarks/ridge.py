"""Disjoint ridge regressions with an upper bound or a draw: mabwiser's LinUCB and LinTS, with rank-one updates.

mabwiser inverts each arm's matrix at every update and draws whole coefficient vectors. Sherman and Morrison's update of
the inverse gives the same numbers; and of a drawn vector only its product with one context is used, which is normal with
mean x'beta and variance alpha^2 x'A^-1 x. So one update after every send becomes affordable. LinUCB makes the same choices
as mabwiser's. LinTS has the same draws arm by arm, but draws the arms independently, as in the textbook; mabwiser 2.7 does
so only where arms are first fitted at different times, and else gives all arms the same normal numbers (each fit copies the
generator with the model). tests/test_benchmarks_peers.py compares them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bandit.arrays import FloatArray
from simulator.world import IntArray


@dataclass(slots=True, eq=False)
class RidgeBandit:
    """One ridge regression an arm, with penalty 1.

    Args:
        n_features: bias included.
        n_arms: to begin with.
        alpha: exploration.
        rng: for Thompson sampling; None takes the upper bound.
    """

    n_features: int
    n_arms: int
    alpha: float
    rng: np.random.Generator | None = None
    _inverse: FloatArray = field(init=False)
    _total: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self._inverse = np.tile(np.eye(self.n_features), (self.n_arms, 1, 1))
        self._total = np.zeros((self.n_arms, self.n_features))

    def grow(self, n_arms: int) -> None:
        """More arms, which know nothing."""
        more = n_arms - self.n_arms
        self._inverse = np.concatenate([self._inverse, np.tile(np.eye(self.n_features), (more, 1, 1))])
        self._total = np.concatenate([self._total, np.zeros((more, self.n_features))])
        self.n_arms = n_arms

    def choose(self, features: FloatArray) -> IntArray:
        """The arm with the largest bound or draw, for each row."""
        best: IntArray = self.values(features).argmax(axis=1)
        return best

    def values(self, features: FloatArray) -> FloatArray:
        """The bound or the draw of every arm, shape (n_rows, n_arms)."""
        means = features @ np.matmul(self._inverse, self._total[:, :, None])[:, :, 0].T
        half = np.matmul(features, self._inverse)
        widths = self.alpha * np.sqrt(np.einsum("knd,nd->nk", half, features))
        if self.rng is not None:
            widths *= self.rng.standard_normal(widths.shape)
        values: FloatArray = means + widths
        return values

    def update(self, features: FloatArray, arms: IntArray, rewards: FloatArray) -> None:
        """Row by row where there are few; by solving once an arm where there are many."""
        if len(features) > self.n_features:
            self._solve(features, arms, rewards)
            return
        for row, arm, reward in zip(features, arms.tolist(), rewards.tolist(), strict=True):
            inverse = self._inverse[arm]
            half = inverse @ row
            inverse -= np.outer(half, half) / (1.0 + row @ half)
            self._total[arm] += reward * row

    def _solve(self, features: FloatArray, arms: IntArray, rewards: FloatArray) -> None:
        for arm in np.unique(arms).tolist():
            rows = features[arms == arm]
            self._inverse[arm] = np.linalg.inv(np.linalg.inv(self._inverse[arm]) + rows.T @ rows)
            self._total[arm] += rewards[arms == arm] @ rows
