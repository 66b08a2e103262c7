"""Stage-wise doubly robust: each stage corrects the model of the one before, whatever those models say."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.errors import UnusableLog
from evaluation.columns import ALWAYS, stack
from evaluation.estimator import estimate
from evaluation.methods import METHODS
from evaluation.stage_wise import StageWise, along, stage_wise_scores
from evaluation.sums import Sums
from evaluation.weighed import weigh

SIZES = (3, 2)


def sequential(rng, sizes=SIZES, floor=0.0):
    """A joint pmf whose dimensions hang together."""
    return rng.dirichlet(np.ones(int(np.prod(sizes)))).reshape(sizes) * (1.0 - floor) + floor / np.prod(sizes)


def stages_of(behavior, target, values, picks):
    """Weights, V_d and Q_d of one row, by the definition: `values[d]` is the model of stage d, over its own dimensions."""
    weights, expected, chosen = [], [], []
    for d, model in enumerate(values):
        later = tuple(range(d + 1, len(values)))
        logged, wanted = behavior.sum(axis=later), target.sum(axis=later)
        weights.append(wanted[picks[: d + 1]] / logged[picks[: d + 1]])
        row = wanted[picks[:d]]
        expected.append(row @ model[picks[:d]] / row.sum() if row.sum() else model[picks[:d]].mean())
        chosen.append(model[picks[: d + 1]])
    return weights, expected, chosen


def test_two_rows_of_two_dimensions_by_hand():
    """V1 + w1 (V2 - Q1) + w1 w2 (r - Q2): .3 + 2 (.4 - .25) + 2 x .5 x (1 - .6) = 1, and .2 + 0 + 0 = .2."""
    rewards, weights = [1.0, 0.0], [[2.0, 1.0], [0.0, 0.0]]
    expected, chosen = [[0.3, 0.4], [0.2, 0.9]], [[0.25, 0.6], [0.8, 0.7]]
    np.testing.assert_allclose(stage_wise_scores(rewards, weights, expected, chosen), [1.0, 0.2], atol=1e-15)


def test_one_stage_is_doubly_robust():
    rng = np.random.default_rng(0)
    rewards, weights, expected, chosen = rng.random(20), rng.exponential(size=20), rng.random(20), rng.random(20)
    found = stage_wise_scores(rewards, weights[:, None], expected[:, None], chosen[:, None])
    np.testing.assert_allclose(found, expected + weights * (rewards - chosen), atol=1e-15)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(2, 3), (3, 2, 2), (2, 2, 3, 2)]))
def test_whatever_the_models_say_the_expected_score_is_the_truth(seed, sizes):
    """Exactly: over every choice that a sequential policy can make, by its probability. Models are drawn from nowhere."""
    rng = np.random.default_rng(seed)
    behavior, target, truth = sequential(rng, sizes, 0.2), sequential(rng, sizes), rng.random(sizes)
    values = [rng.normal(0.0, 2.0, sizes[: d + 1]) for d in range(len(sizes))]
    total = 0.0
    for picks in product(*map(range, sizes)):
        score = stage_wise_scores([truth[picks]], *([one] for one in stages_of(behavior, target, values, picks)))
        total += behavior[picks] * score[0]
    assert total == pytest.approx(float((target * truth).sum()), abs=1e-12)


def test_a_wrong_weight_of_an_early_stage_is_seen_in_that_expectation():
    """The law above can fail: with the first ratio doubled it does."""
    rng = np.random.default_rng(1)
    behavior, target, truth = sequential(rng, floor=0.2), sequential(rng), rng.random(SIZES)
    values = [rng.normal(size=SIZES[:1]), rng.normal(size=SIZES)]
    total = 0.0
    for picks in product(*map(range, SIZES)):
        weights, expected, chosen = stages_of(behavior, target, values, picks)
        total += (
            behavior[picks] * stage_wise_scores([truth[picks]], [[2 * weights[0], weights[1]]], [expected], [chosen])[0]
        )
    assert abs(total - float((target * truth).sum())) > 1e-3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_stages_of_one_model_are_doubly_robust_with_the_whole_choices_weight(seed):
    """Where Q_d is what the next stage expects, every stage but the last corrects nothing."""
    rng = np.random.default_rng(seed)
    sizes = (2, 3, 2)
    behavior, target, whole = sequential(rng, sizes, 0.2), sequential(rng, sizes, 0.1), rng.random(sizes)
    given = [target.sum(axis=tuple(range(d + 1, 3))) for d in range(3)]
    values = [(target * whole).sum(axis=tuple(range(d + 1, 3))) / given[d] for d in range(3)]
    for picks in product(*map(range, sizes)):
        weights, expected, chosen = stages_of(behavior, target, values, picks)
        score = stage_wise_scores([1.0], [weights], [expected], [chosen])[0]
        joint = target[picks] / behavior[picks]
        assert score == pytest.approx(float((target * whole).sum()) + joint * (1.0 - whole[picks]), abs=1e-12)


def test_a_constant_reward_that_every_model_knows_is_the_score_of_every_row():
    weights = np.random.default_rng(0).exponential(10.0, (30, 3))
    found = stage_wise_scores(np.full(30, 0.25), weights, np.full((30, 3), 0.25), np.full((30, 3), 0.25))
    assert (found == 0.25).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rewards": [[1.0]]}, r"rewards have shape \(1, 1\)"),
        ({"weights": [1.0]}, "give one column for each dimension"),
        ({"expected": [[0.5]]}, "none can be left out"),
        ({"rewards": [np.nan]}, "row 0 has a reward, weight or model's value that is no finite number"),
        ({"chosen": [[0.5, np.inf]]}, "row 0 has a reward"),
        ({"weights": [[1.0, -1.0]]}, "or a negative weight"),
    ],
)
def test_scores_of_what_is_no_number_or_has_no_stage_are_refused(changed, message):
    sound = {"rewards": [1.0], "weights": [[1.0, 1.0]], "expected": [[0.5, 0.5]], "chosen": [[0.5, 0.5]]}
    assert stage_wise_scores(**sound).tolist() == [1.0]
    with pytest.raises(UnusableLog, match=message):
        stage_wise_scores(**(sound | changed))


# The target along logged picks


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_pmfs_along_the_picks_multiply_to_the_joint_pmf(seed):
    rng = np.random.default_rng(seed)
    joint = sequential(rng, (3, 2, 4))
    picks = tuple(int(rng.integers(size)) for size in joint.shape)
    found = along(joint, picks)
    assert [pmf.sum() for pmf in found.pmfs] == pytest.approx([1.0] * 3)
    steps = np.cumprod([pmf[pick] for pmf, pick in zip(found.pmfs, picks, strict=True)])
    np.testing.assert_allclose(found.masses, steps, rtol=1e-12)
    assert found.masses[-1] == pytest.approx(joint[picks])


def test_where_the_target_never_comes_its_pmf_over_all_choices_stands_in():
    found = along(np.array([[0.25, 0.75], [0.0, 0.0]]), (1, 0))
    assert [pmf.tolist() for pmf in found.pmfs] == [[1.0, 0.0], [0.25, 0.75]]
    assert found.masses.tolist() == [0.0, 0.0]


# The estimator


def test_it_is_the_mean_of_the_scores_with_its_own_spread():
    scores = np.random.default_rng(0).normal(size=500)
    rows = replace(weigh(np.zeros(500), np.ones(500), np.ones(500)), staged=scores)
    found = estimate(StageWise(), Sums.of_stack(*stack(rows, [*ALWAYS, *StageWise().columns])))
    assert found.value == pytest.approx(scores.mean())
    assert found.se == pytest.approx(scores.std(ddof=1) / np.sqrt(500))


def test_rows_without_models_of_stages_are_refused_with_advice():
    with pytest.raises(UnusableLog, match="dr-stage-wise needs models of every stage"):
        stack(weigh([1.0], [0.5], [0.5]), METHODS["dr-stage-wise"].columns)
