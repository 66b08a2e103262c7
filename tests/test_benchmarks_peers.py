"""The bandits of other people, as the comparison of learners plays them; skipped where the `bench` group is absent."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from simulator.email_worlds import composite, email12, growing
from simulator.rehearsal import Phase, play

BENCHMARKS = str(Path(__file__).resolve().parent.parent / "benchmarks")


def of_benchmarks(name):
    """A module of benchmarks/, which is a folder of scripts and no package."""
    sys.path.insert(0, BENCHMARKS)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(BENCHMARKS)


contestants, problems, ridge = (of_benchmarks(name) for name in ("contestants", "problems", "ridge"))


@pytest.fixture(autouse=True)
def _packages():
    for package in contestants.PACKAGES:
        pytest.importorskip(package, reason="the bench group is not installed")


def numbers(played, world):
    return [world.choices.index(choice) for choice in played.choices]


def run_of(peer, phases, batch, name="email12"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the packages' own affairs
        run = contestants.Run(problems.PROBLEMS[name], phases, batch, 0)
        return play(phases, peer.make(run), batch=batch)


@pytest.mark.parametrize("batch", [50, 400])
def test_the_ridge_twin_makes_mabwisers_linucb_choices(batch):
    """Both are updated a batch at a time, from the same random first batch: every choice is equal."""
    world = email12(3, 1200)
    (mabwiser,) = [peer for peer in contestants.PEERS if peer.name == "mabwiser LinUCB"]
    twin = contestants.PeerDecider(contestants.partial(contestants.Ridge, alpha=0.05, is_drawn=False), 0)
    theirs, ours = run_of(mabwiser, [Phase(world, 1200)], batch), play([Phase(world, 1200)], twin, batch=batch)
    assert numbers(theirs, world) == numbers(ours, world)


@pytest.mark.parametrize("rows", [1, 3])
def test_rank_one_updates_equal_solving_at_once(rows):
    rng = np.random.default_rng(0)
    features, arms, rewards = rng.random((60, 5)), rng.integers(2, size=60), rng.random(60)
    at_once, by_row = ridge.RidgeBandit(5, 2, 0.3), ridge.RidgeBandit(5, 2, 0.3)
    at_once.update(features, arms, rewards)
    for first in range(0, 60, rows):
        part = slice(first, first + rows)
        by_row.update(features[part], arms[part], rewards[part])
    assert (at_once.choose(features) == by_row.choose(features)).all()


def test_the_twin_of_lints_draws_each_arm_from_mabwisers_distribution():
    """Means and standard deviations of 4,000 draws for one context differ by less than 5 standard errors."""
    rng = np.random.default_rng(0)
    features, arms = rng.random((300, 4)), rng.integers(3, size=300)
    rewards = (rng.random(300) < 0.3).astype(float)
    mab = importlib.import_module("mabwiser.mab")
    theirs = mab.MAB([0, 1, 2], mab.LearningPolicy.LinTS(alpha=1.0), seed=1)
    theirs.fit(arms, rewards, features)
    ours = ridge.RidgeBandit(4, 3, 1.0, np.random.default_rng(2))
    ours.update(features, arms, rewards)
    same = np.tile(features[:1], (4000, 1))
    one = np.array([[draws[k] for k in range(3)] for draws in theirs.predict_expectations(same)])
    other = ours.values(same)
    error = one.std(axis=0) * np.sqrt(2 / 4000)
    assert (np.abs(one.mean(axis=0) - other.mean(axis=0)) < 5 * error).all()
    assert (np.abs(one.std(axis=0) - other.std(axis=0)) < 5 * error).all()


@pytest.mark.parametrize("peer", contestants.PEERS, ids=lambda peer: peer.name)
def test_every_peer_plays_on_when_new_arms_arrive_or_says_why_not(peer):
    if peer.refuses(problems.PROBLEMS["new-arms"], 1000):
        pytest.skip(peer.refuses(problems.PROBLEMS["new-arms"], 1000))
    before, after = growing(0, 1600)
    played = run_of(peer, [Phase(before, 800), Phase(after, 800)], 200, "new-arms")
    assert {choice["subject"] for choice in played.choices[800:]} - set(before.choices.dimensions["subject"])


@pytest.mark.parametrize("peer", contestants.PEERS, ids=lambda peer: peer.name)
def test_every_peer_plays_the_same_run_again(peer):
    world = email12(1, 400)
    first, again = (run_of(peer, [Phase(world, 400)], 100) for _ in range(2))
    assert first.choices == again.choices


def test_on_composites_every_peer_either_plays_or_says_why_not():
    world = composite(0, 60)
    for peer in contestants.PEERS:
        if not peer.refuses(problems.PROBLEMS["composite-some"], 2000):
            assert len(run_of(peer, [Phase(world, 60)], 20, "composite-some").choices) == 60
