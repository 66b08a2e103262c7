"""What exploring costs: the parts of a campaign's regret, held against rewards that are written down in a table."""

from __future__ import annotations

from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.exploration_cost import losses_of
from simulator.replay import Stage
from simulator.replayed import ReplayedStage
from simulator.truth import Truth
from simulator.world import Arrival, ChoiceGrid

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def campaign(worlds):
    """Four arms and a floor of a tenth."""
    return worlds.campaign(policy={"name": "squarecb", "floor": 0.1}, dimension=[worlds.dimension("d0", *"abcd")])


class _Table:
    """A world whose rewards are a table: customer by choice."""

    window = timedelta(hours=1)

    def __init__(self, rewards, *sizes):
        self.rewards = np.asarray(rewards)
        self.choices = ChoiceGrid({f"d{d}": tuple("abcdefgh"[:size]) for d, size in enumerate(sizes)})

    def expected_rewards(self, contexts):
        return self.rewards[[context["who"] for context in contexts]]


def _stage(campaign, world, who, picks, pmfs, groups=None):
    """A stage in which these picks were drawn from these pmfs."""
    at = np.arange(len(picks))
    rewards = world.rewards[who]
    index = np.ravel_multi_index(tuple(np.array(picks).T), world.choices.shape)
    truth = Truth(rewards[at, index], rewards.mean(axis=1), rewards.max(axis=1))
    propensities = np.stack([pmf[at, np.array(picks)[:, d]] for d, pmf in enumerate(pmfs)], axis=1)
    arrivals = [Arrival(f"c{one}", NOON, {"who": int(one)}) for one in who]
    made = ReplayedStage(
        campaign, arrivals, np.array(groups or ["learner"] * len(picks)), np.array(picks), propensities,
        tuple(pmfs), np.zeros(len(picks)), np.zeros(len(picks)), truth,
    )  # fmt: skip
    return Stage(world, campaign, len(picks)), made


def test_the_floor_costs_its_share_of_the_way_from_favourite_to_random(campaign):
    """One dimension: exactly floor x (favourite - uniform), whatever was drawn."""
    rng = np.random.default_rng(0)
    world, who = _Table(rng.random((5, 4)), 4), np.arange(5).repeat(4)
    pmf = np.full((20, 4), 0.1 / 4)
    pmf[:, 2] += 0.9
    stage, made = _stage(campaign, world, who, [(arm % 4,) for arm in range(20)], [pmf])
    rewards = world.rewards[who]
    found = losses_of(stage, made)
    assert found.floor == pytest.approx(0.1 * (rewards[:, 2] - rewards.mean(axis=1)).sum())
    assert found.unknown == pytest.approx((rewards.max(axis=1) - rewards[:, 2]).sum())
    assert found.total == pytest.approx((made.truth.best - made.truth.values).sum())


def test_sends_before_anything_was_learned_are_told_from_exploration(campaign):
    world, who = _Table([[0.0, 0.1, 0.2, 0.3]], 4), np.zeros(4, dtype=int)
    even, eligible = np.full((2, 4), 0.25), np.array([[0.5, 0.0, 0.5, 0.0], [0.0, 0.0, 1.0, 0.0]])
    stage, made = _stage(campaign, world, who, [(0,), (1,), (0,), (2,)], [np.concatenate([even, eligible])])
    found = losses_of(stage, made)
    assert found.waiting == pytest.approx(0.3 + 0.2 + 0.3)
    assert found.exploration + found.unknown + found.floor == pytest.approx(0.1)


def test_each_group_pays_for_its_own_sends(campaign):
    world, who = _Table([[0.0, 0.1, 0.2, 0.3]], 4), np.zeros(3, dtype=int)
    stage, made = _stage(
        campaign, world, who, [(0,), (1,), (3,)], [np.full((3, 4), 0.25)], ["control", "random", "learner"]
    )
    found = losses_of(stage, made)
    assert astuple(found) == pytest.approx((0.3, 0.2, 0.0, 0.0, 0.0, 0.0))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), floor=st.floats(0.0, 0.9))
def test_with_two_dimensions_the_parts_are_right_on_average_over_the_draws(worlds, seed, floor):
    """Every path once, weighed by its probability: the mean over all draws, which must be what the policies differ by."""
    rng = np.random.default_rng(seed)
    rewards, own = rng.random(6), [rng.dirichlet(np.ones(2)), rng.dirichlet(np.ones(3), size=2)]
    first, second = ((1.0 - floor) * pmf + floor / pmf.shape[-1] for pmf in own)
    table = rewards.reshape(2, 3)
    campaign = worlds.campaign(
        policy={"name": "squarecb", "floor": floor},
        dimension=[worlds.dimension("d0", *"ab"), worlds.dimension("d1", *"abc")],
    )
    world, mean = _Table([rewards], 2, 3), np.zeros(3)
    for one, other in product(range(2), range(3)):
        pmfs = [first[np.newaxis], second[np.newaxis, one]]
        found = losses_of(*_stage(campaign, world, np.zeros(1, dtype=int), [(one, other)], pmfs))
        mean += first[one] * second[one, other] * np.array([found.floor, found.unknown, found.total])
    as_played, bare = (float(p @ (q * table).sum(axis=1)) for p, q in ((first, second), own))
    leader = int(first.argmax())
    favourite = table[leader, second[leader].argmax()]
    expected = (bare - as_played, rewards.max() - favourite, rewards.max() - as_played)
    assert mean == pytest.approx(expected, abs=1e-9)
