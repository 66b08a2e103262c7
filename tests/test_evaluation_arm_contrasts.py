from itertools import product

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bandit.errors import EngineError, InvalidSettings, UnusableLog
from evaluation.arm_contrasts import ArmContrast, arm_contrast
from evaluation.arm_scores import ArmRows, arm_scores
from evaluation.contrast_scores import Rest, Weighting, pair_scores
from evaluation.intervals import Interval

seeds = st.integers(0, 10_000)
either = pytest.mark.parametrize("weighting", list(Weighting))
N_ARMS = 4


def random_log(seed, n=40):
    """Pmfs over random eligible arms, a draw and a reward for each, customers that repeat, and rewards that are late."""
    rng = np.random.default_rng(seed)
    eligible = rng.random((n, N_ARMS)) < 0.7
    eligible[:3] = True
    eligible[np.arange(n), rng.integers(0, N_ARMS, n)] = True
    pmfs = np.where(eligible, 0.1 + rng.random((n, N_ARMS)), 0)
    pmfs /= pmfs.sum(axis=1, keepdims=True)
    drawn = np.array([rng.choice(N_ARMS, p=pmf) for pmf in pmfs])
    return {
        "pmfs": pmfs,
        "drawn": drawn,
        "rewards": rng.random(n),
        "customers": rng.integers(0, 9, n),
        "known": np.maximum(np.arange(n) - 5, 0),
    }


def even_log(first, other, n=1000, n_arms=2):
    """Arms drawn in turn; so many of the first arm's sends are rewarded, and so many of each other's."""
    drawn, rewards = np.arange(n) % n_arms, np.zeros(n)
    for arm in range(n_arms):
        sends = np.flatnonzero(drawn == arm)
        rewards[sends[np.linspace(0, len(sends) - 1, other if arm else first).astype(int)]] = 1
    return {"pmfs": np.full((n, n_arms), 1 / n_arms), "drawn": drawn, "rewards": rewards}


def scored(log, **changed):
    return arm_scores(ArmRows.of(**log | changed))


def coefficients_of(against, pmf):
    """Of each arm, in words of the definition."""
    others = [1] if against == "pair" else [arm for arm in np.flatnonzero(pmf) if arm != 0]
    found = np.zeros(N_ARMS)
    found[0], found[others] = 1, -1 / len(others)
    return found


def contrasts(scores):
    return {"pair": pair_scores(scores, 0, 1), "rest": Rest.of(scores).against(0)}


@given(seed=seeds)
def test_contrast_is_the_difference_of_scores_where_the_arms_were_eligible(seed):
    log = random_log(seed)
    scores, eligible = scored(log), log["pmfs"] > 0
    where = {"pair": eligible[:, 0] & eligible[:, 1], "rest": eligible[:, 0] & (eligible.sum(axis=1) > 1)}
    for against, found in contrasts(scores).items():
        assert np.array_equal(found.rows, np.flatnonzero(where[against]))
        for at, row in enumerate(found.rows):
            pmf, known = log["pmfs"][row], eligible[row]
            coefficients = coefficients_of(against, pmf)
            assert found.scores[at] == pytest.approx(coefficients[known] @ scores.scores[row, known], abs=1e-9)
            assert found.noise[at] == pytest.approx((coefficients[known] ** 2 / pmf[known]).sum())
            assert found.pulls[at] == pytest.approx(coefficients[log["drawn"][row]] / pmf[log["drawn"][row]])
            assert found.known[at] == where[against][: log["known"][row]].sum()
            assert found.spread[at] == scores.spread[row]
        assert np.array_equal(found.rewards, log["rewards"][found.rows])
        assert np.array_equal(found.customers, log["customers"][found.rows])


@given(seed=seeds)
def test_lowest_and_highest_are_the_worst_and_best_that_a_draw_and_its_reward_could_do(seed):
    log = random_log(seed)
    scores = scored(log)
    for against, found in contrasts(scores).items():
        for at, row in enumerate(found.rows):
            pmf, estimates = log["pmfs"][row], scores.estimates[row]
            coefficients = coefficients_of(against, pmf)
            possible = [
                coefficients @ estimates + coefficients[arm] * (reward - estimates[arm]) / pmf[arm]
                for arm, reward in product(np.flatnonzero(pmf), (0, 1))
            ]
            assert found.lowest[at] == pytest.approx(min(possible), abs=1e-9)
            assert found.highest[at] == pytest.approx(max(possible), abs=1e-9)


def test_even_split_is_nearly_the_difference_of_means_of_a_fixed_split():
    answer = arm_contrast(pair_scores(scored(even_log(60, 40)), 0, 1))
    assert answer.difference.estimate == pytest.approx(0.04, abs=0.002)
    assert answer.standard_error == pytest.approx(np.sqrt((0.12 * 0.88 + 0.08 * 0.92) / 500), rel=0.02)
    assert answer.effective_rewards == pytest.approx((60, 40))
    assert answer.n_customers == answer.difference.n == 1000


