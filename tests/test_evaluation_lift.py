from math import inf

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize
from statsmodels.stats.proportion import test_proportions_2indep as pooled_score_test

from bandit.errors import EngineError, UnusableLog
from evaluation import GroupSums, lift, score_difference, score_ratio

rows = st.lists(st.tuples(st.floats(-10, 10), st.integers(0, 8)), min_size=4, max_size=40)
far_rows = st.lists(st.tuples(st.floats(2, 4), st.integers(0, 20)), min_size=8, max_size=30)


def group_of(pairs):
    rewards, customers = zip(*pairs, strict=True)
    return GroupSums.of(rewards, customers)


def rates(successes, n):
    rewards = np.zeros(n)
    rewards[:successes] = 1
    return GroupSums.of(rewards, np.arange(n))


def clustered_sends(rng, n_customers, mean=0.1):
    """One to twelve sends a customer; a customer's clicks come from a rate of their own, far apart between customers."""
    customers = np.repeat(np.arange(n_customers), rng.integers(1, 13, n_customers))
    rate = rng.beta(mean, 1 - mean, n_customers)
    return (rng.random(len(customers)) < rate[customers]).astype(float), customers


def test_one_click_a_customer_is_judged_by_the_score_method():
    answer = lift(rates(50, 1000), rates(30, 1000))
    counts = {"treated": 50, "n_treated": 1000, "control": 30, "n_control": 1000}
    assert answer.difference == score_difference(**counts)
    ratio = score_ratio(**counts)
    assert (answer.relative.ci_lower, answer.relative.ci_upper) == (ratio.ci_lower - 1, ratio.ci_upper - 1)
    assert answer.p_value == pooled_score_test(50, 1000, 30, 1000, method="score").pvalue
    assert (answer.value_treated, answer.value_control, answer.method, answer.reason) == (0.05, 0.03, "score", None)


def test_one_amount_a_customer_is_judged_by_welch_as_in_scipy():
    rng = np.random.default_rng(1)
    treated, control = rng.normal(1.2, 2, 60), rng.normal(1, 1, 25)
    answer = lift(GroupSums.of(treated, np.arange(60)), GroupSums.of(control, np.arange(25)), 0.9)
    golden = stats.ttest_ind(treated, control, equal_var=False)
    interval = golden.confidence_interval(0.9)
    assert answer.p_value == pytest.approx(golden.pvalue, rel=1e-10)
    assert (answer.difference.ci_lower, answer.difference.ci_upper) == pytest.approx(tuple(interval), rel=1e-10)


def test_variance_is_the_clustered_one_of_statsmodels():
    rewards, customers = clustered_sends(np.random.default_rng(2), 80)
    group = GroupSums.of(rewards, customers)
    fit = sm.OLS(rewards, np.ones(len(rewards))).fit(
        cov_type="cluster", cov_kwds={"groups": customers, "use_correction": False}
    )
    assert group.value == pytest.approx(fit.params[0])
    assert group.value_variance == pytest.approx(float(fit.cov_params()[0, 0]) * 80 / 79, rel=1e-10)


def test_sums_of_a_log_small_enough_to_do_by_hand():
    # ann: 1 + 0 of 2 sends, bob: 1 of 1. Value 2/3; residuals 1 - 4/3 and 1 - 2/3, squares 1/9 each.
    group = GroupSums.of([1.0, 0.0, 1.0], ["ann", "ann", "bob"])
    assert (group.n_sends, group.n_customers, group.reward_sum, group.is_rate) == (3, 2, 2.0, False)
    assert group.residual_squares == pytest.approx(2 / 9)
    assert group.value_variance == pytest.approx(2 / 1 * 2 / 9 / 9)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_relative_lift_ends_where_the_ratio_is_just_not_rejected(level):
    treated = GroupSums.of(*clustered_sends(np.random.default_rng(4), 90, mean=0.2))
    control = GroupSums.of(*clustered_sends(np.random.default_rng(5), 70, mean=0.3))
    answer = lift(treated, control, level)
    half = (answer.difference.ci_upper - answer.difference.ci_lower) / 2
    critical = half / np.sqrt(treated.value_variance + control.value_variance)
    for end in (answer.relative.ci_lower, answer.relative.ci_upper):
        gap = treated.value - (1 + end) * control.value
        error = np.sqrt(treated.value_variance + (1 + end) ** 2 * control.value_variance)
        assert abs(gap) == pytest.approx(critical * error, rel=1e-9)


