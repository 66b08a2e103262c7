"""Events as the models of customers look at them: what happened when to whom, and features at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import numpy as np
import pandas as pd

from bandit.profile.features import features_at
from bandit.profile.models_spec import ModelsSpec
from bandit.profile.occurrences import Occurrences, occurrences_of
from bandit.profile.outcome_model import fold_positions
from bandit.profile.population import Population, population_of
from bandit.profile.rhythm import rhythm_features
from bandit.profile.spec import NOT_ACTIVE, ProfileSpec
from bandit.profile.summing import sums_at


@dataclass(frozen=True, eq=False)
class History:
    """Events as the models look at them.

    Attributes:
        events: the table, as bandit.profile.events describes it; only those before a time that is named are looked at.
        profile: what events mean.
        models: how far ahead to look.
        left_out: features that are not made, such as protected ones.
    """

    events: pd.DataFrame
    profile: ProfileSpec
    models: ModelsSpec
    left_out: frozenset[str] = frozenset()

    def types_of(self, role: str) -> tuple[str, ...]:
        """Event types with a role."""
        return tuple(self.profile.roles.get(role, ()))

    @cached_property
    def activity_types(self) -> list[str]:
        """Event types that are something the customer did."""
        passive = {one for role in NOT_ACTIVE for one in self.types_of(role)}
        return [one for one in self.events["type"].unique() if one not in passive]

    @cached_property
    def purchases(self) -> Occurrences:
        """All purchases, with the amount of `[profile.missing]` where none is known."""
        found, stand_in = occurrences_of(self.events, self.types_of("purchase")), self.profile.missing.value
        if stand_in is None:
            return found
        return replace(found, values=np.where(np.isnan(found.values), stand_in, found.values))

    @cached_property
    def activity(self) -> Occurrences:
        """All that customers did."""
        return occurrences_of(self.events, self.activity_types)

    @cached_property
    def born(self) -> pd.Series:
        """Time of each customer's first event."""
        return self.events.groupby("customer_id", observed=True)["at"].min()

    def population_at(self, at: datetime) -> Population:
        """What customers with few events are drawn towards, from events before a time."""
        return population_of(sums_at(self.events, at, self.profile), self.profile)

    def features_at(self, at: datetime, population: Population | None = None) -> pd.DataFrame:
        """The profile's features at a time, and each customer's rhythm: one row a customer, from events before it.

        Args:
            at: with a zone.
            population: towards which customers are drawn; that of the same time where none is given.
        """
        kinds = {"purchase": self.purchases, "activity": self.activity}
        profile = features_at(self.events, at, self.profile, population=population)
        rhythm = rhythm_features(kinds, self.born, at)
        rhythm.index = rhythm.index.astype(profile.index.dtype)
        return profile.join(rhythm).drop(columns=list(self.left_out), errors="ignore")

    def before(self, at: datetime) -> History:
        """The same without what happened at a time or later."""
        return replace(self, events=self.events[self.events["at"] < at])

    def sampled(self) -> History:
        """The events of as many customers as models are made from, drawn by a hash of their id."""
        ids = pd.Index(self.events["customer_id"].unique().astype(object))
        most = self.models.most_customers
        if len(ids) <= most:
            return self
        positions = fold_positions(pd.Index([f"sample\x1f{one}" for one in ids]))
        chosen = ids[np.argsort(positions, kind="stable")[:most]]
        return replace(self, events=self.events[self.events["customer_id"].isin(chosen)])
