"""A world with exact truth for any campaign: its own arms, rules, customers and outcome types, and how they react."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from bandit.arrays import BoolArray, FloatArray
from bandit.campaign import Campaign
from bandit.context import ContextValue
from simulator.customers import Customers
from simulator.delay import DelayModel
from simulator.funnel import Funnel
from simulator.machines import N_NUMBERS, Scanners
from simulator.random_policy import RandomPolicy
from simulator.reactions import Reactions
from simulator.schedule import Schedule
from simulator.send_costs import SendCosts
from simulator.silence import Silence
from simulator.tastes import Tastes, features_of
from simulator.time_effects import TimeEffects
from simulator.world import Arrival, ChoiceGrid, ImpossibleWorld, IntArray, SimulatedOutcome, luck

_CELLS: Final = 2**16
"""Customers times choices worked on at a time: their probabilities then stay in the cache."""
_SCANNED: Final = 103  # stream of the seed; see `simulator.drawn_world`


@dataclass(frozen=True, slots=True, eq=False)
class CampaignWorld:
    """Customers of one campaign who open, click and convert with known probabilities; draw one with `drawn_world`.

    The expected reward is what an attribution window counts of persons' outcomes: for each type its worth x its probability
    x the share of its delays that end within the window, which opens when the message goes out, less what recent messages
    cost. A choice that sends nothing earns and costs nothing. Truth about a context is that of somebody who got nothing
    before, at the start of the campaign and in an average hour; truth about an arrival is that of its own moment, customer
    and past.

    Args:
        campaign: whose arms, rules, window and outcome types hold.
        customers: to whom it is sent.
        seed: of everything, at least 0.
        schedule: when sends are decided.
        funnel: what may happen after a send.
        tastes: probabilities, for the campaign's choices.
        effects: what hangs on time and past.
        later: the tastes into which `tastes` turn, where `effects.change` says so.
        delays: how long reactions take.
        revenue: mean of a conversion, in money.
        scanners: machines that look at messages before customers do.

    Raises:
        ImpossibleWorld: if the tastes are not for the campaign's choices, or the revenue is negative or not finite.
    """

    campaign: Campaign
    customers: Customers
    seed: int
    schedule: Schedule
    funnel: Funnel
    tastes: Tastes
    effects: TimeEffects
    later: Tastes | None = None
    delays: DelayModel = field(default_factory=DelayModel)
    revenue: float = 40.0
    scanners: Scanners | None = None
    _features: FloatArray = field(init=False, repr=False)
    _policy: RandomPolicy = field(init=False, repr=False)
    _reactions: Reactions = field(init=False, repr=False)
    _worths: FloatArray = field(init=False, repr=False)
    _scanned: BoolArray | None = field(init=False, repr=False)
    _silence: Silence = field(init=False, repr=False)
    _costs: SendCosts = field(init=False, repr=False)

    def __post_init__(self) -> None:
        offered = {dimension.name: dimension.ids for dimension in self.campaign.dimensions}
        if self.tastes.choices.dimensions != offered:
            raise ImpossibleWorld(
                f"tastes are for {self.tastes.choices.dimensions!r}, the campaign offers {offered!r}: an arm without tastes has "
                "no true reward. Draw them for the campaign's own arms."
            )
        schema = self.campaign.declared
        object.__setattr__(self, "_features", features_of(schema, self.customers.contexts))
        object.__setattr__(self, "_policy", RandomPolicy(self.campaign))
        object.__setattr__(self, "_reactions", Reactions(self.seed, self.funnel, self.delays, self.revenue))
        object.__setattr__(self, "_worths", self._reactions.worths_within(self.window))
        rng = np.random.default_rng((self.seed, _SCANNED))
        scanned = self.scanners.scanned(rng, schema, self.customers) if self.scanners else None
        object.__setattr__(self, "_scanned", scanned)
        object.__setattr__(self, "_silence", Silence(self.campaign, self.choices))
        object.__setattr__(self, "_costs", SendCosts(self.campaign, self._silence))

    @property
    def choices(self) -> ChoiceGrid:
        """Every choice a send may take, numbered."""
        return self.tastes.choices

    @property
    def window(self) -> timedelta:
        """The campaign's attribution window, from the moment a message goes out."""
        return self.campaign.reward.window

    @property
    def memory(self) -> timedelta:
        """For how long an earlier send matters: to the customer, or to what the next one costs."""
        return max(self.effects.memory, self._costs.memory)

    def stage(self, campaign: Campaign, first: int) -> CampaignWorld:
        """The same world where a campaign offers some of the arms, from its send number `first` on.

        Raises:
            ImpossibleWorld: if the campaign has arms that this world has no tastes for.
        """
        choices = ChoiceGrid({dimension.name: dimension.ids for dimension in campaign.dimensions})
        schedule = replace(self.schedule, first=first)
        return replace(
            self,
            campaign=campaign,
            schedule=schedule,
            tastes=self.tastes.only(choices),
            later=self.later.only(choices) if self.later is not None else None,
            effects=replace(self.effects, choices=choices, schedule=schedule, send_slots=campaign.send_slots),
        )

    def arrivals(self, n_sends: int) -> Iterator[Arrival]:
        """The sends in time order; fewer are the first of more.

        Raises:
            ImpossibleWorld: at the first arrival, if the number is negative.
        """
        return self.schedule.arrivals(self.customers, self.seed, n_sends)

    def sent_at(self, arrival: Arrival, choice: Mapping[str, str]) -> datetime:
        """When the message goes out: at once, or at the next hour of its send slot where the campaign has some.

        Raises:
            ImpossibleWorld: if the customer is not one of this world's.
        """
        name, _ = self.effects.slot_dimension, self.choices.places(choice)
        return arrival.at if name is None or self._silence.has(choice) else self.effects.sent_at(arrival, choice[name])

    def react(self, arrival: Arrival, choice: Mapping[str, str], *, decision_id: str) -> tuple[SimulatedOutcome, ...]:
        """What is reported after this choice, in time order; late events, after any window, included.

        The luck depends on the seed and the decision_id only, so the same call gives the same answer.

        Args:
            arrival: the send, with its past.
            choice: one arm per dimension.
            decision_id: of the send; give every send its own.

        Raises:
            ImpossibleWorld: if the customer, the context or the choice is not one of this world's.
        """
        return self.reactions([arrival], [choice], [decision_id])[0]

    def reactions(
        self, arrivals: Sequence[Arrival], choices: Sequence[Mapping[str, str]], decision_ids: Sequence[str]
    ) -> list[tuple[SimulatedOutcome, ...]]:
        """The same for many sends at once, which is much faster than one after the other.

        Raises:
            ImpossibleWorld: as `react`, or if the three are not equally long.
        """
        if not len(arrivals) == len(choices) == len(decision_ids):
            raise ImpossibleWorld(
                f"{len(arrivals)} arrivals, {len(choices)} choices, {len(decision_ids)} ids: give one of each a send."
            )
        chances = self._probabilities_of(arrivals, choices).T.tolist()
        sends = zip(arrivals, choices, decision_ids, chances, strict=True)
        return [self._outcomes(arrival, choice, name, chance) for arrival, choice, name, chance in sends]

    def expected_reward(self, context: Mapping[str, ContextValue], choice: Mapping[str, str]) -> float:
        """The exact mean reward of one choice for somebody who got nothing before, in an average hour at the start.

        Raises:
            InvalidContext: if the context does not fit the campaign.
            ImpossibleWorld: if the choice is not one of this world's.
        """
        if self._silence.has(choice):
            return 0.0
        rows = self.tastes.rows(features_of(self.campaign.declared, [context]))
        marginals = self.funnel.marginals(self.tastes.of_choices(rows, np.array([self.choices.places(choice)])))
        return float(self.funnel.expected(marginals, self._worths)[0])

    def expected_rewards(self, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
        """The same for every choice, whether it may be sent or not, in the order of `choices`.

        Returns:
            Shape (n_contexts, n_choices), in reward units.

        Raises:
            InvalidContext: if a context does not fit the campaign.
        """
        return self._rewards(self.tastes.rows(features_of(self.campaign.declared, contexts)))

    def expected_rewards_after(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """The exact mean reward of every choice, at each arrival's own moment and given its past.

        Returns:
            Shape (n_arrivals, n_choices), in reward units.

        Raises:
            ImpossibleWorld: if a customer is not one of this world's.
        """
        return self._costs.off(self._rewards(self._rows(arrivals)), arrivals)

    def rewards_of_choices(self, arrivals: Sequence[Arrival], choices: Sequence[Mapping[str, str]]) -> FloatArray:
        """The exact mean reward of the choice made for each arrival, without looking at any other; shape (n,).

        Raises:
            ImpossibleWorld: if a customer or a choice is not one of this world's.
        """
        found = self.funnel.expected(self._marginals_of(arrivals, choices), self._worths)
        return self._costs.off_chosen(self._silence.earning_nothing(found, choices), arrivals, choices)

    def revenues_of_choices(self, arrivals: Sequence[Arrival], choices: Sequence[Mapping[str, str]]) -> FloatArray:
        """The exact mean revenue within the window of the choice made for each arrival, in money, shape (n,).

        Raises:
            ImpossibleWorld: if a customer or a choice is not one of this world's.
        """
        revenues = self._reactions.revenues_within(self.window)
        return self._silence.earning_nothing(
            self.funnel.expected(self._marginals_of(arrivals, choices), revenues), choices
        )

    def random_pmf(self, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
        """How the random policy spreads over the choices: each dimension in turn, every eligible arm alike.

        Returns:
            Shape (n_contexts, n_choices): 0 where a choice may not be sent.

        Raises:
            ImpossibleWorld: if the rules leave somebody without an arm.
        """
        return self._policy.pmf(contexts)

    def random_pmf_at(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """The same where rules look at the time too, at each arrival's own moment; shape (n_arrivals, n_choices)."""
        return self._policy.pmf_at(arrivals)

    def best_choice(self, context: Mapping[str, ContextValue]) -> tuple[dict[str, str], float]:
        """The choice with the largest mean reward of those that may be sent (the first of several), and that reward."""
        allowed = self.random_pmf([context])[0] > 0.0
        rewards = np.where(allowed, self.expected_rewards([context])[0], -np.inf)
        best = int(rewards.argmax())
        return self.choices.at(best), float(rewards[best])

    def uniform_value(self, context: Mapping[str, ContextValue]) -> float:
        """The mean reward of the random policy."""
        return float(self.random_pmf([context])[0] @ self.expected_rewards([context])[0])

    def _rewards(self, rows: FloatArray) -> FloatArray:
        rewards = np.empty((rows.shape[1], len(self.choices)))
        n_together = max(1, _CELLS // len(self.choices))
        for first in range(0, len(rewards), n_together):
            some = slice(first, first + n_together)
            marginals = self.funnel.marginals(self.tastes.grid(rows[:, some]))
            rewards[some] = self.funnel.expected(marginals, self._worths)
        if self._silence.choices is not None:
            rewards[:, self._silence.choices] = 0.0
        return rewards

    def _rows(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """Logits of arrivals at their own moment, shape (n_steps, n, n_arms + 1)."""
        who = np.array([self.customers.place(arrival.customer_id) for arrival in arrivals], dtype=np.int64)
        features = self._features[who]
        known = self.customers.contexts
        # Somebody may ask about a customer of whom something else is known.
        others = [
            row for row, (came, place) in enumerate(zip(arrivals, who, strict=True)) if came.context != known[place]
        ]
        if others:
            features[others] = features_of(self.campaign.declared, [arrivals[row].context for row in others])
        return self.effects.rows(self.tastes, self.later, features, self._silence.left_out(arrivals), who)

    def _probabilities_of(self, arrivals: Sequence[Arrival], choices: Sequence[Mapping[str, str]]) -> FloatArray:
        places: IntArray = np.array([self.choices.places(choice) for choice in choices], dtype=np.int64)
        return self.tastes.of_choices(self._rows(arrivals), places.reshape(len(arrivals), len(self.choices.shape)))

    def _marginals_of(self, arrivals: Sequence[Arrival], choices: Sequence[Mapping[str, str]]) -> FloatArray:
        return self.funnel.marginals(self._probabilities_of(arrivals, choices))

    def _outcomes(
        self, arrival: Arrival, choice: Mapping[str, str], decision_id: str, chances: Sequence[float]
    ) -> tuple[SimulatedOutcome, ...]:
        """What a person and a machine do with one message, in time order."""
        if self._silence.has(choice):
            return ()
        happened = self._reactions.happened(decision_id, chances)
        scans = self._scanned is not None and self._scanned[self.customers.place(arrival.customer_id)]
        if not scans and not any(happened):
            return ()
        sent_at = self.sent_at(arrival, choice)
        outcomes = self._reactions.outcomes(decision_id, happened, sent_at)
        if scans and self.scanners is not None:
            numbers = luck(self.seed, decision_id, "scanner", N_NUMBERS)
            outcomes += self.scanners.outcomes(self.funnel, sent_at, numbers)
        return tuple(sorted(outcomes, key=lambda outcome: outcome.at))
