import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.duration.survfunc import survdiff

from bandit.errors import InvalidSettings, UnusableLog
from evaluation.time_to_conversion import time_to_conversion


def campaign(rng, n, rates, watched=3.0):
    """Exponential times by arm, watched for a while; arms a, b, ..."""
    arms = rng.integers(len(rates), size=n)
    times = rng.exponential(1 / np.array(rates)[arms])
    return np.array(list("abcd"))[arms], np.minimum(times, watched), (times <= watched).astype(int), np.arange(n)


def test_the_log_rank_test_and_its_curves_are_those_of_statsmodels():
    arms, times, events, customers = campaign(np.random.default_rng(1), 600, [0.5, 0.5, 0.8])
    answer = time_to_conversion(arms, times, events, customers)
    statistic, p_value = survdiff(times, events, arms)
    assert (answer.statistic, answer.degrees) == (pytest.approx(statistic), 2)
    assert answer.p_value == pytest.approx(p_value, rel=1e-6)
    for one in answer.arms:
        curve = sm.SurvfuncRight(times[arms == one.arm], events[arms == one.arm])
        assert one.time == curve.quantile(0.5)
        assert (one.ci_lower, one.ci_upper) == curve.quantile_ci(0.5)
        assert (one.n_customers, one.n_converted) == ((arms == one.arm).sum(), events[arms == one.arm].sum())


def test_log_rank_of_four_customers_worked_out_by_hand():
    # a converts at 1 and 2, b at 3 and is watched until 4. Expected of a: 2/4 at 1, 1/3 at 2, 0 at 3: 5/6.
    # Variance: 1/4 + 2/9 + 0 = 17/36. (2 - 5/6)^2 / (17/36) = (49/36) / (17/36).
    answer = time_to_conversion(list("aabb"), [1, 2, 3, 4], [1, 1, 1, 0], range(4))
    assert answer.statistic == pytest.approx(49 / 17)


def test_who_converts_late_is_seen_although_shares_converted_are_alike():
    rng = np.random.default_rng(2)
    soon, late = rng.uniform(0, 1, 200), rng.uniform(1, 2, 200)
    answer = time_to_conversion(np.repeat(["a", "b"], 200), np.r_[soon, late], np.ones(400), np.arange(400))
    assert answer.p_value < 1e-20
    assert answer.p_value == stats.chi2.sf(answer.statistic, 1)
    assert survdiff(np.r_[soon, late], np.ones(400), np.repeat([0, 1], 200))[1] == 0  # 1 - cdf has no digits left


def test_fewer_than_half_have_no_median_and_a_time_for_a_smaller_share():
    rows = campaign(np.random.default_rng(3), 3000, [0.02, 0.02])
    assert [(one.time, one.ci_lower, one.ci_upper) for one in time_to_conversion(*rows).arms] == [
        (None, None, None)
    ] * 2
    for one in time_to_conversion(*rows, share=0.02).arms:
        # 1 - exp(-.02 t) = .02 at t = 1.01.
        assert one.ci_lower <= one.time <= one.ci_upper
        assert one.time == pytest.approx(1.01, abs=0.5)


def test_the_end_of_the_log_leaves_an_upper_end_open():
    # Of six customers three convert, at 1, 2 and 3: the curve of those left ends at .5, too high to close the interval.
    times, events = [1, 2, 3, 4, 4, 4] * 2, [1, 1, 1, 0, 0, 0] * 2
    first, _ = time_to_conversion(["a"] * 6 + ["b"] * 6, times, events, range(12), share=0.4).arms
    assert (first.time, first.ci_lower, first.ci_upper) == (3, 1, None)


def test_false_alarms_are_as_many_as_promised():
    found = [time_to_conversion(*campaign(np.random.default_rng(seed), 200, [0.3, 0.3])).p_value for seed in range(150)]
    # Binomial: 150 logs at 5 %, 14 alarms at most with probability .99.
    assert sum(p < 0.05 for p in found) <= 14


@pytest.mark.parametrize(
    ("times", "events", "said"),
    [
        ([1, 2, 3, 4], [0, 0, 0, 0], "none of 4 customers converted"),
        ([1, 1, 2, 3], [0, 0, 1, 1], "at no conversion were customers of every arm still watched"),
        ([1, 1, 1, 1], [1, 1, 1, 1], "or all of them converted at once"),
    ],
)
def test_a_log_that_cannot_say_gives_a_reason(times, events, said):
    answer = time_to_conversion(list("aabb"), times, events, range(4))
    assert (answer.statistic, answer.p_value, answer.degrees) == (None, None, 0)
    assert said in answer.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"customers": [1, 1, 2, 3]}, "1 rows are of a customer who is there already"),
        ({"arms": list("aaaa")}, "every customer got the arm 'a'"),
        ({"durations": [1, -1, 2, 3]}, r"row 1: duration -1.0"),
        ({"durations": [1, 1, np.nan, 3]}, r"row 2: duration nan"),
        ({"converted": [1, 0, 2, 0]}, r"row 2: duration 3.0, converted 2.0"),
        ({"converted": [1, 0]}, "4 arms, 4 durations, 2 conversions and 4 customers"),
    ],
)
def test_rows_that_are_no_times_are_refused(change, said):
    rows = {"arms": list("aabb"), "durations": [1, 2, 3, 4], "converted": [1, 0, 1, 1], "customers": range(4)}
    with pytest.raises(UnusableLog, match=said):
        time_to_conversion(**(rows | change))


def test_a_share_outside_0_and_1_is_refused():
    with pytest.raises(InvalidSettings, match="share is 50"):
        time_to_conversion(list("ab"), [1, 2], [1, 1], range(2), share=50)
