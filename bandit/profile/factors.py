"""The factors behind one person's number: what each feature adds, so that everything added up is the number.

Chances add up in log-odds, speeds in the log of the hazard, money in logarithms. There "adds up" holds exactly; in the number
itself no such list exists, and none is made up. What is said is what the model looks at, and no cause: whoever is made to log
in does not become the customer that those who log in are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import pandas as pd

from bandit.errors import UnusableEvents
from bandit.profile.customer_models import CustomerModels
from bandit.profile.customer_value import CustomerValue, Spending
from bandit.profile.next_purchase import NextPurchase
from bandit.profile.number_names import NEXT_PURCHASE, VALUE
from bandit.profile.outcome_model import OutcomeModel
from bandit.profile.shapes import AdditiveModel
from bandit.profile.survival import TimeModel

CALIBRATION: Final = "calibration"
"""The factor that stands for what a calibration with two slopes, or with steps, does to the sum of the others."""
VALUE_PARTS: Final = ("is_still_there", "purchases_if_there", "mean_order")
SCALES: Final = {"log-odds": "chance", "log-hazard": "times as fast as the average customer", "log": "money"}
"""In what factors add up, and what their sum becomes."""


@dataclass(frozen=True, slots=True)
class Factor:
    """One feature of a customer.

    Attributes:
        name: the feature.
        value: the customer's, None where it is not known.
        usual: median of all, or the most frequent level.
        added: what it adds to the score; above 0 it makes the number larger.
    """

    name: str
    value: float | str | None
    usual: float | str
    added: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A number as a sum.

    Attributes:
        number: which.
        value: the number itself; for days to the next purchase, the customer's speed.
        scale: of `SCALES`, in which it is a sum.
        start: the score of a customer of whom nothing but the average is known.
        factors: the largest first, whichever way they work.
    """

    number: str
    value: float
    scale: str
    start: float
    factors: tuple[Factor, ...]

    @property
    def score(self) -> float:
        """Start and all factors together."""
        return self.start + math.fsum(factor.added for factor in self.factors)


def explained(
    models: CustomerModels, features: pd.DataFrame, spending: Spending, customer: str
) -> dict[str, Explanation]:
    """Every number of one customer, explained.

    Args:
        models: those that were made.
        features: as `History.features_at` makes them, with a row of this customer.
        spending: purchases of the same customers.
        customer: id.

    Raises:
        UnusableEvents: if there is no such customer.
    """
    if customer not in features.index:
        raise UnusableEvents(
            f"there is no customer {customer!r} with an event before that time. Look at the id, and at the time."
        )
    row = features.loc[[customer]]
    found = {name: explained_chance(model, row) for name, model in models.outcomes.items()}
    if models.next_purchase:
        found[NEXT_PURCHASE] = explained_speed(models.next_purchase, row)
    if models.value:
        found[VALUE] = explained_value(models.value, spending, customer, models.spec.value)
    return found


def explained_chance(model: OutcomeModel, row: pd.DataFrame) -> Explanation:
    """The factors behind a chance, in log-odds.

    Args:
        model: the chance.
        row: features of one customer.
    """
    raw, factors = model.additive.intercept, _factors(model.additive, row)
    score = float(model.calibration.scores(model.additive.scores(row))[0])
    if model.calibration.method == "sigmoid":
        offset, slope = model.calibration.heights
        scaled = [Factor(one.name, one.value, one.usual, slope * one.added) for one in factors]
        start = offset + slope * raw
    else:
        scaled, start = factors, raw
        rest = score - raw - math.fsum(factor.added for factor in factors)
        scaled = [*factors, Factor(CALIBRATION, None, 0.0, rest)]
    return Explanation(model.name, float(model.chances(row)[0]), "log-odds", start, _sorted(scaled))


def explained_speed(model: NextPurchase, row: pd.DataFrame) -> Explanation:
    """The factors behind the days to the next purchase: how many times as fast as the average customer somebody buys."""
    curves: TimeModel = model.curves
    score = float(curves.additive.scores(row)[0])
    factors = _factors(curves.additive, row)
    return Explanation(NEXT_PURCHASE, math.exp(score), "log-hazard", curves.additive.intercept, _sorted(factors))


def explained_value(model: CustomerValue, spending: Spending, customer: str, days: float) -> Explanation:
    """The factors behind a customer's value: its three parts, each against the usual one."""
    place = int(spending.customers.get_indexer(pd.Index([customer], dtype=object))[0])
    parts = [float(part) for part in model.parts(spending, days)[place]]
    factors = [
        Factor(name, part, usual, math.log(max(part, 1e-12) / usual))
        for name, part, usual in zip(VALUE_PARTS, parts, model.usual, strict=True)
    ]
    return Explanation(VALUE, math.prod(parts), "log", math.log(math.prod(model.usual)), _sorted(factors))


def _factors(model: AdditiveModel, row: pd.DataFrame) -> list[Factor]:
    added = model.contributions(row)[0]
    return [
        Factor(shape.name, _cell(row[shape.name].iloc[0]), shape.usual, float(one))
        for shape, one in zip(model.shapes, added, strict=True)
    ]


def _cell(value: object) -> float | str | None:
    if pd.isna(value):  # type: ignore[call-overload]
        return None
    return value if isinstance(value, str) else float(value)  # type: ignore[arg-type]


def _sorted(factors: list[Factor]) -> tuple[Factor, ...]:
    return tuple(sorted(factors, key=lambda factor: -abs(factor.added)))
