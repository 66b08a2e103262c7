import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.errors import InvalidSettings, UnusableLog
from evaluation.arm_scores import ArmRows, arm_scores

seeds = st.integers(0, 10_000)


def random_log(seed, n=30, n_arms=4):
    """Pmfs over random eligible arms, a draw and a reward for each, customers that repeat, and rewards that are late."""
    rng = np.random.default_rng(seed)
    eligible = rng.random((n, n_arms)) < 0.7
    eligible[np.arange(n), rng.integers(0, n_arms, n)] = True
    pmfs = np.where(eligible, 0.1 + rng.random((n, n_arms)), 0)
    pmfs /= pmfs.sum(axis=1, keepdims=True)
    drawn = np.array([rng.choice(n_arms, p=pmf) for pmf in pmfs])
    known = np.maximum.accumulate(rng.integers(0, np.arange(n) + 1))
    return {
        "pmfs": pmfs,
        "drawn": drawn,
        "rewards": rng.random(n),
        "customers": rng.integers(0, 9, n),
        "known": np.minimum(known, np.arange(n)),
    }


def test_first_rows_are_scored_as_by_hand():
    found = arm_scores(ArmRows.of([[0.2, 0.8]] * 3, drawn=[0, 1, 1], rewards=[1, 0, 1]))
    # The overall mean begins with one send of 1/2, an arm's own with 20 sends of the overall mean.
    overall = [0.5, 1.5 / 2, 1.5 / 3]
    first = [0.5, (1 + 20 * 0.75) / 21, (1 + 20 * 0.5) / 21]
    second = [0.5, 0.75, (0 + 20 * 0.5) / 21]
    np.testing.assert_allclose(found.estimates, np.transpose([first, second]))
    np.testing.assert_allclose(found.corrections, [0.5 / 0.2, -0.75 / 0.8, (1 - second[2]) / 0.8])
    np.testing.assert_allclose(found.scores[2], [first[2], second[2] + (1 - second[2]) / 0.8])
    squares = np.cumsum([0.25, *((np.array([1, 0]) - overall[:2]) ** 2)])
    np.testing.assert_allclose(found.spread, squares / [1, 2, 3])


@given(seed=seeds)
def test_estimates_are_those_of_a_loop_over_what_had_arrived(seed):
    log = random_log(seed)
    found = arm_scores(ArmRows.of(**log))
    for row, n_known in enumerate(log["known"]):
        rewards, drawn = log["rewards"][:n_known], log["drawn"][:n_known]
        overall = (0.5 + rewards.sum()) / (1 + n_known)
        for arm in range(4):
            own = rewards[drawn == arm]
            assert found.estimates[row, arm] == pytest.approx((own.sum() + 20 * overall) / (len(own) + 20))


@given(seed=seeds, row=st.integers(0, 29))
def test_a_row_does_not_know_rewards_that_had_not_arrived(seed, row):
    log = random_log(seed)
    later = log | {"rewards": np.where(np.arange(30) < log["known"][row], log["rewards"], 1 - log["rewards"])}
    before, after = arm_scores(ArmRows.of(**log)), arm_scores(ArmRows.of(**later))
    assert np.array_equal(before.estimates[row], after.estimates[row])
    assert before.spread[row] == after.spread[row]


@given(seed=seeds)
def test_scores_average_over_draws_to_what_each_arm_earns(seed):
    """Whatever was estimated: over all draws of the last row, each eligible arm's score is its reward on average."""
    log, rng = random_log(seed, n=8), np.random.default_rng(seed)
    earned, pmf, mean = rng.random(4), log["pmfs"][-1], np.zeros(4)
    for arm in np.flatnonzero(pmf):
        drawn, rewards = np.append(log["drawn"][:-1], arm), np.append(log["rewards"][:-1], earned[arm])
        mean += pmf[arm] * np.nan_to_num(arm_scores(ArmRows.of(log["pmfs"], drawn, rewards)).scores[-1])
    np.testing.assert_allclose(mean, np.where(pmf > 0, earned, 0), atol=1e-9)


@given(seed=seeds)
def test_scores_stay_within_estimates_and_inverse_probabilities(seed):
    log = random_log(seed)
    found = arm_scores(ArmRows.of(**log))
    assert np.array_equal(np.isnan(found.scores), log["pmfs"] == 0)
    assert np.all((found.estimates >= 0) & (found.estimates <= 1))
    assert np.all(np.abs(found.corrections) <= 1 / log["pmfs"][np.arange(30), log["drawn"]])
    assert np.all(found.spread > 0)


def test_reward_range_only_rescales():
    log = random_log(1)
    plain = arm_scores(ArmRows.of(**log))
    scaled = ArmRows.of(**log | {"rewards": 3 * log["rewards"] - 2}, reward_range=(-2, 1))
    np.testing.assert_allclose(arm_scores(scaled).scores, plain.scores, atol=1e-12)
    assert scaled.width == 3


@given(seed=seeds)
def test_segment_keeps_the_estimates_of_the_whole_log_and_knows_its_own_earlier_rows(seed):
    log = random_log(seed)
    found, mask = arm_scores(ArmRows.of(**log)), np.random.default_rng(seed).random(30) < 0.5
    segment = found.where(mask)
    np.testing.assert_array_equal(segment.scores, found.scores[mask])
    np.testing.assert_array_equal(segment.rows.rewards, log["rewards"][mask])
    for row, n_known in zip(np.flatnonzero(mask), segment.rows.known, strict=True):
        assert n_known == mask[: log["known"][row]].sum()


def test_huge_numbers_of_customers_are_renumbered_and_stay_apart():
    rows = ArmRows.of([[0.5, 0.5]] * 4, [0, 1, 0, 1], [0, 1, 0, 1], customers=[10**15, 7, 10**15, 3])
    assert rows.customers.tolist() == [2, 1, 2, 0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"pmfs": [[0.5, 0.4], [0.5, 0.5]]}, "pmf of row 0"),
        ({"pmfs": [[1.0, 0.0], [0.5, 0.5]], "drawn": [1, 0]}, "row 0 drew arm 1"),
        ({"drawn": [0]}, "drawn arms have shape"),
        ({"rewards": [0.0, np.nan]}, "reward of row 1 is nan"),
        ({"rewards": [0.0, 1.5]}, r"reward of row 1 is 1\.5"),
        ({"rewards": [0.0]}, "the columns beside them"),
        ({"customers": ["a", "b"]}, "customers have shape"),
        ({"customers": [0]}, "customers have shape"),
        ({"customers": [0, -1]}, "customers of row 1 is -1"),
        ({"known": [0, 2]}, "known of row 1 is 2"),
        ({"known": [1, 1]}, "known of row 0 is 1"),
        ({"known": [0.0, 1.0]}, "known have shape"),
    ],
)
def test_rows_that_say_nothing_are_refused_by_name(changed, said):
    with pytest.raises(UnusableLog, match=said):
        ArmRows.of(**{"pmfs": [[0.5, 0.5]] * 2, "drawn": [0, 1], "rewards": [0, 1]} | changed)


@pytest.mark.parametrize("reward_range", [(1.0, 0.0), (0.0, np.inf), (np.nan, 1.0), (1.0, 1.0)])
def test_reward_range_out_of_order_is_refused(reward_range):
    with pytest.raises(InvalidSettings, match="reward_range is"):
        ArmRows.of([[0.5, 0.5]] * 2, [0, 1], [0, 1], reward_range=reward_range)
