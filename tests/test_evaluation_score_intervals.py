import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, score_test_proportions_2indep
from statsmodels.stats.proportion import test_proportions_2indep as pooled_score_test

from bandit.errors import UnusableLog
from evaluation import score_difference, score_ratio

Z = float(stats.norm.ppf(0.975))
sends = st.integers(1, 10**6)
shares = st.floats(0, 1)


def table(treated, n_treated, control, n_control):
    return {"treated": treated, "n_treated": n_treated, "control": control, "n_control": n_control}


def log_likelihood(successes, n, rate):
    return stats.binom.logpmf(successes, n, np.clip(rate, 0, 1))


def z_by_brute_force(counts, gap):
    """The score statistic at a gap, its constrained rates found by trying ever finer grids instead of by a root."""
    treated, n_treated, control, n_control = counts
    low, high = max(0, -gap), min(1, 1 - gap)
    for _ in range(4):
        rates = np.linspace(low, high, 20_001)
        fit = log_likelihood(treated, n_treated, rates + gap) + log_likelihood(control, n_control, rates)
        best, step = rates[np.argmax(fit)], rates[1] - rates[0]
        low, high = max(low, best - 20 * step), min(high, best + 20 * step)
    variance = (best + gap) * (1 - best - gap) / n_treated + best * (1 - best) / n_control
    n = n_treated + n_control
    return (treated / n_treated - control / n_control - gap) / np.sqrt(variance * n / (n - 1))


@pytest.mark.parametrize(
    ("counts", "golden"),
    [
        # Newcombe (1998), Statistics in Medicine 17, table II, method 6 (Miettinen-Nurminen), four digits printed.
        ((56, 70, 48, 80), (0.0528, 0.3382)),
        ((9, 10, 3, 10), (0.1700, 0.8406)),
        ((5, 56, 0, 29), (-0.0326, 0.1933)),
        # R, PropCIs::diffscoreci(7, 34, 1, 34, 0.95), as quoted by statsmodels' own tests.
        ((7, 34, 1, 34), (0.0270416, 0.3452912)),
    ],
)
def test_difference_is_the_published_interval(counts, golden):
    answer = score_difference(**table(*counts))
    assert (answer.ci_lower, answer.ci_upper) == pytest.approx(golden, abs=6e-5 if counts[1] != 34 else 1e-7)


@pytest.mark.parametrize("counts", [(50, 1000, 30, 1000), (3, 40, 9, 25), (10, 100_000, 2, 1000), (0, 30, 4, 50)])
def test_difference_ends_where_the_brute_force_statistic_reaches_its_critical_value(counts):
    answer = score_difference(**table(*counts))
    assert z_by_brute_force(counts, answer.ci_lower) == pytest.approx(Z, abs=1e-4)
    assert z_by_brute_force(counts, answer.ci_upper) == pytest.approx(-Z, abs=1e-4)


@pytest.mark.parametrize("counts", [(50, 1000, 30, 1000), (3, 40, 9, 25), (10, 100_000, 2, 1000), (700, 2000, 1, 30)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_ratio_is_statsmodels_ratio(counts, level):
    answer = score_ratio(**table(*counts), confidence_level=level)
    golden = confint_proportions_2indep(*counts, method="score", compare="ratio", alpha=1 - level)
    assert (answer.ci_lower, answer.ci_upper) == pytest.approx(golden, rel=1e-6)


@given(n_treated=sends, n_control=sends, treated=st.floats(0, 0.9), control=st.floats(0, 0.9))
@settings(max_examples=50, deadline=None)
def test_ratio_ends_where_the_test_of_statsmodels_starts_to_reject(n_treated, n_control, treated, control):
    counts = (round(treated * n_treated), n_treated, round(control * n_control), n_control)
    assume(0 < counts[0] < n_treated and 0 < counts[2] < n_control)
    answer = score_ratio(**table(*counts))
    for end in (answer.ci_lower, answer.ci_upper):
        p_value = score_test_proportions_2indep(*counts, value=end, compare="ratio", return_results=False)[1]
        assert p_value == pytest.approx(0.05, abs=1e-4)


@given(n_treated=sends, n_control=sends, treated=shares, control=shares)
@settings(max_examples=60, deadline=None)
def test_intervals_leave_out_no_difference_exactly_when_the_score_test_rejects(n_treated, n_control, treated, control):
    counts = (round(treated * n_treated), n_treated, round(control * n_control), n_control)
    assume(0 < counts[0] + counts[2] < n_treated + n_control and counts[2] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):  # of odds that statsmodels computes along the way
        p_value = pooled_score_test(*counts, method="score").pvalue
    assume(abs(p_value - 0.05) > 1e-6)
    difference, ratio = score_difference(**table(*counts)), score_ratio(**table(*counts))
    assert (difference.ci_lower <= 0 <= difference.ci_upper) == (p_value > 0.05)
    assert (ratio.ci_lower <= 1 <= ratio.ci_upper) == (p_value > 0.05)


@given(n_treated=sends, n_control=sends, treated=shares, control=shares)
@settings(max_examples=60, deadline=None)
def test_difference_has_width_stays_possible_and_mirrors_when_groups_swap(n_treated, n_control, treated, control):
    counts = (round(treated * n_treated), n_treated, round(control * n_control), n_control)
    answer = score_difference(**table(*counts))
    swapped = score_difference(**table(*counts[2:], *counts[:2]))
    assert -1 <= answer.ci_lower < answer.ci_upper <= 1
    assert answer.ci_lower == pytest.approx(-swapped.ci_upper, rel=1e-6, abs=1e-12)


@given(n_treated=sends, n_control=sends, treated=shares, control=shares)
@settings(max_examples=60, deadline=None)
def test_ratio_turns_over_when_groups_swap(n_treated, n_control, treated, control):
    counts = (round(treated * n_treated), n_treated, round(control * n_control), n_control)
    assume(counts[0] > 0 and counts[2] > 0)
    answer, swapped = score_ratio(**table(*counts)), score_ratio(**table(*counts[2:], *counts[:2]))
    assert answer.ci_lower == pytest.approx(1 / swapped.ci_upper, rel=1e-6)


def test_no_success_in_either_group_still_bounds_the_difference():
    # Newcombe (1998), table II, row 0/10 - 0/20: [-.1658, .2844]; statsmodels raises a ValueError here.
    answer = score_difference(**table(0, 10, 0, 20))
    assert (answer.ci_lower, answer.ci_upper) == pytest.approx((-0.1658, 0.2844), abs=6e-5)


def test_nineteen_of_twenty_differences_hold_the_truth_at_rates_of_email():
    n_runs, rng = 400, np.random.default_rng(3)
    treated, control = rng.binomial(4000, 0.01, n_runs), rng.binomial(1000, 0.008, n_runs)
    covered = 0
    for one, other in zip(treated.tolist(), control.tolist(), strict=True):
        answer = score_difference(**table(one, 4000, other, 1000))
        covered += answer.ci_lower <= 0.002 <= answer.ci_upper
    low, high = stats.binom.ppf([0.001, 0.999], n_runs, 0.95)
    assert low <= covered <= high


def test_a_ratio_to_no_success_is_refused_with_a_way_out():
    with pytest.raises(UnusableLog, match="wait for the first control reward, or read the difference"):
        score_ratio(**table(3, 10, 0, 10))


@pytest.mark.parametrize("counts", [(1, 0, 1, 5), (1, 5, 6, 5), (-1, 5, 1, 5)])
def test_counts_that_do_not_fit_are_refused(counts):
    with pytest.raises(UnusableLog, match="count matured sends only, and each send once"):
        score_difference(**table(*counts))