@given(treated=far_rows, control=far_rows)
@settings(max_examples=60)
def test_relative_lift_never_contradicts_the_p_value(treated, control):
    one, other = group_of(treated), group_of(control)
    assume(min(one.n_customers, other.n_customers) > 1 and one.value_variance + other.value_variance > 1e-12)
    answer = lift(one, other)
    assume(answer.relative is not None and abs(answer.p_value - 0.05) > 1e-6)
    assert (answer.relative.ci_lower <= 0 <= answer.relative.ci_upper) == (answer.p_value > 0.05)
    assert (answer.difference.ci_lower <= 0 <= answer.difference.ci_upper) == (answer.p_value > 0.05)


@given(treated=rows, control=rows, factor=st.floats(0.1, 100))
def test_a_change_of_reward_unit_changes_the_difference_alone(treated, control, factor):
    one, other = group_of(treated), group_of(control)
    assume(min(one.n_customers, other.n_customers) > 1 and one.value_variance + other.value_variance > 1e-6)
    scaled = [group_of([(factor * reward, customer) for reward, customer in each]) for each in (treated, control)]
    assume(not (one.is_rate and other.is_rate))
    plain, other_unit = lift(one, other), lift(*scaled)
    assert other_unit.difference.ci_lower == pytest.approx(factor * plain.difference.ci_lower, rel=1e-6, abs=1e-9)
    assert other_unit.p_value == pytest.approx(plain.p_value, rel=1e-6, abs=1e-9)


@given(pairs=rows, seed=st.integers(0, 50))
def test_order_of_sends_and_names_of_customers_do_not_matter(pairs, seed):
    shuffled = [pairs[i] for i in np.random.default_rng(seed).permutation(len(pairs))]
    renamed = [(reward, f"customer {customer}") for reward, customer in shuffled]
    one, other = group_of(pairs), group_of(renamed)
    assert (one.n_sends, one.n_customers) == (other.n_sends, other.n_customers)
    assert one.residual_squares == pytest.approx(other.residual_squares, rel=1e-6, abs=1e-9)


@given(pairs=rows)
def test_swapping_the_groups_mirrors_the_difference(pairs):
    one = group_of(pairs)
    other = GroupSums.of([0.5, 2.0, -1.0], [1, 2, 3])
    assume(one.n_customers > 1)
    forth, back = lift(one, other), lift(other, one)
    assert forth.difference.ci_lower == pytest.approx(-back.difference.ci_upper)
    assert forth.p_value == pytest.approx(back.p_value)


def test_repeated_customers_do_not_cause_false_alarms_but_would_if_sends_were_taken_as_independent():
    n_runs = 200
    honest, naive = 0, 0
    for run in range(n_runs):
        rng = np.random.default_rng([run, 21])
        groups = [clustered_sends(rng, n_customers) for n_customers in (300, 150)]
        honest += lift(*(GroupSums.of(rewards, customers) for rewards, customers in groups)).p_value < 0.05
        naive += lift(*(GroupSums.of(rewards, np.arange(len(rewards))) for rewards, _ in groups)).p_value < 0.05
    assert honest <= stats.binom.ppf(0.999, n_runs, 0.05)
    assert naive > stats.binom.ppf(0.999, n_runs, 0.2)


def test_planned_power_is_reached_at_the_planned_size():
    # 4 % against 4.8 %, alpha .05, power .8: about 10,316 customers a group.
    effect = proportion_effectsize(0.048, 0.04)
    n = int(np.ceil(NormalIndPower().solve_power(effect_size=effect, alpha=0.05, power=0.8)))
    n_runs, rng = 200, np.random.default_rng(6)
    detected = 0
    for treated, control in rng.binomial(n, [0.048, 0.04], (n_runs, 2)):
        groups = (GroupSums(n, n, float(k), k * (1 - k / n), is_binary=True) for k in (treated, control))
        detected += lift(*groups).p_value < 0.05
    low, high = stats.binom.ppf([0.001, 0.999], n_runs, 0.8)
    assert low <= detected <= high


def test_nineteen_of_twenty_relative_lifts_hold_the_truth_with_skewed_rewards_and_repeated_customers():
    n_runs, covered = 300, 0
    for run in range(n_runs):
        rng = np.random.default_rng([run, 22])
        groups = []
        for mean, n_customers in ((0.2, 600), (0.16, 300)):
            clicks, customers = clustered_sends(rng, n_customers, mean)
            groups.append(GroupSums.of(clicks * rng.lognormal(0, 0.5, len(clicks)), customers))
        relative = lift(*groups).relative
        covered += relative.ci_lower <= 0.25 <= relative.ci_upper
    low, high = stats.binom.ppf([0.001, 0.999], n_runs, 0.95)
    assert low <= covered <= high


