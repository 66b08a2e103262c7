"""One decision: its numbers agree with each other, it can be repeated, and it is never edited afterwards."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bandit import Context, Engine, Group
from bandit.draw import customer_key, draw, position_of
from bandit.errors import InvalidContext, MismatchedPolicy, NoEligibleArm
from policies import POLICIES, group_policies

GROUPS = {"random": 0.2, "control": {"share": 0.3, "choice": {"subject": "plain", "cta": "join"}}}
RULED = {"id": "invite", "requires": {"subject": ["champion"]}}
STRANGE = ["a\nb", "a|b", "u=12:30", '"quoted"', "🎉", " ", "join", "join |a x", "ü" * 5000]
LEARNERS = {"regression": "squarecb", "native": "native"}


def chance(context, choice):
    return {"click": 0.6 if choice["subject"] == "champion" else 0.1, "conversion": 0.1 * (context["level"] == "high")}


def ruled_dimensions(worlds):
    return [worlds.dimension("subject", "plain", "champion", "dominate"), worlds.dimension("cta", "join", RULED)]


@pytest.fixture(scope="module", params=LEARNERS)
def serving(request, worlds):
    """An engine with all three groups and a rule between dimensions, serving a trained snapshot."""
    campaign = worlds.campaign(
        groups=GROUPS,
        dimension=ruled_dimensions(worlds),
        policy={"name": LEARNERS[request.param], "floor": 0.1},
        learner={"name": request.param, "learning_rate": 0.5},
    )
    return worlds.engine(campaign, worlds.train(campaign, worlds.rows(campaign, 300, chance)))


@pytest.fixture(scope="module")
def decisions(serving, worlds):
    return worlds.decide(serving, 300, seed=7)


def test_a_propensity_is_the_pmf_at_the_arm_drawn(decisions):
    for decision in decisions:
        for pick in decision.picks:
            assert pick.propensity == pick.pmf[pick.arm] > 0.0


def test_the_joint_propensity_is_the_product(decisions):
    for decision in decisions:
        assert decision.propensity == pytest.approx(math.prod(pick.propensity for pick in decision.picks), rel=1e-15)


def test_every_draw_can_be_repeated_from_the_pmf_the_id_and_the_salt(decisions, worlds):
    for decision in decisions:
        for pick in decision.picks:
            position = position_of(decision.campaign, decision.decision_id, pick.dimension, salt=worlds.salt)
            assert pick.pmf.arms[draw(pick.pmf.probabilities, position)] == pick.arm


def test_a_pmf_lists_all_arms_in_file_order_and_an_arm_ruled_out_has_exactly_nothing(serving, decisions):
    for decision in decisions:
        subject, cta = decision.picks
        assert (subject.pmf.arms, cta.pmf.arms) == tuple(dimension.ids for dimension in serving.campaign.dimensions)
        assert (cta.pmf["invite"] > 0.0) == (subject.arm == "champion" and decision.group is not Group.CONTROL)
    assert {decision.choice["cta"] for decision in decisions} == {"join", "invite"}


def test_the_floor_holds_for_every_eligible_arm_of_the_learner_group(decisions):
    learned = [decision for decision in decisions if decision.group is Group.LEARNER]
    assert len(learned) > 50
    for decision in learned:
        for pick in decision.picks:
            eligible = [p for p in pick.pmf.probabilities if p > 0.0]
            assert min(eligible) >= 0.1 / len(eligible) - 1e-12


def test_control_always_gets_its_choice_with_certainty(decisions):
    control = [decision for decision in decisions if decision.group is Group.CONTROL]
    assert len(control) > 50
    for decision in control:
        assert decision.choice == {"subject": "plain", "cta": "join"}
        assert (decision.propensity, decision.policy, decision.snapshot) == (1.0, "fixed", None)


def test_the_random_group_is_uniform_over_what_is_eligible(decisions):
    random = [decision for decision in decisions if decision.group is Group.RANDOM]
    assert len(random) > 20
    for decision in random:
        assert decision.picks[0].pmf.probabilities == pytest.approx((1 / 3,) * 3)
        eligible = 2 if decision.choice["subject"] == "champion" else 1
        assert decision.picks[1].propensity == pytest.approx(1 / eligible)
        assert (decision.policy, decision.snapshot, decision.fallback) == ("uniform", None, None)


def test_the_learner_group_says_which_snapshot_and_policy_decided(serving, decisions):
    for decision in decisions:
        if decision.group is Group.LEARNER:
            assert (decision.snapshot, decision.fallback) == ("s1", None)
            assert decision.policy == serving.campaign.policy.name


def test_a_decision_carries_who_when_what_was_known_and_under_which_file(serving, worlds):
    madrid = timezone(timedelta(hours=1))
    at = datetime(2026, 11, 22, 13, tzinfo=madrid)
    decision = serving.decide("ann", Context.of(level="high", days=99), decision_id="d-1", at=at)
    assert decision.decision_id == "d-1"
    assert (decision.campaign, decision.campaign_hash) == (serving.campaign.id, serving.campaign.content_hash)
    assert decision.customer_key == customer_key("ann", secret=worlds.secret)
    assert decision.context == {"level": "high", "days": 10.0, "member": None}
    assert decision.decided_at == at
    assert decision.decided_at.tzinfo is UTC


def test_the_same_decision_id_always_gives_the_same_decision(serving, worlds):
    once = worlds.decide(serving, 100)
    assert worlds.decide(serving, 100) == once
    assert worlds.decide(serving, 100)[::-1] == once[::-1]


def test_another_decision_id_draws_anew(serving, worlds):
    uniform = worlds.engine(worlds.campaign())
    choices = Counter(
        tuple(uniform.decide("ann", Context({}), decision_id=f"d{i}", at=worlds.noon).choice.values())
        for i in range(600)
    )
    # Six choices with 100 draws each; four and a half standard deviations of a binomial count.
    assert len(choices) == 6
    assert all(abs(count - 100) <= 4.5 * math.sqrt(100 * 5 / 6) for count in choices.values())


def test_who_the_customer_is_decides_the_group_and_nothing_else(serving, worlds):
    for i in range(50):
        one = serving.decide(f"c{i}", Context({}), decision_id="d", at=worlds.noon)
        two = serving.decide(f"c{i + 50}", Context({}), decision_id="d", at=worlds.noon)
        assert (one.group is not two.group) or (one.picks == two.picks)


@pytest.mark.parametrize("name", [name for name, policy in POLICIES.items() if policy.needs != "nothing"])
def test_without_a_snapshot_the_random_policy_decides_and_the_row_says_so(worlds, name):
    engine = worlds.engine(worlds.campaign(policy={"name": name}))
    for decision in worlds.decide(engine, 20):
        assert (decision.policy, decision.snapshot, decision.fallback) == ("uniform", None, "no snapshot yet")
        assert decision.propensity == pytest.approx(1 / 6)
        assert decision.estimate is None
    unserved = engine.serving(None, unserved="s7 was rolled back")
    assert worlds.decide(unserved, 1)[0].fallback == "s7 was rolled back"


def test_a_policy_that_needs_nothing_falls_back_on_nothing(worlds):
    decision = worlds.decide(worlds.engine(worlds.campaign(policy={"name": "uniform"})), 1)[0]
    assert (decision.policy, decision.fallback) == ("uniform", None)


def test_no_eligible_arm_is_an_error_that_names_the_rules(worlds):
    arm = {"id": "vip", "when": {"level": ["high"]}}
    engine = worlds.engine(worlds.campaign(dimension=[worlds.dimension("cta", arm)]))
    with pytest.raises(NoEligibleArm, match=r"'vip' by when level \(found 'low'\)"):
        engine.decide("ann", Context.of(level="low"), decision_id="d", at=worlds.noon)


@pytest.mark.parametrize("bad", ["", "x" * 1001, None, 7, b"d1", "\ud800"])
@pytest.mark.parametrize("which", ["customer_id", "decision_id"])
def test_an_unusable_id_is_refused_with_what_an_id_is(worlds, which, bad):
    ids = {"customer_id": "ann", "decision_id": "d1"} | {which: bad}
    with pytest.raises(InvalidContext, match=rf"{which} is .*need a text of 1 to 1000 characters"):
        worlds.engine(worlds.campaign(groups={"random": 0.5})).decide(**ids, context=Context({}), at=worlds.noon)


@pytest.mark.parametrize("good", ["x", "x" * 1000, " ", "\n", "a|b:1", "🎉", "\x00"])
def test_any_other_text_is_an_id(worlds, good):
    decision = worlds.engine(worlds.campaign()).decide(good, Context({}), decision_id=good, at=worlds.noon)
    assert decision.decision_id == good


def test_a_time_without_a_zone_is_refused_with_advice(worlds):
    with pytest.raises(InvalidContext, match=r"time 2026-11-22T12:00:00 has no zone.*Add one, such as Z"):
        worlds.engine(worlds.campaign()).decide("ann", Context({}), decision_id="d", at=datetime(2026, 11, 22, 12))  # noqa: DTZ001


def test_an_unfitting_context_is_refused_and_not_decided_by_fallback(worlds):
    with pytest.raises(InvalidContext, match="'level' is 'medium'"):
        worlds.engine(worlds.campaign()).decide("ann", Context.of(level="medium"), decision_id="d", at=worlds.noon)


@pytest.mark.parametrize(
    ("policy", "learner", "fits"), [("native", "regression", "native"), ("squarecb", "native", "regression")]
)
def test_a_policy_and_learner_that_do_not_fit_are_refused_at_construction_and_one_that_does_is_named(
    worlds, policy, learner, fits
):
    campaign = worlds.campaign(policy={"name": policy}, learner={"name": learner})
    with pytest.raises(MismatchedPolicy, match=rf"learner\.name: found '{learner}'; wanted {fits}: the policy needs"):
        worlds.engine(campaign)


def test_an_unknown_learner_is_refused_at_construction_with_the_ones_there_are(worlds):
    with pytest.raises(MismatchedPolicy, match=r"'oracle'.*one of regression, bootstrap, native"):
        worlds.engine(worlds.campaign(learner={"name": "oracle"}))


@pytest.mark.parametrize("bad", [{"salt": b""}, {"salt": b"x" * 65}, {"secret": b""}])
def test_an_engine_whose_draws_could_be_guessed_is_refused(worlds, bad):
    campaign = worlds.campaign()
    with pytest.raises(MismatchedPolicy, match="draws can be guessed"):
        Engine(campaign, group_policies(campaign), **{"salt": b"salt", "secret": b"secret"} | bad)


@pytest.mark.parametrize("learner", LEARNERS)
def test_strange_arm_ids_survive_a_whole_round(worlds, learner):
    campaign = worlds.campaign(
        dimension=[worlds.dimension("subject", *STRANGE), worlds.dimension("cta", "x", *STRANGE)],
        policy={"name": LEARNERS[learner], "floor": 0.2},
        learner={"name": learner},
    )
    rows = worlds.rows(campaign, 120, lambda _, choice: {"click": 0.9 if choice["subject"] == "🎉" else 0.05})
    decided = worlds.decide(worlds.engine(campaign, worlds.train(campaign, rows)), 120)
    assert all(decision.fallback is None for decision in decided)
    assert {decision.choice["subject"] for decision in decided} == set(STRANGE)
    for decision in decided:
        assert decision.propensity == math.prod(pick.pmf[pick.arm] for pick in decision.picks)
