"""Scanners: who is scanned, what they report, and that truth never hears of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.schema import CategoricalField, Schema
from simulator.customers import Customers, drawn_customers
from simulator.funnel import Funnel
from simulator.machines import Scanners
from simulator.world import ImpossibleWorld

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
FUNNEL = Funnel.of({"open": 0.0, "click": 1.0, "conversion": 5.0, "unsubscribe": -1.0})
inside = st.floats(0.0, 1.0, exclude_min=True, exclude_max=True)


def scanned(scanners, schema, customers, seed=0):
    return scanners.scanned(np.random.default_rng(seed), schema, customers)


@given(numbers=st.tuples(inside, inside, inside), open_=st.floats(0.0, 1.0), click=st.floats(0.0, 1.0))
def test_machines_open_and_click_and_never_do_anything_else(numbers, open_, click):
    outcomes = Scanners(open=open_, click=click).outcomes(FUNNEL, NOON, numbers)
    assert [outcome.type for outcome in outcomes] in ([], ["open"], ["open", "click"])
    for outcome in outcomes:
        assert outcome.machine
        assert outcome.revenue == 0.0
        assert NOON <= outcome.at <= NOON + Scanners().within


def test_machines_click_as_often_as_they_are_said_to():
    numbers = np.random.default_rng(1).random((4000, 3))
    scanners = Scanners(open=0.8, click=0.5)
    types = [[o.type for o in scanners.outcomes(FUNNEL, NOON, row)] for row in numbers]
    # 4 standard errors of a share of 0.4 among 4,000: 0.031
    assert np.mean([t == ["open", "click"] for t in types]) == pytest.approx(0.4, abs=0.031)
    assert np.mean([t == [] for t in types]) == pytest.approx(0.2, abs=0.026)


def test_a_type_the_campaign_does_not_hear_of_is_not_reported():
    outcomes = Scanners(open=1.0, click=1.0).outcomes(Funnel.of({"click": 1.0}), NOON, (0.5, 0.5, 0.5))
    assert [outcome.type for outcome in outcomes] == ["click"]


@pytest.mark.parametrize("seed", range(5))
def test_hidden_domains_hold_about_the_share_of_the_customers_asked_for(seed):
    schema = Schema((CategoricalField("plan", ("free", "paid")),))
    customers = drawn_customers(schema, seed, 3000)
    assert scanned(Scanners(share=0.25), schema, customers, seed).mean() == pytest.approx(0.25, abs=0.02)
    assert not scanned(Scanners(share=0.0), schema, customers, seed).any()
    assert scanned(Scanners(share=1.0), schema, customers, seed).all()


def test_a_domain_that_is_known_is_scanned_for_everybody_or_for_nobody():
    schema = Schema((CategoricalField("email_domain", ("a.com", "b.com", "c.com", "d.com")),))
    customers = drawn_customers(schema, 3, 400)
    hit = scanned(Scanners(share=0.5), schema, customers)
    domains = np.array([str(context["email_domain"]) for context in customers.contexts])
    assert 0 < hit.sum() < 400
    for domain in set(domains):
        assert len(set(hit[domains == domain].tolist())) == 1


def test_nonsense_is_refused():
    for arguments in ({"share": 1.5}, {"open": -0.1}, {"click": float("nan")}, {"within": timedelta(0)}):
        with pytest.raises(ImpossibleWorld, match="probabilities in"):
            Scanners(**arguments)


def test_one_customer_is_enough():
    customers = Customers(("ann",), ({},), ("UTC",))
    assert scanned(Scanners(share=1.0), Schema(()), customers).tolist() == [True]
