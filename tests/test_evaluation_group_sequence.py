from itertools import product
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bandit.errors import InvalidSettings, UnusableLog
from evaluation.group_sequence import group_sequence
from evaluation.grouped_sends import GroupedSends

LOOKS = 20


def single_sends(rng, n, share, rates=(0.1, 0.1)):
    """Nobody has a second send; rates of treated and control."""
    treated = rng.random(n) < share
    rewards = (rng.random(n) < np.where(treated, *rates)).astype(float)
    return GroupedSends.of(treated, np.arange(n), share), rewards


def repeated_sends(rng, n_customers, share, *, rate=0.1, gain=0.0):
    """One to nineteen sends a customer, mixed, some customers clicking much and most of them hardly ever."""
    treated = rng.random(n_customers) < share
    customers = rng.permutation(np.repeat(np.arange(n_customers), rng.integers(1, 20, n_customers)))
    liking = rng.beta(rate * 5, (1 - rate) * 5, n_customers) * (1 + gain * treated)
    rewards = (rng.random(len(customers)) < liking[customers]).astype(float)
    return GroupedSends.of(treated[customers], customers, share), rewards


def wealth_after_each_row(treated, rewards, share, planned, mean, half):
    """One gambler, row by row, as the docstring of group_sequence has it."""
    wealth, path, earned, squares = 1.0, [], 0.5, 0.25
    for t, (group, reward) in enumerate(zip(treated, rewards, strict=True), start=1):
        base, variance = earned / t, squares / t / (share * (1 - share))
        score = (reward - base) / share if group else -(reward - base) / (1 - share)
        least = -max(base / share, (1 - base) / (1 - share))
        stake = min(sqrt(2 * log(1 / half) / (planned * variance)), 0.75 / (mean - least))
        wealth *= 1 + stake * (score - mean)
        path.append(wealth)
        earned, squares = earned + reward, squares + (reward - base) ** 2
    return path


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), share=st.sampled_from([0.1, 0.5, 0.9]))
def test_the_lower_bound_is_where_a_gambler_just_made_the_money(seed, share):
    sends, rewards = single_sends(np.random.default_rng(seed), 60, share, (0.9, 0.2))
    bound = group_sequence(sends, rewards, 0.8, planned=60).ci_lower
    if -1 < bound < 1:  # at either end there is no mean beyond, at which the gambler would have less
        just_below, just_above = (
            max(wealth_after_each_row(sends.treated, rewards, share, 60, bound + step, 0.1)) for step in (-1e-6, 1e-6)
        )
        assert just_below >= 10 > just_above


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_bets_err_no_more_often_than_promised_over_every_way_the_hash_can_fall(share):
    rewards, n, wrong = np.array([1, 0, 1, 1, 0, 0, 1, 0]), 8, 0.0
    for treated in product([True, False], repeat=n):
        sends = GroupedSends.of(treated, np.arange(n), share)
        if excludes_nothing_happened(sends, rewards):
            wrong += share ** sum(treated) * (1 - share) ** (n - sum(treated))
    assert 0.05 < wrong <= 0.9


def excludes_nothing_happened(sends, rewards):
    """At any row: bounds at the last one hold what all rows ruled out. Alpha is .9, else eight rows are never wrong."""
    try:
        answer = group_sequence(sends, rewards, 0.1, planned=len(rewards))
    except UnusableLog:
        return True
    return answer.ci_lower > 0 or answer.ci_upper < 0


def test_sums_by_customer_stand_where_a_hand_puts_them():
    # 40 customers a group with two sends each; of the treated 20 clicked both times, of control 15.
    treated = np.repeat([True, False], 80)
    rewards = np.concatenate([np.repeat([1, 0], 40), np.repeat([1, 0], [30, 50])])
    sends = GroupedSends.of(treated, np.repeat(np.arange(80), 2), share=0.5)
    answer = group_sequence(sends, rewards, planned=160)
    # Squares around 2 * .5 are 40 * 1, around 2 * .375 they are 15 * 1.25^2 + 25 * .75^2 = 37.5.
    error = sqrt((40 / 39 * 40 + 40 / 39 * 37.5) / 80**2)
    reach = sqrt(log(2 / 0.05) / 2) * 2 * error
    assert (answer.ci_lower, answer.ci_upper) == pytest.approx((0.125 - reach, 0.125 + reach), rel=1e-7)


