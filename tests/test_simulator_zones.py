"""Where customers live: the zone they name, then their country's, then the shares, and nobody's protected field."""

from __future__ import annotations

from collections import Counter
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from bandit.schema import CategoricalField, Schema
from simulator.world import ImpossibleWorld
from simulator.zones import COUNTRY_ZONES, home_zones

COUNTRY = CategoricalField("country", ("us", "gb", "de", "in", "br", "jp", "au", "atlantis"))
ZONE = CategoricalField("timezone", ("Asia/Tokyo", "Europe/Paris"))


def homes(fields, contexts, seed=0, **arguments):
    return home_zones(Schema(fields), contexts, np.random.default_rng(seed), **arguments)


def test_every_zone_of_every_country_exists_and_the_shares_sum_to_one():
    for country, zones in COUNTRY_ZONES.items():
        assert len(country) == 2
        assert all(ZoneInfo(zone).key == zone for zone in zones)
        assert sum(zones.values()) == pytest.approx(1.0)


def test_the_zone_a_customer_names_wins_over_the_country():
    people = [{"country": "us", "timezone": "Asia/Tokyo"}, {"country": "de", "timezone": None}]
    assert homes((COUNTRY, ZONE), people) == ("Asia/Tokyo", "Europe/Berlin")


@pytest.mark.parametrize("name", ["zone", "timezone", "time_zone"])
def test_a_field_of_zones_is_known_by_each_of_its_names(name):
    field = CategoricalField(name, ("Asia/Tokyo", "Europe/Paris"))
    assert homes((field,), [{name: "Asia/Tokyo"}, {name: None}], zone="UTC") == ("Asia/Tokyo", "UTC")


def test_the_field_by_which_the_campaigns_clocks_go_wins_even_where_it_is_protected():
    clock = CategoricalField("lives_in", (), protected=True)
    people = [
        {"country": "us", "timezone": "Asia/Tokyo", "lives_in": "Africa/Cairo"},
        {"country": "de", "lives_in": None},
    ]
    assert homes((COUNTRY, ZONE, clock), people, clock="lives_in") == ("Africa/Cairo", "Europe/Berlin")
    assert homes((COUNTRY, ZONE, clock), people)[0] == "Asia/Tokyo"


def test_a_country_wins_over_the_shares_and_the_shares_over_the_zone():
    people = [{"country": "in"}, {"country": "atlantis"}, {"country": None}, {}]
    zones = homes((COUNTRY,), people, zones={"Africa/Cairo": 2.0}, zone="Asia/Dubai")
    assert zones == ("Asia/Kolkata", "Africa/Cairo", "Africa/Cairo", "Africa/Cairo")
    assert homes((COUNTRY,), people, zone="Asia/Dubai")[1:] == ("Asia/Dubai",) * 3


def test_country_codes_are_read_in_capitals_too():
    assert homes((CategoricalField("country_code", ("DE", "JP")),), [{"country_code": "JP"}]) == ("Asia/Tokyo",)


@pytest.mark.parametrize("country", ["us", "br", "au"])
def test_a_wide_country_is_spread_over_its_zones_by_their_shares(country):
    n = 4_000
    counts = Counter(homes((COUNTRY,), [{"country": country}] * n))
    for zone, share in COUNTRY_ZONES[country].items():
        assert abs(counts[zone] - n * share) < 4.5 * np.sqrt(n * share)
    assert set(counts) <= set(COUNTRY_ZONES[country])


def test_shares_on_any_scale_are_kept_and_a_share_of_none_has_nobody():
    counts = Counter(homes((), [{}] * 4_000, zones={"Asia/Tokyo": 30.0, "Europe/Rome": 0.0, "Europe/Oslo": 10.0}))
    assert abs(counts["Asia/Tokyo"] - 3_000) < 4.5 * np.sqrt(750)
    assert set(counts) == {"Asia/Tokyo", "Europe/Oslo"}


def test_what_is_known_of_one_customer_never_moves_another():
    people = [{"country": "us"}] * 50
    others = [{"country": "de"} if i % 2 else person for i, person in enumerate(people)]
    assert homes((COUNTRY,), people)[::2] == homes((COUNTRY,), others)[::2]


def test_protected_fields_and_names_that_are_no_zones_are_not_looked_at():
    protected = CategoricalField("country", ("de",), protected=True)
    loose = CategoricalField("timezone", ("Europe/Paris", "morning person"))
    people = [{"country": "de", "timezone": "Europe/Paris"}]
    assert homes((protected, loose), people, zone="Asia/Dubai") == ("Asia/Dubai",)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"zone": "+01:00"}, "never an offset"),
        ({"zones": {"Nowhere": 1.0}}, "'Europe/Berlin'"),
        ({"zones": {"Asia/Tokyo": -1.0}}, "at least 0"),
        ({"zones": {"Asia/Tokyo": float("nan")}}, "at least 0"),
        ({"zones": {"Asia/Tokyo": 0.0}}, "a share above 0"),
    ],
)
def test_homes_that_do_not_exist_are_refused_with_advice(arguments, advice):
    with pytest.raises(ImpossibleWorld, match=advice):
        homes((), [{}], **arguments)