def test_negative_control_has_a_difference_and_a_reason_instead_of_a_relative_lift():
    answer = lift(GroupSums.of([0.2, 1, -1], [1, 2, 3]), GroupSums.of([-1, 0, 0.2], [4, 5, 6]))
    assert answer.relative is None
    assert answer.difference.estimate == pytest.approx(1 / 3)
    assert "not above 0. Read the difference." in answer.reason


def test_a_control_within_its_error_of_zero_gives_no_relative_lift():
    answer = lift(GroupSums.of([1.5, 1, 2], [1, 2, 3]), GroupSums.of([-1, 0, 1.2], [4, 5, 6]))
    assert answer.relative is None
    assert "wait for more control rewards" in answer.reason
    assert 0 < answer.p_value < 1


def test_no_click_in_control_keeps_the_difference_and_its_p_value():
    answer = lift(rates(5, 50), rates(0, 50))
    assert answer.relative is None
    assert answer.p_value == pytest.approx(0.02245, abs=1e-5)
    assert "control earned 0 per send" in answer.reason


def test_no_click_anywhere_has_an_interval_but_no_p_value():
    answer = lift(rates(0, 50), rates(0, 20))
    assert answer.p_value is None
    assert answer.difference.ci_lower < 0 < answer.difference.ci_upper
    assert "No p-value: all 70 rewards are 0. Wait until they differ." in answer.reason


def test_a_click_from_everybody_has_a_relative_lift_but_no_p_value():
    answer = lift(rates(50, 50), rates(20, 20))
    assert answer.p_value is None
    assert answer.relative.ci_lower < 0 < answer.relative.ci_upper
    assert "all 70 rewards are 1" in answer.reason


@pytest.mark.parametrize(
    ("treated", "control", "advice"),
    [
        (GroupSums.of([], []), rates(1, 5), "the treated group has 0 customer.* raise the share of the group"),
        (rates(1, 5), GroupSums.of([1, 0], ["ann", "ann"]), "the control group has 1 customer.* wait until more"),
        (
            GroupSums.of([0.1, 0.1, 0.1], [1, 2, 3]),
            GroupSums.of([0.3, 0.3], [4, 5]),
            "wait for rewards, or check that outcomes are joined",
        ),
    ],
)
def test_a_question_without_an_answer_is_refused_with_advice(treated, control, advice):
    with pytest.raises(UnusableLog, match=advice):
        lift(treated, control)


def test_customers_that_are_all_alike_have_no_variance_left_by_rounding():
    group = GroupSums.of([0.1, 0.2, 0.1, 0.2, 0.1, 0.2], [1, 1, 2, 2, 3, 3])
    assert group.residual_squares == 0


@pytest.mark.parametrize(
    ("rewards", "customers", "advice"),
    [
        ([1, np.nan], ["ann", "bob"], "drop rows that have not matured"),
        ([1, 0], ["ann"], "pass the customer_key column of the same rows"),
        ([1, 0], [["ann"], ["bob"]], "pass the customer_key column of the same rows"),
        ([1, 0], np.array(["ann", None], dtype=object), "None in row 1.* drop them and report how many"),
        ([1, 0], [np.nan, 3.0], "nan in row 0.* drop them and report how many"),
        ([1, 0], ["ann", ""], "'' in row 1.* drop them and report how many"),
    ],
)
def test_rows_that_cannot_be_summed_are_refused_with_advice(rewards, customers, advice):
    with pytest.raises(UnusableLog, match=advice):
        GroupSums.of(rewards, customers)


@pytest.mark.parametrize(
    "sums", [(1, 2, 0.0, 0.0), (2, 0, 1.0, 0.0), (2, 2, inf, 0.0), (2, 2, 1.0, -0.1), (-1, -1, 0.0, 0.0)]
)
def test_sums_that_no_log_has_cannot_be_made(sums):
    with pytest.raises(UnusableLog, match=r"Make it with GroupSums\.of"):
        GroupSums(*sums, is_binary=False)


def test_a_percentage_as_level_is_refused_before_anything_is_computed():
    with pytest.raises(EngineError, match=r"write 0\.95"):
        lift(GroupSums.of([], []), GroupSums.of([], []), 95)
