"""Classification as a bandit: the right class is rewarded, and only the chosen one is known to be right or wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta

import numpy as np

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from simulator.click_world import ArmFeatures, arrivals_of, click_if
from simulator.response import Attributes
from simulator.world import Arrival, ChoiceGrid, ImpossibleWorld, IntArray, SimulatedOutcome

DIMENSION = "label"


@dataclass(frozen=True, slots=True, eq=False)
class MulticlassWorld:
    """A world from a data set: contexts are its rows, drawn with replacement, and each class is an arm.

    Args:
        seed: of the draw of rows and of the luck, at least 0.
        features: shape (n_rows, n_columns), in any units; scaled to [0, 1] column by column.
        labels: shape (n_rows,), from 0 to the number of classes less 1.
        n_customers: how many rows are drawn.
        low: probability of a click for a wrong class.
        high: the same for the right class.

    Raises:
        ImpossibleWorld: if the arrays do not fit together, hold NaN, or two equal rows have different labels; or if the
            probabilities are not in order.

    >>> world = MulticlassWorld(0, np.array([[1.0], [3.0]]), np.array([0, 1]), n_customers=5)
    >>> world.best_choice({"f0": 1.0})
    ({'label': '1'}, 1.0)
    """

    seed: int
    features: FloatArray = field(repr=False)
    labels: IntArray = field(repr=False)
    _: KW_ONLY
    n_customers: int
    low: float = 0.0
    high: float = 1.0
    window: timedelta = timedelta(hours=1)
    choices: ChoiceGrid = field(init=False, repr=False)
    attributes: Attributes = field(init=False, repr=False)
    contexts: Sequence[Mapping[str, ContextValue]] = field(init=False, repr=False)
    arm_features: ArmFeatures = field(init=False, repr=False, default_factory=dict)
    _label_of: dict[tuple[ContextValue, ...], int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check()
        least, largest = self.features.min(axis=0), self.features.max(axis=0)
        scaled = ((self.features - least) / np.where(largest > least, largest - least, 1.0)).tolist()
        names = [f"f{column}" for column in range(self.features.shape[1])]
        drawn = np.random.default_rng(self.seed).integers(len(scaled), size=self.n_customers).tolist()
        for name, value in {
            "choices": ChoiceGrid({DIMENSION: [str(k) for k in range(int(self.labels.max()) + 1)]}),
            "attributes": Attributes({}, dict.fromkeys(names, (0.0, 1.0))),
            "contexts": [dict(zip(names, scaled[row], strict=True)) for row in drawn],
            "_label_of": dict(zip(map(tuple, scaled), self.labels.tolist(), strict=True)),
        }.items():
            object.__setattr__(self, name, value)
        if any(self._label_of[tuple(row)] != label for row, label in zip(scaled, self.labels.tolist(), strict=True)):
            raise ImpossibleWorld("two equal rows have different labels, so no true reward exists: drop one of them.")

    def arrivals(self, n_sends: int) -> Iterator[Arrival]:
        """One send a minute, each to the next row drawn.

        Raises:
            ImpossibleWorld: at the first arrival, if the number is negative.
        """
        return arrivals_of(self.contexts, n_sends)

    def react(self, arrival: Arrival, choice: Mapping[str, str], *, decision_id: str) -> tuple[SimulatedOutcome, ...]:
        """The click, if there is one; the luck depends on the seed and the decision_id only.

        Raises:
            ImpossibleWorld: if the context is no row, or the choice no class.
        """
        return click_if(self.expected_reward(arrival.context, choice), self.seed, arrival, decision_id)

    def expected_reward(self, context: Mapping[str, ContextValue], choice: Mapping[str, str]) -> float:
        """The probability of a click: `high` for the right class, `low` for the others.

        Raises:
            ImpossibleWorld: if the context is no row, or the choice no class.
        """
        return self.high if self.choices.index(choice) == self._label(context) else self.low

    def expected_rewards(self, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
        """The probability of a click after every choice, shape (n_contexts, n_choices).

        Raises:
            ImpossibleWorld: if a context is no row.
        """
        labels = np.array([self._label(context) for context in contexts], dtype=np.int64)
        return np.where(labels[:, None] == np.arange(len(self.choices)), self.high, self.low)

    def best_choice(self, context: Mapping[str, ContextValue]) -> tuple[dict[str, str], float]:
        """The right class, and its probability of a click."""
        return self.choices.at(self._label(context)), self.high

    def uniform_value(self, context: Mapping[str, ContextValue]) -> float:
        """The mean probability of a click when every class is equally probable; the same for everybody."""
        self._label(context)
        return self.low + (self.high - self.low) / len(self.choices)

    def _label(self, context: Mapping[str, ContextValue]) -> int:
        label = self._label_of.get(tuple(context.get(name) for name in self.attributes.ranges))
        if label is None:
            raise ImpossibleWorld(
                f"context {dict(context)!r} is no row of the data, so nobody knows its class: use this world's arrivals."
            )
        return label

    def _check(self) -> None:
        n_rows = len(self.labels)
        if self.features.ndim != 2 or len(self.features) != n_rows or not self.features.size:
            raise ImpossibleWorld(f"features have shape {self.features.shape} for {n_rows} labels: give a row a label.")
        if not np.isfinite(self.features).all() or self.labels.min() < 0 or self.labels.max() < 1:
            raise ImpossibleWorld("features must be finite, and labels count classes from 0, at least two of them.")
        if not 0.0 <= self.low < self.high <= 1.0 or self.n_customers < 1:
            raise ImpossibleWorld(
                f"low {self.low}, high {self.high}, n_customers {self.n_customers}: give probabilities in order, "
                "and at least one customer."
            )
