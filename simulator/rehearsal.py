"""A whole campaign in memory: decide, react, learn batch after batch, and see what it was really worth.

`play` is the loop, the same for everybody: a `Decider` decides a batch, the world reacts, and only then the decider hears
of it. `EngineDecider` is the engine with a learner that trains beside it; anything else that can decide and learn may
take its place, and meets the same customers with the same luck.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import islice
from typing import Protocol

import numpy as np

from bandit.campaign import Campaign
from bandit.context import Context
from bandit.decision import Decision
from bandit.engine import NO_SNAPSHOT, Engine, Served
from bandit.learner import Learner, LearnerKind
from bandit.log import LoggedDecision
from bandit.training import Matured, is_trained_on, training_row
from bandit.warm_start import carry_over
from simulator.truth import Truth, value_of_choices
from simulator.world import Arrival, ImpossibleWorld, World


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the campaign with one world: a change of taste, or new arms, begins the next one.

    Raises:
        ImpossibleWorld: if nothing is sent.
    """

    world: World
    n_sends: int

    def __post_init__(self) -> None:
        if self.n_sends < 1:
            raise ImpossibleWorld(f"n_sends of a phase is {self.n_sends}: give at least 1, or leave the phase out.")


@dataclass(frozen=True, slots=True)
class Send:
    """One send to be decided, and its number in the whole campaign, from 1."""

    number: int
    arrival: Arrival

    @property
    def decision_id(self) -> str:
        """The same for whoever decides, so that all meet the same luck."""
        return f"d{self.number}"


class Decider(Protocol):
    """Decides sends, and learns what became of them when their batch has ended."""

    def enter(self, phase: int, world: World) -> None:
        """A phase begins, numbered from 0; the first one too. Only what may be sent may be asked of the world."""

    def decide(self, sends: Sequence[Send]) -> Sequence[Mapping[str, str]]:
        """The choice of each send of a batch."""

    def learn(self, outcome_types: Sequence[frozenset[str]]) -> None:
        """What happened within the window after each send of the last batch, in the same order."""


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A campaign that was played to its end.

    Attributes:
        choices: of each send.
        outcome_types: what each brought.
        truth: exact expected rewards of the choices; no luck in them but that of learning.
    """

    choices: Sequence[Mapping[str, str]]
    outcome_types: Sequence[frozenset[str]]
    truth: Truth


def play(
    phases: Sequence[Phase], decider: Decider, *, batch: int, watch: Callable[[int], None] = lambda _: None
) -> Played:
    """Decide every send of every phase; outcomes become known a batch at a time.

    Args:
        phases: in time order. A batch ends with its phase.
        decider: who decides.
        batch: how many sends are decided before anything is heard of them.
        watch: is told how many sends have been decided, after each batch.

    Raises:
        ImpossibleWorld: if there is no phase, or nothing in a batch, or a choice is not one of the world's.
    """
    if not phases or batch < 1:
        raise ImpossibleWorld(f"{len(phases)} phases in batches of {batch}: give at least one phase, and 1 or more.")
    choices: list[Mapping[str, str]] = []
    happened: list[frozenset[str]] = []
    truths = []
    for number, phase in enumerate(phases):
        decider.enter(number, phase.world)
        arrivals = list(phase.world.arrivals(phase.n_sends))
        first = len(choices)
        for sends in _batches(arrivals, batch, first):
            made = decider.decide(sends)
            types = [_types(phase.world, send, choice) for send, choice in zip(sends, made, strict=True)]
            decider.learn(types)
            choices += made
            happened += types
            watch(len(choices))
        truths.append(value_of_choices(phase.world, arrivals, choices[first:]))
    return Played(choices, happened, _joined(truths))


def _batches(arrivals: Sequence[Arrival], batch: int, first: int) -> Iterator[list[Send]]:
    numbered = (Send(number, arrival) for number, arrival in enumerate(arrivals, start=first + 1))
    while sends := list(islice(numbered, batch)):
        yield sends


def _types(world: World, send: Send, choice: Mapping[str, str]) -> frozenset[str]:
    closes = send.arrival.at + world.window
    outcomes = world.react(send.arrival, choice, decision_id=send.decision_id)
    return frozenset([outcome.type for outcome in outcomes if outcome.at <= closes])


def _joined(truths: Sequence[Truth]) -> Truth:
    parts = zip(*((truth.values, truth.uniform, truth.best) for truth in truths), strict=True)
    return Truth(*(np.concatenate(part) for part in parts))


@dataclass(frozen=True, slots=True)
class Refresh:
    """When what was learned is frozen and served: not after every send, for freezing costs more than learning.

    Args:
        every: least number of sends between two snapshots, at least 1; a larger batch waits for its end anyway.
        growth: least share by which what was learned must have grown.

    Raises:
        ImpossibleWorld: if one of them is negative, or nothing need happen in between.

    >>> Refresh().next_after(50), Refresh().next_after(5000)
    (51, 5050)
    """

    every: int = 1
    growth: float = 0.01

    def __post_init__(self) -> None:
        if self.every < 1 or not 0.0 <= self.growth < math.inf:
            raise ImpossibleWorld(
                f"refresh every {self.every} sends, growth {self.growth}: give 1 or more, and 0 or more."
            )

    def next_after(self, n_learned: int) -> int:
        """How many rows must have been learned before the next snapshot."""
        return max(n_learned + self.every, math.ceil(n_learned * (1.0 + self.growth)))


@dataclass(frozen=True, slots=True)
class Former:
    """What there was before a campaign that takes another's place.

    Attributes:
        campaign: the former one.
        learner: as it stood at its end.
        rows: everything that happened, in order, as rows of the new campaign.
    """

    campaign: Campaign
    learner: Learner
    rows: Sequence[Matured]


Begin = Callable[[LearnerKind, Campaign, Former], Learner]
"""Makes the learner of a campaign that takes another's place."""


