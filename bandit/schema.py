"""The context schema: what a campaign declares to know about a customer, and how it becomes features.

Each learnable field makes exactly one feature active: a category its own indicator, a number its scaled value, a missing
value an indicator of being missing. So a context is a handful of (index, weight) pairs, and the served tables of
`bandit.compiled` are small and complete.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bandit.context import Context, ContextValue, EncodedContext, is_unicode
from bandit.errors import InvalidContext, InvalidSettings
from bandit.fault import is_number, shown


class ContextField(Protocol):
    """One declared name of the context."""

    @property
    def name(self) -> str:
        """The name, as it stands in the campaign file and in the log."""

    @property
    def protected(self) -> bool:
        """Kept for the fairness audit, never a feature."""

    @property
    def required(self) -> bool:
        """Whether a missing value is refused; if not, missing is a feature of its own."""

    @property
    def personal(self) -> bool:
        """Protected, and left out of exported logs unless somebody asks for it."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the learner's features this field can make active; the last one means missing."""

    def encode(self, value: ContextValue) -> tuple[ContextValue, int, float]:
        """The value as used, which of `features` is active, and with what weight; None is not passed in."""


@dataclass(frozen=True, slots=True)
class CategoricalField:
    """One of a declared list of texts; a protected field may leave the list open."""

    name: str
    values: tuple[str, ...]
    protected: bool = False
    required: bool = False
    personal: bool = False
    features: tuple[str, ...] = field(init=False)
    _position: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", (*(f"{self.name}={v}" for v in self.values), f"{self.name}?missing"))
        object.__setattr__(self, "_position", {v: i for i, v in enumerate(self.values)})

    def encode(self, value: ContextValue) -> tuple[ContextValue, int, float]:
        """The declared text itself, its indicator, weight 1."""
        if isinstance(value, str):
            position = self._position.get(value)
            if position is not None:
                return value, position, 1.0
            if self.protected and not self.values and is_unicode(value):
                return value, 0, 1.0
        wanted = "one of " + ", ".join(self.values) if self.values else "a text"
        raise InvalidContext(_refusal(self.name, value, wanted))


