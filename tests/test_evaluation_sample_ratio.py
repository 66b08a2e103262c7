from itertools import product
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bandit.errors import InvalidSettings, UnusableLog
from evaluation import GroupRatio, arm_ratio_test, group_ratio_e_value
from evaluation.sample_ratio import fixed_ratio_test

SHARES = (0.9, 0.05, 0.05)


def random_log(rng, n, n_arms, eligible_share=0.7):
    """Softmax of random scores over random eligible arms, mixed with a floor of .1, and a draw from each row."""
    eligible = rng.random((n, n_arms)) < eligible_share
    eligible[np.arange(n), rng.integers(0, n_arms, n)] = True
    pmfs = np.where(eligible, np.exp(rng.normal(0, 1.5, (n, n_arms))), 0)
    pmfs = 0.9 * pmfs / pmfs.sum(axis=1, keepdims=True) + 0.1 * eligible / eligible.sum(axis=1, keepdims=True)
    return draw_from(rng, pmfs), pmfs


def draw_from(rng, pmfs):
    # Divided by the last sum, so that rounding cannot leave a position beyond it and draw an arm of probability 0.
    positions = pmfs.cumsum(axis=1) / pmfs.sum(axis=1, keepdims=True)
    return (positions <= rng.random((len(pmfs), 1))).sum(axis=1)


counts_of_groups = st.lists(st.integers(0, 10**6), min_size=2, max_size=6)


@given(counts=counts_of_groups, seed=st.integers(0, 1000), prior_weight=st.floats(0.5, 1000))
def test_e_value_is_the_likelihood_ratio_of_scipy(counts, seed, prior_weight):
    shares = np.random.default_rng(seed).dirichlet(np.full(len(counts), 5.0))
    answer = group_ratio_e_value(counts, shares, prior_weight=prior_weight)
    n = sum(counts)
    golden = stats.dirichlet_multinomial.logpmf(counts, prior_weight * shares, n)
    golden -= stats.multinomial.logpmf(counts, n, shares)
    if golden < 700:
        assert np.log(answer.e_value) == pytest.approx(golden, rel=1e-6, abs=1e-6)
    else:
        assert answer.e_value > 1e300


def test_e_value_averages_to_one_over_everything_that_a_correct_hash_can_do():
    n, shares = 7, (0.5, 0.3, 0.2)
    outcomes = [each for each in product(range(n + 1), repeat=3) if sum(each) == n]
    mean = sum(stats.multinomial.pmf(each, n, shares) * group_ratio_e_value(each, shares).e_value for each in outcomes)
    assert mean == pytest.approx(1, rel=1e-10)


@given(counts=counts_of_groups, seed=st.integers(0, 100))
def test_order_of_groups_does_not_matter(counts, seed):
    shares = np.full(len(counts), 1 / len(counts))
    order = np.random.default_rng(seed).permutation(len(counts))
    one, other = group_ratio_e_value(counts, shares), group_ratio_e_value(np.array(counts)[order], shares[order])
    assert one.e_value == pytest.approx(other.e_value, rel=1e-6)


def test_watching_a_correct_hash_twenty_times_rarely_alarms():
    n_runs, looks, rng = 500, 20, np.random.default_rng(1)
    steps = rng.multinomial(500, SHARES, size=(n_runs, looks)).cumsum(axis=1)
    alarms = sum(any(group_ratio_e_value(counts, SHARES).alarm for counts in run) for run in steps)
    # Never more than .05; an e-value leaves most of that unused (about .01).
    assert alarms <= stats.binom.ppf(0.999, n_runs, 0.05)


def test_a_control_group_that_loses_a_seventh_of_its_customers_is_found():
    n_runs, rng = 200, np.random.default_rng(2)
    counts = rng.multinomial(50_000, SHARES, size=n_runs)
    counts[:, 2] = rng.binomial(counts[:, 2], 6 / 7)
    alarms = sum(group_ratio_e_value(each, SHARES).alarm for each in counts)
    assert alarms >= stats.binom.ppf(0.001, n_runs, 0.9)


def test_no_customers_are_no_evidence():
    answer = group_ratio_e_value([0, 0, 0], SHARES)
    assert answer == GroupRatio(1.0, alarm=False, counts=(0, 0, 0), expected=(0.0, 0.0, 0.0))


def test_a_group_without_share_must_be_empty():
    assert not group_ratio_e_value([95, 0, 5], [0.95, 0, 0.05]).alarm
    impossible = group_ratio_e_value([95, 1, 5], [0.95, 0, 0.05])
    assert (impossible.e_value, impossible.alarm) == (inf, True)


def test_overwhelming_evidence_is_infinite_and_not_an_overflow():
    answer = group_ratio_e_value([10**6, 0], [0.5, 0.5])
    assert (answer.e_value, answer.alarm, answer.expected) == (inf, True, (500_000.0, 500_000.0))