@either
@given(seed=seeds)
def test_estimate_and_error_are_those_of_a_weighted_regression_clustered_by_statsmodels(weighting, seed):
    for contrast in contrasts(scored(random_log(seed))).values():
        answer = arm_contrast(contrast, weighting)
        weights = contrast.weights(weighting)
        fitted = sm.WLS(contrast.scores, np.ones(len(weights)), weights=weights).fit(
            cov_type="cluster", cov_kwds={"groups": contrast.customers}
        )
        assert answer.difference.estimate == pytest.approx(fitted.params[0], abs=1e-9)
        assert answer.standard_error == pytest.approx(fitted.bse[0])
        assert answer.p_value == pytest.approx(2 * stats.t.sf(abs(answer.z), answer.effective_customers))
        assert answer.weighting is weighting
        assert weighting in answer.difference.method


def test_effective_customers_are_those_that_matter():
    """Of 1,000 customers 500 drew the first arm, and 100 of all were rewarded: the interval leans on the rewards."""
    answer = arm_contrast(pair_scores(scored(even_log(60, 40)), 0, 1))
    assert 80 < answer.effective_customers < 150
    lower = answer.difference.estimate - answer.difference.ci_lower
    assert lower == pytest.approx(stats.t.ppf(0.975, answer.effective_customers) * answer.standard_error)


@either
def test_error_is_the_plain_one_where_nobody_has_two_sends(weighting):
    contrast = pair_scores(scored(random_log(3), customers=None), 0, 1)
    answer, weights = arm_contrast(contrast, weighting), contrast.weights(weighting)
    n, centred = len(weights), contrast.scores - answer.difference.estimate
    assert answer.standard_error == pytest.approx(
        np.sqrt(n / (n - 1) * ((weights * centred) ** 2).sum()) / weights.sum()
    )


def test_every_send_doubled_says_no_more_when_the_customer_is_the_same():
    log = even_log(60, 40)
    once = pair_scores(scored(log, customers=np.arange(1000)), 0, 1)
    twice = scored({name: np.repeat(column, 2, axis=0) for name, column in log.items()}, customers=np.arange(2000) // 2)
    ignored = scored({name: np.repeat(column, 2, axis=0) for name, column in log.items()})
    errors = [
        arm_contrast(each).standard_error for each in (once, pair_scores(twice, 0, 1), pair_scores(ignored, 0, 1))
    ]
    assert errors[1] == pytest.approx(errors[0], rel=0.01)
    assert errors[2] == pytest.approx(errors[0] / np.sqrt(2), rel=0.01)


@given(seed=seeds)
def test_arms_the_other_way_round_negate_the_difference(seed):
    scores = scored(random_log(seed))
    one, other = arm_contrast(pair_scores(scores, 0, 1)), arm_contrast(pair_scores(scores, 1, 0))
    assert (one.z, one.p_value) == pytest.approx((-other.z, other.p_value), abs=1e-9)
    assert one.difference.ci_lower == pytest.approx(-other.difference.ci_upper, abs=1e-9)
    assert one.effective_rewards == pytest.approx(other.effective_rewards[::-1])


@given(seed=seeds)
def test_of_two_arms_the_rest_is_the_other(seed):
    rng = np.random.default_rng(seed)
    first = rng.uniform(0.2, 0.8, 30)
    log = {"pmfs": np.stack([first, 1 - first], axis=1), "drawn": np.arange(30) % 2, "rewards": rng.random(30)}
    pair, rest = pair_scores(scored(log), 0, 1), Rest.of(scored(log)).against(0)
    for name in ("scores", "lowest", "highest", "noise", "pulls"):
        np.testing.assert_allclose(getattr(rest, name), getattr(pair, name), rtol=1e-9, atol=1e-12)


def test_reward_range_only_rescales():
    log = random_log(4)
    plain = arm_contrast(Rest.of(scored(log)).against(0))
    scaled = arm_contrast(Rest.of(scored(log, rewards=5 * log["rewards"] - 1, reward_range=(-1, 4))).against(0))
    assert scaled.difference.estimate == pytest.approx(5 * plain.difference.estimate)
    assert scaled.standard_error == pytest.approx(5 * plain.standard_error)
    assert scaled.z == pytest.approx(plain.z)


def test_overlap_counts_sends_by_how_well_they_tell_arms_apart_and_plain_counts_all_the_same():
    """Half the sends hardly ever draw the second arm; the arms differ only on the others."""
    n, rng = 20_000, np.random.default_rng(5)
    second = np.where(np.arange(n) % 2, 0.5, 0.02)
    drawn = (rng.random(n) < second).astype(int)
    rewards = (rng.random(n) < np.where((drawn == 0) & (second == 0.5), 0.5, 0.2)).astype(float)
    scores = pair_scores(
        scored({"pmfs": np.stack([1 - second, second], axis=1), "drawn": drawn, "rewards": rewards}), 0, 1
    )
    plain, overlap = arm_contrast(scores, Weighting.PLAIN), arm_contrast(scores, Weighting.OVERLAP)
    noise = 1 / second + 1 / (1 - second)
    assert plain.difference.ci_lower < 0.15 < plain.difference.ci_upper
    assert overlap.difference.ci_lower < 0.3 * 0.5 / (0.5 + np.sqrt(4 / noise[0]) * 0.5) < overlap.difference.ci_upper
    assert overlap.standard_error < plain.standard_error / 1.5


def test_rewarded_sends_count_by_their_weight():
    """Three draws at 1/4 and one at 1/2 weigh 4, 4, 4 and 2: 14^2 / 52 sends, of whose weight 10 / 14 was rewarded."""
    pmfs = [[0.25, 0.75]] * 3 + [[0.5, 0.5]] * 3
    log = {"pmfs": pmfs, "drawn": [0, 0, 0, 0, 1, 1], "rewards": [0, 1, 1, 1, 0, 0]}
    answer = arm_contrast(pair_scores(scored(log), 0, 1), Weighting.PLAIN)
    assert answer.effective_rewards == pytest.approx((14**2 / 52 * 10 / 14, 0))
    assert answer.is_thin


def test_thin_is_fewer_than_twenty_rewarded_sends_on_either_side():
    assert not arm_contrast(pair_scores(scored(even_log(20, 20)), 0, 1)).is_thin
    assert arm_contrast(pair_scores(scored(even_log(20, 19)), 0, 1)).is_thin
    assert arm_contrast(pair_scores(scored(even_log(19, 20)), 0, 1)).is_thin


def test_rewards_that_are_costs_are_counted_as_rewarded():
    log = even_log(30, 25)
    costs = pair_scores(scored(log, rewards=-log["rewards"], reward_range=(-1, 0)), 0, 1)
    assert arm_contrast(costs).effective_rewards == pytest.approx((30, 25))


def test_segment_is_judged_by_its_own_sends():
    log = even_log(60, 40)
    mask = np.arange(1000) < 400
    answer = arm_contrast(pair_scores(scored(log).where(mask), 0, 1))
    assert answer.difference.n == 400
    assert answer.effective_rewards == pytest.approx(
        [log["rewards"][mask & (log["drawn"] == arm)].sum() for arm in (0, 1)]
    )


def test_arms_that_never_met_are_refused():
    log = {"pmfs": [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 1, 0]], "drawn": [0, 2, 1], "rewards": [0, 1, 1]}
    with pytest.raises(UnusableLog, match="arms 1 and 2 were never both eligible"):
        pair_scores(scored(log), 1, 2)
    alone = {"pmfs": [[1, 0, 0], [0, 0.5, 0.5]], "drawn": [0, 2], "rewards": [0, 1]}
    with pytest.raises(UnusableLog, match="arm 0 was never eligible together with another"):
        Rest.of(scored(alone)).against(0)


