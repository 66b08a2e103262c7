from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportions_ztest

from bandit.errors import EngineError, InvalidSettings, UnusableLog
from evaluation import CalibrationBin, InversePropensity, arm_ratio_test, calibration_test, inverse_propensity_test

FLOOR, N_ARMS = 0.1, 5


def softmax(scores, temperature=1.0, floor=FLOOR):
    odds = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    eligible = odds > 0
    return (1 - floor) * odds / odds.sum(axis=1, keepdims=True) + floor * eligible / eligible.sum(axis=1, keepdims=True)


def scores_of(rng, n, eligible_share=1.0):
    scores = rng.normal(0, 1.5, (n, N_ARMS))
    forbidden = rng.random((n, N_ARMS)) >= eligible_share
    forbidden[np.arange(n), rng.integers(0, N_ARMS, n)] = False
    return np.where(forbidden, -np.inf, scores)


def draw_from(rng, pmfs):
    # Divided by the last sum, so that rounding cannot leave a position beyond it and draw an arm of probability 0.
    positions = pmfs.cumsum(axis=1) / pmfs.sum(axis=1, keepdims=True)
    return (positions <= rng.random((len(pmfs), 1))).sum(axis=1)


def chosen(drawn, pmfs):
    return pmfs[np.arange(len(drawn)), drawn]


def honest_log(seed, n, eligible_share=0.7):
    rng = np.random.default_rng(seed)
    pmfs = softmax(scores_of(rng, n, eligible_share))
    return draw_from(rng, pmfs), pmfs


def wrong_floor(rng, n):
    """Logged with a floor of .1, drawn without any."""
    scores = scores_of(rng, n)
    return draw_from(rng, softmax(scores, floor=0.0)), softmax(scores)


def wrong_temperature(rng, n):
    """Drawn at temperature 1, logged at 1.05."""
    scores = scores_of(rng, n)
    return draw_from(rng, softmax(scores)), softmax(scores, temperature=1.05)


def stale_snapshot(rng, n):
    """Logged with the scores of the snapshot before."""
    scores = scores_of(rng, n)
    return draw_from(rng, softmax(scores)), softmax(scores + rng.normal(0, 0.5, scores.shape))


def lost_sends(rng, n):
    """Of one arm, 15 % of the rows never reached the log."""
    pmfs = softmax(scores_of(rng, n))
    drawn = draw_from(rng, pmfs)
    kept = (drawn != 2) | (rng.random(n) > 0.15)
    return drawn[kept], pmfs[kept]


def rates_of_suspicion(fault, n, n_runs):
    suspicions = np.zeros(3)
    for run in range(n_runs):
        drawn, pmfs = fault(np.random.default_rng([run, n]), n)
        answers = (
            inverse_propensity_test(chosen(drawn, pmfs), pmfs),
            calibration_test(drawn, pmfs),
            arm_ratio_test(drawn, pmfs),
        )
        suspicions += [answer.p_value < 0.05 for answer in answers]
    return dict(zip(("inverse", "calibration", "arm ratio"), suspicions, strict=True))


@pytest.mark.parametrize(
    ("fault", "n", "seen_by", "missed_by"),
    [
        (wrong_floor, 2000, ("inverse", "calibration"), ("arm ratio",)),
        (stale_snapshot, 2000, ("inverse", "calibration"), ("arm ratio",)),
        (wrong_temperature, 25_000, ("inverse", "calibration"), ("arm ratio",)),
        (lost_sends, 8000, ("arm ratio",), ("inverse", "calibration")),
    ],
)
def test_each_fault_is_seen_by_the_tests_that_are_meant_to_see_it_and_by_no_other(fault, n, seen_by, missed_by):
    n_runs = 40
    suspicions = rates_of_suspicion(fault, n, n_runs)
    for test in seen_by:
        assert suspicions[test] >= stats.binom.ppf(0.001, n_runs, 0.9), (test, suspicions)
    for test in missed_by:
        assert suspicions[test] <= stats.binom.ppf(0.999, n_runs, 0.05), (test, suspicions)


@pytest.mark.parametrize("n", [150, 1500])
def test_an_honest_log_is_suspected_one_time_in_twenty(n):
    n_runs = 400
    suspicions = rates_of_suspicion(honest_log, n, n_runs)
    low, high = stats.binom.ppf([0.001, 0.999], n_runs, 0.05)
    for test, count in suspicions.items():
        assert low <= count <= high, test


