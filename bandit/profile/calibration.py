"""Calibration: a chance of .2 should come true one time in five; scores are bent until it does.

Three ways: Platt's sigmoid, which stretches and moves scores and needs few cases; a beta calibration, which has one slope
where chances are small and another where they are large; and an isotonic step curve, which follows any rising shape and needs
many cases. All work on scores in log-odds and give log-odds.

Why two slopes: a purchase needs somebody who is still there and buys. Of those who are there chances follow a line of
log-odds, as a logistic regression has it. Those who have left are in the lowest tenth, where chances are small for another
reason and fall faster. One slope is set by the many in between, and leaves the lowest tenth too high.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from scipy.special import expit, logit

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import BrokenSnapshot

FEWEST_FOR_ISOTONIC: Final = 1000
"""Cases and non-cases below which the step curve would follow noise."""
_N_FOLDS: Final = 3
_SLOPE_PULL: Final = 10.0
"""Pull of each slope of a beta calibration towards 1: as if slopes lay within .3 of it. Few cases leave scores as they are."""
_FLATTEST: Final = 0.05
"""Least slope of a beta calibration, so that it keeps the order of scores."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a score becomes a chance.

    Attributes:
        method: `sigmoid`, `beta` or `isotonic`.
        knots, heights: of the sigmoid, the offset and the slope in `heights`; of beta, the offset, the slope far below 0 and that
            far above; of the isotonic curve, scores that rise and the log-odds there, with lines between and flat ends.

    >>> even = Calibration("sigmoid", (), (0.0, 1.0))
    >>> even.chances(np.array([0.0])).tolist()
    [0.5]
    """

    method: str
    knots: tuple[float, ...]
    heights: tuple[float, ...]

    def __post_init__(self) -> None:
        needs = {"sigmoid": 2, "beta": 3, "isotonic": len(self.knots) or -1}
        if len(self.heights) != needs.get(self.method):
            raise BrokenSnapshot(
                f"a calibration {self.method!r} has {len(self.knots)} knots and {len(self.heights)} heights: need sigmoid with 2 "
                "heights, beta with 3, or isotonic with one a knot. It is not as this version writes it; make the models anew."
            )
        # NaN is neither finite nor rising.
        if self.method == "beta":
            is_rising = min(self.heights[1:]) > 0.0
        else:
            is_rising = self.method == "sigmoid" or bool(np.all(np.diff(self.knots) > 0))
        if not (is_rising and np.isfinite((*self.knots, *self.heights)).all()):
            raise BrokenSnapshot(
                f"a calibration {self.method!r} has knots or slopes that do not rise, or something that is no number: chances "
                "would mean nothing. It is not as this version writes it; make the models anew."
            )

    def scores(self, raw: FloatArray) -> FloatArray:
        """Calibrated log-odds of scores, the same shape."""
        if self.method == "sigmoid":
            offset, slope = self.heights
            return offset + slope * raw
        if self.method == "beta":
            offset, low, high = self.heights
            return offset + low * _below(raw) + high * _above(raw)
        return np.interp(raw, self.knots, self.heights)

    def chances(self, raw: FloatArray) -> FloatArray:
        """Chances of scores, the same shape, each in (0, 1)."""
        found: FloatArray = expit(self.scores(raw))
        return found

    def moved(self, raw: FloatArray, happened: BoolArray) -> Calibration:
        """The same curve, moved up or down until the mean chance of these rows is the share for which it came true.

        Args:
            raw: shape (n,), scores before calibration.
            happened: shape (n,), both values must occur.

        >>> moved = Calibration("sigmoid", (), (3.0, 1.0)).moved(np.ones(4), np.array([True, True, False, False]))
        >>> [round(height, 6) for height in moved.heights]
        [-1.0, 1.0]
        """
        from scipy.optimize import brentq  # noqa: PLC0415 - models are used without it

        scores, share = self.scores(raw), float(happened.mean())
        widest = 30.0 + float(np.abs(scores).max())
        step = float(brentq(lambda by: float(expit(scores + by).mean()) - share, -widest, widest))
        n_moved = len(self.heights) if self.method == "isotonic" else 1
        heights = tuple(height + step for height in self.heights[:n_moved])
        return replace(self, heights=heights + self.heights[n_moved:])

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


def _below(scores: FloatArray) -> FloatArray:
    """Log of the chance: the score itself where it is far below 0, and nothing far above."""
    found: FloatArray = -np.logaddexp(0.0, -scores)
    return found


def _above(scores: FloatArray) -> FloatArray:
    """Less the log of the other chance: the score itself where it is far above 0, and nothing far below."""
    found: FloatArray = np.logaddexp(0.0, scores)
    return found


Smooth = Callable[[FloatArray, BoolArray], Calibration]


def fit_sigmoid(scores: FloatArray, happened: BoolArray) -> Calibration:
    """Platt's sigmoid: two numbers, by likelihood, without a penalty.

    Args:
        scores: shape (n,), in log-odds.
        happened: shape (n,), both values must occur.

    Source: Platt (1999), Probabilistic outputs for support vector machines.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - models are used without it

    fitted = LogisticRegression(C=np.inf).fit(scores[:, None], happened)
    return Calibration("sigmoid", (), (float(fitted.intercept_[0]), float(fitted.coef_[0, 0])))


