"""Rows of before scores that differ by rounding alone tied: the best arm was the best to the last bit.

Which arm that was hung on how the scores were added up. So there are two forms to ask again: many numbers at a time, as the
audit and tables of customers do, and plain numbers one by one, as a single decision does.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np

from bandit.arrays import FloatArray
from bandit.context import EncodedContext
from bandit.estimates import Estimates, Offer
from bandit.learner import Scorer


class Ties(Enum):
    """Which scores tie with the best, in the order in which rows are held against them."""

    WITHIN_ROUNDING = "within rounding"
    """As today: those that are less than `bandit.estimates.TIE` apart."""
    EXACT = "exact"
    """As before: those that are equal to the last bit, added up many at a time."""
    EXACT_ALONE = "exact, alone"
    """The same, added up as single decisions do."""


class ExactTies:
    """Serves another scorer's estimates, of which scores tie only if they are equal to the last bit.

    Args:
        inner: what was learned.
        alone: whether scores are rounded as in a single decision.
    """

    __slots__ = ("alone", "inner")

    def __init__(self, inner: Scorer[Any], *, alone: bool) -> None:
        self.inner, self.alone = inner, alone

    @property
    def n_learned(self) -> int:
        """Decisions the snapshot had learned from."""
        return self.inner.n_learned

    def start(self, context: EncodedContext) -> Any:  # noqa: ANN401 - states differ in kind
        """The state before the first pick."""
        return self.inner.start(context)

    def estimates(self, state: Any, dimension: int, offered: Sequence[int]) -> Estimates:  # noqa: ANN401
        """Estimates of the arms of a dimension, given the picks in the state."""
        found = self.inner.estimates(state, dimension, offered)._replace(tie=0.0)
        return _rounded_as(self.offer(state, dimension, offered), found) if self.alone else found

    def offer(self, state: Any, dimension: int, offered: Sequence[int]) -> Offer:  # noqa: ANN401
        """The same in plain numbers, of the arms on offer only."""
        return self.inner.offer(state, dimension, offered)._replace(tie=0.0)

    def after(self, state: Any, dimension: int, pick: int) -> Any:  # noqa: ANN401
        """The state after a pick."""
        return self.inner.after(state, dimension, pick)

    def whole(self, state: Any, dimension: int, pick: int) -> float | None:  # noqa: ANN401
        """Expected reward of the whole choice."""
        return self.inner.whole(state, dimension, pick)


def under(ties: Ties, scorer: Scorer[Any]) -> Scorer[Any]:
    """A scorer whose estimates tie as they did at the time of a row."""
    return scorer if ties is Ties.WITHIN_ROUNDING else ExactTies(scorer, alone=ties is Ties.EXACT_ALONE)


class ExactTieRows:
    """Counts the rows whose pmfs are only those of exact ties."""

    def __init__(self) -> None:
        self._rows: list[int] = []

    def note_row(self, seq: int) -> None:
        """One of them, by its number in the log."""
        self._rows.append(seq)

    def note(self) -> str:
        """What is to be known of them; empty where there are none."""
        if not self._rows:
            return ""
        n = len(self._rows)
        found = f"{n} rows were" if n > 1 else "1 row was"
        return (
            f"{found} drawn before scores apart by rounding tied ({min(self._rows)} to {max(self._rows)}): of arms that were "
            "best but for the last digits, not all got a share. Their propensities are those that they were drawn by."
        )


def _rounded_as(offer: Offer, estimates: Estimates) -> Estimates:
    """The estimates with the numbers of an offer in place of their own."""
    scores, members, at = estimates.scores, estimates.members, list(offer.arms)
    return estimates._replace(
        scores=scores if offer.scores is None else _with(scores, at, offer.scores),
        members=members if offer.members is None else _with(members, at, offer.members),
    )


def _with(values: FloatArray | None, at: list[int], plain: Sequence[Any]) -> FloatArray | None:
    if values is None:
        return None
    found = values.copy()
    found[..., at] = np.asarray(plain)
    return found
