"""The campaign file means what it says, and a faulty one is answered with every fault at once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bandit import load_campaign, read_campaign
from bandit.dimension import Range
from bandit.errors import InvalidCampaign
from bandit.group import Group

SAMPLE = """
[campaign]
id = "referral-contest"
timezone = "UTC"                       # for customers whose own zone is unknown
[context.engagement_level]             # a schema: anything undeclared is refused by name
kind = "categorical"
values = ["inactive_user", "low_engagement", "moderate_user", "active_user", "power_user"]
[context.days_since_login]
kind = "numeric"
range = [0, 365]                       # clipped, scaled to [0, 1] for the learner
[context.gender]
kind = "categorical"
protected = true                       # never a feature; kept for the fairness audit
[context.subscribed]
kind = "boolean"
required = true
[reward]
window = "72h"
events = { click = 0.2, conversion = 1.0, unsubscribe = -1.0, complaint = -1.0 }
[groups]
random = 0.05
control = { share = 0.05, choice = { subject = "plain", benefit = "base" } }
[policy]
name = "squarecb"
floor = 0.05
gamma = 100
[learner]
name = "regression"
bits = 20
[[dimension]]
name = "subject"
arm = [{ id = "plain" }, { id = "champion" }, { id = "dominate" }]
[[dimension]]
name = "benefit"
[[dimension.arm]]
id = "base"
[[dimension.arm]]
id = "vip"
text = "{{ benefit }} + exclusive VIP perks"
when = { engagement_level = ["power_user"], subscribed = true, days_since_login = [0, 30] }
requires = { subject = ["champion", "dominate"] }
features = { tone = "exclusive", length = 0.4, urgent = true }
"""

FIFTEEN_FAULTS = """
[campaign]
id = "two words"
timezone = "+02:00"
owner = "ann"
[context.level]
kind = "ordinal"
[context.days]
kind = "numeric"
range = [365, 0]
[context.plan]
kind = "categorical"
values = ["free", "free"]
[context.gender]
kind = "categorical"
protected = true
[reward]
window = "soon"
events = { click = nan, conversion = 1.0 }
[groups]
random = 1.5
control = { share = 0.1, choice = { subject = "vanished", cta = "join" } }
[policy]
floor = inf
interactions = "no"
[[dimension]]
name = "subject"
arm = [{ id = "plain", when = { gender = ["f"] } }, { id = "plain" }]
[[dimension]]
name = "cta"
arm = [{ id = "join", requires = { cta = ["join"] } }]
"""
THE_FIFTEEN = {
    "campaign.id": ("'two words'", "letters, digits"),
    "campaign.timezone": ("'+02:00'", "Europe/Madrid"),
    "campaign.owner": ("'ann'", "no such key; here stand id, timezone"),
    "context.level.kind": ("'ordinal'", "categorical, numeric or boolean"),
    "context.days.range": ("[365, 0]", "low then high"),
    "context.plan.values": ("free", "each value once"),
    "reward.window": ("'soon'", "72h"),
    "reward.events.click": ("nan", "a finite number"),
    "groups.random": ("1.5", "[0, 1]"),
    "groups.control.choice.subject": ("'vanished'", "one arm of dimension 'subject': plain"),
    "policy.floor": ("inf", "[0, 1]"),
    "policy.interactions": ("'no'", "true or false"),
    "dimension[0].arm[0].when.gender": ("['f']", "not protected"),
    "dimension[0].arm": ("plain", "a different id for each arm"),
    "dimension[1].arm[0].requires.cta": ("['join']", "earlier in the file: subject"),
}


def faults_of(text):
    with pytest.raises(InvalidCampaign) as caught:
        read_campaign(text)
    return caught.value.faults


@pytest.fixture(scope="module")
def design():
    return read_campaign(SAMPLE)


def test_the_file_of_the_design_yields_its_context_and_rewards(design):
    assert (design.id, design.timezone) == ("referral-contest", "UTC")
    assert [item.name for item in design.schema.fields] == [
        "engagement_level",
        "days_since_login",
        "gender",
        "subscribed",
    ]
    assert design.schema["gender"].protected
    assert design.schema["subscribed"].required
    assert not any(name.startswith("gender") for name in design.schema.features)
    assert design.reward.window == timedelta(hours=72)
    assert dict(design.reward.events) == {"click": 0.2, "conversion": 1.0, "unsubscribe": -1.0, "complaint": -1.0}


def test_the_file_of_the_design_yields_its_groups_policy_and_learner(design):
    assert design.groups.shares == {Group.LEARNER: 0.9, Group.RANDOM: 0.05, Group.CONTROL: 0.05}
    assert design.groups.control_choice == {"subject": "plain", "benefit": "base"}
    assert (design.policy.name, design.policy.floor, design.policy.interactions) == ("squarecb", 0.05, True)
    assert design.policy.options == {"gamma": 100}
    assert (design.learner.name, design.learner.options) == ("regression", {"bits": 20})


def test_the_file_of_the_design_yields_its_dimensions_and_rules(design):
    assert [(d.name, d.ids) for d in design.dimensions] == [
        ("subject", ("plain", "champion", "dominate")),
        ("benefit", ("base", "vip")),
    ]
    base, vip = design.dimensions[1].arms
    assert (base.when, base.requires, base.features) == ({}, {}, {})
    assert vip.text == "{{ benefit }} + exclusive VIP perks"
    assert vip.when["engagement_level"] == {"power_user"}
    assert vip.when["subscribed"] == {True}
    assert vip.when["days_since_login"] == Range(0.0, 30.0)
    assert vip.requires == {"subject": {"champion", "dominate"}}
    assert vip.features == {"tone": "exclusive", "length": 0.4, "urgent": "true"}


def test_what_the_file_leaves_out_has_the_documented_defaults(worlds):
    campaign = worlds.campaign()
    assert campaign.timezone == "UTC"
    assert (campaign.policy.name, campaign.policy.floor, campaign.policy.interactions) == ("squarecb", 0.02, True)
    assert campaign.groups.shares[Group.LEARNER] == 1.0
    assert campaign.learner.name == ""


def test_a_choice_leads_to_its_positions_and_back(design):
    assert design.sizes == (3, 2)
    assert design.picks_of({"subject": "dominate", "benefit": "base"}) == (2, 0)
    assert design.choice_of((2, 0)) == {"subject": "dominate", "benefit": "base"}


def test_fifteen_different_faults_are_all_reported_at_once():
    faults = faults_of(FIFTEEN_FAULTS)
    assert sorted(fault.where for fault in faults) == sorted(THE_FIFTEEN)
    for fault in faults:
        found, wanted = THE_FIFTEEN[fault.where]
        assert found in fault.found
        assert wanted in fault.wanted


def test_the_message_says_where_what_was_found_and_what_would_be_right_for_each_fault():
    with pytest.raises(InvalidCampaign) as caught:
        read_campaign(FIFTEEN_FAULTS, source="spring.toml")
    message = str(caught.value)
    assert message.startswith("spring.toml: 15 faults, nothing was started.")
    assert len(message.splitlines()) == 16
    for fault in caught.value.faults:
        assert f"{fault.where}: found {fault.found}; wanted {fault.wanted}" in message


def test_a_single_fault_is_counted_in_the_singular(worlds):
    text = worlds.toml(worlds.document(policy={"floor": 2}))
    with pytest.raises(InvalidCampaign, match=r"1 fault, nothing was started"):
        read_campaign(text)


def test_an_empty_file_is_told_everything_it_lacks():
    wheres = [fault.where for fault in faults_of("")]
    assert wheres == ["campaign.id", "reward.window", "reward.events", "dimension"]


@pytest.mark.parametrize("text", ["[campaign", "a = ", 'id = "x" id = "y"', "a = 1\na = 2", "\x00"])
def test_what_is_not_toml_is_one_fault_of_the_file(text):
    (fault,) = faults_of(text)
    assert fault.where == "file"
    assert "https://toml.io" in fault.wanted


@pytest.mark.parametrize("text", ["floor = " + "9" * 5000, "floor = " + "[" * 100_000], ids=["digits", "brackets"])
def test_a_file_that_exhausts_the_toml_reader_is_a_fault_too(text):
    assert faults_of(text)[0].where == "file"


def test_a_path_that_cannot_be_read_is_an_invalid_campaign_with_advice(tmp_path):
    with pytest.raises(InvalidCampaign, match=r"nothing at that path.*manyarm init"):
        load_campaign(tmp_path / "absent.toml")
    with pytest.raises(InvalidCampaign, match="UTF-8"):
        load_campaign(tmp_path)
    (tmp_path / "latin.toml").write_bytes('id = "señal"'.encode("latin-1"))
    with pytest.raises(InvalidCampaign, match="UTF-8"):
        load_campaign(tmp_path / "latin.toml")


def test_a_file_reads_like_its_text_and_faults_carry_its_name(tmp_path):
    path = tmp_path / "spring.toml"
    path.write_text(SAMPLE, encoding="utf-8")
    assert load_campaign(path) == read_campaign(SAMPLE)
    path.write_text("", encoding="utf-8")
    with pytest.raises(InvalidCampaign, match=r"^spring\.toml: 4 faults"):
        load_campaign(str(path))


@pytest.mark.parametrize(
    "zone", ["+02:00", "UTC+2", "GMT+02:00", "2", "Madrid", "Europe", "../etc/passwd", "Mars/Base", "\x00", "é"]
)
def test_an_offset_or_an_unknown_zone_is_refused(worlds, zone):
    (fault,) = faults_of(worlds.toml(worlds.document(campaign={"id": "contest", "timezone": zone})))
    assert fault.where == "campaign.timezone"
    assert "no daylight saving rules" in fault.wanted


@pytest.mark.parametrize("zone", ["UTC", "Europe/Madrid", "America/Argentina/Buenos_Aires", "Asia/Kolkata"])
def test_an_iana_zone_is_accepted(worlds, zone):
    assert worlds.campaign(campaign={"id": "contest", "timezone": zone}).timezone == zone
