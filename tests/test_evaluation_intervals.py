import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from bandit.errors import EngineError, InvalidSettings, UnusableLog
from evaluation import Interval, mean_interval, wilson
from evaluation.intervals import require_answer

rewards = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (1, 1), (4, 100), (17, 100_000), (2.5, 41.7)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_wilson_is_statsmodels_wilson(successes, n, level):
    answer = wilson(successes, n, level)
    golden = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    assert (answer.ci_lower, answer.ci_upper) == pytest.approx(golden, abs=1e-15)
    assert (answer.estimate, answer.n, answer.method) == (successes / n, n, "Wilson")


def test_wilson_agrees_with_the_formula_done_by_hand():
    # 1 of 4 at z = 2: centre (1 + 2) / (4 + 4) = .375, half width 2 sqrt(4 * .1875 + 1) / 8 = .3307
    answer = wilson(1, 4, float(stats.norm.cdf(2) * 2 - 1))
    assert (answer.ci_lower, answer.ci_upper) == pytest.approx((0.375 - 0.330719, 0.375 + 0.330719), abs=1e-6)


@given(n=st.integers(1, 10**7), share=st.floats(0, 1), level=st.floats(0.5, 0.999))
def test_wilson_stays_in_zero_one_and_holds_the_rate(n, share, level):
    answer = wilson(round(share * n), n, level)
    assert 0 <= answer.ci_lower <= answer.estimate <= answer.ci_upper <= 1
    assert answer.ci_lower < answer.ci_upper


@given(n=st.integers(1, 10**6), share=st.floats(0, 1))
def test_swapping_successes_and_failures_mirrors_wilson(n, share):
    successes = round(share * n)
    one, other = wilson(successes, n), wilson(n - successes, n)
    assert one.ci_lower == pytest.approx(1 - other.ci_upper, abs=1e-12)


@given(successes=st.integers(0, 50), failures=st.integers(0, 50), times=st.integers(2, 100))
def test_more_sends_at_the_same_rate_narrow_wilson(successes, failures, times):
    n = successes + failures + 1
    few, many = wilson(successes, n), wilson(successes * times, n * times)
    assert many.ci_upper - many.ci_lower < few.ci_upper - few.ci_lower


def test_rewards_of_zero_and_one_get_the_wilson_interval():
    assert mean_interval([1, 0, 0, 1, 0]) == wilson(2, 5)
    assert mean_interval(np.array([True, False])) == wilson(1, 2)


def test_other_rewards_get_the_t_interval_of_scipy():
    values = [0.2, 1.0, -1.0, 0.0, 0.2, 1.2]
    answer = mean_interval(values, 0.9)
    golden = stats.t.interval(0.9, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (answer.ci_lower, answer.ci_upper) == pytest.approx(golden, rel=1e-12)
    assert (answer.n, answer.method) == (6, "Student's t")


@given(values=rewards, factor=st.floats(0.01, 100), shift=st.floats(-100, 100))
def test_a_change_of_reward_unit_changes_the_interval_alike(values, factor, shift):
    plain = mean_interval([*values, 0.5])
    other = mean_interval([factor * value + shift for value in [*values, 0.5]])
    # Adding to a spread of 1e6 costs digits; 1e-8 of the largest reward is left after that.
    slack = 1e-8 * (factor * max(map(abs, [*values, 0.5])) + abs(shift))
    if other.method == plain.method:
        assert other.ci_lower == pytest.approx(factor * plain.ci_lower + shift, abs=slack)
        assert other.ci_upper == pytest.approx(factor * plain.ci_upper + shift, abs=slack)


@given(values=rewards, seed=st.integers(0, 100))
def test_the_order_of_rewards_does_not_matter(values, seed):
    shuffled = np.random.default_rng(seed).permutation(values)
    one, other = mean_interval(values), mean_interval(shuffled)
    assert other.ci_lower == pytest.approx(one.ci_lower, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    "draw",
    [lambda rng: rng.random(200) < 0.06, lambda rng: rng.normal(0.06, 1.0, 40)],
    ids=["clicks", "revenue"],
)
def test_nineteen_of_twenty_intervals_hold_the_truth(draw):
    n_runs, truth = 1000, 0.06
    answers = [mean_interval(draw(np.random.default_rng([run, 11]))) for run in range(n_runs)]
    covered = sum(answer.ci_lower <= truth <= answer.ci_upper for answer in answers)
    # Wilson at n = 200, p = .06 covers .951 exactly (its coverage saws between .93 and .97), t covers .95.
    low, high = stats.binom.ppf([0.001, 0.999], n_runs, 0.95)
    assert low <= covered <= high


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: wilson(0, 0), "count matured sends only"),
        (lambda: wilson(5, 4), "each send once"),
        (lambda: wilson(-1, 4), "between 0 and n successes"),
        (lambda: wilson(float("nan"), 4), "count matured sends only"),
        (lambda: wilson(1, float("inf")), "count matured sends only"),
        (lambda: mean_interval([]), "wait until the attribution window"),
        (lambda: mean_interval([[1.0]]), "have shape"),
        (lambda: mean_interval([0.3]), "wait until at least two sends have matured"),
        (lambda: mean_interval([0.1, np.nan]), "row 1 is nan .* drop rows that have not matured"),
        (lambda: mean_interval([np.inf, 1, np.inf]), r"row 0 is inf \(2 such rows\)"),
    ],
)
def test_a_refusal_says_what_to_do(call, advice):
    with pytest.raises(UnusableLog, match=advice):
        call()


@pytest.mark.parametrize("level", [0, 1, 95, float("nan")])
def test_a_level_in_percent_is_refused_with_the_right_spelling(level):
    with pytest.raises(InvalidSettings, match=r"write 0\.95 for 95 percent"):
        mean_interval([0.0, 0.5], level)


@pytest.mark.parametrize("ends", [(0.6, 0.7), (0.2, 0.4), (float("nan"), 0.7)])
def test_an_interval_that_misses_its_estimate_cannot_be_made(ends):
    with pytest.raises(EngineError, match="report this as a bug"):
        Interval(0.5, *ends, 10, "made up")


@pytest.mark.parametrize(("p_value", "reason"), [(None, None), (0.5, "too few"), (1.5, None), (float("nan"), None)])
def test_a_test_result_is_a_p_value_or_a_reason_and_never_both(p_value, reason):
    with pytest.raises(EngineError, match="says why it cannot"):
        require_answer(p_value, reason)
