"""All models of customers together: made from events up to a time, kept as JSON, and the numbers they give.

A model that cannot be made honestly is not made, and says why; the others are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from bandit.arrays import FloatArray
from bandit.errors import BrokenSnapshot, UnusableEvents
from bandit.profile.customer_value import CustomerValue, Spending, read_customer_value, spending_at
from bandit.profile.history import History
from bandit.profile.judgement import Judgement
from bandit.profile.models_in_making import VALUE_MADE_OF, Making
from bandit.profile.models_spec import ModelsSpec
from bandit.profile.next_purchase import NextPurchase, read_next_purchase
from bandit.profile.number_names import (
    CHURN_RISK,
    CONVERSION,
    NEXT_PURCHASE,
    NUMBERS,
    PURCHASE,
    VALUE,
)
from bandit.profile.outcome_model import OutcomeModel, read_outcome_model
from bandit.profile.population import Population

VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class CustomerModels:
    """The models that could be made.

    Attributes:
        made_at: only events before it were used.
        spec: how far ahead each looks.
        churn, purchase, conversion, next_purchase, value: None where it could not be made.
        refusals: by number, why not.
        population: towards which features are drawn, the same for rows of every time; None: that of the time itself.
    """

    made_at: datetime
    spec: ModelsSpec
    churn: OutcomeModel | None = None
    purchase: OutcomeModel | None = None
    conversion: OutcomeModel | None = None
    next_purchase: NextPurchase | None = None
    value: CustomerValue | None = None
    refusals: Mapping[str, str] = field(default_factory=dict)
    population: Population | None = None

    @property
    def outcomes(self) -> dict[str, OutcomeModel]:
        """Models that give a chance, by number."""
        every = {CHURN_RISK: self.churn, PURCHASE: self.purchase, CONVERSION: self.conversion}
        return {name: model for name, model in every.items() if model is not None}

    @property
    def judgements(self) -> dict[str, Judgement]:
        """How the models that give chances were judged, by number."""
        found = {name: model.judgement for name, model in self.outcomes.items()}
        return found | ({NEXT_PURCHASE: self.next_purchase.judgement} if self.next_purchase else {})

    @property
    def looks_at(self) -> frozenset[str]:
        """Features that some model looks at."""
        sums = [model.additive for model in self.outcomes.values()]
        sums += [self.next_purchase.curves.additive] if self.next_purchase else []
        names = frozenset(name for one in sums for name in one.names)
        return names | VALUE_MADE_OF if self.value else names

    def refuse_features(self, protected: Collection[str]) -> None:
        """Refuse models that look at what they must not.

        Args:
            protected: names of features; see bandit.profile.context_fields.protected_features.

        Raises:
            UnusableEvents: if one of them is looked at.
        """
        found = sorted(self.looks_at & set(protected))
        if found:
            raise UnusableEvents(
                f"the models look at {', '.join(found)}, which [context] declares as protected: a protected field may not decide "
                "who gets what. Make the models anew; they leave it out then."
            )

    def refuse_before(self, at: datetime) -> None:
        """Refuse numbers for a time before the models were made.

        Raises:
            UnusableEvents: if it is.
        """
        if at < self.made_at:
            raise UnusableEvents(
                f"the models were made from events up to {self.made_at.isoformat()}, and numbers are asked for "
                f"{at.isoformat()}: they would know what had not happened yet. Make models as of that time."
            )

    def numbers(self, history: History, at: datetime) -> pd.DataFrame:
        """The numbers of every customer at a time, one row each; NaN where a model was not made or cannot tell.

        Args:
            history: events, those from `at` on are not looked at.
            at: with a zone; not before the models were made, or they would know what is to come.

        Raises:
            UnusableEvents: if `at` is before the models were made.
        """
        self.refuse_before(at)
        past = history.before(at)
        return self.numbers_of(self.features_at(past, at), spending_at(past.purchases, past.born, at))

    def features_at(self, history: History, at: datetime) -> pd.DataFrame:
        """Features of customers as the models know them: drawn towards the population of the time they learned from."""
        return history.features_at(at, self.population)

    def numbers_of(self, features: pd.DataFrame, spending: Spending) -> pd.DataFrame:
        """The same from what `features_at` made, and purchases of the same customers."""
        found = pd.DataFrame(np.nan, index=features.index, columns=list(NUMBERS))
        for name, model in self.outcomes.items():
            found[name] = model.chances(features)
        if self.next_purchase:
            ends = self.next_purchase.days(features)
            found[f"{NEXT_PURCHASE}_lower"], found[NEXT_PURCHASE], found[f"{NEXT_PURCHASE}_upper"] = ends.T
        if self.value:
            self._add_values(found, self.value, spending)
        return found

    def _add_values(self, found: pd.DataFrame, value: CustomerValue, spending: Spending) -> None:
        places = pd.Index(spending.customers).get_indexer(pd.Index(found.index.astype(object)))
        means = value.values(spending, self.spec.value)
        ends: FloatArray = value.intervals(spending, self.spec.value, self.spec.seed)
        found[VALUE] = means[places]
        found[f"{VALUE}_lower"], found[f"{VALUE}_upper"] = ends[places].T

    def text(self) -> str:
        """The models as JSON; they are read by `read_customer_models`."""
        models = {
            item.name: getattr(self, item.name).document()
            for item in fields(self)
            if item.name in _READERS and getattr(self, item.name) is not None
        }
        document = {"version": VERSION, "made_at": self.made_at.isoformat(), "spec": asdict(self.spec)}
        document["population"] = asdict(self.population) if self.population else None
        return json.dumps({**document, "refusals": dict(self.refusals), "models": models}, allow_nan=True)


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "churn": read_outcome_model,
    "purchase": read_outcome_model,
    "conversion": read_outcome_model,
    "next_purchase": read_next_purchase,
    "value": read_customer_value,
}


def read_customer_models(text: str) -> CustomerModels:
    """Models from their JSON.

    Raises:
        BrokenSnapshot: if it is not what `text` wrote, or of another version.
    """
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise BrokenSnapshot(f"these models are of version {document['version']}, need {VERSION}. Make them anew.")
        spec = {**document["spec"], "conversion_types": tuple(document["spec"]["conversion_types"])}
        models = {name: _READERS[name](one) for name, one in document["models"].items()}
        made_at = datetime.fromisoformat(document["made_at"])
        kept = document["population"]
        population = Population.from_json(json.dumps(kept).encode()) if kept else None
        refusals = document["refusals"]
        return CustomerModels(made_at, ModelsSpec(**spec), refusals=refusals, population=population, **models)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenSnapshot(f"the models cannot be read ({error}). Make them anew.") from error


def fit_customer_models(history: History, at: datetime) -> CustomerModels:
    """Make every model that can be made honestly.

    Args:
        history: events, what they mean, and what must be left out.
        at: with a zone; only events before it are used.

    Raises:
        UnusableEvents: if there is no event before it.
    """
    past = history.before(at).sampled()
    if past.events.empty:
        raise UnusableEvents(
            f"no event before {at.isoformat()}: there is nothing to make models from. Give older events."
        )
    making = Making(past, at)
    made = {
        CHURN_RISK: making.attempt(CHURN_RISK, making.churn),
        PURCHASE: making.attempt(PURCHASE, lambda: making.outcome(PURCHASE, past.models.purchase, past.purchases)),
        CONVERSION: making.attempt(CONVERSION, lambda: making.conversion(CONVERSION)),
    }
    next_purchase = making.attempt(NEXT_PURCHASE, making.next_purchase)
    value = making.attempt(VALUE, making.value)
    return CustomerModels(
        at, past.models, made[CHURN_RISK], made[PURCHASE], made[CONVERSION], next_purchase, value, making.refusals,
        making.population,
    )  # fmt: skip
