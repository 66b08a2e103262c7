"""Cressie-Read intervals: the closed form is what a numeric search over all reweighings finds, and behaves as it must."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from bandit.errors import InvalidSettings, UnusableLog
from evaluation.columns import ALWAYS, stack
from evaluation.cressie_read import Reach, cressie_read, cressie_read_difference, cressie_read_gain
from evaluation.sums import Sums
from evaluation.weighed import weigh

REACH = Reach(4.0)


def log_of(n, seed=0, *, largest=4.0, share=0.4):
    """Weights between 0 and the largest that average about 1, and rewards that go with them."""
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random(n) < 0.5, rng.uniform(0.0, 0.5, n), rng.uniform(0.5, 1.0, n) * largest * 0.6)
    return weights, (rng.random(n) < share * (0.5 + 0.5 * (weights > 1.0))).astype(float)


def sums_of(weights, rewards):
    rows = replace(weigh(rewards, np.full(len(weights), 0.5), np.full(len(weights), 0.5)), weights=np.asarray(weights))
    return Sums.of_stack(*stack(rows, ALWAYS))


def signed_log(n, seed=0, *, least=-3.0, largest=6.0):
    """Weights that average about 1, a third of them below 0."""
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random(n) < 1 / 3, rng.uniform(least, 0.0, n), rng.uniform(0.0, largest, n) * 5 / 6)
    return weights, (rng.random(n) < 0.4).astype(float)


def both(first, second, rewards):
    """Sums of two targets on the same rows."""
    one, other = sums_of(first, rewards), sums_of(second, rewards)
    rows = [stack(weigh(rewards, np.full(len(w), 1e-3), np.asarray(w) * 1e-3), ALWAYS)[1] for w in (first, second)]
    names = (*("t:" + name for name in one.names), *("a:" + name for name in other.names))
    return Sums.of_stack(names, np.concatenate(rows))


def width(found):
    return found.ci_upper - found.ci_lower


def brute_force(weights, score, extremes, level, sign):
    """The least (sign 1) or largest (-1) mean score over reweighings, found by SLSQP for each row that could have been.

    Args:
        weights: shape (n_weights, n); each must average 1 under the reweighing.
        score: shape (n,).
        extremes: rows never seen, as (weights..., score).
        level: of confidence.
        sign: which end.
    """
    n = len(score)
    problems = []
    for *weight, value in extremes:
        table = np.vstack([np.ones(n + 1), np.column_stack([weights, np.array(weight)[:, None]])]) / (n + 1)
        averages = {"type": "eq", "fun": lambda q, t=table: t @ q - 1.0, "jac": lambda q, t=table: t}
        found = optimize.minimize(_change, np.ones(n + 1), jac=_change_slope, constraints=[averages], tol=1e-12)
        if found.success:
            problems.append((np.append(score, value) / (n + 1), averages, found))
    budget = min(found.fun for *_, found in problems) + stats.f.isf(1.0 - level, 1, n - 1) / (n + 1)
    near = {"type": "ineq", "fun": lambda q: budget - _change(q), "jac": lambda q: -_change_slope(q)}
    ends = []
    for line, averages, nearest in problems:
        if nearest.fun <= budget:
            found = optimize.minimize(
                lambda q, line=line: sign * float(line @ q), nearest.x, jac=lambda q, line=line: sign * line,
                constraints=[averages, near], tol=1e-12, options={"maxiter": 1000},
            )  # fmt: skip
            # 8: no step goes further down, as at an end found to the last digit; what it found is compared below.
            assert found.success or found.status == 8, found.message
            ends.append(float(line @ found.x))
    return sign * min(sign * end for end in ends)


def _change(q):
    return float(((q - 1.0) ** 2).mean())


def _change_slope(q):
    return 2.0 * (q - 1.0) / len(q)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("largest", [4.0, 12.0])
def test_both_ends_are_what_a_search_over_all_reweighings_finds(seed, largest):
    weights, rewards = log_of(18, seed)
    extremes = [(w, w * r) for w, r in product((0.0, largest), (0.0, 1.0))]
    found = cressie_read(sums_of(weights, rewards), Reach(largest), 0.8)
    ends = [brute_force(weights[None], weights * rewards, extremes, 0.8, sign) for sign in (1, -1)]
    expected = np.clip(ends, 0.0, 1.0)
    assert [found.ci_lower, found.ci_upper] == pytest.approx(expected, abs=2e-5)
    assert not np.array_equal(expected, [0.0, 1.0]), "choose another log: this one's interval is the whole range"


def test_the_ends_of_a_difference_are_what_a_search_over_reweighings_of_both_weights_finds():
    first, rewards = log_of(18, 5)
    second = np.random.default_rng(6).permutation(first)
    extremes = [(w, v, (w - v) * r) for w, v, r in product((0.0, 4.0), (0.0, 4.0), (0.0, 1.0))]
    found = cressie_read_difference(both(first, second, rewards), "t:", "a:", (REACH, REACH), 0.8)
    weights, score = np.stack([first, second]), (first - second) * rewards
    ends = [brute_force(weights, score, extremes, 0.8, sign) for sign in (1, -1)]
    assert [found.ci_lower, found.ci_upper] == pytest.approx(np.clip(ends, -1.0, 1.0), abs=2e-5)


@pytest.mark.parametrize("seed", range(3))
def test_with_weights_below_0_both_ends_are_still_what_a_search_over_all_reweighings_finds(seed):
    weights, rewards = signed_log(18, seed)
    extremes = [(w, w * r) for w, r in product((-3.0, 6.0), (0.0, 1.0))]
    found = cressie_read(sums_of(weights, rewards), Reach(6.0, least_weight=-3.0), 0.6)
    ends = [brute_force(weights[None], weights * rewards, extremes, 0.6, sign) for sign in (1, -1)]
    assert [found.ci_lower, found.ci_upper] == pytest.approx(np.clip(ends, 0.0, 1.0), abs=2e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_ends_of_a_gain_are_what_a_search_over_reweighings_finds(seed):
    weights, rewards = signed_log(18, seed)
    extremes = [(w, (w - 1.0) * r) for w, r in product((-3.0, 6.0), (0.0, 1.0))]
    found = cressie_read_gain(sums_of(weights, rewards), Reach(6.0, least_weight=-3.0), 0.6)
    ends = [brute_force(weights[None], (weights - 1.0) * rewards, extremes, 0.6, sign) for sign in (1, -1)]
    assert [found.ci_lower, found.ci_upper] == pytest.approx(np.clip(ends, -1.0, 1.0), abs=2e-5)


def test_a_gain_is_the_difference_from_a_target_that_does_what_was_logged():
    weights, rewards = log_of(200, 3)
    found = cressie_read_gain(sums_of(weights, rewards), REACH)
    logged = Reach(1.0, least_weight=1.0)
    expected = cressie_read_difference(both(weights, np.ones(200), rewards), "t:", "a:", (REACH, logged))
    assert [found.value, found.ci_lower, found.ci_upper] == pytest.approx(
        [expected.value, expected.ci_lower, expected.ci_upper], abs=1e-12
    )


def test_weights_that_are_all_1_gain_nothing_for_certain():
    found = cressie_read_gain(sums_of(np.ones(50), log_of(50)[1]), Reach(1.0, least_weight=1.0))
    assert (found.value, found.ci_lower, found.ci_upper) == (0.0, 0.0, 0.0)


def test_a_lower_least_weight_makes_it_wider_although_the_log_is_the_same():
    sums = sums_of(*signed_log(300))
    widths = [width(cressie_read_gain(sums, Reach(6.0, least_weight=least))) for least in (-3.0, -10.0, -30.0, -100.0)]
    assert widths == sorted(widths)
    assert widths[-1] > 1.02 * widths[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 200), st.integers(0, 10_000), st.floats(0.01, 100.0), st.floats(-5.0, 5.0))
def test_a_gain_moves_with_the_unit_of_the_reward_and_not_with_its_zero(n, seed, unit, shift):
    weights, rewards = signed_log(n, seed)
    plain = cressie_read_gain(sums_of(weights, rewards), Reach(6.0, least_weight=-3.0))
    moved = cressie_read_gain(
        sums_of(weights, rewards * unit + shift), Reach(6.0, shift, unit + shift, least_weight=-3.0)
    )
    for name in ("value", "ci_lower", "ci_upper"):
        assert getattr(moved, name) == pytest.approx(unit * getattr(plain, name), rel=1e-6, abs=1e-6)


def test_a_weight_below_the_least_known_is_refused_with_both():
    weights, rewards = log_of(50)
    weights[3] = -0.25
    with pytest.raises(UnusableLog, match=r"least weight is -0.25, below the 0.0 that could have been"):
        cressie_read(sums_of(weights, rewards), REACH)


def test_the_value_is_the_mean_of_the_nearest_reweighing_under_which_weights_average_1():
    """By the equations of the least change: minimise sum (q - 1)^2 with sum q = n and sum q w = n."""
    weights, rewards = log_of(40, 9)
    n, rows = 40, np.stack([np.ones(40), weights])
    multipliers = np.linalg.solve(rows @ rows.T, np.full(2, n) - rows.sum(axis=1))
    nearest = 1.0 + rows.T @ multipliers
    assert cressie_read(sums_of(weights, rewards), REACH).value == pytest.approx(nearest @ (weights * rewards) / n)


def test_a_larger_known_weight_makes_it_wider_although_the_log_is_the_same():
    sums = sums_of(*log_of(300))
    widths = [width(cressie_read(sums, Reach(largest))) for largest in (4.0, 8.0, 20.0, 100.0)]
    assert widths == sorted(widths)
    assert widths[-1] > 1.02 * widths[0]


def test_a_wider_range_of_rewards_makes_it_wider_although_the_log_is_the_same():
    sums = sums_of(*log_of(300))
    widths = [width(cressie_read(sums, Reach(4.0, -bound, 1.0 + bound))) for bound in (0.0, 1.0, 10.0)]
    assert widths == sorted(widths)
    assert widths[-1] > widths[0]


def test_more_confidence_is_never_narrower():
    sums = sums_of(*log_of(200))
    found = [cressie_read(sums, REACH, level) for level in (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)]
    assert all(outer.ci_lower <= inner.ci_lower for inner, outer in pairwise(found))
    assert all(outer.ci_upper >= inner.ci_upper for inner, outer in pairwise(found))
    assert len({one.value for one in found}) == 1
    assert width(found[-1]) > 1.5 * width(found[0])


def test_more_rows_are_narrower_by_about_the_root_of_their_number():
    weights, rewards = log_of(200)
    widths = [width(cressie_read(sums_of(np.tile(weights, k), np.tile(rewards, k)), REACH)) for k in (1, 4, 16, 64)]
    assert widths == sorted(widths, reverse=True)
    assert widths[1] / widths[3] == pytest.approx(4.0, rel=0.05)


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 200), st.integers(0, 10_000), st.floats(0.01, 100.0), st.floats(-5.0, 5.0))
def test_it_moves_with_the_unit_and_the_zero_of_the_reward(n, seed, unit, shift):
    weights, rewards = log_of(n, seed)
    plain = cressie_read(sums_of(weights, rewards), REACH)
    moved = cressie_read(sums_of(weights, rewards * unit + shift), Reach(4.0, shift, unit + shift))
    for name in ("value", "ci_lower", "ci_upper"):
        assert getattr(moved, name) == pytest.approx(unit * getattr(plain, name) + shift, rel=1e-6, abs=1e-6)
    assert moved.se == pytest.approx(unit * plain.se, rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 10_000), st.floats(0.5, 0.999), st.floats(4.0, 1000.0))
def test_it_holds_its_value_and_stays_inside_what_rewards_can_be(n, seed, level, largest):
    found = cressie_read(sums_of(*log_of(n, seed)), Reach(largest), level)
    assert 0.0 <= found.ci_lower <= found.value <= found.ci_upper <= 1.0


def test_a_log_without_any_reward_is_not_certain_that_there_is_none():
    """What an ordinary interval forgets: [0, 0] would be said of a log that a single click would have changed."""
    weights, _ = log_of(300)
    found = cressie_read(sums_of(weights, np.zeros(300)), REACH)
    assert (found.value, found.ci_lower) == (0.0, 0.0)
    assert found.ci_upper > 0.005


@pytest.mark.parametrize("seed", range(5))
def test_a_target_differs_from_itself_by_nothing(seed):
    weights, rewards = log_of(200, seed)
    found = cressie_read_difference(both(weights, weights, rewards), "t:", "a:", (REACH, REACH))
    assert [found.value, found.se] == pytest.approx([0.0, 0.0], abs=1e-7)
    assert found.ci_lower <= 0.0 <= found.ci_upper


def test_a_difference_the_other_way_round_is_the_same_with_its_sign_turned():
    first, rewards = log_of(200, 1)
    second = np.random.default_rng(0).permutation(first)
    sums = both(first, second, rewards)
    one = cressie_read_difference(sums, "t:", "a:", (REACH, REACH))
    other = cressie_read_difference(sums, "a:", "t:", (REACH, REACH))
    assert [other.value, other.ci_lower, other.ci_upper] == pytest.approx([-one.value, -one.ci_upper, -one.ci_lower])


def test_shards_of_a_log_give_the_interval_of_the_whole():
    weights, rewards = log_of(300)
    parts = sums_of(weights[:70], rewards[:70]) + sums_of(weights[70:], rewards[70:])
    expected, found = (cressie_read(sums, REACH) for sums in (sums_of(weights, rewards), parts))
    assert [found.value, found.ci_lower, found.ci_upper] == pytest.approx(
        [expected.value, expected.ci_lower, expected.ci_upper], abs=1e-12
    )


@pytest.mark.parametrize("reward", [-0.1, 1.1])
def test_a_reward_outside_of_the_range_is_refused_with_both(reward):
    weights, rewards = log_of(50)
    rewards[3] = reward
    with pytest.raises(
        UnusableLog, match=rf"{reward}.* outside of \[0.0, 1.0\].*Give the range that rewards can really"
    ):
        cressie_read(sums_of(weights, rewards), REACH)


def test_a_weight_above_the_largest_known_is_refused_with_both():
    weights, rewards = log_of(50)
    weights[3] = 4.5
    with pytest.raises(UnusableLog, match=r"largest weight is 4.5, above the 4.0 that the floor allows"):
        cressie_read(sums_of(weights, rewards), REACH)


def test_a_difference_is_held_to_its_reaches_too():
    weights, rewards = log_of(50)
    with pytest.raises(UnusableLog, match=r"above the 1\.0 that the floor allows"):
        cressie_read_difference(both(weights, weights, rewards), "t:", "a:", (Reach(1.0), REACH))


@pytest.mark.parametrize(
    "arguments",
    [
        (float("inf"),), (float("nan"),), (-1.0,), (4.0, 1.0, 0.0), (4.0, float("nan"), 1.0), (4.0, 0.0, float("inf")),
        (4.0, 0.0, 1.0, 5.0), (4.0, 0.0, 1.0, float("-inf")), (4.0, 0.0, 1.0, float("nan")),
    ],
)  # fmt: skip
def test_a_reach_without_bounds_is_refused(arguments):
    with pytest.raises(InvalidSettings, match="need finite numbers in order"):
        Reach(*arguments)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95.0, float("nan")])
def test_a_confidence_that_is_none_is_refused(level):
    with pytest.raises(InvalidSettings, match="need a number between 0 and 1"):
        cressie_read(sums_of(*log_of(50)), REACH, level)
