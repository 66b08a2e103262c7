"""Click worlds keep their promises: base rate, size of the prize, the same luck for all, and what changes half-way."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from simulator.click_world import ClickEffects, ClickWorld, features_of
from simulator.email_worlds import ATTRIBUTES, BASE_RATE, composite, drifting, email4d, email12, email12hi, growing
from simulator.response import Attributes
from simulator.world import Arrival, ChoiceGrid, ImpossibleWorld

WORLDS = {
    "email12": email12,
    "email12hi": email12hi,
    "email4d": email4d,
    "none": lambda seed, n: composite(seed, n, interactions="none"),
    "strong": lambda seed, n: composite(seed, n, interactions="strong"),
    "after drift": lambda seed, n: drifting(seed, n)[1],
    "after new arms": lambda seed, n: growing(seed, n)[1],
}


@pytest.fixture(scope="module")
def world():
    return email12(0, 2000)


@pytest.mark.parametrize("name", WORLDS)
def test_a_uniform_choice_is_clicked_at_the_base_rate(name):
    world = WORLDS[name](3, 1500)
    uniform = world.expected_rewards(world.contexts[:400]).mean()
    assert uniform == pytest.approx(BASE_RATE, rel=0.06)  # 400 customers of 1,500: their own rates vary


@pytest.mark.parametrize(
    ("make", "low", "high"),
    [
        (WORLDS["email12"], 1.4, 1.7),
        (WORLDS["email12hi"], 1.9, 2.5),
        (WORLDS["none"], 2.2, 2.8),
        (composite, 2.5, 3.1),
        (WORLDS["strong"], 3.4, 4.4),
    ],
    ids=["email12", "email12hi", "none", "some", "strong"],
)
def test_the_best_choice_is_worth_as_many_times_uniform_as_documented(make, low, high):
    ratios = []
    for seed in range(4):
        world = make(seed, 400)
        rewards = world.expected_rewards(world.contexts[:200])
        ratios.append(rewards.max(axis=1).mean() / rewards.mean())
    assert low < np.mean(ratios) < high


@pytest.mark.parametrize("name", WORLDS)
def test_one_expected_reward_equals_its_entry_among_all(name):
    world = WORLDS[name](1, 50)
    rewards = world.expected_rewards(world.contexts[:3])
    for context, row in zip(world.contexts, rewards, strict=False):
        for number in np.linspace(0, len(world.choices) - 1, 7).astype(int).tolist():
            assert world.expected_reward(context, world.choices.at(number)) == pytest.approx(row[number], rel=1e-12)


def test_the_best_choice_and_the_uniform_value_are_those_of_the_expected_rewards(world):
    context = world.contexts[7]
    rewards = world.expected_rewards([context])[0]
    choice, value = world.best_choice(context)
    assert (world.choices.index(choice), value) == (rewards.argmax(), rewards.max())
    assert world.uniform_value(context) == pytest.approx(rewards.mean())


def test_clicks_of_random_choices_average_to_their_expected_rewards(world):
    picks = np.random.default_rng(9).integers(len(world.choices), size=2000).tolist()
    errors = []
    for number, (arrival, pick) in enumerate(zip(world.arrivals(2000), picks, strict=True)):
        choice = world.choices.at(pick)
        clicks = len(world.react(arrival, choice, decision_id=f"d{number}"))
        errors.append(clicks - world.expected_reward(arrival.context, choice))
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))


def test_whoever_clicks_a_choice_clicks_every_more_probable_one_in_the_same_decision(world):
    """Common random numbers: two policies that decide the same send differ by their choices, never by luck."""
    for number, arrival in enumerate(world.arrivals(300)):
        clicked = [bool(world.react(arrival, choice, decision_id=f"d{number}")) for choice in world.choices]
        rewards = world.expected_rewards([arrival.context])[0]
        assert max(rewards[~np.array(clicked)], default=0.0) < min(rewards[clicked], default=1.0)


def test_one_customer_gets_one_send_in_time_order_and_returns_only_when_all_have_had_theirs():
    world = email12(0, 5)
    arrivals = list(world.arrivals(7))
    assert [arrival.customer_id for arrival in arrivals] == ["c0", "c1", "c2", "c3", "c4", "c0", "c1"]
    assert arrivals == sorted(arrivals, key=lambda arrival: arrival.at)
    assert arrivals[5].context == arrivals[0].context == world.contexts[0]


def test_the_same_seed_gives_the_same_world_and_another_seed_another():
    first, again, other = (email4d(seed, 20).expected_rewards(email4d(0, 20).contexts) for seed in (5, 5, 6))
    assert (first == again).all()
    assert not np.allclose(first, other)


def test_drift_changes_the_arms_that_it_draws_again_and_no_others():
    before, after = drifting(2, 3000, share=0.5)
    same = np.isclose(before.effects.fit, after.effects.fit).all(axis=0)
    assert same.sum() == 6
    assert np.allclose(before.effects.arms[same], after.effects.arms[same])
    assert len(before.contexts) == len(after.contexts) == 1500


def test_drift_of_no_arm_changes_nothing():
    before, after = drifting(2, 3000, share=0.0)
    assert np.allclose(before.expected_rewards(after.contexts[:50]), after.expected_rewards(after.contexts[:50]))


def test_arms_that_were_there_before_keep_their_effects_when_new_ones_arrive():
    before, after = growing(4, 200)
    context = after.contexts[0]
    assert len(before.choices), len(after.choices) == (8, 12)
    for choice in before.choices:
        assert after.expected_reward(context, choice) == before.expected_reward(context, choice)
        arm = choice["subject"]
        assert after.arm_features["subject"][arm] == before.arm_features["subject"][arm]


def test_declared_features_explain_most_of_what_arms_do():
    """Four fifths of the variance of an effect, over many seeds; with twelve arms and seven features a fit explains more."""
    shares = []
    for seed in range(20):
        world = growing(seed, 20, n_arms=60)[1]
        declared = list(world.arm_features["subject"].values())
        tones, topics = sorted({d["tone"] for d in declared}), sorted({d["topic"] for d in declared})
        columns = np.array([
            [*(d["tone"] == t for t in tones), *(d["topic"] == t for t in topics), d["length"]] for d in declared
        ]).astype(float)  # fmt: skip
        effects = world.effects.fit.T
        fitted = columns @ np.linalg.lstsq(columns, effects, rcond=None)[0]
        shares.append(1 - np.square(effects - fitted).mean() / np.square(effects).mean())
    assert 0.7 < np.mean(shares) < 0.9


def test_features_are_indicators_and_then_numbers_from_0_to_1():
    features = features_of(ATTRIBUTES, email12(0, 100).contexts)
    assert features.shape == (100, 29)
    assert (features[:, :26].sum(axis=1) == 6).all()
    assert ((features[:, 26:] >= 0) & (features[:, 26:] <= 1)).all()


def test_a_context_without_numbers_or_without_categories_has_features_too():
    assert features_of(Attributes({"plan": ("free", "paid")}, {}), [{"plan": "free"}]).tolist() == [[1.0, 0.0]]
    assert features_of(Attributes({}, {"age": (0.0, 2.0)}), [{"age": 1.0}, {"age": 2.0}]).tolist() == [[0.5], [1.0]]


def test_effects_of_other_sizes_are_refused_with_both_sizes_named():
    choices, none = ChoiceGrid({"subject": ["a", "b"]}), np.zeros(2)
    effects = ClickEffects(0.0, none, np.zeros(3), np.zeros((2, 3)))
    with pytest.raises(ImpossibleWorld, match="has 2 features and 2 arms"):
        ClickWorld(0, choices, Attributes({"plan": ("free", "paid")}, {}), [{"plan": "free"}], effects)


def test_impossible_requests_are_refused():
    world = email12(0, 3)
    with pytest.raises(ImpossibleWorld, match="0 or more"):
        next(world.arrivals(-1))
    with pytest.raises(ImpossibleWorld, match="engagement"):
        world.expected_rewards([{**world.contexts[0], "engagement": "great"}])
    with pytest.raises(ImpossibleWorld, match="subject"):
        world.react(next(world.arrivals(1)), {"subject": "unknown"}, decision_id="d")
    with pytest.raises(ImpossibleWorld, match="at least one customer"):
        email12(0, 0)
    with pytest.raises(ImpossibleWorld, match="share"):
        drifting(0, share=1.5)
    with pytest.raises(ImpossibleWorld, match="arrive"):
        growing(0, n_first=12)


def test_a_world_can_be_sent_to_another_process(world):
    arrival = next(world.arrivals(1))
    copied = pickle.loads(pickle.dumps(world))
    assert isinstance(arrival, Arrival)
    assert copied.uniform_value(arrival.context) == world.uniform_value(arrival.context)
