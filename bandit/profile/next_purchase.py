"""Days to the next purchase: the median of a customer's own curve, and the days between which it mostly lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from bandit.arrays import FloatArray
from bandit.errors import BrokenSnapshot, UnusableEvents
from bandit.profile.judgement import Judgement, judge, read_judgement
from bandit.profile.number_names import NEXT_PURCHASE
from bandit.profile.occurrences import Occurrences
from bandit.profile.outcome_model import FEWEST_JUDGED, FeaturesAt, customers_of
from bandit.profile.survival import TimeModel, fit_time_model, read_time_model

SHARES: Final = (0.1, 0.5, 0.9)
"""Chances by which the lower end, the median and the upper end are told: the interval holds the day with chance .8."""


@dataclass(frozen=True, slots=True)
class NextPurchase:
    """The model.

    Attributes:
        curves: of the time to the next purchase.
        horizon: days at which the curves were judged.
        judgement: of curves made one horizon earlier: their chance of a purchase within the horizon, and what happened.
    """

    curves: TimeModel
    horizon: int
    judgement: Judgement

    def days(self, features: pd.DataFrame) -> FloatArray:
        """Lower end, median and upper end in days, shape (n_customers, 3); NaN where it is beyond the longest time seen."""
        curve, scores = self.curves.curve, self.curves.additive.scores(features)
        return np.stack([curve.days_until(scores, share) for share in SHARES], axis=1)

    def document(self) -> dict[str, Any]:
        """The model for JSON."""
        return {
            "curves": self.curves.document(),
            "horizon": self.horizon,
            "judgement": self.judgement.document(),
        }


def read_next_purchase(document: Mapping[str, Any]) -> NextPurchase:
    """The model from its document.

    Raises:
        BrokenSnapshot: if it is not one that `document` wrote.
    """
    try:
        curves, judgement = read_time_model(document["curves"]), read_judgement(document["judgement"])
        return NextPurchase(curves, int(document["horizon"]), judgement)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenSnapshot(
            f"a model's file lacks {error}. It is not as it was written; make the models anew."
        ) from error


def fit_next_purchase(
    purchases: Occurrences, horizon: int, features_at: FeaturesAt, origins: Sequence[datetime], now: datetime
) -> NextPurchase:
    """Make the curves on all origins, and judge curves that were made without the latest.

    Args:
        purchases: when who bought.
        horizon: days at which they are judged.
        features_at: makes features at an origin.
        origins: past days, the latest first, at least three; see bandit.profile.occurrences.origins_before.
        now: when the data end.

    Raises:
        UnusableEvents: if too few customers bought, or too few did not.
    """
    latest, later, *_ = origins
    features, known = features_at(latest), features_at(later)
    bought = purchases.within(customers_of(features), latest, horizon)
    n_fewer = int(min(bought.sum(), (~bought).sum()))
    if n_fewer < FEWEST_JUDGED:
        raise UnusableEvents(
            f"{NEXT_PURCHASE}: {bought.sum()} of {len(bought)} customers bought within {horizon} days, and {FEWEST_JUDGED} who "
            "did and who did not are needed to judge it. Choose another [profile.models] purchase."
        )
    earlier = fit_time_model(NEXT_PURCHASE, purchases, features_at, origins[1:], latest)
    chances = 1.0 - earlier.still_waiting(features, horizon)
    base = float(purchases.within(customers_of(known), later, horizon).mean())
    judgement = judge(chances, bought, min(max(base, 1e-6), 1.0 - 1e-6))
    return NextPurchase(fit_time_model(NEXT_PURCHASE, purchases, features_at, origins, now), horizon, judgement)
