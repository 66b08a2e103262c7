"""Calibration: a chance of .2 should come true one time in five; scores are bent until it does.

Two ways: Platt's sigmoid, which stretches and moves scores and needs few cases, and an isotonic step curve, which follows
any rising shape and needs many. Both work on scores in log-odds and give log-odds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import BrokenSnapshot

FEWEST_FOR_ISOTONIC: Final = 1000
"""Cases and non-cases below which the step curve would follow noise."""
_N_FOLDS: Final = 3


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a score becomes a chance.

    Attributes:
        method: `sigmoid` or `isotonic`.
        knots, heights: of the sigmoid, the offset and the slope in `heights`; of the isotonic curve, scores that rise and the
            log-odds there, with lines between and flat ends.

    >>> even = Calibration("sigmoid", (), (0.0, 1.0))
    >>> even.chances(np.array([0.0])).tolist()
    [0.5]
    """

    method: str
    knots: tuple[float, ...]
    heights: tuple[float, ...]

    def scores(self, raw: FloatArray) -> FloatArray:
        """Calibrated log-odds of scores, the same shape."""
        if self.method == "sigmoid":
            offset, slope = self.heights
            return offset + slope * raw
        return np.interp(raw, self.knots, self.heights)

    def chances(self, raw: FloatArray) -> FloatArray:
        """Chances of scores, the same shape, each in (0, 1)."""
        found: FloatArray = expit(self.scores(raw))
        return found

    def document(self) -> dict[str, Any]:
        """The calibration for JSON."""
        return {"method": self.method, "knots": list(self.knots), "heights": list(self.heights)}


def read_calibration(document: Mapping[str, Any]) -> Calibration:
    """The calibration from its document.

    Raises:
        BrokenSnapshot: if it is not one that `document` wrote.
    """
    try:
        knots, heights = (tuple(float(one) for one in document[key]) for key in ("knots", "heights"))
        return Calibration(str(document["method"]), knots, heights)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenSnapshot(
            f"a model's calibration lacks {error}, or has something else there. Make the models anew."
        ) from error


def fit_calibration(scores: FloatArray, happened: BoolArray, folds: FloatArray) -> Calibration:
    """The calibration of scores: sigmoid, unless isotonic is better beyond chance on customers it has not seen.

    Args:
        scores: shape (n,), in log-odds, of rows that the model behind them was not made from.
        happened: shape (n,), both values must occur.
        folds: shape (n,), a position in [0, 1) of each customer, which splits customers.

    >>> luck = np.random.default_rng(1)
    >>> truth = luck.normal(size=4000)
    >>> found = fit_calibration(2.0 * truth, luck.random(4000) < expit(truth), luck.random(4000))
    >>> found.method, round(found.heights[1], 1)
    ('sigmoid', 0.5)
    """
    if min(happened.sum(), (~happened).sum()) >= FEWEST_FOR_ISOTONIC and _isotonic_is_better(scores, happened, folds):
        return _isotonic(scores, happened)
    return _sigmoid(scores, happened)


def _isotonic_is_better(scores: FloatArray, happened: BoolArray, folds: FloatArray) -> bool:
    """Whether the losses on held-out customers differ by more than one standard error."""
    gains = np.zeros(len(scores))
    turns = np.minimum((folds * _N_FOLDS).astype(np.int64), _N_FOLDS - 1)
    for turn in range(_N_FOLDS):
        out = turns == turn
        if len(np.unique(happened[~out])) < 2 or not out.any():
            return False
        found = [fit(scores[~out], happened[~out]).chances(scores[out]) for fit in (_sigmoid, _isotonic)]
        gains[out] = _losses(happened[out], found[0]) - _losses(happened[out], found[1])
    return bool(gains.mean() > gains.std() / np.sqrt(len(gains)))


def _losses(happened: BoolArray, chances: FloatArray) -> FloatArray:
    found: FloatArray = -np.log(np.where(happened, chances, 1.0 - chances))
    return found


def _sigmoid(scores: FloatArray, happened: BoolArray) -> Calibration:
    """Platt (1999), Probabilistic outputs for support vector machines: two numbers, by likelihood, without a penalty."""
    fitted = LogisticRegression(C=np.inf).fit(scores[:, None], happened)
    return Calibration("sigmoid", (), (float(fitted.intercept_[0]), float(fitted.coef_[0, 0])))


def _isotonic(scores: FloatArray, happened: BoolArray) -> Calibration:
    """Zadrozny and Elkan (2002); no step is nearer to 0 or 1 than half a case in all rows."""
    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, happened.astype(np.float64))
    least = 0.5 / len(scores)
    heights = logit(np.clip(fitted.y_thresholds_, least, 1.0 - least))
    knots, places = np.unique(fitted.X_thresholds_, return_index=True)
    return Calibration("isotonic", tuple(knots.tolist()), tuple(heights[places].tolist()))


def mean_log_loss(happened: BoolArray, chances: FloatArray) -> float:
    """Mean of -log of the chance given to what came true."""
    return float(log_loss(happened, np.clip(chances, 1e-12, 1.0 - 1e-12), labels=[False, True]))
