"""What drew a row of several dimensions: the pmf of whole choices that is made again, held against the row's propensity.

Rows of before dead ends were out (`bandit.dead_end`) were drawn from more arms, and are in the log only where the draw led on to
a whole choice. Given that, each whole choice had its probability divided by all of theirs: this is what such rows are weighed by.
Rows of before scores apart by rounding tied (`evaluation.exact_ties`) are weighed by what they were drawn from too.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Final, NamedTuple, Protocol

from bandit.arrays import FloatArray
from bandit.context import EncodedContext
from bandit.errors import UnusableLog
from evaluation.exact_ties import Ties
from evaluation.joint_pmf import Joint
from evaluation.recomputed_check import RECOMPUTED_TOLERANCE


class Rules(NamedTuple):
    """The rules of a time that a row can have been drawn by.

    Attributes:
        ties: which scores tied with the best.
        is_blind: whether dead ends were among the arms.
    """

    ties: Ties = Ties.WITHIN_ROUNDING
    is_blind: bool = False


NOW: Final = Rules()
EVER: Final = tuple(Rules(*one) for one in product(Ties, (False, True)))
"""All that there were; those of now first, and those of before dead ends were out second."""


class Decider(Joint, Protocol):
    """Somebody who decided rows of a log, of before a rule changed as well."""

    def pmf_under(self, ties: Ties, encoded: EncodedContext, /, *, is_blind: bool) -> FloatArray:
        """The pmf under the rules of a time; what it lacks to 1, where it is blind to dead ends, was refused."""


class Behavior(NamedTuple):
    """What drew a row.

    Attributes:
        pmf: of every whole choice that was answered, shape (n_arms of each dimension).
        answered: probability that there was an answer; below 1 where dead ends could be drawn.
        rules: by which it drew.
    """

    pmf: FloatArray
    answered: float = 1.0
    rules: Rules = NOW

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
    made: Callable[[Rules], Behavior], picks: tuple[int, ...], propensity: float, number: int, *, has_dead_ends: bool
) -> Behavior:
    """What a row was drawn from: what draws now, else what drew by the rules of before.

    Args:
        made: makes it, under the rules that it is told.
        picks: of the row.
        propensity: of its whole choice.
        number: its place in the log.
        has_dead_ends: whether the campaign can have any.

    Raises:
        UnusableLog: if the row can have been drawn from none.
    """
    now = made(NOW)
    if now.explains(picks, propensity):
        return now
    for rules in EVER[1:]:
        if (has_dead_ends or not rules.is_blind) and (before := made(rules)).explains(picks, propensity):
            return before
    raise now.unexplained(picks, propensity, number)


def behavior_of(decider: Decider, encoded: EncodedContext, rules: Rules) -> Behavior:
    """What draws a customer's choice.

    Args:
        decider: who decides.
        encoded: what is known of the customer.
        rules: of the time; where dead ends were among the arms, it is what drew given that there was an answer.
    """
    if rules == NOW:
        return Behavior(decider.pmf(encoded))
    pmf = decider.pmf_under(rules.ties, encoded, is_blind=rules.is_blind)
    if not rules.is_blind:
        return Behavior(pmf, rules=rules)
    answered = float(pmf.sum())
    return Behavior(pmf / answered if answered > 0.0 else pmf, answered or 1.0, rules)
