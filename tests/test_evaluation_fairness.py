"""A gap between values is tested with customers as the units, and a small minority is not blamed for being small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bandit.errors import UnusableLog
from evaluation.fairness import arms_that_occur, demographic_parity, equal_opportunity
from evaluation.shares_by_value import LEAST_CUSTOMERS, shares_by_value


def pmfs_of(rng, n, n_arms=4, lean=0.0):
    weights = np.exp(rng.normal(size=(n, n_arms)) + lean * (np.arange(n_arms) == 0))
    return 0.9 * weights / weights.sum(axis=1, keepdims=True) + 0.1 / n_arms


def labels(rng, n, share=0.04):
    return np.where(rng.random(n) < share, "few", "many").tolist()


def test_two_values_are_compared_by_welch_with_the_larger_variance():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.3, 0.1, 60), rng.normal(0.35, 0.3, 40)
    answer = shares_by_value(np.concatenate([a, b]), np.ones(100), ["a"] * 60 + ["b"] * 40)
    both = np.concatenate([a, b])
    pooled = (both - both.mean()).var(ddof=1)
    spreads = [max(pooled, part.var(ddof=1)) / len(part) for part in (a, b)]
    t = (a.mean() - b.mean()) / sum(spreads) ** 0.5
    degrees = sum(spreads) ** 2 / (spreads[0] ** 2 / 59 + spreads[1] ** 2 / 39)
    assert spreads[1] == b.var(ddof=1) / 40 > pooled / 40
    assert answer.p_value == pytest.approx(2 * stats.t.sf(abs(t), degrees), rel=1e-6)
    assert [(one.value, one.share, one.n) for one in answer.shares] == [
        ("a", pytest.approx(a.mean()), 60),
        ("b", pytest.approx(b.mean()), 40),
    ]
    assert answer.gap == pytest.approx(abs(a.mean() - b.mean()))


def test_three_values_can_be_compared_and_a_small_one_is_left_out_by_name():
    rng = np.random.default_rng(2)
    numerators = np.concatenate([rng.uniform(0.0, 0.2, 90), rng.uniform(0.3, 0.5, 50), [9.0]])
    answer = shares_by_value(numerators[:-1], np.ones(140), ["a"] * 45 + ["b"] * 45 + ["c"] * 50)
    assert answer.p_value < 1e-10
    small = shares_by_value(numerators[:100], np.ones(100), ["a"] * 45 + ["b"] * 45 + ["c"] * 10)
    assert small.left_out == ("c (10)",)
    assert (small.n, small.least) == (90, LEAST_CUSTOMERS)


def test_more_customers_are_asked_for_where_few_of_them_decide():
    numerators = np.zeros(1000)
    numerators[::100] = 1.0
    answer = shares_by_value(numerators, np.ones(1000), ["few"] * 40 + ["many"] * 960)
    assert answer.p_value is None
    assert answer.least > 400
    assert f"at least {answer.least} customers" in answer.reason


@given(seed=st.integers(0, 1000), copies=st.integers(2, 6))
@settings(max_examples=20)
def test_more_sends_to_the_same_customers_are_no_new_evidence(seed, copies):
    rng = np.random.default_rng(seed)
    pmfs, values = pmfs_of(rng, 200), labels(rng, 200, 0.5)
    once = demographic_parity(pmfs, np.arange(200), values)
    again = demographic_parity(np.tile(pmfs, (copies, 1)), np.tile(np.arange(200), copies), values * copies)
    assert [one.p_value for one in again] == pytest.approx([one.p_value for one in once])


def test_one_pmf_for_all_is_fair_for_certain():
    tests = demographic_parity([[0.2, 0.5, 0.3]] * 120, np.arange(120), ["a", "b"] * 60)
    assert [(one.p_value, one.statistic) for one in tests] == [(1.0, 0.0)] * 3


def test_a_customer_counts_under_the_value_of_the_first_send():
    pmfs = [[0.5, 0.5]] * 120
    (first, _) = demographic_parity(pmfs, np.repeat(np.arange(60), 2), ["a", "z"] * 30 + ["b", "z"] * 30) or (
        None,
        None,
    )
    assert [(one.value, one.n) for one in first.shares] == [("a", 30), ("b", 30)]


def test_a_minority_of_four_percent_is_rarely_blamed_where_all_are_treated_alike():
    rng, n_runs, alarms, blamed = np.random.default_rng(3), 200, 0, 0
    for _ in range(n_runs):
        pmfs, values = pmfs_of(rng, 1500), labels(rng, 1500)
        alarms += demographic_parity(pmfs, np.arange(1500), values)[0].p_value < 0.05
        drawn = pmfs.cumsum(axis=1)[:, 0] > rng.random(1500)
        is_few = np.array(values) == "few"
        shares = drawn[is_few].mean(), drawn[~is_few].mean()
        blamed += min(shares) < 0.8 * max(shares)
    assert alarms <= stats.binom.ppf(0.999, n_runs, 0.05)
    # The four-fifths rule on draws, as a negative control.
    assert blamed > 0.1 * n_runs


def test_a_learner_that_leans_for_the_minority_is_found():
    rng = np.random.default_rng(4)
    values = labels(rng, 5000)
    pmfs = np.where(np.array(values)[:, None] == "few", pmfs_of(rng, 5000, lean=1.0), pmfs_of(rng, 5000))
    tests = demographic_parity(pmfs, np.arange(5000), values)
    assert tests[0].p_value < 1e-6
    few, many = tests[0].shares
    assert few.share > many.share + 0.1


def test_opportunity_by_hand():
    # Each value: half its responses at probability .8 and .2 for "a" (1 / 6.25), at .5 and .5 for "b" (1 / 2).
    propensities = np.array([0.8, 0.2] * 40 + [0.5, 0.5] * 40)
    answer = equal_opportunity(np.ones(160), propensities, np.arange(160), ["a"] * 80 + ["b"] * 80)
    assert [one.share for one in answer.shares] == pytest.approx([2 / 6.25, 0.5])
    assert answer.p_value < 1e-4


@given(n_arms=st.integers(2, 8), seed=st.integers(0, 100))
def test_even_pmfs_give_one_over_their_number_whoever_responds(n_arms, seed):
    rng = np.random.default_rng(seed)
    rewards, values = rng.random(400) < np.repeat([0.9, 0.3], 200), ["a"] * 200 + ["b"] * 200
    answer = equal_opportunity(rewards, np.full(400, 1 / n_arms), np.arange(400), values)
    assert answer.p_value == 1.0
    assert [one.share for one in answer.shares] == pytest.approx([1 / n_arms] * 2)


def responses(rng, n, chance):
    """n sends of two values: rewards with `chance(propensity, is_b)`, propensities, and values."""
    pmfs, is_b = pmfs_of(rng, n), np.repeat([False, True], n // 2)
    picks = (pmfs.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=3)
    sent = pmfs[np.arange(n), picks]
    truth = (pmfs**2).sum() / pmfs.sum()
    return rng.random(n) < chance(sent, is_b), sent, np.where(is_b, "b", "a").tolist(), truth


def test_values_that_respond_half_as_often_are_rarely_said_to_be_served_worse():
    rng, n_runs, alarms = np.random.default_rng(5), 100, 0
    for _ in range(n_runs):
        # Chances follow the learner's own opinion.
        rewards, sent, values, _ = responses(rng, 3000, lambda p, is_b: np.where(is_b, 0.3, 0.6) * p)
        alarms += equal_opportunity(rewards, sent, np.arange(3000), values).p_value < 0.05
    assert alarms <= stats.binom.ppf(0.999, n_runs, 0.05)


def test_shares_are_those_of_all_pairs_of_a_send_and_an_arm_that_it_would_respond_to():
    rewards, sent, values, truth = responses(
        np.random.default_rng(6), 60_000, lambda p, is_b: np.where(is_b, 0.3, 0.6) * p
    )
    answer = equal_opportunity(rewards, sent, np.arange(60_000), values)
    assert [one.share for one in answer.shares] == pytest.approx([truth, truth], rel=0.05)


def test_a_value_whose_wishes_the_learner_does_not_know_is_found():
    rewards, sent, values, truth = responses(
        np.random.default_rng(7), 12_000, lambda p, is_b: 0.5 * np.where(is_b, 0.25, p)
    )
    answer = equal_opportunity(rewards, sent, np.arange(12_000), values)
    assert answer.p_value < 1e-4
    assert [one.share for one in answer.shares] == pytest.approx([truth, 0.25], rel=0.1)


def test_without_responses_nothing_is_known():
    answer = equal_opportunity(np.zeros(50), np.full(50, 0.5), np.arange(50), ["a", "b"] * 25)
    assert answer.p_value is None
    assert "has responded" in answer.reason


def test_arms_nobody_may_get_do_not_occur():
    assert arms_that_occur(np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])) == [0, 1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: demographic_parity([0.5, 0.5], [1, 2], ["a", "b"]), "whole pmf"),
        (lambda: demographic_parity([[0.5, 0.5]], [1, 2], ["a"]), "one of each a send"),
        (lambda: equal_opportunity([1.0], [1.5], [1], ["a"]), "propensity"),
        (lambda: equal_opportunity([np.nan], [0.5], [1], ["a"]), "finite rewards"),
        (lambda: shares_by_value([0.5], [0.0], ["a"]), "denominators above 0"),
        (lambda: shares_by_value([np.nan, 1.0], [1.0, 1.0], ["a", "b"]), "finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, words):
    with pytest.raises(UnusableLog, match=words):
        call()
