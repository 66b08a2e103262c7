"""A world of one reaction, the click, made for learning curves: every send goes to somebody new, and the click is at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from bandit.dimension import ArmFeature
from simulator.response import Attributes
from simulator.world import Arrival, ChoiceGrid, ImpossibleWorld, SimulatedOutcome, luck

CLICK = "click"
"""The only thing a customer may do here; it is worth 1.0."""

START = datetime(2026, 1, 5, tzinfo=UTC)
BETWEEN_SENDS = timedelta(minutes=1)

ArmFeatures = Mapping[str, Mapping[str, Mapping[str, ArmFeature]]]
"""Dimension to arm to what the campaign file declares of the arm."""

_CHUNK = 128  # contexts at a time: 2 MB of logits with 1,920 choices, which stays in the cache


@dataclass(frozen=True, slots=True, eq=False)
class ClickEffects:
    """What moves the logit of a click; arms of all dimensions are numbered one after the other, `n_arms` in all.

    logit = base + features @ customer + sum over the chosen arms of (arms + features @ fit) + sum over pairs of
    dimensions of their pair's entry.

    Args:
        base: the logit of nobody in particular.
        customer: shape (n_features,): what a feature adds whatever is chosen.
        arms: shape (n_arms,).
        fit: shape (n_features, n_arms): what a feature adds with an arm.
        pairs: (dimension, later dimension), by number, to shape (n_arms of one, n_arms of the other).
    """

    base: float
    customer: FloatArray
    arms: FloatArray
    fit: FloatArray
    pairs: Mapping[tuple[int, int], FloatArray] = field(default_factory=dict)

    def customer_logits(self, features: FloatArray) -> FloatArray:
        """What does not depend on the choice; shape (..., ) for features of shape (..., n_features)."""
        logits: FloatArray = self.base + features @ self.customer
        return logits

    def arm_logits(self, features: FloatArray) -> FloatArray:
        """What each arm adds, alone; shape (..., n_arms)."""
        logits: FloatArray = self.arms + features @ self.fit
        return logits


@dataclass(frozen=True, slots=True, eq=False)
class ClickWorld:
    """Customers who click or not, with known probabilities.

    Send number n goes to customer number n, as long as there are customers; after that they return in the same order. No
    delay is drawn: how long a policy waits for its rewards is up to whoever rehearses it.

    Args:
        seed: of the luck, at least 0.
        choices: what may be sent.
        attributes: the context fields; features are an indicator a category, then the numbers, scaled to [0, 1].
        contexts: of each customer, in the order of the sends.
        effects: what moves the clicks.
        arm_features: what a campaign file may declare of the arms; nothing here depends on it.

    Raises:
        ImpossibleWorld: if there are no customers, or the effects do not fit the attributes or the choices.
    """

    seed: int
    choices: ChoiceGrid
    attributes: Attributes
    contexts: Sequence[Mapping[str, ContextValue]] = field(repr=False)
    effects: ClickEffects = field(repr=False)
    _: KW_ONLY
    arm_features: ArmFeatures = field(default_factory=dict, repr=False)
    window: timedelta = timedelta(hours=1)
    _starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.contexts:
            raise ImpossibleWorld("contexts is empty, so nobody can be sent anything: give at least one customer.")
        starts = (0, *np.cumsum(self.choices.shape).tolist())
        wanted = (n_features(self.attributes), starts[-1])
        sizes = (self.effects.customer.size, self.effects.arms.size)
        if self.effects.fit.shape != wanted or sizes != wanted:
            raise ImpossibleWorld(
                f"effects are of {sizes[0]} features and {sizes[1]} arms, fit has shape {self.effects.fit.shape}: this "
                f"world has {wanted[0]} features and {wanted[1]} arms. Draw the effects for these attributes and choices."
            )
        object.__setattr__(self, "_starts", starts)

    def arrivals(self, n_sends: int) -> Iterator[Arrival]:
        """One send a minute, each to the next customer.

        Raises:
            ImpossibleWorld: at the first arrival, if the number is negative.
        """
        return arrivals_of(self.contexts, n_sends)

    def react(self, arrival: Arrival, choice: Mapping[str, str], *, decision_id: str) -> tuple[SimulatedOutcome, ...]:
        """The click, if there is one; the luck depends on the seed and the decision_id only.

        Raises:
            ImpossibleWorld: if the context or the choice is not one of this world's.
        """
        return click_if(self.expected_reward(arrival.context, choice), self.seed, arrival, decision_id)

    def expected_reward(self, context: Mapping[str, ContextValue], choice: Mapping[str, str]) -> float:
        """The probability of a click after one choice.

        Raises:
            ImpossibleWorld: if the context or the choice is not one of this world's.
        """
        places = self.choices.places(choice)
        features = _features_of_one(self.attributes, context)
        logit = float(self.effects.customer_logits(features))
        arms = self.effects.arm_logits(features)
        logit += sum(float(arms[first + place]) for first, place in zip(self._starts, places, strict=False))
        logit += sum(float(table[places[d], places[e]]) for (d, e), table in self.effects.pairs.items())
        return 1.0 / (1.0 + math.exp(-logit))

    def expected_rewards(self, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
        """The probability of a click after every choice, shape (n_contexts, n_choices), in the order of `choices`.

        Raises:
            ImpossibleWorld: if a context is not one of this world's.
        """
        return self.rewards_of(features_of(self.attributes, contexts))

    def rewards_of(self, features: FloatArray, added: FloatArray | None = None) -> FloatArray:
        """The same for features, with something added to the logit of each arm.

        Args:
            features: shape (n_contexts, n_features).
            added: shape (n_contexts, n_arms), arms of all dimensions one after the other; nothing by default.
        """
        return chances(self.effects, features, self.choices.shape, added)

    def best_choice(self, context: Mapping[str, ContextValue]) -> tuple[dict[str, str], float]:
        """The choice with the largest probability of a click (the first of several), and that probability."""
        rewards = self.expected_rewards([context])[0]
        best = int(rewards.argmax())
        return self.choices.at(best), float(rewards[best])

    def uniform_value(self, context: Mapping[str, ContextValue]) -> float:
        """The mean probability of a click when every choice is equally probable."""
        return float(self.expected_rewards([context]).mean())


def chances(
    effects: ClickEffects, features: FloatArray, shape: Sequence[int], added: FloatArray | None = None
) -> FloatArray:
    """The probability of a click after every choice.

    Args:
        effects: what moves the logit.
        features: shape (n_contexts, n_features).
        shape: number of arms of each dimension.
        added: to the logit of each arm, shape (n_contexts, n_arms); nothing by default.

    Returns:
        Shape (n_contexts, n_choices), in the order of a `ChoiceGrid`.
    """
    found = np.empty((len(features), math.prod(shape)))
    pairs = _pair_logits(effects, shape)
    for first in range(0, len(features), _CHUNK):
        some = slice(first, first + _CHUNK)
        arms = effects.arm_logits(features[some]) + (0.0 if added is None else added[some])
        found[some] = _sigmoid(_logits(effects.customer_logits(features[some]), arms, pairs, shape))
    return found


def _logits(customers: FloatArray, arms: FloatArray, pairs: FloatArray, shape: Sequence[int]) -> FloatArray:
    """Shape (n, n_choices): dimension after dimension, so that each intermediate is as small as it can be."""
    logits = customers[:, None]
    for first, end in pairwise((0, *np.cumsum(shape).tolist())):
        logits = (logits[:, :, None] + arms[:, None, first:end]).reshape(len(customers), -1)
    logits += pairs
    return logits


def _pair_logits(effects: ClickEffects, shape: Sequence[int]) -> FloatArray:
    """Shape (n_choices,): what pairs of arms add, which is the same for everybody."""
    logits = np.zeros(shape)
    for (d, e), table in effects.pairs.items():
        others = tuple(k for k in range(len(shape)) if k not in {d, e})
        logits += np.expand_dims(table, others)
    return logits.ravel()


def arrivals_of(contexts: Sequence[Mapping[str, ContextValue]], n_sends: int) -> Iterator[Arrival]:
    """One send a minute, to one customer after the other.

    Raises:
        ImpossibleWorld: at the first arrival, if the number is negative.
    """
    if n_sends < 0:
        raise ImpossibleWorld(f"n_sends is {n_sends}: give how many sends are to be decided, 0 or more.")
    for number in range(n_sends):
        who = number % len(contexts)
        yield Arrival(f"c{who}", START + number * BETWEEN_SENDS, dict(contexts[who]))


def click_if(probability: float, seed: int, arrival: Arrival, decision_id: str) -> tuple[SimulatedOutcome, ...]:
    """A click at the moment of the send with this probability, by the luck of the decision."""
    (position,) = luck(seed, decision_id, CLICK, 1)
    return (SimulatedOutcome(CLICK, arrival.at),) if position < probability else ()


def n_features(attributes: Attributes) -> int:
    """How many numbers describe a context: one a category, one a numeric field."""
    return sum(len(values) for values in attributes.categories.values()) + len(attributes.ranges)


def features_of(attributes: Attributes, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
    """Contexts as numbers: an indicator for each category, then the numeric fields scaled to [0, 1].

    Returns:
        Shape (n_contexts, n_features).

    Raises:
        ImpossibleWorld: if a context holds a category that its field does not have, or something that is no number.

    >>> features_of(Attributes({"plan": ("free", "paid")}, {"age": (0.0, 100.0)}), [{"plan": "paid", "age": 25.0}]).tolist()
    [[0.0, 1.0, 0.25]]
    """
    sizes = [len(values) for values in attributes.categories.values()]
    firsts = np.array([0, *np.cumsum(sizes).tolist()])
    features = np.zeros((len(contexts), n_features(attributes)))
    if sizes:
        codes = np.array([attributes.codes(context) for context in contexts], dtype=np.int64).reshape(-1, len(sizes))
        np.put_along_axis(features, codes + firsts[:-1], 1.0, axis=1)
    if attributes.ranges:
        positions = [attributes.positions(context) for context in contexts]
        features[:, firsts[-1] :] = np.array(positions).reshape(len(contexts), -1) + 0.5
    return features


def _features_of_one(attributes: Attributes, context: Mapping[str, ContextValue]) -> FloatArray:
    """The same for one context, shape (n_features,), without the cost of arrays of one row."""
    features = [0.0] * n_features(attributes)
    first = 0
    for code, values in zip(attributes.codes(context), attributes.categories.values(), strict=True):
        features[first + code] = 1.0
        first += len(values)
    features[first:] = [position + 0.5 for position in attributes.positions(context)]
    return np.array(features)


def _sigmoid(logits: FloatArray) -> FloatArray:
    """1 / (1 + exp(-logits)), in place; logits here are far from where exp overflows."""
    np.negative(logits, out=logits)
    np.exp(logits, out=logits)
    logits += 1.0
    return np.reciprocal(logits, out=logits)
