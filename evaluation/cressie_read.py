"""Cressie-Read intervals: every distribution that the log does not contradict, with the largest weight known.

Of all ways to reweigh the rows, and one more row that was never seen but could have been, those are kept that are as likely
as the log allows and under which weights average 1, as they must. The least and largest value among them is the
interval. It uses what an ordinary interval forgets: how large a weight could have been, and that weights average 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, sqrt

import numpy as np
import scipy

from bandit.arrays import FloatArray
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.columns import REWARD, WEIGHED_REWARD, WEIGHT
from evaluation.estimator import Estimate, part
from evaluation.intervals import require_level
from evaluation.sums import Sums

METHOD = "Cressie-Read"


@dataclass(frozen=True, slots=True)
class Reach:
    """What could have been in a log, whether it was or not.

    Args:
        largest_weight: that a row could have had: 1 / the least propensity that the behavior policy gives, from its floor.
        lowest, highest: reward that a send could have had.
        least_weight: that a row could have had; below 0 only for weights that are sums or differences of ratios.

    Raises:
        InvalidSettings: if a number is not finite, or the reach is empty.
    """

    largest_weight: float
    lowest: float = 0.0
    highest: float = 1.0
    least_weight: float = 0.0

    def __post_init__(self) -> None:
        weighed = -inf < self.least_weight <= self.largest_weight < inf
        if not (weighed and -inf < self.lowest <= self.highest < inf):
            raise InvalidSettings(
                f"weights from {self.least_weight!r} to {self.largest_weight!r}, rewards from {self.lowest!r} to "
                f"{self.highest!r}: need finite numbers in order. Weights are bounded by the floor; without a floor there is no "
                "bound and no interval."
            )

    def require(self, sums: Sums) -> None:
        """Refuse, with UnusableLog, a log that holds more than could have been."""
        rewards = sums.low("r"), sums.high("r")
        if rewards[0] < self.lowest or rewards[1] > self.highest:
            raise UnusableLog(
                f"rewards from {rewards[0]!r} to {rewards[1]!r} are outside of [{self.lowest!r}, {self.highest!r}], which the "
                "interval counts on. Give the range that rewards can really have."
            )
        self._require_weights(sums.low(WEIGHT.name), sums.high(WEIGHT.name))

    def _require_weights(self, low: float, high: float) -> None:
        rounding = 1e-9 * max(abs(self.least_weight), abs(self.largest_weight))
        if high > self.largest_weight + rounding:
            raise UnusableLog(
                f"the largest weight is {high!r}, above the {self.largest_weight!r} that the floor allows. Either the floor or "
                "the propensities are not those that were used."
            )
        if low < self.least_weight - rounding:
            raise UnusableLog(
                f"the least weight is {low!r}, below the {self.least_weight!r} that could have been. Either the propensities "
                "are not those that were used, or give the least weight that goes with them."
            )

    def weights(self) -> tuple[float, float]:
        """Least and largest weight."""
        return self.least_weight, self.largest_weight

    def rewards(self) -> tuple[float, float]:
        """Least and largest reward."""
        return self.lowest, self.highest


def cressie_read(sums: Sums, reach: Reach, confidence_level: float = 0.95) -> Estimate:
    """A target's value with its Cressie-Read interval.

    Args:
        sums: over `evaluation.columns.ALWAYS`.
        reach: the largest weight and the range of rewards, known beforehand, not read off the log.
        confidence_level: in (0, 1), of both sides together.

    Returns:
        The value is the most likely one: mean(w r), corrected for weights that do not average 1.

    Raises:
        UnusableLog: if the log holds what could not have been.

    Source: Karampatziakis, Langford, Mineiro (2020), Empirical likelihood for contextual bandits, with the Euclidean
    member of the Cressie-Read family, for which sums are enough; derived anew for any number of weights that average 1.
    """
    reach.require(sums)
    extremes = [(weight, weight * reward) for weight, reward in product(reach.weights(), reach.rewards())]
    problem = _Problem(sums.n, *_moments(sums, [WEIGHT.name], {WEIGHED_REWARD.name: 1.0}), extremes)
    return problem.estimate(confidence_level, reach.lowest, reach.highest)


def cressie_read_difference(
    sums: Sums, target: str, against: str, reaches: tuple[Reach, Reach], confidence_level: float = 0.95
) -> Estimate:
    """One target's value minus another's, with its Cressie-Read interval: what a gate asks.

    Args:
        sums: over `evaluation.columns.ALWAYS` of both, each name after `target` or `against`.
        target: prefix of the names of the one.
        against: prefix of the names of the other.
        reaches: of the target and of the other; both with the same rewards.
        confidence_level: in (0, 1), of both sides together.

    Raises:
        UnusableLog: if the log holds what could not have been.

    Source: as `cressie_read`; both weights average 1, and one row is weighed by both at once.
    """
    first, second = reaches
    first.require(part(sums, target))
    second.require(part(sums, against))
    score = {target + WEIGHED_REWARD.name: 1.0, against + WEIGHED_REWARD.name: -1.0}
    weights = [target + WEIGHT.name, against + WEIGHT.name]
    extremes = [
        (w, v, (w - v) * reward) for w, v, reward in product(first.weights(), second.weights(), first.rewards())
    ]
    widest = first.highest - first.lowest
    return _Problem(sums.n, *_moments(sums, weights, score), extremes).estimate(confidence_level, -widest, widest)


def cressie_read_gain(sums: Sums, reach: Reach, confidence_level: float = 0.95) -> Estimate:
    """What rows earn more under weights that average 1 than as they are, with its Cressie-Read interval.

    With 1 + the difference of two targets' weights it is what one of them earns more than the other. One weight says more
    than two where the row's least and largest *difference* are known: they are much closer than those of its parts.

    Args:
        sums: over `evaluation.columns.ALWAYS`.
        reach: the least and the largest weight, and the range of rewards, known beforehand.
        confidence_level: in (0, 1), of both sides together.

    Raises:
        UnusableLog: if the log holds what could not have been.

    Source: as `cressie_read`, with (w - 1) r for the score.
    """
    reach.require(sums)
    extremes = [(weight, (weight - 1.0) * reward) for weight, reward in product(reach.weights(), reach.rewards())]
    score = {WEIGHED_REWARD.name: 1.0, REWARD.name: -1.0}
    widest = reach.highest - reach.lowest
    return _Problem(sums.n, *_moments(sums, [WEIGHT.name], score), extremes).estimate(confidence_level, -widest, widest)


def _moments(sums: Sums, weights: Sequence[str], score: dict[str, float]) -> tuple[FloatArray, FloatArray]:
    """Means and covariances of the weights, which must average 1, and of the score, last."""
    names = [*weights, *score]
    along = np.zeros((len(weights) + 1, len(names)))
    along[: len(weights), : len(weights)] = np.eye(len(weights))
    along[-1, len(weights) :] = list(score.values())
    means = along @ np.array([sums.mean(name) for name in names])
    return means, along @ sums.covariances(names) @ along.T


@dataclass(frozen=True, slots=True)
class _Problem:
    """Rows by their moments: weights first, the score last; and the rows that could have been."""

    n: int
    means: FloatArray
    covariance: FloatArray
    extremes: Iterable[Sequence[float]]

    def estimate(self, confidence_level: float, lowest: float, highest: float) -> Estimate:
        """The most likely score, and the least and largest that are likely enough."""
        require_level(confidence_level)
        # Two sides at half the error each: the square of a t quantile.
        quantile = float(scipy.stats.f.isf(1.0 - confidence_level, 1, max(self.n - 1, 1)))
        likely = _Tilted.of(self.means, self.covariance)
        lower, upper = self.least(quantile), -self._mirrored().least(quantile)
        value = min(max(likely.score, lowest), highest)
        return Estimate(
            value, sqrt(likely.left / self.n), max(min(lower, value), lowest), min(max(upper, value), highest), METHOD
        )

    def _mirrored(self) -> _Problem:
        sign = np.ones(len(self.means))
        sign[-1] = -1.0
        flipped = [tuple(sign * np.asarray(extreme)) for extreme in self.extremes]
        return _Problem(self.n, self.means * sign, self.covariance * np.outer(sign, sign), flipped)

    def least(self, quantile: float) -> float:
        """The least score among the reweighings that are likely enough, over every row that could have been."""
        tilted = [self._with(np.asarray(extreme, dtype=np.float64)) for extreme in self.extremes]
        nearest = min(one.distance for one in tilted)
        budget = nearest + quantile / (self.n + 1)
        return min(one.score - sqrt(one.left * (budget - one.distance)) for one in tilted if one.distance <= budget)

    def _with(self, extreme: FloatArray) -> _Tilted:
        """The rows and one more."""
        n, apart = self.n + 1, extreme - self.means
        covariance = self.covariance * (self.n / n) + np.outer(apart, apart) * (self.n / n**2)
        return _Tilted.of(self.means + apart / n, covariance)


@dataclass(frozen=True, slots=True)
class _Tilted:
    """Rows reweighed as little as possible so that each weight averages 1.

    Attributes:
        score: the mean score then.
        distance: mean squared change of the rows' shares, in units of an equal share.
        left: variance of the score that no reweighing for the weights' sake moves.
    """

    score: float
    distance: float
    left: float

    @classmethod
    def of(cls, means: FloatArray, covariance: FloatArray) -> _Tilted:
        """From the moments of weights and, last, score."""
        missing = 1.0 - means[:-1]
        across = covariance[:-1, -1]
        inverse = np.linalg.pinv(covariance[:-1, :-1], rcond=1e-12, hermitian=True)
        pull = inverse @ missing
        unreached = missing - covariance[:-1, :-1] @ pull
        # A weight that never varies can only average 1 if it is 1.
        distance = inf if np.abs(unreached).max() > 1e-6 else float(missing @ pull)
        return cls(
            float(means[-1] + across @ pull), distance, max(float(covariance[-1, -1] - across @ inverse @ across), 0.0)
        )
