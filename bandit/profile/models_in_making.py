"""Models of customers in the making: which rows each is made of, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import Final, TypeVar

import pandas as pd

from bandit.errors import UnusableEvents
from bandit.profile.churn import fit_churn
from bandit.profile.customer_value import CustomerValue, fit_customer_value, spending_at
from bandit.profile.history import History
from bandit.profile.next_purchase import NextPurchase, fit_next_purchase
from bandit.profile.occurrences import Occurrences, occurrences_of, origins_before
from bandit.profile.outcome_model import OutcomeModel, fit_outcome
from bandit.profile.population import Population

VALUE_MADE_OF: Final = frozenset({"frequency", "recency_days", "monetary", "average_order"})
"""What the value is made of, by the names of the features that say the same."""
_Model = TypeVar("_Model")


class Making:
    """Models in the making, with the features of each origin made once.

    Args:
        past: events before the time, and what must be left out.
        at: the time.
    """

    def __init__(self, past: History, at: datetime) -> None:
        self.past, self.at = past, at
        self.refusals: dict[str, str] = {}
        self._features: dict[datetime, pd.DataFrame] = {}

    def attempt(self, name: str, make: Callable[[], _Model]) -> _Model | None:
        """The model, or None with the reason noted."""
        try:
            return make()
        except UnusableEvents as error:
            self.refusals[name] = str(error)
            return None

    def features_at(self, origin: datetime) -> pd.DataFrame:
        """Features of all customers at an origin."""
        if origin not in self._features:
            self._features[origin] = self.past.features_at(origin, self.population)
        return self._features[origin]

    @cached_property
    def population(self) -> Population:
        """That of the earliest origin of any model.

        With one of its own for each origin, a feature that is drawn towards the population would move from one to the next
        while customers stay as they are; and a later one would know what had not happened yet.
        """
        origins = [self.at]
        for horizon in (self.past.models.churn, self.past.models.purchase, self.past.models.conversion):
            with suppress(UnusableEvents):
                origins += self.origins(horizon)
        return self.past.population_at(min(origins))

    def origins(self, horizon: int) -> tuple[datetime, ...]:
        """Past days for what looks so many days ahead; UnusableEvents where there are too few."""
        return origins_before(self.at, horizon, self.past.events["at"].min().to_pydatetime())

    def outcome(self, name: str, horizon: int, occurrences: Occurrences) -> OutcomeModel:
        """The chance of an occurrence within so many days."""
        origins = self.origins(horizon)
        return fit_outcome(name, horizon, occurrences, self.features_at, origins, self.past.models.seed)

    def conversion(self, name: str) -> OutcomeModel:
        """The chance of a conversion."""
        occurrences = occurrences_of(self.past.events, self.past.models.conversion_types)
        return self.outcome(name, self.past.models.conversion, occurrences)

    def churn(self) -> OutcomeModel:
        """The chance of silence."""
        horizon = self.past.models.churn
        return fit_churn(self.past.activity, horizon, self.features_at, self.origins(horizon))

    def next_purchase(self) -> NextPurchase:
        """The days to the next purchase."""
        horizon = self.past.models.purchase
        return fit_next_purchase(self.past.purchases, horizon, self.features_at, self.origins(horizon), self.at)

    def value(self) -> CustomerValue:
        """The spend; UnusableEvents where what it is made of is protected."""
        forbidden = sorted(VALUE_MADE_OF & self.past.left_out)
        if forbidden:
            raise UnusableEvents(
                f"the value is made of purchases, and [context] declares {', '.join(forbidden)} as protected. There is no value "
                "without them."
            )
        return fit_customer_value(spending_at(self.past.purchases, self.past.born, self.at), self.past.models.value)