def relearned(kind: LearnerKind, campaign: Campaign, former: Former) -> Learner:
    """A fresh learner that learns the former log again: arms keep what was seen of them."""
    learner = kind.fresh(campaign)
    for row in former.rows:
        if is_trained_on(row.decision):
            learner.learn(training_row(campaign, row))
    return learner


def carried(kind: LearnerKind, campaign: Campaign, former: Former) -> Learner:
    """A learner that goes on from the former one's snapshot; see `bandit.warm_start.carry_over`."""
    snapshot = former.learner.snapshot(watermark=0)
    return kind.resume(campaign, carry_over(former.campaign, snapshot, campaign, kind))


def forgotten(kind: LearnerKind, campaign: Campaign, former: Former) -> Learner:
    """A fresh learner that knows nothing: a cold start."""
    del former
    return kind.fresh(campaign)


@dataclass(slots=True, eq=False)
class EngineDecider:
    """The engine decides; a learner beside it learns each batch in order, and is served as often as `refresh` says.

    Args:
        engines: one a phase, each of the campaign that holds in it. Where the next phase has the same campaign, the
            learner goes on; where it has another, `begin` makes a new one.
        kind: the learner.
        refresh: when a new snapshot is served.
        begin: what a learner knows at the start of a phase with another campaign.

    Attributes:
        fallbacks: why the random policy decided in the learner's place, for every decision where it did though there
            was a snapshot.
        n_snapshots: how many were served.
    """

    engines: Sequence[Engine]
    kind: LearnerKind
    _: KW_ONLY
    refresh: Refresh = field(default_factory=Refresh)
    begin: Begin = relearned
    fallbacks: list[str] = field(default_factory=list)
    n_snapshots: int = 0
    _engine: Engine = field(init=False)
    _learner: Learner = field(init=False)
    _pending: list[Decision] = field(init=False, default_factory=list)
    _earlier: list[Matured] = field(init=False, default_factory=list)
    _n_decided: int = field(init=False, default=0)
    _due: int = field(init=False, default=1)

    def enter(self, phase: int, world: World) -> None:
        """Take the phase's engine; with another campaign than before, begin a learner for it.

        Raises:
            ImpossibleWorld: if there is no engine for the phase, or its campaign cannot make every choice.
        """
        if phase >= len(self.engines):
            raise ImpossibleWorld(f"phase {phase} begins and there are {len(self.engines)} engines: give one a phase.")
        engine = self.engines[phase]
        arms = {dimension.name: dimension.ids for dimension in engine.campaign.dimensions}
        if arms != dict(world.choices.dimensions):
            raise ImpossibleWorld(
                f"the campaign has arms {arms!r}, the world others: make the campaign file from the world."
            )
        if phase and engine.campaign.content_hash == self._engine.campaign.content_hash:
            return
        self._engine = engine
        if phase:
            before = self.engines[phase - 1].campaign
            self._earlier = [_translated(row, engine.campaign, before) for row in self._earlier]
            self._learner = self.begin(self.kind, engine.campaign, Former(before, self._learner, self._earlier))
        else:
            self._learner = self.kind.fresh(engine.campaign)
        self._due = 1
        if self._learner.n_learned:
            self._serve()

    def decide(self, sends: Sequence[Send]) -> list[dict[str, str]]:
        """One decision after the other, all from the same snapshot."""
        self._pending = [
            self._engine.decide(
                send.arrival.customer_id,
                Context(send.arrival.context),
                decision_id=send.decision_id,
                at=send.arrival.at,
            )
            for send in sends
        ]
        self.fallbacks += [made.fallback for made in self._pending if made.fallback not in {None, NO_SNAPSHOT}]
        return [decision.choice for decision in self._pending]

    def learn(self, outcome_types: Sequence[frozenset[str]]) -> None:
        """Each decision of the batch in order; then a new snapshot, if enough was learned since the last."""
        campaign = self._engine.campaign
        for decision, types in zip(self._pending, outcome_types, strict=True):
            self._n_decided += 1
            row = Matured(self._n_decided, LoggedDecision.of(decision, self._n_decided), types)
            if is_trained_on(row.decision):
                self._learner.learn(training_row(campaign, row))
            if len(self.engines) > 1:
                self._earlier.append(row)
        if self._learner.n_learned >= self._due:
            self._serve()

    def _serve(self) -> None:
        scorer = self.kind.live(self._engine.campaign, self._learner)
        self.n_snapshots += 1
        self._engine = self._engine.serving(Served(f"s{self.n_snapshots}", scorer))
        self._due = self.refresh.next_after(self._learner.n_learned)


