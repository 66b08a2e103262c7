"""A world fitted to a log: its customers come again, and what they do with any choice follows the fit.

Make one with `simulator.fitting.fit_world`.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.context import Context, ContextValue
from bandit.exclusion import Excluded
from simulator.fit_evidence import Evidence
from simulator.fit_rows import FitRows
from simulator.fitted_response import FittedResponse
from simulator.random_policy import RandomPolicy
from simulator.send_costs import SendCosts
from simulator.silence import Silence
from simulator.together import given_parent, nested
from simulator.world import Arrival, ChoiceGrid, ImpossibleWorld, IntArray, SimulatedOutcome, luck

UNTIMED: Final = timedelta(days=30)
"""Where the log says nothing of times, its sends are spread evenly over so long."""
_HOUR: Final = timedelta(hours=1)
_WEEK: Final = 168.0  # hours


@dataclass(frozen=True, slots=True, eq=False)
class FittedWorld:
    """A campaign's log as a world: `expected_rewards` are exact under the fit.

    Sends come in the order and at the times of the log. After its last row it begins again, whole weeks later, so that
    everybody comes on the same weekday at the same hour. A type that only ever happened together with another (a conversion
    with its click) happens with it here too; other types are independent given the customer and the choice. Means are exact
    either way. A choice that sends nothing brings nothing.

    Truth about a context is that of somebody who got nothing lately; truth about an arrival is less what recent messages
    cost, given its past, and of its own moment where the campaign has `[time]`.

    Args:
        seed: of the luck; another seed is another run of the same campaign.
        campaign: whose rules hold.
        rows: of the log.
        response: fitted to all rows.
        evidence: how far to trust it.

    Caution: what a customer got before changes nothing of what they do, even where the campaign has `[wear_out]`, and nothing
    drifts but who comes when. A log that says nothing of times cannot show what the time does, so here it does nothing.
    """

    seed: int
    campaign: Campaign
    rows: FitRows = field(repr=False)
    response: FittedResponse = field(repr=False)
    evidence: Evidence
    _random: RandomPolicy = field(init=False, repr=False)
    _order: tuple[tuple[int, int | None], ...] = field(init=False, repr=False)
    _delays: tuple[FloatArray, ...] = field(init=False, repr=False)
    _silence: Silence = field(init=False, repr=False)
    _costs: SendCosts = field(init=False, repr=False)

    def __post_init__(self) -> None:
        delays = [np.sort(self.rows.delays.get(name, np.zeros(1))) for name in self.rows.types]
        object.__setattr__(self, "_random", RandomPolicy(self.campaign))
        object.__setattr__(self, "_delays", tuple(delays))
        object.__setattr__(self, "_silence", Silence(self.campaign, self.choices))
        object.__setattr__(self, "_costs", SendCosts(self.campaign, self._silence))
        object.__setattr__(self, "_order", () if self.rows.exclusive else nested(self.rows.labels))

    @property
    def choices(self) -> ChoiceGrid:
        """Every choice of the campaign."""
        return self.rows.choices

    @property
    def window(self) -> timedelta:
        """The campaign's."""
        return self.campaign.reward.window

    @property
    def memory(self) -> timedelta:
        """For how long an earlier send matters: to what the next one costs, and to nothing else."""
        return self._costs.memory

    def with_seed(self, seed: int) -> FittedWorld:
        """The same world with other luck."""
        return replace(self, seed=seed)

    def valued_by(self, campaign: Campaign) -> FittedWorld:
        """The same world for a campaign with the same arms, context and outcomes, which are worth what it says.

        What moves an outcome does not depend on its worth, so nothing is fitted again.
        """
        worths = tuple(campaign.reward.events[name] for name in self.rows.types)
        of_folds = tuple(replace(response, worths=worths) for response in self.evidence.of_folds)
        return replace(
            self,
            campaign=campaign,
            rows=replace(self.rows, worths=worths),
            response=replace(self.response, worths=worths),
            evidence=replace(self.evidence, of_folds=of_folds),
        )

    def arrivals(self, n_sends: int) -> Iterator[Arrival]:
        """The log's sends in time order, round after round.

        Raises:
            ImpossibleWorld: at the first arrival, if the number is negative.
        """
        if n_sends < 0:
            raise ImpossibleWorld(f"n_sends is {n_sends}: give how many sends are to be decided, 0 or more.")
        rows, n = self.rows, len(self.rows)
        hours = np.arange(n) * (UNTIMED / _HOUR / n) if rows.at is None else rows.at
        order = np.argsort(hours, kind="stable").tolist()
        begin, around = float(hours.min()), self._around(float(np.ptp(hours)))
        for number in range(n_sends):
            lap, place = divmod(number, n)
            row = order[place]
            at = rows.start + timedelta(hours=float(hours[row]) - begin + lap * around)
            yield Arrival(rows.customers[row], at, dict(self._known_at(rows.contexts[row], at)))

    def _around(self, span: float) -> float:
        """Hours from the first send to its coming again."""
        if self.rows.at is None:
            return span + span / (len(self.rows) - 1)
        return (span // _WEEK + 1.0) * _WEEK

    def _known_at(self, context: Mapping[str, ContextValue], at: datetime) -> Mapping[str, ContextValue]:
        """A row's context; what is made of the time is that of this moment, and nothing where the log has no times."""
        if self.campaign.time is None or self.rows.at is None:
            return context
        return self.campaign.completed(Context(self.campaign.given_of(context)), at).values

    def _known(self, arrival: Arrival) -> Mapping[str, ContextValue]:
        """What is known of an arrival; its own arrivals say all there is."""
        time = self.campaign.time
        is_told = time is None or time.kinds.keys() <= arrival.context.keys()
        return arrival.context if is_told else self._known_at(arrival.context, arrival.at)

    def react(self, arrival: Arrival, choice: Mapping[str, str], *, decision_id: str) -> tuple[SimulatedOutcome, ...]:
        """What happens by the fit's probabilities and the luck of the decision, after delays as the log has them.

        Raises:
            ImpossibleWorld: if the choice is not one of this world's.
            InvalidContext: if the context is not one of the campaign's.
        """
        if self._silence.has(choice):
            return ()
        chances = self.response.probabilities_of_one(self._known(arrival), self.choices.places(choice))
        happened = self._one_of(chances, decision_id) if self.rows.exclusive else self._any_of(chances, decision_id)
        hours: dict[int, float] = {}
        for k, parent in happened:
            # A conversion does not come before its click.
            hours[k] = max(self._hours(k, decision_id), hours.get(-1 if parent is None else parent, 0.0))
        found = [SimulatedOutcome(self.rows.types[k], arrival.at + late * _HOUR) for k, late in hours.items()]
        return tuple(sorted(found, key=lambda outcome: outcome.at))

    def expected_reward(self, context: Mapping[str, ContextValue], choice: Mapping[str, str]) -> float:
        """The mean reward under the fit.

        Raises:
            ImpossibleWorld: if the choice is not one of this world's.
            InvalidContext: if the context is not one of the campaign's.
        """
        if self._silence.has(choice):
            return 0.0
        chances = self.response.probabilities_of_one(context, self.choices.places(choice))
        return sum(chance * worth for chance, worth in zip(chances, self.response.worths, strict=True))

    def expected_rewards(self, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
        """The mean reward of every choice under the fit, shape (n_contexts, n_choices)."""
        return self._of_messages(self.response.rewards(contexts))

    def expected_rewards_after(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """The same at each arrival's own moment, less what a message costs given its past; shape (n_arrivals, n_choices)."""
        return self._costs.off(self.expected_rewards([self._known(arrival) for arrival in arrivals]), arrivals)

    def less_costs(self, rewards: FloatArray, recent_sends: Sequence[int | None] | None) -> FloatArray:
        """Rewards of every choice, less what a message costs after so many; shape (n, n_choices), as `rewards`.

        Args:
            rewards: as `expected_rewards` and `out_of_fold_rewards` give them.
            recent_sends: messages that each customer had got lately; None where it is not known, and then nothing is taken off.
        """
        return self._costs.off_counted(rewards, recent_sends)

    def best_choice(self, context: Mapping[str, ContextValue]) -> tuple[dict[str, str], float]:
        """The choice with the largest mean reward of those that may be sent, and that reward."""
        rewards = np.where(self.random_pmf([context])[0] > 0.0, self.expected_rewards([context])[0], -np.inf)
        best = int(rewards.argmax())
        return self.choices.at(best), float(rewards[best])

    def uniform_value(self, context: Mapping[str, ContextValue]) -> float:
        """The mean reward of the campaign's random policy."""
        return float(self.random_pmf([context])[0] @ self.expected_rewards([context])[0])

    def random_pmf(
        self, contexts: Sequence[Mapping[str, ContextValue]], excluded: Sequence[tuple[Excluded, ...]] = ()
    ) -> FloatArray:
        """How the campaign's random policy spreads over the choices, shape (n_contexts, n_choices).

        Args:
            contexts: n of them.
            excluded: arms that are out besides, as hours may be; of each context, or of none.
        """
        return self._random.pmf(contexts, excluded)

    def random_pmf_at(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """The same at each arrival's own moment, with the hours that are left then."""
        return self._random.pmf_at(arrivals)

    def out_of_fold_rewards(self, kept: IntArray) -> FloatArray:
        """What fits that have not seen them say of some rows of the log, whatever had been sent.

        Args:
            kept: positions of the rows.

        Returns:
            Shape (n_kept, n_choices).
        """
        found = np.empty((len(kept), len(self.choices)))
        for fold, response in enumerate(self.evidence.of_folds):
            mine = np.flatnonzero(self.evidence.fold_of[kept] == fold)
            found[mine] = response.rewards([self.rows.contexts[row] for row in kept[mine]])
        return self._of_messages(found)

    def _of_messages(self, rewards: FloatArray) -> FloatArray:
        """Rewards of every choice, with 0 for those that send nothing."""
        return rewards if self._silence.choices is None else np.where(self._silence.choices, 0.0, rewards)

    def _any_of(self, chances: Sequence[float], decision_id: str) -> list[tuple[int, int | None]]:
        """Types that happen, each with what it happens together with; marginal probabilities stay what they are."""
        happened: dict[int, int | None] = {}
        for k, parent in self._order:
            (position,) = luck(self.seed, decision_id, f"occurs {k}", 1)
            chance = chances[k] if parent is None else given_parent(chances[k], chances[parent], parent in happened)
            if position < chance:
                happened[k] = parent
        return list(happened.items())

    def _one_of(self, chances: Sequence[float], decision_id: str) -> list[tuple[int, int | None]]:
        """The one type that happens, if any: each has its own stretch of (0, 1)."""
        (position,) = luck(self.seed, decision_id, "occurs", 1)
        ends = list(itertools.accumulate(chances))
        k = bisect.bisect_right(ends, position)
        return [(k, None)] if k < len(ends) else []

    def _hours(self, k: int, decision_id: str) -> float:
        (position,) = luck(self.seed, decision_id, f"delay {k}", 1)
        delays = self._delays[k]
        return float(delays[int(position * len(delays))])
