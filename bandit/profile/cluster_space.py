"""Features as coordinates: numbers straightened and standardised, categories one-hot, and what is missing said.

Everything that is needed to give a new customer coordinates is frozen here: a customer of tomorrow with the features of
one of today stands at the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from bandit.profile.numbers import numbers_of

FURTHEST = 4.0
"""Standard deviations at which a number is cut off: a single big spender is no segment."""
MOST_MISSING = 0.5
"""Share of customers without a value above which a feature is left out."""
RAREST = 0.02
"""Share of customers below which a category is one of the rare ones."""
MISSING, RARE = "(missing)", "(rare)"


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """How a number becomes a coordinate.

    Attributes:
        name: the feature.
        unit: its median size where it is not 0, by which it is divided first; the power would hang on its unit otherwise.
        power: of the Yeo-Johnson transformation, which takes the skew out of it; 1 leaves it as it is.
        centre, scale: mean and standard deviation after that.
        stand_in: median, for customers without a value.
        missing: share of customers without one when segments were learned.

    Source: Yeo and Johnson (2000), A new family of power transformations to improve normality or symmetry.
    """

    name: str
    unit: float
    power: float
    centre: float
    scale: float
    stand_in: float
    missing: float

    def coordinates(self, values: pd.Series) -> FloatArray:
        """Shape (n, 1)."""
        numbers = numbers_of(values)
        there = np.where(np.isfinite(numbers), numbers, self.stand_in)
        straight = (_straight(there / self.unit, self.power) - self.centre) / self.scale
        # Rounded, since the last bit of a power may hang on where in the column a number stands.
        return np.clip(np.round(straight, 9), -FURTHEST, FURTHEST)[:, None]


@dataclass(frozen=True, slots=True)
class LevelColumn:
    """How a category becomes coordinates: an indicator of each level, all together with the variance of one number.

    Attributes:
        name: the feature.
        levels: the frequent ones in alphabetical order, then those for the rare and for the missing where there are some.
        weight: of each indicator.
        missing: share of customers without a value when segments were learned.
    """

    name: str
    levels: tuple[str, ...]
    weight: float
    missing: float

    def labels(self, values: pd.Series) -> list[str]:
        """The level of each customer; one that was not known when segments were learned is rare."""
        known = frozenset(self.levels)
        return [level if level in known else RARE for level in texts_of(values)]

    def coordinates(self, values: pd.Series) -> FloatArray:
        """Shape (n, n_levels)."""
        labels = np.array(self.labels(values), dtype=object)
        return np.stack([labels == level for level in self.levels], axis=1).astype(np.float64) * self.weight


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """Features as coordinates.

    Attributes:
        numbers, levels: the columns, numbers first.
        left_out: features that say nothing here, each with the reason.
    """

    numbers: tuple[NumberColumn, ...]
    levels: tuple[LevelColumn, ...]
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Features that are used."""
        return tuple(column.name for column in self.columns)

    @property
    def columns(self) -> tuple[NumberColumn | LevelColumn, ...]:
        """All columns, in the order of their coordinates."""
        return (*self.numbers, *self.levels)

    @property
    def width(self) -> int:
        """How many coordinates there are."""
        return len(self.numbers) + sum(len(column.levels) for column in self.levels)

    def coordinates(self, table: pd.DataFrame) -> FloatArray:
        """Where customers stand.

        Args:
            table: one row a customer, with a column for each of `names`.

        Returns:
            shape (n_customers, n_coordinates).

        Raises:
            UnusableLog: if a feature has no column, or a number's column holds texts.
        """
        absent = [name for name in self.names if name not in table]
        if absent:
            raise UnusableLog(
                f"the table of customers has no column {', '.join(absent)}, which these segments were learned from. Make the "
                "features as they were made then, or learn the segments anew."
            )
        return np.concatenate([column.coordinates(table[column.name]) for column in self.columns], axis=1)


