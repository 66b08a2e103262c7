"""Tastes: probabilities of every choice, the bases that give them their rates, and what the random policy does."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.schema import BooleanField, CategoricalField, NumericField, Schema
from simulator.calibration import MOST_EXACT, base_of, calibrated
from simulator.customers import drawn_customers
from simulator.funnel import Funnel, Role
from simulator.random_policy import RandomPolicy
from simulator.tastes import MOST_CHOICES, TasteSizes, centred, draw_tastes, features_of, redrawn
from simulator.world import ChoiceGrid, ImpossibleWorld

SCHEMA = Schema(
    (
        CategoricalField("plan", ("free", "paid")),
        NumericField("age", 18, 98),
        BooleanField("member"),
        CategoricalField("gender", (), protected=True),
    )
)
FUNNEL = Funnel.of({"click": 0.2, "conversion": 1.0, "unsubscribe": -1.0})
GRID = ChoiceGrid({"subject": ("a", "b", "c"), "cta": ("x", "y"), "hour": ("u", "v")})


def drawn(seed=0, sizes=None, grid=GRID):
    return draw_tastes(np.random.default_rng(seed), grid, SCHEMA, FUNNEL, sizes or TasteSizes())


def by_hand(tastes, features, number):
    """Probability of each step for one customer and choice, summed up one effect after the other."""
    places = np.unravel_index(number, tastes.choices.shape)
    logits = tastes.base + features @ tastes.customer
    for first, place in zip(tastes.firsts, places, strict=True):
        logits = logits + tastes.arms[first + place] + features @ tastes.fit[:, first + place]
    for (d, e), table in tastes.pairs.items():
        logits = logits + table[places[d], places[e]]
    return 1.0 / (1.0 + np.exp(-logits))


@given(seed=st.integers(0, 50), size=st.floats(0.0, 5.0))
@settings(max_examples=20, deadline=None)
def test_the_grid_and_the_single_choice_are_the_logit_model(seed, size):
    tastes = drawn(seed, TasteSizes(size, size, size, size))
    features = np.random.default_rng(seed).normal(size=(3, len(SCHEMA.features)))
    rows = tastes.rows(features)
    grid = tastes.grid(rows)
    for customer, number in itertools.product(range(3), range(len(GRID))):
        np.testing.assert_allclose(grid[:, customer, number], by_hand(tastes, features[customer], number), rtol=1e-9)
    for number in range(len(GRID)):
        places = np.tile(np.unravel_index(number, GRID.shape), (3, 1))
        np.testing.assert_allclose(tastes.of_choices(rows, places), grid[:, :, number], rtol=1e-9)


def test_odds_beyond_what_a_float_holds_are_a_probability_of_0():
    tastes = drawn()
    rows = tastes.rows(np.zeros((1, len(SCHEMA.features))))
    rows[:, :, :-1] -= 300.0
    assert (tastes.grid(rows) == 0.0).all()


@given(kept=st.lists(st.sampled_from("abc"), min_size=1, unique=True))
@settings(max_examples=10)
def test_fewer_arms_in_any_order_keep_their_effects(kept):
    tastes, fewer = drawn(3), ChoiceGrid({**GRID.dimensions, "subject": kept})
    features = np.random.default_rng(1).normal(size=(2, len(SCHEMA.features)))
    whole, part = tastes.grid(tastes.rows(features)), tastes.only(fewer)
    columns = [GRID.index(choice) for choice in fewer]
    np.testing.assert_allclose(part.grid(part.rows(features)), whole[:, :, columns], rtol=1e-12)


@pytest.mark.parametrize(
    "dimensions",
    [
        {"subject": ("a", "new"), "cta": ("x",), "hour": ("u",)},
        {"subject": ("a",), "cta": ("x",)},
        {"subject": ("a",), "cta": ("x",), "hour": ("u",), "more": ("m",)},
    ],
)
def test_an_arm_without_tastes_is_refused(dimensions):
    with pytest.raises(ImpossibleWorld, match="has no true reward"):
        drawn().only(ChoiceGrid(dimensions))


def test_more_choices_than_truth_can_look_at_are_refused():
    arms = tuple(map(str, range(40)))
    with pytest.raises(ImpossibleWorld, match=f"{MOST_CHOICES} are the most"):
        drawn(grid=ChoiceGrid({"d": arms, "e": arms, "f": arms}))
    with pytest.raises(ImpossibleWorld, match="at least 0"):
        TasteSizes(arm=-0.1)


def test_numbers_stand_around_0_and_what_is_missing_has_a_feature_of_its_own():
    contexts = [{"plan": "paid", "age": 98, "member": False}, {"age": 38}, {}]
    assert SCHEMA.features == (
        "plan=free", "plan=paid", "plan?missing", "age#", "age?missing", "member=true", "member=false", "member?missing",
    )  # fmt: skip
    np.testing.assert_allclose(
        features_of(SCHEMA, contexts),
        [[0, 1, 0, 0.5, 0, 0, 1, 0], [0, 0, 1, -0.25, 0, 0, 0, 1], [0, 0, 1, 0, 1, 0, 0, 1]],
    )


def test_centred_arms_do_on_average_what_their_own_effect_says():
    features = features_of(SCHEMA, drawn_customers(SCHEMA, 0, 200).contexts)
    tastes = drawn(2)
    after = centred(tastes, features)
    mean = after.arms + np.tensordot(features, after.fit, axes=1).mean(axis=0)
    np.testing.assert_allclose(mean, tastes.arms, atol=1e-12)


def test_other_tastes_of_the_same_customers_keep_who_they_are():
    first = drawn(1)
    second = redrawn(np.random.default_rng(9), first, SCHEMA, FUNNEL, TasteSizes())
    np.testing.assert_array_equal(first.customer, second.customer)
    assert not np.allclose(first.arms, second.arms)


@pytest.fixture(scope="module")
def ruled(worlds):
    return worlds.campaign(
        dimension=[
            worlds.dimension("subject", "plain", "champion", {"id": "vip", "when": {"level": ["high"]}}),
            worlds.dimension("cta", "join", {"id": "win", "requires": {"subject": ["vip", "champion"]}}),
        ]
    )


def rates_under_the_random_policy(tastes, funnel, campaign, customers):
    """Mean rate of each step, with every pair of customer and choice."""
    pmf = RandomPolicy(campaign).pmf(customers.contexts) / customers.n
    grid = tastes.grid(tastes.rows(features_of(campaign.schema, customers.contexts)))
    return (funnel.marginals(grid) * pmf).sum(axis=(1, 2))


def test_the_random_policy_has_the_rates_asked_for(ruled):
    funnel = Funnel.of({"click": 1.0, "purchase": 2.0, "reply": 1.0}, {"click": 0.07, "open": 0.3, "purchase": 0.4})
    customers = drawn_customers(ruled.schema, 4, 300)
    features, rng = features_of(ruled.schema, customers.contexts), np.random.default_rng(4)
    choices = ChoiceGrid({d.name: d.ids for d in ruled.dimensions})
    sizes = TasteSizes(customer=1.0, arm=1.0, fit=1.0, pair=1.0)
    tastes = draw_tastes(rng, choices, ruled.schema, funnel, sizes)
    assert customers.n * len(choices) <= MOST_EXACT
    tastes = calibrated(rng, tastes, funnel, features, customers.contexts, RandomPolicy(ruled))
    found = rates_under_the_random_policy(tastes, funnel, ruled, customers)
    np.testing.assert_allclose(found, [0.3, 0.07, 0.07 * 0.4, 0.02], rtol=1e-9)
    assert [step.role for step in funnel.steps] == [Role.OPEN, Role.CLICK, Role.CONVERSION, Role.OTHER]


def test_with_many_customers_a_sample_meets_the_rates_nearly(ruled, monkeypatch):
    monkeypatch.setattr("simulator.calibration.MOST_EXACT", 100)
    customers = drawn_customers(ruled.schema, 4, 300)
    choices, rng = ChoiceGrid({d.name: d.ids for d in ruled.dimensions}), np.random.default_rng(4)
    tastes = draw_tastes(rng, choices, ruled.schema, FUNNEL, TasteSizes())
    features = features_of(ruled.schema, customers.contexts)
    tastes = calibrated(rng, tastes, FUNNEL, features, customers.contexts, RandomPolicy(ruled))
    found = rates_under_the_random_policy(tastes, FUNNEL, ruled, customers)
    np.testing.assert_allclose(found, [0.25, 0.04, 0.008, 0.003], rtol=5e-3)


@given(rate=st.floats(1e-5, 0.999), spread=st.floats(0.0, 20.0), seed=st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_any_rate_can_be_met_however_different_customers_are(rate, spread, seed):
    rng = np.random.default_rng(seed)
    logits, weights = rng.normal(0.0, spread, 200), rng.random(200)
    base = base_of(logits, weights, rate * weights.sum())
    with np.errstate(over="ignore"):
        met = float(weights @ (1.0 / (1.0 + np.exp(-logits - base)))) / weights.sum()
    assert met == pytest.approx(rate, rel=1e-7)


def test_the_random_policy_follows_the_rules(ruled):
    low, high = RandomPolicy(ruled).pmf([{"level": "low"}, {"level": "high"}])
    assert low.tolist() == [0.5, 0.0, 0.25, 0.25, 0.0, 0.0]
    np.testing.assert_allclose(high, [1 / 3, 0.0, 1 / 6, 1 / 6, 1 / 6, 1 / 6])


def test_rules_that_leave_nothing_are_named(worlds):
    keen = {"days": [0, 7]}
    dead_end = worlds.campaign(
        context={"days": {"kind": "numeric", "range": [0, 200]}},
        dimension=[
            worlds.dimension("subject", {"id": "plain", "when": keen}, "champion"),
            worlds.dimension("cta", {"id": "join", "when": keen}, {"id": "go", "requires": {"subject": ["plain"]}}),
        ],
    )
    RandomPolicy(dead_end).pmf([{"days": 3.0}])
    with pytest.raises(ImpossibleWorld, match=r"no whole choice for .*'days': 30.0"):
        RandomPolicy(dead_end).pmf([{"days": 30.0}])


def test_more_kinds_of_customers_than_are_remembered_are_no_trouble(worlds):
    many = worlds.campaign(
        context={"days": {"kind": "numeric", "range": [0, 200]}},
        dimension=[
            worlds.dimension("subject", "plain", *({"id": f"s{k}", "when": {"days": [k, 200]}} for k in range(1, 90)))
        ],
    )
    pmf = RandomPolicy(many).pmf([{"days": float(k)} for k in range(90)])
    np.testing.assert_allclose(pmf.sum(axis=1), 1.0)
    np.testing.assert_array_equal((pmf > 0.0).sum(axis=1), np.arange(1, 91))


def test_sizes_say_how_far_apart_the_best_and_the_random_choice_are():
    features = features_of(SCHEMA, drawn_customers(SCHEMA, 0, 100).contexts)
    gains = []
    for size in (0.0, 0.1, 0.4):
        tastes = replace(drawn(0, TasteSizes(0.3, size, size, size)), base=np.full(4, -3.0))
        clicks = tastes.grid(tastes.rows(features))[1]
        gains.append((clicks.max(axis=1) / clicks.mean(axis=1)).mean())
    assert gains[0] == pytest.approx(1.0)
    assert 1.0 < gains[1] < gains[2]
