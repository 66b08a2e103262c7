"""A campaign replayed in memory on its own clock: late outcomes, a trainer that comes by every few hours, exact truth.

What decides, learns and closes windows is the engine's own code; only customers, calendar and log are made up. Between two
visits of the trainer one snapshot serves, so what comes in between is decided at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, groupby
from typing import Protocol, runtime_checkable

import numpy as np

from bandit.campaign import Campaign
from bandit.engine import Engine
from simulator.engine_decider import Begin, known_so_far
from simulator.faults import Faults, RowFault
from simulator.open_rows import OpenRow
from simulator.replay_state import ReplayState
from simulator.replayed import DAY, ReplayedCampaign, ReplayedStage
from simulator.truth import Truth, value_of_choices
from simulator.world import Arrival, ImpossibleWorld, World


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


@runtime_checkable
class Identified(Protocol):
    """Worlds that can say which they are, the same in every process."""

    @property
    def identity(self) -> str:
        """Differs wherever a replay would."""


def replay(
    stages: Sequence[Stage],
    engines: Sequence[Engine],
    *,
    step: timedelta = DAY,
    begin: Begin = known_so_far,
    faults: Faults | None = None,
    watch: Callable[[int], None] = lambda _: None,
) -> ReplayedCampaign:
    """Replay a campaign: decide, react, wait, close windows, learn, serve, step after step.

    A decision that the campaign's caps refuse did not happen: it is counted, and no row is left of it.

    Args:
        stages: in time order.
        engines: one a stage, of its campaign; the salt says which draws are made.
        step: time between two visits of the trainer; what it learned is served until the next.
        begin: what the learner of a stage with another campaign knows of the former one.
        faults: of events, policy, sending and identity. The truth is that of what was really sent.
        watch: is told how many sends have been decided, after each step.

    Caution: as in the service, a changed campaign begins a log of its own. What was sent before and whose window is still open
    then teaches nobody.

    Raises:
        ImpossibleWorld: if there is no stage, not one engine a stage, the step is not above 0, or a fault is one of stored
            rows, of which there are none here.
    """
    if not stages or len(stages) != len(engines) or step <= timedelta(0):
        raise ImpossibleWorld(f"{len(stages)} stages, {len(engines)} engines, step {step}: give one engine a stage.")
    state = ReplayState(engines, begin, _checked(faults or Faults()))
    start: datetime | None = None
    for number, stage in enumerate(stages):
        state.enter(number, stage.world)
        came = iter(stage.world.arrivals(stage.n_sends))
        first = next(came)
        start = start or first.at
        for begins, arrivals in steps_of(chain([first], came), start, step):
            state.visit(begins, step)
            state.decide(arrivals)
            watch(state.n_decided)
    state.finish(step)
    done = tuple(_replayed(stage, rows) for stage, rows in zip(stages, state.rows, strict=True))
    counts = (state.n_snapshots, state.n_fallbacks, state.n_learned, state.open.n_late, state.open.n_duplicates)
    return ReplayedCampaign(done, *counts, state.caps.n_capped)


def _checked(faults: Faults) -> Faults:
    if any(isinstance(fault, RowFault) for fault in faults.faults):
        raise ImpossibleWorld(
            "a fault of stored rows does nothing in a replay, whose rows are never stored: nobody would notice. "
            "Practise on it with `manyarm demo --fault`, or leave it out."
        )
    return faults


def steps_of(arrivals: Iterable[Arrival], start: datetime, step: timedelta) -> Iterator[tuple[datetime, list[Arrival]]]:
    """Arrivals of each step since the start, with the time at its beginning; steps in which nobody came are left out."""
    for number, group in groupby(arrivals, key=lambda arrival: (arrival.at - start) // step):
        yield start + number * step, list(group)


def _replayed(stage: Stage, rows: Sequence[OpenRow]) -> ReplayedStage:
    """Rows as columns, with their truth.

    Raises:
        ImpossibleWorld: if the caps left none.
    """
    if not rows:
        raise ImpossibleWorld(
            "the campaign's caps refused every send of a stage, so nothing of it can be told. Give more days or customers."
        )
    picks, propensities, pmfs = zip(*(row.plain for row in rows), strict=True)
    costs = stage.campaign.reward.recent_send is not None
    made = [(row.decisions, row.place) for row in rows]
    return ReplayedStage(
        stage.campaign,
        [row.arrival for row in rows],
        np.array([decisions.groups[place].value for decisions, place in made]),
        np.array(picks, dtype=np.int64),
        np.array(propensities),
        tuple(np.array(pmf) for pmf in zip(*pmfs, strict=True)),
        np.array([row.reward for row in rows]),
        np.array([row.revenue for row in rows]),
        _truth(stage, rows),
        np.array([decisions.snapshots[place] or "" for decisions, place in made]),
        [row.context.exposures for row in rows],
        np.array([decisions.estimates[place] for decisions, place in made]),
        [row.context.recent_sends for row in rows] if costs else (),
        np.array([row.worth for row in rows] if costs else []),
    )


def _truth(stage: Stage, rows: Sequence[OpenRow]) -> Truth:
    """Of what was sent; a send that did not go out is worth nothing."""
    first = stage.world.choices.at(0)
    sent = [first if row.sent is None else row.sent for row in rows]
    truth = value_of_choices(stage.world, [row.arrival for row in rows], sent)
    truth.values[[row.sent is None for row in rows]] = 0.0
    return truth
