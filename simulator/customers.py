"""Customers of any campaign: drawn from its schema, or from rows of a real list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.special import betaincinv, ndtr

from bandit.arrays import FloatArray
from bandit.context import Context, ContextValue
from bandit.errors import InvalidContext
from bandit.schema import CategoricalField, ContextField, NumericField, Schema
from simulator.local_time import zone_named
from simulator.world import ImpossibleWorld, IntArray
from simulator.zones import home_zones

# Each part draws from a stream of its own, so that one more customer or field does not change the others. None is 0: a
# trailing 0 makes no difference to a seed.
_ENGAGEMENT, _SHAPE, _OWN, _ABSENT, _ZONES, _ROWS = range(201, 207)
_MOST_CORRELATED: Final = 0.95
_OPEN_VALUES: Final = ("a", "b")
_FALLING: Final = ("since", "recency", "inactive")
"""Parts of the names of numbers that are small for the engaged."""


@dataclass(frozen=True, slots=True, eq=False)
class Customers:
    """A fixed list of customers: who they are, what is known of each before any send, and where they live.

    Args:
        ids: one each, all different.
        contexts: name to value, None where a value is missing.
        zones: the IANA time zone of each.

    Raises:
        ImpossibleWorld: if there is no customer, the three are not equally long, an id is empty or stands twice, or a
            zone has no such name.

    >>> people = Customers(("ann", "bob"), ({"plan": "free"}, {"plan": None}), ("UTC", "Asia/Tokyo"))
    >>> people.n, people.place("bob")
    (2, 1)
    """

    ids: tuple[str, ...]
    contexts: tuple[Mapping[str, ContextValue], ...]
    zones: tuple[str, ...]
    _places: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.contexts) == len(self.zones) > 0:
            raise ImpossibleWorld(
                f"{len(self.ids)} ids, {len(self.contexts)} contexts and {len(self.zones)} zones: give one of each for "
                "every customer, and at least one customer."
            )
        object.__setattr__(self, "_places", {name: place for place, name in enumerate(self.ids)})
        if "" in self._places or len(self._places) < self.n:
            raise ImpossibleWorld(
                f"{self.n} customers have {len(self._places) - ('' in self._places)} different ids: groups and luck hang "
                "on the id, so give every customer one of its own."
            )
        for zone in set(self.zones):
            zone_named(zone)

    @property
    def n(self) -> int:
        """How many customers there are."""
        return len(self.ids)

    def place(self, customer_id: str) -> int:
        """Where this customer stands in the list.

        Raises:
            ImpossibleWorld: if nobody has this id.
        """
        place = self._places.get(customer_id)
        if place is None:
            raise ImpossibleWorld(
                f"nobody here is called {customer_id!r}, so what they would do is not known. Ask about one of the "
                f"{self.n} customers, {self.ids[0]!r} for one."
            )
        return place


def drawn_customers(
    schema: Schema,
    seed: int,
    n: int,
    *,
    zone: str = "UTC",
    zones: Mapping[str, float] | None = None,
    clock: str = "",
    correlation: float = 0.5,
) -> Customers:
    """Customers made up from what a campaign declares about them.

    Each has a hidden engagement, and every field that is not protected hangs on it (a Gaussian copula with one factor):
    later categories, larger numbers and yes go with more of it; days since something go with less. Categories have
    uneven shares, numbers a beta distribution that leans to the low end of their range (whole numbers where its ends
    are whole and 5 or more apart). A field that is not required is missing for 1 to 5 percent, whoever they are. A protected
    field is independent of everything. The field by which the campaign's clocks go holds where a customer lives, where its
    values are left open.

    A field's values depend on the seed, its name and its declaration only, and the first customers of a longer list are
    those of a shorter one.

    Args:
        schema: the campaign's.
        seed: of everything, at least 0.
        n: how many customers.
        zone: of those of whose home nothing is known; see `simulator.zones.home_zones`.
        zones: zone to its share, for the same.
        clock: the field that names a customer's zone to the campaign; empty for none.
        correlation: typical correlation between the hidden normal scores of two fields, in [0, 1); 0 makes all fields
            independent.

    Raises:
        ImpossibleWorld: if there would be no customer, or a number is out of its range.

    Source: one-factor Gaussian copula, Li (2000), "On default correlation".

    >>> from bandit.schema import NumericField
    >>> schema = Schema((CategoricalField("plan", ("free", "paid"), required=True), NumericField("age", 18, 90)))
    >>> people = drawn_customers(schema, 0, 3)
    >>> people.ids, [context["plan"] for context in people.contexts]
    (('c000000', 'c000001', 'c000002'), ['paid', 'free', 'paid'])
    """
    _check(seed, n)
    if not 0.0 <= correlation < 1.0:
        raise ImpossibleWorld(f"correlation is {correlation!r}: give 0 for independent fields, or less than 1.")
    engagement = _stream(seed, _ENGAGEMENT).standard_normal(n)
    columns = [_column(item, seed, engagement, correlation) for item in schema.fields]
    names = [item.name for item in schema.fields]
    rows = zip(*columns, strict=True) if columns else [()] * n
    contexts = tuple(dict(zip(names, row, strict=True)) for row in rows)
    is_open = bool(clock) and isinstance(item := schema[clock], CategoricalField) and not item.values
    told = "" if is_open else clock
    homes = home_zones(schema, contexts, _stream(seed, _ZONES), zone=zone, zones=zones, clock=told)
    if is_open:
        pairs = zip(contexts, homes, strict=True)
        contexts = tuple({**one, clock: None if one[clock] is None else home} for one, home in pairs)
    return Customers(_made_up(n), contexts, homes)


def customers_of_rows(
    schema: Schema,
    rows: Sequence[Mapping[str, ContextValue]],
    seed: int,
    n: int | None = None,
    *,
    ids: Sequence[str] | None = None,
    zone: str = "UTC",
    zones: Mapping[str, float] | None = None,
    clock: str = "",
) -> Customers:
    """Customers from rows of a real list; what hangs together there hangs together here.

    Every row is used equally often, as far as `n` divides: all rows as many times as they fit, then a random part of
    them without repetition, in the order of the list. So the joint distribution of all fields is that of the list.

    Args:
        schema: the campaign's; every row is checked against it, and kept as the engine would use it (numbers clipped).
        rows: name to value, None or absent where a value is missing.
        seed: of the choice of rows and of the zones, at least 0.
        n: how many customers; as many as there are rows where left out.
        ids: one a row; left out, they are made up. Only possible while no row is used twice.
        zone: of those of whose home nothing is known; see `simulator.zones.home_zones`.
        zones: zone to its share, for the same.
        clock: the field that names a customer's zone to the campaign; empty for none.

    Raises:
        InvalidContext: if a row does not fit the schema; the message says which.
        ImpossibleWorld: if there is no row or no customer, or the ids do not fit.

    >>> schema = Schema((CategoricalField("plan", ("free", "paid")),))
    >>> people = customers_of_rows(schema, [{"plan": "paid"}, {}], 0, ids=["ann", "bob"])
    >>> people.ids, people.contexts
    (('ann', 'bob'), ({'plan': 'paid'}, {'plan': None}))
    """
    n = len(rows) if n is None else n
    _check_rows(len(rows), n, ids)
    _check(seed, n)
    checked = [_checked(schema, number, row) for number, row in enumerate(rows, start=1)]
    n_rounds, rest = divmod(n, len(rows))
    some = np.sort(_stream(seed, _ROWS).permutation(len(rows))[:rest])
    used = [*list(range(len(rows))) * n_rounds, *some.tolist()]
    contexts = tuple(dict(checked[row]) for row in used)
    names = _made_up(n) if ids is None else tuple(ids[row] for row in used)
    homes = home_zones(schema, contexts, _stream(seed, _ZONES), zone=zone, zones=zones, clock=clock)
    return Customers(names, contexts, homes)


def _check(seed: int, n: int) -> None:
    if n < 1:
        raise ImpossibleWorld(f"n is {n}: nobody would receive a send; give at least 1 customer.")
    if not 0 <= seed < 2**64:
        raise ImpossibleWorld(f"seed is {seed}: generators and hashes take 64 bits; give one from 0 up.")


def _check_rows(n_rows: int, n: int, ids: Sequence[str] | None) -> None:
    if n_rows == 0:
        raise ImpossibleWorld("rows is empty: there is no customer to take; give at least one row.")
    if ids is not None and len(ids) != n_rows:
        raise ImpossibleWorld(f"{len(ids)} ids for {n_rows} rows: give the id of each row, in order, or none.")
    if ids is not None and n > n_rows:
        raise ImpossibleWorld(
            f"n is {n} and there are {n_rows} rows with ids: rows would be used twice and ids stand for two customers. "
            f"Ask for at most {n_rows}, or leave the ids out."
        )


def _checked(schema: Schema, number: int, row: Mapping[str, ContextValue]) -> Mapping[str, ContextValue]:
    try:
        return schema.encode(Context(row)).values
    except InvalidContext as error:
        raise InvalidContext(f"row {number} of the customers: {error}") from None


def _made_up(n: int) -> tuple[str, ...]:
    return tuple(f"c{number:06d}" for number in range(n))


def _stream(seed: int, purpose: int, name: str = "") -> np.random.Generator:
    return np.random.default_rng((seed, purpose, *name.encode()))


def _column(item: ContextField, seed: int, engagement: FloatArray, correlation: float) -> list[ContextValue]:
    """The values of one field, one a customer."""
    shape = _stream(seed, _SHAPE, item.name)
    loading = min(float(np.sqrt(correlation * shape.uniform(0.6, 1.4))), _MOST_CORRELATED)
    missing_share = shape.uniform(0.01, 0.05)
    if item.protected:
        loading = 0.0
    elif isinstance(item, NumericField) and any(part in item.name for part in _FALLING):
        loading = -loading
    if isinstance(item, CategoricalField) and not (item.values or item.protected):
        return _nothing(item, len(engagement))
    own = _stream(seed, _OWN, item.name).standard_normal(len(engagement))
    values = _values(item, shape, ndtr(loading * engagement + np.sqrt(1.0 - loading**2) * own))
    if item.required:
        return values
    absent = _stream(seed, _ABSENT, item.name).random(len(engagement)) < missing_share
    return [None if gone else value for gone, value in zip(absent.tolist(), values, strict=True)]


def _nothing(item: CategoricalField, n: int) -> list[ContextValue]:
    """The values of a field for which none is declared."""
    if item.required:
        raise ImpossibleWorld(
            f"context {item.name!r} is required and its list of values is empty: no customer fits it. Declare the values, "
            "or drop `required = true`."
        )
    return [None] * n


def _values(item: ContextField, shape: np.random.Generator, positions: FloatArray) -> list[ContextValue]:
    """What stands at these positions in (0, 1) of the field's distribution, from least to most."""
    if isinstance(item, NumericField):
        return list(_numbers(item, shape, positions).tolist())
    if isinstance(item, CategoricalField):
        values = item.values or _OPEN_VALUES
        return [values[code] for code in _codes(shape, len(values), positions).tolist()]
    limit = shape.uniform(0.3, 0.8)
    return list((positions > limit).tolist())


def _codes(shape: np.random.Generator, n_values: int, positions: FloatArray) -> IntArray:
    # A part in equal shares, so that a rare value is still met in a list of a thousand.
    shares = 0.3 / n_values + 0.7 * shape.dirichlet(np.full(n_values, 2.0))
    return np.asarray(np.searchsorted(np.cumsum(shares)[:-1], positions, side="right"), dtype=np.int64)


def _numbers(item: NumericField, shape: np.random.Generator, positions: FloatArray) -> FloatArray:
    width = item.high - item.low
    numbers = item.low + width * betaincinv(shape.uniform(0.7, 1.5), shape.uniform(1.5, 5.0), positions)
    if width >= 5.0 and float(item.low).is_integer() and float(item.high).is_integer():
        numbers = np.round(numbers)
    return np.asarray(np.clip(numbers, item.low, item.high), dtype=np.float64)