def test_a_small_group_borrows_the_spread_of_the_large_one_where_that_is_larger():
    # Two sends a customer. Of 400 treated customers 100 each clicked 2, 1, 2 and 0 times; of 40 control 20 clicked once.
    treated = np.repeat([True, False], [800, 80])
    rewards = np.concatenate([np.tile([1, 1, 1, 0, 1, 1, 0, 0], 100), np.tile([1, 0, 0, 0], 20)])
    sends = GroupedSends.of(treated, np.repeat(np.arange(440), 2), share=10 / 11)
    answer = group_sequence(sends, rewards, planned=880)
    squares = 100 * sum((clicks - 1.25) ** 2 for clicks in (2, 1, 2, 0)) + 40 * 0.5**2
    error = sqrt(squares / 438 * (400 / 800**2 + 40 / 80**2))
    assert answer.ci_upper - answer.ci_lower == pytest.approx(2 * sqrt(log(2 / 0.05) / 2) * 2 * error, rel=1e-7)


def test_without_a_plan_the_line_is_bent_to_serve_several():
    sends, rewards = repeated_sends(np.random.default_rng(1), 600, 0.5)
    widths = {
        planned: answer.ci_upper - answer.ci_lower
        for planned in (None, sends.n, 100 * sends.n)
        for answer in [group_sequence(sends, rewards, planned=planned)]
    }
    assert widths[sends.n] < widths[None] < widths[100 * sends.n]


def test_sums_by_customer_say_nothing_before_twenty_rewarded_customers():
    # Three sends for each customer; of control every 20th customer clicks, so that of 300 only 15 do.
    n = 300
    treated = np.tile([True, False], n).repeat(3)
    clicked = np.where(np.arange(2 * n) % 2, np.arange(2 * n) % 40 == 1, np.arange(2 * n) % 4 == 0).repeat(3)
    sends = GroupedSends.of(treated, np.arange(2 * n).repeat(3), share=0.5)
    answer = group_sequence(sends, clicked * 2 - 1, reward_range=(-1, 1))
    assert (answer.ci_lower, answer.ci_upper) == (-2, 2)


