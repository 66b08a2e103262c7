"""Wear-out: what a customer got lately, as features, so that an arm sent again and again scores less, and recovers.

Of each arm the engine works out from its own log how many days ago the customer last got it (*recency*) and how often
within the window (*frequency*). Both stand in the row that used them, so a pmf can be made again from the row alone.
They become the same few features whichever arm it is, one set a dimension: how fast subject lines wear out and recover is
learned from all of them together. One more set, of the latest send whatever it carried, takes up what mailing somebody
often does by itself, so that it is not laid at an arm's door.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np

from bandit.arrays import FloatArray
from bandit.dimension import Dimension
from bandit.errors import InvalidSettings

WEAR = "W"
"""Namespace of the features; dimensions have small letters, the context has C."""
_ANY = "*"
"""Whose features those of the latest send are; no dimension can be called so."""
DAY = timedelta(days=1)
SHORTEST, LONGEST = DAY, 366 * DAY
_NOTHING = timedelta(0)


class PastSend(NamedTuple):
    """One earlier send to a customer: when it was decided, and the arm of each dimension by name."""

    at: datetime
    choice: Mapping[str, str]


class Exposure(NamedTuple):
    """How lately and how often a customer got one arm before a decision.

    Attributes:
        dimension, arm: positions in the campaign.
        recency: days since the customer last got it, above 0.
        frequency: times within the window, at least 1.
    """

    dimension: int
    arm: int
    recency: float
    frequency: int


@dataclass(frozen=True, slots=True)
class WearOut:
    """The `[wear_out]` table: for how long an earlier send counts.

    Recency is told by a few ramps over the days: all begin at 1 and fade to 0, the first over the whole window, the next over
    half of it, and so on, so that what wears off comes back by any curve that ends in "as if never sent", and what is seldom
    seen (two sends in an hour) is thought to be at least as bad as what is often seen. Frequency counts by its logarithm,
    and fades as recency grows.

    Raises:
        InvalidSettings: if the window is not between 1 day and 366.

    >>> spec = WearOut(timedelta(days=30))
    >>> spec.features
    ('recency/1', 'recency/2', 'recency/4', 'recency/8', 'recency/16', 'frequency')
    >>> [round(value, 2) for value in spec.values(recency=6.0, frequency=2)]
    [0.8, 0.6, 0.2, 0.0, 0.0, 0.8]
    """

    window: timedelta = 30 * DAY
    features: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not SHORTEST <= self.window <= LONGEST:
            raise InvalidSettings(f"the window of wear-out is {self.window}, need 1 to 366 days.")
        n_ramps = max(1, round(math.log2(self.window / DAY)))
        ramps = tuple(f"recency/{2**ramp}" for ramp in range(n_ramps))
        object.__setattr__(self, "features", (*ramps, "frequency"))

    def values(self, recency: float, frequency: int) -> list[float]:
        """Values of `features`; all of them fade to 0 at the window's end."""
        gone = recency / (self.window / DAY)
        ramps = [max(0.0, 1.0 - gone * 2.0**ramp) for ramp in range(len(self.features) - 1)]
        return [*ramps, math.log2(frequency) * max(0.0, 1.0 - gone)]

    def values_of_many(self, recencies: FloatArray, frequencies: Sequence[int]) -> FloatArray:
        """The same for many exposures at once, shape (n_exposures, n_features)."""
        gone = recencies / (self.window / DAY)
        ramps = [np.maximum(0.0, 1.0 - gone * 2.0**ramp) for ramp in range(len(self.features) - 1)]
        often = np.array([math.log2(frequency) for frequency in frequencies])
        return np.stack([*ramps, often * np.maximum(0.0, 1.0 - gone)], axis=-1)

    def names(self, dimensions: Sequence[str]) -> tuple[str, ...]:
        """Names of all features of a campaign: those of the latest send, then those of each dimension."""
        return tuple(f"{whose}:{name}" for whose in (_ANY, *dimensions) for name in self.features)


def exposures_of(
    dimensions: Sequence[Dimension], spec: WearOut, past: Iterable[PastSend], at: datetime
) -> tuple[Exposure, ...]:
    """What a customer got of each arm within the window before a decision.

    Args:
        dimensions: of the campaign; arms and dimensions it does not have are passed over.
        spec: the window.
        past: earlier sends in any order; those outside the window and those not before `at` do not count, nor do choices
            that sent nothing.
        at: the time of the decision.

    Returns:
        One entry an arm that was sent, in the order of dimensions and arms.

    >>> from datetime import UTC
    >>> from bandit.dimension import Arm
    >>> subjects = Dimension("subject", (Arm("plain"), Arm("champion")))
    >>> noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    >>> past = [PastSend(noon - days * DAY, {"subject": "champion"}) for days in (2, 5, 90)]
    >>> exposures_of([subjects], WearOut(), past, noon)
    (Exposure(dimension=0, arm=1, recency=2.0, frequency=2),)
    """
    found: dict[tuple[int, int], tuple[float, int]] = {}
    places = [(d, dimension.name, dimension.places) for d, dimension in enumerate(dimensions)]
    silent = [(dimension.name, dimension.silent) for dimension in dimensions if dimension.silent is not None]
    for send in past:
        age = at - send.at
        if not _NOTHING < age < spec.window:
            continue
        days, choice = age / DAY, send.choice
        if silent and any(choice.get(name) == arm for name, arm in silent):
            continue
        for d, name, positions in places:
            arm = positions.get(choice.get(name, ""))
            if arm is not None:
                recency, frequency = found.get((d, arm), (days, 0))
                found[d, arm] = min(recency, days), frequency + 1
    return tuple(Exposure(d, arm, *found[d, arm]) for d, arm in sorted(found))


