import json
from pathlib import Path

import numpy as np
import pytest

from bandit.errors import EngineError, InvalidSettings, UnusableLog
from evaluation.betting_sequence import betting_sequence, policy_value_sequence
from evaluation.empirical_bernstein import ConfidenceSequence, empirical_bernstein_lower, empirical_bernstein_sequence

FROZEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "confidence_sequences.json"
needs_frozen = pytest.mark.skipif(not FROZEN.is_file(), reason="the frozen reference values are not beside this clone")
of_a_mean = pytest.mark.parametrize("sequence", [betting_sequence, empirical_bernstein_sequence])


def frozen_case(name):
    """Rewards of a frozen case, its values, and the indices of the rows after which they were read."""
    case = json.loads(FROZEN.read_text())["cases"][name]
    rewards = np.zeros(case["n"])
    rewards[case["x"]] = 1
    return rewards, case, np.arange(50, case["n"] + 1, 50) - 1


def coins(n, rate=0.3, seed=1):
    return (np.random.default_rng(seed).random(n) < rate).astype(float)


def uniform_log(n, n_arms=10, rates=(0.057, 0.04), seed=1):
    """Weights and rewards of the target "always arm 0" on a log that drew arms evenly."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, n_arms, n) == 0
    return np.where(first, float(n_arms), 0.0), (rng.random(n) < np.where(first, *rates)).astype(float)


def learners_log(n, rates, floor, rng):
    """As above, on a log that an epsilon-greedy learner made: each pmf depends on all rewards before it."""
    n_arms, draws, luck = len(rates), rng.random(n), rng.random(n)
    sums, sent, weights, rewards = np.zeros(n_arms), np.ones(n_arms), np.zeros(n), np.zeros(n)
    for t in range(n):
        pmf = np.full(n_arms, floor / n_arms)
        pmf[np.argmax(sums / sent)] += 1 - floor
        arm = min(int(np.searchsorted(np.cumsum(pmf), draws[t])), n_arms - 1)
        rewards[t] = luck[t] < rates[arm]
        weights[t] = (arm == 0) / pmf[arm]
        sums[arm] += rewards[t]
        sent[arm] += 1
    return weights, rewards


def width(sequence):
    return sequence.ci_upper - sequence.ci_lower


@needs_frozen
@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_hedged_sequence_is_the_reference_on_its_grid(name):
    rewards, case, read = frozen_case(name)
    answer = betting_sequence(rewards)
    np.testing.assert_allclose(answer.lower[read], case["hedged_lower"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(answer.upper[read], case["hedged_upper"], rtol=0, atol=1e-12)


@needs_frozen
@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_empirical_bernstein_is_the_reference(name):
    rewards, case, read = frozen_case(name)
    answer = empirical_bernstein_lower(rewards, 0.975)
    np.testing.assert_allclose(answer[read], case["empbern_lower"], rtol=0, atol=1e-12)


def test_rows_that_were_ruled_out_in_pieces_are_those_ruled_out_at_once():
    rewards, grid = coins(1300), np.arange(101) / 100
    half, means, variance, wealth, lower = 0.025, 0.5, 0.25, np.zeros(101), []
    for t, reward in enumerate(rewards, start=1):  # the paper's recursion, row by row
        stake = np.sqrt(2 * np.log(1 / half) / (variance / t * t * np.log1p(t)))
        with np.errstate(divide="ignore"):
            wealth += np.log1p(np.minimum(stake, 0.5 / grid) * (reward - grid))
        means += reward
        variance += (reward - means / (t + 1)) ** 2
        ruled_out = np.flatnonzero(wealth > np.log(1 / half))
        lower.append(max(lower[-1] if lower else 0.0, (ruled_out.max() if len(ruled_out) else 0) / 100))
    np.testing.assert_allclose(betting_sequence(rewards, grid_steps=100).lower, lower, atol=1e-12)


@of_a_mean
def test_earlier_bounds_of_a_mean_do_not_know_later_rows(sequence):
    rewards = coins(1000)
    changed = np.concatenate([rewards[:600], 1 - rewards[600:]])
    before, after = sequence(rewards), sequence(changed)
    assert np.array_equal(before.lower[:600], after.lower[:600])
    assert np.array_equal(before.upper[:600], after.upper[:600])
    assert before.ci_upper != after.ci_upper


@pytest.mark.parametrize("largest", [10, None])
def test_earlier_bounds_of_a_policy_do_not_know_later_rows(largest):
    weights, rewards = uniform_log(3000)
    other = uniform_log(3000, seed=2)
    looks = [500, 1000, 2000, 3000]
    before = policy_value_sequence(weights, rewards, largest, looks=looks)
    mixed = [np.concatenate([mine[:2000], yours[2000:]]) for mine, yours in zip((weights, rewards), other, strict=True)]
    after = policy_value_sequence(*mixed, largest, looks=looks)
    alone = policy_value_sequence(weights[:2000], rewards[:2000], largest, looks=looks[:3])
    for name in ("lower", "upper"):
        assert np.array_equal(getattr(before, name)[:3], getattr(after, name)[:3])
        assert np.array_equal(getattr(before, name)[:3], getattr(alone, name))
    assert width(before) != width(after)


def test_looks_that_were_skipped_change_nothing():
    weights, rewards = uniform_log(3000)
    often = policy_value_sequence(weights, rewards, 10, looks=np.arange(100, 3001, 100))
    once = policy_value_sequence(weights, rewards, 10)
    assert (often.ci_lower, often.ci_upper) == pytest.approx((once.ci_lower, once.ci_upper), abs=1e-8)


@of_a_mean
def test_bounds_of_a_mean_only_tighten_and_hold_it(sequence):
    answer = sequence(coins(3000))
    assert np.all(np.diff(answer.lower) >= 0)
    assert np.all(np.diff(answer.upper) <= 0)
    assert answer.n.tolist() == list(range(1, 3001))
    assert answer.ci_lower < 0.3 < answer.ci_upper
    assert width(answer) < 0.15


@pytest.mark.parametrize("largest", [10, None])
@pytest.mark.parametrize("planned", [20_000, None])
def test_bounds_of_a_policy_only_tighten_and_hold_its_value(largest, planned):
    answer = policy_value_sequence(*uniform_log(20_000), largest, planned=planned, looks=[200, 2000, 20_000])
    assert np.all(np.diff(answer.lower) >= 0)
    assert np.all(np.diff(answer.upper) <= 0)
    assert answer.ci_lower < 0.057 < answer.ci_upper
    widths = answer.upper - answer.lower
    assert widths[2] < widths[1] / 2 < widths[0] / 2


def test_lower_level_is_narrower():
    weights, rewards = uniform_log(3000)
    for low, high in [(0.8, 0.95), (0.95, 0.99)]:
        assert width(betting_sequence(rewards, low)) < width(betting_sequence(rewards, high))
        assert width(empirical_bernstein_sequence(rewards, low)) < width(empirical_bernstein_sequence(rewards, high))
        narrow, wide = (policy_value_sequence(weights, rewards, 10, level) for level in (low, high))
        assert width(narrow) < width(wide)


def test_known_largest_weight_narrows_the_upper_bound():
    log = uniform_log(3000)
    known, unknown = policy_value_sequence(*log, 10), policy_value_sequence(*log, None)
    assert known.ci_upper < unknown.ci_upper / 1.5


@pytest.mark.parametrize("n", [2000, 10_000])
def test_plan_that_is_right_narrows_and_its_lack_costs_about_a_tenth(n):
    log = uniform_log(n)
    planned = policy_value_sequence(*log, 10, planned=n)
    assert width(planned) < width(policy_value_sequence(*log, 10)) < 1.2 * width(planned)


def test_swapping_what_is_good_mirrors_the_bounds():
    weights, rewards = uniform_log(3000)
    for largest in (10, None):
        one, other = (policy_value_sequence(weights, values, largest) for values in (rewards, 1 - rewards))
        assert (one.ci_lower, one.ci_upper) == pytest.approx((1 - other.ci_upper, 1 - other.ci_lower), abs=1e-9)


def test_reward_range_only_rescales():
    weights, rewards = uniform_log(3000)
    plain = policy_value_sequence(weights, rewards, 10)
    scaled = policy_value_sequence(weights, 8 * rewards - 3, 10, reward_range=(-3, 5))
    assert (scaled.ci_lower, scaled.ci_upper) == pytest.approx(
        (8 * plain.ci_lower - 3, 8 * plain.ci_upper - 3), abs=1e-7
    )


def test_target_that_is_the_logging_policy_has_the_interval_of_a_mean():
    rewards = coins(3000)
    policy = policy_value_sequence(np.ones(3000), rewards, 1)
    assert width(policy) < 1.1 * width(betting_sequence(rewards))


def test_constant_rewards_leave_no_room_for_a_contradiction():
    for value in (0.0, 0.5005, 1.0):
        answer = betting_sequence(np.full(5000, value))
        assert answer.ci_lower <= value <= answer.ci_upper
        assert width(answer) < 0.01
        policy = policy_value_sequence(np.ones(5000), np.full(5000, value), 1)
        assert policy.ci_lower <= value <= policy.ci_upper


def test_one_row_says_nothing():
    for answer in (betting_sequence([1.0]), empirical_bernstein_sequence([1.0]), policy_value_sequence([1], [1], 10)):
        assert (answer.ci_lower, answer.ci_upper) == (0.0, 1.0)


def test_learners_log_is_covered_at_every_look():
    """200 logs of an adaptive epsilon-greedy learner, after every send: at most 20 may ever miss, at .95.

    The last look shows it, because bounds only tighten and looks that were skipped change nothing.
    """
    rng, rates, missed = np.random.default_rng(11), np.array([0.3, 0.25, 0.2, 0.1]), 0
    for _ in range(200):
        answer = policy_value_sequence(*learners_log(500, rates, 0.2, rng), 4 / 0.2)
        missed += bool(answer.ci_lower > rates[0] or answer.ci_upper < rates[0])
    assert missed <= 20


def test_known_largest_weight_costs_little_on_the_arm_a_learner_prefers():
    log = learners_log(1000, np.array([0.3, 0.1]), 0.05, np.random.default_rng(5))
    assert width(policy_value_sequence(*log, 2 / 0.05)) < 1.25 * width(policy_value_sequence(*log, None))


@pytest.mark.parametrize(
    ("rewards", "said"),
    [
        ([], "at least one"),
        ([[0.5]], "have shape"),
        ([0.5, np.nan], "reward of row 1 is nan"),
        ([0.5, 0.2, np.inf], "reward of row 2 is inf"),
        ([0.5, 1.5], r"reward of row 1 is 1\.5"),
        ([-0.1, 0.5], r"reward of row 0 is -0\.1"),
    ],
)
def test_rewards_that_bound_nothing_are_refused_by_name(rewards, said):
    for refuse in (betting_sequence, empirical_bernstein_sequence, empirical_bernstein_lower):
        with pytest.raises(UnusableLog, match=said):
            refuse(rewards)
    with pytest.raises(UnusableLog, match=said):
        policy_value_sequence(np.ones(len(rewards)), rewards, 10)


@pytest.mark.parametrize("largest", [10, None])
@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([1.0], "weights have shape"),
        ([1.0, -0.5], r"weight of row 1 is -0\.5"),
        ([np.nan, 1.0], "weight of row 0 is nan"),
        ([1.0, np.inf], "weight of row 1 is inf"),
        ([0.0, 0.0], "check overlap"),
    ],
)
def test_weights_that_weigh_nothing_are_refused_by_name(weights, said, largest):
    with pytest.raises(UnusableLog, match=said):
        policy_value_sequence(weights, [0.0, 1.0], largest)


def test_weight_above_the_promised_largest_is_refused():
    with pytest.raises(UnusableLog, match=r"weight of row 1 is 11\.0 .*at most the largest_weight 10"):
        policy_value_sequence([0, 11], [0, 1], 10)
    policy_value_sequence([0, 10 * (1 + 1e-12)], [0, 1], 10)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_weights_whose_mean_is_not_1_are_refused(factor):
    weights, rewards = uniform_log(5000)
    with pytest.raises(UnusableLog, match="which chance does not explain"):
        policy_value_sequence(factor * weights, rewards, 20)


@pytest.mark.parametrize("largest", [2, None])
def test_value_beyond_every_possible_reward_is_refused(largest):
    """Weights of mean 1.07: too little to be sure that they are wrong, enough to say that every reward is above 1."""
    weights = np.where((np.arange(4000) * 0.53) % 1 < 0.53, 2.0, 0.0)
    with pytest.raises(UnusableLog, match=r"first 4000 rows say .* beyond every possible reward, as at most 0\.025 of"):
        policy_value_sequence(weights, np.ones(4000), largest)


def test_target_without_full_overlap_keeps_true_if_wide_bounds_where_no_largest_weight_is_claimed():
    weights, rewards = uniform_log(5000)
    answer = policy_value_sequence(0.5 * weights, rewards, None)
    assert answer.ci_lower < 0.5 * 0.057 < 0.5 * 0.057 + 0.5 < answer.ci_upper


@pytest.mark.parametrize("sequence", [betting_sequence, lambda x: policy_value_sequence(np.ones(len(x)), x, 1)])
def test_rewards_that_contradict_a_constant_mean_are_refused(sequence):
    with pytest.raises(UnusableLog, match="No constant mean fits"):
        sequence(np.concatenate([np.zeros(2000), np.ones(20_000)]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"largest_weight": 0.5}, "largest_weight is 0.5"),
        ({"largest_weight": np.nan}, "largest_weight is nan"),
        ({"largest_weight": np.inf}, "largest_weight is inf"),
        ({"confidence_level": 1.0}, "confidence_level is 1.0"),
        ({"reward_range": (1.0, 0.0)}, "reward_range is"),
        ({"reward_range": (0.0, np.inf)}, "reward_range is"),
        ({"reward_range": (np.nan, 1.0)}, "reward_range is"),
        ({"planned": 0}, "planned is 0"),
        ({"looks": []}, "looks are"),
        ({"looks": [0, 1]}, "looks are"),
        ({"looks": [2, 2]}, "looks are"),
        ({"looks": [3]}, "looks are"),
        ({"looks": [1.5]}, "looks are"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings, said):
    with pytest.raises(InvalidSettings, match=said):
        policy_value_sequence([1, 1], [0, 1], **{"largest_weight": 2} | settings)


def test_grid_without_steps_is_refused():
    with pytest.raises(InvalidSettings, match="grid_steps is 0"):
        betting_sequence([0, 1], grid_steps=0)
    with pytest.raises(InvalidSettings, match="confidence_level is 0"):
        betting_sequence([0, 1], 0)


def test_sequence_without_a_bound_for_each_look_is_a_bug():
    with pytest.raises(EngineError, match="looks"):
        ConfidenceSequence(np.array([1]), np.array([0.0, 0.0]), np.array([1.0]), "test")
