"""The numbers of one customer, from their own events: those that `CustomerModels.numbers` gives them in a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd

from bandit.profile.churn import CHURN_RISK
from bandit.profile.customer_models import CONVERSION, PURCHASE, VALUE, CustomerModels
from bandit.profile.customer_value import spending_at
from bandit.profile.events import TIME, Event
from bandit.profile.features import Feature
from bandit.profile.next_purchase import NEXT_PURCHASE
from bandit.profile.occurrences import Occurrences
from bandit.profile.rhythm import rhythm_features
from bandit.profile.spec import NOT_ACTIVE, ProfileSpec
from bandit.profile.sums import microseconds

ENDS: Final = ("", "_lower", "_upper")
MODEL_OF: Final[Mapping[str, str]] = {
    CHURN_RISK: "churn",
    PURCHASE: "purchase",
    CONVERSION: "conversion",
    **{f"{NEXT_PURCHASE}{end}": "next_purchase" for end in ENDS},
    **{f"{VALUE}{end}": "value" for end in ENDS},
}
"""The model behind each number."""


def numbers_of_customer(
    models: CustomerModels,
    wanted: Collection[str],
    features: Mapping[str, Feature],
    events: Sequence[Event],
    at: datetime,
    profile: ProfileSpec,
) -> dict[str, float | None]:
    """Some numbers of one customer, bit for bit those of a table of the same events with the same models.

    Args:
        models: made before `at`.
        wanted: names of numbers, of `MODEL_OF`; models that none of them needs do no work.
        features: of the customer at the time, as `features_of` makes them with the population of the models.
        events: all of the customer's before the time, at least one, in any order.
        at: with a zone.
        profile: what events mean.

    Returns:
        Each of `wanted`; None where the model was not made or cannot tell.

    Raises:
        UnusableEvents: if `at` is before the models were made.
    """
    models.refuse_before(at)
    used = _only(models, {MODEL_OF[name] for name in wanted})
    customer = events[0].customer_id
    born = pd.Series([min(event.at for event in events)], index=pd.Index([customer], dtype=object)).astype(TIME)
    purchases = _occurrences(events, frozenset(profile.roles.get("purchase", ())), profile)
    passive = frozenset(one for role in NOT_ACTIVE for one in profile.roles.get(role, ()))
    activity = _occurrences(events, frozenset(event.type for event in events) - passive, profile)
    rhythm = rhythm_features({"purchase": purchases, "activity": activity}, born, at)
    own = {name: _column(features[name]) for name in _needed(used) if name in features}
    own |= {str(name): rhythm[name].tolist() for name in rhythm.columns}
    table = pd.DataFrame(own, index=born.index)
    found = used.numbers_of(table, spending_at(purchases, born, at)).iloc[0]
    return {name: None if np.isnan(found[name]) else float(found[name]) for name in wanted}


def _only(models: CustomerModels, names: Collection[str]) -> CustomerModels:
    return replace(
        models,
        churn=models.churn if "churn" in names else None,
        purchase=models.purchase if "purchase" in names else None,
        conversion=models.conversion if "conversion" in names else None,
        next_purchase=models.next_purchase if "next_purchase" in names else None,
        value=models.value if "value" in names else None,
    )


def _needed(models: CustomerModels) -> dict[str, None]:
    """Features that some model looks at."""
    sums = [model.additive for model in models.outcomes.values()]
    sums += [models.next_purchase.curves.additive] if models.next_purchase else []
    return dict.fromkeys(name for one in sums for name in one.names)


def _column(feature: Feature) -> list[float | str | None]:
    return [np.nan if feature is None else feature]


def _occurrences(events: Sequence[Event], types: Collection[str], profile: ProfileSpec) -> Occurrences:
    chosen = [event for event in events if event.type in types]
    times = np.array([microseconds(event.at) for event in chosen], dtype=np.int64)
    amounts = [profile.missing.value if event.value is None else event.value for event in chosen]
    values = np.array([np.nan if amount is None else amount for amount in amounts], dtype=np.float64)
    ids = pd.Index([chosen[0].customer_id] if chosen else [], dtype=object)
    return Occurrences(ids, np.zeros(len(chosen), dtype=np.int64), times, values)