def test_a_stricter_level_needs_more_evidence():
    e_value = group_ratio_e_value([900, 65, 35], SHARES).e_value
    assert e_value > 1
    assert group_ratio_e_value([900, 65, 35], SHARES, 1 - 1.01 / e_value).alarm
    assert not group_ratio_e_value([900, 65, 35], SHARES, 1 - 0.99 / e_value).alarm


def test_with_one_pmf_for_all_rows_it_is_the_ordinary_chi_squared_of_scipy():
    pmf, rng = np.array([0.5, 0.3, 0.15, 0.05]), np.random.default_rng(3)
    drawn = rng.choice(4, 600, p=pmf)
    answer = arm_ratio_test(drawn, np.tile(pmf, (600, 1)))
    golden = stats.chisquare(np.bincount(drawn, minlength=4), 600 * pmf)
    assert (answer.statistic, answer.p_value) == pytest.approx((golden.statistic, golden.pvalue), rel=1e-9)
    assert (answer.degrees_of_freedom, answer.n, answer.reason) == (3, 600, None)
    assert answer.expected == pytest.approx(600 * pmf)


@given(seed=st.integers(0, 10**6), n_arms=st.integers(2, 8))
def test_order_of_rows_and_arms_and_arms_nobody_may_get_do_not_matter(seed, n_arms):
    rng = np.random.default_rng(seed)
    drawn, pmfs = random_log(rng, 300, n_arms)
    rows, place = rng.permutation(300), rng.permutation(n_arms + 1)
    wider = np.column_stack([pmfs, np.zeros(300)])[rows]
    moved = np.empty_like(wider)
    moved[:, place] = wider
    one, other = arm_ratio_test(drawn, pmfs), arm_ratio_test(place[drawn[rows]], moved)
    assert one.statistic == pytest.approx(other.statistic, rel=1e-6)
    assert (one.degrees_of_freedom, sum(one.drawn)) == (other.degrees_of_freedom, sum(other.drawn))


@given(seed=st.integers(0, 10**6))
def test_rows_that_left_nothing_to_chance_change_nothing(seed):
    drawn, pmfs = random_log(np.random.default_rng(seed), 300, 4)
    certain = np.eye(4)[[0, 1, 1, 3] * 50]
    one = arm_ratio_test(drawn, pmfs)
    other = arm_ratio_test(np.append(drawn, certain.argmax(axis=1)), np.vstack([pmfs, certain]))
    assert one.statistic == pytest.approx(other.statistic, rel=1e-6)
    assert one.degrees_of_freedom == other.degrees_of_freedom


def test_arms_that_never_compete_cost_a_degree_of_freedom():
    drawn = [0, 1] * 50 + [2, 3] * 50
    pmfs = [[0.5, 0.5, 0, 0]] * 100 + [[0, 0, 0.5, 0.5]] * 100
    answer = arm_ratio_test(drawn, pmfs)
    assert (answer.degrees_of_freedom, answer.p_value) == (2, pytest.approx(1.0))


def test_rounding_of_a_csv_log_does_not_add_a_degree_of_freedom():
    drawn, pmfs = random_log(np.random.default_rng(5), 3000, 5)
    answer = arm_ratio_test(drawn, pmfs * (1 + 9e-7))
    assert answer.degrees_of_freedom == 4
    assert answer.p_value == pytest.approx(arm_ratio_test(drawn, pmfs).p_value, rel=1e-3)


def test_one_lucky_draw_of_a_hardly_possible_arm_is_no_fault():
    drawn = [0, 1] * 200 + [2]
    pmfs = [[0.5, 0.5, 0]] * 400 + [[0.4999, 0.4999, 0.0002]]
    answer = arm_ratio_test(drawn, pmfs)
    assert (answer.degrees_of_freedom, answer.drawn) == (1, (200, 200, 1))
    assert answer.p_value > 0.9


@pytest.mark.parametrize(
    ("drawn", "pmfs"),
    [([0] * 50, [[1.0]] * 50), ([1] * 50, [[0, 1.0, 0]] * 50), ([0, 1, 0] * 3, [[0.5, 0.5]] * 9)],
    ids=["one arm", "one eligible arm", "nine rows"],
)
def test_where_chance_decided_too_little_there_is_a_reason_instead_of_a_p_value(drawn, pmfs):
    answer = arm_ratio_test(drawn, pmfs)
    assert (answer.p_value, answer.statistic, answer.degrees_of_freedom) == (None, None, 0)
    assert "Wait for more sends, or raise the policy's floor" in answer.reason