@given(p=st.floats(0.05, 0.95), share=st.floats(0, 1))
def test_with_one_pmf_of_two_arms_both_are_the_z_test_of_statsmodels(p, share):
    n = 400
    first = round(share * n)
    pmfs, drawn = np.tile([p, 1 - p], (n, 1)), np.repeat([0, 1], [first, n - first])
    z, p_value = proportions_ztest(first, n, p, prop_var=p)
    inverse, calibration = inverse_propensity_test(chosen(drawn, pmfs), pmfs), calibration_test(drawn, pmfs)
    if abs(p - 0.5) > 1e-3:
        sign = 1 if p < 0.5 else -1
        assert (inverse.statistic, inverse.p_value) == pytest.approx((sign * z, p_value), rel=1e-6, abs=1e-9)
        assert (calibration.statistic, calibration.p_value) == pytest.approx((z**2, p_value), rel=1e-6, abs=1e-9)
        assert calibration.degrees_of_freedom == 1


def test_z_is_the_formula_done_row_by_row():
    drawn, pmfs = honest_log(3, 300)
    excess, variance = 0.0, 0.0
    for arm, pmf in zip(drawn, pmfs, strict=True):
        eligible = pmf[pmf > 0]
        excess += 1 / pmf[arm] - len(eligible)
        variance += (1 / eligible).sum() - len(eligible) ** 2
    answer = inverse_propensity_test(chosen(drawn, pmfs), pmfs)
    assert answer.statistic == pytest.approx(excess / np.sqrt(variance), rel=1e-9)
    assert answer.p_value == pytest.approx(2 * stats.norm.sf(abs(answer.statistic)), rel=1e-9)
    assert (answer.n, answer.reason) == (int(((pmfs > 0).sum(axis=1) > 1).sum()), None)


def test_calibration_is_a_mahalanobis_distance_with_the_covariance_of_the_bins():
    drawn, pmfs = honest_log(4, 400, eligible_share=1.0)
    answer = calibration_test(drawn, pmfs, n_bins=3)
    uppers = [each.upper + 1e-12 for each in answer.bins]
    bins = [np.searchsorted(uppers, pmf) for pmf in pmfs]
    excess, covariance = np.zeros(3), np.zeros((3, 3))
    for arm, pmf, place in zip(drawn, pmfs, bins, strict=True):
        mass = np.array([pmf[(place == each) & (pmf > 0)].sum() for each in range(3)])
        excess += np.eye(3)[place[arm]] - mass
        covariance += np.diag(mass) - np.outer(mass, mass)
    assert answer.statistic == pytest.approx(excess @ np.linalg.pinv(covariance, rcond=1e-9) @ excess, rel=1e-9)
    assert answer.degrees_of_freedom == 2


@given(seed=st.integers(0, 10**6), n_bins=st.integers(2, 15))
def test_bins_hold_every_draw_and_all_probability_in_rising_order(seed, n_bins):
    drawn, pmfs = honest_log(seed, 200)
    by_chance = (pmfs > 0).sum(axis=1) > 1
    bins = calibration_test(drawn, pmfs, n_bins).bins
    assert len(bins) <= n_bins
    assert sum(each.drawn for each in bins) == by_chance.sum()
    assert sum(each.expected for each in bins) == pytest.approx(by_chance.sum())
    assert all(before.upper < after.lower for before, after in pairwise(bins))


@given(seed=st.integers(0, 10**6))
def test_order_of_rows_and_arms_does_not_matter(seed):
    drawn, pmfs = honest_log(seed, 300)
    rng = np.random.default_rng(seed)
    rows, place = rng.permutation(300), rng.permutation(N_ARMS)
    moved = np.empty_like(pmfs)
    moved[:, place] = pmfs[rows]
    z, other_z = (
        inverse_propensity_test(p, m) for p, m in ((chosen(drawn, pmfs), pmfs), (chosen(drawn, pmfs)[rows], moved))
    )
    assert z.statistic == pytest.approx(other_z.statistic, rel=1e-6)
    one, other = calibration_test(drawn, pmfs), calibration_test(place[drawn[rows]], moved)
    assert one.statistic == pytest.approx(other.statistic, rel=1e-6)


