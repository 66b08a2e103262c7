"""Whether predictions happen as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from bandit.errors import UnusableLog
from simulator.reliability import log_loss, reliability


def drawn(n=20_000, seed=0, low=0.02, high=0.4):
    rng = np.random.default_rng(seed)
    chances = rng.uniform(low, high, n)
    return chances, (rng.random(n) < chances).astype(np.float64)


@pytest.mark.parametrize("seed", range(4))
def test_honest_predictions_are_found_honest(seed):
    """Slope and intercept within four of their standard errors (.03 and .02); at most 4 of 40 bins lie outside by chance."""
    found = reliability(*drawn(seed=seed))
    assert found.slope == pytest.approx(1.0, abs=0.12)
    assert found.intercept == pytest.approx(0.0, abs=0.08)
    assert found.n_agreeing >= 8
    assert found.log_loss < found.base_log_loss


def test_exaggerated_differences_show_in_the_slope_and_a_wrong_mean_in_the_intercept():
    chances, happened = drawn()
    centre = logit(happened.mean())
    exaggerated = reliability(expit(centre + 2.0 * (logit(chances) - centre)), happened)
    assert exaggerated.slope == pytest.approx(0.5, abs=0.06)
    assert exaggerated.n_agreeing <= 3
    shifted = reliability(expit(logit(chances) + 0.7), happened)
    assert shifted.intercept == pytest.approx(-0.7, abs=0.08)
    assert shifted.slope == pytest.approx(1.0, abs=0.12)
    assert shifted.n_agreeing == 0


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 12), st.integers(0, 1000))
def test_bins_hold_every_row_once_in_order_and_their_limits_hold_their_rate(n, n_bins, seed):
    chances, happened = drawn(n, seed)
    bins = reliability(chances, happened, n_bins).bins
    assert sum(one.n for one in bins) == n
    assert len(bins) == min(n, n_bins)
    assert [one.predicted for one in bins] == sorted(one.predicted for one in bins)
    assert sum(one.n * one.observed for one in bins) == pytest.approx(happened.sum())
    assert all(one.ci_lower <= one.observed <= one.ci_upper for one in bins)


def test_limits_are_wilsons():
    """10 of 100: Wilson (1927) gives .0552 to .1744."""
    (one,) = reliability(np.full(100, 0.1), np.repeat([1.0, 0.0], [10, 90]), 1).bins
    assert (one.ci_lower, one.ci_upper) == pytest.approx((0.05523, 0.17437), abs=1e-5)


def test_log_loss_of_the_mean_is_the_entropy_and_certainty_is_never_infinite():
    happened = np.repeat([1.0, 0.0], [25, 75])
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert reliability(np.full(100, 0.25), happened).base_log_loss == pytest.approx(entropy)
    assert np.isfinite(log_loss(1.0 - happened, happened))


@pytest.mark.parametrize("seldom", [0.0, 1.0])
def test_what_never_or_always_happens_is_no_error(seldom):
    found = reliability(np.full(500, 0.5), np.full(500, seldom))
    assert np.isfinite([found.intercept, found.slope, found.log_loss]).all()
    assert found.n_agreeing == 0


@pytest.mark.parametrize(("predicted", "happened"), [([], []), ([1.2], [1.0]), ([np.nan], [1.0]), ([0.5], [0.5])])
def test_what_is_no_probability_is_refused(predicted, happened):
    with pytest.raises(UnusableLog, match="predictions must be probabilities of something that happened or did not"):
        reliability(np.array(predicted), np.array(happened))
