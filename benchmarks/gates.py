"""Gates: what a figure must be for a benchmark to pass."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gate:
    """A figure and the least and largest it may be; None for a figure that there is not."""

    name: str
    figure: float | None
    least: float | None = None
    largest: float | None = None

    @property
    def holds(self) -> bool:
        """Whether it is there and between."""
        if self.figure is None:
            return False
        return (self.least is None or self.figure >= self.least) and (
            self.largest is None or self.figure <= self.largest
        )
