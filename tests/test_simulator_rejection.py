"""Replay by rejection: what is kept is spread as if the policy itself had sent it."""

from __future__ import annotations

import dataclasses
import math
from datetime import timedelta

import numpy as np
import pytest

from bandit import Campaign, Group, RewardSpec, learner_for
from bandit.campaign import PolicySpec
from bandit.dimension import Arm, Dimension
from bandit.errors import UnusableLog
from bandit.schema import CategoricalField, Schema
from policies import policy_of
from policies.fixed import Fixed
from policies.floor import Floor
from policies.uniform import Uniform
from simulator.rejection import RandomisedRow, Rejection, Replayed

ARMS = ("a", "b", "c")
CHANCE = {"x": (0.6, 0.3, 0.1), "y": (0.1, 0.4, 0.7)}
"""Probability of a reward by context and arm."""
UNEQUAL = {"x": (0.7, 0.2, 0.1), "y": (0.1, 0.6, 0.3)}
"""How the log was drawn: arms that do well were sent more often, so that a plain mean of matches would flatter them."""
EQUAL = dict.fromkeys("xy", (1 / 3, 1 / 3, 1 / 3))
SHARE_X = 0.4


def drawn_log(n, propensities, *, seed):
    """A randomised log with known truth."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        context = "x" if rng.random() < SHARE_X else "y"
        arm = int(rng.choice(3, p=propensities[context]))
        reward = float(rng.random() < CHANCE[context][arm])
        rows.append(RandomisedRow({"who": context}, ARMS[arm], reward, reward, propensities[context][arm]))
    return rows


def truth_of(arm):
    """Expected reward of always sending one arm."""
    return SHARE_X * CHANCE["x"][arm] + (1 - SHARE_X) * CHANCE["y"][arm]


def rejection(policy=None, *, seed=0, least=1 / 3, name="squarecb", **settings):
    """A replay of a learning policy, or of a given one."""
    # With less floor a settled explorer hardly ever tries another arm, and these rows could not show what it learned.
    spec = PolicySpec(name, 0.05)
    campaign = Campaign(
        "log",
        Schema((CategoricalField("who", ("x", "y")),)),
        (Dimension("arm", tuple(map(Arm, ARMS))),),
        RewardSpec(timedelta(hours=1), {"reward": 1.0}),
        policy=spec,
    )
    policy = policy or policy_of(spec)
    policies = {Group.LEARNER: policy, Group.RANDOM: Uniform(), Group.CONTROL: Uniform()}
    return Rejection(campaign, policies, learner_for(campaign.learner, policy.needs), least, seed, **settings)


def always(arm):
    return Floor(Fixed((arm,)), 0.0)


def sd_of_mean(chance, n):
    return math.sqrt(chance * (1 - chance) / n)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("arm", range(3), ids=ARMS)
def test_a_fixed_policy_is_valued_without_bias_though_propensities_differ(seed, arm):
    """Within 4.5 standard deviations each: twelve such tests fail by chance in one run of ten thousand."""
    rows = drawn_log(8000, UNEQUAL, seed=seed)
    replayed = rejection(always(arm), seed=seed, least=0.1).replay(rows)
    kept, truth = replayed.rewards, truth_of(arm)
    assert abs(np.mean(kept) - truth) < 4.5 * sd_of_mean(truth, len(kept))
    assert abs(len(kept) - 800) < 4.5 * math.sqrt(8000 * 0.1 * 0.9)


def test_without_the_correction_the_same_log_would_have_flattered_the_arm():
    """The test above has the power to notice: a plain mean over the matches is far off."""
    rows = drawn_log(8000, UNEQUAL, seed=0)
    for arm in (0, 2):
        matches = [row.reward for row in rows if row.arm == ARMS[arm]]
        assert np.mean(matches) - truth_of(arm) > 8 * sd_of_mean(truth_of(arm), len(matches))


@pytest.mark.parametrize("seed", range(3))
def test_a_uniform_policy_on_an_equal_log_keeps_one_row_in_k_and_earns_the_mean(seed):
    rows = drawn_log(6000, EQUAL, seed=seed)
    replayed = rejection(Floor(Uniform(), 0.0), seed=seed).replay(rows)
    mean = sum(truth_of(arm) for arm in range(3)) / 3
    assert abs(len(replayed.rewards) - 2000) < 5 * math.sqrt(6000 * (1 / 3) * (2 / 3))
    assert abs(np.mean(replayed.rewards) - mean) < 5 * sd_of_mean(mean, len(replayed.rewards))
    assert replayed.logged_mean == sum(row.reward for row in rows) / 6000


@pytest.mark.parametrize("name", ["squarecb", "native"])
def test_a_learning_policy_earns_more_than_the_log_and_no_more_than_is_possible(name):
    rows = drawn_log(4000, EQUAL, seed=1)
    replayed = rejection(name=name, update_every=50).replay(rows)
    best = SHARE_X * 0.6 + (1 - SHARE_X) * 0.7
    half = len(replayed.rewards) // 2
    assert replayed.last_half_mean > replayed.logged_mean + 4 * sd_of_mean(0.5, half)
    assert replayed.last_half_mean < best + 4 * sd_of_mean(best, half)


@pytest.mark.parametrize("name", ["squarecb", "native"])
def test_held_out_rows_are_never_learned_from_and_only_they_count(name):
    """Rewards carry the row's number, so that what is kept shows which rows were; the learner sees the scaled ones."""
    marked = [dataclasses.replace(row, reward=float(i)) for i, row in enumerate(drawn_log(1500, EQUAL, seed=2))]
    turned = [*marked[:1000], *(dataclasses.replace(row, scaled_reward=1 - row.scaled_reward) for row in marked[1000:])]
    held = rejection(name=name, learn_rows=1000, update_every=50)
    assert held.replay(marked) == held.replay(turned)
    assert min(held.replay(marked).rewards) >= 1000
    learning = rejection(name=name, update_every=50)
    assert learning.replay(marked) != learning.replay(turned)


