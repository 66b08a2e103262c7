"""Customers hang together: attributes follow engagement, a few numbers are missing, ids never change."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.population import CATEGORIES, MISSING_FIELD, MISSING_SHARE, PROTECTED, RANGES, draw_population
from simulator.world import ImpossibleWorld

CUSTOMERS = draw_population(np.random.default_rng(0), 4_000)
LEVELS = CATEGORIES["engagement_level"]


def column(name, level=None):
    contexts = [c.context for c in CUSTOMERS if level is None or c.context["engagement_level"] == level]
    return [context[name] for context in contexts]


def test_every_customer_has_an_id_of_its_own_in_order():
    assert [c.customer_id for c in CUSTOMERS[:3]] == ["c000000", "c000001", "c000002"]
    assert len({c.customer_id for c in CUSTOMERS}) == len(CUSTOMERS)


@pytest.mark.parametrize("name", [*CATEGORIES, *PROTECTED])
def test_every_value_of_a_category_occurs_and_no_other(name):
    assert set(column(name)) == set({**CATEGORIES, **PROTECTED}[name])


@pytest.mark.parametrize("name", list(RANGES))
def test_numbers_are_floats_within_their_range(name):
    low, high = RANGES[name]
    numbers = [value for value in column(name) if value is not None]
    assert all(type(value) is float for value in numbers)
    assert low <= min(numbers) < max(numbers) <= high


def test_only_one_field_is_ever_missing_and_in_a_few_percent_of_customers():
    absent = {name: sum(value is None for value in column(name)) for name in CUSTOMERS[0].context}
    n, p = len(CUSTOMERS), MISSING_SHARE
    assert {name for name, count in absent.items() if count} == {MISSING_FIELD}
    assert abs(absent[MISSING_FIELD] - n * p) < 4 * np.sqrt(n * p * (1 - p))


def test_the_more_engaged_logged_in_more_recently_and_referred_more():
    login = [np.median(column("days_since_login", level)) for level in LEVELS]
    referrals = [np.mean(column("referrals_made", level)) for level in LEVELS]
    assert login == sorted(login, reverse=True)
    assert referrals == sorted(referrals)


def test_the_inactive_are_mostly_at_risk_and_power_users_hardly_ever():
    at_risk = [np.mean([stage == "at_risk" for stage in column("lifecycle_stage", level)]) for level in LEVELS]
    assert at_risk[0] > 0.5
    assert at_risk[-1] < 0.06


def test_new_customers_have_young_accounts():
    ages = [c.context["account_age_days"] for c in CUSTOMERS if c.context["lifecycle_stage"] == "new"]
    assert max(age for age in ages if age is not None) < 60


def test_the_same_generator_draws_the_same_customers():
    assert draw_population(np.random.default_rng(0), 4_000) == CUSTOMERS
    assert draw_population(np.random.default_rng(1), 4_000) != CUSTOMERS


def test_an_empty_population_is_refused():
    with pytest.raises(ImpossibleWorld, match="at least 1"):
        draw_population(np.random.default_rng(0), 0)
