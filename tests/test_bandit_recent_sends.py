"""What recent messages cost is known: it is in the reward and in every estimate to the last bit, and silence costs nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit import Context, LoggedDecision, Matured, Served
from bandit.charged_scorer import ChargedScorer
from bandit.decide_many import decide_many
from bandit.decisions import Requests
from bandit.errors import InvalidCampaign, InvalidContext, InvalidSettings, MismatchedPolicy
from bandit.learners import learner_for
from bandit.log import cells_of, columns_of, encoded_context
from bandit.recent_sends import RecentSendCost
from bandit.training import train, training_row
from bandit.warm_start import HistoricalSend, learn_log
from bandit.wear_out import DAY, PastSend
from policies.registry import policy_of
from simulator.replay import replay
from simulator.scenarios import SCENARIOS

COST = 0.07
QUIET = {"id": "no_send", "no_send": True}
EVENTS = {"click": 0.2, "conversion": 1.0, "unsubscribe": -1.0}
LEARNERS = {
    "outcomes": ("squarecb", {"name": "regression"}),
    "reward": ("squarecb", {"name": "regression", "target": "reward", "learning_rate": 0.1}),
    "bootstrap": ("thompson", {"name": "bootstrap", "members": 3}),
}
STAY = {"reward", "dimension"}


def campaign_of(worlds, quiet=0, learner="outcomes", policy=None, **recent_send):
    """Subject and cta, of which one may send nothing."""
    arms = [["plain", "champion"], ["join", "invite"]]
    if quiet is not None:
        arms[quiet].append(QUIET)
    name, options = LEARNERS[learner]
    cost = {"cost": COST, "within": "7d", "most": 5} | recent_send
    return worlds.campaign(
        dimension=[worlds.dimension(name, *some) for name, some in zip(("subject", "cta"), arms, strict=True)],
        reward={"window": "72h", "events": EVENTS, "recent_send": cost},
        policy={"name": name, "floor": 0.02} | (policy or {}),
        learner=options,
        groups={"random": 0.2},
    )


def lately(worlds, n, choice=None):
    """n messages within the last days."""
    choice = choice or {"subject": "plain", "cta": "join"}
    return [PastSend(worlds.noon - timedelta(hours=hour + 1), choice) for hour in range(n)]


def decide(worlds, engine, i, n_recent):
    return engine.decide(
        f"c{i}", Context.of(level="low"), decision_id=f"d{i}", at=worlds.noon, past=lately(worlds, n_recent)
    )


def rows_of(worlds, campaign, n, chance):
    """Matured rows of a random policy, customers with 0 to 7 recent messages."""
    engine, rng, rows = worlds.engine(campaign), np.random.default_rng(5), []
    for i in range(n):
        made = decide(worlds, engine, i, i % 8)
        happened = frozenset(name for name, p in chance(made.choice).items() if rng.random() < p)
        rows.append(Matured(i + 1, LoggedDecision.of(made, i + 1), happened))
    return rows


def clicks(choice):
    return {} if "no_send" in choice.values() else {"click": 0.6, "conversion": 0.2 * (choice["subject"] == "champion")}


@pytest.fixture(scope="module")
def learned(worlds):
    """Campaign and scorer of each learner, taught by the same rows."""

    def teach(learner):
        campaign = campaign_of(worlds, learner=learner)
        kind = learner_for(campaign.learner, policy_of(campaign.policy).needs, wears=True)
        snapshot = train(campaign, kind, None, rows_of(worlds, campaign, 200, clicks))
        return campaign, kind.serve(campaign, snapshot)

    return {learner: teach(learner) for learner in LEARNERS}


def test_the_file_says_what_each_message_costs_and_every_fault_is_named(worlds):
    spec = campaign_of(worlds).reward.recent_send
    assert spec == RecentSendCost(COST, 7 * DAY, 5)
    usual = {"cost": 0.5, "within": "36h", "most": 10, "all_campaigns": True}
    assert campaign_of(worlds, **usual).reward.recent_send == RecentSendCost(0.5, timedelta(hours=36), 10, True)
    for bad, where in (
        ({"cost": -1.0}, "reward.recent_send.cost"),
        ({"within": "soon"}, "reward.recent_send.within"),
        ({"within": "400d"}, "reward.recent_send.within"),
        ({"most": 0}, "reward.recent_send.most"),
        ({"most": 2.5}, "reward.recent_send.most"),
        ({"all_campaigns": "yes"}, "reward.recent_send.all_campaigns"),
        ({"price": 1}, "reward.recent_send.price"),
    ):
        with pytest.raises(InvalidCampaign) as error:
            campaign_of(worlds, **bad)
        assert {fault.where for fault in error.value.faults} == {where}
    with pytest.raises(InvalidSettings, match="least reward"):
        RecentSendCost(0.1, DAY, 0)


def test_a_campaign_without_the_key_is_what_it_was_and_one_with_it_is_another(worlds):
    plain = worlds.campaign()
    assert (plain.looks_back, plain.reward.recent_send) == (None, None)
    assert plain.reward.bounds == plain.reward.worth_bounds == (0.0, 1.2)
    costly = worlds.campaign(reward=worlds.document()["reward"] | {"recent_send": {"cost": 0.1, "within": "7d"}})
    assert costly.content_hash != plain.content_hash
    assert costly.looks_back == 7 * DAY
    assert costly.reward.recent_send.most == 10
    assert worlds.campaign(**{name: worlds.document()[name] for name in STAY}).content_hash == plain.content_hash
    made = worlds.engine(plain).decide("ann", Context({}), decision_id="d", at=worlds.noon)
    assert made.recent_sends is None
    assert "recent_sends" not in columns_of(plain)
    both = worlds.campaign(wear_out={"window": "30d"}, reward=worlds.document()["reward"])
    assert both.looks_back == 30 * DAY


ages = st.lists(st.tuples(st.floats(-3.0, 20.0), st.sampled_from(["plain", "champion", "no_send"])), max_size=12)


@given(past=ages, most=st.integers(1, 6))
def test_what_counts_are_the_messages_of_the_stretch_before_up_to_the_most(worlds, past, most):
    dimensions = campaign_of(worlds).dimensions
    sends = [
        PastSend(worlds.noon - age * DAY, {"subject": arm, "cta": "no_send" if arm == "no_send" else "join"})
        for age, arm in past
    ]
    spec = RecentSendCost(COST, 7 * DAY, most)
    counted = [send for send in sends if timedelta(0) < worlds.noon - send.at < 7 * DAY]
    messages = [send for send in counted if send.choice["subject"] != "no_send"]
    assert spec.count(dimensions, sends, worlds.noon) == min(len(messages), most)


@pytest.mark.parametrize(("sooner", "count"), [(timedelta(0), 0), (timedelta(microseconds=1), 1)])
def test_a_message_that_is_exactly_as_old_as_the_stretch_counts_no_more_whoever_decides(worlds, sooner, count):
    campaign = campaign_of(worlds, quiet=None, policy={"floor": 1.0})
    engine, past = worlds.engine(campaign), [PastSend(worlds.noon, {"subject": "plain", "cta": "join"})]
    at = worlds.noon + 7 * DAY - sooner
    alone = engine.decide("ann", Context.of(level="low"), decision_id="d", at=at, past=past)
    many = decide_many(engine, Requests(["ann"], [Context.of(level="low")], ["d"], [at], [past])).decision(0)
    assert alone.recent_sends == many.recent_sends == count


@pytest.mark.parametrize("wear", [{}, {"wear_out": {"window": "30d"}}])
def test_a_replay_counts_no_message_that_is_exactly_as_old_as_the_stretch(worlds, monkeypatch, wear):
    """One customer every day at the same second: six messages lie within seven days, the seventh on their edge."""
    campaign = worlds.campaign(
        reward={"window": "24h", "events": {"click": 1.0}, "recent_send": {"cost": 0.1, "within": "7d"}}, **wear
    )
    (stage,) = SCENARIOS["steady"].stages(campaign, 11, 12)
    (first,) = stage.world.arrivals(1)
    daily = [replace(first, at=first.at + day * DAY) for day in range(12)]
    monkeypatch.setattr(type(stage.world), "arrivals", lambda *_: iter(daily))
    (played,) = replay([stage], [worlds.engine(campaign)], step=DAY).stages
    assert played.recent_sends == [min(day, 6) for day in range(12)]
    assert len(played.worths) == 12
    assert played.rewards == pytest.approx(played.worths - 0.1 * np.array(played.recent_sends))


@given(
    types=st.sets(st.sampled_from([*EVENTS])),
    k=st.integers(0, 5),
    arms=st.sampled_from([("plain", "join"), ("champion", "invite"), ("no_send", "no_send")]),
)
def test_rewards_keep_their_bounds_and_silence_costs_nothing(worlds, types, k, arms):
    campaign = campaign_of(worlds)
    reward, worth = campaign.reward_of(arms, types, k), campaign.reward.worth_of(types)
    low, high = campaign.reward.bounds
    assert low <= reward <= high
    assert reward == (worth if arms[-1] == "no_send" else worth - COST * k)


def test_the_least_reward_is_reached_by_the_most_that_count(worlds):
    campaign = campaign_of(worlds)
    assert campaign.reward.bounds[0] == campaign.reward_of(("plain", "join"), {"unsubscribe"}, 5)
    assert campaign.reward.worth_bounds == (-1.0, 1.2)


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("k", [0, 1, 5])
def test_estimates_differ_by_just_the_cost_for_arms_that_send_and_not_at_all_for_those_that_do_not(learned, learner, k):
    campaign, scorer = learned[learner]
    assert isinstance(scorer, ChargedScorer)
    encoded = campaign.schema.encode(Context.of(level="low"))
    fresh, worn = (encoded._replace(recent_sends=n) for n in (0, k))
    for subject, cta in ((0, 0), (1, 1), (2, 2)):
        states = [scorer.inner.start(encoded), scorer.start(fresh), scorer.start(worn)]
        for d, pick in enumerate((subject, cta)):
            free, before, after = (
                one.estimates(state, d, range(3))
                for one, state in zip((scorer.inner, scorer, scorer), states, strict=True)
            )
            cost = np.array([COST * k, COST * k, 0.0])
            assert np.array_equal(before.scores, free.scores)
            assert np.array_equal(after.scores, free.scores - cost)
            if free.members is not None:
                assert np.array_equal(after.members, free.members - cost)
            offers = scorer.inner.offer(states[0], d, (0, 2)), scorer.offer(states[2], d, (0, 2))
            assert offers[1].scores == [offers[0].scores[0] - COST * k, offers[0].scores[1]]
            if d:
                whole = scorer.inner.whole(states[0], d, pick)
                assert scorer.whole(states[2], d, pick) == whole - (0.0 if pick == 2 else COST * k)
            states = [
                one.after(state, d, pick) for one, state in zip((scorer.inner, scorer, scorer), states, strict=True)
            ]


@pytest.mark.parametrize("learner", LEARNERS)
def test_many_at_once_are_one_by_one_with_an_arm_that_sends_nothing(worlds, learned, learner):
    campaign, scorer = learned[learner]
    engine, n = worlds.engine(campaign, served=Served("s1", scorer)), 60
    pasts = [lately(worlds, i % 9) for i in range(n)]
    asked = [f"c{i}" for i in range(n)], worlds.contexts(campaign, n), [f"d{i}" for i in range(n)], [worlds.noon] * n
    found = decide_many(engine, Requests(*asked, pasts))
    for row, (who, context, i, at, past) in enumerate(zip(*asked, pasts, strict=True)):
        one, many = engine.decide(who, context, decision_id=i, at=at, past=past), found.decision(row)
        assert one.recent_sends == many.recent_sends == min(row % 9, 5)
        assert one.choice == many.choice
        assert many.estimate == (None if one.estimate is None else pytest.approx(one.estimate, abs=1e-12))
        for mine, theirs in zip(many.picks, one.picks, strict=True):
            assert mine.pmf.probabilities == pytest.approx(theirs.pmf.probabilities, abs=1e-12)


def test_the_learner_learns_what_outcomes_are_worth_and_never_the_cost(worlds):
    campaign = campaign_of(worlds)
    rows = rows_of(worlds, campaign, 40, clicks)
    assert {row.decision.recent_sends for row in rows} == {0, 1, 2, 3, 4, 5}
    for row in rows:
        lesson = training_row(campaign, row)
        assert lesson.reward == campaign.reward.worth_of(row.outcome_types)
    free = campaign_of(worlds, cost=0.0)
    dear = train_bytes(worlds, campaign, rows)
    assert dear == train_bytes(worlds, free, rows)


def train_bytes(worlds, campaign, rows):
    return worlds.train(campaign, rows).models


def test_the_past_must_be_given_and_stands_in_the_row(worlds):
    campaign = campaign_of(worlds)
    engine = worlds.engine(campaign)
    with pytest.raises(InvalidContext, match=r"(?s)recent_send.*past=\[\]"):
        engine.decide("ann", Context({}), decision_id="d", at=worlds.noon)
    made = decide(worlds, engine, 1, 3)
    row = LoggedDecision.of(made, 1)
    assert made.recent_sends == row.recent_sends == encoded_context(row, campaign).recent_sends == 3
    assert cells_of(row, campaign)["recent_sends"] == 3
    assert set(cells_of(row, campaign)) == set(columns_of(campaign))


def test_an_explorer_from_whose_pmf_no_cost_can_be_taken_is_refused(worlds):
    document = worlds.document(
        reward={"window": "72h", "events": EVENTS, "recent_send": {"cost": 0.1, "within": "7d"}},
        policy={"name": "native"},
        learner={"name": "native"},
    )
    with pytest.raises(MismatchedPolicy, match=r"recent_send.*one of regression, bootstrap"):
        worlds.engine(worlds.campaign(**document))


def test_a_log_that_does_not_count_recent_messages_teaches_all_the_same(worlds):
    campaign = campaign_of(worlds)
    kind = worlds.kind(campaign)
    choice, even = {"subject": "plain", "cta": "join"}, {"subject": 1 / 3, "cta": 1 / 2}
    happened = [frozenset({"click"} if i % 3 == 0 else ()) for i in range(30)]
    sends = [HistoricalSend({}, choice, even, None, types) for types in happened]
    learned = learn_log(campaign, kind, sends)
    assert (learned.n_learned, learned.skipped.total(), learned.unfit.total()) == (30, 0, 0)


@pytest.mark.parametrize("policy", ["squarecb", "softmax", "epsilon-greedy"])
def test_where_nothing_can_be_left_unsent_the_cost_changes_no_probability(worlds, policy):
    campaign = campaign_of(worlds, quiet=None, policy={"name": policy})
    engine = worlds.engine(campaign, worlds.train(campaign, rows_of(worlds, campaign, 80, clicks)))
    fresh = decide(worlds, engine, 0, 0)
    for k in (1, 4):
        worn = decide(worlds, engine, 0, k)
        assert worn.snapshot == "s1"
        assert worn.estimate == pytest.approx(fresh.estimate - COST * k)
        for one, other in zip(fresh.picks, worn.picks, strict=True):
            assert one.pmf.probabilities == pytest.approx(other.pmf.probabilities, abs=1e-9)


def test_the_exact_truth_of_a_world_has_the_cost_for_what_is_sent_and_for_nothing_else(worlds):
    stage = SCENARIOS["steady"].stages(campaign_of(worlds), 4, 10)[0]
    world, choice = stage.world, {"subject": "plain", "cta": "join"}
    assert world.memory >= 7 * DAY
    for n_recent, arrival in enumerate(world.arrivals(4)):
        past = tuple(PastSend(arrival.at - timedelta(hours=1 + hour), choice) for hour in range(n_recent))
        quiet = PastSend(arrival.at - timedelta(hours=9), dict.fromkeys(choice, "no_send"))
        worn = replace(arrival, past=(*past, quiet))
        before, after = (world.expected_rewards_after([one])[0] for one in (replace(arrival, past=()), worn))
        for number, (free, dear) in enumerate(zip(before, after, strict=True)):
            made = world.choices.at(number)
            cost = 0.0 if "no_send" in made.values() else COST * n_recent
            assert dear == pytest.approx(free - cost, abs=1e-12)
            assert world.rewards_of_choices([worn], [made])[0] == pytest.approx(dear, abs=1e-12)


def test_customers_with_many_recent_messages_are_left_in_peace_more_than_those_with_few(worlds):
    """A message earns a few hundredths, and each one of the last 14 days costs .1: nobody should get a second one."""
    campaign = worlds.campaign(
        dimension=[worlds.dimension("subject", "plain", "champion", "dominate", QUIET)],
        reward={"window": "24h", "events": {"click": 1.0}, "recent_send": {"cost": 0.1, "within": "14d"}},
        groups={"random": 0.2},
    )
    stages = SCENARIOS["steady"].stages(campaign, 11, 3000)
    (stage,) = replay(stages, [worlds.engine(one.campaign) for one in stages], step=DAY).stages
    silent = stage.picks[:, 0] == campaign.dimensions[0].index_of("no_send")
    late = (np.arange(len(silent)) > len(silent) // 2) & (stage.groups == "learner")
    recent = np.array(stage.recent_sends)
    assert silent[late & (recent >= 1)].mean() > 0.9
    assert silent[late & (recent == 0)].mean() < 0.1
    sent = np.where(silent, 0.0, 0.1 * recent)
    assert np.array_equal(stage.rewards + sent >= -1e-9, np.full(len(silent), True))
    assert stage.rewards[silent].tolist() == [0.0] * int(silent.sum())
    # The exact truth has the cost too: nothing but silence can be worth exactly nothing, and worn customers cost.
    assert np.all(stage.truth.values[silent] == 0.0)
    assert stage.truth.values[~silent & (recent >= 1)].max() < stage.truth.values[~silent & (recent == 0)].min()