def rehearse(
    phases: Sequence[Phase],
    engines: Sequence[Engine],
    kind: LearnerKind,
    *,
    batch: int,
    refresh: Refresh | None = None,
    watch: Callable[[int], None] = lambda _: None,
) -> Played:
    """Play a campaign with the engine.

    Args:
        phases: in time order.
        engines: one a phase.
        kind: the learner.
        batch: how many sends are decided before anything is heard of them.
        refresh: when a new snapshot is served; by default after every batch, but not more often than every hundredth.
        watch: is told how many sends have been decided, after each batch.

    Raises:
        ImpossibleWorld: as `play` and `EngineDecider.enter`.
    """
    return play(phases, EngineDecider(engines, kind, refresh=refresh or Refresh()), batch=batch, watch=watch)


def _translated(row: Matured, campaign: Campaign, earlier: Campaign) -> Matured:
    """A row of the earlier campaign as one of this: arms that did not exist yet had probability 0."""
    pmfs = []
    for dimension, before, pmf in zip(campaign.dimensions, earlier.dimensions, row.decision.pmfs, strict=True):
        known = dict(zip(before.ids, pmf, strict=True))
        pmfs.append(tuple(known.get(arm, 0.0) for arm in dimension.ids))
    return replace(row, decision=replace(row.decision, pmfs=tuple(pmfs)))
