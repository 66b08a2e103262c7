"""Events up to a time as arrays of numbers, and the ways to add them up for each customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bandit.arrays import BoolArray, FloatArray
from bandit.profile.events import FRACTION
from bandit.profile.spec import HOME, NOT_ACTIVE, ProfileSpec
from bandit.profile.sums import DAY_MICROSECONDS, NEVER, PREFERENCES, Counts, Texts


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of texts: a position in `names` for each row, -1 where it is missing; `names` in the order of code points."""

    codes: Counts
    names: list[str]


@dataclass(frozen=True, slots=True)
class EventRows:
    """n events of m customers.

    Attributes:
        who: positions in `customers`, shape (n,).
        customers: ids in the order of code points, shape (m,).
        times: microseconds since 1970, shape (n,).
        days: of these times, shape (n,).
        marks: for every role, "active", "priced" and "discounted", which events are that, each of shape (n,).
        amounts: in fractions, 0 where not priced, shape (n,).
        values: as they stand in the table, shape (n,).
        zones: where the customers were.
        texts: channel, device and content.
    """

    who: Counts
    customers: Texts
    times: Counts
    days: Counts
    marks: Mapping[str, BoolArray]
    amounts: Counts
    values: FloatArray
    zones: Coded
    texts: Mapping[str, Coded]

    def counted(self, mask: BoolArray) -> Counts:
        """How many events of each customer are marked, shape (m,)."""
        return np.bincount(self.who[mask], minlength=len(self.customers))

    def added(self, mask: BoolArray, numbers: Counts) -> Counts:
        """The sum of whole numbers over the marked events of each customer, shape (m,)."""
        found = np.zeros(len(self.customers), dtype=np.int64)
        np.add.at(found, self.who[mask], numbers[mask])
        return found

    def first(self, mask: BoolArray) -> Counts:
        """When the first marked event of each customer was, or `NEVER`, shape (m,)."""
        latest = np.iinfo(np.int64).max
        found = np.full(len(self.customers), latest, dtype=np.int64)
        np.minimum.at(found, self.who[mask], self.times[mask])
        return np.where(found == latest, NEVER, found)

    def last(self, mask: BoolArray) -> Counts:
        """When the last one was, or `NEVER`, shape (m,)."""
        found = np.full(len(self.customers), NEVER, dtype=np.int64)
        np.maximum.at(found, self.who[mask], self.times[mask])
        return found

    def crossed(self, mask: BoolArray, codes: Counts, n_codes: int) -> Counts:
        """How many marked events of each customer have each code, shape (m, n_codes)."""
        m = len(self.customers)
        return np.bincount(self.who[mask] * n_codes + codes[mask], minlength=m * n_codes).reshape(m, n_codes)

    def most_frequent(self, mask: BoolArray, column: Coded) -> Texts:
        """The text that most marked events of each customer have, the first in order where several do; shape (m,)."""
        found = np.full(len(self.customers), None, dtype=object)
        stands = mask & (column.codes >= 0)
        pairs, n_times = np.unique(self.who[stands] * len(column.names) + column.codes[stands], return_counts=True)
        if len(pairs):
            who, codes = np.divmod(pairs, len(column.names))
            order = np.lexsort((codes, -n_times, who))
            owners, places = np.unique(who[order], return_index=True)
            found[owners] = np.array(column.names, dtype=object)[codes[order][places]]
        return found


def event_rows(events: pd.DataFrame, before: int, spec: ProfileSpec) -> EventRows:
    """The events strictly before a time, with what the campaign puts in for missing cells.

    Args:
        events: as `bandit.profile.events` says.
        before: microseconds since 1970.
        spec: what the types mean.
    """
    times = events["at"].dt.as_unit("us").astype("int64").to_numpy()
    place = np.flatnonzero(times < before)
    who, times = events["customer_id"].cat.codes.to_numpy()[place].astype(np.int64), times[place]
    there = np.flatnonzero(np.bincount(who, minlength=len(events["customer_id"].cat.categories)))
    position = np.zeros(len(events["customer_id"].cat.categories), dtype=np.int64)
    position[there] = np.arange(len(there))
    marks = _roles(events["type"], place, spec)
    values = events["value"].to_numpy()[place]
    if spec.missing.value is not None:
        values = np.where(np.isnan(values) & marks["purchase"], spec.missing.value, values)
    marks["priced"] = marks["purchase"] & ~np.isnan(values)
    marks["discounted"] = marks["purchase"] & (events["discount"].to_numpy()[place] > 0.0)
    return EventRows(
        who=position[who],
        customers=events["customer_id"].cat.categories.to_numpy(dtype=object)[there],
        times=times,
        days=times // DAY_MICROSECONDS,
        marks=marks,
        amounts=np.rint(np.where(marks["priced"], values, 0.0) * FRACTION).astype(np.int64),
        values=values,
        zones=coded(events["zone"], place, spec.missing.zone or HOME),
        texts={name: coded(events[name], place, getattr(spec.missing, name)) for name in PREFERENCES},
    )


def _roles(types: pd.Series, place: Counts, spec: ProfileSpec) -> dict[str, BoolArray]:
    """Which events have which role, and which of them the customer did."""
    names, role_by_type = list(spec.roles), spec.role_by_type
    code_of = {role: code for code, role in enumerate(names)}
    known = [code_of.get(role_by_type.get(name, ""), -1) for name in types.cat.categories]
    codes = np.array([*known, -1], dtype=np.int8)[types.cat.codes.to_numpy()[place]]
    marks = {role: codes == code for role, code in code_of.items()}
    passive = np.isin(codes, [code_of[role] for role in NOT_ACTIVE])
    return {**marks, "active": ~passive}


def coded(column: pd.Series, place: Counts, instead: str) -> Coded:
    """Some rows of a categorical column, with a text in place of missing cells if one is given."""
    names = sorted({*column.cat.categories, *([instead] if instead else [])})
    position = {name: code for code, name in enumerate(names)}
    codes = [*(position[name] for name in column.cat.categories), position.get(instead, -1)]
    return Coded(np.array(codes, dtype=np.int64)[column.cat.codes.to_numpy()[place]], names)
