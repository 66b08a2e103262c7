"""A world in which arms wear out: whoever got one lately clicks on it less, and comes back to it with a known half-life."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from scipy.special import expit

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from simulator.click_world import START, ArmFeatures, ClickWorld, click_if, features_of
from simulator.email_worlds import email12hi
from simulator.response import Attributes
from simulator.world import Arrival, ChoiceGrid, ImpossibleWorld, SimulatedOutcome

_HALF_LIVES = 8
"""After so many an exposure is forgotten: it would count 1/256."""
_MOST_LOST = 500.0
"""Logits; nobody clicks there, and further down a float overflows on the way."""
_ORDER = 6
"""Stream of the seed from which the order of customers is drawn; see `simulator.email_worlds`."""


@dataclass(frozen=True, slots=True, eq=False)
class WearWorld:
    """Customers of a click world who tire of what they were sent.

    Each earlier send of an arm takes `depth * 2 ** (-age / half_life)` off the logit of a click on that arm, in every
    dimension by itself. Sends go to customers drawn at random, so that some hear twice a day and some not for a week.

    Args:
        base: the customers, and what they do with an arm they never got.
        depth: what an exposure takes off at once, in logits, at least 0.
        half_life: after how long half of that is back.
        between: time from one send to the next, whoever gets it.

    Raises:
        ImpossibleWorld: if the depth is negative, or a time is not above 0.
    """

    base: ClickWorld
    depth: float
    half_life: timedelta
    between: timedelta

    def __post_init__(self) -> None:
        if not 0.0 <= self.depth < math.inf or min(self.half_life, self.between) <= timedelta(0):
            raise ImpossibleWorld(
                f"depth is {self.depth}, half_life {self.half_life}, between {self.between}: give a finite depth of at least "
                "0 and times above 0."
            )

    @property
    def choices(self) -> ChoiceGrid:
        """Those of the base."""
        return self.base.choices

    @property
    def window(self) -> timedelta:
        """That of the base."""
        return self.base.window

    @property
    def attributes(self) -> Attributes:
        """Those of the base."""
        return self.base.attributes

    @property
    def contexts(self) -> Sequence[Mapping[str, ContextValue]]:
        """Those of the base."""
        return self.base.contexts

    @property
    def arm_features(self) -> ArmFeatures:
        """Those of the base."""
        return self.base.arm_features

    @property
    def memory(self) -> timedelta:
        """For how long an earlier send matters."""
        return _HALF_LIVES * self.half_life

    def arrivals(self, n_sends: int) -> Iterator[Arrival]:
        """One send after the other at equal distances, each to a customer drawn at random.

        Raises:
            ImpossibleWorld: at the first arrival, if the number is negative.
        """
        if n_sends < 0:
            raise ImpossibleWorld(f"n_sends is {n_sends}: give how many sends are to be decided, 0 or more.")
        drawn = np.random.default_rng((self.base.seed, _ORDER)).integers(len(self.base.contexts), size=n_sends)
        for number, who in enumerate(drawn.tolist()):
            yield Arrival(f"c{who}", START + number * self.between, dict(self.base.contexts[who]))

    def react(self, arrival: Arrival, choice: Mapping[str, str], *, decision_id: str) -> tuple[SimulatedOutcome, ...]:
        """The click, if there is one; the luck depends on the seed and the decision_id only.

        Raises:
            ImpossibleWorld: if the context or the choice is not one of this world's.
        """
        logit = _logit(self.base.expected_reward(arrival.context, choice)) - self.depth * float(
            self._loads(arrival)[self._columns(choice)].sum()
        )
        return click_if(float(expit(logit)), self.base.seed, arrival, decision_id)

    def expected_reward(self, context: Mapping[str, ContextValue], choice: Mapping[str, str]) -> float:
        """The probability of a click by somebody who got nothing before."""
        return self.base.expected_reward(context, choice)

    def expected_rewards(self, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
        """The same for every choice, shape (n_contexts, n_choices)."""
        return self.base.expected_rewards(contexts)

    def expected_rewards_after(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """The probability of a click after every choice, given what each customer got before.

        Returns:
            Shape (n_arrivals, n_choices), in the order of `choices`.
        """
        features = features_of(self.attributes, [arrival.context for arrival in arrivals])
        loads = np.array([self._loads(arrival) for arrival in arrivals])
        return self.base.rewards_of(features, np.maximum(-self.depth * loads, -_MOST_LOST))

    def best_choice(self, context: Mapping[str, ContextValue]) -> tuple[dict[str, str], float]:
        """The best first choice, and its reward."""
        return self.base.best_choice(context)

    def uniform_value(self, context: Mapping[str, ContextValue]) -> float:
        """The mean reward of a first choice made at random."""
        return self.base.uniform_value(context)

    def _loads(self, arrival: Arrival) -> FloatArray:
        """How much of each arm's exposures is left, arms of all dimensions one after the other; shape (n_arms,)."""
        loads = np.zeros(sum(self.choices.shape))
        for send in arrival.past:
            age = arrival.at - send.at
            if age <= self.memory:
                loads[self._columns(send.choice)] += 2.0 ** (-(age / self.half_life))
        return loads

    def _columns(self, choice: Mapping[str, str]) -> list[int]:
        firsts = np.cumsum([0, *self.choices.shape[:-1]]).tolist()
        return [first + place for first, place in zip(firsts, self.choices.places(choice), strict=True)]


def wearing(
    seed: int, n_customers: int = 1_000, *, depth: float = 0.5, half_life: timedelta = timedelta(days=7)
) -> WearWorld:
    """Twelve subject lines for customers who hear every two days on average: `email12hi`, and arms wear out.

    Always the same arm would lose 2.5 logits, which is nine clicks in ten; rotating through all of them 0.2.
    """
    return WearWorld(email12hi(seed, n_customers), depth, half_life, timedelta(days=2) / n_customers)


def _logit(probability: float) -> float:
    return math.log(probability / (1.0 - probability))
