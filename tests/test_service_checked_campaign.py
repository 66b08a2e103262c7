"""A campaign file is checked whole: faults of its policy and learner are named with all the others."""

from __future__ import annotations

import pytest

from bandit.errors import InvalidCampaign
from service.checked_campaign import checked_campaign


def faults(worlds, tmp_path, **sections):
    path = tmp_path / "campaign.toml"
    path.write_text(worlds.toml(worlds.document(**sections)), encoding="utf-8")
    with pytest.raises(InvalidCampaign) as found:
        checked_campaign(path)
    return [fault.where for fault in found.value.faults]


def test_a_misspelt_policy_is_named_together_with_every_other_fault(worlds, tmp_path):
    reward = {"window": "72 whiles", "events": {"click": 1.0}}
    found = faults(worlds, tmp_path, policy={"name": "thomson", "floor": 2.0}, reward=reward)
    assert set(found) == {"policy.name", "policy.floor", "reward.window"}


def test_a_learner_that_does_not_go_with_the_policy_is_named_together_with_every_other_fault(worlds, tmp_path):
    found = faults(
        worlds, tmp_path, learner={"name": "regresion"}, reward={"window": "never", "events": {"click": 1.0}}
    )
    assert set(found) == {"learner.name", "reward.window"}
    wears = {"policy": {"name": "native"}, "learner": {"name": "native"}, "wear_out": {"window": "30d"}}
    assert faults(worlds, tmp_path, **wears) == ["wear_out or reward.recent_send"]


def test_a_file_without_faults_is_a_campaign(worlds, tmp_path):
    path = tmp_path / "campaign.toml"
    path.write_text(worlds.toml(worlds.document()), encoding="utf-8")
    assert checked_campaign(path).policy.name == worlds.campaign().policy.name
