"""Classification as a bandit: the right class pays, and contexts are rows of the data."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.multiclass import MulticlassWorld
from simulator.truth import value_of
from simulator.world import ImpossibleWorld

ROWS = np.array([[1.0, 10.0], [2.0, 10.0], [3.0, 30.0], [4.0, 20.0]])
LABELS = np.array([0, 1, 2, 1])


@pytest.fixture
def world():
    return MulticlassWorld(0, ROWS, LABELS, n_customers=200)


def test_only_the_right_class_is_rewarded(world):
    rewards = world.expected_rewards(world.contexts)
    assert (rewards.sum(axis=1) == 1.0).all()
    for number, arrival in enumerate(world.arrivals(50)):
        right = world.best_choice(arrival.context)[0]
        for choice in world.choices:
            assert bool(world.react(arrival, choice, decision_id=f"d{number}")) == (choice == right)


def test_contexts_are_rows_scaled_to_0_to_1_drawn_with_replacement(world):
    drawn = {(context["f0"], context["f1"]) for context in world.contexts}
    assert drawn == {(0.0, 0.0), (1 / 3, 0.0), (2 / 3, 1.0), (1.0, 0.5)}


def test_the_value_of_a_uniform_choice_is_the_mean_over_classes():
    world = MulticlassWorld(0, ROWS, LABELS, n_customers=50, low=0.02, high=0.08)
    truth = value_of(world, world.arrivals(50), lambda _: np.full(3, 1 / 3))
    assert truth.value == pytest.approx(0.04)
    assert world.uniform_value(world.contexts[0]) == pytest.approx(0.04)
    assert truth.gap == pytest.approx(0.0, abs=1e-9)


def test_one_expected_reward_equals_its_entry_among_all(world):
    for context, row in zip(world.contexts[:10], world.expected_rewards(world.contexts[:10]), strict=True):
        assert [world.expected_reward(context, choice) for choice in world.choices] == row.tolist()


def test_the_same_seed_draws_the_same_rows(world):
    assert MulticlassWorld(0, ROWS, LABELS, n_customers=200).contexts == world.contexts
    assert MulticlassWorld(1, ROWS, LABELS, n_customers=200).contexts != world.contexts


def test_a_constant_column_is_0_for_everybody():
    world = MulticlassWorld(0, np.array([[5.0, 1.0], [5.0, 2.0]]), np.array([0, 1]), n_customers=4)
    assert {context["f0"] for context in world.contexts} == {0.0}


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({"features": ROWS[:3]}, "give a row a label"),
        ({"features": np.where(ROWS == 4.0, np.nan, ROWS)}, "finite"),
        ({"labels": np.zeros(4, dtype=np.int64)}, "at least two"),
        ({"features": np.ones((4, 2))}, "different labels"),
        ({"low": 0.5, "high": 0.5}, "in order"),
        ({"n_customers": 0}, "at least one customer"),
    ],
)
def test_impossible_data_is_refused_with_advice(changed, advice):
    arguments = {"features": ROWS, "labels": LABELS, "n_customers": 5, **changed}
    with pytest.raises(ImpossibleWorld, match=advice):
        MulticlassWorld(0, **arguments)


def test_a_context_that_is_no_row_has_no_true_reward(world):
    with pytest.raises(ImpossibleWorld, match="no row"):
        world.expected_reward({"f0": 0.123, "f1": 0.0}, {"label": "0"})
