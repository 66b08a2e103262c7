"""What replays earned, kept in a study, so that nothing is played twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import optuna

from simulator.search_space import Settings


@dataclass(frozen=True, slots=True)
class Earned:
    """What one replay earned.

    Attributes:
        value: exact expected reward a send.
        gap: share of the way from the random policy to the best choice; nan where there is no way to go.
    """

    value: float
    gap: float


Plays = Callable[[Settings, Sequence[int]], Sequence[Earned]]
"""Replays a campaign with some settings in the worlds of some seeds; the answer depends on nothing else."""


@dataclass(slots=True, eq=False)
class KnownPlays:
    """Plays that a study has seen before are not played again; everything played is written into it.

    Args:
        study: keeps what was earned, so that a search that was stopped anywhere goes on from there.
        plays: does the playing.
    """

    study: optuna.Study
    plays: Plays
    _known: dict[str, Sequence[float]] = field(init=False)

    def __post_init__(self) -> None:
        self._known = dict(self.study.user_attrs)

    def __call__(self, settings: Settings, seeds: Sequence[int]) -> list[Earned]:
        """What was earned, known or played now."""
        missing = [seed for seed in seeds if _key(settings, seed) not in self._known]
        if missing:
            for seed, earned in zip(missing, self.plays(settings, missing), strict=True):
                self._known[_key(settings, seed)] = [earned.value, earned.gap]
                self.study.set_user_attr(_key(settings, seed), [earned.value, earned.gap])
        return [Earned(*self._known[_key(settings, seed)]) for seed in seeds]

    def gains(self, settings: Settings, usual: Settings, seeds: Sequence[int]) -> list[float]:
        """What settings add to the usual ones in each world, in reward units a send."""
        pairs = zip(self(settings, seeds), self(usual, seeds), strict=True)
        return [tuned.value - before.value for tuned, before in pairs]


def _key(settings: Settings, seed: int) -> str:
    said = json.dumps(dict(settings), sort_keys=True)
    return f"{hashlib.blake2b(said.encode(), digest_size=8).hexdigest()} {seed}"
