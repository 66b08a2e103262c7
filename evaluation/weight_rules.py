"""What an estimator makes of an importance weight: as it is, cut off, switched off, shrunk, or summed over dimensions.

Each rule trades bias for variance: a smaller weight counts a rare row for less than it stands for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bandit.arrays import FloatArray
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.weighed import Weighed

NOT_COMPOSITE = (
    "these rows have no weights for several dimensions: there is only one, or the dimensions or the target's do not go by "
    "themselves. Evaluate from the database (--db without a log), where every row's probabilities can be made again, or use "
    "ips or snips."
)


class WeightRule(Protocol):
    """Weights to be used, from a batch of rows; `key` names them, and is equal only for equal rules."""

    @property
    def key(self) -> str:
        """What the rule's columns are called."""

    def __call__(self, rows: Weighed, /) -> FloatArray:
        """Shape (n,)."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Weights as they are: unbiased, and as wide as the largest of them."""

    key: str = "w"

    def __call__(self, rows: Weighed) -> FloatArray:
        """The weights."""
        return rows.weights


PLAIN = Plain()


@dataclass(frozen=True, slots=True)
class Power:
    """Raises w to a whole power: what intervals need to know of how heavy the heaviest rows are."""

    exponent: int

    @property
    def key(self) -> str:
        """Names the power."""
        return f"w^{self.exponent}"

    def __call__(self, rows: Weighed) -> FloatArray:
        """The power."""
        found: FloatArray = rows.weights**self.exponent
        return found


@dataclass(frozen=True, slots=True)
class Clipped:
    """Cuts off, min(w, most): no row counts for more than `most` rows.

    Source: Ionides (2008), truncated importance sampling.

    >>> Clipped(10.0)(Weighed(np.zeros(2), np.array([3.0, 30.0]))).tolist()
    [3.0, 10.0]
    """

    most: float

    def __post_init__(self) -> None:
        _require_positive(self.most)

    @property
    def key(self) -> str:
        """Names the bound."""
        return f"clip{self.most:g}"

    def __call__(self, rows: Weighed) -> FloatArray:
        """Cut off at the bound."""
        return np.minimum(rows.weights, self.most)


@dataclass(frozen=True, slots=True)
class Switched:
    """Keeps w where it is at most `most`, else 0: above it the reward model alone is believed.

    Source: Wang, Agarwal, Dudik (2017), Switch-DR.
    """

    most: float

    def __post_init__(self) -> None:
        _require_positive(self.most)

    @property
    def key(self) -> str:
        """Names the bound."""
        return f"switch{self.most:g}"

    def __call__(self, rows: Weighed) -> FloatArray:
        """0 above the bound."""
        return np.where(rows.weights <= self.most, rows.weights, 0.0)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """Shrinks to most w / (w^2 + most): optimistic shrinkage; `most` of infinity leaves weights as they are.

    Source: Su, Dimakopoulou, Krishnamurthy, Dudik (2020), doubly robust off-policy evaluation with shrinkage.
    """

    most: float

    def __post_init__(self) -> None:
        _require_positive(self.most)

    @property
    def key(self) -> str:
        """Names the bound."""
        return f"shrink{self.most:g}"

    def __call__(self, rows: Weighed) -> FloatArray:
        """Shrunk towards 0, the more the larger."""
        if math.isinf(self.most):
            return rows.weights
        return self.most * rows.weights / (rows.weights**2 + self.most)


@dataclass(frozen=True, slots=True)
class SubGaussian:
    """Shrinks to w / (1 - share + share w): harmonic shrinkage, with tails as light as a normal's.

    Source: Metelli, Russo, Restelli (2021), subgaussian and differentiable importance sampling.
    """

    share: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise InvalidSettings(f"share is {self.share!r}, need a number in [0, 1]; 0 leaves weights as they are.")

    @property
    def key(self) -> str:
        """Names the share."""
        return f"subgaussian{self.share:g}"

    def __call__(self, rows: Weighed) -> FloatArray:
        """Shrunk towards 1 / share."""
        return rows.weights / (1.0 - self.share + self.share * rows.weights)


@dataclass(frozen=True, slots=True)
class Additive:
    """Weights under which what each dimension brings adds up; see `evaluation.pseudo_inverse`."""

    key: str = "additive"

    def __call__(self, rows: Weighed) -> FloatArray:
        """The batch's own."""
        if rows.additive is None:
            raise UnusableLog(NOT_COMPOSITE)
        return rows.additive


@dataclass(frozen=True, slots=True)
class Pairwise:
    """Weights under which dimensions and pairs of them add up; see `evaluation.pseudo_inverse`."""

    key: str = "pairwise"

    def __call__(self, rows: Weighed) -> FloatArray:
        """The batch's own."""
        if rows.pairwise is None:
            raise UnusableLog(NOT_COMPOSITE)
        return rows.pairwise


def _require_positive(most: float) -> None:
    if not most > 0.0:
        raise InvalidSettings(f"bound is {most!r}, need a number above 0: it is the largest weight a row may have.")
