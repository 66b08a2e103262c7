"""Rows of before dead ends were out, weighed by what drew them; a table of whole choices for a learner with many beliefs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import numpy as np
import pytest

from bandit import Context, Group, LoggedDecision, Served
from bandit.charged_scorer import charged
from bandit.eligibility import Eligibility
from bandit.engine import Engine
from bandit.errors import NoEligibleArm, UnusableLog
from bandit.exclusion import Excluded
from bandit.recent_sends import RecentSendCost
from bandit.wear_out import PastSend
from evaluation.behavior import Behavior, Rules, behavior_of
from evaluation.columns import WEIGHT
from evaluation.composite import CompositeWeigher
from evaluation.estimator import part
from evaluation.evaluate import AGAINST, TARGET
from evaluation.joint_pmf import JointPolicy, _OneByOne
from evaluation.pairwise_gain import GAIN, PairwiseGain
from policies.fixed import Fixed
from policies.registry import group_policies
from policies.uniform import Uniform
from service.log_source import batch_of

NEW, OLD = Context.of(level="new"), Context.of(level="old")


@pytest.fixture(scope="module")
def campaign(worlds):
    """sms leads nowhere for a new customer; after email each of two subjects leads on, after push one."""
    return worlds.campaign(
        context={"level": {"kind": "categorical", "values": ["new", "old"]}},
        groups={"random": 1.0},
        dimension=[
            worlds.dimension("channel", "email", "push", "sms"),
            worlds.dimension("subject", "long", {"id": "short", "requires": {"channel": ["email", "sms"]}}),
            worlds.dimension(
                "hour",
                {"id": "nine", "requires": {"channel": ["email", "push"]}},
                {"id": "ten", "when": {"level": ["old"]}},
            ),
        ],
    )


class Stages:
    """Models of stages that expect nothing."""

    def values(self, encoded, picks):
        del encoded, picks
        return np.zeros(3), np.zeros(2), np.zeros(2)


def rows_of(worlds, campaign, contexts, *, ahead):
    """What is answered, as columns of a log; the random policy decides."""
    ruled = replace(campaign)
    object.__setattr__(ruled, "eligibility", Eligibility(campaign.dimensions, looks_ahead=ahead))
    engine = Engine(ruled, group_policies(ruled), salt=worlds.salt, secret=worlds.secret)
    made = []
    for i, context in enumerate(contexts):
        try:
            made.append(engine.decide(f"c{i}", context, decision_id=f"d{i}", at=worlds.noon))
        except NoEligibleArm:
            assert not ahead
    logged = [LoggedDecision.of(decision, seq) for seq, decision in enumerate(made, start=1)]
    rewards = [float(row.arms[0] == "email") for row in logged]
    return batch_of(
        [replace(row, reward=reward, state="matured") for row, reward in zip(logged, rewards, strict=True)], campaign, 0
    )


@pytest.fixture(scope="module")
def mixed(worlds, campaign):
    """A log that has rows of both times, refused ones left out."""
    contexts = [NEW, NEW, OLD] * 30
    return [rows_of(worlds, campaign, contexts, ahead=ahead) for ahead in (False, True)]


@pytest.fixture(scope="module")
def deciders(campaign):
    return {"": JointPolicy(campaign, Uniform())}


def test_given_an_answer_the_choices_of_before_dead_ends_were_out_had_their_share_of_what_was_answered(
    campaign, deciders
):
    found = behavior_of(deciders[""], campaign.schema.encode(NEW), Rules(is_blind=True))
    assert found.answered == pytest.approx(2 / 3)
    assert found.pmf.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(found.pmf[:, :, 0], [[0.25, 0.25], [0.5, 0.0], [0.0, 0.0]])
    assert found.explains((0, 0, 0), 1 / 6)
    assert not found.explains((0, 0, 0), 1 / 4)
    assert behavior_of(deciders[""], campaign.schema.encode(OLD), Rules(is_blind=True)).answered == pytest.approx(1.0)


def test_someone_to_whom_nothing_could_be_sent_explains_no_row(campaign, deciders):
    blocked = campaign.schema.encode(NEW)._replace(excluded=(Excluded(2, 0, "out"),))
    found = behavior_of(deciders[""], blocked, Rules(is_blind=True))
    assert not found.pmf.any()
    assert not any(found.explains(picks, 0.1) for picks in product(*map(range, campaign.sizes)))


def test_a_policy_that_is_weighed_on_its_own_rows_weighs_1_in_rows_of_both_times(campaign, mixed, deciders):
    weigher = CompositeWeigher(campaign, JointPolicy(campaign, Uniform()), deciders, "uniform")
    for batch in mixed:
        found = weigher.weigh(batch)
        np.testing.assert_allclose(found.weights, 1.0, atol=1e-9)
        np.testing.assert_allclose(found.additive, 1.0, atol=1e-9)


def test_stage_wise_weights_of_rows_of_before_are_by_what_drew_them_too(campaign, mixed, deciders):
    stages = (Stages(),)
    weigher = CompositeWeigher(campaign, JointPolicy(campaign, Uniform()), deciders, "t", stages=stages, by_pinv=False)
    for batch in mixed:
        found = weigher.weigh(batch)
        np.testing.assert_allclose(found.weights, 1.0, atol=1e-9)
        np.testing.assert_allclose(found.staged, batch.rewards, atol=1e-9)


def test_the_gate_weighs_rows_of_both_times_and_finds_no_gain_between_equals(campaign, mixed, deciders):
    uniform = JointPolicy(campaign, Uniform())
    sums = PairwiseGain(campaign, uniform, uniform, deciders).tally(mixed).sums
    assert sums.n == sum(map(len, mixed))
    for prefix in (TARGET, AGAINST, GAIN):
        weights = part(sums, prefix)
        assert weights.mean(WEIGHT.name) == pytest.approx(1.0)
        assert weights.scatter[weights.names.index(WEIGHT.name)] == pytest.approx(0.0, abs=1e-9)


def test_a_target_weighs_1_on_average_over_all_answers_that_rows_of_before_can_have_had(campaign, mixed, deciders):
    behavior = behavior_of(deciders[""], campaign.schema.encode(NEW), Rules(is_blind=True))
    picks = np.argwhere(behavior.pmf > 0.0)
    shares, n = behavior.pmf[tuple(picks.T)], len(picks)
    every = replace(
        mixed[0], numbers=np.arange(1, n + 1), rewards=np.zeros(n), picks=picks, pmfs=None, offered=None,
        propensities=np.stack([np.ones(n), np.ones(n), shares * behavior.answered], axis=1),
        context={"level": ["new"] * n}, deciders=[""] * n, exposures=None, excluded=None, recent_sends=None,
    )  # fmt: skip
    for choice in map(tuple, picks.tolist()):
        weigher = CompositeWeigher(campaign, JointPolicy(campaign, Fixed(choice)), deciders, "fixed")
        found = weigher.weigh(every)
        assert [float(shares @ weights) for weights in (found.additive, found.pairwise)] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("ahead", [False, True])
def test_a_row_that_neither_rule_explains_is_still_refused_with_what_its_snapshot_gives_now(
    campaign, mixed, deciders, ahead
):
    batch, uniform = mixed[ahead], JointPolicy(campaign, Uniform())
    wrong = batch.propensities.copy()
    wrong[3, 0] *= 0.9
    edited = replace(batch, propensities=wrong)
    for ask in (
        lambda: CompositeWeigher(campaign, uniform, deciders, "t").weigh(edited),
        lambda: PairwiseGain(campaign, uniform, uniform, deciders).tally([edited]),
    ):
        with pytest.raises(UnusableLog, match=r"row 4: its propensity is .*, its snapshot gives 0\.\d+"):
            ask()


def test_a_share_of_answers_is_no_licence_for_any_propensity():
    found = Behavior(np.array([[0.5, 0.5]]), 0.5)
    assert [found.explains((0, 1), p) for p in (0.25, 0.5, 0.251)] == [True, False, False]


@pytest.fixture(scope="module")
def beliefs(worlds):
    """thompson on several dimensions, one of which may end the choice; a snapshot of four members."""
    silent = {"id": "no_send", "no_send": True}
    campaign = worlds.campaign(
        policy={"name": "thompson", "floor": 0.05},
        learner={"name": "bootstrap", "members": 4},
        dimension=[
            worlds.dimension("subject", "plain", "champion", silent),
            worlds.dimension("cta", "join", {"id": "invite", "requires": {"subject": ["plain"]}}),
        ],
    )
    liked = {"champion": 0.5, "plain": 0.2}
    rows = worlds.rows(campaign, 200, lambda _, choice: {"click": liked.get(choice["subject"], 0.3)})
    return campaign, worlds.kind(campaign).serve(campaign, worlds.train(campaign, rows))


@pytest.mark.parametrize("cost", [None, 0.05])
def test_whole_choices_of_thompson_over_several_dimensions_have_the_probabilities_that_were_logged(
    worlds, beliefs, cost
):
    campaign, scorer = beliefs
    if cost:
        spec = RecentSendCost(cost, timedelta(days=7))
        campaign = replace(campaign, reward=replace(campaign.reward, recent_send=spec))
        scorer = charged(campaign, scorer)
    engine = worlds.engine(campaign).serving(Served("s1", scorer, ""))
    joint, slow = (JointPolicy(campaign, group_policies(campaign)[Group.LEARNER], scorer) for _ in range(2))
    slow._branching = _OneByOne(scorer, campaign.sizes)
    past = [PastSend(worlds.noon - timedelta(hours=hours), {"subject": "plain", "cta": "join"}) for hours in (30, 90)]
    changed = 0.0
    for i, context in enumerate(worlds.contexts(campaign, 20)):
        made = engine.decide(
            f"c{i}", context, decision_id=f"d{i}", at=worlds.noon, past=past[: i % 3] if cost else None
        )
        encoded = campaign.schema.encode(context)._replace(recent_sends=made.recent_sends)
        found = joint.pmf(encoded)
        assert found.sum() == pytest.approx(1.0)
        assert found[campaign.picks_of(made.choice)] == pytest.approx(made.propensity, rel=1e-9)
        np.testing.assert_allclose(found, slow.pmf(encoded), atol=1e-12)
        np.testing.assert_allclose(joint.values(encoded), slow.values(encoded), atol=1e-12)
        changed += np.abs(joint.values(encoded) - joint.values(encoded._replace(recent_sends=0))).max()
    assert bool(changed) == bool(cost)
