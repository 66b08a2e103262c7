"""Shapes: how much one feature adds to a score, as a table that can be read, drawn and kept as JSON.

A model made of shapes is a sum, so that what each feature did to one customer's score is exact: it is the height of its
shape there. Heights are centred: 0 is what the feature adds for an average customer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from bandit.arrays import FloatArray
from bandit.errors import BrokenSnapshot, UnusableLog
from bandit.profile.numbers import numbers_of


@dataclass(frozen=True, slots=True)
class NumberShape:
    """What a number adds: a line through points, or steps between edges; flat beyond the outermost.

    Attributes:
        name: the feature.
        knots: values of the feature, rising.
        heights: what is added at each knot of a line; of steps one more than knots, each from its knot on.
        missing: what is added where the feature is not known.
        usual: its median where it was learned, to compare a customer with.

    >>> line = NumberShape("recency", (0.0, 10.0), (1.0, -1.0), 0.0, 5.0)
    >>> line.added(pd.Series([0.0, 5.0, 40.0, None])).tolist()
    [1.0, 0.0, -1.0, 0.0]
    >>> NumberShape("orders", (1.0,), (-0.5, 0.5), 0.0, 0.0).added(pd.Series([0.0, 1.0])).tolist()
    [-0.5, 0.5]
    """

    name: str
    knots: tuple[float, ...]
    heights: tuple[float, ...]
    missing: float
    usual: float

    def __post_init__(self) -> None:
        if not self.knots or len(self.heights) - len(self.knots) not in {0, 1} or not np.all(np.diff(self.knots) > 0):
            raise BrokenSnapshot(
                f"the shape of {self.name!r} has {len(self.knots)} knots and {len(self.heights)} heights: need rising knots, and "
                "as many heights or one more. The file is not as it was written; make the models anew."
            )

    def added(self, values: pd.Series) -> FloatArray:
        """What each value adds, shape (n,)."""
        numbers = numbers_of(values)
        is_there = np.isfinite(numbers)
        found = np.full(len(numbers), self.missing)
        if len(self.heights) > len(self.knots):
            places = np.searchsorted(self.knots, numbers[is_there], side="right")
            found[is_there] = np.asarray(self.heights)[places]
        else:
            found[is_there] = np.interp(numbers[is_there], self.knots, self.heights)
        return found


@dataclass(frozen=True, slots=True)
class LevelShape:
    """What a category adds.

    Attributes:
        name: the feature.
        heights: by level.
        other: what any other level adds, and a missing one: it was not seen often enough to know.
        usual: the most frequent level.

    >>> LevelShape("device", {"phone": 0.2, "desktop": -0.1}, 0.0, "phone").added(pd.Series(["phone", "tv", None])).tolist()
    [0.2, 0.0, 0.0]
    """

    name: str
    heights: Mapping[str, float]
    other: float
    usual: str

    def added(self, values: pd.Series) -> FloatArray:
        """What each value adds, shape (n,)."""
        return np.array([self.heights.get(level, self.other) for level in levels_of(values)], dtype=np.float64)


Shape = NumberShape | LevelShape


@dataclass(frozen=True, slots=True)
class AdditiveModel:
    """A score as a sum: an intercept, which is the average customer's, and what each feature adds.

    Attributes:
        intercept: score of a customer for whom every feature adds nothing.
        shapes: one a feature.

    >>> model = AdditiveModel(-2.0, (NumberShape("orders", (0.0, 4.0), (-1.0, 1.0), 0.0, 2.0),))
    >>> model.scores(pd.DataFrame({"orders": [2, 4]})).tolist()
    [-2.0, -1.0]
    """

    intercept: float
    shapes: tuple[Shape, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The features."""
        return tuple(shape.name for shape in self.shapes)

    def contributions(self, features: pd.DataFrame) -> FloatArray:
        """What each feature adds to each customer's score.

        Args:
            features: one row a customer, with a column for each of `names`.

        Returns:
            shape (n_customers, n_shapes), in units of the score.

        Raises:
            UnusableLog: if a column is not there, or holds texts where numbers were.
        """
        absent = [name for name in self.names if name not in features]
        if absent:
            raise UnusableLog(
                f"the features have no column {', '.join(absent[:5])}, from which this model was made. Make the features as they "
                "were made then, or the model anew."
            )
        if not self.shapes:
            return np.zeros((len(features), 0))
        return np.stack([shape.added(features[shape.name]) for shape in self.shapes], axis=1)

    def scores(self, features: pd.DataFrame) -> FloatArray:
        """The score of each customer, shape (n_customers,)."""
        found: FloatArray = self.intercept + self.contributions(features).sum(axis=1)
        return found

    def document(self) -> dict[str, Any]:
        """The model for JSON."""
        return {"intercept": self.intercept, "shapes": [_document(shape) for shape in self.shapes]}


