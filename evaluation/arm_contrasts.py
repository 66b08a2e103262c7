"""Arm contrasts: how much more one arm earns than another, or than the rest, looked at once, on a learner's own traffic."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import scipy

from bandit.arrays import FloatArray
from bandit.errors import EngineError, UnusableLog
from evaluation.arm_scores import Numbers
from evaluation.contrast_scores import ContrastScores, Weighting
from evaluation.intervals import Interval, require_level

ENOUGH_REWARDS = 20.0
"""Effective rewarded sends on either side; with fewer, a normal interval is a guess."""


@dataclass(frozen=True, slots=True)
class ArmContrast:
    """The answer of `arm_contrast`.

    Args:
        difference: first arm minus what it is held against, in reward units; its `n` is the sends that could have had both.
        standard_error: of it, in reward units, customers being the independent units.
        z: difference / standard_error.
        p_value: of no difference, two-sided, by Student's t with `effective_customers` degrees of freedom.
        n_customers: different customers among the sends.
        effective_customers: equally important customers that would leave as much to chance; a few draws of unlikely arms
            may matter more than all other sends.
        effective_rewards: of the first arm and of what it is held against, the rewarded sends that weigh as much.
        weighting: which sends counted how much.

    Raises:
        EngineError: if the numbers are not an answer.
    """

    difference: Interval
    standard_error: float
    z: float
    p_value: float
    n_customers: int
    effective_customers: float
    effective_rewards: tuple[float, float]
    weighting: Weighting

    def __post_init__(self) -> None:
        if not (self.standard_error > 0 and 0 <= self.p_value <= 1 and min(self.effective_rewards) >= 0):
            raise EngineError(
                f"{self} is no answer: it needs an error above 0 and a p-value in [0, 1]. Report this as a bug of the method "
                "that made it."
            )

    @property
    def is_thin(self) -> bool:
        """Whether so few rewarded sends weigh in on one side that interval and p-value lean on the random group alone."""
        return min(self.effective_rewards) < ENOUGH_REWARDS


def arm_contrast(
    scores: ContrastScores, weighting: Weighting = Weighting.OVERLAP, confidence_level: float = 0.95
) -> ArmContrast:
    """The weighted mean of a contrast's scores, with its error clustered by customer.

    Args:
        scores: of one arm against another or the rest.
        weighting: which sends count how much; named in the result.
        confidence_level: in (0, 1).

    Returns:
        The difference, its interval and p-value, and how many rewarded sends they rest on.

    Raises:
        UnusableLog: if there are fewer than two customers, or neither rewards of the arms nor customers differ.
        InvalidSettings: if confidence_level is out of range.

    Caution: for one look on the planned date; `contrast_sequence` may be looked at always. Where `is_thin`, do not act on
    it. Of several contrasts, adjust the p-values.

    Source: Hadad et al. (2021), Confidence intervals for policy evaluation in adaptive experiments, with weights that do not
    depend on the arm; the clustered variance is that of a ratio of two sums; effective customers are Kish's, of squared
    influences. A few heavy sends make the normal interval too narrow (benchmarks/inference_arms.py).

    >>> from evaluation.arm_scores import ArmRows, arm_scores
    >>> from evaluation.contrast_scores import pair_scores
    >>> rows = ArmRows.of([[0.5, 0.5]] * 400, drawn=[0, 1] * 200, rewards=[1, 0, 0, 0] * 100)
    >>> answer = arm_contrast(pair_scores(arm_scores(rows), 0, 1))
    >>> round(answer.difference.estimate, 2), round(answer.standard_error, 3), answer.p_value < 1e-9
    (0.5, 0.036, True)
    """
    require_level(confidence_level)
    _require_variation(scores)
    weights = scores.weights(weighting)
    total = float(weights.sum())
    estimate = _dot(weights, scores.scores) / total
    sums, n_customers = _by_customer(weights * (scores.scores - estimate) / total, scores.customers)
    squares = _dot(sums, sums)
    error, effective = sqrt(n_customers / (n_customers - 1) * squares), squares**2 / float((sums**4).sum())
    value, unit = estimate * scores.width, error * scores.width
    half = unit * float(scipy.stats.t.ppf((1 + confidence_level) / 2, effective))
    return ArmContrast(
        difference=Interval(value, value - half, value + half, len(weights), f"AIPW, {weighting}-weighted"),
        standard_error=unit,
        z=estimate / error,
        p_value=float(2 * scipy.stats.t.sf(abs(estimate) / error, effective)),
        n_customers=n_customers,
        effective_customers=effective,
        effective_rewards=_effective(scores, weights),
        weighting=weighting,
    )


def _by_customer(influence: FloatArray, customers: Numbers) -> tuple[FloatArray, int]:
    """Sum of the influences of each customer's sends, and how many customers there are."""
    sums = np.asarray(np.bincount(customers, weights=influence), dtype=np.float64)
    n_customers = int(np.count_nonzero(np.bincount(customers)))
    # Customers whose sends cancel leave rounding, not 0; an error made of rounding would call any gap certain.
    if n_customers < 2 or np.abs(sums).max() <= 1e-12 * np.abs(influence).max():
        raise UnusableLog(
            f"{n_customers} customer(s) had sends in which these arms were eligible, and none differs from another. Without "
            "spread between customers there is no interval and no test: wait until more have matured sends."
        )
    return sums, n_customers


def _effective(scores: ContrastScores, weights: FloatArray) -> tuple[float, float]:
    """Of each side, the effective sample of the sends that drew it times their weighted share of sends with a reward."""
    pulls, rewarded = weights * scores.pulls, scores.rewarded.astype(np.float64)
    first = np.maximum(pulls, 0.0)
    return _effective_side(first, rewarded), _effective_side(first - pulls, rewarded)


def _effective_side(pulls: FloatArray, rewarded: FloatArray) -> float:
    squares = _dot(pulls, pulls)
    return float(pulls.sum()) * _dot(pulls, rewarded) / squares if squares else 0.0


def _dot(one: FloatArray, other: FloatArray) -> float:
    # Not `@`: its threads stall each other where contrasts are computed side by side.
    return float(np.einsum("i,i", one, other))


def _require_variation(scores: ContrastScores) -> None:
    drawn = scores.pulls != 0
    if scores.rewards.min(where=drawn, initial=1.0) >= scores.rewards.max(where=drawn, initial=0.0):
        raise UnusableLog(
            f"{np.count_nonzero(drawn)} sends drew one of these arms, and no reward differs from another. Without "
            "spread there is no interval and no test: wait for rewards, or check that outcomes are joined."
        )