@dataclass(frozen=True, slots=True)
class NumericField:
    """A finite number, clipped to [low, high] and scaled to [0, 1] for the learner."""

    name: str
    low: float
    high: float
    protected: bool = False
    required: bool = False
    personal: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.high - self.low < math.inf:
            raise InvalidSettings(
                f"range of {self.name!r} is [{self.low!r}, {self.high!r}], need two numbers, low then high, no further apart "
                "than a float can tell: values are scaled by their distance."
            )

    @property
    def features(self) -> tuple[str, ...]:
        """The scaled number, and the indicator of missing."""
        return (f"{self.name}#", f"{self.name}?missing")

    def encode(self, value: ContextValue) -> tuple[ContextValue, int, float]:
        """The clipped number, the numeric feature, and the number scaled to [0, 1]."""
        if not is_number(value):
            raise InvalidContext(_refusal(self.name, value, "a finite number (null where it is not known)"))
        clipped = min(max(float(value), self.low), self.high)
        return clipped, 0, (clipped - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class BooleanField:
    """Yes or no."""

    name: str
    protected: bool = False
    required: bool = False
    personal: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        """Indicators of true, false and missing."""
        return (f"{self.name}=true", f"{self.name}=false", f"{self.name}?missing")

    def encode(self, value: ContextValue) -> tuple[ContextValue, int, float]:
        """The value itself and its indicator."""
        if not isinstance(value, bool):
            raise InvalidContext(_refusal(self.name, value, "true or false"))
        return value, 0 if value else 1, 1.0


@dataclass(frozen=True, slots=True)
class Schema:
    """All declared fields, in file order, and the one way from a context to its active features.

    >>> schema = Schema((CategoricalField("plan", ("free", "paid")), NumericField("age", 0, 100)))
    >>> schema.encode(Context.of(plan="paid", age=25)).indices
    (1, 3)
    >>> schema.features
    ('plan=free', 'plan=paid', 'plan?missing', 'age#', 'age?missing')
    """

    fields: tuple[ContextField, ...]
    features: tuple[str, ...] = field(init=False)
    _learnable: tuple[tuple[ContextField, int], ...] = field(init=False, repr=False, compare=False)
    _lookups: tuple[tuple[str, dict[ContextValue, int]], ...] = field(init=False, repr=False, compare=False)
    _names: frozenset[str] = field(init=False, repr=False, compare=False)
    _ones: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        features: list[str] = []
        learnable = []
        for item in self.fields:
            if not item.protected:
                learnable.append((item, len(features)))
                features.extend(item.features)
        object.__setattr__(self, "features", tuple(features))
        object.__setattr__(self, "_learnable", tuple(learnable))
        object.__setattr__(self, "_lookups", tuple((item.name, _lookup(item, first)) for item, first in learnable))
        object.__setattr__(self, "_names", frozenset(item.name for item in self.fields))
        object.__setattr__(self, "_ones", (1.0,) * len(learnable))

    def __getitem__(self, name: str) -> ContextField:
        for item in self.fields:
            if item.name == name:
                return item
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    @property
    def numeric(self) -> tuple[bool, ...]:
        """For each of `features`, whether it is a number's value; the others are indicators."""
        learnable = [item for item, _ in self._learnable]
        return tuple(
            isinstance(item, NumericField) and place == 0 for item in learnable for place in range(len(item.features))
        )

    def encode(self, context: Context) -> EncodedContext:
        """Check a context and find its active features.

        Raises:
            InvalidContext: for an undeclared name, a value of the wrong type or outside the declared list, NaN, or a
                missing required value; the message names the field.
        """
        raw = context.values
        if not raw.keys() <= self._names:
            raise InvalidContext(self._undeclared(raw))
        get = raw.get
        values = {item.name: get(item.name) for item in self.fields}
        try:
            found = [lookup.get(get(name)) for name, lookup in self._lookups]
        except TypeError:  # a value that is not even hashable: a list, say
            hashable = (str, float, int, bool, type(None))
            found = [lookup.get(get(n)) if isinstance(get(n), hashable) else None for n, lookup in self._lookups]
        self._use_protected(values)
        if None not in found:
            return EncodedContext(values, tuple(found), self._ones)  # type: ignore[arg-type]
        return self._patched(values, found)

    def _patched(self, values: dict[str, ContextValue], found: list[int | None]) -> EncodedContext:
        """Ask the fields themselves where a look-up was not enough: numbers, booleans, and what must be refused."""
        indices, weights = [], list(self._ones)
        for place, ((item, first), index) in enumerate(zip(self._learnable, found, strict=True)):
            if index is None:
                values[item.name], index, weights[place] = _encoded(item, values[item.name], first)  # noqa: PLW2901
            indices.append(index)
        return EncodedContext(values, tuple(indices), tuple(weights))

    def _use_protected(self, values: dict[str, ContextValue]) -> None:
        """Protected values are checked and kept, and make no feature active."""
        if len(self._learnable) == len(self.fields):
            return
        for item in self.fields:
            if item.protected and (item.required or values[item.name] is not None):
                values[item.name] = _encoded(item, values[item.name], 0)[0]

    def _undeclared(self, raw: Mapping[str, ContextValue]) -> str:
        name = str(min(raw.keys() - self._names, key=str))[:60]
        return (
            f"context {shown(name)} is not declared in the campaign file, so the learner would never see it. "
            f"Declared: {', '.join(sorted(self._names)) or 'nothing'}. Correct the name, or add [context.{name}]."
        )


def _lookup(item: ContextField, first: int) -> dict[ContextValue, int]:
    """Where a category or a missing value leads at once; everything else is left to the field itself."""
    lookup: dict[ContextValue, int] = {}
    if isinstance(item, CategoricalField):
        lookup = {value: first + position for position, value in enumerate(item.values)}
    if not item.required:
        lookup[None] = first + len(item.features) - 1
    return lookup


def encoded_value(item: ContextField, value: ContextValue, first: int) -> tuple[ContextValue, int, float]:
    """One value of one field as `Schema.encode` uses it: the value, the feature it makes active, and its weight.

    Args:
        item: the field.
        value: as it was given.
        first: position of the field's first feature.

    Raises:
        InvalidContext: if the field refuses it.
    """
    if value is None and not item.required:
        return None, first + len(item.features) - 1, 1.0
    return _encoded(item, value, first)


def _encoded(item: ContextField, value: ContextValue, first: int) -> tuple[ContextValue, int, float]:
    if value is None:
        raise InvalidContext(
            f"context {item.name!r} is missing and declared required. Send it, or drop `required = true` so that "
            "missing becomes a value of its own."
        )
    used, position, weight = item.encode(value)
    return used, first + position, weight


def _refusal(name: str, value: object, wanted: str) -> str:
    return (
        f"context {name!r} is {shown(value)}, need {wanted}. Nothing was decided; correct the value and send it again."
    )
