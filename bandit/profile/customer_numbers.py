"""The numbers of one customer for a live decision: those that `CustomerModels.numbers` gives them in a table, bit for bit.

Models are made ready once, when they are read, and are then asked about one customer after another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import numpy as np

from bandit.errors import UnusableLog
from bandit.profile.compiled_score import compiled_score
from bandit.profile.compiled_value import CompiledValue
from bandit.profile.customer_models import CustomerModels
from bandit.profile.features import FEATURES, Feature
from bandit.profile.futures import Futures
from bandit.profile.next_purchase import SHARES, NextPurchase
from bandit.profile.number_names import OF_NEXT_PURCHASE, OF_VALUE
from bandit.profile.outcome_model import OutcomeModel
from bandit.profile.past import Past
from bandit.profile.population import Population
from bandit.profile.rhythm import RHYTHM


class CustomerNumbers:
    """Models made ready to give numbers of one customer at a time.

    Args:
        models: that were made.
        wanted: names of numbers, of `bandit.profile.number_names.NUMBERS`; a model that none of them needs is left alone.

    Attributes:
        looks_at: features that some model of these looks at, rhythm among them.

    Raises:
        UnusableLog: if a model looks at a feature that there is not.
    """

    def __init__(self, models: CustomerModels, wanted: Collection[str]) -> None:
        self._models = models
        outcomes = {name: model for name, model in models.outcomes.items() if name in wanted}
        self._chances = {name: _Chance(model) for name, model in outcomes.items()}
        curves = models.next_purchase if _any_of(OF_NEXT_PURCHASE, wanted) else None
        self._next = _Next(curves) if curves else None
        value = models.value if _any_of(OF_VALUE, wanted) else None
        self._value = CompiledValue(value, models.spec.value, models.spec.seed) if value else None
        scores = [*(one.score for one in self._chances.values()), *([self._next.score] if self._next else [])]
        self.looks_at = frozenset(name for score in scores for name, _ in score.parts)
        absent = sorted(self.looks_at - FEATURES.keys() - set(RHYTHM))
        if absent:
            raise UnusableLog(
                f"the models look at {', '.join(absent[:5])}, which no feature is called. Make the models anew."
            )

    @property
    def made_at(self) -> datetime:
        """Only events before it were used; numbers are not for earlier times."""
        return self._models.made_at

    @property
    def population(self) -> Population | None:
        """Towards which features are drawn; None: that of live features."""
        return self._models.population

    def of(self, wanted: Collection[str], features: Mapping[str, Feature], past: Past) -> dict[str, float | None]:
        """Some numbers of one customer.

        Args:
            wanted: names; some of those that were wanted when the models were made ready.
            features: of the customer at the time, with the population of the models; all that `looks_at` names but rhythm.
            past: of the same customer before the same time.

        Returns:
            Each of `wanted`; None where the model was not made or cannot tell.
        """
        known: dict[str, Feature] = {**features, **past.rhythm}
        found = {name: chance.of(known) for name, chance in self._chances.items() if name in wanted}
        if self._next and _any_of(OF_NEXT_PURCHASE, wanted):
            found |= dict(zip(OF_NEXT_PURCHASE, self._next.of(known), strict=True))
        if self._value and _any_of(OF_VALUE, wanted):
            found |= dict(zip(OF_VALUE, self._value.numbers(past.born, past.at, past.purchases), strict=True))
        return {name: None if np.isnan(found.get(name, np.nan)) else found[name] for name in wanted}


def load_for(wanted: Collection[str]) -> None:
    """Load the libraries that models need to be made ready for these numbers, before any model is there."""
    if _any_of(OF_VALUE, wanted):
        Futures.drawn(0)


class _Chance:
    """A chance, ready."""

    def __init__(self, model: OutcomeModel) -> None:
        self.score, self._calibration = compiled_score(model.additive), model.calibration

    def of(self, features: Mapping[str, Feature]) -> float:
        return float(self._calibration.chances(self.score.scores(features))[0])


class _Next:
    """Days to the next purchase, ready."""

    def __init__(self, model: NextPurchase) -> None:
        self.score, self._curve = compiled_score(model.curves.additive), model.curves.curve

    def of(self, features: Mapping[str, Feature]) -> list[float]:
        scores = self.score.scores(features)
        return [float(self._curve.days_until(scores, share)[0]) for share in SHARES]


def _any_of(names: Collection[str], wanted: Collection[str]) -> bool:
    return any(name in wanted for name in names)