def feature_space(table: pd.DataFrame, names: Sequence[str]) -> FeatureSpace:
    """The space of these features, fitted to these customers; their order does not matter.

    Args:
        table: one row a customer.
        names: features; one that has no column, one value or too few values is left out.

    Raises:
        UnusableLog: if no feature is left.

    >>> table = pd.DataFrame({"frequency": [1, 2, 3, None], "channel": ["email", "push", "email", "push"], "zone": ["UTC"] * 4})
    >>> space = feature_space(table, ["frequency", "channel", "zone", "age"])
    >>> space.names, space.numbers[0].missing, space.coordinates(table).shape
    (('frequency', 'channel'), 0.25, (4, 3))
    >>> print(*space.left_out, sep="; ")
    zone: the same for everybody; age: no such column
    """
    numbers, levels, left_out = [], [], []
    for name in names:
        column = _column(table, name)
        if isinstance(column, NumberColumn):
            numbers.append(column)
        elif isinstance(column, LevelColumn):
            levels.append(column)
        else:
            left_out.append(f"{name}: {column}")
    if not (numbers or levels):
        raise UnusableLog(
            f"no feature is left to learn segments from ({'; '.join(left_out) or 'none was named'}). Name features of this "
            "table under [profile.segments.groups], and their groups under [profile.segments.learned]."
        )
    return FeatureSpace(tuple(numbers), tuple(levels), tuple(left_out))


def _column(table: pd.DataFrame, name: str) -> NumberColumn | LevelColumn | str:
    """How a feature is used, or why it is not."""
    if name not in table:
        return "no such column"
    values = table[name]
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        return _number_column(name, values)
    return _level_column(name, values)


def _number_column(name: str, values: pd.Series) -> NumberColumn | str:
    numbers = numbers_of(values)
    # Sorted, so that sums do not hang on the order of customers.
    there = np.sort(numbers[np.isfinite(numbers)])
    missing = 1.0 - len(there) / max(len(numbers), 1)
    if missing > MOST_MISSING:
        return f"missing for {missing:.0%} of the customers"
    if not len(there) or there[0] == there[-1]:
        return "the same for everybody"
    unit = float(np.median(np.abs(there[there != 0.0])))
    power = _power(there / unit)
    stand_in = float(np.median(there))
    straight = np.sort(_straight(np.where(np.isfinite(numbers), numbers, stand_in) / unit, power))
    if not straight.std() > 1e-9 * np.abs(straight).max():
        return "the same for everybody, but for rounding"
    return NumberColumn(name, unit, power, float(straight.mean()), float(straight.std()), stand_in, missing)


def _power(there: FloatArray) -> float:
    """The power that makes a column most like a Gaussian, between -2 and 2."""
    return float(np.clip(scipy.stats.yeojohnson_normmax(there), -2.0, 2.0))


def _straight(values: FloatArray, power: float) -> FloatArray:
    found: FloatArray = scipy.stats.yeojohnson(values, power)
    return found


def _level_column(name: str, values: pd.Series) -> LevelColumn | str:
    texts = pd.Series(texts_of(values))
    shares = texts.value_counts(normalize=True)
    missing = float(shares.get(MISSING, 0.0))
    if missing > MOST_MISSING:
        return f"missing for {missing:.0%} of the customers"
    frequent = sorted(str(level) for level, share in shares.items() if share >= RAREST)
    rare = float(shares.drop(frequent).sum())
    if rare > MOST_MISSING:
        return f"{len(shares)} different values, most of them rare"
    levels = (*frequent, *((RARE,) if rare else ()))
    if len(levels) < 2:
        return "the same for everybody"
    each = np.array([*(shares[level] for level in frequent), *((rare,) if rare else ())])
    return LevelColumn(name, levels, float((each * (1.0 - each)).sum() ** -0.5), missing)


def texts_of(values: pd.Series) -> list[str]:
    """A column as texts; true and false as they stand in a context, what is missing as `(missing)`."""
    missing = values.isna().tolist()
    shown = {True: "true", False: "false"}
    found = [shown[one] if isinstance(one, bool) else str(one) for one in values.tolist()]
    return [MISSING if gone else text for text, gone in zip(found, missing, strict=True)]
