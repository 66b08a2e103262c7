"""Making additive models: a logistic regression on bent lines, or boosted trees of which each looks at one feature.

Both end as the same thing, a table of shapes (bandit.profile.shapes), so that neither scikit-learn nor a pickle is needed to
use a model, and what a feature did for one customer can be read off exactly. Trees that look at one feature each add up to
steps over that feature: the table is the model, no approximation of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from bandit.arrays import BoolArray, FloatArray
from bandit.profile.layout import LevelPlace, NumberPlace, Place
from bandit.profile.numbers import numbers_of
from bandit.profile.shapes import AdditiveModel, LevelShape, NumberShape, Shape

STRENGTH: Final = 0.1
"""Inverse of the ridge penalty on standardised columns, as scikit-learn counts it."""
_TREES: Final[Mapping[str, float]] = MappingProxyType(
    {"max_iter": 100, "learning_rate": 0.1, "max_leaf_nodes": 4, "min_samples_leaf": 100}
)
"""Without a penalty on heights: it would weigh most where chances are small, and hold them too large there."""


class Basis:
    """Features as columns of a design matrix, which are bent lines of numbers and indicators of levels.

    A number has its value, held between the outermost knots, and what it is above each inner knot; where it may be missing,
    one more column says that it is. All columns are centred and scaled by the rows the basis was made from.
    """

    def __init__(self, features: pd.DataFrame, layout: Sequence[Place]) -> None:
        self.layout = tuple(layout)
        raw = [self._columns(place, features[place.name]) for place in self.layout]
        self.widths = [columns.shape[1] for columns in raw]
        self.means = [columns.mean(axis=0) for columns in raw]
        self.scales = [np.where(columns.std(axis=0) > 1e-9, columns.std(axis=0), np.inf) for columns in raw]
        self.matrix: FloatArray = np.concatenate([self._scaled(place, raw[place]) for place in range(len(raw))], axis=1)

    def _columns(self, place: Place, values: pd.Series) -> FloatArray:
        if isinstance(place, LevelPlace):
            codes = place.codes(values)
            return np.stack([codes == code for code in range(len(place.levels))], axis=1).astype(np.float64)
        numbers = numbers_of(values)
        return _bent(place, np.where(np.isfinite(numbers), numbers, np.nan))

    def _scaled(self, place: int, columns: FloatArray) -> FloatArray:
        found: FloatArray = (columns - self.means[place]) / self.scales[place]
        return found

    def model(self, coefficients: FloatArray, intercept: float) -> AdditiveModel:
        """The shapes that coefficients of the columns make, and the score that is the average customer's."""
        ends = np.cumsum(self.widths)
        parts = [coefficients[end - width : end] for end, width in zip(ends, self.widths, strict=True)]
        return AdditiveModel(intercept, tuple(self._shape(place, part) for place, part in enumerate(parts)))

    def _shape(self, place: int, coefficients: FloatArray) -> Shape:
        item = self.layout[place]
        if isinstance(item, LevelPlace):
            rows = self._scaled(place, np.vstack([np.eye(len(item.levels)), np.zeros((1, len(item.levels)))]))
            *heights, other = (rows @ coefficients).tolist()
            return LevelShape(item.name, dict(zip(item.levels, heights, strict=True)), other, item.levels[0])
        rows = self._scaled(place, _bent(item, np.array([*item.knots, np.nan])))
        *line, missing = (rows @ coefficients).tolist()
        return NumberShape(item.name, item.knots, tuple(line), missing, item.usual)


def _bent(place: NumberPlace, numbers: FloatArray) -> FloatArray:
    """Columns of a number: itself within the knots, what it is above each inner one, and whether it is missing."""
    held = np.clip(np.where(np.isnan(numbers), place.usual, numbers), place.knots[0], place.knots[-1])
    above = [np.maximum(held - knot, 0.0) for knot in place.knots[1:-1]]
    return np.stack([held, *above, np.isnan(numbers).astype(np.float64)], axis=1)


def fit_line(features: pd.DataFrame, happened: BoolArray, layout: Sequence[Place], seed: int) -> AdditiveModel:
    """A logistic regression on bent lines with a ridge penalty.

    Args:
        features: one row a customer and origin.
        happened: shape (n,), both values must occur.
        layout: the features and their knots.
        seed: not used: nothing is drawn.

    >>> from bandit.profile.layout import layout_of
    >>> features = pd.DataFrame({"orders": np.arange(200.0)})
    >>> happened = np.arange(200) > 120
    >>> model = fit_line(features, happened, layout_of(features, happened), 0)
    >>> model.scores(pd.DataFrame({"orders": [0.0, 199.0]})).round(1).tolist()
    [-4.7, 6.0]
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - models are used without it

    del seed
    basis = Basis(features, layout)
    fitted = LogisticRegression(C=STRENGTH, solver="newton-cholesky").fit(basis.matrix, happened)
    return basis.model(fitted.coef_[0], float(fitted.intercept_[0]))


def fit_steps(features: pd.DataFrame, happened: BoolArray, layout: Sequence[Place], seed: int) -> AdditiveModel:
    """Boosted trees, each of which looks at one feature, written out as steps.

    Args:
        features: one row a customer and origin.
        happened: shape (n,), both values must occur.
        layout: the features and their edges.
        seed: of what the trees draw.

    Source: Lou, Caruana and Gehrke (2012), Intelligible models for classification and regression.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - as above

    codes = np.stack([place.codes(features[place.name]) for place in layout], axis=1)
    is_level = [isinstance(place, LevelPlace) for place in layout]
    trees = HistGradientBoostingClassifier(
        **_TREES,
        interaction_cst="no_interactions",
        categorical_features=is_level,
        early_stopping=False,
        random_state=seed,
    )
    # Threads that wait for each other on a busy machine take longer than one.
    with threadpool_limits(limits=1):
        trees.fit(codes, happened)
        return _written_out(trees.decision_function, codes, layout)


def _written_out(
    score: Callable[[FloatArray], FloatArray], codes: FloatArray, layout: Sequence[Place]
) -> AdditiveModel:
    """The shapes of a function that is a sum over features, by moving one feature at a time; asked once, for all rows."""
    sizes = [len(place.levels if isinstance(place, LevelPlace) else place.edges) + 2 for place in layout]
    ends = np.cumsum(sizes)
    rows = np.zeros((int(ends[-1]) + 1, len(layout)))
    for which, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        rows[end - size : end, which] = [*range(size - 1), np.nan]
    *added, level = score(rows)
    heights = np.array(added) - level
    intercept, shapes = float(level), []
    for which, (place, end, size) in enumerate(zip(layout, ends, sizes, strict=True)):
        steps, own = heights[end - size : end], codes[:, which]
        average = float(steps[np.where(np.isnan(own), size - 1, own).astype(np.int64)].mean())
        shapes.append(_step_shape(place, steps - average))
        intercept += average
    return AdditiveModel(intercept, tuple(shapes))


def _step_shape(place: Place, heights: FloatArray) -> Shape:
    """Heights by code, the last one for what is missing."""
    *steps, missing = heights.tolist()
    if isinstance(place, LevelPlace):
        *levels, other = steps
        return LevelShape(place.name, dict(zip(place.levels, levels, strict=True)), other, place.levels[0])
    return NumberShape(place.name, place.edges, tuple(steps), missing, place.usual)


Fit = Callable[[pd.DataFrame, BoolArray, Sequence[Place], int], AdditiveModel]
FORMS: Final[Mapping[str, Fit]] = MappingProxyType({"line": fit_line, "steps": fit_steps})
"""The forms a model may have, by name."""
