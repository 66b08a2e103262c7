"""A bootstrap's members disagree where the rows leave something open, and the pmf counts their votes exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bandit import Context
from bandit.bootstrap import serve, task_of
from bandit.errors import InvalidEstimates
from bandit.estimates import Estimates, Offer
from bandit.regression import whole_bank
from bandit.training import training_row
from bandit.trial import resample_counts
from policies import Thompson

CLICKS = {"window": "72h", "events": {"click": 1.0}}


def bootstrapped(worlds, n, chance, *, members=8, **changes):
    campaign = worlds.campaign(policy={"name": "thompson", "floor": 0.05}, learner={"members": members}, **changes)
    return campaign, worlds.train(campaign, worlds.rows(campaign, n, chance))


def fits(context, choice):
    return {"click": 0.6 if choice["subject"] == "champion" else 0.2, "conversion": 0.1 * (context["level"] == "high")}


def disagreement(campaign, snapshot):
    scorer = serve(campaign, snapshot)
    state = scorer.start(campaign.schema.encode(Context.of(level="high")))
    return float(scorer.estimates(state, 0, range(3)).members.std(axis=0).mean())


@given(arrays.arrays(float, (7, 4), elements=st.sampled_from([0.0, 0.1, 0.2])), st.sets(st.integers(0, 3), min_size=1))
def test_the_pmf_is_how_often_a_member_drawn_at_random_would_pick_the_arm(beliefs, offered):
    arms = sorted(offered)
    votes = np.zeros(4)
    for member in beliefs:
        winners = [arm for arm in arms if member[arm] == max(member[k] for k in arms)]
        votes[winners] += 1.0 / (7 * len(winners))
    eligible = np.isin(np.arange(4), arms)
    assert Thompson().pmf(Estimates(members=beliefs), eligible, dimension=0) == pytest.approx(votes)
    offer = Estimates(members=beliefs).on_offer(0, arms, 4)
    assert Thompson().shares(offer) == pytest.approx(votes[arms])


def test_members_agree_more_the_more_they_have_seen(worlds):
    level = {"level": worlds.document()["context"]["level"]}
    found = [disagreement(*bootstrapped(worlds, n, fits, reward=CLICKS, context=level)) for n in (200, 6000)]
    assert found[1] < 0.5 * found[0]


def test_every_member_is_worth_what_vowpal_wabbit_says(worlds):
    campaign, snapshot = bootstrapped(worlds, 300, fits)
    scorer, task = serve(campaign, snapshot), task_of(campaign)
    _, bank, _ = whole_bank(campaign, task, snapshot)
    for row in worlds.rows(campaign, 20, fits, seed=4):
        made = training_row(campaign, row)
        rates = 1.0 / (1.0 + np.exp(-np.array(bank.predict(made)).reshape(len(task.worths), -1)))
        state = scorer.start(made.context)
        for d in range(len(made.picks) - 1):
            state = scorer.after(state, d, made.picks[d])
        last = len(made.picks) - 1
        found = scorer.estimates(state, last, range(campaign.sizes[last]))
        assert found.members[:, made.picks[last]] == pytest.approx(np.array(task.worths) @ rates, abs=1e-5)
        assert found.scores == pytest.approx(found.members.mean(axis=0))


def test_the_engine_logs_the_votes_mixed_with_the_floor(worlds):
    campaign, snapshot = bootstrapped(worlds, 300, fits, dimension=[worlds.dimension("subject", "plain", "champion")])
    for decision in worlds.decide(worlds.engine(campaign, snapshot), 20):
        for probability in decision.picks[0].pmf.probabilities:
            votes = (probability - 0.025) / 0.95 * 8
            assert votes == pytest.approx(round(votes), abs=1e-9)


def test_a_row_counts_once_on_average_and_always_as_often():
    counts = np.array([resample_counts(number, 10) for number in range(2000)])
    assert counts.mean() == pytest.approx(1.0, abs=0.03)
    assert counts.var() == pytest.approx(1.0, abs=0.05)
    assert abs(np.corrcoef(counts[:, 0], counts[:, 1])[0, 1]) < 0.1
    assert resample_counts(7, 10) == counts[7].tolist()


@pytest.mark.parametrize("members", [None, [], [[0.1, float("nan")]]])
def test_without_members_or_with_ill_ones_nothing_is_decided(members):
    with pytest.raises(InvalidEstimates):
        Thompson().shares(Offer(0, (0, 1), [0.1, 0.2], members=members))


def test_a_policy_on_scores_serves_a_bootstrap_too(worlds):
    campaign = worlds.campaign(policy={"name": "squarecb"}, learner={"name": "bootstrap", "members": 3})
    snapshot = worlds.train(campaign, worlds.rows(campaign, 100, fits))
    assert all(decision.fallback is None for decision in worlds.decide(worlds.engine(campaign, snapshot), 5))
