"""The report of a replay: figures, bands, differences, and the picture."""

from __future__ import annotations

import numpy as np
import pytest

from bandit.errors import UnusableLog
from evaluation.paired_runs import mean_over_runs, paired_difference
from service.replay_picture import draw_replay
from service.replay_report import Band, ReplayReport, document_of, sizes_of, text_of
from service.replaying import N_POINTS, GroupOutcome, Run


def run(seed, value, *, uniform=0.1, best=0.3, n_sends=280, fallbacks=0):
    curve = np.repeat([[value], [uniform], [best]], N_POINTS, axis=1)
    groups = {"learner": GroupOutcome(200, value, value + 0.01)}
    return Run(seed, n_sends, value, uniform, best, value + 0.01, 0.5, groups, curve, fallbacks)


def report(**contenders):
    runs = {name: [run(seed, value) for seed, value in enumerate(values)] for name, values in contenders.items()}
    return ReplayReport.of("steady", "contest", runs)


def test_a_difference_is_taken_seed_by_seed():
    found = report(first=[0.10, 0.20, 0.30], second=[0.11, 0.22, 0.33]).results[1].against
    assert found.estimate == pytest.approx(0.02)
    assert found.ci_lower == pytest.approx(0.02 - 4.302653 * 0.01 / np.sqrt(3), rel=1e-6)


def test_contenders_that_never_differ_have_an_interval_without_width():
    assert report(a=[0.1, 0.2], b=[0.1, 0.2]).results[1].against.ci_upper == 0.0


def test_one_seed_gives_no_interval_and_says_so():
    found = report(first=[0.1], second=[0.2])
    assert found.results[1].against is None
    assert "One seed says little" in text_of(found)
    assert document_of(found)["policies"]["second"]["value_interval"] is None


def test_regret_adds_up_over_the_campaign():
    found = report(first=[0.1, 0.2])
    band = found.results[0].regret_curve
    assert band.mean[-1] == pytest.approx(280 * 0.15)
    assert (np.diff(band.mean) > 0).all()


def test_a_band_holds_its_mean_and_one_seed_has_none():
    band = Band.of(np.array([[1.0, 2.0], [3.0, 2.0]]))
    assert (band.lower <= band.mean).all()
    assert (band.mean <= band.upper).all()
    assert band.lower[1] == band.upper[1] == 2.0
    assert Band.of(np.array([[1.0, 2.0]])).lower is None


@pytest.mark.parametrize("n", [1, 27, 28, 29, 1000])
def test_stretches_are_cut_as_curves_are(n):
    parts = [len(part) for part in np.array_split(np.arange(n), N_POINTS)]
    assert sizes_of(n).tolist() == parts


def test_a_world_in_which_nothing_can_be_gained_has_no_gap():
    runs = {"a": [run(0, 0.1, best=0.1), run(1, 0.1, best=0.1)]}
    found = ReplayReport.of("no-effect", "contest", runs)
    assert document_of(found)["policies"]["a"]["gap"] is None
    assert " -  " in text_of(found)


def test_decisions_of_an_ill_model_are_told():
    runs = {"a": [run(0, 0.1, fallbacks=1200)]}
    assert "1,200 decisions were made at random" in text_of(ReplayReport.of("steady", "contest", runs))


def test_the_same_report_draws_the_same_bytes(tmp_path):
    found = report(first=[0.1, 0.2], second=[0.15, 0.22])
    for name in ("a.png", "b.png"):
        draw_replay(tmp_path / name, found)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 10_000


@pytest.mark.parametrize("pair", [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([1.0, np.nan], [1.0, 2.0])])
def test_runs_that_do_not_pair_are_refused(pair):
    with pytest.raises(UnusableLog):
        paired_difference(*pair)


def test_the_paired_interval_holds_the_mean_difference_as_often_as_it_says():
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        shared = rng.normal(0, 5, 6)
        found = paired_difference(shared + rng.normal(1, 1, 6), shared + rng.normal(0, 1, 6))
        held += found.ci_lower <= 1.0 <= found.ci_upper
    assert 0.92 <= held / 400 <= 0.98
    assert mean_over_runs([1.0, 2.0, 3.0]).ci_lower < 2.0
