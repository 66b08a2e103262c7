"""Whole choices: joint pmfs made again from snapshots, and the weights that follow from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit import Group, Served
from bandit.context import Context
from bandit.errors import UnusableLog
from evaluation.composite import CompositeWeigher
from evaluation.joint_pmf import JointPolicy, JointRules, _OneByOne
from evaluation.log_batch import Layout, LogBatch
from evaluation.target import Rule, RulesTarget
from policies.fixed import Fixed
from policies.registry import group_policies
from policies.uniform import Uniform


@pytest.fixture
def campaign(worlds):
    """Three dimensions; arms that need a high level, and arms that need an earlier pick."""
    arms = ["base", {"id": "vip", "when": {"level": ["high"]}}, {"id": "loud", "requires": {"subject": ["champion"]}}]
    return worlds.campaign(
        dimension=[
            worlds.dimension("subject", "plain", "champion", "dominate"),
            worlds.dimension("cta", "join", "invite"),
            worlds.dimension("benefit", *arms),
        ],
        policy={"name": "squarecb", "floor": 0.1},
        groups={"random": 0.3},
    )


def liked(context, choice):
    """Chances of each outcome: champions are clicked, and those with a high level join."""
    return {
        "click": 0.4 if choice["subject"] == "champion" else 0.1,
        "conversion": 0.2 if context["level"] == "high" else 0.05,
    }


@pytest.fixture
def decided(worlds, campaign):
    """A snapshot, and decisions that it and the random policy made."""
    rows = worlds.rows(campaign, 400, liked)
    snapshot = worlds.train(campaign, rows)
    engine = worlds.engine(campaign, snapshot)
    contexts = worlds.contexts(campaign, 120, seed=9)
    made = [engine.decide(f"c{i}", c, decision_id=f"d{i}", at=worlds.noon) for i, c in enumerate(contexts)]
    return worlds.kind(campaign).serve(campaign, snapshot), made


def joints(campaign, scorer):
    policies = group_policies(campaign)
    return {
        Group.LEARNER: JointPolicy(campaign, policies[Group.LEARNER], scorer),
        Group.RANDOM: JointPolicy(campaign, Uniform()),
    }


def batch_of(campaign, made, rewards):
    names = [item.name for item in campaign.schema.fields]
    layout = Layout(tuple(d.name for d in campaign.dimensions), tuple(d.ids for d in campaign.dimensions))
    return LogBatch(
        layout,
        np.arange(1, len(made) + 1),
        np.asarray(rewards, dtype=float),
        np.array([campaign.picks_of(d.choice) for d in made]),
        np.array([[pick.propensity for pick in d.picks] for d in made]),
        None,
        {name: [d.context[name] for d in made] for name in names},
        deciders=[d.group.value for d in made],
    )


def test_a_joint_pmf_gives_each_decision_the_propensity_that_was_logged(campaign, decided):
    scorer, made = decided
    by_group = joints(campaign, scorer)
    assert {d.group for d in made} == {Group.LEARNER, Group.RANDOM}
    for decision in made:
        joint = by_group[decision.group].pmf(campaign.schema.encode(Context(decision.context)))
        assert joint.sum() == pytest.approx(1.0, abs=1e-12)
        assert joint[campaign.picks_of(decision.choice)] == pytest.approx(decision.propensity, rel=1e-9)


def test_choices_that_rules_forbid_have_probability_0(campaign, decided):
    scorer, _ = decided
    for joint in joints(campaign, scorer).values():
        found = joint.pmf(campaign.schema.encode(Context({"level": "low", "days": 1.0, "member": True})))
        assert not found[:, :, 1].any()
        assert not found[0, :, 2].any()
        assert (found[1, :, 2] > 0).all()


def test_branch_after_branch_gives_what_all_branches_at_once_give(campaign, decided):
    scorer, _ = decided
    encoded = campaign.schema.encode(Context({"level": "high", "days": 3.0, "member": False}))
    joint = joints(campaign, scorer)[Group.LEARNER]
    pmf, values = joint.pmf(encoded), joint.values(encoded)
    joint._branching = _OneByOne(scorer, campaign.sizes)
    np.testing.assert_allclose(joint.pmf(encoded), pmf, rtol=1e-9)
    np.testing.assert_allclose(joint.values(encoded), values, rtol=1e-9)


def test_values_are_what_the_snapshot_expects_of_the_whole_choice(campaign, decided):
    scorer, made = decided
    joint = joints(campaign, scorer)[Group.LEARNER]
    for decision in made:
        if decision.estimate is not None:
            values = joint.values(campaign.schema.encode(Context(decision.context)))
            assert values[campaign.picks_of(decision.choice)] == pytest.approx(decision.estimate, rel=1e-9)


def test_a_table_of_rules_decides_by_context(campaign):
    table = RulesTarget((Rule({"level": ("high",)}, (1, 0, 1)), Rule({}, (0, 1, 0))), "rules")
    joint = JointRules(table, lambda picks: JointPolicy(campaign, Fixed(picks)))
    high, low = (campaign.schema.encode(Context({"level": level})) for level in ("high", "low"))
    assert joint.pmf(high)[1, 0, 1] == joint.pmf(low)[0, 1, 0] == 1.0


def test_what_made_a_row_weighs_it_with_1(campaign, decided):
    scorer, made = decided
    only = [decision for decision in made if decision.group is Group.LEARNER]
    by_group = {group.value: joint for group, joint in joints(campaign, scorer).items()}
    rows = CompositeWeigher(campaign, by_group["learner"], by_group, "t").weigh(
        batch_of(campaign, only, np.ones(len(only)))
    )
    np.testing.assert_allclose(rows.additive, 1.0, atol=1e-9)
    np.testing.assert_allclose(rows.pairwise, 1.0, atol=1e-9)


def test_weights_average_1_for_any_target(campaign, decided):
    """Exactly, over everything a row could have been: the expectation of the weight under what decided."""
    scorer, made = decided
    by_group = {group.value: joint for group, joint in joints(campaign, scorer).items()}
    weigher = CompositeWeigher(campaign, by_group["random"], by_group, "t")
    behavior = by_group["learner"].pmf(campaign.schema.encode(Context(made[0].context)))
    total = np.zeros(2)
    for picks in zip(*np.nonzero(behavior), strict=True):
        choice = campaign.choice_of([int(k) for k in picks])
        row = batch_of(campaign, [made[0]], [0.0])
        row = replace(
            row, picks=np.array([picks]), propensities=np.array([[1.0, 1.0, behavior[picks]]]), deciders=["learner"]
        )
        found = weigher.weigh(row)
        assert choice
        total += behavior[picks] * np.array([found.additive[0], found.pairwise[0]])
    np.testing.assert_allclose(total, 1.0, atol=1e-9)


def test_a_propensity_that_its_snapshot_does_not_give_is_refused_with_its_row(campaign, decided):
    scorer, made = decided
    by_group = {group.value: joint for group, joint in joints(campaign, scorer).items()}
    batch = batch_of(campaign, made, np.zeros(len(made)))
    batch.propensities[3, 1] *= 1.2
    with pytest.raises(UnusableLog, match=r"row 4: its propensity is .* its snapshot gives"):
        CompositeWeigher(campaign, by_group["random"], by_group, "t").weigh(batch)


def test_a_log_that_does_not_say_who_decided_is_refused(campaign, decided):
    scorer, made = decided
    batch = replace(batch_of(campaign, made, np.zeros(len(made))), deciders=None)
    with pytest.raises(UnusableLog, match="does not say which snapshot decided"):
        CompositeWeigher(campaign, joints(campaign, scorer)[Group.RANDOM], {}, "t").weigh(batch)


def test_a_served_snapshot_decides_as_its_joint_says(campaign, decided, worlds):
    """Drawn again and again for one customer, choices come as often as the joint pmf says."""
    scorer, _ = decided
    engine = worlds.engine(campaign).serving(Served("s1", scorer))
    context = Context({"level": "high", "days": 2.0, "member": True})
    group = engine.decide("someone", context, decision_id="x", at=worlds.noon).group
    joint = joints(campaign, scorer)[group].pmf(campaign.schema.encode(context))
    counts = np.zeros(campaign.sizes)
    for i in range(4000):
        made = engine.decide("someone", context, decision_id=f"d{i}", at=worlds.noon)
        counts[campaign.picks_of(made.choice)] += 1
    assert np.abs(counts / 4000 - joint).max() < 4 * np.sqrt(0.25 / 4000)
