"""Tastes that do not stay: a slow turn from one to another, or a shock from one day to the next."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bandit.arrays import FloatArray
from simulator.world import ImpossibleWorld


@dataclass(frozen=True, slots=True)
class Change:
    """When customers change in a campaign, and how much less (or more) they open after it.

    Args:
        begins: share of the campaign after which it begins, in [0, 1].
        ends: share after which it is over; the same as `begins` for a shock.
        lift: what it adds to the logit of an open in the end.
        turns: whether tastes turn into others, drawn anew; if not, only the lift changes.

    Raises:
        ImpossibleWorld: if the shares are not in order within [0, 1], or the lift is not finite.

    >>> Change(0.0, 1.0).done(np.array([0.0, 0.5, 1.0])).tolist()
    [0.0, 0.5, 1.0]
    >>> Change(0.5, 0.5).done(np.array([0.49, 0.5])).tolist()
    [0.0, 1.0]
    """

    begins: float = 0.0
    ends: float = 1.0
    lift: float = 0.0
    turns: bool = True

    def __post_init__(self) -> None:
        if not (0.0 <= self.begins <= self.ends <= 1.0 and math.isfinite(self.lift)):
            raise ImpossibleWorld(
                f"{self!r} cannot happen in a campaign: give shares of it, begins before ends within [0, 1], and a finite "
                "lift in logits."
            )

    def done(self, elapsed: FloatArray) -> FloatArray:
        """How far the change has come, in [0, 1]: it starts and stops gently.

        Args:
            elapsed: share of the campaign that is over, any shape.
        """
        if self.begins == self.ends:
            return (elapsed >= self.begins).astype(np.float64)
        width = self.ends - self.begins
        straight = np.clip(elapsed - self.begins, 0.0, width) / width
        return np.asarray(straight**2 * (3.0 - 2.0 * straight), dtype=np.float64)

    def lifts(self, elapsed: FloatArray) -> FloatArray:
        """What is added to the logit of an open by then."""
        return self.lift * self.done(elapsed)

    def weights(self, elapsed: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Weights of the tastes before and after, whose squares sum to 1: drawn effects stay as large on the way.

        >>> [round(float(weight), 3) for weight in Change().weights(np.array(0.5))]
        [0.707, 0.707]
        """
        angle = (math.pi / 2.0) * (self.done(elapsed) if self.turns else np.zeros_like(elapsed))
        return np.cos(angle), np.sin(angle)
