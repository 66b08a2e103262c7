"""What customers like: a logit model of every step of the funnel over context, arms, and how they fit together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import numpy as np
from scipy.special import expit

from bandit.arrays import FloatArray
from bandit.context import Context, ContextValue
from bandit.schema import Schema
from simulator.funnel import Funnel, Role
from simulator.world import ChoiceGrid, ImpossibleWorld, IntArray

MOST_CHOICES: Final = 50_000
"""More have no exact truth here: the best of them all is looked up for every send."""

_SHARES: Final[Mapping[Role, float]] = MappingProxyType(
    {
        Role.OPEN: 0.75,
        Role.CLICK: 0.75,
        Role.CONVERSION: 0.5,
        Role.UNSUBSCRIBE: 0.5,
        Role.COMPLAINT: 0.5,
        Role.OTHER: 1.0,
    }
)
"""How large the effects on each step are; opening and clicking share what moves a click."""

_NUMERIC_BOOST = 3.0
"""A number's place in its range varies by about 0.3, an indicator's value by 1."""


@dataclass(frozen=True, slots=True)
class TasteSizes:
    """How large drawn effects are: standard deviations over customers or arms, in logits.

    Args:
        customer: of what a context does whatever is chosen.
        arm: of an arm, whoever receives it.
        fit: of what a context does to one arm.
        pair: of two arms of different dimensions together.

    Raises:
        ImpossibleWorld: if one is negative or not finite.
    """

    customer: float = 0.35
    arm: float = 0.08
    fit: float = 0.20
    pair: float = 0.05

    def __post_init__(self) -> None:
        if not all(0.0 <= size < math.inf for size in (self.customer, self.arm, self.fit, self.pair)):
            raise ImpossibleWorld(f"{self!r}: standard deviations, so give finite numbers of at least 0.")


@dataclass(frozen=True, slots=True, eq=False)
class Tastes:
    """Exact probability of every step for every customer and choice.

    logit P(step, given the one it needs) = base + context + sum of arms + sum of (context x arm) + sum of pairs of arms of
    different dimensions. Arms of all dimensions are numbered one after the other, `n_arms` in all.

    Args:
        choices: the choices, numbered.
        base: shape (n_steps,).
        customer: of the features of a context, shape (n_features, n_steps).
        arms: shape (n_arms, n_steps).
        fit: shape (n_features, n_arms, n_steps).
        pairs: two dimensions' positions to shape (n_arms of one, n_arms of the other, n_steps).

    Raises:
        ImpossibleWorld: if there are more choices than exact truth is worked out for.
    """

    choices: ChoiceGrid
    base: FloatArray
    customer: FloatArray
    arms: FloatArray
    fit: FloatArray
    pairs: Mapping[tuple[int, int], FloatArray]
    pair_logits: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.choices) > MOST_CHOICES:
            raise ImpossibleWorld(
                f"the campaign has {len(self.choices)} choices: exact truth looks at each for every send, and "
                f"{MOST_CHOICES} are the most. Rehearse with fewer arms or dimensions."
            )
        object.__setattr__(self, "pair_logits", self._pair_logits())

    @property
    def firsts(self) -> list[int]:
        """Where each dimension's arms begin."""
        return list(itertools.accumulate(self.choices.shape[:-1], initial=0))

    def rows(self, features: FloatArray) -> FloatArray:
        """Logits of each customer with each arm and, in the last column, whatever is chosen.

        Args:
            features: shape (n, n_features); see `features_of`.

        Returns:
            Shape (n_steps, n, n_arms + 1); pairs of arms are not in it.
        """
        n_features, n_arms, n_steps = self.fit.shape
        with_arms = features @ self.fit.reshape(n_features, n_arms * n_steps)
        alone = features @ self.customer + self.base
        together = [with_arms.reshape(len(features), n_arms, n_steps) + self.arms, alone[:, None]]
        return np.ascontiguousarray(np.concatenate(together, axis=1).transpose(2, 0, 1))

    def grid(self, rows: FloatArray) -> FloatArray:
        """Probability of each step, given the one it needs, for every customer and choice.

        Odds are products where logits are sums, so that a grid costs a few multiplications.

        Returns:
            Shape (n_steps, n, n_choices).
        """
        n_steps, n, _ = rows.shape
        factors = np.exp(-rows)
        against = factors[:, :, -1:]
        with np.errstate(over="ignore"):  # odds past what a float holds are a probability of 0, which they become
            for factor in np.split(factors[:, :, :-1], self.firsts[1:], axis=2):
                against = (against[:, :, :, None] * factor[:, :, None, :]).reshape(n_steps, n, -1)
            if self.pairs:
                against *= np.exp(-self.pair_logits)[:, None, :]
        against += 1.0
        np.reciprocal(against, out=against)
        return against

    def of_choices(self, rows: FloatArray, places: IntArray) -> FloatArray:
        """The same for one choice a row.

        Args:
            rows: shape (n_steps, n, n_arms + 1).
            places: of each dimension's arm, shape (n, n_dimensions).

        Returns:
            Shape (n_steps, n).
        """
        return np.asarray(expit(self.logits_of_choices(rows, np.arange(len(places)), places)))

    def logits_of_choices(self, rows: FloatArray, who: IntArray, places: IntArray) -> FloatArray:
        """Logits of pairs of a row and a choice.

        Args:
            rows: shape (n_steps, n, n_arms + 1).
            who: the row of each pair, shape (n_pairs,).
            places: of each dimension's arm in each pair, shape (n_pairs, n_dimensions).

        Returns:
            Shape (n_steps, n_pairs).
        """
        logits = rows[:, who, -1] + self.pair_logits[:, np.ravel_multi_index(tuple(places.T), self.choices.shape)]
        for first, column in zip(self.firsts, places.T, strict=True):
            logits += rows[:, who, first + column]
        return logits

    def only(self, choices: ChoiceGrid) -> Tastes:
        """The same tastes where fewer arms are offered, or the same in another order.

        Raises:
            ImpossibleWorld: if an arm or a dimension is not one of these.
        """
        kept = [_kept(self.choices, choices, name) for name in self.choices.dimensions]
        columns = [first + place for first, places in zip(self.firsts, kept, strict=True) for place in places]
        pairs = {(d, e): table[np.ix_(kept[d], kept[e])] for (d, e), table in self.pairs.items()}
        return replace(self, choices=choices, arms=self.arms[columns], fit=self.fit[:, columns], pairs=pairs)

    def _pair_logits(self) -> FloatArray:
        n_dimensions = len(self.choices.shape)
        total = np.zeros((*self.choices.shape, len(self.base)))
        for (d, e), table in self.pairs.items():
            shape = [k if axis in {d, e} else 1 for axis, k in enumerate(self.choices.shape)]
            total += table.reshape([*shape, len(self.base)])
        return np.ascontiguousarray(np.moveaxis(total, n_dimensions, 0).reshape(len(self.base), -1))