def fit_beta(scores: FloatArray, happened: BoolArray) -> Calibration:
    """Beta calibration: an offset and two slopes, by likelihood, the slopes pulled towards 1.

    Args:
        scores: shape (n,), in log-odds.
        happened: shape (n,), both values must occur.

    Source: Kull, Silva Filho and Flach (2017), Beta calibration: a well-founded and easily implemented improvement on
        logistic calibration for binary classifiers.

    >>> luck = np.random.default_rng(1)
    >>> scores = luck.normal(-1.0, 2.0, size=20_000)
    >>> found = fit_beta(scores, luck.random(20_000) < 0.8 * expit(scores))
    >>> found.heights[1] > found.heights[2] > 0.0
    True
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - as above

    columns = np.stack([np.ones(len(scores)), _below(scores), _above(scores)])
    came = happened.astype(np.float64)

    def loss(heights: FloatArray) -> tuple[float, FloatArray]:
        bent, off = heights @ columns, heights[1:] - 1.0
        slope = columns @ (expit(bent) - came)
        slope[1:] += _SLOPE_PULL * off
        penalty = _SLOPE_PULL / 2.0 * float(off @ off)
        return float((np.logaddexp(0.0, bent) - came * bent).sum()) + penalty, slope

    bounds = [(None, None), (_FLATTEST, None), (_FLATTEST, None)]
    best = minimize(loss, np.array([0.0, 1.0, 1.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    return Calibration("beta", (), tuple(best.x.tolist()))


def fit_calibration(
    scores: FloatArray, happened: BoolArray, folds: FloatArray, *, smooth: Smooth = fit_sigmoid, margin: float = 1.0
) -> Calibration:
    """The calibration of scores: smooth, unless isotonic is better beyond chance on customers it has not seen.

    Args:
        scores: shape (n,), in log-odds, of rows that the model behind them was not made from.
        happened: shape (n,), both values must occur.
        folds: shape (n,), a position in [0, 1) of each customer, which splits customers.
        smooth: `fit_sigmoid` or `fit_beta`.
        margin: standard errors by which isotonic must be better.

    >>> luck = np.random.default_rng(1)
    >>> truth = luck.normal(size=4000)
    >>> found = fit_calibration(2.0 * truth, luck.random(4000) < expit(truth), luck.random(4000))
    >>> found.method, round(found.heights[1], 1)
    ('sigmoid', 0.5)
    """
    is_enough = min(happened.sum(), (~happened).sum()) >= FEWEST_FOR_ISOTONIC
    if is_enough and _isotonic_is_better(scores, happened, folds, smooth, margin):
        return _isotonic(scores, happened)
    return smooth(scores, happened)


def _isotonic_is_better(
    scores: FloatArray, happened: BoolArray, folds: FloatArray, smooth: Smooth, margin: float
) -> bool:
    """Whether the losses on held-out customers differ by more than so many standard errors."""
    losses = np.zeros((2, len(scores)))
    turns = np.minimum((folds * _N_FOLDS).astype(np.int64), _N_FOLDS - 1)
    for turn in range(_N_FOLDS):
        out = turns == turn
        if len(np.unique(happened[~out])) < 2 or not out.any():
            return False
        for which, fit in enumerate((smooth, _isotonic)):
            losses[which, out] = log_losses(happened[out], fit(scores[~out], happened[~out]).chances(scores[out]))
    return is_better(losses[1], losses[0], margin)


def is_better(losses: FloatArray, others: FloatArray, margin: float) -> bool:
    """Whether losses are smaller than others of the same rows by more than so many standard errors.

    Args:
        losses: shape (n,), one a row.
        others: shape (n,), of the same rows.
        margin: in standard errors of the mean difference.

    Caution: standard errors are those of rows that say something each. Where customers have several rows they are too small, and
    what is better by luck is found better more often.

    >>> is_better(np.array([0.1, 0.2, 0.1]), np.array([0.5, 0.7, 0.6]), 2.0)
    True
    """
    gains = others - losses
    return bool(gains.mean() > margin * gains.std() / np.sqrt(len(gains)))


def log_losses(happened: BoolArray, chances: FloatArray) -> FloatArray:
    """-log of the chance given to what came true, shape (n,)."""
    found: FloatArray = -np.log(np.clip(np.where(happened, chances, 1.0 - chances), 1e-12, 1.0))
    return found


def _isotonic(scores: FloatArray, happened: BoolArray) -> Calibration:
    """Zadrozny and Elkan (2002); no step is nearer to 0 or 1 than half a case in all rows."""
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415 - as above

    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, happened.astype(np.float64))
    least = 0.5 / len(scores)
    heights = logit(np.clip(fitted.y_thresholds_, least, 1.0 - least))
    knots, places = np.unique(fitted.X_thresholds_, return_index=True)
    return Calibration("isotonic", tuple(knots.tolist()), tuple(heights[places].tolist()))


def mean_log_loss(happened: BoolArray, chances: FloatArray) -> float:
    """Mean of -log of the chance given to what came true."""
    from sklearn.metrics import log_loss  # noqa: PLC0415 - as above

    return float(log_loss(happened, np.clip(chances, 1e-12, 1.0 - 1e-12), labels=[False, True]))
