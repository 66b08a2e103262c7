"""A campaign replayed in memory on its own clock: late outcomes, a trainer that comes by every few hours, exact truth.

What decides, learns and closes windows is the engine's own code; only customers, calendar and log are made up.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, groupby
from typing import Protocol

import numpy as np

from bandit.campaign import Campaign
from bandit.context import Context
from bandit.decision import Decision
from bandit.engine import NO_SNAPSHOT, Engine, Served
from bandit.group import Group
from bandit.learner import Learner, LearnerKind
from bandit.learners import learner_for
from bandit.log import LoggedDecision
from bandit.training import Matured, is_trained_on, training_row
from bandit.wear_out import PastSend
from simulator.engine_decider import Begin, Former, carried
from simulator.rehearsal import Memory, remembered
from simulator.replayed import DAY, ReplayedCampaign, ReplayedStage
from simulator.truth import value_of_choices
from simulator.world import Arrival, ImpossibleWorld, SendingWorld, World


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of a campaign; new or retired arms begin the next one.

    Args:
        world: the customers, and how they react.
        campaign: what may be sent; its arms are the world's.
        n_sends: how many, at least 1.

    Raises:
        ImpossibleWorld: if nothing is sent.
    """

    world: World
    campaign: Campaign
    n_sends: int

    def __post_init__(self) -> None:
        if self.n_sends < 1:
            raise ImpossibleWorld(f"n_sends of a stage is {self.n_sends}: give at least 1, or leave the stage out.")


class Worlds(Protocol):
    """Worlds of one kind: a scenario, or a world fitted to a log, for any campaign and seed."""

    def stages(self, campaign: Campaign, seed: int, n_sends: int) -> tuple[Stage, ...]:
        """The stages of a campaign; the same seed gives the same customers with the same tastes, whatever the policy."""


def replay(
    stages: Sequence[Stage],
    engines: Sequence[Engine],
    *,
    step: timedelta = DAY,
    begin: Begin = carried,
    watch: Callable[[int], None] = lambda _: None,
) -> ReplayedCampaign:
    """Replay a campaign: decide, react, wait, close windows, learn, serve, step after step.

    Args:
        stages: in time order.
        engines: one a stage, of its campaign; the salt says which draws are made.
        step: time between two visits of the trainer; what it learned is served until the next.
        begin: what the learner of a stage with another campaign knows of the former one.
        watch: is told how many sends have been decided, after each step.

    Raises:
        ImpossibleWorld: if there is no stage, not one engine a stage, or the step is not above 0.
    """
    if not stages or len(stages) != len(engines) or step <= timedelta(0):
        raise ImpossibleWorld(f"{len(stages)} stages, {len(engines)} engines, step {step}: give one engine a stage.")
    player = _Player(engines, begin)
    for number, stage in enumerate(stages):
        player.enter(number, stage)
        for now, arrivals in _steps(stage.world.arrivals(stage.n_sends), step):
            player.decide(arrivals)
            player.close(now)
            watch(player.n_decided)
    player.close(None)
    done = tuple(_replayed(stage, rows) for stage, rows in zip(stages, player.rows, strict=True))
    return ReplayedCampaign(done, player.n_snapshots, player.n_fallbacks)


