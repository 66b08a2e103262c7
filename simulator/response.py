"""How probable each reaction is: a logit model over customer, arms, and how they fit together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from simulator.world import ChoiceGrid, ImpossibleWorld

EVENT_TYPES: Final = ("click", "conversion", "unsubscribe", "complaint")
"""What a customer may do. The conversion's probability is that given a click; the others are independent."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """Context fields that may move a response; all others are ignored, whatever they hold.

    Args:
        categories: categorical field to its values, from least to most where they have an order.
        ranges: numeric field to its least and largest value.

    Raises:
        ImpossibleWorld: if a categorical field has no values or one twice, or a range is empty.
    """

    categories: Mapping[str, tuple[str, ...]]
    ranges: Mapping[str, tuple[float, float]]

    def __post_init__(self) -> None:
        wrong: dict[str, object] = {n: v for n, v in self.categories.items() if not v or len(set(v)) < len(v)}
        wrong |= {name: ends for name, ends in self.ranges.items() if not -math.inf < ends[0] < ends[1] < math.inf}
        if wrong:
            raise ImpossibleWorld(
                f"attributes {wrong!r}: effects are drawn a value or a range, so list each value once (at least one), "
                "and give ranges as (least, largest)."
            )

    def codes(self, context: Mapping[str, ContextValue]) -> list[int]:
        """Number of the value of each categorical field.

        Raises:
            ImpossibleWorld: if a field is absent or holds a value that the field does not have.
        """
        try:
            return [values.index(context[name]) for name, values in self.categories.items()]
        except (KeyError, ValueError):
            wrong = {name: context.get(name) for name, v in self.categories.items() if context.get(name) not in v}
            known = "; ".join(f"{name}: {', '.join(self.categories[name])}" for name in wrong)
            raise ImpossibleWorld(
                f"context has {wrong!r}, for which this world has no effect, so no true reward exists. "
                f"Use contexts of its own arrivals. {known}."
            ) from None

    def positions(self, context: Mapping[str, ContextValue]) -> list[float]:
        """Place of each numeric field in its range, from -1/2 to 1/2; missing values stand in the middle.

        Raises:
            ImpossibleWorld: if a field holds something that is not a finite number.
        """
        return [_position(name, context.get(name), low, high) for name, (low, high) in self.ranges.items()]


def _position(name: str, value: ContextValue, low: float, high: float) -> float:
    if value is None:
        return 0.0
    if isinstance(value, str) or not math.isfinite(value):
        raise ImpossibleWorld(f"context {name} is {value!r}, so no true reward exists: give a finite number or None.")
    return min(max((value - low) / (high - low), 0.0), 1.0) - 0.5


@dataclass(frozen=True, slots=True, eq=False)
class ResponseModel:
    """Exact probability of every event for every customer and choice.

    logit P(event) = base + attributes + sum of arms + sum of (categorical value x arm) + sum of (arm x arm of another
    dimension). Arms of all dimensions are numbered one after the other, `n_arms` in all.

    Args:
        choices: the choices, numbered.
        attributes: the context fields that matter.
        choice_logits: shape (n_choices, n_events): base, arms and pairs of arms.
        value_logits: categorical field to shape (n_values, n_arms + 1, n_events): the effect of a value with each
            arm, and in the last row the effect it has whatever is chosen.
        numeric_logits: shape (n_numeric, n_events): the rise from one end of the range to the other.
    """

    choices: ChoiceGrid
    attributes: Attributes
    choice_logits: FloatArray
    value_logits: Mapping[str, FloatArray]
    numeric_logits: FloatArray

    def probabilities(self, context: Mapping[str, ContextValue], choice: Mapping[str, str]) -> tuple[float, ...]:
        """Probability of each event type, in the order of `EVENT_TYPES`; the conversion's is that given a click.

        Raises:
            ImpossibleWorld: if the context or the choice is not one of this world's.
        """
        number, first, rows = 0, 0, []
        for place, size in zip(self.choices.places(choice), self.choices.shape, strict=True):
            number = number * size + place
            rows.append(first + place)
            first += size
        rows.append(first)
        logits = self.choice_logits[number] + np.add.reduce(self._values(context).take(rows, axis=0))
        logits += np.array(self.attributes.positions(context)) @ self.numeric_logits
        return tuple([1.0 / (1.0 + math.exp(-logit)) for logit in logits.tolist()])

    def probability_grid(self, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
        """Probability of each event type for every context and choice, as `probabilities`.

        Odds are products where logits are sums, so one exponential per effect is enough, and the grid itself costs a
        few multiplications.

        Args:
            contexts: each with the fields of `attributes`.

        Returns:
            Shape (n_events, n_contexts, n_choices).
        """
        n, n_events = len(contexts), len(EVENT_TYPES)
        values = np.stack([self._values(context) for context in contexts])
        positions = np.array([self.attributes.positions(context) for context in contexts])
        factors = np.exp(-np.moveaxis(values, -1, 0))
        against = factors[:, :, -1:] * np.exp(-(positions @ self.numeric_logits).T)[:, :, None]
        ends = np.cumsum(self.choices.shape)
        for factor in np.split(factors[:, :, :-1], ends[:-1], axis=2):
            against = (against[:, :, :, None] * factor[:, :, None, :]).reshape(n_events, n, -1)
        against *= np.exp(-np.ascontiguousarray(self.choice_logits.T))[:, None, :]
        against += 1.0
        np.reciprocal(against, out=against)
        return against

    def _values(self, context: Mapping[str, ContextValue]) -> FloatArray:
        """Effects of the categorical values with each arm and, last, with all, shape (n_arms + 1, n_events)."""
        total = np.zeros((sum(self.choices.shape) + 1, len(EVENT_TYPES)))
        for code, table in zip(self.attributes.codes(context), self.value_logits.values(), strict=True):
            total += table[code]
        return total
