"""When people look at their mail: habits of each customer over the week, and what the season does to everybody."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from bandit.schema import BooleanField, CategoricalField, ContextField, NumericField, Schema
from simulator.customers import Customers
from simulator.local_time import HOURS_OF_WEEK, Moments
from simulator.world import ImpossibleWorld, IntArray

PEAKS: Final[Mapping[str, float]] = MappingProxyType({"morning": 8.0, "lunch": 12.5, "evening": 18.5, "night": 22.0})
"""Times of day at which people look at their mail, each with the local hour at which they do so most."""
DAY_KINDS: Final = ("weekday", "weekend")
HABITS: Final = tuple(f"{day_kind} {time}" for day_kind in DAY_KINDS for time in PEAKS)
"""All habits: a kind of day and a time of day that somebody likes best."""

_HABITS, _SEASON = 211, 212  # streams of the seed, beside those of the customers
_SHARPNESS: Final = 2.0
_DAY_LIKING: Final = 0.5
_MOSTLY_WEEKDAY: Final = 0.65
_NUMERIC_BUCKETS: Final = 4
_YEAR_DAYS: Final = 365.2425


@dataclass(frozen=True, slots=True, eq=False)
class Habits:
    """How much more readily each customer responds at an hour of the week, in logits.

    Every habit is a smooth curve over the local week with mean 0 and standard deviation `size`, so that it moves
    responses between hours and not in total.

    Args:
        kinds: the habit of each customer, a position in `HABITS`, shape (n_customers,).
        size: standard deviation of a curve over the week, in logits, at least 0.

    Raises:
        ImpossibleWorld: if there is no such habit, or the size is negative or not finite.

    >>> early_bird = Habits(np.array([HABITS.index("weekday morning")]), size=0.4)
    >>> early_bird.lift(0, 8.0) > 0.4 > 0.0 > early_bird.lift(0, 20.0)
    True
    """

    kinds: IntArray
    size: float = 0.4
    _curves: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.size < math.inf:
            raise ImpossibleWorld(f"size is {self.size!r}: a standard deviation in logits, so give 0 or more.")
        if self.kinds.ndim != 1 or not np.isin(self.kinds, range(len(HABITS))).all():
            raise ImpossibleWorld(
                f"kinds are {self.kinds!r}: give one position in HABITS a customer, from 0 to {len(HABITS) - 1}."
            )
        object.__setattr__(self, "_curves", self.size * _standard_curves())

    def lift(self, place: int, hour: float) -> float:
        """The lift of one customer at one local hour of the week, in logits."""
        return float(self.lifts(np.array([place]), np.array([hour]))[0])

    def lifts(self, places: IntArray, local_hours: FloatArray) -> FloatArray:
        """Lifts of many customers, each at one hour or at several.

        Args:
            places: who, positions in the list of customers, shape (n,).
            local_hours: hours of the local week, at least 0 and below 168, shape (n,) or (n, n_arms).

        Returns:
            The shape of `local_hours`, in logits.
        """
        kinds = self.kinds[places].reshape(-1, *[1] * (local_hours.ndim - 1))
        before = np.floor(local_hours).astype(np.int64)
        share = local_hours - before
        curves = self._curves
        after = curves[kinds, (before + 1) % HOURS_OF_WEEK]
        return np.asarray((1.0 - share) * curves[kinds, before % HOURS_OF_WEEK] + share * after)


@dataclass(frozen=True, slots=True)
class Season:
    """What the time of the year and the day of the week do to everybody's responses, in logits.

    `yearly * cos(2 pi (day - peak_day) / 365.2425)` plus an effect of the local day of the week; both have mean 0 over
    their period.

    Args:
        yearly: how far the best time of the year lies above the mean.
        peak_day: when that is, in days since the first of January, in UTC.
        weekdays: one effect a day from Monday on, with sum 0.

    Raises:
        ImpossibleWorld: if a number is not finite, or there are not seven effects with sum 0.

    >>> season = Season(yearly=0.3, peak_day=340.0, weekdays=(0.1, 0.1, 0.0, 0.0, -0.1, -0.1, 0.0))
    >>> monday_in_winter = np.array(["2026-12-07T12"], dtype="datetime64[us]")
    >>> season.lifts(monday_in_winter, np.array([12.0])).round(2).tolist()
    [0.4]
    """

    yearly: float = 0.0
    peak_day: float = 0.0
    weekdays: tuple[float, ...] = (0.0,) * 7

    def __post_init__(self) -> None:
        numbers = (self.yearly, self.peak_day, *self.weekdays)
        if len(numbers) != 9 or not all(map(math.isfinite, numbers)) or abs(math.fsum(self.weekdays)) > 1e-9:
            raise ImpossibleWorld(
                f"{self!r} has no mean of 0, or no value: give finite numbers, seven of them for the days of the week, "
                "with sum 0."
            )

    def lifts(self, at: Moments, local_hours: FloatArray) -> FloatArray:
        """Lifts at many moments.

        Args:
            at: in UTC, any shape.
            local_hours: the same moments as hours of the customers' local week, at least 0 and below 168, same shape.

        Returns:
            The same shape, in logits.
        """
        days = (at - np.datetime64("2000-01-01", "us")) / np.timedelta64(1, "D")
        yearly = self.yearly * np.cos((days - self.peak_day) * (2.0 * np.pi / _YEAR_DAYS))
        weekday = np.floor(local_hours / 24.0).astype(np.int64) % 7
        return np.asarray(yearly + np.array(self.weekdays)[weekday])


def drawn_habits(schema: Schema, customers: Customers, seed: int, *, size: float = 0.4, follows: float = 0.7) -> Habits:
    """Draw a habit for every customer, in part from what is known about them, so that a learner can find it.

    Each value of one field, the first that is not protected (a category before yes or no before a number, which is
    cut into quarters of its range), has a typical habit; different values have different ones where there are enough. That
    share `follows` of the customers has the habit of their value. The rest, and those whose value is missing, have any
    time of day, and like weekdays in about two cases of three.

    Args:
        schema: of the customers' contexts.
        customers: who has habits.
        seed: of the draw, at least 0.
        size: see `Habits`.
        follows: share of the customers whose habit follows from their context, in [0, 1].

    Raises:
        ImpossibleWorld: if a number is out of its range.
    """
    if not 0.0 <= follows <= 1.0:
        raise ImpossibleWorld(f"follows is {follows!r}: a share of the customers, so give a number in [0, 1].")
    rng = np.random.default_rng((seed, _HABITS))
    buckets = _buckets(_telling_field(schema), customers.contexts)
    typical = np.resize(rng.permutation(len(HABITS)), max(int(buckets.max()) + 1, 1))
    positions = rng.random((customers.n, 3))
    on_weekends = positions[:, 0] >= _MOSTLY_WEEKDAY
    any_habit = on_weekends * len(PEAKS) + np.floor(positions[:, 1] * len(PEAKS)).astype(np.int64)
    is_typical = (positions[:, 2] < follows) & (buckets >= 0)
    return Habits(np.where(is_typical, typical[buckets], any_habit), size)


def drawn_season(seed: int, *, yearly: float = 0.3, weekday: float = 0.15) -> Season:
    """Draw when the year is at its best, and the effects of the days of the week.

    Args:
        seed: of the draw, at least 0.
        yearly: how far the best time of the year lies above the mean, in logits.
        weekday: standard deviation of the effects of the seven days, in logits.

    >>> season = drawn_season(0, weekday=0.2)
    >>> round(float(np.std(season.weekdays)), 9), season == drawn_season(0, weekday=0.2) != drawn_season(1, weekday=0.2)
    (0.2, True)
    """
    rng = np.random.default_rng((seed, _SEASON))
    peak_day = float(rng.uniform(0.0, _YEAR_DAYS))
    effects = _standardised(rng.standard_normal(7))
    return Season(yearly, peak_day, tuple((weekday * effects).tolist()))


def _standard_curves() -> FloatArray:
    """One curve a habit over the hours of the week, mean 0 and standard deviation 1, shape (n_habits, 168)."""
    hours = np.arange(HOURS_OF_WEEK)
    weekend = _smooth((hours >= 5 * 24).astype(np.float64)) * 2.0 - 1.0
    curves = []
    for liking in (-_DAY_LIKING, _DAY_LIKING):
        for peak in PEAKS.values():
            time_of_day = np.exp(_SHARPNESS * (np.cos((hours - peak) * (2.0 * np.pi / 24.0)) - 1.0))
            curves.append(_standardised((1.0 + liking * weekend) * (time_of_day + 0.3)))
    return np.stack(curves)


def _smooth(weekly: FloatArray) -> FloatArray:
    """The same without jumps: a mean over some hours around, with weights of a bell, across the end of the week."""
    around = np.arange(-9, 10)
    weights = np.exp(-0.5 * (around / 3.0) ** 2)
    return np.asarray(sum(w * np.roll(weekly, step) for w, step in zip(weights / weights.sum(), around, strict=True)))


def _standardised(values: FloatArray) -> FloatArray:
    centred = values - values.mean()
    return np.asarray(centred / centred.std())


def _telling_field(schema: Schema) -> ContextField | None:
    """The field that habits follow, or None where nothing is known that may move a response."""
    fields = [item for item in schema.fields if not item.protected]
    for kind in (CategoricalField, BooleanField, NumericField):
        for item in fields:
            if isinstance(item, kind):
                return item
    return None


def _buckets(item: ContextField | None, contexts: Sequence[Mapping[str, ContextValue]]) -> IntArray:
    """In which part of the field's values each customer is, -1 where that is not known, shape (n,)."""
    if item is None:
        return np.full(len(contexts), -1)
    return np.array([_bucket(item, context.get(item.name)) for context in contexts], dtype=np.int64)


def _bucket(item: ContextField, value: ContextValue) -> int:
    if value is None:
        return -1
    _, position, weight = item.encode(value)
    if isinstance(item, NumericField):
        return min(int(weight * _NUMERIC_BUCKETS), _NUMERIC_BUCKETS - 1)
    return position
