"""One fault at a time: what may not stand in a campaign file, and what the answer says about it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import Campaign, read_campaign
from bandit.errors import InvalidCampaign

QUICK = settings(max_examples=60, deadline=None)
NOT_FINITE = [math.inf, -math.inf, math.nan]
NUMBERS = [
    ("context", "days", "range", 1),
    ("reward", "events", "click"),
    ("groups", "random"),
    ("groups", "control", "share"),
    ("policy", "floor"),
    ("policy", "gamma"),
    ("learner", "learning_rate"),
    ("dimension", 0, "arm", 1, "features", "length"),
    ("dimension", 0, "arm", 1, "when", "days", 0),
]
RULED = {"id": "champion", "when": {"days": [0, 5]}, "features": {"length": 0.5}}


def put(document, path, value):
    target = document
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return document


def full(worlds):
    """A document with a value at every place the file knows."""
    return worlds.document(
        groups={"random": 0.1, "control": {"share": 0.1, "choice": {"subject": "plain", "cta": "join"}}},
        policy={"name": "squarecb", "floor": 0.05, "interactions": True, "gamma": 100},
        learner={"name": "regression", "learning_rate": 0.1},
        dimension=[
            worlds.dimension("subject", "plain", RULED),
            worlds.dimension("cta", "join", {"id": "invite", "requires": {"subject": ["plain"]}}),
        ],
    )


def faults_of(worlds, document):
    with pytest.raises(InvalidCampaign) as caught:
        read_campaign(worlds.toml(document))
    return caught.value.faults


def the_fault(worlds, document):
    (fault,) = faults_of(worlds, document)
    return fault


@pytest.mark.parametrize("number", NOT_FINITE)
@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: ".".join(map(str, path)))
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(worlds, path, number):
    fault = the_fault(worlds, put(full(worlds), path, number))
    assert repr(number) in fault.found
    assert fault.where.split(".")[0].startswith(path[0])


@pytest.mark.parametrize("path", NUMBERS, ids=lambda path: ".".join(map(str, path)))
def test_a_whole_number_too_large_for_a_float_is_refused_wherever_it_stands(worlds, path):
    assert len(faults_of(worlds, put(full(worlds), path, 10**400))) == 1


def test_an_arm_feature_too_large_for_vowpal_wabbits_single_precision_is_refused(worlds):
    """It becomes infinite there, and one send poisons the model for ever."""
    fault = the_fault(worlds, put(full(worlds), ("dimension", 0, "arm", 1, "features", "length"), 1e39))
    assert fault.where == "dimension[0].arm[1].features.length"


@pytest.mark.parametrize(
    ("path", "where"),
    [
        (("contest",), "contest"),
        (("campaign", "owner"), "campaign.owner"),
        (("context", "days", "rnage"), "context.days.rnage"),
        (("context", "member", "values"), "context.member.values"),
        (("reward", "windows"), "reward.windows"),
        (("groups", "holdout"), "groups.holdout"),
        (("groups", "control", "shares"), "groups.control.shares"),
        (("groups", "control", "choice", "colour"), "groups.control.choice.colour"),
        (("dimension", 0, "arms"), "dimension[0].arms"),
        (("dimension", 1, "arm", 0, "where"), "dimension[1].arm[0].where"),
    ],
)
def test_an_unknown_key_is_named_with_the_keys_that_exist_there(worlds, path, where):
    fault = the_fault(worlds, put(full(worlds), path, "x"))
    assert (fault.where, fault.found) == (where, "'x'")
    assert fault.wanted.startswith("no such key; here stand ")


@pytest.mark.parametrize(
    ("when", "wanted"),
    [
        ({"dyas": [0, 5]}, "a declared context name: level, days, member"),
        ({"level": ["medium"]}, "a list of declared values: low, high"),
        ({"level": "low"}, "a list of declared values"),
        ({"level": []}, "a list of declared values"),
        ({"level": [1]}, "a list of declared values"),
        ({"days": [5, 0]}, "low then high"),
        ({"days": 5}, "a range of two numbers"),
        ({"days": [0, True]}, "a range of two numbers"),
        ({"member": "true"}, "true or false"),
        ({"member": 1}, "true or false"),
    ],
)
def test_a_rule_on_the_context_must_fit_its_schema(worlds, when, wanted):
    fault = the_fault(worlds, put(full(worlds), ("dimension", 0, "arm", 1, "when"), when))
    assert fault.where == f"dimension[0].arm[1].when.{next(iter(when))}"
    assert wanted in fault.wanted


@pytest.mark.parametrize("kind", [{"kind": "categorical"}, {"kind": "numeric", "range": [0, 1]}, {"kind": "boolean"}])
def test_a_protected_field_decides_for_nobody(worlds, kind):
    document = full(worlds)
    document["context"]["gender"] = kind | {"protected": True}
    fault = the_fault(worlds, put(document, ("dimension", 0, "arm", 1, "when"), {"gender": ["f"]}))
    assert "protected" in fault.wanted


@pytest.mark.parametrize(
    ("dimension", "requires", "wanted"),
    [
        (1, {"colour": ["red"]}, "earlier in the file: subject"),
        (1, {"cta": ["join"]}, "earlier in the file: subject"),
        (0, {"cta": ["join"]}, "none does"),
        (1, {"subject": ["vanished"]}, "a list of arms of subject: plain, champion"),
        (1, {"subject": []}, "a list of arms of subject"),
        (1, {"subject": "plain"}, "a list of arms of subject"),
    ],
)
def test_requires_may_look_only_at_arms_of_earlier_dimensions(worlds, dimension, requires, wanted):
    fault = the_fault(worlds, put(full(worlds), ("dimension", dimension, "arm", 1, "requires"), requires))
    assert fault.where == f"dimension[{dimension}].arm[1].requires.{next(iter(requires))}"
    assert wanted in fault.wanted


@pytest.mark.parametrize(
    ("choice", "where", "wanted"),
    [
        ({"subject": "plain"}, "groups.control.choice.cta", "one arm of dimension 'cta': join, invite"),
        ({"subject": "champion", "cta": "join"}, "groups.control.choice.subject", "an arm without rules"),
        ({"subject": "plain", "cta": "invite"}, "groups.control.choice.cta", "an arm without rules"),
        ({"subject": "plain", "cta": 1}, "groups.control.choice.cta", "one arm of dimension"),
    ],
)
def test_the_control_choice_is_one_arm_without_rules_of_every_dimension(worlds, choice, where, wanted):
    fault = the_fault(worlds, put(full(worlds), ("groups", "control", "choice"), choice))
    assert fault.where == where
    assert wanted in fault.wanted


def test_a_control_group_without_a_choice_is_told_each_arm_it_lacks(worlds):
    document = put(full(worlds), ("groups", "control"), {"share": 0.1})
    wheres = [fault.where for fault in faults_of(worlds, document)]
    assert wheres == ["groups.control.choice.subject", "groups.control.choice.cta"]


def test_shares_may_not_add_up_to_more_than_everybody(worlds):
    document = put(put(full(worlds), ("groups", "random"), 0.6), ("groups", "control", "share"), 0.5)
    fault = the_fault(worlds, document)
    assert fault.where == "groups"
    assert "random 0.6 + control 0.5" in fault.found


def test_shares_may_leave_the_learner_nobody(worlds):
    document = put(put(full(worlds), ("groups", "random"), 0.3), ("groups", "control", "share"), 0.7)
    assert min(read_campaign(worlds.toml(document)).groups.shares.values()) == 0.0


def test_independent_dimensions_may_not_require_each_other(worlds):
    fault = the_fault(worlds, put(full(worlds), ("policy", "interactions"), False))
    assert fault.where == "policy.interactions"
    assert "cta" in fault.found
    assert "no `requires`" in fault.wanted


def test_ids_and_names_that_stand_twice_are_named(worlds):
    twice = [worlds.dimension("cta", "join"), worlds.dimension("cta", "a", "b", "a")]
    faults = faults_of(worlds, worlds.document(dimension=twice))
    assert [(fault.where, fault.found) for fault in faults] == [
        ("dimension[1].arm", "'the id a more than once'"),
        ("dimension", "the name cta more than once"),
    ]


def test_a_list_of_values_that_is_no_list_is_one_fault_that_shows_what_was_found(worlds):
    document = put(full(worlds), ("context", "level", "values"), "low")
    del document["dimension"][0]["arm"][1]["when"]
    fault = the_fault(worlds, document)
    assert (fault.where, fault.found) == ("context.level.values", "'low'")


@pytest.mark.parametrize("worth", [0, 0.0])
def test_a_reward_that_nothing_can_earn_is_refused(worlds, worth):
    fault = the_fault(worlds, worlds.document(reward={"window": "72h", "events": {"click": worth}}))
    assert fault.where == "reward.events"


def places(value, path=()):
    """The path of everything in a document, tables and lists included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return ([path] if path else []) + [found for key, item in inner for found in places(item, (*path, key))]


ANYTHING = st.recursive(
    st.just("") | st.booleans() | st.integers(-99, 99) | st.floats() | st.text("ab=|: \n", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "arm", "x"]), inner, max_size=2),
    max_leaves=4,
)


@settings(QUICK, max_examples=200)
@given(data=st.data(), value=ANYTHING)
def test_whatever_stands_wherever_the_answer_is_a_campaign_or_a_list_of_faults(worlds, data, value):
    document = full(worlds)
    path = data.draw(st.sampled_from(places(document)))
    text = worlds.toml(put(document, path, value))
    try:
        assert isinstance(read_campaign(text), Campaign)
    except InvalidCampaign as refused:
        assert all(fault.where and fault.found and fault.wanted for fault in refused.faults)  # noqa: PT017 - either answer is right
