"""Choices that send nothing, in a world: they earn nothing, bring nothing and annoy nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bandit.arrays import BoolArray, FloatArray
from bandit.campaign import Campaign
from simulator.world import Arrival, ChoiceGrid, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Silence:
    """Which of a campaign's choices send nothing.

    Args:
        campaign: whose arms.
        grid: its choices, numbered.

    Attributes:
        choices: shape (n_choices,), in the grid's order; None where every choice is a message.
    """

    campaign: Campaign
    grid: ChoiceGrid
    choices: BoolArray | None = field(init=False)

    def __post_init__(self) -> None:
        found = np.zeros(1, dtype=np.bool_)
        for dimension in self.campaign.dimensions:
            found = (found[:, None] | np.array([arm.no_send for arm in dimension.arms])).ravel()
        object.__setattr__(self, "choices", found if found.any() else None)

    def has(self, choice: Mapping[str, str]) -> bool:
        """Whether a choice sends nothing."""
        return self.choices is not None and bool(self.choices[self.grid.index(choice)])

    def messages(self, picks: IntArray) -> IntArray:
        """Rows of a log whose choices send something.

        Args:
            picks: shape (n, n_dimensions), positions of the arms.

        Returns:
            Their positions, ascending.
        """
        if self.choices is None:
            return np.arange(len(picks))
        return np.flatnonzero(~self.choices[np.ravel_multi_index(tuple(picks.T), self.grid.shape)])

    def left_out(self, arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
        """Arrivals whose past is what was really sent."""
        if self.choices is None:
            return arrivals
        pasts = [tuple(one for one in came.past if not self.has(one.choice)) for came in arrivals]
        return [replace(came, past=past) for came, past in zip(arrivals, pasts, strict=True)]

    def earning_nothing(self, found: FloatArray, choices: Sequence[Mapping[str, str]]) -> FloatArray:
        """Means of some choices, with 0 for those that send nothing; shape (n,)."""
        return found if self.choices is None else np.where([self.has(choice) for choice in choices], 0.0, found)
