"""An additive model made ready to score one customer at a time: plain numbers instead of tables of one row.

What a shape adds is looked up in arrays that were made once; all that is added is summed as a table sums it, so that the
score of one customer has the bits of the same customer's score in a table.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bandit.arrays import FloatArray
from bandit.profile.features import Feature
from bandit.profile.numbers import numbers_of
from bandit.profile.shapes import AdditiveModel, LevelShape, NumberShape

Added = Callable[[Feature], float]
"""What one value of a feature adds."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledScore:
    """A score as a sum over features of one customer; made by `compiled_score`.

    Attributes:
        intercept: of the model.
        parts: each feature, and what a value of it adds.

    >>> model = AdditiveModel(-2.0, (NumberShape("orders", (0.0, 4.0), (-1.0, 1.0), 0.5, 2.0),))
    >>> compiled_score(model).scores({"orders": 3.0}).tolist(), compiled_score(model).scores({"orders": None}).tolist()
    ([-1.5], [-1.5])
    """

    intercept: float
    parts: tuple[tuple[str, Added], ...]

    def scores(self, features: Mapping[str, Feature]) -> FloatArray:
        """The score, shape (1,).

        Args:
            features: of the customer; those that the model looks at must be there, None where not known.
        """
        added = np.array([[part(features[name]) for name, part in self.parts]], dtype=np.float64)
        found: FloatArray = self.intercept + added.sum(axis=1)
        return found


def compiled_score(model: AdditiveModel) -> CompiledScore:
    """The model, ready to score one customer."""
    return CompiledScore(
        model.intercept,
        tuple(
            (shape.name, _levels(shape) if isinstance(shape, LevelShape) else _numbers(shape)) for shape in model.shapes
        ),
    )


def _levels(shape: LevelShape) -> Added:
    heights, other = dict(shape.heights), shape.other

    def added(value: Feature) -> float:
        return heights.get("" if value is None or value != value else str(value), other)  # noqa: PLR0124 - NaN

    return added


def _numbers(shape: NumberShape) -> Added:
    height_at, missing, name = _height_at(shape), shape.missing, shape.name

    def added(value: Feature) -> float:
        number = _number(value, name)
        return height_at(number) if math.isfinite(number) else missing

    return added


def _height_at(shape: NumberShape) -> Callable[[float], float]:
    """The height of steps, or of a line, at a number."""
    knots, heights = shape.knots, shape.heights
    if len(heights) > len(knots):
        return lambda number: heights[bisect_right(knots, number)]
    across, up = np.array(knots, dtype=np.float64), np.array(heights, dtype=np.float64)
    return lambda number: float(np.interp(number, across, up))


def _number(value: Feature, name: str) -> float:
    if value is None:
        return math.nan
    return value if isinstance(value, float) else float(numbers_of(pd.Series([value], name=name))[0])
