"""What learns from a log is judged by rows that it has not seen: targets and reward models, by half or by folds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from bandit.errors import UnusableLog
from evaluation.evaluate import conclude
from evaluation.learned_target import BestConstant, Split, tally_learned
from evaluation.methods import Known, methods_of
from evaluation.reward_model import RegressorFit, cross_fit
from evaluation.target import CallableTarget, FixedTarget, UniformTarget
from evaluation.weighing import TargetWeigher

SNIPS = methods_of(("snips",))


@pytest.fixture(scope="module")
def single(worlds):
    """A campaign of one dimension where only the champion is clicked, and a batch of its log."""
    return worlds.logged(worlds.campaign(dimension=[worlds.dimension("subject", "plain", "champion", "dominate")]), 300)


def cut(batch, size=7):
    """A log that is read in small batches, again and again."""

    def read():
        for start in range(0, len(batch), size):
            yield batch.only((batch.numbers > start) & (batch.numbers <= start + size))

    return read


def test_the_best_constant_is_the_arm_of_the_best_weighed_average(worlds):
    """Arm b earned more in all; a row of arm a counts for more."""
    batch = worlds.even(6, rewards=np.array([3.0, 2.0, 3.0, 4.0, 0.0, 4.0]), propensities=np.array([[0.1], [0.9]] * 3))
    assert BestConstant()([batch.only(batch.numbers < 3), batch.only(batch.numbers > 2)]).picks == (1,)
    assert BestConstant()([batch.only(batch.numbers < 3)]).picks == (0,)


def test_an_arm_that_was_never_sent_is_not_the_best_even_where_all_rewards_are_negative(worlds):
    assert BestConstant()([worlds.even(6, 3, rewards=np.full(6, -1.0)).only(np.arange(6) % 3 == 1)]).picks == (1,)


def test_the_best_constant_of_nothing_is_refused():
    with pytest.raises(UnusableLog, match="no rows to choose the best arm from"):
        BestConstant()([])


@dataclass
class Spy:
    """A lesson that keeps which rows it was taught by, and whose target keeps which rows it was judged by."""

    name: str = "spy"

    def __post_init__(self):
        self.taught, self.judged = [], []

    def __call__(self, batches):
        self.taught.append([int(number) for batch in batches for number in batch.numbers])
        self.judged.append([])
        kept = self.judged[-1]

        def answer(batch):
            kept.extend(batch.numbers.tolist())
            return UniformTarget().pmfs(batch)

        return CallableTarget(answer, self.name)


def test_by_default_the_earlier_half_teaches_and_the_later_half_judges(worlds):
    spy = Spy()
    found = tally_learned(cut(worlds.even(41)), Split(41), SNIPS, [spy])
    assert (spy.taught, spy.judged) == ([list(range(1, 21))], [list(range(21, 42))])
    assert found.sums.n == 21


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_with_folds_every_row_judges_once_and_never_what_it_taught(worlds, n_folds):
    spy = Spy()
    found = tally_learned(cut(worlds.even(41)), Split(41, n_folds), SNIPS, [spy])
    assert sorted(sum(spy.judged, [])) == list(range(1, 42))  # noqa: RUF017
    assert len(spy.taught) == n_folds
    for taught, judged in zip(spy.taught, spy.judged, strict=True):
        assert sorted(taught + judged) == list(range(1, 42))
    assert found.sums.n == 41


def test_what_a_learned_target_is_held_against_is_judged_by_the_same_rows(worlds):
    spy, other = Spy(), Spy()
    tally_learned(cut(worlds.even(40)), Split(40, 3), SNIPS, [spy, other])
    assert (spy.taught, spy.judged) == (other.taught, other.judged)
    fixed = TargetWeigher(FixedTarget((1,), "fixed:b"))
    found = tally_learned(cut(worlds.even(40)), Split(40), SNIPS, [BestConstant(), fixed])
    told = conclude(found, SNIPS, Known(is_binary=True), "best", "fixed:b")
    assert (told.answer.overlap.n, told.difference["snips"].value) == (20, 0.0)


def test_more_folds_than_rows_are_refused(worlds):
    with pytest.raises(UnusableLog, match=r"3 rows for 5 folds: one would have no row\. Use fewer folds"):
        tally_learned(cut(worlds.even(3)), Split(3, 5), SNIPS, [Spy()])


@dataclass
class SpyFit:
    """A fit whose models refuse to predict what they learned from."""

    def __post_init__(self):
        self.predicted = []

    def __call__(self, batches):
        return _SpyModel({int(number) for batch in batches for number in batch.numbers}, self.predicted)


@dataclass
class _SpyModel:
    learned: set
    predicted: list

    def values(self, batch):
        assert self.learned.isdisjoint(batch.numbers.tolist())
        self.predicted += batch.numbers.tolist()
        return np.repeat(batch.numbers[:, None] / 100, batch.layout.sizes[0], axis=1)


@pytest.mark.parametrize("n_folds", [2, 3, 7])
def test_a_reward_model_never_predicts_a_row_that_it_learned_from(worlds, n_folds):
    fit, batch = SpyFit(), worlds.even(40)
    models = cross_fit(cut(batch), fit, n_folds)
    assert all(len(model.learned) in {40 - 40 // n_folds, 40 - 40 // n_folds - 1} for model in models.models)
    found = np.concatenate([models.values(part) for part in cut(batch, 11)()])
    assert sorted(fit.predicted) == list(range(1, 41))
    assert found.tolist() == [[number / 100] * 2 for number in range(1, 41)]


def test_one_fold_is_refused(worlds):
    with pytest.raises(UnusableLog, match="a model would predict rows that it learned from"):
        cross_fit(cut(worlds.even(10)), SpyFit(), 1)


class Averages:
    """The least that a regressor is: the mean reward of each arm, read off the one-hot columns at the end."""

    def fit(self, features, rewards):
        arms = features[:, -3:]
        self.means = arms.T @ rewards / arms.sum(axis=0)

    def predict(self, features):
        return features[:, -3:] @ self.means


def check_regressor(single, fresh):
    campaign, batch = single
    values = cross_fit(cut(batch, 50), RegressorFit(campaign, fresh)).values(batch)
    assert values.shape == (300, 3)
    assert values.mean(axis=0) == pytest.approx([0.0, 0.18, 0.0], abs=0.03)
    return values


def test_anything_that_fits_and_predicts_is_a_reward_model(single):
    _, batch = single
    values = check_regressor(single, Averages)
    fold = batch.numbers % 3 == 1
    assert len({tuple(row) for row in values[fold].tolist()}) == 1
    others = ~fold & (batch.picks[:, 0] == 1)
    assert values[fold][0, 1] == pytest.approx(batch.rewards[others].mean())


def test_a_regressor_without_rows_is_refused(single):
    with pytest.raises(UnusableLog, match="no rows to fit a reward model to"):
        RegressorFit(single[0], Averages)([])


def test_a_regressor_of_scikit_learn_is_a_reward_model(single):
    linear = pytest.importorskip("sklearn.linear_model")
    check_regressor(single, lambda: linear.Ridge(1e-3))


def test_a_classifier_is_asked_for_the_probability_of_a_reward(single):
    linear = pytest.importorskip("sklearn.linear_model")
    campaign, batch = single
    clicked = replace(batch, rewards=(batch.rewards > 0).astype(float))
    fit = RegressorFit(campaign, lambda: linear.LogisticRegression(C=100.0))
    values = cross_fit(cut(clicked, 50), fit).values(clicked)
    assert values.mean(axis=0) == pytest.approx([0.0, 0.9, 0.0], abs=0.06)
