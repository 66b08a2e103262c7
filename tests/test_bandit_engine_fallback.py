"""A decision is never refused because the model is ill: the random policy decides, and the row says why."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from bandit import Context, Estimates, Group, Served
from bandit.estimates import Need
from bandit.learner import TrainingRow
from bandit.regression import reference_score
from policies import group_policies

ILL_SCORES = {
    "nan": [math.nan, 0.1, 0.2],
    "nan in between": [0.1, math.nan, 0.2],
    "all nan": [math.nan] * 3,
    "infinite": [math.inf, 0.1, 0.2],
    "minus infinite": [-math.inf, 0.1, 0.2],
    "too many": [0.1, 0.2, 0.3, 0.4],
    "too few": [0.1, 0.2],
    "none": None,
}
ILL_PMFS = {
    "nan": [math.nan, 0.5, 0.5],
    "negative": [-0.5, 1.0, 0.5],
    "short of one": [0.3, 0.3, 0.3],
    "over one": [0.6, 0.6, 0.6],
    "on an arm not eligible": [0.2, 0.3, 0.5],
    "all on an arm not eligible": [0.0, 0.0, 1.0],
    "nothing": [0.0, 0.0, 0.0],
    "infinite": [math.inf, 0.0, 0.0],
    "too many": [0.5, 0.5, 0.0, 0.0],
    "none": None,
}
RULES = {"all eligible": {}, "one ruled out": {"when": {"level": ["high"]}}}


@dataclass(frozen=True)
class Oracle:
    """A scorer that says what it is told, whatever the context."""

    answer: Estimates
    n_learned: int = 100

    def start(self, context):
        return None

    def estimates(self, state, dimension, offered):
        return self.answer

    def offer(self, state, dimension, offered):
        return self.answer.on_offer(dimension, offered, (3, 2)[dimension])

    def after(self, state, dimension, pick):
        return state

    def whole(self, state, dimension, pick):
        return None


@dataclass(frozen=True)
class Told:
    """A policy that answers with one pmf, right or wrong."""

    answer: tuple[float, ...]
    name: str = "told"
    needs: Need = Need.SCORES

    def shares(self, offer):
        return list(self.answer)

    def pmf(self, estimates, eligible, *, dimension):
        return np.array(self.answer)


def decide_with(worlds, answer, *, policy="squarecb", rule=None, floor=0.05):
    """Ten decisions of customers at the low level."""
    arm = {"id": "dominate", **({"when": {"level": ["high"]}} if rule is None else rule)}
    campaign = worlds.campaign(
        dimension=[worlds.dimension("subject", "plain", "champion", arm)], policy={"name": policy, "floor": floor}
    )
    engine = worlds.engine(campaign).serving(Served("s9", Oracle(answer)))
    return decide_at_low_level(worlds, engine), engine


def decide_at_low_level(worlds, engine):
    low = Context.of(level="low")
    return [engine.decide("ann", low, decision_id=f"d{i}", at=worlds.noon) for i in range(10)]


def array(values):
    return None if values is None else np.array(values)


def assert_fell_back(decisions):
    for decision in decisions:
        assert (decision.policy, decision.snapshot) == ("uniform", None)
        assert decision.fallback.startswith("s9: ")
        assert len(decision.fallback) > 20
        eligible = [p for p in decision.picks[0].pmf.probabilities if p > 0.0]
        assert eligible == pytest.approx([1 / len(eligible)] * len(eligible))
        assert decision.estimate is None


@pytest.mark.parametrize("policy", ["squarecb", "epsilon-greedy", "softmax"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("ill", ILL_SCORES)
def test_scores_that_no_policy_can_use_lead_to_the_random_policy(worlds, policy, rule, ill):
    decisions, _ = decide_with(worlds, Estimates(array(ILL_SCORES[ill]), 100), policy=policy, rule=RULES[rule])
    assert_fell_back(decisions)


@pytest.mark.parametrize("policy", ["squarecb", "epsilon-greedy", "softmax"])
def test_a_score_that_is_nan_where_no_arm_is_eligible_matters_to_nobody(worlds, policy):
    healthy, _ = decide_with(worlds, Estimates(np.array([0.1, 0.2, 0.0]), 100), policy=policy)
    decisions, _ = decide_with(worlds, Estimates(np.array([0.1, 0.2, math.nan]), 100), policy=policy)
    for decision, same in zip(decisions, healthy, strict=True):
        assert decision.fallback is None
        assert decision.picks == same.picks


@pytest.mark.parametrize("ill", ILL_PMFS)
@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_a_native_pmf_that_is_none_leads_to_the_random_policy(worlds, ill, floor):
    decisions, _ = decide_with(worlds, Estimates(native=array(ILL_PMFS[ill])), policy="native", floor=floor)
    assert_fell_back(decisions)


@pytest.mark.parametrize(
    "answer",
    [
        (math.nan, 0.5, 0.5),
        (-0.5, 1.0, 0.5),
        (0.3, 0.3, 0.3),
        (0.6, 0.6, 0.6),
        (0.0, 0.0, 0.0),
        (0.5, 0.5),
        (0.5, 0.5, 0.0, 0.0),
        (),
    ],
    ids=str,
)
def test_a_policy_that_answers_with_no_pmf_is_not_drawn_from(worlds, answer):
    _, engine = decide_with(worlds, Estimates(np.array([0.1, 0.2, 0.3]), 100), rule={})
    policies = {**group_policies(engine.campaign), Group.LEARNER: Told(answer)}
    assert_fell_back(decide_at_low_level(worlds, replace(engine, policies=policies)))


def test_the_reason_in_the_row_says_what_was_wrong_with_the_answer(worlds):
    decisions, _ = decide_with(worlds, Estimates(native=np.array([0.2, 0.3, 0.5])), policy="native")
    assert "sum to 0.5" in decisions[0].fallback
    decisions, _ = decide_with(worlds, Estimates(native=np.array([0.3, 0.3, 0.3])), policy="native", rule={})
    assert "sum to 0.9" in decisions[0].fallback


def test_an_answer_that_is_ill_in_the_second_dimension_spoils_no_draw_of_the_first(worlds):
    campaign = worlds.campaign()
    engine = worlds.engine(campaign).serving(Served("s9", Oracle(Estimates(np.array([0.1, 0.9, 0.2]), 1))))
    for decision in worlds.decide(engine, 10):  # three scores fit the first dimension and not the second
        assert decision.policy == "uniform"
        assert decision.propensity == pytest.approx(1 / 6)
        assert decision.fallback.startswith("s9: ")


def test_a_healthy_answer_does_not_fall_back(worlds):
    decisions, _ = decide_with(worlds, Estimates(np.array([0.1, 0.2, 0.3]), 100), rule={})
    for decision in decisions:
        assert (decision.fallback, decision.snapshot, decision.policy) == (None, "s9", "squarecb")
        best = np.argmax(decision.picks[0].pmf.probabilities)
        assert decision.picks[0].pmf.arms[best] == "dominate"


def trained(worlds, *, interactions):
    campaign = worlds.campaign(policy={"interactions": interactions, "floor": 0.5}, learner={"learning_rate": 0.5})

    def chance(context, choice):
        match = {"champion": "join", "dominate": "invite"}.get(choice["subject"]) == choice["cta"]
        return {"click": 0.8 if match else 0.1, "conversion": 0.3 * (choice["subject"] == "champion")}

    snapshot = worlds.train(campaign, worlds.rows(campaign, 700, chance))
    return campaign, snapshot, worlds.decide(worlds.engine(campaign, snapshot), 60)


def spread_of_second_pmfs(worlds, *, interactions):
    """How far the second dimension's pmf differs between first picks, in one and the same context."""
    campaign, snapshot, _ = trained(worlds, interactions=interactions)
    engine = worlds.engine(campaign, snapshot)
    context = worlds.contexts(campaign, 1)[0]
    seen = {}
    for i in range(40):
        decision = engine.decide("ann", context, decision_id=f"d{i}", at=worlds.noon)
        seen[decision.picks[0].arm] = decision.picks[1].pmf.probabilities
    assert len(seen) == 3
    return max(np.abs(np.subtract(a, b)).max() for a in seen.values() for b in seen.values())


def test_independent_dimensions_have_pmfs_that_do_not_depend_on_earlier_picks(worlds):
    assert spread_of_second_pmfs(worlds, interactions=False) == 0.0


def test_interacting_dimensions_have_pmfs_that_do(worlds):
    assert spread_of_second_pmfs(worlds, interactions=True) > 0.05


@pytest.mark.parametrize("interactions", [True, False])
def test_the_estimate_is_the_reward_expected_of_the_whole_choice(worlds, interactions):
    campaign, snapshot, decisions = trained(worlds, interactions=interactions)
    for decision in decisions[:20]:
        context = campaign.schema.encode(worlds.contexts(campaign, 60)[decisions.index(decision)])
        row = TrainingRow(context, campaign.picks_of(decision.choice), 0.0, (), (), ())
        linear = np.array(reference_score(campaign, snapshot, row))
        expected = np.dot(list(campaign.reward.events.values()), 1.0 / (1.0 + np.exp(-linear)))
        assert decision.estimate == pytest.approx(expected, abs=1e-5)
