"""The search for settings: what it tries, what it gives up, what it finds, and that stopping it anywhere changes nothing."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from simulator.known_plays import Earned, KnownPlays
from simulator.search_space import IN_RANGE, Knob, SearchSpace
from simulator.tuning import Aim, Search, Tried, best_of, quiet_study, tried
from simulator.world import ImpossibleWorld

SEEDS = (10, 11, 12, 13)
KIND = Knob("kind", "policy.name", "a", ("a", "b"))
HEAT = Knob("a heat", "policy.heat", 1.0, span=(0.1, 100.0), when=("policy.name", frozenset("a")))
RATE = Knob("rate", "learner.rate", 0.0, (0.0,), (0.01, 1.0))
SPACE = SearchSpace((KIND, HEAT, RATE))


class Bowl:
    """Worlds in which heat 30 is best, kind b a disaster, and everything else costs nothing; it counts what is played."""

    def __init__(self, noise=0.001):
        self.noise, self.played = noise, []

    def __call__(self, settings, seeds):
        self.played += [(tuple(settings.items()), seed) for seed in seeds]
        return [Earned(self.value(settings, seed), 0.5) for seed in seeds]

    def value(self, settings, seed):
        luck = random.Random(f"{seed}").random() + self.noise * random.Random(f"{seed} {settings}").random()
        if settings["policy.name"] == "b":
            return luck - 1.0
        return luck - 0.01 * abs(settings["policy.heat"] - 30.0) / 30.0


class Stopped(Exception):
    """The power goes off."""


class Fragile(Bowl):
    """Stops after so many replays."""

    def __init__(self, most):
        super().__init__()
        self.most = most

    def __call__(self, settings, seeds):
        if len(self.played) + len(seeds) > self.most:
            raise Stopped
        return super().__call__(settings, seeds)


def search(study, plays, *, width=1, seed=0, aim=None, space=SPACE):
    return Search(space, KnownPlays(study, plays), aim or Aim(SEEDS), seed, width)


def found(n_trials=14, plays=None, **more):
    study = quiet_study()
    return search(study, plays or Bowl(), **more).run(study, n_trials=n_trials)


def without_number(trials):
    return [(trial.settings, trial.gains, trial.score) for trial in trials]


def test_the_campaign_as_it_is_comes_first_and_gains_nothing():
    first = found(1)[0]
    assert (first.number, first.settings, first.gains, first.score) == (0, SPACE.usual, (0.0,) * 4, 0.0)


def test_then_every_single_change_is_tried():
    singles = [trial.settings for trial in found(5)][1:]
    assert singles == [
        {"policy.name": "b", "learner.rate": 0.0},
        {"policy.name": "a", "policy.heat": 17.8, "learner.rate": 0.0},
        {"policy.name": "a", "policy.heat": 1.0, "learner.rate": 0.1},
        found(5)[4].settings,
    ]


def test_all_changes_that_helped_are_then_tried_together():
    singles = [
        Tried(0, SPACE.usual, (0.0, 0.0), 0.0),
        Tried(1, SPACE.completed({"policy.name": "b"}), (-1.0, -1.0), None),
        Tried(2, SPACE.completed({"policy.heat": 17.8}), (0.010, 0.011), 0.01),
        Tried(3, SPACE.completed({"policy.heat": 5.0}), (0.001, 0.001), 0.001),
        Tried(4, SPACE.completed({"learner.rate": 0.1}), (0.010, 0.012), 0.01),
        Tried(5, SPACE.completed({"learner.rate": 0.9}), (0.5, -0.4), 0.0),
    ]
    together = search(quiet_study(), Bowl()).together(singles)
    assert together == {"policy.name": "a", "policy.heat": 17.8, "learner.rate": 0.1}


def test_the_search_finds_what_is_better():
    best = best_of(found(25), 1)[0]
    assert best.settings["policy.name"] == "a"
    assert 15.0 < best.settings["policy.heat"] < 45.0
    assert best.score > 0.003


def test_what_is_clearly_worse_is_given_up_before_the_last_world():
    disaster = found(2)[1]
    assert (disaster.settings["policy.name"], disaster.score, len(disaster.gains)) == ("b", None, 2)
    assert found(2, aim=Aim(SEEDS, doubt=0.0))[1].score < -0.9


def test_a_trial_that_is_as_good_is_given_up_no_more_often_than_the_doubt_allows():
    aim, rng = Aim(SEEDS, doubt=0.05), np.random.default_rng(3)
    draws = rng.normal(size=(600, 4))
    given_up = np.mean([any(aim.is_hopeless(row[:n], [0.0] * 4) for n in (2, 3)) for row in draws])
    assert 0.03 < given_up < 2 * 0.05 + 3 * 0.0125


@pytest.mark.parametrize("width", [2, 3, 7])
def test_how_many_worlds_are_played_at_a_time_changes_nothing(width):
    assert found(14, width=width) == found(14)


def test_another_seed_searches_elsewhere_and_the_same_seed_finds_the_same():
    assert found(14, seed=1) == found(14, seed=1)
    assert found(14, seed=1)[:5] == found(14)[:5]
    assert found(14, seed=1) != found(14)


@pytest.mark.parametrize("most", [1, 3, 9, 21])
def test_a_search_that_was_stopped_anywhere_goes_on_as_if_it_had_not_been(tmp_path, most):
    def study():
        return quiet_study(JournalStorage(JournalFileBackend(str(tmp_path / "study"))), "one")

    with pytest.raises(Stopped):
        search(study(), Fragile(most)).run(study(), n_trials=14)
    rest = Bowl()
    kept = study()
    assert without_number(search(kept, rest).run(kept, n_trials=14)) == without_number(found(14))
    whole = Bowl()
    found(14, plays=whole)
    assert len(rest.played) == len(whole.played) - most


def test_a_finished_search_plays_nothing_again_and_more_trials_go_on_from_there():
    study = quiet_study()
    first = search(study, Bowl()).run(study, n_trials=8)
    again = Bowl()
    assert search(study, again).run(study, n_trials=8) == first
    assert not again.played
    assert search(study, Bowl()).run(study, n_trials=14) == found(14)


def test_no_trial_begins_when_time_is_up_but_the_first():
    study, over = quiet_study(), iter([False, False, True])
    assert len(search(study, Bowl()).run(study, n_trials=14, is_over=lambda: next(over))) == 3
    study = quiet_study()
    assert len(search(study, Bowl()).run(study, n_trials=14, is_over=lambda: True)) == 1


def test_more_worlds_take_the_lead_from_a_lucky_trial():
    class Lucky(Bowl):
        """Heat 2 shines in the worlds of the search only."""

        def value(self, settings, seed):
            return {1.0: 0.0, 2.0: 0.01 if seed in SEEDS else -0.02, 3.0: 0.005}[settings["policy.heat"]]

    space = SearchSpace((Knob("heat", "policy.heat", 1.0, (1.0, 2.0, 3.0)),))
    study = quiet_study()
    looked_for = search(study, Lucky(), space=space, aim=Aim(SEEDS, doubt=0.0))
    trials = looked_for.run(study, n_trials=3)
    assert best_of(trials, 1)[0].settings == {"policy.heat": 2.0}
    last = looked_for.final(trials, (20, 21, 22, 23))
    assert (last.settings, len(last.gains)) == ({"policy.heat": 3.0}, 8)


def test_the_campaign_as_it_is_wins_where_everything_else_is_worse():
    space = SearchSpace((Knob("heat", "policy.heat", 30.0, (5.0, 30.0)), Knob("kind", "policy.name", "a", ("a", "b"))))
    study = quiet_study()
    looked_for = search(study, Bowl(), space=space)
    assert looked_for.final(looked_for.run(study, n_trials=5), (20, 21)).settings == space.usual


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8), st.floats(0, 2))
def test_a_penalty_never_raises_a_score(gains, penalty):
    aim = Aim((0, 1), penalty)
    assert aim.score(gains) <= Aim((0, 1), 0.0).score(gains) + 1e-12


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8), st.data())
def test_a_trial_ahead_of_the_best_is_never_hopeless(gains, data):
    best = [gain - data.draw(st.floats(0, 1)) for gain in gains]
    assert not Aim((0, 1)).is_hopeless(gains, best)


@pytest.mark.parametrize(
    "wrong", [{"seeds": (1,)}, {"seeds": (1, 1)}, {"seeds": (1, 2), "penalty": -0.1}, {"seeds": (1, 2), "doubt": 1.0}]
)
def test_an_aim_that_cannot_be_met_is_refused_with_advice(wrong):
    with pytest.raises(ImpossibleWorld, match="give at least 2 different seeds"):
        Aim(**wrong)


KNOBS = st.sampled_from(
    [
        KIND,
        RATE,
        Knob("x", "x", 5.0, span=(0.0, 10.0)),
        Knob("y", "y", 0.123456, span=(0.01, 10.0)),
        Knob("z", "z", 200.0, (200.0, 0.0), (0.3, 30.0)),
    ]
)


@given(KNOBS, st.integers(0, 2**31))
def test_what_a_study_is_told_is_what_it_answers(knob, seed):
    import optuna  # noqa: PLC0415

    study = quiet_study()
    study.sampler = optuna.samplers.RandomSampler(seed)
    for value in [knob.usual, *knob.alternatives()]:
        study.enqueue_trial(knob.parameters(value))
        assert knob.suggested(study.ask()) == value
    drawn = knob.suggested(study.ask())
    assert drawn in knob.among or knob.spans(drawn)


@given(KNOBS)
def test_alternatives_are_on_offer_and_are_not_the_usual_value(knob):
    others = list(knob.alternatives())
    assert others
    assert all(value != knob.usual and (value in knob.among or knob.spans(value)) for value in others)
    assert IN_RANGE not in others


@pytest.mark.parametrize(
    "wrong", [{"usual": 1.0}, {"usual": 1.0, "among": (2.0,)}, {"usual": True, "span": (0.0, 1.0)}]
)
def test_a_knob_without_the_usual_value_is_refused(wrong):
    with pytest.raises(ImpossibleWorld, match="its own value must be on offer"):
        Knob("x", "x", **wrong)


def test_a_study_keeps_its_trials_in_order():
    study = quiet_study()
    search(study, Bowl()).run(study, n_trials=6)
    assert [trial.number for trial in tried(study)] == list(range(6))


def test_a_change_that_helps_a_little_is_kept_beside_one_that_helps_much():
    space = SearchSpace((Knob("one", "one", "off", ("off", "on")), Knob("two", "two", "off", ("off", "on"))))

    def plays(settings, seeds):
        gain = 0.010 * (settings["one"] == "on") + 0.004 * (settings["two"] == "on")
        return [Earned(seed + gain + 1e-5 * random.Random(f"{seed} {settings}").random(), 0.0) for seed in seeds]

    study = quiet_study()
    found = Search(space, KnownPlays(study, plays), Aim(SEEDS)).run(study, n_trials=4)
    assert [trial.score is not None for trial in found] == [True] * 4
    assert found[3].settings == {"one": "on", "two": "on"}


def test_trials_as_good_as_the_best_are_given_up_in_at_most_a_fifth_of_all_searches():
    rng, aim, given_up = np.random.default_rng(0), Aim(tuple(range(6))), 0
    for _ in range(1000):
        gains, best = rng.normal(0.0, 1.0, 6), rng.normal(0.0, 1.0, 6)
        given_up += any(aim.is_hopeless(gains[:n], best) for n in range(2, 6))
    assert given_up / 1000 <= aim.doubt


def test_a_space_says_the_same_whatever_order_sets_are_in():
    others = [frozenset(order) for order in (["a", "b", "c"], ["c", "b", "a"])]
    spaces = [
        SearchSpace((KIND, Knob("heat", "heat", 1.0, span=(0.1, 9.0), when=("policy.name", some)))) for some in others
    ]
    assert spaces[0].said == spaces[1].said
    assert "['a', 'b', 'c']" in spaces[0].said
