"""On which day somebody who looks at a campaign every day first says that learner or control is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
import scipy

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import UnusableLog
from evaluation.empirical_bernstein import ConfidenceSequence
from evaluation.group_sequence import group_sequence
from evaluation.grouped_sends import GroupedSends
from simulator.world import IntArray


@dataclass(frozen=True, slots=True)
class FirstDays:
    """Days from the first send, counted from 1; None where it was never said.

    Attributes:
        better: when the learner was first said to be better.
        worse: when control was.
    """

    better: int | None = None
    worse: int | None = None

    @property
    def claimed(self) -> bool:
        """Whether either was ever said to be better than the other."""
        return self.better is not None or self.worse is not None


@dataclass(frozen=True, slots=True, eq=False)
class DailyLooks:
    """Sends of learner and control, and how many of them have their final reward at the end of each day.

    Attributes:
        treated: shape (n,), in order of decision: whether the learner's.
        customers: shape (n,), a number for each customer.
        rewards: shape (n,), as the log has them.
        known: shape (n_days,), never falling: how many of the first sends have matured.
        worths: shape (n,), what the outcomes were worth, where recent messages cost something; else None.
    """

    treated: BoolArray
    customers: IntArray
    rewards: FloatArray
    known: IntArray
    worths: FloatArray | None = None

    @classmethod
    def of(
        cls,
        treated: BoolArray,
        customers: IntArray,
        rewards: FloatArray,
        due_days: FloatArray,
        *,
        worths: FloatArray | None = None,
    ) -> DailyLooks:
        """Looks once a day, until the last window has closed.

        Args:
            treated: shape (n,), in order of decision: whether the learner's.
            customers: shape (n,), a number for each customer.
            rewards: shape (n,).
            due_days: shape (n,), days from the campaign's first send until the reward is final.
            worths: shape (n,), what the outcomes were worth; None where recent messages cost nothing.
        """
        # A send that matures late holds up those after it: what is looked at is a beginning of the campaign.
        due = np.maximum.accumulate(due_days)
        days = np.arange(1, int(np.ceil(due.max(initial=0.0))) + 1)
        known = np.searchsorted(due, days, side="right").astype(np.int64)
        return cls(treated, customers, rewards, known, worths)

    def looks(self) -> tuple[IntArray, IntArray]:
        """Rows of each look that sees anything new, and its day; the same shape (n_looks,)."""
        rows, first = np.unique(self.known, return_index=True)
        return rows[rows > 0], first[rows > 0] + 1


def always_valid(
    looks: DailyLooks, share: float, reward_range: tuple[float, float], planned: int, confidence_level: float = 0.95
) -> FirstDays:
    """The product's rule: bounds of the difference that hold at every look, planned for the whole campaign.

    Args:
        looks: the sends.
        share: of the learner among the customers of both groups, in (0, 1).
        reward_range: least and largest reward a send can have.
        planned: sends of both groups by the end.
        confidence_level: of both bounds at all looks together.

    Returns:
        The first day each side of 0 was ruled out; never, where the rows cannot be compared.
    """
    rows, days = looks.looks()
    if not len(rows):
        return FirstDays()
    try:
        sends = GroupedSends.of(looks.treated, looks.customers, share)
    except UnusableLog:
        return FirstDays()

    rewarded = None if looks.worths is None else looks.worths != 0.0

    def bounds(n_looks: int) -> ConfidenceSequence | None:
        try:
            return group_sequence(
                sends, looks.rewards, confidence_level,
                reward_range=reward_range, planned=planned, looks=rows[:n_looks], rewarded=rewarded,
            )  # fmt: skip
        except UnusableLog:
            return None

    found = _longest(bounds, len(rows))
    if found is None:
        return FirstDays()
    return FirstDays(_first(found.lower > 0.0, days), _first(found.upper < 0.0, days))


def naive(looks: DailyLooks, level: float = 0.05) -> FirstDays:
    """What many do instead: every day the two-proportion test of all sends so far, and stop when p is below the level.

    It counts the share of sends that earned something. Looking daily makes it wrong far more often than the level says,
    and customers with several sends more often still.

    Args:
        looks: the sends.
        level: of each single test, two-sided.

    Source: the pooled z test of two proportions.

    >>> half = np.array([True, False] * 200)
    >>> sends = DailyLooks(half, np.arange(400), half.astype(float), np.array([0, 40, 400]))
    >>> naive(sends)
    FirstDays(better=2, worse=None)
    """
    rows, days = looks.looks()
    worths = looks.rewards if looks.worths is None else looks.worths
    earned = (worths > 0.0).astype(np.float64)
    n_treated = np.cumsum(looks.treated)[rows - 1]
    won_treated, won = np.cumsum(earned * looks.treated)[rows - 1], np.cumsum(earned)[rows - 1]
    z = np.array([_z(*one) for one in zip(won_treated, n_treated, won - won_treated, rows - n_treated, strict=True)])
    critical = float(scipy.stats.norm.ppf(1.0 - level / 2.0))
    return FirstDays(_first(z > critical, days), _first(z < -critical, days))


def _z(won_treated: float, n_treated: int, won_control: float, n_control: int) -> float:
    if not (n_treated and n_control):
        return 0.0
    pooled = (won_treated + won_control) / (n_treated + n_control)
    error = sqrt(pooled * (1.0 - pooled) * (1.0 / n_treated + 1.0 / n_control))
    return (won_treated / n_treated - won_control / n_control) / error if error else 0.0


def _longest(bounds: Callable[[int], ConfidenceSequence | None], n_looks: int) -> ConfidenceSequence | None:
    """Bounds at as many looks as do not contradict each other: an effect that turns around makes them cross one day."""
    found = bounds(n_looks)
    if found is not None:
        return found
    low, high = 0, n_looks
    while high - low > 1:
        middle = (low + high) // 2
        tried = bounds(middle)
        low, high, found = (middle, high, tried) if tried is not None else (low, middle, found)
    return found


def _first(happened: BoolArray, days: IntArray) -> int | None:
    return int(days[happened.argmax()]) if happened.any() else None
