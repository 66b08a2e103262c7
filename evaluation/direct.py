"""The direct method: what a reward model says, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.columns import Expected
from evaluation.sums import Gradient, Sums


@dataclass(frozen=True, slots=True)
class DirectMethod:
    """Believes, mean(sum over arms of target probability x model): as good as the model, which nobody knows.

    Caution: its spread says nothing about the model's own error: intervals around it were measured to hold the truth
    in no case at all. Reports leave them out.
    """

    name: str = "dm"

    @property
    def columns(self) -> tuple[Expected, ...]:
        """The model's value of the target."""
        return (Expected(),)

    def value(self, sums: Sums) -> float:
        """The mean, over all rows."""
        return sums.mean(Expected().name)

    def gradient(self, sums: Sums) -> Gradient:
        """1."""
        del sums
        return {Expected().name: 1.0}