def _steps(arrivals: Iterator[Arrival], step: timedelta) -> Iterator[tuple[datetime, list[Arrival]]]:
    """Arrivals of each step, with the time at its end; steps in which nobody came are left out."""
    first = next(arrivals, None)
    if first is None:
        return
    start = first.at
    for number, group in groupby(chain([first], arrivals), key=lambda arrival: (arrival.at - start) // step):
        yield start + (number + 1) * step, list(group)


@dataclass(slots=True, eq=False)
class _Row:
    """A send, from its decision until its window has closed."""

    number: int
    arrival: Arrival
    decision: Decision
    due: datetime
    revenue: float = 0.0
    types: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Player:
    """The state of a replay: who serves, what is open, what was reported."""

    engines: Sequence[Engine]
    begin: Begin
    rows: list[list[_Row]] = field(default_factory=list)
    n_decided: int = 0
    n_snapshots: int = 0
    n_fallbacks: int = 0
    _stage: int = 0
    _world: World = field(init=False)
    _engine: Engine = field(init=False)
    _kind: LearnerKind = field(init=False)
    _learner: Learner = field(init=False)
    _open: list[tuple[datetime, int, int, _Row]] = field(default_factory=list)
    _earlier: list[Matured] = field(default_factory=list)
    _memory: Memory = field(default_factory=dict)
    _past: dict[str, list[PastSend]] = field(default_factory=dict)

    def enter(self, number: int, stage: Stage) -> None:
        """A stage begins; with another campaign than before, so does a learner."""
        engine = self.engines[number]
        self._stage, self._world = number, stage.world
        self.rows.append([])
        if number and engine.campaign.content_hash == self._engine.campaign.content_hash:
            return
        former = Former(self._engine.campaign, self._learner, self._earlier) if number else None
        self._engine, campaign = engine, engine.campaign
        needs = engine.policies[Group.LEARNER].needs
        self._kind = learner_for(campaign.learner, needs, wears=campaign.wear_out is not None)
        self._learner = self.begin(self._kind, campaign, former) if former else self._kind.fresh(campaign)
        if self._learner.n_learned:
            self._serve()

    def decide(self, arrivals: Sequence[Arrival]) -> None:
        """Decide for everybody of a step, and let them react."""
        for came in arrivals:
            self.n_decided += 1
            decision = self._decide(came, f"d{self.n_decided}")
            self.n_fallbacks += decision.fallback not in {None, NO_SNAPSHOT}
            arrival = remembered(self._world, came, decision.choice, self._memory)
            sent = self._world.sent_at(arrival, decision.choice) if isinstance(self._world, SendingWorld) else came.at
            row = _Row(self.n_decided, arrival, decision, sent + self._world.window)
            for outcome in self._world.react(arrival, decision.choice, decision_id=decision.decision_id):
                if outcome.at <= row.due:
                    row.types.add(outcome.type)
                    row.revenue += 0.0 if outcome.machine else outcome.revenue
            self.rows[-1].append(row)
            heapq.heappush(self._open, (row.due, row.number, self._stage, row))

    def close(self, now: datetime | None) -> None:
        """Learn, in order, from all rows whose windows have closed, and serve what was learned; None closes all."""
        learned = False
        while self._open and (now is None or self._open[0][0] <= now):
            _, number, stage, row = heapq.heappop(self._open)
            if stage == self._stage or self._same_campaign(stage):
                learned |= self._learn(Matured(number, LoggedDecision.of(row.decision, number), frozenset(row.types)))
        if learned and now is not None:
            self._serve()

    def _same_campaign(self, stage: int) -> bool:
        return self.engines[stage].campaign.content_hash == self._engine.campaign.content_hash

    def _learn(self, row: Matured) -> bool:
        self._earlier.append(row)
        if not is_trained_on(row.decision):
            return False
        self._learner.learn(training_row(self._engine.campaign, row))
        return True

    def _serve(self) -> None:
        self.n_snapshots += 1
        scorer = self._kind.live(self._engine.campaign, self._learner)
        self._engine = self._engine.serving(Served(f"s{self.n_snapshots}", scorer))

    def _decide(self, arrival: Arrival, decision_id: str) -> Decision:
        spec = self._engine.campaign.wear_out
        past = self._past.setdefault(arrival.customer_id, []) if spec else None
        if spec and past:
            past[:] = [earlier for earlier in past if arrival.at - earlier.at <= spec.window]
        context = Context(arrival.context)
        made = self._engine.decide(arrival.customer_id, context, decision_id=decision_id, at=arrival.at, past=past)
        if past is not None:
            past.append(PastSend(arrival.at, made.choice))
        return made


def _replayed(stage: Stage, rows: Sequence[_Row]) -> ReplayedStage:
    """Rows as columns, with their truth."""
    campaign, decisions = stage.campaign, [row.decision for row in rows]
    choices, arrivals = [decision.choice for decision in decisions], [row.arrival for row in rows]
    pmfs = zip(*([pick.pmf.probabilities for pick in decision.picks] for decision in decisions), strict=True)
    return ReplayedStage(
        campaign,
        arrivals,
        np.array([decision.group.value for decision in decisions]),
        np.array([campaign.picks_of(choice) for choice in choices], dtype=np.int64),
        np.array([[pick.propensity for pick in decision.picks] for decision in decisions]),
        tuple(np.array(pmf) for pmf in pmfs),
        np.array([campaign.reward.reward_of(row.types) for row in rows]),
        np.array([row.revenue for row in rows]),
        value_of_choices(stage.world, arrivals, choices),
    )