@pytest.mark.parametrize("pair", [(0, 0), (0, 2), (-1, 0)])
def test_arms_that_are_none_are_refused(pair):
    with pytest.raises(InvalidSettings, match="need different indices from 0 to 1"):
        pair_scores(scored(even_log(2, 2)), *pair)


def test_arm_that_is_none_has_no_rest():
    with pytest.raises(InvalidSettings, match="need different indices from 0 to 1"):
        Rest.of(scored(even_log(2, 2))).against(2)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rewards": np.zeros(1000)}, "no reward differs from another"),
        ({"rewards": np.ones(1000)}, "no reward differs from another"),
        ({"customers": np.zeros(1000, dtype=int)}, r"^1 customer.s. had sends"),
    ],
)
def test_logs_without_spread_are_refused(changed, said):
    with pytest.raises(UnusableLog, match=said):
        arm_contrast(pair_scores(scored(even_log(60, 40), **changed), 0, 1))


def test_rewards_of_other_arms_are_no_spread():
    log = even_log(0, 0, n_arms=3)
    with pytest.raises(UnusableLog, match="667 sends drew one of these arms, and no reward differs"):
        arm_contrast(pair_scores(scored(log, rewards=(log["drawn"] == 2) * 1.0), 0, 1))


def test_customers_that_do_not_differ_are_refused():
    log = {"pmfs": [[0.5, 0.5]] * 4, "drawn": [0, 0, 0, 0], "rewards": [0, 1, 1, 0], "known": [0, 0, 0, 0]}
    with pytest.raises(UnusableLog, match=r"2 customer.s. had sends in which .* none differs"):
        arm_contrast(pair_scores(scored(log, customers=[0, 0, 1, 1]), 0, 1))


def test_confidence_level_out_of_range_is_refused():
    with pytest.raises(InvalidSettings, match="confidence_level is 1"):
        arm_contrast(pair_scores(scored(even_log(60, 40)), 0, 1), confidence_level=1)


def test_contrast_without_an_error_is_a_bug():
    with pytest.raises(EngineError, match="error above 0"):
        ArmContrast(Interval(0.1, 0.1, 0.1, 2, "test"), 0.0, 0.0, 0.5, 2, 2.0, (1.0, 1.0), Weighting.PLAIN)
