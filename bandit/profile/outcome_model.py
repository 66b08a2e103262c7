"""The chance that a customer does something within so many days, made and judged in the order of time.

Purchase propensity and the conversion probability are such chances. ("Purchase propensity" is marketing's word. It is no
propensity of a decision, which is the probability with which an arm was drawn.)

How one is made, from past origins the latest first, o1, o2, o3, ...:

1. It is made on o2 and earlier, and judged on o1: the judgement is of chances that were given before anything of what they
   are about had happened. It is cross-fitted: the rows of a customer are scored by a model that was made without this
   customer. Calibration learns its curve from such scores on every origin, for the few who are least likely are too few on
   one, and its level from those on o2, since levels move with the season.
2. Of the two forms (bandit.profile.additive_fitting) it is the line, unless steps have the smaller log loss on o2 by two
   standard errors: steps end at the largest value they saw, and customers grow older.
3. The model that is kept is made the same way one origin later: on o1 and earlier.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import BrokenSnapshot, UnusableEvents
from bandit.profile.additive_fitting import FORMS, Fit
from bandit.profile.calibration import (
    Calibration,
    fit_beta,
    fit_calibration,
    is_better,
    log_losses,
    read_calibration,
)
from bandit.profile.judgement import Judgement, judge, read_judgement
from bandit.profile.layout import layout_of
from bandit.profile.occurrences import Occurrences
from bandit.profile.shapes import AdditiveModel, average, read_additive

FEWEST: Final = 100
"""Customers for whom it came true, and for whom it did not, on the origins a model is made from."""
FEWEST_JUDGED: Final = 30
"""The same on the origin it is calibrated on, and on the one it is judged on."""
USUAL_FORM: Final = "line"
MARGIN: Final = 2.0
"""Standard errors by which anything else must beat the line, and steps the smooth curve of the calibration."""
_N_FOLDS: Final = 3
FeaturesAt = Callable[[datetime], pd.DataFrame]
"""Features of all customers at a time, one row each, from events before it."""


@dataclass(frozen=True, slots=True)
class OutcomeModel:
    """A calibrated chance as a sum of shapes.

    Attributes:
        name: what it is the chance of, such as purchase_propensity.
        horizon: days it looks ahead.
        additive: the score of a customer, before calibration.
        calibration: how the score becomes a chance.
        form: which of the forms was taken.
        losses: log loss of each form on the stretch by which it was taken.
        judgement: of a model made the same way one origin earlier.
        n_rows: rows it was made from.
    """

    name: str
    horizon: int
    additive: AdditiveModel
    calibration: Calibration
    form: str
    losses: Mapping[str, float]
    judgement: Judgement
    n_rows: int

    def chances(self, features: pd.DataFrame) -> FloatArray:
        """The chance of each customer, shape (n_customers,), each in (0, 1)."""
        return self.calibration.chances(self.additive.scores(features))

    def document(self) -> dict[str, Any]:
        """The model for JSON."""
        return {
            "name": self.name, "horizon": self.horizon, "additive": self.additive.document(),
            "calibration": self.calibration.document(), "form": self.form, "losses": dict(self.losses),
            "judgement": self.judgement.document(), "n_rows": self.n_rows,
        }  # fmt: skip


def read_outcome_model(document: Mapping[str, Any]) -> OutcomeModel:
    """The model from its document.

    Raises:
        BrokenSnapshot: if it is not one that `document` wrote.
    """
    try:
        return OutcomeModel(
            str(document["name"]), int(document["horizon"]), read_additive(document["additive"]),
            read_calibration(document["calibration"]), str(document["form"]), dict(document["losses"]),
            read_judgement(document["judgement"]), int(document["n_rows"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenSnapshot(
            f"a model's file lacks {error}. It is not as it was written; make the models anew."
        ) from error


@dataclass(frozen=True, slots=True)
class _Rows:
    """Customers at one or more origins: features, what came true, and a fold position of each customer."""

    features: pd.DataFrame
    happened: BoolArray
    folds: FloatArray

    @property
    def n_fewer(self) -> int:
        return int(min(self.happened.sum(), (~self.happened).sum()))

    def turns(self) -> FloatArray:
        return np.asarray(np.minimum(np.floor(self.folds * _N_FOLDS), _N_FOLDS - 1), dtype=np.float64)

    def where(self, mask: BoolArray) -> _Rows:
        return _Rows(self.features[mask], self.happened[mask], self.folds[mask])


def fit_outcome(
    name: str, horizon: int, occurrences: Occurrences, features_at: FeaturesAt, origins: Sequence[datetime], seed: int
) -> OutcomeModel:
    """Make, calibrate and judge a model of the chance that something happens within a horizon.

    Args:
        name: what it is the chance of.
        horizon: days it looks ahead.
        occurrences: when it happened to whom.
        features_at: makes features at an origin.
        origins: past days, the latest first, at least three; see bandit.profile.occurrences.origins_before.
        seed: of what boosted trees draw.

    Raises:
        UnusableEvents: if it happened, or did not happen, to too few customers to make or judge a model.
    """
    stretches = [_rows_at(origin, horizon, occurrences, features_at) for origin in origins]
    _refuse_few(name, stretches)
    latest, later, *_ = stretches
    forms = {form: _made(fit, stretches[1:], seed) for form, fit in FORMS.items()}
    form = chosen_form({form: losses for form, (_, _, losses) in forms.items()})
    additive, calibration, _ = forms[form]
    judgement = judge(
        calibration.chances(additive.scores(latest.features)), latest.happened, float(later.happened.mean())
    )
    kept, bent, _ = _made(FORMS[form], stretches, seed)
    mean_losses = {one: float(losses.mean()) for one, (_, _, losses) in forms.items()}
    n_rows = sum(len(rows.happened) for rows in stretches)
    return OutcomeModel(name, horizon, kept, bent, form, mean_losses, judgement, n_rows)


def chosen_form(losses: Mapping[str, FloatArray]) -> str:
    """The usual form, unless another has a smaller loss beyond chance; then the one with the smallest.

    Args:
        losses: by form, the log loss of each customer, the same ones for all.

    >>> chosen_form({"line": np.array([0.3, 0.5]), "steps": np.array([0.2, 0.5])})
    'line'
    """
    usual = losses[USUAL_FORM]
    better = [form for form, own in losses.items() if is_better(own, usual, MARGIN)]
    return min(better, key=lambda form: float(losses[form].mean()), default=USUAL_FORM)


def _rows_at(origin: datetime, horizon: int, occurrences: Occurrences, features_at: FeaturesAt) -> _Rows:
    features = features_at(origin)
    customers = customers_of(features)
    return _Rows(features, occurrences.within(customers, origin, horizon), fold_positions(customers))


def customers_of(features: pd.DataFrame) -> pd.Index:
    """The ids of the customers in a table of features."""
    found: pd.Index = pd.Index(features.index, dtype=object)
    return found


def fold_positions(customers: pd.Index) -> FloatArray:
    """A position in [0, 1) of each customer, the same every time: folds split customers, never rows of one.

    >>> fold_positions(pd.Index(["a", "b", "a"])).round(2).tolist()
    [0.98, 0.12, 0.98]
    """
    raw = b"".join(hashlib.blake2b(f"fold\x1f{one}".encode(), digest_size=8).digest() for one in customers)
    return (np.frombuffer(raw, dtype=">u8") >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _refuse_few(name: str, stretches: Sequence[_Rows]) -> None:
    """A model must be made from enough cases, and judged by enough."""
    latest, later, *earlier = stretches
    n_made = sum(rows.n_fewer for rows in earlier)
    for n, need, what in (
        (n_made, FEWEST, "on the stretch it is made from"),
        (later.n_fewer, FEWEST_JUDGED, "on the stretch it is calibrated on"),
        (latest.n_fewer, FEWEST_JUDGED, "on the stretch it is judged on"),
    ):
        if n < need:
            raise UnusableEvents(
                f"{name}: it came true, or did not, for only {n} customers {what}, and {need} are needed. Its chances would be "
                "guesses: wait for more events, give a longer history, or choose a longer horizon."
            )


def _made(fit: Fit, stretches: Sequence[_Rows], seed: int) -> tuple[AdditiveModel, Calibration, FloatArray]:
    """A model of stretches, the latest first, its calibration, and the log loss of each row of the latest."""
    rows, latest = _together(stretches), stretches[0]
    layout = layout_of(rows.features, rows.happened)
    turns = rows.turns()
    scores, models = np.zeros(len(turns)), []
    for turn in range(_N_FOLDS):
        own, others = turns == turn, rows.where(turns != turn)
        models.append(fit(others.features, others.happened, layout, seed))
        scores[own] = models[-1].scores(rows.features[own])
    # Positions within a fold say nothing of the fold: the folds of calibration are others than those of the model.
    folds = rows.folds * _N_FOLDS % 1.0
    curve = fit_calibration(scores, rows.happened, folds, smooth=fit_beta, margin=MARGIN)
    last = scores[: len(latest.happened)]
    calibration = curve.moved(last, latest.happened)
    return average(models), calibration, log_losses(latest.happened, calibration.chances(last))


def _together(stretches: Sequence[_Rows]) -> _Rows:
    return _Rows(
        pd.concat([rows.features for rows in stretches]),
        np.concatenate([rows.happened for rows in stretches]),
        np.concatenate([rows.folds for rows in stretches]),
    )
