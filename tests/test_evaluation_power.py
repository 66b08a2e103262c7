from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import zt_ind_solve_power
from statsmodels.stats.proportion import power_proportions_2indep, proportion_effectsize

from bandit.errors import InvalidSettings
from evaluation.power import COLLECTORS, Comparison, least_control_share, needed, settled_multiplier, smallest_lift

USUAL = Comparison(0.04)
UNEQUAL = Comparison(0.04, share_treated=0.85, share_control=0.1)


def seen(treated, control, n_treated, n_control, alpha=0.05):
    """Share of simulated campaigns in which the score test sees a difference."""
    pooled = (treated + control) / (n_treated + n_control)
    gap = treated / n_treated - control / n_control
    return np.mean(
        np.abs(gap) > stats.norm.isf(alpha / 2) * np.sqrt(pooled * (1 - pooled) * (1 / n_treated + 1 / n_control))
    )


comparisons = st.builds(
    lambda base, treated, split, k, sends, rho, multiplier, alpha, power: Comparison(
        base, treated * split, treated * (1 - split), k, sends, rho, multiplier, alpha, power
    ),
    st.floats(0.001, 0.5),
    st.floats(0.1, 1),
    st.floats(0.02, 0.98),
    st.integers(1, 20),
    st.floats(1, 20),
    st.floats(0, 1),
    st.floats(1, 8),
    st.floats(0.001, 0.2),
    st.floats(0.5, 0.99),
)


def test_four_percent_and_a_fifth_more_take_10316_an_arm():
    found = needed(USUAL, 0.2)
    assert (found.treated, found.control, found.customers, found.sends) == (10_316, 10_316, 20_632, 20_632)


@pytest.mark.parametrize("lift", [0.2, -0.2, 0.05])
def test_equal_groups_have_the_power_that_statsmodels_computes_for_them(lift):
    n = needed(USUAL, lift).treated
    assert power_proportions_2indep(0.04 * lift, 0.04, n).power == pytest.approx(0.8, abs=1e-3)


def test_cohens_h_agrees_where_groups_are_equal_and_not_where_they_are_not():
    size = proportion_effectsize(0.048, 0.04)
    assert needed(USUAL, 0.2).treated == pytest.approx(zt_ind_solve_power(size, alpha=0.05, power=0.8), rel=0.003)
    by_h = zt_ind_solve_power(size, alpha=0.05, power=0.8, ratio=0.1 / 0.85)
    assert needed(UNEQUAL, 0.2).treated == pytest.approx(by_h, rel=0.04)
    assert needed(UNEQUAL, 0.2).treated > 1.02 * by_h
    rng = np.random.default_rng(5)
    n_treated, n_control = round(by_h), round(by_h * 0.1 / 0.85)
    missed = seen(rng.binomial(n_treated, 0.048, 100_000), rng.binomial(n_control, 0.04, 100_000), n_treated, n_control)
    assert missed < 0.795


@pytest.mark.parametrize(
    ("comparison", "lift"),
    [(USUAL, 0.2), (UNEQUAL, 0.2), (UNEQUAL, -0.2), (replace(UNEQUAL, n_comparisons=3), 0.1),
     (Comparison(0.3, 0.2, 0.8, power=0.9), 0.1), (Comparison(0.005, 0.9, 0.1, alpha=0.01), 0.5)],
)  # fmt: skip
def test_the_score_test_sees_the_lift_as_often_as_was_promised(comparison, lift):
    found, rng = needed(comparison, lift), np.random.default_rng(6)
    treated = rng.binomial(found.treated, comparison.base * (1 + lift), 40_000)
    control = rng.binomial(found.control, comparison.base, 40_000)
    share = seen(treated, control, found.treated, found.control, comparison.alpha_each)
    # Monte-Carlo error .002; the normal approximation is allowed .01 more.
    assert share == pytest.approx(comparison.power, abs=0.016)


def test_customers_who_are_alike_in_their_own_sends_are_counted_as_fewer():
    # Five sends a customer, rates of customers beta distributed with correlation .1, seen by a test on customers' sums.
    comparison, rng = Comparison(0.1, sends_per_customer=5, correlation=0.1), np.random.default_rng(7)
    n = needed(comparison, 0.2).treated

    def sums(rate):
        own = rng.beta(rate * 9, (1 - rate) * 9, (3000, n))
        clicks = rng.binomial(5, own)
        return clicks.mean(axis=1), clicks.var(axis=1) / n

    (treated, of_treated), (control, of_control) = sums(0.12), sums(0.1)
    share = np.mean(np.abs(treated - control) > 1.96 * np.sqrt(of_treated + of_control))
    assert share == pytest.approx(0.8, abs=0.03)


def test_every_circumstance_counts_as_its_formula_says():
    plain = needed(USUAL, 0.2).customers
    assert needed(replace(USUAL, multiplier=7.5), 0.2).customers == pytest.approx(7.5 * plain, rel=1e-4)
    several = replace(USUAL, sends_per_customer=4, correlation=0.1)
    assert several.design_effect == pytest.approx(1.3)
    assert needed(several, 0.2).customers == pytest.approx(plain * 1.3 / 4, rel=1e-4)
    assert needed(several, 0.2).sends == pytest.approx(plain * 1.3, rel=1e-4)
    half = replace(USUAL, share_treated=0.25, share_control=0.25)
    assert needed(half, 0.2).customers == pytest.approx(2 * plain, rel=1e-4)
    assert needed(half, 0.2).treated == needed(USUAL, 0.2).treated
    assert needed(replace(USUAL, n_comparisons=5), 0.2) == needed(replace(USUAL, alpha=0.01), 0.2)


