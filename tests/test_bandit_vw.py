"""Owned hashed examples learn and predict exactly what Vowpal Wabbit's own text lines do, and nothing poisons a model."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from vowpalwabbit import pyvw

from bandit.errors import InvalidEstimates
from bandit.native import EXPLORERS
from bandit.regressors import VwRegressors
from bandit.vw import VwExplorer

CROSSED = "-b 18 -q Ca -q Cb -q ab"
REGRESSORS = {
    "logistic": f"--loss_function logistic -l 0.1 {CROSSED}",
    "squared": f"--loss_function squared --min_prediction -2 --max_prediction 3 -l 0.5 {CROSSED}",
    "regularised": f"--loss_function logistic -l 0.3 --l2 1e-05 {CROSSED}",
    "alone": "--loss_function squared -b 18",
}
EXPLORER = "--cb_explore_adf --cb_type mtr {} -b 18 -l 0.5 -q Ca -q Cb -q ab"
SETTINGS = {"epsilon": 0.1, "gamma_scale": 100.0, "temper": 10.0, "members": 4}
CONTEXTS, ARMS = ("u=1", "u=2", "v#"), {"a": ("id=0", "id=1", "id=2"), "b": ("id=0", "id=x")}
NOT_FINITE = [math.inf, -math.inf, math.nan]
each_regressor = pytest.mark.parametrize("arguments", REGRESSORS.values(), ids=REGRESSORS)
each_explorer = pytest.mark.parametrize("name", EXPLORERS)
# bag, cover and rnd draw from a generator of VW's own while they learn, and VW does not save where it stands.
each_exact_explorer = pytest.mark.parametrize("name", sorted(set(EXPLORERS) - {"bag", "cover", "rnd"}))


def explorer_arguments(name):
    return EXPLORER.format(EXPLORERS[name].format(**SETTINGS))


def sends(n, seed=0):
    """Which user, which number (short in binary, so that its text is exact), which arms, what came of it."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        user, arm = int(rng.integers(2)), int(rng.integers(3))
        yield (
            user,
            int(rng.integers(65)) / 64,
            arm,
            int(rng.integers(2)),
            float(rng.random() < (0.8 if user == arm else 0.2)),
        )


def line(user, number, a, b):
    return f"|C {CONTEXTS[user]} v#:{number} |a {ARMS['a'][a]} |b {ARMS['b'][b]}"


class Hashed:
    """The same features, hashed once by a model."""

    def __init__(self, model):
        self.context = model.hashed("C", [(name, 1.0) for name in CONTEXTS])
        self.arms = {letter: [model.hashed(letter, [(name, 1.0)]) for name in names] for letter, names in ARMS.items()}

    def shared(self, user, number):
        return ("C", (self.context[user], (self.context[2][0], number)))

    def whole(self, user, number, a, b):
        return [self.shared(user, number), ("a", self.arms["a"][a]), ("b", self.arms["b"][b])]


def learn_regressor(model, n, seed=0, *, between=lambda *_: None):
    hashed = Hashed(model)
    for user, number, a, b, label in sends(n, seed):
        between(hashed, user, number)
        model.learn(hashed.whole(user, number, a, b), [2.0 * label - 1.0])


def predictions(model):
    hashed = Hashed(model)
    return np.array(
        [
            model.predict(hashed.whole(u, v, a, b))[0]
            for u in (0, 1)
            for v in (0.0, 0.5)
            for a in range(3)
            for b in (0, 1)
        ]
    )


def text_predictions(workspace):
    found = []
    for u, v, a, b in ((u, v, a, b) for u in (0, 1) for v in (0.0, 0.5) for a in range(3) for b in (0, 1)):
        example = workspace.example(line(u, v, a, b))
        workspace.predict(example)
        found.append(example.get_partial_prediction())
        workspace.finish_example(example)
    return np.array(found)


def learn_explorer(model, n, seed=0):
    hashed = Hashed(model)
    for user, number, a, b, reward in sends(n, seed):
        shared = [hashed.shared(user, number), ("b", hashed.arms["b"][b])]
        model.learn(shared, "a", hashed.arms["a"], a, reward=reward, propensity=0.25)


def pmfs(model):
    hashed = Hashed(model)
    return np.array(
        [
            model.pmf([hashed.shared(u, v), ("b", hashed.arms["b"][b])], "a", hashed.arms["a"])
            for u in (0, 1)
            for v in (0.0, 0.5)
            for b in (0, 1)
        ]
    )


def text_lines(user, number, b):
    return [f"shared |C {CONTEXTS[user]} v#:{number} |b {ARMS['b'][b]}", *(f"|a {name}" for name in ARMS["a"])]


def text_pmfs(workspace):
    found = [workspace.predict(text_lines(u, v, b)) for u in (0, 1) for v in (0.0, 0.5) for b in (0, 1)]
    return np.array(found) / np.sum(found, axis=1, keepdims=True)