def draw_tastes(
    rng: np.random.Generator, choices: ChoiceGrid, schema: Schema, funnel: Funnel, sizes: TasteSizes
) -> Tastes:
    """Draw every effect; bases are 0 until `simulator.calibration` sets them.

    Args:
        rng: where the effects are drawn from.
        choices: what may be chosen.
        schema: whose features matter; protected fields have none.
        funnel: the steps.
        sizes: how large the effects are.
    """
    shares = np.array([_SHARES[step.role] for step in funnel.steps])
    numeric, n_fields = np.array(schema.numeric, dtype=np.bool_), sum(not item.protected for item in schema.fields)
    # One feature a field is active, so effects of sd 1/sqrt(n_fields) add up to sd 1 over the customers.
    scale = np.where(numeric, _NUMERIC_BOOST, 1.0) / math.sqrt(max(n_fields, 1))
    n_features, n_arms, n_steps = len(scale), sum(choices.shape), len(shares)
    customer = rng.normal(0.0, sizes.customer, (n_features, n_steps)) * scale[:, None] * shares
    arms = rng.normal(0.0, sizes.arm, (n_arms, n_steps)) * shares
    fit = rng.normal(0.0, sizes.fit, (n_features, n_arms, n_steps)) * scale[:, None, None] * shares
    pairs = {
        (d, e): rng.normal(0.0, sizes.pair, (choices.shape[d], choices.shape[e], n_steps)) * shares
        for d, e in itertools.combinations(range(len(choices.shape)), 2)
        if sizes.pair
    }
    return Tastes(choices, np.zeros(n_steps), customer, arms, fit, pairs)


def redrawn(rng: np.random.Generator, tastes: Tastes, schema: Schema, funnel: Funnel, sizes: TasteSizes) -> Tastes:
    """The same customers with other preferences: what arms do, and for whom, is drawn again."""
    other = draw_tastes(rng, tastes.choices, schema, funnel, sizes)
    return replace(tastes, arms=other.arms, fit=other.fit)


def centred(tastes: Tastes, features: FloatArray) -> Tastes:
    """The same with no arm better than its own effect says: what it gains with some customers it loses with others."""
    return replace(tastes, arms=tastes.arms - np.tensordot(features.mean(axis=0), tastes.fit, axes=1))


def features_of(schema: Schema, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
    """The learnable part of contexts: indicators, and numbers by their place in the range from -1/2 to 1/2.

    Returns:
        Shape (n_contexts, n_features), in the order of `schema.features`. A missing number stands in the middle, and has
        an indicator of its own.
    """
    features = np.zeros((len(contexts), len(schema.features)))
    middles = [0.5 * is_number for is_number in schema.numeric]
    for row, context in zip(features, contexts, strict=True):
        encoded = schema.encode(Context(context))
        values = zip(encoded.indices, encoded.weights, strict=True)
        row[list(encoded.indices)] = [weight - middles[index] for index, weight in values]
    return features


def _kept(before: ChoiceGrid, after: ChoiceGrid, name: str) -> list[int]:
    known = {arm: place for place, arm in enumerate(before.dimensions[name])}
    wanted = after.dimensions.get(name, ())
    if not wanted or not set(wanted) <= set(known) or len(before.dimensions) != len(after.dimensions):
        raise ImpossibleWorld(
            f"dimension {name!r} has arms {', '.join(wanted) or 'no'} of {', '.join(known)}: an arm nobody has a taste for "
            "has no true reward. Offer some arms of each of the world's dimensions, and no others."
        )
    return [known[arm] for arm in wanted]
