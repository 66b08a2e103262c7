"""Churn risk: the chance that a customer does nothing at all within a horizon.

Cox's regression of the time to the next activity gives it; calibration on a later origin makes it come true as often as it
says. It is made and judged in the same order of time as bandit.profile.outcome_model says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import UnusableEvents
from bandit.profile.calibration import Calibration, fit_calibration, mean_log_loss
from bandit.profile.judgement import judge
from bandit.profile.number_names import CHURN_RISK
from bandit.profile.occurrences import Occurrences
from bandit.profile.outcome_model import FEWEST_JUDGED, FeaturesAt, OutcomeModel, customers_of, fold_positions
from bandit.profile.shapes import AdditiveModel, LevelShape, NumberShape, Shape
from bandit.profile.survival import TimeModel, fit_time_model


def fit_churn(
    activity: Occurrences, horizon: int, features_at: FeaturesAt, origins: Sequence[datetime]
) -> OutcomeModel:
    """Make, calibrate and judge the model of churn.

    Args:
        activity: all that customers did.
        horizon: days without any of it that are churn.
        features_at: makes features at an origin.
        origins: past days, the latest first, at least three; see bandit.profile.occurrences.origins_before.

    Raises:
        UnusableEvents: if too few customers went silent, or too few did not.
    """
    latest, later, *earlier = origins
    score, calibration, _ = _made(activity, horizon, features_at, earlier, later)
    features, silent = features_at(latest), _silent(activity, horizon, features_at, latest)
    _, known, loss = _calibrated(score, activity, horizon, features_at, later)
    judgement = judge(calibration.chances(score.scores(features)), silent, known)
    kept, bent, model = _made(activity, horizon, features_at, [later, *earlier], latest)
    return OutcomeModel(CHURN_RISK, horizon, kept, bent, "cox", {"cox": loss}, judgement, model.n_rows)


def _made(
    activity: Occurrences, horizon: int, features_at: FeaturesAt, earlier: Sequence[datetime], later: datetime
) -> tuple[AdditiveModel, Calibration, TimeModel]:
    """The regression on earlier origins and what happened up to a later one, calibrated by what happened from that on."""
    model = fit_time_model(CHURN_RISK, activity, features_at, earlier, later)
    score = _score(model, horizon)
    calibration, _, _ = _calibrated(score, activity, horizon, features_at, later)
    return score, calibration, model


def _calibrated(
    score: AdditiveModel, activity: Occurrences, horizon: int, features_at: FeaturesAt, origin: datetime
) -> tuple[Calibration, float, float]:
    """The calibration on an origin, the share of silent customers there, and the log loss."""
    features, silent = features_at(origin), _silent(activity, horizon, features_at, origin)
    n_fewer = int(min(silent.sum(), (~silent).sum()))
    if n_fewer < FEWEST_JUDGED:
        raise UnusableEvents(
            f"{CHURN_RISK}: {silent.sum()} of {len(silent)} customers did nothing for {horizon} days, and {FEWEST_JUDGED} who "
            "did and who did not are needed to know how often the risk comes true. Choose another [profile.models] churn."
        )
    raw: FloatArray = score.scores(features)
    calibration = fit_calibration(raw, silent, fold_positions(customers_of(features)))
    return calibration, float(silent.mean()), mean_log_loss(silent, calibration.chances(raw))


def _silent(activity: Occurrences, horizon: int, features_at: FeaturesAt, origin: datetime) -> BoolArray:
    found: BoolArray = ~activity.within(customers_of(features_at(origin)), origin, horizon)
    return found


def _score(model: TimeModel, horizon: int) -> AdditiveModel:
    """Less the log of the cumulative hazard: a sum over features that rises with the risk."""
    place = int(np.searchsorted(model.days, horizon, side="right"))
    level = model.hazard[place - 1] if place else model.hazard[0]
    return AdditiveModel(-float(np.log(level)), tuple(_turned(shape) for shape in model.additive.shapes))


def _turned(shape: Shape) -> Shape:
    if isinstance(shape, LevelShape):
        return replace(shape, heights={level: -height for level, height in shape.heights.items()}, other=-shape.other)
    return NumberShape(shape.name, shape.knots, tuple(-height for height in shape.heights), -shape.missing, shape.usual)