@settings(max_examples=50)
@given(comparisons, st.floats(0.02, 0.9))
def test_the_smallest_lift_of_the_list_that_is_needed_is_the_lift_asked_for(comparison, lift):
    customers = needed(comparison, lift).customers
    assume(customers > 10_000)
    assert smallest_lift(comparison, customers) == pytest.approx(lift, rel=1e-3)


@settings(max_examples=50)
@given(comparisons, st.floats(0.02, 0.9), st.floats(1.1, 3))
def test_a_larger_lift_a_longer_list_or_fewer_claims_never_make_it_harder(comparison, lift, more):
    assume(comparison.base * (1 + lift * more) < 1)
    assert needed(comparison, lift * more).customers <= needed(comparison, lift).customers
    claims = replace(comparison, n_comparisons=comparison.n_comparisons + 1)
    assert needed(claims, lift).customers >= needed(comparison, lift).customers
    short, long = smallest_lift(comparison, 50_000), smallest_lift(comparison, 50_000 * more)
    assert short is None or long < short


@pytest.mark.parametrize("random_share", [0.0, 0.05])
def test_the_least_control_share_just_shows_the_lift(random_share):
    comparison = Comparison(0.04, share_treated=0.99 - random_share, share_control=0.01)
    share = least_control_share(comparison, 0.1, 500_000)
    moved = replace(comparison, share_treated=1 - random_share - share, share_control=share)
    assert smallest_lift(moved, 500_000) == pytest.approx(0.1, rel=1e-4)
    assert 0.01 < share < (1 - random_share) / 2


def test_a_list_that_is_too_short_for_anything_shows_nothing():
    assert smallest_lift(USUAL, 2) is None
    assert least_control_share(USUAL, 0.2, 20_000) is None
    assert least_control_share(USUAL, 0.2, 20_700) == pytest.approx(0.47, abs=0.03)


def test_epsilon_greedy_costs_the_mean_over_pairs_of_its_two_propensities():
    # Four arms, epsilon .1: the leader has .925, the others .025; half of the six pairs hold the leader.
    with_leader, without = (1 / 0.925 + 1 / 0.025) / 8, (2 / 0.025) / 8
    assert COLLECTORS["epsilon-greedy"] == pytest.approx((with_leader + without) / 2, abs=0.1)
    assert COLLECTORS["uniform"] == 1


@pytest.mark.parametrize("least", [0.25, 0.1, 0.025])
def test_a_settled_learner_costs_what_weighed_differences_vary(least):
    rng = np.random.default_rng(8)
    pmf = np.array([1 - 3 * least, least, least, least])

    def variance(shares):
        drawn = rng.choice(4, size=400_000, p=shares)
        residual = (rng.random(400_000) < 0.3) - 0.3
        return np.var(residual * ((drawn == 0) / shares[0] - (drawn == 1) / shares[1]))

    assert settled_multiplier(4, least) == pytest.approx(variance(pmf) / variance(np.full(4, 0.25)), rel=0.03)


@pytest.mark.parametrize(("n_arms", "least"), [(1, 0.5), (4, 0.0), (4, 0.3), (4, nan)])
def test_a_settled_learner_that_cannot_be_is_refused(n_arms, least):
    with pytest.raises(InvalidSettings, match=r"n_arms is 1, need|least_propensity is .*, need a number above 0"):
        settled_multiplier(n_arms, least)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"base": 0.0}, "base is 0.0, need a rate between 0 and 1"),
        ({"base": 4.0}, "base is 4.0"),
        ({"base": nan}, "base is nan"),
        ({"share_control": 0.0}, "share_control is 0.0.*a group without customers shows nothing"),
        ({"share_treated": -0.1}, "share_treated is -0.1"),
        ({"share_treated": 0.6}, "share_treated . share_control is 1.1, need at most 1"),
        ({"n_comparisons": 0}, "n_comparisons is 0"),
        ({"sends_per_customer": 0.5}, "sends_per_customer is 0.5"),
        ({"sends_per_customer": inf}, "sends_per_customer is inf"),
        ({"correlation": 1.1}, "correlation is 1.1"),
        ({"multiplier": 0.9}, "multiplier is 0.9, need at least 1"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"alpha": 1.0}, "alpha is 1.0"),
        ({"power": 1.0}, "power is 1.0"),
        ({"power": 0.02}, "power is 0.02"),
    ],
)
def test_nonsense_is_refused_by_name_and_value(wrong, said):
    with pytest.raises(InvalidSettings, match=said):
        replace(USUAL, **wrong)


@pytest.mark.parametrize("lift", [0.0, 24.0, 30.0, -1.0, -1.5, nan, inf])
def test_a_lift_that_no_rate_can_have_is_refused(lift):
    with pytest.raises(InvalidSettings, match=r"lift .* on a base rate of 0.04 gives .* need a rate between 0 and 1"):
        needed(USUAL, lift)
    with pytest.raises(InvalidSettings, match="need a rate between 0 and 1"):
        least_control_share(USUAL, lift, 1000)


@pytest.mark.parametrize("n_customers", [0, -5, inf, nan])
def test_a_list_without_customers_is_refused(n_customers):
    with pytest.raises(InvalidSettings, match="n_customers is"):
        smallest_lift(USUAL, n_customers)
    with pytest.raises(InvalidSettings, match="n_customers is"):
        least_control_share(USUAL, 0.2, n_customers)
