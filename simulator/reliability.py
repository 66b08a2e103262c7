"""Whether predicted probabilities happen as often as they say, seen on rows the model has not learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import sparse, stats
from scipy.special import logit, xlog1py, xlogy

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from simulator.logistic_ridge import Sends, fit_logistic

N_BINS: Final = 10
_LEAST = 1e-9
_HARDLY = 1e-6  # the ridge of intercept and slope: none, but for what has no spread


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows with about the same prediction.

    Attributes:
        n: how many.
        predicted: their mean probability.
        observed: share of them in which it happened.
        ci_lower, ci_upper: Wilson's 95 % limits of that share.
    """

    n: int
    predicted: float
    observed: float
    ci_lower: float
    ci_upper: float

    @property
    def agrees(self) -> bool:
        """Whether the prediction lies within the limits."""
        return self.ci_lower <= self.predicted <= self.ci_upper


@dataclass(frozen=True, slots=True)
class Reliability:
    """How predictions of one type of outcome fared.

    Attributes:
        bins: by prediction, ascending, of about equal size.
        intercept: of a logistic regression of what happened on the logit of the prediction; 0 where the mean is right.
        slope: of the same; 1 where differences are right, below 1 where they are exaggerated.
        log_loss: mean over the rows, in nats.
        base_log_loss: of predicting the mean rate for everybody.
    """

    bins: tuple[ReliabilityBin, ...]
    intercept: float
    slope: float
    log_loss: float
    base_log_loss: float

    @property
    def n_agreeing(self) -> int:
        """Bins whose prediction lies within the limits."""
        return sum(one.agrees for one in self.bins)


def reliability(predicted: FloatArray, happened: FloatArray, n_bins: int = N_BINS) -> Reliability:
    """Hold predictions against what happened.

    Args:
        predicted: probabilities, shape (n,), each from a model that has not seen its row.
        happened: shape (n,), each 0 or 1.
        n_bins: by quantiles of the prediction; fewer where there are not that many rows.

    Raises:
        UnusableLog: if there is no row, or something is no probability.

    Source: Cox (1958), Two further applications of a model for binary regression, for intercept and slope; the slope is of the
    joint fit, the intercept of a fit with slope 1 (calibration in the large).

    >>> found = reliability(np.repeat([0.2, 0.5], 500), np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 200), n_bins=2)
    >>> [(round(one.predicted, 9), one.observed, one.agrees) for one in found.bins]
    [(0.2, 0.2, True), (0.5, 0.2, False)]
    """
    if not len(predicted) or not ((predicted >= 0.0) & (predicted <= 1.0)).all() or not np.isin(happened, (0, 1)).all():
        raise UnusableLog("predictions must be probabilities of something that happened or did not, one row at least.")
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, min(n_bins, len(order))) if len(part)]
    rate = float(happened.mean())
    intercept, slope = _recalibrated(predicted, happened)
    return Reliability(
        tuple(_bin(predicted[part], happened[part]) for part in parts),
        intercept,
        slope,
        log_loss(predicted, happened),
        log_loss(np.full(len(happened), rate), happened),
    )


def log_loss(predicted: FloatArray, happened: FloatArray) -> float:
    """Mean of -log of the probability given to what happened, in nats.

    >>> round(log_loss(np.array([0.5, 0.5]), np.array([0.0, 1.0])), 4)
    0.6931
    """
    kept = np.clip(predicted, _LEAST, 1.0 - _LEAST)
    return -float(np.mean(xlogy(happened, kept) + xlog1py(1.0 - happened, -kept)))


def _bin(predicted: FloatArray, happened: FloatArray) -> ReliabilityBin:
    count, n = int(happened.sum()), len(happened)
    limits = stats.binomtest(count, n).proportion_ci(method="wilson")
    return ReliabilityBin(n, float(predicted.mean()), count / n, float(limits.low), float(limits.high))


def _recalibrated(predicted: FloatArray, happened: FloatArray) -> tuple[float, float]:
    logits = logit(np.clip(predicted, _LEAST, 1.0 - _LEAST))
    ones = np.ones(len(logits))
    both = Sends.of(sparse.csr_array(np.stack([ones, logits], axis=1)))
    slope = float(fit_logistic(both, happened, np.full(2, _HARDLY))[1]) if np.ptp(logits) > 0.0 else 1.0
    return _shift(logits, happened), slope


def _shift(logits: FloatArray, happened: FloatArray) -> float:
    """What must be added to every logit so that the mean is right: Newton's steps, which cannot overshoot far from 0."""
    shift = 0.0
    for _ in range(50):
        chances = 1.0 / (1.0 + np.exp(-(logits + shift)))
        step = (happened - chances).sum() / max((chances * (1.0 - chances)).sum(), _LEAST)
        shift += float(np.clip(step, -1.0, 1.0))
        if abs(step) < 1e-10:
            break
    return shift
