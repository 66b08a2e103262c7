"""Somebody who knows every customer and what they got before, and takes the best choice for each send by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bandit.wear_out import PastSend
from simulator.rehearsal import Send
from simulator.world import ImpossibleWorld, RememberingWorld, World


@dataclass(slots=True)
class Knowing:
    """A decider without anything to learn; it looks one send ahead, so a planner could still do better."""

    _world: RememberingWorld | None = None
    _past: dict[str, list[PastSend]] = field(default_factory=dict)

    def enter(self, phase: int, world: World) -> None:
        """Keep the world to be asked."""
        del phase
        if not isinstance(world, RememberingWorld):
            raise ImpossibleWorld(
                "where nothing is remembered the best choice is known already: it is the gap's 100 %."
            )
        self._world = world

    def decide(self, sends: Sequence[Send]) -> list[Mapping[str, str]]:
        """The choice with the largest expected reward, one send after the other."""
        return [self._decide(send) for send in sends]

    def _decide(self, send: Send) -> Mapping[str, str]:
        world, arrival = self._world, send.arrival
        if world is None:
            raise ImpossibleWorld("nothing was entered yet: call enter first.")
        past = self._past.setdefault(arrival.customer_id, [])
        past[:] = [earlier for earlier in past if arrival.at - earlier.at <= world.memory]
        rewards = world.expected_rewards_after([replace(arrival, past=tuple(past))])[0]
        choice = world.choices.at(int(rewards.argmax()))
        past.append(PastSend(arrival.at, choice))
        return choice

    def learn(self, outcome_types: Sequence[frozenset[str]]) -> None:
        """Nothing is left to learn."""
