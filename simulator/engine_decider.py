"""The engine in a rehearsal: it decides, a learner beside it learns, and what was learned is served as often as wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace

from bandit.campaign import Campaign
from bandit.context import Context
from bandit.decision import Decision
from bandit.engine import NO_SNAPSHOT, Engine, Served
from bandit.errors import BrokenSnapshot
from bandit.learner import Learner, LearnerKind
from bandit.log import LoggedDecision
from bandit.training import Matured, is_trained_on, training_row
from bandit.warm_start import carry_over
from bandit.wear_out import PastSend, moved_exposures
from simulator.rehearsal import Phase, Played, Send, play
from simulator.world import ImpossibleWorld, World


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


def known_so_far(kind: LearnerKind, campaign: Campaign, former: Former) -> Learner:
    """A learner that goes on from the former one's snapshot; where that cannot be, it learns the former rows again.

    There is nothing to go on from before a learner has seen enough to say where to start, and native explorers cannot.
    """
    try:
        return carried(kind, campaign, former)
    except BrokenSnapshot:
        return relearned(kind, campaign, former)


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
    _past: dict[str, list[PastSend]] = field(init=False, default_factory=dict)
    _n_decided: int = field(init=False, default=0)
    _due: int = field(init=False, default=1)

    @property
    def campaign(self) -> Campaign:
        """That of the present phase."""
        return self._engine.campaign

    @property
    def learner(self) -> Learner:
        """The learner as it stands."""
        return self._learner

    def enter(self, phase: int, world: World) -> None:
        """Take the phase's engine; with another campaign than before, begin a learner for it.

        Raises:
            ImpossibleWorld: if there is no engine for the phase, its campaign cannot make every choice, or it has caps.
        """
        if phase >= len(self.engines):
            raise ImpossibleWorld(f"phase {phase} begins and there are {len(self.engines)} engines: give one a phase.")
        engine = self.engines[phase]
        if engine.campaign.has_caps:
            raise ImpossibleWorld(
                "the campaign has frequency caps, which a play in batches does not keep. Use simulator.replay, or take them out."
            )
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
            self._earlier = [translated(row, engine.campaign, before) for row in self._earlier]
            self._learner = self.begin(self.kind, engine.campaign, Former(before, self._learner, self._earlier))
        else:
            self._learner = self.kind.fresh(engine.campaign)
        self._due = 1
        if self._learner.n_learned:
            self._serve()

    def decide(self, sends: Sequence[Send]) -> list[dict[str, str]]:
        """One decision after the other, all from the same snapshot."""
        self._pending = [self._decide(send) for send in sends]
        self.fallbacks += [made.fallback for made in self._pending if made.fallback not in {None, NO_SNAPSHOT}]
        return [decision.choice for decision in self._pending]

    def _decide(self, send: Send) -> Decision:
        arrival, span = send.arrival, self._engine.campaign.looks_back
        past = self._past.setdefault(arrival.customer_id, []) if span else None
        if span and past:
            past[:] = [earlier for earlier in past if arrival.at - earlier.at < span]
        context = Context(self._engine.campaign.given_of(arrival.context))
        made = self._engine.decide(arrival.customer_id, context, decision_id=send.decision_id, at=arrival.at, past=past)
        if past is not None:
            past.append(PastSend(arrival.at, made.choice))
        return made

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


def translated(row: Matured, campaign: Campaign, earlier: Campaign) -> Matured:
    """A row of an earlier campaign as one of this: arms that did not exist yet had probability 0."""
    pmfs = []
    for dimension, before, pmf in zip(campaign.dimensions, earlier.dimensions, row.decision.pmfs, strict=True):
        known = dict(zip(before.ids, pmf, strict=True))
        pmfs.append(tuple(known.get(arm, 0.0) for arm in dimension.ids))
    exposures = moved_exposures(row.decision.exposures, earlier.dimensions, campaign.dimensions)
    return replace(row, decision=replace(row.decision, pmfs=tuple(pmfs), exposures=exposures))
