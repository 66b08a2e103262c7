"""Protected and personal fields: kept in the row, and in no feature, example, weight or estimate of any learner."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bandit import Context
from bandit.errors import InvalidCampaign

LEARNERS = {
    "regression": {"name": "regression"},
    "bootstrap": {"name": "bootstrap", "members": 4},
    "native": {"name": "native"},
}
POLICIES = {"regression": {"name": "squarecb"}, "bootstrap": {"name": "thompson"}, "native": {"name": "native"}}
HIDDEN = {
    "city": {"kind": "categorical", "personal": True},
    "tier": {"kind": "categorical", "values": ["a", "b"], "protected": True},
    "salary": {"kind": "numeric", "range": [0, 100], "personal": True},
    "married": {"kind": "boolean", "personal": True, "protected": True},
}
SAID = {"city": "Atlantis", "tier": "b", "salary": 97.0, "married": True}


@pytest.fixture(scope="module")
def campaign_of(worlds):
    """A campaign with hidden fields among the others, for a learner."""

    def make(learner):
        context = HIDDEN | worlds.document()["context"]
        return worlds.campaign(context=context, learner=LEARNERS[learner], policy=POLICIES[learner])

    return make


def test_hidden_fields_make_no_feature_and_are_kept_as_used(campaign_of, worlds):
    schema = campaign_of("regression").schema
    assert schema.features == worlds.campaign().schema.features
    assert [item.name for item in schema.fields if item.personal] == ["city", "salary", "married"]
    assert all(item.protected for item in schema.fields if item.personal)
    plain, told = (schema.encode(Context(said | {"level": "high", "days": 3})) for said in ({}, SAID))
    assert (told.indices, told.weights) == (plain.indices, plain.weights)
    assert {name: told.values[name] for name in SAID} == SAID


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_model_is_the_same_to_the_last_byte_whatever_hidden_fields_say(campaign_of, worlds, learner):
    campaign = campaign_of(learner)
    rows = worlds.rows(campaign, 30, lambda _, choice: {"click": 0.9 * (choice["subject"] == "champion")})
    hidden = [
        replace(one, decision=replace(one.decision, context={**one.decision.context, **dict.fromkeys(HIDDEN)}))
        for one in rows
    ]
    told = [replace(one, decision=replace(one.decision, context={**one.decision.context, **SAID})) for one in rows]
    shown = worlds.train(campaign, told)
    assert shown.to_bytes() == worlds.train(campaign, hidden).to_bytes()
    engine = worlds.engine(campaign, shown)
    pmfs = [
        [pick.pmf for pick in engine.decide("ann", Context(said), decision_id="d", at=worlds.noon).picks]
        for said in ({}, SAID, SAID | {"salary": 3, "city": "Erewhon"})
    ]
    assert pmfs[0] == pmfs[1] == pmfs[2]
    assert b"Atlantis" not in shown.to_bytes()


def test_a_model_does_change_with_a_field_that_is_not_hidden(campaign_of, worlds):
    campaign = campaign_of("regression")
    rows = worlds.rows(campaign, 30, lambda _, choice: {"click": 0.9 * (choice["subject"] == "champion")})
    told = [replace(one, decision=replace(one.decision, context={**one.decision.context, "days": 9})) for one in rows]
    assert worlds.train(campaign, told).to_bytes() != worlds.train(campaign, rows).to_bytes()


def test_no_rule_looks_at_a_personal_field(worlds):
    arm = {"id": "plain", "when": {"city": ["Atlantis"]}}
    with pytest.raises(InvalidCampaign, match="protected one may not decide"):
        worlds.campaign(
            context=HIDDEN | worlds.document()["context"], dimension=[worlds.dimension("subject", arm, "champion")]
        )


def test_personal_is_true_or_false(worlds):
    with pytest.raises(InvalidCampaign, match="personal"):
        worlds.campaign(context={"city": {"kind": "categorical", "values": ["a"], "personal": "yes"}})