@each_regressor
def test_a_regressor_learns_what_text_lines_teach(arguments):
    model, text = VwRegressors([arguments]), pyvw.Workspace(f"{arguments} --quiet")
    learn_regressor(model, 300)
    for user, number, a, b, label in sends(300):
        text.learn(f"{2.0 * label - 1.0} {line(user, number, a, b)}")
    expected = text_predictions(text)
    assert np.ptp(expected) > 0.1
    assert predictions(model) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", sorted(set(EXPLORERS) - {"rnd"}))  # rnd's start depends on the text line's own hashes
def test_an_explorer_learns_what_text_lines_teach(name):
    model, text = VwExplorer(explorer_arguments(name)), pyvw.Workspace(f"{explorer_arguments(name)} --quiet")
    assert pmfs(model) == pytest.approx(text_pmfs(text), abs=1e-6)
    learn_explorer(model, 300)
    for user, number, a, b, reward in sends(300):
        lines = text_lines(user, number, b)
        lines[1 + a] = f"0:{-reward}:0.25 {lines[1 + a]}"
        text.learn(lines)
    expected = text_pmfs(text)
    assert np.ptp(expected, axis=0).max() > 0.01
    assert pmfs(model) == pytest.approx(expected, abs=1e-6)


def test_one_namespace_is_enough_to_learn_from():
    model = VwRegressors(["--loss_function squared -b 18"])
    good, bad = (model.hashed("a", [(name, 1.0)]) for name in ("good", "bad"))
    for _ in range(200):
        model.learn([("a", good)], [1.0])
        model.learn([("a", bad)], [0.0])
    assert model.predict([("a", good)])[0] > model.predict([("a", bad)])[0] + 0.5


@each_regressor
def test_predicting_changes_nothing_in_a_regressor(arguments):
    quiet, asked = VwRegressors([arguments]), VwRegressors([arguments])
    learn_regressor(quiet, 100)
    learn_regressor(
        asked, 100, between=lambda hashed, *send: [asked.predict(hashed.whole(*send, a, 0)) for a in range(3)]
    )
    assert (predictions(quiet) == predictions(asked)).all()
    assert (predictions(asked) == predictions(asked)).all()


@each_explorer
def test_asking_changes_nothing_in_an_explorer(name):
    quiet, asked = VwExplorer(explorer_arguments(name)), VwExplorer(explorer_arguments(name))
    for seed in range(3):
        learn_explorer(quiet, 30, seed)
        learn_explorer(asked, 30, seed)
        first = pmfs(asked)
        assert (pmfs(asked) == first).all()
    assert (pmfs(asked) == pmfs(quiet)).all()


@each_explorer
@pytest.mark.parametrize("n_arms", [1, 2, 3])
def test_an_explorers_pmf_sums_to_one_over_the_arms_given(name, n_arms):
    model = VwExplorer(explorer_arguments(name))
    learn_explorer(model, 50)
    hashed = Hashed(model)
    pmf = model.pmf([hashed.shared(0, 0.5)], "a", hashed.arms["a"][:n_arms])
    assert pmf.shape == (n_arms,)
    assert pmf.min() >= 0.0
    assert pmf.sum() == pytest.approx(1.0, abs=1e-12)


@each_regressor
def test_a_regressor_saved_and_loaded_goes_on_as_if_nothing_had_happened(arguments):
    one = VwRegressors([arguments])
    learn_regressor(one, 200)
    two = VwRegressors([arguments], one.save())
    assert (predictions(two) == predictions(one)).all()
    for model in (one, two):
        learn_regressor(model, 300, seed=1)
    assert predictions(two) == pytest.approx(predictions(one), abs=1e-9)


@each_exact_explorer
def test_an_explorer_saved_and_loaded_goes_on_as_if_nothing_had_happened(name):
    one = VwExplorer(explorer_arguments(name))
    learn_explorer(one, 200)
    two = VwExplorer(explorer_arguments(name), one.save())
    assert pmfs(two) == pytest.approx(pmfs(one), abs=1e-7)
    for model in (one, two):
        learn_explorer(model, 300, seed=1)
    assert pmfs(two) == pytest.approx(pmfs(one), abs=1e-6)


def refused_label(arguments, label):
    model = VwRegressors([arguments])
    learn_regressor(model, 50)
    before = predictions(model)
    with pytest.raises(InvalidEstimates, match="the models were left as they were"):
        model.learn(Hashed(model).whole(0, 0.5, 0, 0), [label])
    assert (predictions(model) == before).all()


@each_regressor
@pytest.mark.parametrize("label", NOT_FINITE)
def test_a_label_that_is_not_finite_is_refused_and_the_model_left_as_it_was(arguments, label):
    refused_label(arguments, label)


@pytest.mark.parametrize("label", [1e39, -1e300])
def test_a_label_too_large_for_vowpal_wabbits_single_precision_is_refused_too(label):
    refused_label(REGRESSORS["squared"], label)


