"""What drew a row of several dimensions: the pmf of whole choices that is made again, held against the row's propensity.

Rows of before dead ends were out (`bandit.dead_end`) were drawn from more arms, and are in the log only where the draw led on to
a whole choice. Given that, each whole choice had its probability divided by all of theirs: this is what such rows are weighed by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from bandit.arrays import FloatArray
from bandit.context import EncodedContext
from bandit.errors import UnusableLog
from evaluation.joint_pmf import Joint

RECOMPUTED_TOLERANCE = 1e-6


class Decider(Joint, Protocol):
    """Somebody who decided rows of a log, of before dead ends were out as well."""

    def blind_pmf(self, encoded: EncodedContext, /) -> FloatArray:
        """The pmf with dead ends among the arms; what it lacks to 1 was refused."""


class Behavior(NamedTuple):
    """What drew a row.

    Attributes:
        pmf: of every whole choice that was answered, shape (n_arms of each dimension).
        answered: probability that there was an answer; below 1 where dead ends could be drawn.
        is_blind: whether it drew before dead ends were out.
    """

    pmf: FloatArray
    answered: float = 1.0
    is_blind: bool = False

    def explains(self, picks: tuple[int, ...], propensity: float) -> bool:
        """Whether a row with these picks and this propensity can have been drawn from it."""
        gap = abs(self._propensity(picks) - propensity)
        return gap <= RECOMPUTED_TOLERANCE * max(propensity, 1e-3)

    def unexplained(self, picks: tuple[int, ...], propensity: float, number: int) -> UnusableLog:
        """What to say of a row that cannot; `number` is its place in the log."""
        return UnusableLog(
            f"row {number}: its propensity is {propensity!r}, its snapshot gives {self._propensity(picks)!r}. One of them is not "
            "what was used: run `manyarm verify`."
        )

    def _propensity(self, picks: tuple[int, ...]) -> float:
        return float(self.pmf[picks]) * self.answered


def what_drew(
    made: Callable[[bool], Behavior], picks: tuple[int, ...], propensity: float, number: int, *, has_dead_ends: bool
) -> Behavior:
    """What a row was drawn from: what draws now, else what drew before dead ends were out.

    Args:
        made: makes it; told whether it is the one of before.
        picks: of the row.
        propensity: of its whole choice.
        number: its place in the log.
        has_dead_ends: whether the campaign can have any.

    Raises:
        UnusableLog: if the row can have been drawn from neither.
    """
    now = made(False)
    if now.explains(picks, propensity):
        return now
    if has_dead_ends and (before := made(True)).explains(picks, propensity):
        return before
    raise now.unexplained(picks, propensity, number)


def behavior_of(decider: Decider, encoded: EncodedContext, is_blind: bool) -> Behavior:
    """What draws a customer's choice.

    Args:
        decider: who decides.
        encoded: what is known of the customer.
        is_blind: whether it is what drew before dead ends were out, given that there was an answer.
    """
    if not is_blind:
        return Behavior(decider.pmf(encoded))
    pmf = decider.blind_pmf(encoded)
    answered = float(pmf.sum())
    return Behavior(pmf / answered if answered > 0.0 else pmf, answered or 1.0, is_blind)