def test_just_the_kept_rows_are_learned_each_once_with_what_was_logged():
    learned = []
    plain = rejection()

    def listening(campaign):
        learner = plain.kind.fresh(campaign)

        class Listening:
            n_learned = property(lambda _: learner.n_learned)
            snapshot = staticmethod(learner.snapshot)
            heard = learner

            def learn(self, row):
                learned.append(row)
                learner.learn(row)

        return Listening()

    def live(campaign, listening):
        return plain.kind.live(campaign, listening.heard)

    rows = [dataclasses.replace(row, reward=float(i)) for i, row in enumerate(drawn_log(1000, EQUAL, seed=3))]
    replayed = dataclasses.replace(plain, kind=dataclasses.replace(plain.kind, fresh=listening, live=live)).replay(rows)
    assert replayed == plain.replay(rows)
    kept = [rows[int(number)] for number in replayed.rewards]
    assert [(ARMS[row.picks[0]], row.reward) for row in learned] == [(row.arm, row.scaled_reward) for row in kept]
    assert all(0.0 < row.propensities[0] <= 1.0 for row in learned)


def test_the_same_seed_keeps_the_same_rows_and_another_seed_others():
    rows = [dataclasses.replace(row, reward=float(i)) for i, row in enumerate(drawn_log(600, UNEQUAL, seed=4))]
    first, again, other = (rejection(seed=seed, least=0.1).replay(rows) for seed in (1, 1, 2))
    assert first == again
    assert first.rewards != other.rewards


def test_rows_that_come_later_do_not_change_what_was_kept_before():
    rows = [dataclasses.replace(row, reward=float(i)) for i, row in enumerate(drawn_log(600, EQUAL, seed=5))]
    start, whole = rejection(update_every=10).replay(rows[:300]), rejection(update_every=10).replay(rows)
    assert whole.rewards[: len(start.rewards)] == start.rewards


def test_a_log_that_never_meets_the_policy_says_nothing_about_it():
    rows = [row for row in drawn_log(200, EQUAL, seed=6) if row.arm != "c"]
    with pytest.raises(
        UnusableLog, match=r"none of \d+ rows was kept.*check --arm and --propensity, or use a longer log"
    ):
        rejection(always(2)).replay(rows)
    with pytest.raises(UnusableLog, match="none of 0 rows"):
        rejection().replay([])


@pytest.mark.parametrize(("rewards", "mean"), [((1.0,), 1.0), ((9.0, 1.0, 3.0), 2.0), ((0.0, 0.0, 1.0, 0.0), 0.5)])
def test_the_second_half_is_the_later_one_and_the_larger_where_they_differ(rewards, mean):
    assert Replayed(10, 0.0, rewards).last_half_mean == mean
