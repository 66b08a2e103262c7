"""Calibration: its curve keeps the order, is right among the least likely, and stays where few cases say little."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from bandit.errors import BrokenSnapshot
from bandit.profile.calibration import (
    Calibration,
    fit_beta,
    fit_calibration,
    fit_sigmoid,
    is_better,
    log_losses,
    mean_log_loss,
    read_calibration,
)
from bandit.profile.outcome_model import chosen_form

LINE = Calibration("sigmoid", (), (0.2, 1.1))
BETA = Calibration("beta", (), (0.1, 1.2, 0.8))
STEPS = Calibration("isotonic", (-1.0, 0.0, 2.0), (-2.0, 0.5, 0.5))


def two_slopes(n, seed):
    """Scores of which low ones are too high: right ones are 1.3 times as far below 0, and .8 times as far above."""
    luck = np.random.default_rng(seed)
    raw = luck.normal(-0.5, 1.8, n)
    truth = Calibration("beta", (), (0.0, 1.3, 0.8)).chances(raw)
    return raw, luck.random(n) < truth, truth


def test_two_slopes_are_right_in_the_lowest_tenth_where_one_is_not():
    raw, happened, truth = two_slopes(60_000, 5)
    lowest = np.argsort(raw)[:6000]
    two, one = (
        fit(raw, happened).chances(raw)[lowest].mean() / truth[lowest].mean() for fit in (fit_beta, fit_sigmoid)
    )
    assert two == pytest.approx(1.0, abs=0.06)
    assert abs(one - 1.0) > 0.2


def test_the_slopes_found_are_those_that_made_the_cases():
    raw, happened, _ = two_slopes(100_000, 6)
    assert fit_beta(raw, happened).heights == pytest.approx((0.0, 1.3, 0.8), abs=0.08)


@given(seed=st.integers(0, 10_000), n=st.integers(20, 300), stretch=st.floats(-3.0, 3.0))
def test_beta_calibration_keeps_the_order_whatever_the_scores(seed, n, stretch):
    luck = np.random.default_rng(seed)
    raw = luck.normal(size=n)
    happened = luck.random(n) < expit(stretch * raw)
    happened[:2] = [True, False]
    chances = fit_beta(raw, happened).chances(np.linspace(-8.0, 8.0, 60))
    assert (np.diff(chances) > 0).all()
    assert ((chances > 0.0) & (chances < 1.0)).all()


def test_few_cases_leave_the_slopes_where_they_were():
    raw, happened, _ = two_slopes(40, 7)
    _, low, high = fit_beta(raw, happened).heights
    assert 0.6 < low < 1.4
    assert 0.6 < high < 1.4


def test_a_slope_that_no_case_speaks_of_stays_1():
    luck = np.random.default_rng(8)
    raw = luck.normal(-5.0, 0.5, 20_000)
    assert fit_beta(raw, luck.random(20_000) < expit(raw)).heights[2] == pytest.approx(1.0, abs=0.02)


@given(
    curve=st.sampled_from([LINE, BETA, STEPS]),
    seed=st.integers(0, 10_000),
    n_happened=st.integers(1, 49),
    away=st.floats(-20.0, 20.0),
)
def test_a_curve_that_is_moved_gives_the_share_that_came_true(curve, seed, n_happened, away):
    raw = np.random.default_rng(seed).normal(away, 2.0, 50)
    moved = curve.moved(raw, np.arange(50) < n_happened)
    assert moved.chances(raw).mean() == pytest.approx(n_happened / 50, abs=1e-9)
    steps = moved.scores(raw) - curve.scores(raw)
    assert np.ptp(steps) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("curve", [LINE, BETA, STEPS])
def test_every_calibration_survives_json(curve):
    assert read_calibration(json.loads(json.dumps(curve.document()))) == curve


@pytest.mark.parametrize(
    "document",
    [
        {"method": "spline", "knots": [], "heights": [0.0, 1.0]},
        {"method": "beta", "knots": [], "heights": [0.0, 1.0]},
        {"method": "isotonic", "knots": [0.0, 1.0], "heights": [0.0]},
        {"method": "isotonic", "knots": [], "heights": []},
        {"method": "isotonic", "knots": [], "heights": [0.5]},
        {"method": "isotonic", "knots": [1.0, 1.0], "heights": [0.0, 1.0]},
        {"method": "isotonic", "knots": [1.0, 0.0], "heights": [0.0, 1.0]},
        {"method": "isotonic", "knots": [math.nan], "heights": [0.0]},
        {"method": "isotonic", "knots": [0.0, math.nan], "heights": [0.0, 1.0]},
        {"method": "isotonic", "knots": [0.0, math.inf], "heights": [0.0, 1.0]},
        {"method": "isotonic", "knots": [0.0, 1.0], "heights": [0.0, math.nan]},
        {"method": "sigmoid", "knots": [], "heights": [0.0, math.nan]},
        {"method": "beta", "knots": [], "heights": [0.0, -1.0, 1.0]},
        {"method": "beta", "knots": [], "heights": [0.0, 1.0, 0.0]},
        {"method": "beta", "knots": [], "heights": [0.0, 1.0, math.nan]},
    ],
)
def test_a_calibration_that_this_version_did_not_write_is_refused(document):
    with pytest.raises(BrokenSnapshot, match="make the models anew"):
        read_calibration(document)
    with pytest.raises(BrokenSnapshot, match="make the models anew"):
        Calibration(document["method"], tuple(document["knots"]), tuple(document["heights"]))


def test_steps_are_taken_for_a_shape_that_two_slopes_cannot_follow_and_for_no_other():
    luck = np.random.default_rng(9)
    raw, folds = luck.normal(0.0, 2.0, 20_000), luck.random(20_000)
    stairs = np.where(np.abs(raw) < 2.0, 0.5, np.where(raw < 0.0, 0.1, 0.9))
    found = fit_calibration(raw, luck.random(20_000) < stairs, folds, smooth=fit_beta, margin=2.0)
    assert found.method == "isotonic"
    bent, happened, _ = two_slopes(20_000, 9)
    assert fit_calibration(bent, happened, folds, smooth=fit_beta, margin=2.0).method == "beta"


def test_better_means_beyond_chance():
    luck = np.random.default_rng(10)
    usual = luck.random(1000)
    assert not is_better(usual, usual, 2.0)
    assert not is_better(usual - 0.01 + luck.normal(0.0, 1.0, 1000), usual, 2.0)
    assert is_better(usual - 0.2 + luck.normal(0.0, 1.0, 1000), usual, 2.0)


def test_the_line_is_kept_unless_another_form_is_better_beyond_chance():
    luck = np.random.default_rng(11)
    line = luck.random(1000)
    hardly, clearly = line - 0.01 + luck.normal(0.0, 1.0, 1000), line - 0.1
    assert hardly.mean() < line.mean(), "smaller, but not beyond chance"
    assert chosen_form({"line": line, "steps": hardly}) == "line"
    assert chosen_form({"line": line, "steps": clearly}) == "steps"
    assert chosen_form({"steps": clearly, "line": line, "other": line - 0.2}) == "other"


def test_the_losses_of_rows_have_the_mean_of_all():
    chances, happened = np.array([0.2, 0.9, 0.5]), np.array([False, True, True])
    assert log_losses(happened, chances).mean() == pytest.approx(mean_log_loss(happened, chances))
