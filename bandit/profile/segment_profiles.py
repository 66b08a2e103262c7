"""What sets a learned segment apart, in words that a marketer can check, and a name made of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bandit.profile.cluster_space import FeatureSpace, LevelColumn
from bandit.profile.numbers import numbers_of

NOTABLE = 0.5
"""Standardised difference from which on a feature sets a segment apart; Cohen (1988) calls it medium."""
GREAT = 1.0
MOST_IN_NAME = 2
OUTSIDE = "unlike_the_others"
"""The segment of whoever DBSCAN leaves outside of all."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One feature, in a segment and among everybody.

    Attributes:
        feature: its name.
        level: the category, or empty for a number.
        size: standardised: for a number, the distance of means in standard deviations of its coordinate; for a category,
            Cohen's h, the distance of shares after arcsine.
        here, everybody: medians of a number, shares of a category.
    """

    feature: str
    level: str
    size: float
    here: float
    everybody: float

    @property
    def words(self) -> str:
        """How it reads.

        >>> Difference("monetary", "", 1.3, 210.0, 80.0).words
        'monetary very high (median 210, everybody 80)'
        >>> Difference("preferred_channel", "push", 0.7, 0.61, 0.28).words
        'preferred_channel often push (61 %, everybody 28 %)'
        """
        if self.level:
            often = ("often" if self.size > 0 else "seldom") if abs(self.size) < GREAT else _strongly(self.size)
            return f"{self.feature} {often} {self.level} ({self.here:.0%}, everybody {self.everybody:.0%})".replace(
                "%", " %"
            )
        very = "very " if abs(self.size) >= GREAT else ""
        direction = "high" if self.size > 0 else "low"
        return f"{self.feature} {very}{direction} (median {self.here:.4g}, everybody {self.everybody:.4g})"

    @property
    def slug(self) -> str:
        """The same as a part of a name."""
        direction = "high" if self.size > 0 else "low"
        return _slug(f"{self.feature}_{self.level}") if self.level else f"{direction}_{_slug(self.feature)}"


def _strongly(size: float) -> str:
    return "mostly" if size > 0 else "hardly ever"


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()


@dataclass(frozen=True, slots=True)
class SegmentProfile:
    """One learned segment.

    Attributes:
        name: made of what sets it apart most.
        n_customers: in it when segments were learned.
        share: of all customers, in [0, 1].
        found_again: mean Jaccard similarity to the most similar segment in refits on halves; below .6 it is doubtful.
        differences: the largest first, those that are notable.
    """

    name: str
    n_customers: int
    share: float
    found_again: float
    differences: tuple[Difference, ...]

    @property
    def words(self) -> str:
        """What sets it apart, in one line."""
        return "; ".join(one.words for one in self.differences) or "like everybody in every feature"


def profiles_of(
    table: pd.DataFrame, space: FeatureSpace, labels: NDArray[np.int64], found_again: Sequence[float], outside: int
) -> tuple[SegmentProfile, ...]:
    """A profile of each segment, in the order of their numbers.

    Args:
        table: one row a customer.
        space: of the features.
        labels: shape (n_customers,), the segment of each.
        found_again: of each segment.
        outside: the number of the segment that is none; -1 without one.
    """
    ranked = [_differences(table, space, labels == segment) for segment in range(len(found_again))]
    names = _names(ranked, outside)
    sizes = np.bincount(labels, minlength=len(found_again)).tolist()
    parts = zip(names, sizes, found_again, ranked, strict=True)
    return tuple(
        SegmentProfile(name, n, n / len(labels), again, tuple(one for one in found if abs(one.size) >= NOTABLE))
        for name, n, again, found in parts
    )


def _differences(table: pd.DataFrame, space: FeatureSpace, here: NDArray[np.bool_]) -> list[Difference]:
    """Of every feature, the largest first; of a category its most different level."""
    if not here.any():
        return []
    numbers = [
        _number(table, column.name, column.coordinates(table[column.name])[:, 0], here) for column in space.numbers
    ]
    levels = [_level(column, column.labels(table[column.name]), here) for column in space.levels]
    return sorted([*numbers, *levels], key=lambda one: -abs(one.size))


def _number(table: pd.DataFrame, name: str, coordinates: NDArray[np.float64], here: NDArray[np.bool_]) -> Difference:
    raw = numbers_of(table[name])
    apart = float(np.sort(coordinates[here]).mean() - np.sort(coordinates).mean())
    return Difference(name, "", round(apart, 6), _median(raw[here]), _median(raw))


def _median(values: NDArray[np.float64]) -> float:
    there = values[np.isfinite(values)]
    return float(np.median(there)) if len(there) else 0.0


def _level(column: LevelColumn, labels: Sequence[str], here: NDArray[np.bool_]) -> Difference:
    told = np.array(labels, dtype=object)
    found = []
    for level in column.levels:
        inside, overall = float((told[here] == level).mean()), float((told == level).mean())
        size = 2.0 * (np.arcsin(np.sqrt(inside)) - np.arcsin(np.sqrt(overall)))
        found.append(Difference(column.name, level, round(float(size), 6), inside, overall))
    # A name says what a segment is, rather than what it is not.
    return max(found, key=lambda one: (one.size >= NOTABLE, abs(one.size)))


def _names(ranked: Sequence[Sequence[Difference]], outside: int) -> list[str]:
    names: list[str] = []
    for segment, found in enumerate(ranked):
        if segment == outside:
            names.append(OUTSIDE)
            continue
        told = [one.slug for one in found if abs(one.size) >= NOTABLE and (one.size > 0 or not one.level)]
        name = "_".join(told[:MOST_IN_NAME])[:80] or "average"
        names.append(name)
    return [
        name if names.count(name) == 1 else f"{name}_{1 + names[:place].count(name)}"
        for place, name in enumerate(names)
    ]