@given(seed=st.integers(0, 10**6))
def test_rows_that_left_nothing_to_chance_change_nothing(seed):
    drawn, pmfs = honest_log(seed, 200, eligible_share=1.0)
    more_pmfs = np.vstack([pmfs, np.eye(N_ARMS), np.full((30, N_ARMS), 1 / N_ARMS)])
    more_drawn = np.concatenate([drawn, np.arange(N_ARMS), np.zeros(30, dtype=int)])
    one = inverse_propensity_test(chosen(drawn, pmfs), pmfs)
    other = inverse_propensity_test(chosen(more_drawn, more_pmfs), more_pmfs)
    assert (one.n, other.n) == (200, 200)
    assert one.statistic == pytest.approx(other.statistic, rel=1e-9)
    certain = slice(0, 200 + N_ARMS)
    assert calibration_test(drawn, pmfs) == calibration_test(more_drawn[certain], more_pmfs[certain])


@pytest.mark.parametrize("pmf", [[1.0], [0.0, 1.0], [1 / 3, 1 / 3, 1 / 3]], ids=["one arm", "one eligible", "uniform"])
def test_where_nothing_was_left_to_chance_there_is_a_reason_instead_of_a_p_value(pmf):
    pmfs, arm = np.tile(pmf, (100, 1)), int(np.argmax(pmf))
    inverse, calibration = inverse_propensity_test([pmf[arm]] * 100, pmfs), calibration_test([arm] * 100, pmfs)
    assert (inverse.statistic, inverse.p_value, inverse.n) == (None, None, 0)
    assert "audit a log of a policy that explores" in inverse.reason
    assert (calibration.statistic, calibration.p_value, calibration.n) == (None, None, 0)
    assert calibration.reason is not None


@pytest.mark.parametrize("tiny", [1e-3, 1e-12, 5e-324])
def test_arms_too_unlikely_for_a_normal_z_get_a_reason_instead_of_a_p_value(tiny):
    answer = inverse_propensity_test([1 - tiny] * 100, [[tiny, 1 - tiny]] * 100)
    assert answer.p_value is None
    assert np.isfinite(answer.statistic)
    assert "raise the policy's floor. Until then rely on the calibration test." in answer.reason


def test_the_reason_names_a_number_of_rows_that_is_enough():
    pmf = [0.01, 0.99]
    short = inverse_propensity_test([0.99] * 100, [pmf] * 100)
    assert "wait for about 4.9e+02 rows" in short.reason
    assert inverse_propensity_test([0.99] * 495, [pmf] * 495).p_value is not None


def test_too_few_rows_for_calibration_say_so():
    answer = calibration_test([0, 1, 1], [[0.2, 0.8]] * 3)
    assert answer.p_value is None
    assert len(answer.bins) == 2
    assert "Wait for more sends" in answer.reason


def test_a_propensity_rounded_in_a_csv_still_belongs_to_its_pmf():
    drawn, pmfs = honest_log(8, 500)
    answer = inverse_propensity_test(np.round(chosen(drawn, pmfs), 6), pmfs)
    assert answer.statistic == pytest.approx(inverse_propensity_test(chosen(drawn, pmfs), pmfs).statistic, abs=1e-2)


@pytest.mark.parametrize(
    ("propensities", "advice"),
    [
        ([0.5], "pass one propensity a row"),
        ([0.2, 0.3], r"row 1 is 0\.3, its pmf \[0\.2, 0\.8, 0\.0\] .*drop the rows meanwhile"),
        ([0.2, 0.0], "find out which of the two was written later"),
        ([np.nan, 0.2], "row 0 is nan"),
        ([0.2, 5.0], r"row 1 is 5\.0.* entry in \(0, 1\]"),
        ([1e-12, 0.2], "row 0 is 1e-12"),
    ],
)
def test_propensities_that_are_not_of_their_pmf_are_refused_with_advice(propensities, advice):
    with pytest.raises(UnusableLog, match=advice):
        inverse_propensity_test(propensities, [[0.2, 0.8, 0.0]] * 2)


def test_rows_that_are_no_pmf_are_refused_with_advice():
    with pytest.raises(UnusableLog, match="log the pmf that was sampled from"):
        inverse_propensity_test([0.5], [[0.5, 0.6]])
    with pytest.raises(UnusableLog, match="drop them all before evaluating"):
        calibration_test([1], [[1.0, 0.0]])


def test_a_single_bin_is_refused_because_it_would_agree_with_any_log():
    with pytest.raises(InvalidSettings, match="leave it at 10"):
        calibration_test([0], [[0.5, 0.5]], n_bins=1)


def test_results_that_contradict_themselves_cannot_be_made():
    with pytest.raises(EngineError, match="says why it cannot"):
        InversePropensity(1.0, None, 10, None)
    with pytest.raises(UnusableLog, match="use calibration_test to make one"):
        CalibrationBin(0.5, 0.4, 1, 1.0)
