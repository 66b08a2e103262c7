"""Every target is a distribution over what could have been sent, or it is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit import LoggedDecision
from bandit.campaign import PolicySpec
from bandit.errors import UnusableLog
from evaluation.learned_target import BestConstant
from evaluation.log_batch import Layout
from evaluation.snapshot_target import LearnPolicy, SnapshotTarget
from evaluation.target import CallableTarget, FixedTarget, Rule, RulesTarget, UniformTarget
from evaluation.weighing import ColumnWeigher, TargetWeigher
from policies import policy_of
from service.log_source import batch_of, with_one_reward

RULED = {
    "dimension": [
        {"name": "subject", "arm": [{"id": "plain"}, {"id": "champion", "when": {"level": ["high"]}}, {"id": "dominate"}]},
        {"name": "cta", "arm": [{"id": "join"}, {"id": "invite", "requires": {"subject": ["plain"]}}]},
    ]
}  # fmt: skip
ONE = {"dimension": [{"name": "subject", "arm": [{"id": "plain"}, {"id": "champion"}, {"id": "dominate"}]}]}


@pytest.fixture(scope="module")
def ruled(worlds):
    """A campaign with rules on context and on earlier picks, and a batch of its log."""
    return worlds.logged(worlds.campaign(**RULED), 120)


@pytest.fixture(scope="module")
def single(worlds):
    """A campaign of one dimension where only the champion is clicked, and a batch of its log."""
    return worlds.logged(worlds.campaign(**ONE), 300)


def targets(campaign, worlds, batch):
    """One target of each kind for a campaign of any number of dimensions."""
    first = tuple(0 for _ in campaign.dimensions)
    policy, kind = policy_of(campaign.policy), worlds.kind(campaign)
    snapshot = worlds.train(campaign, worlds.rows(campaign, 60, lambda *_: {"click": 0.3}))
    rules = (Rule({"level": ("low", "high")}, first), Rule({}, tuple(1 for _ in campaign.dimensions)))
    return [
        UniformTarget(),
        FixedTarget(tuple(1 for _ in campaign.dimensions), "fixed"),
        RulesTarget(rules, "rules"),
        CallableTarget(lambda b: UniformTarget().pmfs(b), "callable"),
        SnapshotTarget(campaign, policy, kind.serve(campaign, snapshot), "snapshot"),
        SnapshotTarget(campaign, policy_of(PolicySpec("uniform", 0.0)), None, "no estimates"),
        LearnPolicy(with_one_reward(campaign), worlds.kind(with_one_reward(campaign)), policy, "learned")([batch]),
        BestConstant()([batch]),
    ]


@pytest.mark.parametrize("case", ["ruled", "single"])
def test_every_target_is_a_distribution_over_what_could_have_been_sent(case, request, worlds):
    campaign, batch = request.getfixturevalue(case)
    for target in targets(campaign, worlds, batch):
        pmfs = target.pmfs(batch)
        assert [pmf.shape for pmf in pmfs] == [(len(batch), size) for size in batch.layout.sizes], target.name
        for logged_pmf, pmf in zip(batch.pmfs, pmfs, strict=True):
            np.testing.assert_allclose(pmf.sum(axis=1), 1.0, atol=1e-12, err_msg=target.name)
            assert (pmf >= 0.0).all(), target.name
            assert not pmf[logged_pmf == 0.0].any(), target.name
        assert TargetWeigher(target).weigh(batch).support == pytest.approx(1.0)


def test_uniform_gives_each_arm_on_offer_the_same(ruled):
    _, batch = ruled
    low = np.array([context["level"] != "high" for context in batch.contexts()])
    subject, cta = UniformTarget().pmfs(batch)
    assert {tuple(row) for row in subject[low].tolist()} == {(0.5, 0.0, 0.5)}
    assert {tuple(row) for row in subject[~low].tolist()} == {(1 / 3, 1 / 3, 1 / 3)}
    assert {tuple(row) for row in cta[batch.picks[:, 0] != 0].tolist()} == {(1.0, 0.0)}


def test_where_the_log_does_not_say_what_was_on_offer_everything_was(worlds):
    assert UniformTarget().pmfs(worlds.even(4, 3, pmfs=None))[0].tolist() == [[1 / 3] * 3] * 4


def test_a_fixed_arm_that_a_rule_removed_falls_back_to_what_was_left_alike(ruled):
    _, batch = ruled
    low = np.array([context["level"] != "high" for context in batch.contexts()])
    subject, cta = FixedTarget((1, 1), "fixed").pmfs(batch)
    assert {tuple(row) for row in subject[low].tolist()} == {(0.5, 0.0, 0.5)}
    assert {tuple(row) for row in subject[~low].tolist()} == {(0.0, 1.0, 0.0)}
    assert {tuple(row) for row in cta[batch.picks[:, 0] == 0].tolist()} == {(0.0, 1.0)}
    assert {tuple(row) for row in cta[batch.picks[:, 0] != 0].tolist()} == {(1.0, 0.0)}


def rules_on(worlds, values, *rules, **columns):
    """What rules send to rows with these values of `x`."""
    target = RulesTarget(tuple(Rule(when, (choice,)) for when, choice in rules), "rules")
    return target.pmfs(worlds.even(len(values), 3, context={"x": values} | columns))[0].argmax(axis=1).tolist()


def test_the_first_rule_that_holds_decides(worlds):
    rules = ({"x": ("p", "q")}, 0), ({"x": ("q", "r")}, 1), ({}, 2)
    assert rules_on(worlds, ["p", "q", "r", "s", None], *rules) == [0, 0, 1, 2, 2]


def test_every_condition_of_a_rule_must_hold(worlds):
    assert rules_on(worlds, ["p", "p", "q"], ({"x": ("p",), "y": ("u",)}, 0), ({}, 1), y=["u", "v", "u"]) == [0, 1, 1]


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        (3.0, 3, True), ("3", 3, True), ("3.0", 3, True), (3.0, "3", True), (3.0, "three", False), ("03", "3", False),
        (True, True, True), ("true", True, True), ("false", True, False), (True, "true", True), (1, True, False),
        (None, "None", False), (None, "", False), ("", "", True),
    ],
)  # fmt: skip
def test_a_number_and_its_text_are_one_value_and_so_are_yes_and_true(worlds, found, wanted, same):
    """The same log says 3.0 in Parquet and "3" in CSV, and a rule holds in both or in none."""
    assert rules_on(worlds, [found], ({"x": (wanted,)}, 0), ({}, 1)) == [0 if same else 1]


@pytest.mark.parametrize("rules", [(), (Rule({"x": ("p",)}, (0,)),), (Rule({}, (0,)), Rule({"x": ("p",)}, (1,)))])
def test_rules_that_could_leave_somebody_without_a_choice_are_refused(rules):
    with pytest.raises(
        UnusableLog, match=r"for some rows nothing would be sent\. End the table with a rule without `when`"
    ):
        RulesTarget(rules, "rules")


def test_rules_on_what_the_log_does_not_say_are_refused_with_what_it_says(worlds):
    with pytest.raises(
        UnusableLog, match=r"rules ask for age, zip, which is not in the log's context \(x\)\. Name the"
    ):
        rules_on(worlds, ["p"], ({"zip": ("1",), "age": ("2",)}, 0), ({}, 1))


@pytest.mark.parametrize(
    "answer",
    [
        lambda b: [np.full((len(b), 3), 1 / 3)],
        lambda b: [np.full(len(b), 1.0)],
        lambda b: [np.full((1, 2), 0.5)],
        lambda b: [],
        lambda b: [np.full((len(b), 2), 0.5)] * 2,
    ],
)
def test_a_callable_of_another_shape_is_refused_with_both_shapes(worlds, answer):
    with pytest.raises(
        UnusableLog, match=r"'mine' gave arrays of shapes .*, need \[\(4, 2\)\]: a probability for each row"
    ):
        CallableTarget(answer, "mine").pmfs(worlds.even(4))


@pytest.mark.parametrize("pmf", [[0.5, 0.4], [1.5, -0.5], [np.nan, 1.0], [0.0, 0.0]])
def test_a_callable_that_is_no_distribution_is_refused_with_the_row(worlds, pmf):
    answer = np.full((4, 2), 0.5)
    answer[2] = pmf
    with pytest.raises(UnusableLog, match=r"row 3: .*the target's pmf of 'arm' is"):
        CallableTarget(lambda b: [answer], "mine").pmfs(worlds.even(4))


def test_a_column_weighs_what_was_logged_and_knows_no_more(worlds):
    rows = ColumnWeigher("t").weigh(worlds.even(4, targets={"t": np.array([0.5, 0.25, 1.0, 0.0])}))
    assert rows.weights.tolist() == [1.0, 0.5, 2.0, 0.0]
    assert (rows.support, rows.predicted) == (None, None)
    assert rows.largest.tolist() == [2.0] * 4


def test_a_snapshot_gives_again_the_probabilities_that_it_logged(worlds):
    campaign = worlds.campaign(**RULED)
    snapshot = worlds.train(campaign, worlds.rows(campaign, 100, lambda *_: {"click": 0.3}))
    made = worlds.decide(worlds.engine(campaign, snapshot), 150)
    rows = [LoggedDecision.of(decision, number) for number, decision in enumerate(made, start=1)]
    batch = batch_of([replace(row, state="matured", reward=0.0) for row in rows], campaign, 0)
    target = SnapshotTarget(campaign, policy_of(campaign.policy), worlds.kind(campaign).serve(campaign, snapshot), "s")
    for found, expected in zip(target.pmfs(batch), batch.pmfs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


def test_a_snapshot_is_not_judged_by_the_log_of_another_campaign(ruled, single, worlds):
    campaign, _ = ruled
    target = SnapshotTarget(campaign, policy_of(campaign.policy), None, "s")
    with pytest.raises(UnusableLog, match="can only be judged by a log of its campaign: use that export"):
        target.pmfs(single[1])


def test_a_snapshot_that_looks_at_what_customers_got_is_not_judged_by_a_log_that_does_not_say(worlds):
    campaign = worlds.campaign(**ONE, wear_out={"window": "7d"})
    batch = worlds.even(4, 3, layout=Layout(("subject",), (("plain", "champion", "dominate"),)))
    with pytest.raises(UnusableLog, match="leave the log out and name --db"):
        SnapshotTarget(campaign, policy_of(campaign.policy), None, "s").pmfs(batch)
