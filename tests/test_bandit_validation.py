"""Who predicts best serves: only for a reason, never on a row already learned, and not for ever."""

from __future__ import annotations

import numpy as np
import pytest

from bandit.candidates import CANDIDATES
from bandit.regression import task_of
from bandit.training import training_row
from bandit.trial import Trial
from bandit.validation import HALF_LIFE, Validation

NAMES = ("a", "b", "c")


def losing(means, n, *, seed=0, contest=None):
    """A contest after n rows whose losses are noise that all share plus each one's own mean."""
    contest = contest or Validation(NAMES, first=1)
    rng = np.random.default_rng(seed)
    for noise, own in zip(rng.exponential(size=n), rng.normal(scale=0.05, size=(n, len(means))), strict=True):
        contest.add([noise + mean + extra for mean, extra in zip(means, own.tolist(), strict=True)])
    return contest


def test_the_best_predictor_serves_though_the_noise_is_many_times_the_difference():
    assert losing((0.02, 0.03, 0.05), 2000).serving == "a"
    assert losing((0.05, 0.03, 0.02), 2000).serving == "c"


def test_a_lead_within_the_error_of_the_difference_changes_nothing():
    contest = Validation(NAMES, first=1)
    for first, second in ((0.0, 1.0), (1.0, 0.0), (0.0, 0.9)):
        contest.add([first, second, 2.0])
    assert (contest.serving, contest.switches) == ("b", [])


def test_every_switch_is_on_record_with_its_row():
    contest = losing((0.02, 0.05, 0.05), 500)
    assert [name for _, name in contest.switches][-1] == contest.serving == "a"
    assert all(1 <= row <= 500 for row, _ in contest.switches)


def test_a_changed_world_changes_the_verdict():
    contest = losing((0.02, 0.05, 0.05), 3 * HALF_LIFE)
    assert contest.serving == "a"
    losing((0.05, 0.05, 0.02), 2 * HALF_LIFE, seed=1, contest=contest)
    assert contest.serving == "c"


def test_a_contest_goes_on_from_its_state_as_if_nothing_had_happened():
    whole = losing((0.03, 0.02, 0.05), 400)
    half = losing((0.03, 0.02, 0.05), 400)
    resumed = Validation(NAMES, first=0, state=half.state())
    for contest in (whole, resumed):
        losing((0.01, 0.02, 0.05), 300, seed=2, contest=contest)
    assert resumed.state() == whole.state()
    assert resumed.mean_losses == whole.mean_losses


def test_no_loss_is_of_a_row_already_learned(worlds):
    """A trial that has just begun knows nothing of its first row, so every candidate loses the same on it."""
    campaign = worlds.campaign(reward={"window": "72h", "events": {"click": 1.0}})
    rows = [training_row(campaign, row) for row in worlds.rows(campaign, 40, lambda *_: {"click": 0.5})]
    trial = Trial.begin(task_of(campaign), rows[:1], first=0)
    first = list(trial.validation.mean_losses.values())
    assert first == pytest.approx([first[0]] * len(CANDIDATES), abs=1e-12)
    for row in rows[1:]:
        trial.learn(row)
    assert trial.validation.n_rows == 40
    assert len(set(trial.validation.mean_losses.values())) == len(CANDIDATES)


def clear_world(context, choice):
    return {"click": 0.95 if choice["subject"] == ("champion" if context["level"] == "high" else "plain") else 0.05}


def faint_world(_, choice):
    return {"click": 0.06 if choice["subject"] == "champion" else 0.04}


@pytest.mark.parametrize(("chance", "name"), [(clear_world, "steady-0.4"), (faint_world, "steady-0.03")])
def test_a_clear_world_is_learned_with_large_steps_and_a_faint_one_with_small(worlds, chance, name):
    campaign = worlds.campaign(reward={"window": "72h", "events": {"click": 1.0}})
    assert worlds.train(campaign, worlds.rows(campaign, 1500, chance)).candidate == name


def test_a_learning_rate_in_the_file_leaves_nobody_to_compete(worlds):
    campaign = worlds.campaign(learner={"learning_rate": 0.2})
    snapshot = worlds.train(campaign, worlds.rows(campaign, 60, faint_world))
    assert (snapshot.candidate, len(snapshot.models)) == ("", len(campaign.reward.types))
