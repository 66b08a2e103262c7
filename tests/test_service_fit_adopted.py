"""A planned campaign in a world fitted to a past log of the same arms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit import read_campaign
from bandit.errors import UnusableLog
from service.fit_adopted import adopted
from service.fit_asked import FittedWorlds, fit_source, fitted_worlds, without_effects
from service.fitted_report import caution_of
from service.fitting import fit_rows_of
from service.foreign_log import ColumnMap
from simulator.fit_rows import FitRows
from simulator.fitting import fit_world
from simulator.truth import value_of_choices
from simulator.world import ChoiceGrid

PLANNED = """
[campaign]
id = "planned"
[context.level]
kind = "categorical"
values = ["x", "y"]
[context.age]
kind = "numeric"
range = [0, 100]
[reward]
window = "48h"
events = { click = 0.5 }
[[dimension]]
name = "subject"
[[dimension.arm]]
id = "c"
[[dimension.arm]]
id = "a"
[[dimension.arm]]
id = "b"
"""
COLUMNS = ColumnMap("arm", "click", "0.3333333", ("level",))


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """900 sends; b is best for x, c for y."""
    rng = np.random.default_rng(3)
    arms, level = rng.integers(3, size=900), rng.integers(2, size=900)
    clicked = rng.random(900) < np.array([[0.1, 0.4, 0.1], [0.1, 0.1, 0.5]])[level, arms]
    path = tmp_path_factory.mktemp("log") / "log.csv"
    lines = [f"{'abc'[a]},{int(c)},{'xy'[v]}" for a, c, v in zip(arms, clicked, level, strict=True)]
    path.write_text("\n".join(["arm,click,level", *lines]))
    return path


def fitted(log, planned):
    with fit_source(log, COLUMNS, planned) as source:
        return fitted_worlds(source, "log.csv", 0, planned)


def test_arms_are_known_by_their_names_and_not_by_their_places(log):
    campaign, worlds = fitted(log, read_campaign(PLANNED))
    (stage,) = worlds.stages(campaign, 1, 300)
    came = list(stage.world.arrivals(300))
    always = {arm: value_of_choices(stage.world, came, [{"subject": arm}] * 300).value for arm in "abc"}
    assert always["a"] == pytest.approx(0.1, abs=0.05)
    assert stage.world.best_choice({"level": "x", "age": None})[0] == {"subject": "b"}
    assert stage.world.best_choice({"level": "y", "age": None})[0] == {"subject": "c"}


def test_rewards_are_what_the_log_tells_and_the_rest_is_the_plans(log):
    planned = read_campaign(PLANNED)
    campaign, worlds = fitted(log, planned)
    assert dict(campaign.reward.events) == {"reward": 1.0}
    assert replace(campaign, reward=planned.reward) == planned
    assert worlds.trust.n_judged > 0


def test_without_effects_the_logs_customers_come_at_the_logs_rate(log):
    campaign, worlds = fitted(log, None)
    flat = without_effects(worlds)
    (stage,) = flat.stages(campaign, 1, 400)
    found = stage.world.expected_rewards([{"level": "x"}, {"level": "y"}])
    assert np.ptp(found, axis=1).max() < 1e-9
    assert found.mean() == pytest.approx(worlds.world.rows.rewards.mean(), rel=0.2)
    assert without_effects(object()) is None
    assert isinstance(worlds, FittedWorlds)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('id = "a"', 'id = "z"'), "that the log lacks"),
        (('name = "subject"', 'name = "subject"\n[[dimension.arm]]\nid = "d"'), "'d'"),
        (
            ("[[dimension]]", '[[dimension]]\nname = "cta"\n[[dimension.arm]]\nid = "go"\n[[dimension]]'),
            "the dimensions arm",
        ),
    ],
)
def test_a_plan_with_other_arms_is_refused(log, change, said):
    with pytest.raises(UnusableLog, match=said):
        fitted(log, read_campaign(PLANNED.replace(*change, 1)))


def test_a_plan_that_no_longer_sends_an_arm_is_fitted_anew_and_so_is_one_that_does(log):
    """In the log a is a message; in a plan in which it is none, the others are fitted without its rows."""
    quiet = read_campaign(PLANNED.replace('id = "a"', 'id = "a"\nno_send = true'))
    _, found = fitted(log, quiet)
    with fit_source(log, COLUMNS, quiet) as source:
        rows, played = adopted(fit_rows_of(source)[0], quiet)
    anew = fit_world(rows, played, seed=0)
    contexts = [{"level": "x", "age": None}, {"level": "y", "age": None}]
    assert found.world.expected_rewards(contexts).tolist() == anew.expected_rewards(contexts).tolist()
    assert set(found.world.expected_rewards(contexts)[:, 1]) == {0.0}
    as_logged = fitted(log, read_campaign(PLANNED))[1].world
    assert (as_logged.expected_rewards(contexts)[:, [0, 2]] != anew.expected_rewards(contexts)[:, [0, 2]]).all()


def test_other_worths_need_no_other_fit():
    rows, campaign = _rows_of_two_dimensions()
    moved, played = adopted(rows, campaign)
    dear = replace(played, reward=replace(played.reward, events={"click": 5.0}))
    valued = fit_world(moved, played, seed=0).valued_by(dear)
    again = fit_world(replace(moved, worths=(5.0,)), dear, seed=0)
    contexts, kept = moved.contexts[:3], np.arange(20)
    assert valued.expected_rewards(contexts) == pytest.approx(again.expected_rewards(contexts))
    assert valued.out_of_fold_rewards(kept) == pytest.approx(again.out_of_fold_rewards(kept))
    assert valued.rows.rewards.sum() == again.rows.rewards.sum()


def test_outcomes_are_counted_in_the_window_of_the_log(log):
    planned = read_campaign(PLANNED)
    campaign, worlds = fitted(log, planned)
    assert campaign.reward.window == worlds.world.window != planned.reward.window


def test_outcomes_are_worth_what_the_plan_says():
    rows, campaign = _rows_of_two_dimensions()
    moved, played = adopted(rows, campaign)
    assert (rows.worths, moved.worths) == ((1.0,), (0.5,))
    assert played == campaign
    assert moved.rewards.sum() == pytest.approx(0.5 * rows.rewards.sum())


def test_a_fit_that_the_log_does_not_bear_out_is_said_not_to_be_trusted(log, tmp_path):
    _, worlds = fitted(log, None)
    assert caution_of(worlds.world, worlds.trust) == ""
    rng = np.random.default_rng(5)
    lines = [f"{'abc'[rng.integers(3)]},{int(rng.random() < 0.2)},{'xy'[rng.integers(2)]}" for _ in range(300)]
    noise = tmp_path / "noise.csv"
    noise.write_text("\n".join(["arm,click,level", *lines]))
    _, guessed = fitted(noise, None)
    assert "Do not tune here" in caution_of(guessed.world, guessed.trust)


def test_adopting_moves_every_pick():
    rows, campaign = _rows_of_two_dimensions()
    moved, _ = adopted(rows, campaign)
    for row in range(0, len(rows), 37):
        assert moved.choices.at(_number(moved, row)) == rows.choices.at(_number(rows, row))


def _number(rows, row):
    return int(np.ravel_multi_index(tuple(rows.picks[row]), rows.choices.shape))


def _rows_of_two_dimensions():
    rng, n = np.random.default_rng(1), 250
    grid = ChoiceGrid({"subject": ("a", "b", "c"), "cta": ("go", "stay")})
    picks = np.stack([rng.integers(3, size=n), rng.integers(2, size=n)], axis=1)
    labels = (rng.random((n, 1)) < 0.3).astype(float)
    text = PLANNED + '[[dimension]]\nname = "cta"\n[[dimension.arm]]\nid = "stay"\n[[dimension.arm]]\nid = "go"\n'
    rows = FitRows(
        grid, [{"level": "x"}] * n, picks, np.full(n, 1 / 6), labels, ("click",), (1.0,), [f"c{i}" for i in range(n)]
    )
    return rows, read_campaign(text)
