"""The layout of a model: which features it uses, and between which knots or among which levels each may bend.

It is frozen when the model is made. What a table of features holds beyond it is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import UnusableEvents
from bandit.profile.numbers import numbers_of
from bandit.profile.shapes import is_number_column, levels_of

MOST_FEATURES: Final = 40
MOST_LEVELS: Final = 30
MOST_MISSING: Final = 0.95
LINE_AT: Final = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
"""Quantiles of a number between which a line may bend."""
RAREST: Final = 0.01
"""Share of customers below which a level is not told from the others."""
ALIKE: Final = 0.98
"""Rank correlation from which on the weaker of two numbers is left out: what they do cannot be told apart."""
_N_STEPS: Final = 31


@dataclass(frozen=True, slots=True)
class NumberPlace:
    """A number in a layout.

    Attributes:
        name: the feature.
        knots: where a line may bend, rising.
        edges: where steps may be, rising.
        usual: median.
    """

    name: str
    knots: tuple[float, ...]
    edges: tuple[float, ...]
    usual: float

    def codes(self, values: pd.Series) -> FloatArray:
        """The step that each value is on, from 0; NaN where it is missing."""
        numbers = numbers_of(values)
        found = np.searchsorted(self.edges, numbers, side="right").astype(np.float64)
        found[~np.isfinite(numbers)] = np.nan
        return found


@dataclass(frozen=True, slots=True)
class LevelPlace:
    """A category in a layout: its frequent levels, the most frequent first; all others are one."""

    name: str
    levels: tuple[str, ...]

    def codes(self, values: pd.Series) -> FloatArray:
        """The position of each value's level, `len(levels)` for any other."""
        places = {level: place for place, level in enumerate(self.levels)}
        return np.array([places.get(level, len(places)) for level in levels_of(values)], dtype=np.float64)


Place = NumberPlace | LevelPlace


def layout_of(
    features: pd.DataFrame,
    happened: BoolArray | FloatArray,
    *,
    most: int = MOST_FEATURES,
    line_at: tuple[float, ...] = LINE_AT,
) -> tuple[Place, ...]:
    """The features that say most by themselves, each with its knots.

    Left out is what is the same for everybody, nearly always missing, or nearly the same as a stronger feature.

    Args:
        features: one row a customer and origin, of the stretch the model is made from and of no later one.
        happened: shape (n,), what is to be foretold, by whose rank features are compared.
        most: features kept at most.
        line_at: quantiles of a number between which its line may bend.

    Raises:
        UnusableEvents: if no feature is left.

    >>> features = pd.DataFrame({"orders": range(100), "twice": range(0, 200, 2), "plan": ["a", "b"] * 50, "one": 1})
    >>> [place.name for place in layout_of(features, np.arange(100) > 60)]
    ['orders', 'plan']
    """
    places = [place for place in (_place(features[name], line_at) for name in features.columns) if place is not None]
    found = [(place, _ranks(place, features[place.name], happened)) for place in places]
    outcome = _standard(np.asarray(happened, dtype=np.float64))
    strengths = [abs(float(ranks @ outcome)) / len(outcome) for _, ranks in found]
    kept: list[tuple[Place, FloatArray]] = []
    for which in sorted(range(len(found)), key=lambda place: -strengths[place]):
        place, ranks = found[which]
        is_new = all(abs(float(ranks @ other)) / len(ranks) < ALIKE for _, other in kept)
        if is_new and len(kept) < most:
            kept.append((place, ranks))
    if not kept:
        raise UnusableEvents(
            "no feature differs between customers, so that nothing could tell them apart. Give events of more types or of a "
            "longer time."
        )
    return tuple(place for place, _ in kept)


def _place(values: pd.Series, line_at: tuple[float, ...]) -> Place | None:
    """How a feature is used; None where it cannot be."""
    if values.isna().mean() > MOST_MISSING:
        return None
    return _number_place(values, line_at) if is_number_column(values) else _level_place(values)


def _number_place(values: pd.Series, line_at: tuple[float, ...]) -> NumberPlace | None:
    numbers = numbers_of(values)
    there = numbers[np.isfinite(numbers)]
    knots = np.unique(np.quantile(there, line_at)) if len(there) else there
    if len(knots) < 2 and len(np.unique(there)) < 2:
        return None
    if len(knots) < 2:  # hardly anybody has another value than the usual one: a line to the furthest
        knots = np.unique([there.min(), float(np.median(there)), there.max()])
    edges = np.unique(np.quantile(there, np.linspace(0.0, 1.0, _N_STEPS + 1)[1:]))
    return NumberPlace(str(values.name), tuple(knots.tolist()), tuple(edges.tolist()), float(np.median(there)))


def _level_place(values: pd.Series) -> LevelPlace | None:
    shares = pd.Series(levels_of(values)).value_counts(normalize=True)
    levels = [str(level) for level, share in shares.items() if share >= RAREST][:MOST_LEVELS]
    return LevelPlace(str(values.name), tuple(levels)) if levels and float(shares.iloc[0]) < 1.0 else None


def _ranks(place: Place, values: pd.Series, happened: BoolArray | FloatArray) -> FloatArray:
    """A feature as standardised ranks; a level ranks by the mean of what is to be foretold."""
    if isinstance(place, LevelPlace):
        codes = pd.Series(place.codes(values))
        numbers = pd.Series(np.asarray(happened, dtype=np.float64)).groupby(codes).transform("mean")
    else:
        numbers = pd.Series(numbers_of(values)).rank()
    return _standard(numbers.fillna(numbers.mean()).to_numpy(dtype=np.float64))


def _standard(values: FloatArray) -> FloatArray:
    spread = float(values.std())
    found: FloatArray = (values - values.mean()) / (spread or 1.0)
    return found