def read_additive(document: Mapping[str, Any]) -> AdditiveModel:
    """The model from its document.

    Raises:
        BrokenSnapshot: if it is not one that `document` wrote.
    """
    try:
        shapes = tuple(_read_shape(one) for one in document["shapes"])
        return AdditiveModel(float(document["intercept"]), shapes)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenSnapshot(
            f"a model's file lacks {error}, or has something else there. It is not as it was written; make the models anew."
        ) from error


def _document(shape: Shape) -> dict[str, Any]:
    if isinstance(shape, LevelShape):
        return {"name": shape.name, "levels": dict(shape.heights), "other": shape.other, "usual": shape.usual}
    return {
        "name": shape.name, "knots": list(shape.knots), "heights": list(shape.heights),
        "missing": shape.missing, "usual": shape.usual,
    }  # fmt: skip


def _read_shape(document: Mapping[str, Any]) -> Shape:
    name = str(document["name"])
    if "levels" in document:
        heights = {str(level): float(height) for level, height in document["levels"].items()}
        return LevelShape(name, heights, float(document["other"]), str(document["usual"]))
    knots, heights_at = (tuple(float(one) for one in document[key]) for key in ("knots", "heights"))
    return NumberShape(name, knots, heights_at, float(document["missing"]), float(document["usual"]))


def average(models: list[AdditiveModel]) -> AdditiveModel:
    """The mean of models that have the same knots and levels; its score is the mean of their scores.

    >>> one = AdditiveModel(0.0, (NumberShape("a", (0.0,), (2.0,), 0.0, 0.0),))
    >>> average([one, AdditiveModel(1.0, (NumberShape("a", (0.0,), (4.0,), 0.0, 0.0),))])
    AdditiveModel(intercept=0.5, shapes=(NumberShape(name='a', knots=(0.0,), heights=(3.0,), missing=0.0, usual=0.0),))
    """
    shapes = [_average_shape([model.shapes[place] for model in models]) for place in range(len(models[0].shapes))]
    return AdditiveModel(float(np.mean([model.intercept for model in models])), tuple(shapes))


def _average_shape(shapes: list[Shape]) -> Shape:
    first = shapes[0]
    if isinstance(first, LevelShape):
        same = [shape for shape in shapes if isinstance(shape, LevelShape)]
        heights = {level: float(np.mean([shape.heights[level] for shape in same])) for level in first.heights}
        return LevelShape(first.name, heights, float(np.mean([shape.other for shape in same])), first.usual)
    lines = [shape for shape in shapes if isinstance(shape, NumberShape)]
    means = np.mean([shape.heights for shape in lines], axis=0)
    missing = float(np.mean([shape.missing for shape in lines]))
    return NumberShape(first.name, first.knots, tuple(means.tolist()), missing, first.usual)


def is_number_column(values: pd.Series) -> bool:
    """Whether a feature is a number; true and false are levels."""
    return bool(is_numeric_dtype(values.dtype) and not is_bool_dtype(values.dtype))


def levels_of(values: pd.Series) -> list[str]:
    """A column as texts; what is missing is the empty one."""
    return ["" if gone else str(one) for one, gone in zip(values.tolist(), values.isna().tolist(), strict=True)]
