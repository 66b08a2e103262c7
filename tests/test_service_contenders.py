"""Contenders as the command line names them."""

from datetime import timedelta

import pytest

from bandit import read_campaign
from bandit.campaign import LearnerSpec
from bandit.errors import EngineError, InvalidSettings
from bandit.group import Group
from policies import group_policies
from service.contenders import contender_of
from service.sample import sample_text

DAY = timedelta(days=1)
USUAL = {"subject": "plain", "cta": "join", "benefit": "base", "send_slot": "weekday-09"}
FIXED = "fixed:" + ",".join(f"{name}={arm}" for name, arm in USUAL.items())


@pytest.fixture(scope="module")
def campaign():
    return read_campaign(sample_text("referral-contest"))


def test_a_bare_name_takes_everything_else_from_the_campaign(campaign):
    found = contender_of("squarecb", campaign, DAY)
    assert (found.name, found.step, found.campaign) == ("squarecb", DAY, campaign)


def test_settings_are_the_policys_the_learners_the_floor_and_the_trainers(campaign):
    found = contender_of("squarecb:gamma=3,floor=0.1,l2=0.001,every=6h", campaign, DAY)
    assert (found.campaign.policy.options, found.campaign.policy.floor) == ({"gamma": 3}, 0.1)
    assert found.campaign.learner == LearnerSpec("", {"l2": 0.001})
    assert found.step == timedelta(hours=6)


def test_a_policy_that_needs_another_learner_gets_it(campaign):
    found = contender_of("thompson", campaign, DAY).campaign
    assert found.learner.name in {"", "bootstrap"}
    named = contender_of("thompson:learner=bootstrap", campaign, DAY).campaign
    assert named.learner.name == "bootstrap"


def test_control_and_a_fixed_choice_send_everybody_the_same(campaign):
    for text in ("control", FIXED):
        found = contender_of(text, campaign, DAY).campaign
        assert found.groups.shares == {Group.LEARNER: 0.0, Group.RANDOM: 0.0, Group.CONTROL: 1.0}
        assert found.choice_of(group_policies(found)[Group.CONTROL].picks) == USUAL


def test_a_campaign_file_is_a_contender_if_it_has_the_same_arms(campaign, tmp_path):
    path = tmp_path / "tuned.toml"
    path.write_text(sample_text("referral-contest").replace("floor = 0.05 ", "floor = 0.01 "))
    assert contender_of(str(path), campaign, DAY).campaign.policy.floor == 0.01
    path.write_text(sample_text("referral-contest").replace('id = "so-close"', 'id = "so-near"'))
    with pytest.raises(InvalidSettings, match="would not live in the same world"):
        contender_of(str(path), campaign, DAY)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("best", "'best' is unknown"),
        ("squarecb:gamma", "'gamma' is no setting"),
        ("squarecb:gama=1", "own .gamma, exponent., floor, every"),
        ("squarecb:gamma=fast", "gamma"),
        ("squarecb:floor=much", "floor is 'much'"),
        ("squarecb:every=soon", "every is no duration"),
        ("squarecb:learner=forest", "forest"),
        ("fixed:plain", "no arm of cta, benefit"),
        ("fixed:subject=plaim", "subject has no arm 'plaim'; no arm of cta"),
        (FIXED.replace("benefit=base", "benefit=vip"), "it has rules"),
        (FIXED + ",tone=warm", "no dimension tone"),
        ("nowhere.toml", "nothing at that path"),
    ],
)
def test_what_is_no_contender_is_refused(campaign, text, said):
    with pytest.raises(EngineError, match=said):
        contender_of(text, campaign, DAY)


def test_control_needs_a_usual_choice(campaign):
    text = sample_text("referral-contest")
    first, last = text.index("control = {"), text.index("[policy]")
    without = read_campaign(text[:first] + text[last:])
    with pytest.raises(InvalidSettings, match="no usual choice"):
        contender_of("control", without, DAY)
