"""What each arm is worth on a learner's own traffic: for everybody or a segment, and drawn in towards the others."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from evaluation.arm_scores import ArmScores
from evaluation.empirical_bayes import ShrunkValue, shrink


@dataclass(frozen=True, slots=True)
class ArmValue:
    """One arm.

    Attributes:
        n_drawn: sends it was drawn for.
        n_eligible: sends it could have been drawn for.
        value: mean reward had it always been drawn where it was eligible, in reward units; None where it never was.
        se: of it, customers being the independent units; None with fewer than two customers.
        shrunk: the same, drawn in towards the other arms; None where that cannot be said.
    """

    n_drawn: int
    n_eligible: int
    value: float | None
    se: float | None
    shrunk: ShrunkValue | None


def arm_values(scores: ArmScores, confidence_level: float = 0.95) -> tuple[ArmValue, ...]:
    """The value of every arm, and what empirical Bayes makes of it.

    Args:
        scores: of learner and random group together; of a segment with `ArmScores.where`.
        confidence_level: in (0, 1), of the shrunk intervals.

    Returns:
        One an arm, in order. Values are means over the sends in which an arm was eligible, so arms with different rules
        are worth what they are worth to different customers.

    Caution: the arm that looks best is worth less than it looks: report `shrunk`.

    Source: Robins, Rotnitzky and Zhao (1994) for the scores; `shrink` for the rest.

    >>> from evaluation.arm_scores import ArmRows, arm_scores
    >>> rows = ArmRows.of([[0.5, 0.5]] * 400, drawn=[0, 1] * 200, rewards=[1, 0, 0, 0] * 100)
    >>> [round(100 * one.value) for one in arm_values(arm_scores(rows))]
    [50, 0]
    """
    rows = scores.rows
    drawn = np.bincount(rows.drawn, minlength=scores.estimates.shape[1]).tolist()
    measured = [_measured(scores, arm) for arm in range(len(drawn))]
    shrunk = _shrunk([value for _, value, _ in measured], [se for _, _, se in measured], confidence_level)
    return tuple(
        ArmValue(n_drawn, n_eligible, value, se, one)
        for n_drawn, (n_eligible, value, se), one in zip(drawn, measured, shrunk, strict=True)
    )


def _measured(scores: ArmScores, arm: int) -> tuple[int, float | None, float | None]:
    """Eligible sends, value and standard error, in reward units."""
    rows = scores.rows
    eligible = rows.pmfs[:, arm] > 0
    n = int(np.count_nonzero(eligible))
    if not n:
        return 0, None, None
    found = (scores.estimates[:, arm] + np.where(rows.drawn == arm, scores.corrections, 0.0))[eligible]
    value = float(found.mean())
    low, _ = rows.reward_range
    return n, low + rows.width * value, _error(found - value, rows.customers[eligible], rows.width)


def _error(residuals: FloatArray, customers: np.ndarray, width: float) -> float | None:
    sums = np.bincount(customers, weights=residuals)
    n_customers = int(np.count_nonzero(np.bincount(customers)))
    if n_customers < 2:
        return None
    return width * sqrt(n_customers / (n_customers - 1) * float(sums @ sums)) / len(residuals)


def _shrunk(
    values: list[float | None], errors: list[float | None], confidence_level: float
) -> tuple[ShrunkValue | None, ...]:
    try:
        return shrink(values, errors, confidence_level).values
    except UnusableLog:
        # No arm's value has an error that could be weighed: nothing is known, so nothing is drawn in.
        return (None,) * len(values)
