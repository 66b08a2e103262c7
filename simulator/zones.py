"""Where customers live: an IANA time zone each, from what is known about them or from shares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from bandit.context import ContextValue
from bandit.schema import CategoricalField, Schema
from simulator.local_time import zone_named
from simulator.world import ImpossibleWorld

ZONE_FIELDS: Final = ("zone", "timezone", "time_zone")
"""Context fields that name the zone itself, where every declared value is one."""
COUNTRY_FIELDS: Final = ("country", "country_code")
"""Context fields that name a country by its two-letter code."""

COUNTRY_ZONES: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "us": {
            "America/New_York": 0.48,
            "America/Chicago": 0.29,
            "America/Denver": 0.05,
            "America/Phoenix": 0.02,
            "America/Los_Angeles": 0.16,
        },
        "ca": {"America/Toronto": 0.62, "America/Winnipeg": 0.07, "America/Edmonton": 0.14, "America/Vancouver": 0.17},
        "mx": {"America/Mexico_City": 0.93, "America/Tijuana": 0.07},
        "br": {"America/Sao_Paulo": 0.92, "America/Manaus": 0.08},
        "ar": {"America/Argentina/Buenos_Aires": 1.0},
        "gb": {"Europe/London": 1.0},
        "uk": {"Europe/London": 1.0},
        "ie": {"Europe/Dublin": 1.0},
        "pt": {"Europe/Lisbon": 1.0},
        "es": {"Europe/Madrid": 1.0},
        "fr": {"Europe/Paris": 1.0},
        "de": {"Europe/Berlin": 1.0},
        "at": {"Europe/Vienna": 1.0},
        "ch": {"Europe/Zurich": 1.0},
        "nl": {"Europe/Amsterdam": 1.0},
        "be": {"Europe/Brussels": 1.0},
        "it": {"Europe/Rome": 1.0},
        "pl": {"Europe/Warsaw": 1.0},
        "se": {"Europe/Stockholm": 1.0},
        "za": {"Africa/Johannesburg": 1.0},
        "ae": {"Asia/Dubai": 1.0},
        "in": {"Asia/Kolkata": 1.0},
        "sg": {"Asia/Singapore": 1.0},
        "cn": {"Asia/Shanghai": 1.0},
        "kr": {"Asia/Seoul": 1.0},
        "jp": {"Asia/Tokyo": 1.0},
        "au": {
            "Australia/Sydney": 0.60,
            "Australia/Brisbane": 0.21,
            "Australia/Adelaide": 0.07,
            "Australia/Darwin": 0.01,
            "Australia/Perth": 0.11,
        },
        "nz": {"Pacific/Auckland": 1.0},
    }
)
"""Two-letter country code to its zones, each with the share of the people who live there (rough, from census counts)."""


def home_zones(
    schema: Schema,
    contexts: Sequence[Mapping[str, ContextValue]],
    rng: np.random.Generator,
    *,
    zone: str = "UTC",
    zones: Mapping[str, float] | None = None,
    clock: str = "",
) -> tuple[str, ...]:
    """The zone of each customer, from the first of these that is known.

    1. the field by which the campaign's clocks go, `clock`; else the context's zone field (`ZONE_FIELDS`), where all values
       declared for it are IANA names;
    2. its country field (`COUNTRY_FIELDS`): one of the country's zones, drawn with their shares;
    3. `zones`, drawn with their shares;
    4. `zone`.

    No other protected field is looked at: where a customer lives decides at what hour mail arrives, and so moves responses.

    Args:
        schema: of the contexts.
        contexts: one a customer.
        rng: where the zones are drawn from; one number a customer, whatever is known of them.
        zone: of those of whom nothing is known.
        zones: zone to its share, any positive scale.
        clock: the field that a campaign's send slots, quiet hours or time name, protected or not; empty for none.

    Raises:
        ImpossibleWorld: if a zone has no such name, or a share is not a number of at least 0.

    >>> from bandit.schema import CategoricalField
    >>> schema = Schema((CategoricalField("country", ("de", "jp", "atlantis")),))
    >>> people = [{"country": "jp"}, {"country": "atlantis"}]
    >>> home_zones(schema, people, np.random.default_rng(0), zone="Europe/Paris")
    ('Asia/Tokyo', 'Europe/Paris')
    """
    fallback = _Shares(zones or {zone: 1.0})
    countries = {code: _Shares(shares) for code, shares in COUNTRY_ZONES.items()}
    own, country = clock or _zone_field(schema), _country_field(schema)
    positions = rng.random(len(contexts)).tolist()
    found = []
    for context, position in zip(contexts, positions, strict=True):
        named = context.get(own)
        code = str(context.get(country)).lower()
        found.append(named if isinstance(named, str) else countries.get(code, fallback).at(position))
    return tuple(found)


class _Shares:
    """Zones with their shares, to be drawn from by a position in [0, 1)."""

    def __init__(self, shares: Mapping[str, float]) -> None:
        for name, share in shares.items():
            zone_named(name)
            if not 0.0 <= share < math.inf:
                raise ImpossibleWorld(f"share of zone {name!r} is {share!r}: give a finite number of at least 0.")
        if not sum(shares.values()) > 0.0:
            raise ImpossibleWorld(f"zones are {dict(shares)!r}: nobody lives anywhere; give a zone a share above 0.")
        self._names = tuple(shares)
        self._cumulative = np.cumsum(list(shares.values())) / sum(shares.values())

    def at(self, position: float) -> str:
        """The zone at this position."""
        place = int(np.searchsorted(self._cumulative, position, side="right"))
        return self._names[min(place, len(self._names) - 1)]


def _zone_field(schema: Schema) -> str:
    """The name of the field that holds zones, or an empty text where there is none."""
    for item in _categories(schema, ZONE_FIELDS):
        if item.values and all(map(_is_zone, item.values)):
            return item.name
    return ""


def _country_field(schema: Schema) -> str:
    return next((item.name for item in _categories(schema, COUNTRY_FIELDS)), "")


def _categories(schema: Schema, names: Sequence[str]) -> list[CategoricalField]:
    return [
        item
        for item in schema.fields
        if isinstance(item, CategoricalField) and item.name in names and not item.protected
    ]


def _is_zone(name: str) -> bool:
    try:
        zone_named(name)
    except ImpossibleWorld:
        return False
    return True
