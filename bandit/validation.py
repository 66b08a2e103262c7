"""Progressive validation: each row is predicted before it is learned, and whoever predicts best serves."""

from __future__ import annotations

import math
from collections.abc import Sequence

HALF_LIFE = 10_000
"""Rows after which a loss counts half, so that a changed world changes the verdict."""
LEAD = 1.0
"""Standard errors of the paired difference by which a challenger must lead."""
ValidationState = tuple[int, int, list[float], list[list[float]], list[tuple[int, str]]]


class Validation:
    """Losses of several candidates on the same rows, and who serves because of them.

    Every row is scored before anybody learns it, so no loss is of a row already seen. A challenger takes over when its
    decayed loss is lower by one standard error of the difference, which is measured row by row: most of the noise is
    common to all candidates and cancels.

    Source: Dawid (1984), the prequential approach; Blum, Kalai and Langford (1999), progressive cross-validation.

    >>> contest = Validation(("slow", "fast"), first=0)
    >>> for _ in range(10):
    ...     contest.add([1.0, 0.5])
    >>> contest.serving, contest.switches
    ('fast', [(2, 'fast')])
    """

    __slots__ = ("_chosen", "_decay", "_losses", "_products", "n_rows", "names", "switches")

    def __init__(self, names: Sequence[str], *, first: int, state: ValidationState | None = None) -> None:
        self.names = tuple(names)
        self._decay = 0.5 ** (1.0 / HALF_LIFE)
        none = [0.0] * len(names)
        fresh: ValidationState = (0, min(first, len(names) - 1), none, [none.copy() for _ in names], [])
        self.n_rows, self._chosen, self._losses, self._products, self.switches = state or fresh

    @property
    def chosen(self) -> int:
        """Position of the candidate that serves."""
        return self._chosen

    @property
    def serving(self) -> str:
        """Its name."""
        return self.names[self._chosen]

    @property
    def mean_losses(self) -> dict[str, float]:
        """Decayed mean loss of each candidate."""
        weight = (1.0 - self._decay**self.n_rows) / (1.0 - self._decay)
        return {name: loss / max(weight, 1.0) for name, loss in zip(self.names, self._losses, strict=True)}

    def add(self, losses: Sequence[float]) -> None:
        """One row: what each candidate lost on it before it learned."""
        self.n_rows += 1
        if len(self.names) == 1:
            return
        decay = self._decay
        self._losses = [decay * total + loss for total, loss in zip(self._losses, losses, strict=True)]
        for row, loss in zip(self._products, losses, strict=True):
            row[:] = [decay * total + loss * other for total, other in zip(row, losses, strict=True)]
        self._choose()

    def state(self) -> ValidationState:
        """Everything, for a snapshot."""
        return self.n_rows, self._chosen, self._losses, self._products, self.switches

    def _choose(self) -> None:
        best, serving = self._losses.index(min(self._losses)), self._chosen
        products = self._products
        squared = products[best][best] - 2.0 * products[best][serving] + products[serving][serving]
        if best != serving and self._losses[serving] - self._losses[best] > LEAD * math.sqrt(max(squared, 0.0)):
            self._chosen = best
            self.switches.append((self.n_rows, self.serving))
