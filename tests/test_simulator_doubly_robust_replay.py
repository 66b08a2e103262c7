"""Doubly robust replay: every row counts, and the value is right however wrong the model."""

from __future__ import annotations

import dataclasses
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
from simulator.doubly_robust_replay import DoublyRobustReplay
from simulator.email_worlds import email12
from simulator.rejection import RandomisedRow, Rejection

ARMS = ("a", "b", "c")
CHANCE = {"x": (0.6, 0.3, 0.1), "y": (0.1, 0.4, 0.7)}
UNEQUAL = {"x": (0.7, 0.2, 0.1), "y": (0.1, 0.6, 0.3)}
"""How the log was drawn: arms that do well were sent more often."""
EQUAL = dict.fromkeys("xy", (1 / 3, 1 / 3, 1 / 3))
SHARE_X = 0.4


def drawn_log(n, propensities, *, seed):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        context = "x" if rng.random() < SHARE_X else "y"
        arm = int(rng.choice(3, p=propensities[context]))
        reward = float(rng.random() < CHANCE[context][arm])
        rows.append(RandomisedRow({"who": context}, ARMS[arm], reward, reward, propensities[context][arm]))
    return rows


def true_model(rows):
    return np.array([CHANCE[row.context["who"]] for row in rows])


def wrong_model(rows):
    """Far too hopeful, and the wrong way round."""
    return 0.95 - 0.2 * true_model(rows)


def truth_of(arm):
    return SHARE_X * CHANCE["x"][arm] + (1 - SHARE_X) * CHANCE["y"][arm]


def settings_of(policy=None, *, name="squarecb"):
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
    return campaign, policies, learner_for(campaign.learner, policy.needs)


def replay_of(policy=None, *, seed=0, **settings):
    return DoublyRobustReplay(*settings_of(policy), seed, **settings)


def always(arm):
    return Floor(Fixed((arm,)), 0.0)


UNIFORM = Floor(Uniform(), 0.0)


@pytest.mark.parametrize("model", [true_model, wrong_model])
@pytest.mark.parametrize("arm", range(3), ids=ARMS)
def test_a_fixed_policy_is_valued_without_bias_whatever_the_model_and_the_propensities(arm, model):
    """Within 4 standard errors each, over four logs together: the wrong model's own bias would be more."""
    apart, variance = 0.0, 0.0
    for seed in range(4):
        rows = drawn_log(2000, UNEQUAL, seed=seed)
        found = replay_of(always(arm), seed=seed, least_propensity=0.1).replay(rows, model(rows))
        apart += found.value - truth_of(arm)
        variance += found.se**2
    assert abs(apart) < 4.0 * variance**0.5
    direct = model(rows)[:, arm].mean() - truth_of(arm)
    assert model is true_model or abs(direct) > 4.0 * variance**0.5 / 4.0


def test_a_uniform_policy_on_a_uniform_log_earns_its_plain_mean():
    rows = drawn_log(3000, EQUAL, seed=1)
    mean = np.mean([row.reward for row in rows])
    found = replay_of(UNIFORM).replay(rows, true_model(rows))
    assert found.value == pytest.approx(mean, abs=0.2 * found.se)
    exact = replay_of(UNIFORM).replay(rows, np.full((3000, 3), 0.37))
    assert exact.value == pytest.approx(mean, rel=1e-12)
    assert exact.logged_mean == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize(("policy", "most"), [(UNIFORM, 0.6), (always(0), 0.95)])
def test_the_same_log_says_more_than_by_rejection(policy, most):
    rows = drawn_log(3000, EQUAL, seed=2)
    found = replay_of(policy, least_propensity=1 / 3).replay(rows, true_model(rows))
    kept = np.array(Rejection(*settings_of(policy), 1 / 3, 0).replay(rows).rewards)
    assert found.se < most * kept.std() / len(kept) ** 0.5


def test_the_standard_error_is_the_spread_over_logs():
    """Ratio of two standard deviations of 50 logs each: within a third."""
    values, errors = [], []
    for seed in range(50):
        rows = drawn_log(200, UNEQUAL, seed=100 + seed)
        found = replay_of(always(1), seed=seed, least_propensity=0.1).replay(rows, true_model(rows))
        values.append(found.value)
        errors.append(found.se)
    assert 0.67 < np.std(values) / np.mean(errors) < 1.5


