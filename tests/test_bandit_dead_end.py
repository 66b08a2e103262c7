"""No draw leads nowhere: an arm is on offer exactly where a whole choice is left after it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import Context, Group, Served
from bandit.campaign import Campaign, PolicySpec
from bandit.compiled import CompiledScorer, Tables
from bandit.context import EncodedContext
from bandit.decide_many import decide_many
from bandit.decisions import Requests
from bandit.dimension import Arm, Dimension
from bandit.eligibility import Eligibility
from bandit.errors import InvalidCampaign, NoEligibleArm
from bandit.exclusion import Excluded
from bandit.explanation import explain
from bandit.features import FeatureSpace
from bandit.group import Groups
from bandit.removal import Removal
from bandit.reward import RewardSpec
from bandit.schema import BooleanField, Schema
from evaluation.joint_pmf import JointPolicy
from policies.uniform import Uniform
from simulator.random_policy import RandomPolicy
from simulator.world import ImpossibleWorld

LAW = settings(max_examples=80, deadline=None)
SCHEMA = Schema((BooleanField("member"), BooleanField("new")))
CONTEXTS = [{"member": member, "new": new} for member in (True, False, None) for new in (True, False)]
WHEN = ({}, {}, {}, {"member": frozenset([True])}, {"new": frozenset([False])})


@st.composite
def campaigns(draw):
    """Dimensions whose arms may ask for any earlier picks, several at once; nothing says that any choice is left."""
    dimensions = []
    for d in range(draw(st.integers(1, 4))):
        arms = []
        for k in range(draw(st.integers(1, 4))):
            requires = {
                one.name: frozenset(draw(st.lists(st.sampled_from(one.ids), min_size=1, unique=True)))
                for one in dimensions
                if draw(st.integers(0, 2)) == 0
            }
            arms.append(Arm(f"a{d}{k}", when=draw(st.sampled_from(WHEN)), requires=requires))
        dimensions.append(Dimension(f"d{d}", tuple(arms)))
    control = {one.name: draw(st.sampled_from(one.ids)) for one in dimensions}
    reward = RewardSpec(timedelta(hours=1), {"click": 1.0})
    groups = Groups(0.3, 0.3, control)
    return Campaign("c", SCHEMA, tuple(dimensions), reward, groups, PolicySpec("squarecb", 0.05), content_hash="h")


def exclusions(campaign):
    """Some arms out, of any dimension."""
    every = [Excluded(d, k) for d, size in enumerate(campaign.sizes) for k in range(size)]
    return st.lists(st.sampled_from(every), max_size=len(every) // 2, unique=True).map(
        lambda found: tuple(sorted(found))
    )


SITUATIONS = campaigns().flatmap(lambda one: st.tuples(st.just(one), st.sampled_from(CONTEXTS), exclusions(one)))


def whole_choices(campaign, context, excluded):
    """Every choice that breaks no rule, found by trying all."""
    out = {(one.dimension, one.arm) for one in excluded}

    def is_whole(picks):
        arms = [one.arms[pick] for one, pick in zip(campaign.dimensions, picks, strict=True)]
        picked = {one.name: arm.id for one, arm in zip(campaign.dimensions, arms, strict=True)}
        return (
            out.isdisjoint(enumerate(picks))
            and all(context.get(name) in allowed for arm in arms for name, allowed in arm.when.items())
            and all(picked[name] in allowed for arm in arms for name, allowed in arm.requires.items())
        )

    return [picks for picks in product(*map(range, campaign.sizes)) if is_whole(picks)]


def reachable(rules, campaign, context, excluded):
    """Each run of picks that can be drawn, with what is offered after it; and the whole choices drawn in the end."""
    runs, offers = [()], {}
    for d in range(len(campaign.sizes)):
        for run in runs:
            offers[run] = rules.offered(d, context, run, excluded)
        runs = [(*run, arm) for run in runs for arm in offers[run]]
    return offers, runs


@LAW
@given(SITUATIONS)
def test_an_arm_is_offered_exactly_where_a_whole_choice_is_left_after_it(situation):
    campaign, context, excluded = situation
    rules, whole = Eligibility(campaign.dimensions), whole_choices(campaign, context, excluded)
    if not whole:
        with pytest.raises(NoEligibleArm):
            reachable(rules, campaign, context, excluded)
        return
    offers, runs = reachable(rules, campaign, context, excluded)
    assert sorted(runs) == whole
    for run, offered in offers.items():
        assert list(offered) == sorted({one[len(run)] for one in whole if one[: len(run)] == run})


@LAW
@given(SITUATIONS)
def test_all_ways_of_asking_what_is_eligible_agree(situation):
    campaign, context, excluded = situation
    rules, whole = Eligibility(campaign.dimensions), whole_choices(campaign, context, excluded)
    if not whole:
        return
    offers, _ = reachable(rules, campaign, context, excluded)
    for run, offered in offers.items():
        d = len(run)
        mask = rules.mask_of(d, offered)
        picks = np.zeros((3, len(campaign.sizes)), dtype=np.int64)
        picks[:, :d] = run
        many = rules.offered_to_many(d, [context] * 3, picks, [excluded, excluded, tuple(excluded)])
        at_once = rules.masks(d, context, excluded).reshape(*campaign.sizes[: d + 1])[run]
        removed = {one.arm for one in rules.removals(d, context, run, excluded)}
        ids = campaign.dimensions[d].ids
        assert (many == mask).all()
        assert at_once.tolist() == mask.tolist()
        assert removed == {arm for arm, eligible in zip(ids, mask, strict=True) if not eligible}


@LAW
@given(SITUATIONS)
def test_propensities_of_all_whole_choices_sum_to_one_and_are_products_of_conditional_ones(situation):
    campaign, context, excluded = situation
    encoded = SCHEMA.encode(Context(context))._replace(excluded=excluded)
    joint = JointPolicy(campaign, Uniform()).pmf(encoded)
    if not whole_choices(campaign, context, excluded):
        assert not joint.any()
        with pytest.raises(ImpossibleWorld):
            RandomPolicy(campaign).pmf([context], [excluded])
        return
    offers, runs = reachable(Eligibility(campaign.dimensions), campaign, context, excluded)
    expected = np.zeros(campaign.sizes)
    for run in runs:
        expected[run] = np.prod([1 / len(offers[run[:d]]) for d in range(len(run))])
    assert expected.sum() == pytest.approx(1.0, abs=1e-12)
    assert joint == pytest.approx(expected, abs=1e-15)
    assert RandomPolicy(campaign).pmf([context], [excluded])[0] == pytest.approx(expected.ravel(), abs=1e-15)


def scorer_of(campaign, rng):
    """Random weights, multiples of a quarter, so that sums are exact whatever their order."""
    width, n_context = 1 + sum(campaign.sizes), len(FeatureSpace.graded(campaign).context)
    pairs = rng.integers(-3, 4, (width - 1, 1, width)) / 4.0
    pairs[:, :, 0] = 0.0
    constant, context = rng.integers(-3, 4, (1, width)) / 4.0, rng.integers(-3, 4, (n_context, 1, width)) / 4.0
    tables = Tables(campaign.sizes, constant, context, pairs, np.zeros((0, 1)))
    return CompiledScorer(tables, (1.0,), 500, logistic=False, bounds=(-1.0, 1.2), sequential=True, wear_out=None)


def engines(worlds, campaign, seed):
    """The engine, and the same without its look ahead."""
    served = Served("s1", scorer_of(campaign, np.random.default_rng(seed)))
    blind = replace(campaign)
    object.__setattr__(blind, "eligibility", Eligibility(campaign.dimensions, looks_ahead=False))
    return worlds.engine(campaign, served=served), worlds.engine(blind, served=served)


def decided(engine, n, context, excluded, at):
    """n decisions, or None where they are refused."""
    exclude = {}
    for d, arm, _ in excluded:
        exclude.setdefault(f"d{d}", []).append(f"a{d}{arm}")
    found = []
    for i in range(n):
        try:
            found.append(engine.decide(f"c{i}", Context(context), decision_id=f"d{i}", at=at, exclude=exclude))
        except NoEligibleArm:
            found.append(None)
    return found, exclude


@LAW
@given(SITUATIONS, st.integers(0, 9))
def test_whether_a_decision_is_refused_never_depends_on_the_draw(worlds, situation, seed):
    campaign, context, excluded = situation
    whole = whole_choices(campaign, context, excluded)
    engine, before = engines(worlds, campaign, seed)
    made, _ = decided(engine, 12, context, excluded, worlds.noon)
    if not whole:
        assert made == [None] * 12
        return
    assert {one.group for one in made} > {Group.LEARNER}
    assert all(campaign.picks_of(one.choice) in whole for one in made)
    rules = [Eligibility(campaign.dimensions, looks_ahead=ahead) for ahead in (True, False)]
    offers, blind = (_offers_to(one, campaign, context, excluded, whole) for one in rules)
    if offers == blind:
        assert made == decided(before, 12, context, excluded, worlds.noon)[0]


def _offers_to(rules, campaign, context, excluded, whole):
    runs = {one[:d] for one in whole for d in range(len(campaign.sizes))}
    return {run: rules.offered(len(run), context, run, excluded) for run in runs}


@LAW
@given(SITUATIONS, st.integers(0, 9))
def test_many_decisions_at_once_are_those_made_one_by_one(worlds, situation, seed):
    campaign, context, excluded = situation
    if not whole_choices(campaign, context, excluded):
        return
    engine, _ = engines(worlds, campaign, seed)
    alone, exclude = decided(engine, 12, context, excluded, worlds.noon)
    requests = Requests(
        [f"c{i}" for i in range(12)],
        [Context(context)] * 12,
        [f"d{i}" for i in range(12)],
        [worlds.noon] * 12,
        exclude=[exclude] * 12,
    )
    together = decide_many(engine, requests)
    for row, one in zip(map(together.decision, range(12)), alone, strict=True):
        assert row.choice == one.choice
        assert row.excluded == one.excluded
        assert row.propensity == pytest.approx(one.propensity, rel=1e-12)
        for pick, other in zip(row.picks, one.picks, strict=True):
            assert pick.pmf.probabilities == pytest.approx(other.pmf.probabilities, abs=1e-12)
            assert [p == 0.0 for p in pick.pmf.probabilities] == [p == 0.0 for p in other.pmf.probabilities]


CHANNEL = Dimension("channel", (Arm("email"), Arm("sms"), Arm("push")))
SUBJECT = Dimension("subject", (Arm("short"), Arm("long", requires={"channel": frozenset(["email"])})))
SLOT = Dimension(
    "slot",
    (
        Arm("day", requires={"channel": frozenset(["email", "sms"])}),
        Arm("night", requires={"channel": frozenset(["email"]), "subject": frozenset(["long"])}),
        Arm("any", when={"member": frozenset([True])}),
    ),
)
CHAIN = Eligibility((CHANNEL, SUBJECT, SLOT))
NO_DAY, NO_LONG = Excluded(2, 0), Excluded(1, 1)


@pytest.mark.parametrize(
    ("context", "picks", "excluded", "expected"),
    [
        ({"member": True}, (), [NO_DAY], (0, 1, 2)),
        ({}, (), [], (0, 1)),
        ({}, (), [NO_DAY], (0,)),
        ({}, (0,), [NO_DAY], (1,)),
        ({}, (0,), [], (0, 1)),
    ],
)
def test_what_leads_nowhere_follows_from_context_exclusions_and_picks(context, picks, excluded, expected):
    assert CHAIN.offered(len(picks), context, picks, excluded) == expected


def test_a_removal_says_which_dimension_would_have_stayed_empty():
    assert CHAIN.removals(0, {}, (), [NO_DAY]) == (
        Removal("sms", "leads nowhere (slot would have no arm)"),
        Removal("push", "leads nowhere (slot would have no arm)"),
    )
    assert CHAIN.removals(1, {}, (0,), [NO_DAY]) == (Removal("short", "leads nowhere (slot would have no arm)"),)


def test_where_no_whole_choice_is_left_the_rules_of_the_empty_dimension_are_named_before_anything_is_drawn():
    with pytest.raises(NoEligibleArm) as caught:
        CHAIN.offered(0, {}, (), [NO_DAY, NO_LONG])
    assert (
        "no arm of dimension 'slot' is eligible: 'day' by excluded by the caller; 'night' by requires channel, subject "
        in str(caught.value)
    )
    assert "'any' by when member (found None)" in str(caught.value)
    assert "Or exclude fewer" in str(caught.value)


def test_a_control_customer_whose_own_arm_leads_nowhere_gets_one_of_those_left_evenly(worlds):
    groups = Groups(0.0, 1.0, {"channel": "sms", "subject": "short", "slot": "day"})
    reward = RewardSpec(timedelta(hours=1), {"click": 1.0})
    campaign = Campaign("c", SCHEMA, (CHANNEL, SUBJECT, SLOT), reward, groups)
    engine = worlds.engine(campaign)
    usual = engine.decide("ann", Context({}), decision_id="d", at=worlds.noon)
    assert (usual.choice, usual.propensity) == (dict(groups.control_choice), 1.0)
    member = Context.of(member=True)
    unusual = engine.decide("ann", member, decision_id="d", at=worlds.noon, exclude={"slot": ["day", "any"]})
    assert (unusual.choice, unusual.propensity) == ({"channel": "email", "subject": "long", "slot": "night"}, 1.0)
    split = engine.decide("ann", Context({}), decision_id="d", at=worlds.noon, exclude={"channel": ["sms"]})
    assert (split.choice["channel"], split.propensity) == ("email", 1.0)


def test_an_explanation_names_dead_ends_and_offers_nothing_else(worlds):
    reward = RewardSpec(timedelta(hours=1), {"click": 1.0})
    campaign = Campaign("c", SCHEMA, (CHANNEL, SUBJECT, SLOT), reward)
    encoded = SCHEMA.encode(Context({}))._replace(excluded=(NO_DAY,))
    stages = list(explain(campaign, None, encoded, (0, 1, 1)))
    assert [one.eligible for one in stages] == [("email",), ("long",), ("night",)]
    assert [one.rule for one in stages[0].removed] == ["leads nowhere (slot would have no arm)"] * 2


SLOTS = {
    "context": {"zone": {"kind": "categorical", "values": ["Europe/Berlin", "Asia/Tokyo"]}},
    "limits": {"quiet_hours": {"from": "21:00", "until": "08:00", "zone": "zone"}},
    "send_slots": {"within": "24h"},
    "channels": {"sms": {"slots": ["weekday-12"]}},
}
SATURDAY = datetime(2026, 11, 21, 6, tzinfo=UTC)


@pytest.mark.parametrize("ends", [False, True])
def test_a_channel_without_an_hour_this_weekend_is_out_and_nobody_is_refused(worlds, ends):
    channels = ["email", "sms", *([{"id": "no_send", "no_send": True}] if ends else [])]
    dimensions = [worlds.dimension("channel", *channels), worlds.dimension("send_slot", "weekday-12", "weekend-17")]
    campaign = worlds.campaign(**SLOTS, dimension=dimensions)
    engine = worlds.engine(campaign)
    for day, has_sms in ((SATURDAY, False), (SATURDAY + timedelta(days=2), True)):
        made = [
            engine.decide(f"c{i}", Context.of(zone="Europe/Berlin"), decision_id=f"d{i}", at=day) for i in range(60)
        ]
        assert {one.picks[0].pmf["sms"] > 0.0 for one in made} == {has_sms}
        assert {one.picks[0].pmf["email"] for one in made} == {1 / (1 + has_sms + ends)}
        assert not ends or {one.choice["channel"] for one in made} >= {"email", "no_send"}


def test_products_that_ask_for_a_channel_take_the_others_out(worlds):
    products = [{"id": "tea", "requires": {"channel": ["email"]}}, "cup"]
    product_dimension = worlds.dimension("product", *products) | {"candidates": 1}
    campaign = worlds.campaign(dimension=[worlds.dimension("channel", "email", "sms"), product_dimension])
    engine = worlds.engine(campaign)
    for wanted, expected in (("tea", 1.0), ("cup", 0.5)):
        found = engine.decide("ann", Context({}), decision_id="d", at=worlds.noon, candidates={"product": [wanted]})
        assert found.picks[0].pmf["email"] == expected
        assert found.choice["product"] == wanted


def test_a_long_chain_and_a_dense_one_are_searched_at_once():
    long = [Dimension("d0", tuple(Arm(f"a{k}") for k in range(9)))]
    for d in range(1, 26):
        asked = {f"d{d - 1}": frozenset([f"a{k}", f"a{(k + 1) % 9}"]) for k in [d % 9]}
        long.append(Dimension(f"d{d}", tuple(Arm(f"a{k}", requires=asked if k else {}) for k in range(9))))
    dense = [Dimension("d0", tuple(Arm(f"a{k}") for k in range(9)))]
    for d in range(1, 12):
        arms = [Arm(f"a{k}", requires={f"d{e}": frozenset([f"a{k}", "a0"]) for e in range(d)}) for k in range(9)]
        dense.append(Dimension(f"d{d}", tuple(arms)))
    for dimensions in (long, dense):
        rules, picks = Eligibility(dimensions), []
        for d in range(len(dimensions)):
            picks.append(rules.offered(d, {}, picks)[-1])
        assert len(picks) == len(dimensions)


@pytest.mark.parametrize(
    ("cta", "slot", "where", "found"),
    [
        (
            {"subject": ["plain"]},
            {"cta": ["join", "invite"]},
            "dimension subject, arm champion",
            "with it, cta has no arm",
        ),
        (
            {"subject": ["plain"]},
            {"subject": ["dominate"], "cta": ["invite"]},
            "dimension slot, arm late",
            "no earlier picks",
        ),
    ],
)
def test_an_arm_that_no_whole_choice_has_is_a_fault_of_the_file(worlds, cta, slot, where, found):
    others = [] if where.startswith("dimension subject") else ["join"]
    dimensions = [
        worlds.dimension("subject", "plain", *(["champion"] if not others else ["dominate"])),
        worlds.dimension(
            "cta",
            *others,
            *([{"id": "join", "requires": cta}] if not others else []),
            {"id": "invite", "requires": cta},
        ),
        worlds.dimension("slot", {"id": "late", "requires": slot}, "any"),
    ]
    with pytest.raises(InvalidCampaign) as caught:
        worlds.campaign(dimension=dimensions)
    assert [fault.where for fault in caught.value.faults] == [where]
    assert found in caught.value.faults[0].found


def test_where_no_choice_is_whole_there_is_one_fault_and_a_channel_is_not_named_twice(worlds):
    contrary = [
        worlds.dimension("subject", "plain", "champion"),
        worlds.dimension("cta", {"id": "join", "requires": {"subject": ["plain"]}}),
        worlds.dimension("slot", {"id": "late", "requires": {"subject": ["champion"]}}),
    ]
    with pytest.raises(InvalidCampaign) as caught:
        worlds.campaign(dimension=contrary)
    assert [fault.where for fault in caught.value.faults] == ["dimension slot"]
    limits = {"channels": {"sms": {"longest": {"subject": 2}}}}
    texts = [worlds.dimension("channel", "email", "sms"), worlds.dimension("subject", {"id": "plain", "text": "Hello"})]
    with pytest.raises(InvalidCampaign) as caught:
        worlds.campaign(dimension=texts, **limits)
    assert [fault.where for fault in caught.value.faults] == ["channels.sms"]


@LAW
@given(campaigns())
def test_a_file_is_faulted_exactly_where_some_arm_is_in_no_whole_choice(campaign):
    from bandit.dead_end import refuse_dead_ends  # noqa: PLC0415

    free = [
        Dimension(one.name, tuple(Arm(arm.id, requires=arm.requires) for arm in one.arms))
        for one in campaign.dimensions
    ]
    faults = []
    refuse_dead_ends(free, faults)
    whole = whole_choices(Campaign("c", SCHEMA, tuple(free), campaign.reward), {}, ())
    lost = {
        f"dimension {one.name}, arm {arm}"
        for d, one in enumerate(free)
        for k, arm in enumerate(one.ids)
        if not any(picks[d] == k for picks in whole)
    }
    assert {fault.where for fault in faults} == lost if whole else len(faults) == 1


def test_a_context_as_the_log_keeps_it_gives_the_same_answer():
    encoded = SCHEMA.encode(Context.of(member=True))
    assert isinstance(encoded, EncodedContext)
    assert CHAIN.offered(0, encoded.values, (), (NO_DAY,)) == (0, 1, 2)


@pytest.mark.parametrize(("exclude", "expected"), [({}, "tea"), ({"channel": ["email"]}, "cup")])
def test_a_candidate_whose_channel_is_out_makes_room_for_the_next(worlds, exclude, expected):
    products = [{"id": "tea", "requires": {"channel": ["email"]}}, "cup", "pot"]
    products = worlds.dimension("product", *products) | {"candidates": 1}
    campaign = worlds.campaign(dimension=[worlds.dimension("channel", "email", "sms"), products])
    for wanted in (["tea", "cup"], ["tea"]):
        found = worlds.engine(campaign).decide(
            "ann", Context({}), decision_id="d", at=worlds.noon, exclude=exclude, candidates={"product": wanted}
        )
        assert found.choice["product"] == expected