def latest(exposures: Sequence[Exposure]) -> tuple[float, int] | None:
    """Recency and frequency of any send at all, from the exposures of the first dimension, of which each send has one.

    Sends whose arm of the first dimension the campaign no longer has are passed over.
    """
    sends = [(exposure.recency, exposure.frequency) for exposure in exposures if exposure.dimension == 0]
    if not sends:
        return None
    return min(recency for recency, _ in sends), sum(frequency for _, frequency in sends)


def moved_exposures(
    exposures: Sequence[Exposure], before: Sequence[Dimension], after: Sequence[Dimension]
) -> tuple[Exposure, ...]:
    """The same exposures under another campaign's positions; arms it does not have are left out."""
    places = {dimension.name: d for d, dimension in enumerate(after)}
    moved = []
    for exposure in exposures:
        dimension = before[exposure.dimension]
        arm, place = dimension.ids[exposure.arm], places.get(dimension.name)
        if place is not None and arm in after[place]:
            moved.append(exposure._replace(dimension=place, arm=after[place].index_of(arm)))
    return tuple(sorted(moved))


class Worn:
    """What exposures add to linear predictions, from weights that were read out; see `bandit.compiled.Tables`.

    Never to an arm's advantage. Arms are sent again to those whom they suit, so "was sent before" also says "suits", better
    than the model knows yet: believed, it would send the same again, and say so the louder.

    Args:
        spec: the campaign's.
        weights: shape (1 + n_dimensions, n_models, n_features) as nested lists: the latest send, then each dimension.
        starts: the first column of each dimension's arms.
        worths: of each model's outcome; what is unwanted may become more likely, and nothing else.
    """

    __slots__ = ("_signs", "_spec", "_starts", "_weights")

    def __init__(
        self,
        spec: WearOut,
        weights: Sequence[Sequence[Sequence[float]]],
        starts: Sequence[int],
        worths: Sequence[float],
    ) -> None:
        self._spec, self._weights, self._starts = spec, weights, starts
        self._signs = [-1.0 if worth < 0.0 else 1.0 for worth in worths]

    def added(self, exposures: Sequence[Exposure]) -> list[tuple[int, list[float]]]:
        """Column of the tables, and what each model adds to it."""
        sends = latest(exposures)
        found = [] if sends is None else [(0, self._sums(0, *sends))]
        for d, arm, recency, frequency in exposures:
            sums = self._sums(d + 1, recency, frequency)
            lost = [sign * min(sign * added, 0.0) for sign, added in zip(self._signs, sums, strict=True)]
            found.append((self._starts[d] + arm, lost))
        return found

    def add_to_many(self, linear: FloatArray, exposures: Sequence[Sequence[Exposure]]) -> None:
        """Add it to the linear predictions of many customers, in place.

        Args:
            linear: shape (n, n_models, 1 + n_arms).
            exposures: of each customer.
        """
        sends = [(row, *found) for row, found in enumerate(map(latest, exposures)) if found]
        if sends:
            rows, recencies, frequencies = zip(*sends, strict=True)
            linear[list(rows), :, 0] += self._sums_of_many([0] * len(rows), recencies, frequencies)
        # Somebody may have got arms of later dimensions alone: that of the first may have been retired since.
        every = [(row, *exposure) for row, found in enumerate(exposures) for exposure in found]
        if not every:
            return
        rows, dimensions, arms, recencies, frequencies = zip(*every, strict=True)
        sums, signs = self._sums_of_many([d + 1 for d in dimensions], recencies, frequencies), np.array(self._signs)
        columns = [self._starts[d] + arm for d, arm in zip(dimensions, arms, strict=True)]
        linear[list(rows), :, columns] += signs * np.minimum(signs * sums, 0.0)

    def _sums_of_many(self, whose: Sequence[int], recencies: Sequence[float], frequencies: Sequence[int]) -> FloatArray:
        """Shape (n_exposures, n_models)."""
        values = self._spec.values_of_many(np.array(recencies), frequencies)
        weights = np.array(self._weights)[list(whose)]
        sums = np.zeros(weights.shape[:2])
        for feature in range(values.shape[1]):
            sums += weights[:, :, feature] * values[:, feature, None]
        return sums

    def _sums(self, whose: int, recency: float, frequency: int) -> list[float]:
        values = self._spec.values(recency, frequency)
        return [sum(w * v for w, v in zip(model, values, strict=True)) for model in self._weights[whose]]
