"""Fatigue: an arm that a customer got lately is clicked less, and comes back with a known half-life."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from bandit.arrays import FloatArray
from simulator.world import Arrival, ChoiceGrid, ImpossibleWorld

_HALF_LIVES: Final = 8
"""After so many an exposure is forgotten: it would count 1/256."""
_MOST_LOST: Final = 30.0
"""Logits; nobody clicks there."""


@dataclass(frozen=True, slots=True)
class Fatigue:
    """What an earlier send of an arm takes off the logit of a click on it: `depth * 2 ** (-age / half_life)`.

    Ages are counted from decision to decision, as the engine's own wear-out counts them.

    Args:
        depth: what it takes off at once, in logits, at least 0.
        half_life: after how long half of that is back.

    Raises:
        ImpossibleWorld: if the depth is negative or not finite, or the half-life is not above 0.
    """

    depth: float = 0.5
    half_life: timedelta = timedelta(days=7)

    def __post_init__(self) -> None:
        if not 0.0 <= self.depth < math.inf or self.half_life <= timedelta(0):
            raise ImpossibleWorld(f"{self!r}: give a finite depth of at least 0 logits and a half-life above 0.")

    @property
    def memory(self) -> timedelta:
        """For how long an earlier send matters."""
        return _HALF_LIVES * self.half_life

    def lost(self, arrivals: Sequence[Arrival], choices: ChoiceGrid, *, fresh: str | None = None) -> FloatArray:
        """What past sends take off each arm, in logits.

        Args:
            arrivals: with their past; arms that are no longer offered are passed over.
            choices: whose arms are numbered one after the other.
            fresh: a dimension nobody tires of: the hour of a send is nothing that is read.

        Returns:
            Shape (n_arrivals, n_arms).
        """
        columns: dict[tuple[str, str], int] = {}
        for name, arms in choices.dimensions.items():
            for arm in arms:
                columns[name, arm] = len(columns)
        loads = np.zeros((len(arrivals), len(columns)))
        columns = {(name, arm): column for (name, arm), column in columns.items() if name != fresh}
        for row, arrival in zip(loads, arrivals, strict=True):
            for send in arrival.past:
                age = arrival.at - send.at
                if timedelta(0) < age <= self.memory:
                    known = [columns[pair] for pair in send.choice.items() if pair in columns]
                    row[known] += 2.0 ** (-(age / self.half_life))
        return np.minimum(self.depth * loads, _MOST_LOST)
