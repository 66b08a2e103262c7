"""The referral contest: an e-mail campaign of four dimensions, simulated with known truth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from bandit.send_slots import SendSlots
from simulator.contest_arms import DIMENSIONS, REWARD_EVENTS
from simulator.delay import DelayModel
from simulator.effects import DEFAULT_RATES, EffectSizes, draw_responses
from simulator.population import CATEGORIES, RANGES, Customer, draw_population, telling_zones
from simulator.response import EVENT_TYPES, Attributes, ResponseModel
from simulator.world import (
    Arrival,
    ChoiceGrid,
    ImpossibleWorld,
    SimulatedOutcome,
    check_utc,
    luck,
)

# Each part of the world draws from its own stream, so that one more customer does not change the effects.
_POPULATION, _RESPONSES, _ARRIVALS, _HOMES = 1, 2, 3, 4
_CHUNK = 64  # contexts at a time: the probabilities of 1,920 choices then stay within a few megabytes


@dataclass(frozen=True, slots=True)
class _Summary:
    """What is asked again and again about one context."""

    best_index: int
    best_value: float
    uniform_value: float


@dataclass(frozen=True, slots=True)
class ReferralContest:
    """Customers, responses and delays of one referral contest, all drawn from one seed.

    The expected reward is the one an attribution window counts: for each event its worth x its probability x the share
    of its delays that end within `window` of the decision (exact, from the delay model). Delays are independent of
    customer and choice, so the window scales each event by one number.

    With send slots, a message goes out at the next hour of its arm on the customer's own clock, and reactions and the window
    count from there. What an arm of that dimension is worth to a customer is what the hour is worth, so the truth about a
    choice is that of its hour, as long as every customer's zone is known and no arm is out.

    Args:
        seed: of everything, at least 0.
        n_customers: how many different customers there are.
        dimensions: dimension name to arm ids.
        reward_events: event type to worth; types left out are worth 0.
        window: attribution window, from the decision.
        start: first moment of the campaign, in UTC.
        days: its length; sends are spread over it evenly.
        rates: event type to its mean probability under a uniform choice (conversions: a share of clicks).
        effects: how large the drawn effects are.
        delays: how long reactions take.
        send_slots: those of the campaign; everything goes out at once where it has none. Customers then know their zone,
            by the name that the campaign has for it.

    Raises:
        ImpossibleWorld: if an argument is out of its range.

    >>> world = ReferralContest(0, n_customers=50)
    >>> arrival = next(world.arrivals(10))
    >>> choice, value = world.best_choice(arrival.context)
    >>> value > world.uniform_value(arrival.context)
    True
    """

    seed: int
    _: KW_ONLY
    n_customers: int = 5_000
    dimensions: Mapping[str, Sequence[str]] = field(default_factory=lambda: DIMENSIONS, hash=False)
    reward_events: Mapping[str, float] = field(default_factory=lambda: REWARD_EVENTS, hash=False)
    window: timedelta = timedelta(hours=72)
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    days: float = 28.0
    rates: Mapping[str, float] = field(default_factory=lambda: DEFAULT_RATES, hash=False)
    effects: EffectSizes = field(default_factory=EffectSizes, hash=False)
    delays: DelayModel = field(default_factory=DelayModel)
    send_slots: SendSlots | None = field(default=None, hash=False)
    choices: ChoiceGrid = field(init=False, repr=False, compare=False)
    customers: tuple[Customer, ...] = field(init=False, repr=False, compare=False)
    responses: ResponseModel = field(init=False, repr=False, compare=False)
    _worths: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _summaries: dict[tuple[tuple[str, ContextValue], ...], _Summary] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self._check()
        choices = ChoiceGrid(self.dimensions)
        # Plain copies: a mapping proxy cannot be pickled, and worlds are sent to other processes.
        for name, value in {
            "choices": choices,
            "dimensions": dict(choices.dimensions),
            "reward_events": dict(self.reward_events),
            "rates": dict(self.rates),
            "customers": self._population(),
        }.items():
            object.__setattr__(self, name, value)
        responses = draw_responses(
            self._stream(_RESPONSES),
            choices,
            Attributes(dict(CATEGORIES), dict(RANGES)),
            [customer.context for customer in self.customers],
            rates=self.rates,
            sizes=self.effects,
        )
        object.__setattr__(self, "responses", responses)
        worths = [self.reward_events.get(e, 0.0) * self.delays.of(e).share_within(self.window) for e in EVENT_TYPES]
        object.__setattr__(self, "_worths", tuple(worths))

    def arrivals(self, n_sends: int) -> Iterator[Arrival]:
        """Sends spread over the campaign, in time order; everybody receives one before anybody receives the next.

        Args:
            n_sends: how many; with more than there are customers, customers return, in a new order each round.

        Raises:
            ImpossibleWorld: at the first arrival, if the number is negative.
        """
        if n_sends < 0:
            raise ImpossibleWorld(f"n_sends is {n_sends}: give how many sends are to be decided, 0 or more.")
        n = len(self.customers)
        gap = timedelta(days=self.days) / max(n_sends, 1)
        for turn in range(-(-n_sends // n)):
            rng = self._stream(_ARRIVALS, turn)
            order, jitter = rng.permutation(n).tolist(), rng.random(n).tolist()
            for place in range(min(n, n_sends - turn * n)):
                customer = self.customers[order[place]]
                at = self.start + (turn * n + place + jitter[place]) * gap
                yield Arrival(customer.customer_id, at, dict(customer.context))

    def sent_at(self, arrival: Arrival, choice: Mapping[str, str]) -> datetime:
        """When the message goes out: at once, or at the next hour of its send slot; an arm that is out, at once.

        Raises:
            ImpossibleWorld: if the choice is not one of this world's.
        """
        places = self.choices.places(choice)
        if self.send_slots is None:
            return arrival.at
        return (
            self.send_slots.times(arrival.context, arrival.at).send_at[places[self.send_slots.dimension]] or arrival.at
        )

    def react(self, arrival: Arrival, choice: Mapping[str, str], *, decision_id: str) -> tuple[SimulatedOutcome, ...]:
        """What the customer does after this choice, in time order; late events, after any window, included.

        The luck depends on the seed and the decision_id only, so the same call gives the same answer.

        Args:
            arrival: the send; delays are counted from when it goes out.
            choice: one arm per dimension.
            decision_id: of the send; give every send its own.

        Raises:
            ImpossibleWorld: if the context or the choice is not one of this world's.
        """
        click, conversion, unsubscribe, complaint = [
            position < probability
            for position, probability in zip(
                luck(self.seed, decision_id, "occurs", 4),
                self.responses.probabilities(arrival.context, choice),
                strict=True,
            )
        ]
        happened = (click, click and conversion, unsubscribe, complaint)
        if not any(happened):
            return ()
        sent_at = self.sent_at(arrival, choice)
        outcomes = [self._outcome(e, sent_at, decision_id) for e, yes in zip(EVENT_TYPES, happened, strict=True) if yes]
        return tuple(sorted(outcomes, key=lambda outcome: outcome.at))

    def expected_reward(self, context: Mapping[str, ContextValue], choice: Mapping[str, str]) -> float:
        """The exact mean reward of one choice, counted within the attribution window.

        Raises:
            ImpossibleWorld: if the context or the choice is not one of this world's.
        """
        click, conversion, unsubscribe, complaint = self.responses.probabilities(context, choice)
        marginal = (click, click * conversion, unsubscribe, complaint)
        return math.fsum(worth * probability for worth, probability in zip(self._worths, marginal, strict=True))

    def expected_rewards(self, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
        """The exact mean reward of every choice, in the order of `choices`; equal contexts are computed once.

        Args:
            contexts: any number of them.

        Returns:
            Shape (n_contexts, n_choices), in reward units.

        Raises:
            ImpossibleWorld: if a context is not one of this world's.
        """
        rows: dict[tuple[tuple[str, ContextValue], ...], int] = {}
        row_of = [rows.setdefault(tuple(context.items()), len(rows)) for context in contexts]
        distinct = [dict(key) for key in rows]
        rewards = np.empty((len(distinct), len(self.choices)))
        for first in range(0, len(distinct), _CHUNK):
            chunk = slice(first, first + _CHUNK)
            self._fill(rewards[chunk], distinct[chunk])
        return rewards if len(rows) == len(row_of) else rewards[row_of]

    def best_choice(self, context: Mapping[str, ContextValue]) -> tuple[dict[str, str], float]:
        """The choice with the largest mean reward (the first of several), and that reward."""
        summary = self._summary(context)
        return self.choices.at(summary.best_index), summary.best_value

    def uniform_value(self, context: Mapping[str, ContextValue]) -> float:
        """The mean reward when every choice is equally probable."""
        return self._summary(context).uniform_value

    def _check(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise ImpossibleWorld(f"seed is {self.seed}: generators and hashes take 64 bits; give one from 0 up.")
        check_utc("start", self.start)
        if not 0.0 < self.days < math.inf or self.window <= timedelta(0):
            raise ImpossibleWorld(f"days is {self.days!r} and window {self.window}: both must be positive.")
        unknown = {e: w for e, w in self.reward_events.items() if e not in EVENT_TYPES or not math.isfinite(w)}
        if unknown:
            raise ImpossibleWorld(
                f"reward_events has {unknown!r}: customers here never do that, or its worth is not finite, "
                f"so no reward exists. Give finite worths to some of {', '.join(EVENT_TYPES)}."
            )

    def _stream(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *purpose))

    def _population(self) -> tuple[Customer, ...]:
        customers = draw_population(self._stream(_POPULATION), self.n_customers)
        zone = self.send_slots.zone if self.send_slots else ""
        return telling_zones(customers, self._stream(_HOMES), zone) if zone else customers

    def _outcome(self, event_type: str, sent_at: datetime, decision_id: str) -> SimulatedOutcome:
        # A conversion shares its click's luck: its delay is the click's, stretched.
        purpose = "click" if event_type == "conversion" else event_type
        delay = self.delays.of(event_type).delay(luck(self.seed, decision_id, purpose, 3))
        return SimulatedOutcome(event_type, sent_at + delay)

    def _fill(self, rewards: FloatArray, contexts: Sequence[Mapping[str, ContextValue]]) -> None:
        click, conversion, unsubscribe, complaint = self.responses.probability_grid(contexts)
        for_click, for_conversion, for_unsubscribe, for_complaint = self._worths
        np.multiply(conversion, for_conversion, out=rewards)
        rewards += for_click
        rewards *= click
        rewards += for_unsubscribe * unsubscribe
        rewards += for_complaint * complaint

    def _summary(self, context: Mapping[str, ContextValue]) -> _Summary:
        key = tuple(context.items())
        summary = self._summaries.get(key)
        if summary is None:
            rewards = self.expected_rewards([context])[0]
            best = int(rewards.argmax())
            summary = self._summaries[key] = _Summary(best, float(rewards[best]), float(rewards.mean()))
        return summary
