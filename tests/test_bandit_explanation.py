"""An explanation takes an estimate apart, and puts together it is the estimate again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from bandit import Context
from bandit.exclusion import Excluded
from bandit.explanation import EVERY_SEND, LATEST_SEND, explain
from bandit.many_states import tables_of
from bandit.wear_out import Exposure

LEARNERS = {
    "regression": {"policy": {"name": "squarecb"}},
    "of the reward": {"policy": {"name": "squarecb"}, "learner": {"name": "regression", "target": "reward"}},
    "independent": {"policy": {"name": "squarecb", "interactions": False}},
    "bootstrap": {"policy": {"name": "thompson"}, "learner": {"name": "bootstrap"}},
}


def taught(worlds, **sections):
    """A campaign, and what its learner makes of 300 rows in which members like the champion."""
    campaign = worlds.campaign(**sections)
    rows = worlds.rows(
        campaign,
        300,
        lambda context, choice: {"click": 0.7 if context["member"] and choice["subject"] == "champion" else 0.1},
    )
    return campaign, worlds.kind(campaign).serve(campaign, worlds.train(campaign, rows))


def reasons(campaign, scorer, picks=(1, 0), excluded=(), exposures=(), **context):
    encoded = campaign.schema.encode(Context.of(**context))._replace(excluded=excluded, exposures=exposures)
    return encoded, list(explain(campaign, scorer, encoded, picks))


@pytest.mark.parametrize("sections", LEARNERS.values(), ids=LEARNERS)
def test_contributions_sum_to_the_predictor_that_the_estimate_comes_from(worlds, sections):
    campaign, scorer = taught(worlds, **sections)
    picks = (1, 0)
    encoded, stages = reasons(campaign, scorer, picks, level="high", days=4, member=True)
    tables = tables_of(scorer)
    state = tables.start(encoded)
    for d, stage in enumerate(stages):
        linear = tables.linear(state, d)[:, picks[d]]
        found = [one.linear for one in stage.predictors]
        assert found == pytest.approx(linear.reshape(len(found), -1).mean(axis=1).tolist(), abs=1e-9)
        for one in stage.predictors:
            assert sum(one.contributions.values()) == pytest.approx(one.linear, abs=1e-9)
            sizes = [abs(value) for value in one.contributions.values()]
            assert sizes == sorted(sizes, reverse=True)
        state = tables.after(state, d, picks[d])


def test_an_estimate_is_the_worth_of_each_outcome_times_its_probability(worlds):
    campaign, scorer = taught(worlds, policy={"name": "squarecb"})
    _, stages = reasons(campaign, scorer, member=True)
    for stage in stages:
        whole = sum(one.worth * expit(one.linear) for one in stage.predictors)
        assert stage.estimates[stage.arm] == pytest.approx(whole, abs=1e-9)
        assert {one.outcome: one.worth for one in stage.predictors} == dict(campaign.reward.events)


def test_what_matters_most_is_named(worlds):
    campaign, scorer = taught(worlds, policy={"name": "squarecb"})
    _, stages = reasons(campaign, scorer, member=True)
    click = next(one for one in stages[0].predictors if one.outcome == "click")
    told = [name for name in click.contributions if name != EVERY_SEND]
    assert set(told[:2]) <= {"subject=champion", "member=true x subject=champion", "member=true"}
    assert click.contributions["member=true x subject=champion"] > 0.0
    assert "subject=champion x cta=join" in stages[1].predictors[0].contributions


def test_dimensions_that_do_not_look_at_each_other_are_explained_alone(worlds):
    campaign, scorer = taught(worlds, **LEARNERS["independent"])
    _, stages = reasons(campaign, scorer, member=True)
    assert not any("subject=" in name for one in stages[1].predictors for name in one.contributions)


def test_what_was_sent_lately_is_a_term_of_its_own(worlds):
    campaign = worlds.campaign(policy={"name": "squarecb"}, wear_out={"window": "30d"})
    engine = worlds.engine(campaign)
    assert engine.campaign.wear_out
    scorer = worlds.kind(campaign).live(campaign, worlds.kind(campaign).fresh(campaign))
    tables = tables_of(scorer).tables
    assert tables.wear.shape[0] > 0
    rng = np.random.default_rng(0)
    tables.wear[:] = -rng.random(tables.wear.shape)
    remade = type(tables_of(scorer))(
        tables, campaign.reward.worths, 10, logistic=True, bounds=campaign.reward.bounds, sequential=True,
        wear_out=campaign.wear_out,
    )  # fmt: skip
    exposures = (Exposure(0, 1, 2.0, 1), Exposure(1, 1, 2.0, 1))
    encoded, stages = reasons(campaign, remade, exposures=exposures)
    state = remade.start(encoded)
    assert [one.linear for one in stages[0].predictors] == pytest.approx(remade.linear(state, 0)[:, 1].tolist())
    assert {LATEST_SEND, "worn subject=champion"} <= set(stages[0].predictors[0].contributions)
    assert "worn cta=invite" not in stages[1].predictors[0].contributions, "join was picked"


def test_removed_arms_are_named_with_the_rule_and_have_no_estimate(worlds):
    ruled = worlds.dimension("subject", "plain", {"id": "champion", "when": {"level": ["high"]}}, "dominate")
    sections = {"dimension": [ruled, worlds.dimension("cta", "join", "invite")], "policy": {"name": "squarecb"}}
    campaign, scorer = taught(worlds, **sections)
    _, stages = reasons(campaign, scorer, (0, 1), excluded=(Excluded(0, 2), Excluded(1, 0)), level="low")
    assert [(one.arm, one.rule) for one in stages[0].removed] == [
        ("champion", "when level (found 'low')"),
        ("dominate", "excluded by the caller"),
    ]
    assert (stages[0].eligible, stages[0].estimates.keys()) == (("plain",), {"plain"})
    assert (stages[1].arm, stages[1].eligible) == ("invite", ("invite",))


def test_a_native_explorer_and_no_model_at_all_have_no_features(worlds):
    campaign, scorer = taught(worlds, policy={"name": "native"}, learner={"name": "native"})
    for who in (scorer, None):
        _, stages = reasons(campaign, who)
        assert all(stage.estimates is None and stage.predictors == () for stage in stages)
        assert stages[0].eligible == ("plain", "champion", "dominate")
