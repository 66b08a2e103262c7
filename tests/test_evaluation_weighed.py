"""Logs from which no honest number can be made are refused by row; those that say too little are told so in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit.errors import UnusableLog
from evaluation.columns import ALWAYS, stack
from evaluation.evaluate import conclude, tally
from evaluation.log_batch import Layout, LogBatch
from evaluation.methods import Known, methods_of
from evaluation.overlap import Overlap, Verdict
from evaluation.sums import Sums
from evaluation.target import CallableTarget, FixedTarget, UniformTarget
from evaluation.weighed import require_pmfs, weigh
from evaluation.weighing import ColumnWeigher, TargetWeigher

NAN, INF = float("nan"), float("inf")
GOOD = {"rewards": [1.0, 0.0, 1.0], "propensities": [0.5, 0.25, 1.0], "target": [1.0, 0.0, 0.5]}


def second(column, value):
    """Three rows of which the second has another value."""
    values = list(GOOD[column])
    values[1] = value
    return GOOD | {column: values}


def batch_of(n, *, pmf=(0.5, 0.3, 0.2), **columns):
    """n rows of three arms in turn, each with the same pmf; every third is rewarded."""
    layout, picks = Layout(("arm",), (("a", "b", "c"),)), np.arange(n) % len(pmf)
    pmfs = np.tile(np.array(pmf, dtype=np.float64), (n, 1))
    rewards = (np.arange(n) % 3 == 0).astype(float)
    made = LogBatch(layout, np.arange(1, n + 1), rewards, picks[:, None], pmfs[np.arange(n), picks][:, None], (pmfs,))
    return replace(made, **columns)


def weighed(batch, target=None):
    return TargetWeigher(target or UniformTarget()).weigh(batch)


def overlap(weights, rewards, support=None):
    """What weights and rewards say of each other."""
    rows = weigh(rewards, np.full(len(weights), 0.01), np.asarray(weights) * 0.01)
    return Overlap.of(Sums.of_stack(*stack(rows, ALWAYS)), support)


def honest(n, rate, seed=0):
    """Weights 0 and 2 by a fair coin, rewards at a rate."""
    rng = np.random.default_rng(seed)
    return rng.permutation(np.repeat([0.0, 2.0], n // 2)), (rng.random(n) < rate).astype(float)


@pytest.mark.parametrize("reward", [NAN, INF, -INF])
def test_a_reward_that_is_not_finite_is_refused_with_its_row(reward):
    with pytest.raises(UnusableLog, match=rf"row 2: reward is {reward}, need a finite number .*Correct it, or drop it"):
        weigh(**second("rewards", reward))


@pytest.mark.parametrize("propensity", [0.0, -0.1, -0.0, 5.0, 1.0000001, 1e-12, NAN, INF])
def test_a_propensity_outside_of_what_can_be_drawn_is_refused_with_its_row(propensity):
    advice = r"need a number in \(0, 1\] no smaller than 1e-9 \(1 such rows here\).*log the propensity that was used"
    with pytest.raises(UnusableLog, match=rf"row 2: propensity is {propensity!r}, {advice}"):
        weigh(**second("propensities", propensity))


@pytest.mark.parametrize("probability", [-0.1, 1.1, 5.0, NAN, INF])
def test_a_target_probability_that_is_none_is_refused_with_its_row(probability):
    with pytest.raises(
        UnusableLog, match=rf"row 2: target probability is {probability!r}, need .*\[0, 1\].*Correct the target policy"
    ):
        weigh(**second("target", probability))


def test_the_row_number_counts_on_from_the_batches_before():
    with pytest.raises(UnusableLog, match="row 5002: reward is nan"):
        weigh(**second("rewards", NAN), first_row=5001)


def test_the_number_of_bad_rows_stands_beside_the_first_of_them():
    with pytest.raises(UnusableLog, match=r"row 1: propensity is 5.0, .* \(3 such rows here\)"):
        weigh(**GOOD | {"propensities": [5.0, 5.0, 5.0]})


@pytest.mark.parametrize("column", GOOD)
def test_columns_of_different_lengths_are_refused(column):
    with pytest.raises(
        UnusableLog, match=r"\[2, 3\] rewards, propensities and target probabilities; need as many of each"
    ):
        weigh(**GOOD | {column: GOOD[column][:2]})


def test_no_rows_are_no_answer():
    with pytest.raises(UnusableLog, match="Without rows there is no answer: check that the log has matured decisions"):
        weigh([], [], [])


def test_batches_without_a_row_are_no_answer():
    methods = methods_of(("snips",))
    for batches in ([], [batch_of(3).only(np.zeros(3, dtype=bool))]):
        with pytest.raises(UnusableLog, match=r"no row to evaluate.*wait, or check the mapping"):
            tally(batches, methods, TargetWeigher(UniformTarget()))


@pytest.mark.parametrize("column", GOOD)
def test_a_table_where_a_column_is_needed_is_refused(column):
    with pytest.raises(UnusableLog, match=r"shape \(3, 1\), need one number a row"):
        weigh(**GOOD | {column: np.array(GOOD[column])[:, None]})


def test_a_model_of_half_the_values_is_refused():
    with pytest.raises(UnusableLog, match="value of the target; one of them is missing"):
        weigh(**GOOD, predicted=[0.1, 0.1, 0.1])


@pytest.mark.parametrize("name", ["predicted", "additive", "pairwise"])
def test_predictions_and_extra_weights_are_held_to_the_rows(name):
    other = {"expected": [0.1] * 3} if name == "predicted" else {}
    with pytest.raises(UnusableLog, match=r"\(2,\) predictions or weights for 3 rows; need one a row"):
        weigh(**GOOD, **{name: [0.1, 0.1]}, **other)
    with pytest.raises(UnusableLog, match="row 3: prediction or weight is nan, need a finite number"):
        weigh(**GOOD, **{name: [0.1, 0.1, NAN]}, **other)


def test_good_rows_are_weighed_by_the_quotient():
    assert weigh(**GOOD).weights.tolist() == [2.0, 0.0, 0.5]


def test_logged_pmfs_that_do_not_sum_to_one_are_refused_with_their_row():
    batch = batch_of(6)
    batch.pmfs[0][3, 2] += 0.01
    with pytest.raises(UnusableLog, match=r"row 4: sum of the logged pmf of 'arm' is 1.01, need 1 .*correct it"):
        weighed(batch)


def test_logged_pmfs_with_a_negative_entry_are_refused_although_they_sum_to_one():
    batch = batch_of(6)
    batch.pmfs[0][4] = [-0.2, 0.3, 0.9]
    with pytest.raises(
        UnusableLog, match=r"row 5: least probability of the logged pmf of 'arm' is -0.2, need none below 0"
    ):
        weighed(batch)


def test_logged_pmfs_with_a_hole_are_refused():
    batch = batch_of(6)
    batch.pmfs[0][0, 1] = NAN
    with pytest.raises(UnusableLog, match="row 1: least probability of the logged pmf of 'arm' is nan"):
        weighed(batch)


def test_a_propensity_that_its_pmf_contradicts_is_refused_with_its_row():
    batch = batch_of(6)
    batch.propensities[2] = 0.25
    with pytest.raises(UnusableLog, match=r"row 3: the propensity of 'arm' is 0.25, its pmf says 0.2.*manyarm verify"):
        weighed(batch)


def test_a_row_of_a_later_batch_is_called_by_its_number_in_the_log():
    batch = batch_of(6, numbers=np.arange(101, 107))
    batch.propensities[2] = 0.25
    with pytest.raises(UnusableLog, match="row 103: the propensity"):
        weighed(batch)


@pytest.mark.parametrize(("parts", "found"), [((5.0, 0.1), "5.0"), ((-0.5, -0.5), "-0.5"), ((0.5, NAN), "nan")])
def test_a_wrong_part_of_a_joint_propensity_is_found_although_the_product_looks_right(parts, found):
    layout = Layout(("subject", "cta"), (("a", "b"), ("x", "y")))
    propensities = np.array([[0.5, 0.5], parts])
    batch = LogBatch(layout, np.array([1, 2]), np.ones(2), np.zeros((2, 2), dtype=int), propensities)
    with pytest.raises(UnusableLog, match=f"row 2: propensity is {found}"):
        weighed(batch)


@pytest.mark.parametrize("pmf", [[[0.5, 0.5, 0.5]], [[1.5, -0.5, 0.0]], [[0.0, 0.0, 0.0]]])
def test_a_target_that_is_no_distribution_is_refused_with_its_row(pmf):
    target = CallableTarget(lambda batch: [np.repeat(pmf, len(batch), axis=0)], "mine")
    with pytest.raises(
        UnusableLog, match=r"row 1: .* of the target's pmf of 'arm' is .*correct it|Correct the log or target"
    ):
        weighed(batch_of(3), target)


def test_a_sum_that_is_off_by_rounding_alone_is_accepted():
    require_pmfs(np.array([[0.1] * 10, [1.0 - 1e-7] + [0.0] * 9]), "a pmf")


def test_a_column_of_target_probabilities_is_checked_like_any_other():
    batch = batch_of(3, targets={"t": np.array([0.5, 1.5, 0.0])})
    with pytest.raises(UnusableLog, match=r"row 2: target probability is 1\.5"):
        ColumnWeigher("t").weigh(batch)


def test_where_all_weights_are_0_the_log_cannot_answer_and_no_number_is_given():
    batch = batch_of(300, targets={"never": np.zeros(300)})
    methods = methods_of(("snips", "ips", "cressie-read"))
    found = tally([batch], methods, ColumnWeigher("never"), TargetWeigher(UniformTarget()))
    told = conclude(found, methods, Known(is_binary=True), "never", "uniform")
    assert told.verdict is told.answer.overlap.verdict is Verdict.CANNOT_ANSWER
    assert (told.answer.estimates, told.difference) == ({}, {})
    assert told.against.estimates.keys() == {"snips", "ips", "cressie-read"}
    assert told.reasons[0].startswith("never: In none of the 300 sends did the log do what the target would have done")
    assert "Send some traffic at random" in told.reasons[0]


def test_target_mass_on_arms_that_were_impossible_is_named_as_a_share_and_nothing_is_estimated():
    batch = batch_of(300, pmf=(0.5, 0.5, 0.0), picks=(np.arange(300) % 2)[:, None], propensities=np.full((300, 1), 0.5))
    target = CallableTarget(lambda b: [np.tile([0.3, 0.45, 0.25], (len(b), 1))], "mine")
    methods = methods_of(("snips", "cressie-read"))
    told = conclude(tally([batch], methods, TargetWeigher(target)), methods, Known(is_binary=True), "mine")
    assert told.verdict is Verdict.CANNOT_ANSWER
    assert told.answer.estimates == {}
    assert told.answer.overlap.support == pytest.approx(0.75)
    assert told.reasons[0].startswith("25.0% of what the target would send could never have been sent in this log")
    assert "Restrict the target" in told.reasons[0]


def test_an_arm_that_was_on_offer_and_never_drawn_is_not_taken_for_one_that_a_rule_removed():
    """A control row: one arm has probability 1. Its log says nothing of the others, and they do not turn into it."""
    offered = (np.ones((300, 3), dtype=bool),)
    batch = batch_of(300, pmf=(1.0, 0.0, 0.0), picks=np.zeros((300, 1), dtype=int), propensities=np.ones((300, 1)))
    methods = methods_of(("snips",))
    for told_of, verdict in ((offered, Verdict.CANNOT_ANSWER), (None, Verdict.RELIABLE)):
        weigher = TargetWeigher(FixedTarget((1,), "fixed:b"))
        found = tally([replace(batch, offered=told_of)], methods, weigher)
        assert conclude(found, methods, Known(is_binary=True), "fixed:b").verdict is verdict


def test_a_mean_weight_that_chance_does_not_explain_is_unreliable():
    weights, rewards = honest(2000, 0.2)
    found = overlap(weights * 1.2, rewards)
    assert found.verdict is Verdict.UNRELIABLE
    assert found.mean_weight == pytest.approx(1.2)
    assert found.mean_weight_p < 1e-3
    assert len(found.reasons) == 1
    assert "average weight is 1.200; it has to be 1 to within chance" in found.reasons[0]
    assert "Run `manyarm verify`, and check --propensity" in found.reasons[0]


def test_a_mean_weight_that_cannot_vary_and_is_not_1_is_unreliable():
    assert overlap(np.full(500, 0.5), np.arange(500) % 2).mean_weight_p == 0.0
    assert overlap(np.ones(500), np.arange(500) % 2).mean_weight_p == 1.0


def test_fewer_than_100_effective_sends_are_unreliable_and_it_is_said_how_many_are_missing():
    weights, rewards = honest(160, 0.5)
    found = overlap(weights, rewards)
    assert found.ess == pytest.approx(80.0)
    assert found.verdict is Verdict.UNRELIABLE
    assert "The 160 sends are worth only 80 sends of the target's own (at least 100 are needed)" in found.reasons[0]
    assert "Collect about 40 more sends" in found.reasons[0]


def test_few_rewarded_sends_are_thin_and_it_is_said_how_many_are_missing():
    weights, _ = honest(2000, 0.0)
    rewards = np.zeros(2000)
    rewards[np.flatnonzero(weights)[:8]] = 1.0
    found = overlap(weights, rewards)
    assert found.rewarded == pytest.approx(8.0)
    assert found.verdict is Verdict.THIN
    assert "Only about 8 rewarded sends speak for the target (at least 20 are needed)" in found.reasons[0]
    assert "Collect about 3,000 more sends" in found.reasons[0]


def test_a_log_with_enough_of_everything_is_reliable_and_has_nothing_to_explain():
    found = overlap(*honest(2000, 0.2), support=1.0)
    assert (found.verdict, found.reasons) == (Verdict.RELIABLE, ())
    assert found.ess == pytest.approx(1000.0)
    assert (found.n, found.max_weight) == (2000, 2.0)


def test_of_two_answers_the_worse_verdict_counts():
    batch = batch_of(300, targets={"same": np.tile([0.5, 0.3, 0.2], 100), "never": np.zeros(300)})
    methods = methods_of(("snips",))
    found = tally([batch], methods, ColumnWeigher("same"), ColumnWeigher("never"))
    told = conclude(found, methods, Known(is_binary=True), "same", "never")
    assert told.answer.overlap.verdict is Verdict.RELIABLE
    assert told.verdict is Verdict.CANNOT_ANSWER
    assert told.difference == {}