@pytest.mark.parametrize(("n", "n_arms"), [(40, 2), (300, 24), (2000, 6)])
def test_an_honest_log_is_suspected_one_time_in_twenty(n, n_arms):
    n_runs = 400
    answers = [arm_ratio_test(*random_log(np.random.default_rng([run, n]), n, n_arms)) for run in range(n_runs)]
    assert all(answer.p_value is not None for answer in answers)
    suspected = sum(answer.p_value < 0.05 for answer in answers)
    low, high = stats.binom.ppf([0.001, 0.999], n_runs, 0.05)
    assert low <= suspected <= high


def test_sends_of_one_arm_that_never_reach_the_log_are_missed_from_it():
    n_runs, suspected = 100, 0
    for run in range(n_runs):
        rng = np.random.default_rng([run, 31])
        drawn, pmfs = random_log(rng, 8000, 4)
        kept = (drawn != 2) | (rng.random(8000) > 0.15)
        suspected += arm_ratio_test(drawn[kept], pmfs[kept]).p_value < 0.05
    assert suspected >= stats.binom.ppf(0.001, n_runs, 0.9)


@pytest.mark.parametrize(
    ("counts", "shares", "advice"),
    [
        ([1, 2], [0.5, 0.25, 0.25], "pass both in the same order"),
        ([1, -2], [0.5, 0.5], "count distinct customer keys by group"),
        ([1, 2.5], [0.5, 0.5], "count distinct customer keys by group"),
        ([1, np.nan], [0.5, 0.5], "count distinct customer keys by group"),
        ([1, 2], [0.5, 0.4], "pass the campaign's group shares"),
        ([1, 2], [1.5, -0.5], "pass the campaign's group shares"),
        ([1, 2], [np.nan, 0.5], "pass the campaign's group shares"),
    ],
)
def test_counts_or_shares_that_make_no_sense_are_refused_with_advice(counts, shares, advice):
    with pytest.raises(UnusableLog, match=advice):
        group_ratio_e_value(counts, shares)


def test_settings_out_of_range_are_refused_with_advice():
    with pytest.raises(InvalidSettings, match="leave it at 100"):
        group_ratio_e_value([1, 2], [0.5, 0.5], prior_weight=0)
    with pytest.raises(InvalidSettings, match=r"write 0\.95"):
        group_ratio_e_value([1, 2], [0.5, 0.5], 5)


def test_an_e_value_without_its_groups_cannot_be_made():
    with pytest.raises(UnusableLog, match="use group_ratio_e_value"):
        GroupRatio(float("nan"), alarm=False, counts=(1,), expected=(1.0,))


@pytest.mark.parametrize(
    ("drawn", "pmfs", "advice"),
    [
        ([], [], "pass one row a send, 0 for arms that were not eligible"),
        ([0], [0.5, 0.5], "pass one row a send"),
        ([0], [[0.5, 0.4]], r"row 0 is \[0\.5, 0\.4\] with sum 0\.9 .*drop rows that lack it"),
        ([0, 0], [[0.5, 0.5], [1.5, -0.5]], "row 1 is .* log the pmf that was sampled from"),
        ([0], [[np.nan, 1.0]], "log the pmf that was sampled from"),
        ([0, 1], [[0.5, 0.5]], "Pass the index of each drawn arm in the campaign's arm order"),
        ([0.0], [[0.5, 0.5]], "Pass the index of each drawn arm"),
        ([1], [[1.0, 0.0]], "row 0 drew arm 1.* gives no chance .*drop them all before evaluating"),
        ([2], [[0.5, 0.5]], "row 0 drew arm 2"),
        ([-1], [[0.5, 0.5]], "row 0 drew arm -1"),
    ],
)
def test_rows_that_cannot_be_audited_are_refused_with_advice(drawn, pmfs, advice):
    with pytest.raises(UnusableLog, match=advice):
        arm_ratio_test(drawn, pmfs)


def test_counts_of_a_fixed_split_are_tested_as_its_rows_would_be():
    shares, counts = np.array([0.5, 0.3, 0.2]), [530, 280, 190]
    answer = fixed_ratio_test(counts, shares)
    golden = stats.chisquare(counts, 1000 * shares)
    assert (answer.statistic, answer.p_value) == pytest.approx((golden.statistic, golden.pvalue), rel=1e-9)
    by_row = arm_ratio_test(np.repeat([0, 1, 2], counts), np.tile(shares, (1000, 1)))
    assert answer.p_value == pytest.approx(by_row.p_value, rel=1e-9)
    assert (answer.degrees_of_freedom, answer.n, answer.drawn) == (2, 1000, (530, 280, 190))


def test_a_fixed_split_with_hardly_a_send_says_nothing_and_one_without_its_shares_is_refused():
    assert fixed_ratio_test([2, 1], [0.5, 0.5]).p_value is None
    with pytest.raises(UnusableLog, match="one share an arm"):
        fixed_ratio_test([2, 1], [0.5, 0.3, 0.2])