def test_in_a_known_world_a_fixed_policy_is_valued_within_three_standard_errors():
    world = email12(0, 3000)
    truth = world.expected_rewards(world.contexts)
    rng = np.random.default_rng(5)
    arms = world.choices.dimensions["subject"]
    rows = []
    for i, arrival in enumerate(world.arrivals(3000)):
        arm = int(rng.integers(12))
        reward = float(bool(world.react(arrival, {"subject": arms[arm]}, decision_id=f"d{i}")))
        rows.append(RandomisedRow({}, arms[arm], reward, reward, 1 / 12))
    best = int(truth.mean(axis=0).argmax())
    campaign = Campaign(
        "e", Schema(()), (Dimension("subject", tuple(map(Arm, arms))),), RewardSpec(timedelta(hours=1), {"reward": 1.0})
    )
    policies = dict.fromkeys(Group, always(best))
    kind = learner_for(campaign.learner, always(best).needs)
    found = DoublyRobustReplay(campaign, policies, kind, 0, 1 / 12).replay(rows, truth)
    assert abs(found.value - truth[:, best].mean()) < 3.0 * found.se
    assert found.n_accepted == sum(row.arm == arms[best] for row in rows)


def test_a_policy_that_learns_gets_better_along_its_own_time():
    rows = drawn_log(4000, EQUAL, seed=3)
    found = replay_of(update_every=50, least_propensity=1 / 3).replay(rows, true_model(rows))
    curve = found.curve(8)
    assert [point.n_lived for point in curve] == sorted(point.n_lived for point in curve)
    assert len(curve) == 8
    late, se = np.mean([point.value for point in curve[4:]]), sum(point.se**2 for point in curve[4:]) ** 0.5 / 4
    assert late > curve[0].value + 3.0 * (se**2 + curve[0].se ** 2) ** 0.5
    assert late < SHARE_X * 0.6 + (1 - SHARE_X) * 0.7 + 4.0 * se
    assert found.n_accepted == pytest.approx(4000 / 3, abs=5.0 * (4000 * 2 / 9) ** 0.5)
    assert np.average([point.value for point in curve]) == pytest.approx(found.value, abs=0.2 * found.se)


def test_a_policy_lives_longer_where_readiness_may_grow():
    rows = drawn_log(2000, EQUAL, seed=4)
    careful = replay_of(UNIFORM, least_propensity=1 / 3).replay(rows, true_model(rows))
    ready = replay_of(UNIFORM).replay(rows, true_model(rows))
    assert ready.n_accepted == 2000 > 2 * careful.n_accepted
    assert set(ready.weights.tolist()) == {1.0}
    certain = replay_of(always(0)).replay(rows, true_model(rows))
    assert certain.n_accepted == sum(row.arm == "a" for row in rows)
    assert certain.weights[-1] == pytest.approx(1 / 3)


def test_held_out_rows_are_never_learned_from_and_only_they_count():
    rows = drawn_log(1500, EQUAL, seed=6)
    turned = [*rows[:1000], *(dataclasses.replace(row, scaled_reward=1 - row.scaled_reward) for row in rows[1000:])]
    held = replay_of(learn_rows=1000, update_every=50)
    first, second = (held.replay(some, true_model(rows)) for some in (rows, turned))
    assert len(first.scores) == 500
    assert first.value == second.value
    learning = replay_of(update_every=50)
    assert learning.replay(rows, true_model(rows)).value != learning.replay(turned, true_model(rows)).value


def test_what_is_learned_does_not_depend_on_the_model():
    rows = drawn_log(1200, EQUAL, seed=7)
    one, other = (replay_of(update_every=50).replay(rows, model(rows)) for model in (true_model, wrong_model))
    assert np.array_equal(one.lived, other.lived)
    assert one.value != other.value


def test_the_same_seed_lives_the_same_life_and_another_another():
    rows = drawn_log(600, UNEQUAL, seed=8)
    one, again, other = (
        replay_of(seed=seed, least_propensity=0.1).replay(rows, true_model(rows)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.scores, again.scores)
    assert not np.array_equal(one.lived, other.lived)


def test_what_cannot_be_replayed_is_refused(worlds):
    _, policies, kind = settings_of()
    with pytest.raises(UnusableLog, match=r"2 dimensions.*Fit a world to it instead"):
        DoublyRobustReplay(worlds.campaign(), policies, kind, 0)
    with pytest.raises(UnusableLog, match="none of 0 rows was counted"):
        replay_of().replay([], [])