@pytest.mark.parametrize(
    ("reward", "propensity"),
    [(bad, 0.5) for bad in (*NOT_FINITE, 1e39)] + [(1.0, bad) for bad in (*NOT_FINITE, 0.0, -0.5, 1.0001, 1e-50)],
)
def test_a_reward_or_propensity_that_cannot_be_is_refused_and_the_explorer_left_as_it_was(reward, propensity):
    model = VwExplorer(explorer_arguments("softmax"))
    learn_explorer(model, 50)
    before, hashed = pmfs(model), Hashed(model)
    with pytest.raises(InvalidEstimates, match="The model was left as it was"):
        model.learn([hashed.shared(0, 0.5)], "a", hashed.arms["a"], 1, reward=reward, propensity=propensity)
    assert (pmfs(model) == before).all()


SIDE_BY_SIDE = [
    f"--loss_function logistic --adaptive --invariant {steps} -b 18 -q Ca -q Cb -q ab --constant -1.5"
    for steps in ("--power_t 1 --initial_t 30 -l 1", "--power_t 1 --initial_t 3 -l 1", "--power_t 0 -l 0.1")
]


def test_regressors_that_share_an_example_learn_what_each_would_learn_alone():
    together, alone = VwRegressors(SIDE_BY_SIDE), [VwRegressors([arguments]) for arguments in SIDE_BY_SIDE]
    hashed = Hashed(together)
    for n, (user, number, a, b, label) in enumerate(sends(300)):
        whole = hashed.whole(user, number, a, b)
        labels = [2.0 * label - 1.0, 1.0 if n % 5 == 0 else -1.0, 2.0 * label - 1.0]
        found = together.learn(whole, labels)
        assert found == [model.learn(whole, [one])[0] for model, one in zip(alone, labels, strict=True)]
    whole = hashed.whole(0, 0.5, 1, 1)
    assert together.predict(whole) == [model.predict(whole)[0] for model in alone]


def test_learning_returns_what_was_predicted_before_it():
    model = VwRegressors(SIDE_BY_SIDE)
    hashed = Hashed(model)
    for user, number, a, b, label in sends(50):
        whole = hashed.whole(user, number, a, b)
        before = model.predict(whole)
        assert model.learn(whole, [2.0 * label - 1.0] * 3) == before


def test_a_weight_counts_an_example_as_often_and_none_teaches_nothing():
    weighted, repeated = VwRegressors(SIDE_BY_SIDE[2:] * 3), VwRegressors(SIDE_BY_SIDE[2:])
    hashed = Hashed(weighted)
    whole = hashed.whole(1, 0.25, 2, 0)
    untouched = weighted.predict(whole)[2]
    for _ in range(5):
        found = weighted.learn(whole, [1.0] * 3, [1.0, 3.0, 0.0])
        assert math.isnan(found[2])
        repeated.learn(whole, [1.0])
    once, thrice, never = weighted.predict(whole)
    assert once == repeated.predict(whole)[0]
    assert thrice > once + 0.3
    assert never == untouched


def test_a_steady_step_is_the_gradient_over_the_prior_precision_and_the_sum_of_its_squares():
    model = VwRegressors(["--loss_function logistic --adaptive --power_t 1 --initial_t 50 -l 1 -b 18 --noconstant"])
    feature, weight, squares = model.hashed("a", [("x", 2.0)]), 0.0, 50.0
    for n in range(200):
        label = 1.0 if n % 7 == 0 else -1.0
        gradient = (label > 0.0) - 1.0 / (1.0 + math.exp(-2.0 * weight))
        squares += (2.0 * gradient) ** 2
        weight += 2.0 * gradient / squares
        model.learn([("a", feature)], [label])
    assert model.predict([("a", feature)])[0] == pytest.approx(2.0 * weight, abs=1e-4)


def giving_way(fill):
    """The same, but another thread has its turn after an example was filled."""

    def filled(*arguments):
        fill(*arguments)
        time.sleep(0.0005)

    return filled


def asked_by_two_threads(answer):
    """Two threads ask, each about a user of its own; the answers of both."""
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda user: [(user, answer(user)) for _ in range(30)], (0, 1)))


def test_an_explorer_answers_two_threads_as_it_answers_one():
    model = VwExplorer(explorer_arguments("softmax"))
    learn_explorer(model, 200)
    hashed = Hashed(model)
    truth = [model.pmf([hashed.shared(user, 0.5)], "a", hashed.arms["a"]).tolist() for user in (0, 1)]
    assert truth[0] != truth[1]
    model.fill = giving_way(model.fill)
    found = asked_by_two_threads(lambda user: model.pmf([hashed.shared(user, 0.5)], "a", hashed.arms["a"]).tolist())
    assert all(pmf == truth[user] for answers in found for user, pmf in answers)


def test_regressors_answer_two_threads_as_they_answer_one():
    model = VwRegressors([REGRESSORS["squared"]])
    learn_regressor(model, 200)
    hashed = Hashed(model)
    truth = [model.predict(hashed.whole(user, 0.5, 0, 0)) for user in (0, 1)]
    assert truth[0] != truth[1]
    model._fill = giving_way(model._fill)
    found = asked_by_two_threads(lambda user: model.predict(hashed.whole(user, 0.5, 0, 0)))
    assert all(predicted == truth[user] for answers in found for user, predicted in answers)
