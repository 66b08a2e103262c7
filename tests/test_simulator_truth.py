"""Exact values: uniform closes nothing of the gap, the best choice all of it, and every other policy its share."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.referral_contest import ReferralContest
from simulator.truth import gap, value_of, value_of_choices
from simulator.world import ImpossibleWorld, World

WORLD: World = ReferralContest(
    0, n_customers=40, dimensions={"subject": ("plain", "champion", "dominate"), "cta": ("join", "claim-spot")}
)
ARRIVALS = list(WORLD.arrivals(90))
UNIFORM = np.full(6, 1 / 6)


def pmf_of(arrival):
    """Depends on the customer, and on the time, as a policy that learns would."""
    raw = 1.0 + np.arange(6) * (arrival.at.second + 1) + (arrival.context["device"] == "mobile")
    return raw / raw.sum()


def test_the_value_of_a_policy_equals_its_brute_force_mean():
    expected = [
        sum(p * WORLD.expected_reward(a.context, c) for p, c in zip(pmf_of(a), WORLD.choices, strict=True))
        for a in ARRIVALS
    ]
    truth = value_of(WORLD, ARRIVALS, pmf_of)
    np.testing.assert_allclose(truth.values, expected, rtol=1e-12)
    assert truth.value == pytest.approx(np.mean(expected))
    np.testing.assert_allclose(truth.uniform, [WORLD.uniform_value(a.context) for a in ARRIVALS])
    np.testing.assert_allclose(truth.best, [WORLD.best_choice(a.context)[1] for a in ARRIVALS])


def test_a_uniform_policy_closes_none_of_the_gap():
    truth = value_of(WORLD, ARRIVALS, lambda _: UNIFORM)
    assert truth.gap == pytest.approx(0.0, abs=1e-12)
    assert truth.regret == pytest.approx(np.mean(truth.best - truth.uniform))


def test_the_best_choices_close_all_of_it_without_regret():
    truth = value_of_choices(WORLD, ARRIVALS, [WORLD.best_choice(a.context)[0] for a in ARRIVALS])
    assert truth.gap == pytest.approx(1.0)
    assert truth.regret == pytest.approx(0.0, abs=1e-15)


def test_choices_made_are_worth_what_a_policy_sure_of_them_is():
    made = [WORLD.choices.at(i % 6) for i in range(len(ARRIVALS))]
    sure = {arrival.at: np.eye(6)[i % 6] for i, arrival in enumerate(ARRIVALS)}
    by_pmf = value_of(WORLD, ARRIVALS, lambda arrival: sure[arrival.at])
    np.testing.assert_allclose(value_of_choices(WORLD, ARRIVALS, made).values, by_pmf.values, rtol=1e-12)


def test_independent_dimensions_multiply_in_the_order_of_the_choices():
    subject, cta = np.array([0.0, 1.0, 0.0]), np.array([0.25, 0.75])
    joint = functools.reduce(np.multiply.outer, [subject, cta]).ravel()
    truth = value_of(WORLD, ARRIVALS[:1], lambda _: joint)
    context = ARRIVALS[0].context
    expected = sum(
        p * WORLD.expected_reward(context, {"subject": "champion", "cta": arm})
        for p, arm in zip(cta, ("join", "claim-spot"), strict=True)
    )
    assert truth.value == pytest.approx(expected)


def test_no_policy_beats_the_best_choice():
    truth = value_of(WORLD, ARRIVALS, pmf_of)
    assert (truth.values <= truth.best).all()
    assert truth.regret > 0.0


@given(st.floats(0.0, 1.0), st.floats(-10, 10), st.floats(0.1, 10))
def test_the_gap_is_the_share_of_the_way_whatever_the_unit(share, shift, scale):
    low, high = np.array([1.0, 2.0]), np.array([3.0, 7.0])
    between = low + share * (high - low)
    assert gap(*(shift + scale * part for part in (between, low, high))) == pytest.approx(share, abs=1e-9)


def test_there_is_no_gap_where_all_choices_are_equal():
    with pytest.raises(ImpossibleWorld, match="Use a world with effects"):
        gap([1.0], [1.0], [1.0])


def test_there_is_no_gap_without_decisions():
    with pytest.raises(ImpossibleWorld, match="at least one"):
        gap([], [], [])


@pytest.mark.parametrize(
    "pmf", [np.full(5, 0.2), np.full(6, 0.2), np.array([1.5, -0.5, 0, 0, 0, 0]), np.full(6, np.nan), np.array([])]
)
def test_a_pmf_that_is_not_a_distribution_over_the_choices_is_refused(pmf):
    with pytest.raises(ImpossibleWorld, match="sum to 1"):
        value_of(WORLD, ARRIVALS, lambda _: pmf)


def test_a_choice_for_every_arrival_is_needed():
    with pytest.raises(ImpossibleWorld, match="the choice of each"):
        value_of_choices(WORLD, ARRIVALS, [WORLD.choices.at(0)])
