"""A whole campaign in memory: decide, react, learn batch after batch, and see what it was really worth.

`play` is the loop, the same for everybody: a `Decider` decides a batch, the world reacts, and only then the decider hears
of it. `simulator.engine_decider` is the engine with a learner that trains beside it; anything else that can decide and
learn may take its place, and meets the same customers with the same luck.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from typing import Protocol

import numpy as np

from bandit.wear_out import PastSend
from simulator.truth import Truth, value_of_choices
from simulator.world import Arrival, ImpossibleWorld, RememberingWorld, SendingWorld, World

Memory = dict[str, list[PastSend]]
"""Customer to what they got before, oldest first."""


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
    memory: Memory = {}
    for number, phase in enumerate(phases):
        decider.enter(number, phase.world)
        arrivals: list[Arrival] = []
        first = len(choices)
        for sends in _batches(phase.world.arrivals(phase.n_sends), batch, first):
            made = decider.decide(sends)
            types = []
            for send, choice in zip(sends, made, strict=True):
                arrival = remembered(phase.world, send.arrival, choice, memory)
                types.append(_types(phase.world, arrival, send.decision_id, choice))
                arrivals.append(arrival)
            decider.learn(types)
            choices += made
            happened += types
            watch(len(choices))
        truths.append(value_of_choices(phase.world, arrivals, choices[first:]))
    return Played(choices, happened, _joined(truths))


def remembered(world: World, arrival: Arrival, choice: Mapping[str, str], memory: Memory) -> Arrival:
    """An arrival with what its customer got before, where the world looks at it; what they get now is noted."""
    if not isinstance(world, RememberingWorld):
        return arrival
    found = with_past(arrival, memory, world.memory)
    memory[arrival.customer_id].append(PastSend(arrival.at, choice))
    return found


def with_past(arrival: Arrival, memory: Memory, span: timedelta) -> Arrival:
    """An arrival with what its customer got within the span before; anything older is forgotten."""
    past = memory.setdefault(arrival.customer_id, [])
    past[:] = [earlier for earlier in past if arrival.at - earlier.at <= span]
    return replace(arrival, past=tuple(past)) if past else arrival


def _batches(arrivals: Iterable[Arrival], batch: int, first: int) -> Iterator[list[Send]]:
    numbered = (Send(number, arrival) for number, arrival in enumerate(arrivals, start=first + 1))
    while sends := list(islice(numbered, batch)):
        yield sends


def _types(world: World, arrival: Arrival, decision_id: str, choice: Mapping[str, str]) -> frozenset[str]:
    opens = world.sent_at(arrival, choice) if isinstance(world, SendingWorld) else arrival.at
    closes = opens + world.window
    outcomes = world.react(arrival, choice, decision_id=decision_id)
    return frozenset([outcome.type for outcome in outcomes if outcome.at <= closes])


def _joined(truths: Sequence[Truth]) -> Truth:
    parts = zip(*((truth.values, truth.uniform, truth.best) for truth in truths), strict=True)
    return Truth(*(np.concatenate(part) for part in parts))
