"""Customers of a simulated campaign: a fixed list with attributes that hang together as a marketer would expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from bandit.schema import CategoricalField, Schema
from simulator.world import ImpossibleWorld, IntArray
from simulator.zones import home_zones

CATEGORIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "engagement_level": ("inactive_user", "low_engagement", "moderate_user", "active_user", "power_user"),
        "device": ("mobile", "desktop", "tablet"),
        "country": ("us", "gb", "de", "fr", "in", "br", "jp", "au"),
        "lifecycle_stage": ("new", "growing", "established", "at_risk"),
    }
)
"""Categorical attributes that may move a response, each with its values (engagement from least to most)."""

RANGES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {"days_since_login": (0.0, 365.0), "referrals_made": (0.0, 20.0), "account_age_days": (0.0, 3000.0)}
)
"""Numeric attributes, each with its least and largest value."""

PROTECTED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"gender": ("female", "male", "non_binary", "undisclosed")}
)
"""Attributes that never move a response; a fairness audit must find no effect of theirs."""

MISSING_FIELD: Final = "account_age_days"
MISSING_SHARE: Final = 0.04

_SHARES: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        "engagement_level": (0.24, 0.26, 0.25, 0.17, 0.08),
        "device": (0.62, 0.30, 0.08),
        "country": (0.34, 0.16, 0.13, 0.10, 0.10, 0.07, 0.06, 0.04),
        "gender": (0.52, 0.41, 0.04, 0.03),
    }
)
# One row per engagement level: the inactive are mostly at risk, power users mostly established.
_LIFECYCLE_SHARES: Final = (
    (0.10, 0.10, 0.20, 0.60),
    (0.20, 0.20, 0.35, 0.25),
    (0.25, 0.30, 0.35, 0.10),
    (0.20, 0.35, 0.40, 0.05),
    (0.05, 0.25, 0.68, 0.02),
)
_TYPICAL_LOGIN_DAYS: Final = (150.0, 45.0, 14.0, 4.0, 1.0)
_TYPICAL_REFERRALS: Final = (0.1, 0.4, 1.0, 2.5, 6.0)
_AGE_DAYS: Final = ((0.0, 60.0), (60.0, 365.0), (365.0, 3000.0), (180.0, 3000.0))


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer: an id, and what is known before any send."""

    customer_id: str
    context: Mapping[str, ContextValue]


def draw_population(rng: np.random.Generator, n_customers: int) -> tuple[Customer, ...]:
    """A fixed list of customers with ids c000000, c000001 and so on.

    Days since login fall, and referrals rise, with engagement; the lifecycle stage follows engagement, the account's
    age follows the stage. The account's age is missing (None) for a few percent, whoever they are.

    Args:
        rng: where the attributes are drawn from.
        n_customers: length of the list.

    Raises:
        ImpossibleWorld: if there would be no customer.

    >>> [customer.customer_id for customer in draw_population(np.random.default_rng(0), 2)]
    ['c000000', 'c000001']
    """
    if n_customers < 1:
        raise ImpossibleWorld(f"n_customers is {n_customers}: nobody would receive a send; give at least 1.")
    columns = _columns(rng, n_customers)
    rows = zip(*columns.values(), strict=True)
    return tuple(Customer(f"c{i:06d}", dict(zip(columns, row, strict=True))) for i, row in enumerate(rows))


def telling_zones(customers: Sequence[Customer], rng: np.random.Generator, field: str) -> tuple[Customer, ...]:
    """The same customers, of whom it is known besides in which zone of their country they live.

    Args:
        customers: with a country.
        rng: where zones of wide countries are drawn from.
        field: of the context, that is to name the zone.

    >>> (ann,) = telling_zones([Customer("ann", {"country": "jp"})], np.random.default_rng(0), "zone")
    >>> ann.context["zone"]
    'Asia/Tokyo'
    """
    schema = Schema((CategoricalField("country", CATEGORIES["country"]),))
    zones = home_zones(schema, [customer.context for customer in customers], rng)
    return tuple(
        Customer(customer.customer_id, {**customer.context, field: zone})
        for customer, zone in zip(customers, zones, strict=True)
    )


def _columns(rng: np.random.Generator, n: int) -> dict[str, list[ContextValue]]:
    codes = {name: rng.choice(len(shares), n, p=shares) for name, shares in _SHARES.items()}
    level = codes["engagement_level"]
    codes["lifecycle_stage"] = _pick_rows(rng, np.array(_LIFECYCLE_SHARES)[level])
    named = {
        name: [values[code] for code in codes[name].tolist()] for name, values in {**CATEGORIES, **PROTECTED}.items()
    }
    return named | _numbers(rng, level, codes["lifecycle_stage"])


def _pick_rows(rng: np.random.Generator, shares: FloatArray) -> IntArray:
    """One column number per row, with the probabilities of that row, shape (n_rows, n_columns)."""
    positions = rng.random((len(shares), 1))
    return np.asarray((positions > shares.cumsum(axis=1)[:, :-1]).sum(axis=1), dtype=np.int64)


def _numbers(rng: np.random.Generator, level: IntArray, stage: IntArray) -> dict[str, list[ContextValue]]:
    n = len(level)
    login = np.array(_TYPICAL_LOGIN_DAYS)[level] * rng.lognormal(0.0, 0.5, n)
    referrals = rng.poisson(np.array(_TYPICAL_REFERRALS)[level]).astype(np.float64)
    low, high = np.array(_AGE_DAYS)[stage].T
    drawn = {"days_since_login": login, "referrals_made": referrals, "account_age_days": rng.uniform(low, high)}
    numbers: dict[str, list[ContextValue]] = {
        name: np.clip(np.floor(values), *RANGES[name]).tolist() for name, values in drawn.items()
    }
    absent = rng.random(n) < MISSING_SHARE
    numbers[MISSING_FIELD] = [
        None if gone else value for gone, value in zip(absent, numbers[MISSING_FIELD], strict=True)
    ]
    return numbers
