"""Rehearsals of campaigns that may send nothing: what is found of silence is right, and no winner is false because of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from bandit import read_campaign
from service import named_winners as naming
from service import played_campaign
from service.lift_seen import FirstDays
from service.rehearsal_page import page_of
from service.rehearsal_report import document_of, text_of
from service.rehearsed_seed import Rehearsal
from service.rehearsing import rehearse, rehearse_campaign
from service.sample import sample_text
from service.visible_lift import Asked, visible_lift
from service.worlds_asked import ScenarioWorlds
from simulator.scenarios import SCENARIOS
from simulator.world import ImpossibleWorld

SEEDS = (0, 1)
OFTEN = {"open": 0.6, "click": 0.3}
STEADY, NO_EFFECT = ScenarioWorlds("steady", OFTEN), ScenarioWorlds("no-effect", OFTEN)
NONE = {"id": "none", "no_send": True}


@pytest.fixture(scope="module")
def campaign(worlds):
    """Builds a campaign of subjects and channels with everything that takes sends from it; a subject may be silence."""

    def build(control="a", **sections):
        choice = {"subject": control} | ({} if control == "none" else {"channel": "email"})
        shared = {
            "campaign": {"id": "quiet", "learn_every": "14d"},
            "reward": {
                "window": "72h",
                "events": {"click": 1.0},
                "recent_send": {"cost": 0.02, "within": "10d", "most": 3},
            },
            "groups": {"random": 0.2, "control": {"share": 0.3, "choice": choice}},
            "policy": {"name": "squarecb", "floor": 0.3},
            "limits": {"caps": [{"most": 3, "within": "14d"}, {"most": 1, "within": "14d", "channel": "sms"}]},
            "dimension": [
                worlds.dimension("subject", "a", {"id": "b", "when": {"level": ["high"]}}, "c", NONE),
                worlds.dimension("channel", "email", {"id": "sms", "requires": {"subject": ["a", "b"]}}),
            ],
        }
        return worlds.campaign(**shared | sections)

    return build


@pytest.fixture(scope="module")
def found(campaign):
    return rehearse_campaign(campaign(), STEADY, n_sends=400, seeds=SEEDS, without_effects=NO_EFFECT, variants=())


@pytest.fixture(scope="module")
def of_silence(campaign):
    """Control sends nothing."""
    return rehearse_campaign(campaign("none"), STEADY, n_sends=400, seeds=SEEDS, without_effects=NO_EFFECT, variants=())


def test_the_sample_campaign_is_rehearsed_from_end_to_end():
    asked = replace(read_campaign(sample_text("winback-es")), learn_every=timedelta(days=27))
    found = rehearse_campaign(asked, SCENARIOS["steady"], n_sends=200, seeds=[0], variants=())
    assert found.n_sends + found.n_capped == 200
    assert found.n_capped > 0
    assert (found.false_winner.always_valid.n, found.false_winner.arms.n, found.false_winner.silence) == (0, 0, True)
    assert {line.group: line.unsent > 0.0 for line in found.groups}["learner"]
    assert "any other, sending nothing among them, bounds" in " ".join(text_of(found).split())


def test_silence_is_told_from_sends(found):
    unsent = {line.group: line.unsent for line in found.groups}
    assert unsent["control"] == 0.0
    assert 0.1 < unsent["random"] < 0.4
    assert 0.0 < unsent["learner"] < 0.4
    head, *rows = next(s for s in text_of(found).split("\n\n") if "reward a send" in s).splitlines()[-4:]
    assert head.split("  ")[-1] == "sent nothing"
    assert [row.split()[-1] for row in rows] == [f"{unsent[row.split()[0]]:.0%}" for row in rows]
    assert json.loads(json.dumps(document_of(found)))["false_winner"]["silence"] is True


def test_where_every_choice_is_a_message_nothing_is_said_of_silence(worlds):
    control = {"share": 0.5, "choice": {"subject": "plain", "cta": "join"}}
    plain = worlds.campaign(groups={"control": control}, policy={"name": "uniform"})
    found = rehearse(Rehearsal(plain, STEADY, 60, NO_EFFECT, ()), (0,))
    assert {line.unsent for line in found.groups} == {None}
    assert found.false_winner.silence is False
    assert not [word for word in ("sent nothing", "sending nothing") if word in text_of(found) + page_of(found)]


def test_control_that_sends_nothing_earns_nothing_and_no_lift_is_relative_to_it(of_silence):
    (control,) = [line for line in of_silence.groups if line.group == "control"]
    assert (control.value.mean, control.unsent) == (0.0, 1.0)
    assert of_silence.lift.relative is None
    assert of_silence.lift.difference.mean > 0.05
    assert of_silence.visible is None
    assert (of_silence.seen.better.n, of_silence.seen.worse.n) == (0, 0)  # its bounds wait for rewards of both groups
    assert "a send beyond control. Bounds" in " ".join(text_of(of_silence).split())


def test_control_that_sends_nothing_is_no_winner_and_makes_none(of_silence):
    """In a world without effects it is fixed to one choice of many that are alike."""
    assert (of_silence.false_winner.always_valid.n, of_silence.false_winner.arms.n) == (0, 0)


@pytest.mark.parametrize("control", ["a", "none"])
def test_without_levelling_silence_would_be_an_effect_and_is_refused(campaign, control, monkeypatch):
    monkeypatch.setattr(naming, "levelled", lambda asked: asked)
    with pytest.raises(ImpossibleWorld, match="every choice is as good as any other"):
        naming.named_winners(campaign(control), NO_EFFECT, 100, 0)


def test_worlds_with_effects_are_refused_whatever_was_levelled(campaign):
    with pytest.raises(ImpossibleWorld, match="every choice is as good as any other"):
        naming.named_winners(campaign(), STEADY, 100, 0)


def test_a_verdict_that_takes_the_larger_mean_for_the_better_is_caught_in_every_world(campaign, monkeypatch):
    """Deliberately broken: somebody always has the larger mean, and here nobody can be the better one."""

    def larger(looks, *_):
        treated, control = looks.rewards[looks.treated].mean(), looks.rewards[~looks.treated].mean()
        return FirstDays(better=28 if treated > control else None, worse=28 if treated < control else None)

    monkeypatch.setattr(played_campaign, "always_valid", larger)
    asked = campaign("none", policy={"name": "uniform"})
    named = [naming.named_winners(asked, NO_EFFECT, 100, seed).always_valid for seed in range(8)]
    assert all(one.claimed for one in named)
    assert {one.better is not None for one in named} == {True, False}


def losing(monkeypatch, of):
    """From now on the clicks of some sends never reach the log; `of` says which."""
    play = naming.played

    def lossy(*asked):
        still = play(*asked)
        (stage,) = still.campaign.stages
        stages = (replace(stage, rewards=np.where(of(stage), 0.0, stage.rewards)),)
        return replace(still, campaign=replace(still.campaign, stages=stages))

    monkeypatch.setattr(naming, "played", lossy)


@pytest.fixture(scope="module")
def evenly(campaign):
    """Drawn evenly, without caps and costs."""
    reward = {"window": "72h", "events": {"click": 1.0}}
    return campaign(reward=reward, limits=None, policy={"name": "uniform"})


def test_a_group_whose_clicks_get_lost_is_caught(evenly, monkeypatch):
    losing(monkeypatch, lambda stage: (stage.groups == "learner") & (np.arange(len(stage.rewards)) % 2 == 0))
    named = naming.named_winners(evenly, NO_EFFECT, 2000, 0)
    assert named.always_valid.worse is not None
    assert named.always_valid.better is None


@pytest.mark.parametrize("arm", ["c", "none"])
def test_an_arm_whose_clicks_get_lost_is_caught(evenly, arm, monkeypatch):
    place = evenly.dimensions[0].index_of(arm)
    losing(monkeypatch, lambda stage: stage.picks[:, 0] == place)
    assert naming.named_winners(evenly, NO_EFFECT, 1500, 0).dimensions == ("subject",)


def test_where_nothing_is_broken_nobody_is_named(evenly):
    named = [naming.named_winners(evenly, NO_EFFECT, 1500, seed) for seed in range(2)]
    assert [(one.always_valid.claimed, one.dimensions) for one in named] == [(False, ())] * 2


def test_an_arm_that_only_follows_silence_is_no_arm_to_be_told_from_others(worlds):
    """The later dimension gets an arm of its own for a choice that has ended; nobody compares with it."""
    ctas = worlds.dimension("cta", "join", "invite")
    loud, quiet = (
        worlds.campaign(dimension=[worlds.dimension("subject", "a", "b", *end), ctas]) for end in ((), (NONE,))
    )
    asked = Asked(base=0.1, n_customers=5000, n_sends=20_000, correlation=0.0, lift=None)
    loud, quiet = (replace(one, groups=replace(one.groups, control=0.3)) for one in (loud, quiet))
    (*_, of_loud), (*_, of_quiet) = (visible_lift(one, asked).smallest for one in (loud, quiet))
    assert of_loud.comparison == of_quiet.comparison == "leading cta against another"
    assert of_loud.lift == of_quiet.lift
