"""Changes of taste: how far they have come, and what they weigh on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.drift import Change
from simulator.world import ImpossibleWorld

shares = st.floats(0.0, 1.0)
changes = st.tuples(shares, shares).map(sorted).flatmap(
    lambda ends: st.builds(Change, st.just(ends[0]), st.just(ends[1]), st.floats(-3.0, 3.0), st.booleans())
)  # fmt: skip


@given(change=changes)
def test_a_change_never_goes_back_and_is_none_before_it_begins_and_whole_when_it_ends(change):
    elapsed = np.linspace(-0.5, 1.5, 201)
    done = change.done(elapsed)
    assert (np.diff(done) >= 0.0).all()
    assert (done[elapsed < change.begins] == 0.0).all()
    assert (done[elapsed > change.ends] == 1.0).all()


@given(change=changes, elapsed=st.floats(-0.5, 1.5))
def test_weights_keep_the_size_of_effects_on_the_way(change, elapsed):
    before, after = change.weights(np.array([elapsed]))
    assert before[0] ** 2 + after[0] ** 2 == pytest.approx(1.0)
    if not change.turns:
        assert (before[0], after[0]) == (1.0, 0.0)


def test_a_shock_comes_from_one_moment_to_the_next():
    shock = Change(0.5, 0.5, lift=-0.4)
    assert shock.lifts(np.array([0.4999999, 0.5, 0.9])).tolist() == [-0.0, -0.4, -0.4]


def test_a_drift_is_smooth():
    done = Change(0.2, 0.8).done(np.linspace(0.0, 1.0, 10_001))
    assert np.diff(done).max() < 3e-4
    assert np.abs(np.diff(done, n=2)).max() < 2e-7


@pytest.mark.parametrize("ends", [(0.6, 0.5), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
def test_a_change_outside_the_campaign_or_backwards_is_refused(ends):
    with pytest.raises(ImpossibleWorld, match="give shares of it, begins before ends within"):
        Change(*ends)
    with pytest.raises(ImpossibleWorld, match="finite"):
        Change(0.0, 1.0, lift=float("inf"))