@pytest.mark.parametrize("make", [lambda rng: single_sends(rng, 2000, 0.7), lambda rng: repeated_sends(rng, 400, 0.7)])
@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_asking_for_control_minus_treated_turns_the_bounds_around(make, seed):
    sends, rewards = make(np.random.default_rng(seed))
    other = GroupedSends.of(~sends.treated, sends.member, 1 - sends.share)
    looks = [sends.n // 2, sends.n]
    one, two = (group_sequence(each, rewards, planned=2000, looks=looks) for each in (sends, other))
    assert one.lower == pytest.approx(-two.upper, abs=1e-8)
    assert one.upper == pytest.approx(-two.lower, abs=1e-8)


@pytest.mark.parametrize("make", [lambda rng: single_sends(rng, 2000, 0.7), lambda rng: repeated_sends(rng, 400, 0.7)])
def test_bounds_are_in_the_units_of_the_reward(make):
    sends, rewards = make(np.random.default_rng(5))
    unit = group_sequence(sends, rewards)
    euro = group_sequence(sends, 20 * rewards - 5, reward_range=(-5, 15))
    assert (euro.ci_lower, euro.ci_upper) == pytest.approx((20 * unit.ci_lower, 20 * unit.ci_upper), abs=1e-6)


@pytest.mark.parametrize("make", [lambda rng: single_sends(rng, 2000, 0.7), lambda rng: repeated_sends(rng, 400, 0.7)])
def test_a_look_knows_nothing_of_later_rows(make):
    sends, rewards = make(np.random.default_rng(6))
    early = sends.n // 2
    prefix = GroupedSends.of(sends.treated[:early], sends.member[:early], sends.share)
    both = group_sequence(sends, rewards, looks=[early, sends.n], planned=3000)
    alone = group_sequence(prefix, rewards[:early], planned=3000)
    assert (both.lower[0], both.upper[0]) == pytest.approx((alone.ci_lower, alone.ci_upper), abs=1e-9)
    assert both.lower[1] >= both.lower[0]
    assert both.upper[1] <= both.upper[0]


def test_first_sends_alone_ignore_what_came_later():
    sends, rewards = repeated_sends(np.random.default_rng(7), 400, 0.5)
    later = np.setdiff1d(np.arange(sends.n), sends.first)
    changed = rewards.copy()
    changed[later] = 1 - changed[later]
    one, two = (group_sequence(sends, each, first_only=True) for each in (rewards, changed))
    assert (one.ci_lower, one.ci_upper) == (two.ci_lower, two.ci_upper)
    assert one.method.startswith("betting")
    assert group_sequence(sends, rewards).method.startswith("sequence over customers' sums")


def test_first_sends_mixed_with_later_ones_are_planned_for_as_first_sends():
    # Each customer's second send follows at once, so that half of the rows planned are first sends.
    sends, rewards = single_sends(np.random.default_rng(8), 3000, 0.5, (0.3, 0.2))
    twice = GroupedSends.of(sends.treated.repeat(2), sends.member.repeat(2), 0.5)
    alone = group_sequence(sends, rewards, planned=3000)
    among = group_sequence(twice, rewards.repeat(2), planned=6000, first_only=True)
    assert (among.ci_lower, among.ci_upper) == pytest.approx((alone.ci_lower, alone.ci_upper), abs=1e-3)


def test_a_real_difference_is_found_and_held():
    rng = np.random.default_rng(9)
    one = group_sequence(*single_sends(rng, 20_000, 0.9, (0.15, 0.1)), planned=20_000)
    assert 0 < one.ci_lower < 0.05 < one.ci_upper
    many = group_sequence(*repeated_sends(rng, 20_000, 0.9, gain=0.5), planned=200_000)
    assert 0 < many.ci_lower < 0.05 < many.ci_upper


def wrong_within(sequence):
    return sequence.ci_lower > 0 or sequence.ci_upper < 0


def test_twenty_looks_at_two_groups_without_difference_are_seldom_wrong():
    rng, n_runs, bets, sums = np.random.default_rng(10), 40, 0, 0
    for _ in range(n_runs):
        sends, rewards = single_sends(rng, 600, 0.8)
        bets += wrong_within(group_sequence(sends, rewards, looks=np.arange(30, 601, 30), planned=600))
        sends, rewards = repeated_sends(rng, 600, 0.8)
        looks = np.linspace(sends.n / LOOKS, sends.n, LOOKS).astype(int)
        sums += wrong_within(group_sequence(sends, rewards, looks=looks, planned=sends.n))
    assert max(bets, sums) <= stats.binom.ppf(0.999, n_runs, 0.05)


def sends_of_four():
    return GroupedSends.of([True, False] * 2, list("abcd"), share=0.5)


@pytest.mark.parametrize(
    ("rewards", "said"),
    [
        ([1, 0, 1], "3 rewards for 4 sends"),
        ([1, 0, 1, np.nan], "row 3"),
        ([1, 0, 1.5, 0], "row 2"),
        ([1, -1, 0, 0], "row 1"),
    ],
)
def test_rewards_that_cannot_be_are_refused(rewards, said):
    with pytest.raises(UnusableLog, match=said):
        group_sequence(sends_of_four(), rewards)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"reward_range": (1.0, 0.0)}, "reward_range"),
        ({"reward_range": (0.0, np.inf)}, "reward_range"),
        ({"planned": 0}, "planned"),
        ({"looks": []}, "looks"),
        ({"looks": [2, 2]}, "looks"),
        ({"looks": [0, 4]}, "looks"),
        ({"looks": [5]}, "looks"),
        ({"looks": [1.5]}, "looks"),
    ],
)
def test_settings_out_of_range_are_refused(given, said):
    with pytest.raises(InvalidSettings, match=said):
        group_sequence(sends_of_four(), [0, 1, 0, 1], **given)


def test_an_effect_that_turns_around_is_refused_instead_of_averaged():
    rng = np.random.default_rng(12)
    before, after = single_sends(rng, 3000, 0.5, (0.9, 0.1)), single_sends(rng, 6000, 0.5, (0.1, 0.9))
    treated = np.concatenate([before[0].treated, after[0].treated])
    sends = GroupedSends.of(treated, np.arange(9000), share=0.5)
    with pytest.raises(UnusableLog, match="No constant mean"):
        group_sequence(sends, np.concatenate([before[1], after[1]]), looks=[3000, 9000])
