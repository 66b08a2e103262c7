"""Rankings: any actions with any features, drawn with the probability that is said, learned from, and drawn again alike."""

from __future__ import annotations

import gc
import math
import weakref
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from bandit import ranking_learner
from bandit.campaign import PolicySpec
from bandit.errors import BrokenSnapshot, InvalidContext, InvalidRanking, InvalidSettings
from bandit.free_features import DEEPEST, MOST_FEATURES, flattened
from bandit.group import Group
from bandit.ranking import RankingEngine, ServedRanking, ranked
from bandit.ranking_learner import ARGUMENTS, MaturedRanking, RankingModel, RewardState, train_rankings
from bandit.ranking_request import MOST_ACTIONS, Action, RankingRequest
from bandit.ranking_rules import RankingRules, check_reward
from bandit.regressors import VwRegressors
from bandit.remembered_actions import MOST_REMEMBERED, RememberedActions
from policies import Native, Uniform, policy_of

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
SALT = b"salt of the tests"
TIERS = ("gold", "silver", "new")
IDS = ("welcome", "vip", "discount", "news")
LIKES = {"gold": "vip", "silver": "discount", "new": "welcome"}


def asked(event_id="e1", tier="gold", **changes):
    """Four actions with features for somebody of a tier."""
    actions = tuple(Action(name, ({"tone": name[:1], "price": place},)) for place, name in enumerate(IDS))
    given = {"actions": actions, "context": ({"user": {"tier": tier, "age": 40}}, {"weekend": True})}
    return RankingRequest(event_id, **given | changes)


def engine(served=None, **rules):
    made = RankingRules(**rules)
    return RankingEngine("contest", made, policy_of(PolicySpec(made.policy, made.floor)), Uniform(), SALT, served)


class Fixed:
    """A scorer that believes what it is told."""

    n_learned, spread = 100, 0.5

    def __init__(self, *scores):
        self.found = scores

    def scores(self, features, offered):
        return [self.found[place] for place in offered]


json_values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.dictionaries(st.text(max_size=4), inner, max_size=3) | st.lists(st.floats(-9, 9), max_size=2),
    max_leaves=6,
)
objects = st.lists(st.dictionaries(st.text(max_size=4), json_values, max_size=3), max_size=3).map(tuple)


@st.composite
def requests(draw):
    """Any request that can be ranked."""
    ids = draw(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=6, unique=True))
    actions = tuple(Action(name, draw(objects)) for name in ids)
    excluded = tuple(draw(st.sets(st.sampled_from(ids), max_size=len(ids) - 1)))
    return RankingRequest(draw(st.text(min_size=1, max_size=20)), actions, draw(objects), excluded)


@pytest.fixture(scope="module")
def model():
    """A model that learned a little."""
    rows = [MaturedRanking(i, asked(f"e{i}", TIERS[i % 3]), i % 4, "learner", float(i % 2)) for i in range(40)]
    return RankingModel("contest", train_rankings("contest", None, rows))


@pytest.fixture(scope="module")
def vw():
    """Vowpal Wabbit, for its hashes."""
    return VwRegressors([ARGUMENTS])


@settings(deadline=None, max_examples=25)
@given(request=requests(), floor=st.floats(0.05, 1.0))
def test_any_ranking_is_a_distribution_over_what_is_on_offer_and_the_same_again(model, request, floor):
    made = engine(ServedRanking("r1", model), floor=floor)
    ranking = made.rank(request, at=AT)
    assert ranking.fallback is None
    assert sum(ranking.pmf) == pytest.approx(1.0)
    least = floor / len(request.offered)
    for place, probability in enumerate(ranking.pmf):
        assert probability >= least * (1 - 1e-9) if place in request.offered else probability == 0.0
    assert ranking.propensity == ranking.pmf[ranking.chosen] > 0.0
    assert made.rank(request, at=AT) == ranking


@settings(deadline=None, max_examples=25)
@given(request=requests())
def test_the_answer_lists_the_drawn_action_first_and_leaves_excluded_ones_where_they_were(request):
    ranking = engine().rank(request, at=AT)
    order = ranked(ranking)
    assert sorted(order) == list(range(len(request.actions)))
    assert all(order[place] == place for place in range(len(order)) if place not in request.offered)
    listed = [order[place] for place in request.offered]
    assert listed[0] == ranking.chosen
    rest = [ranking.pmf[place] for place in listed[1:]]
    assert rest == sorted(rest, reverse=True)


def test_actions_are_drawn_as_often_as_is_said():
    made = engine(ServedRanking("r1", Fixed(0.3, 0.2, 0.25, 0.0)), floor=0.3)
    drawn = [made.rank(asked(f"e{i}", excluded=("vip",)), at=AT) for i in range(2000)]
    (pmf,) = {ranking.pmf for ranking in drawn}
    assert len(set(pmf)) == 4
    counts = np.bincount([ranking.chosen for ranking in drawn], minlength=4)
    assert (counts[1], pmf[1]) == (0, 0.0)
    assert chisquare(np.delete(counts, 1), 2000 * np.delete(pmf, 1)).pvalue > 1e-4


def test_the_model_learns_whom_to_show_what():
    luck, snapshot, served, rows, hits = np.random.default_rng(1), None, None, [], []
    for i in range(2000):
        request = asked(f"e{i}", TIERS[luck.integers(3)])
        ranking = engine(served).rank(request, at=AT)
        right = LIKES[request.context[0]["user"]["tier"]] == IDS[ranking.chosen]
        reward = float(luck.random() < (0.5 if right else 0.1))
        rows.append(MaturedRanking(i + 1, request, ranking.chosen, ranking.group.value, reward))
        hits.append(right)
        if len(rows) == 100:
            snapshot, rows = train_rankings("contest", snapshot, rows), []
            served = ServedRanking(f"r{i}", RankingModel("contest", snapshot))
    # At random .25 are right; the floor of .2 leaves at most .85.
    assert np.mean(hits[:100]) == pytest.approx(0.25, abs=0.12)
    assert np.mean(hits[-500:]) > 0.75


def test_what_is_learned_of_a_feature_holds_for_an_action_never_seen():
    rows = [
        MaturedRanking(i, RankingRequest(f"e{i}", (Action(f"a{i}", ({"tone": tone},)),)), 0, "learner", reward)
        for i in range(300)
        for tone, reward in [("kind", 1.0) if i % 2 else ("rude", 0.0)]
    ]
    model = RankingModel("contest", train_rankings("contest", None, rows))
    unseen = RankingRequest("e", (Action("x", ({"tone": "rude"},)), Action("y", ({"tone": "kind"},))))
    rude, kind = model.scores(unseen.features, (0, 1))
    assert kind > rude + 0.4


def test_control_gets_the_first_action_on_offer_and_the_random_group_any():
    control = [engine(control=1.0).rank(asked(f"e{i}", excluded=("welcome",)), at=AT) for i in range(20)]
    assert {(one.chosen, one.propensity, one.policy, one.group) for one in control} == {
        (1, 1.0, "fixed", Group.CONTROL)
    }
    even = engine(ServedRanking("r1", Fixed(1, 0, 0, 0)), random=1.0).rank(asked(), at=AT)
    assert (even.pmf, even.snapshot, even.fallback) == ((0.25,) * 4, None, None)


def test_events_are_shared_out_among_the_groups():
    made = engine(control=0.2, random=0.3)
    groups = [made.rank(asked(f"e{i}"), at=AT).group for i in range(2000)]
    counts = [groups.count(group) for group in Group]
    assert chisquare(counts, [1000, 600, 400]).pvalue > 1e-4


@pytest.mark.parametrize("scores", [(math.nan, 0.0, 0.0, 0.0), (math.inf, 0.0, 0.0, 0.0)])
def test_an_ill_model_never_stops_a_ranking(scores):
    ranking = engine(ServedRanking("r1", Fixed(*scores))).rank(asked(), at=AT)
    assert (ranking.pmf, ranking.snapshot, ranking.policy) == ((0.25,) * 4, None, "uniform")
    assert "r1: scores are" in ranking.fallback


def test_without_a_snapshot_everything_is_alike_and_the_row_says_why():
    ranking = engine().rank(asked(), at=AT)
    assert (ranking.pmf, ranking.fallback) == ((0.25,) * 4, "no snapshot yet")


def test_one_action_is_drawn_for_certain():
    ranking = engine(ServedRanking("r1", Fixed(0.0))).rank(RankingRequest("e", (Action("only"),)), at=AT)
    assert (ranking.pmf, ranking.estimate) == ((1.0,), 0.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"actions": ()}, "there are 0 actions, need 1 to 50"),
        ({"actions": tuple(Action(f"a{i}") for i in range(MOST_ACTIONS + 1))}, "there are 51 actions"),
        ({"actions": (Action("a"), Action("a"))}, "the id 'a' more than once"),
        ({"actions": (Action(""),)}, r"actions\[0\].id is ''"),
        ({"excluded": IDS}, "all 4 actions are excluded"),
        ({"context": ({"words": ["a", "b"]},)}, r"contextFeatures\[0\].words is \['a', 'b'\]"),
        ({"context": ({"deep": [[1.0]]},)}, r"contextFeatures\[0\].deep is \[\[1.0\]\]"),
        ({"context": ({"x": 10**400},)}, r"contextFeatures\[0\].x is 1000"),
        ({"actions": (Action("a", ({"b": {"c": [None]}},)),)}, r"actions\[0\].features\[0\].b.c is \[None\]"),
    ],
)
def test_what_cannot_be_ranked_is_refused_by_name(changes, said):
    with pytest.raises(InvalidRanking, match=said):
        asked(**changes)


@pytest.mark.parametrize("event_id", ["", "x" * 257, "half of a pair \ud800"])
def test_an_event_needs_an_id_that_can_be_found_again(event_id):
    with pytest.raises(InvalidRanking, match="need a text of 1 to 256 characters"):
        asked(event_id)


def test_features_are_bounded_in_number_and_depth():
    deep = "bottom"
    for _ in range(DEEPEST + 1):
        deep = {"x": deep}
    with pytest.raises(InvalidRanking, match="10 objects deep, need at most 10"):
        flattened([deep], "contextFeatures")
    with pytest.raises(InvalidRanking, match="more than 1000 features"):
        flattened([{f"f{i}": i for i in range(MOST_FEATURES + 1)}], "contextFeatures")


@pytest.mark.parametrize("depth", [0, 1])
def test_features_that_are_too_many_are_not_even_named(monkeypatch, depth):
    named = []
    monkeypatch.setattr("bandit.free_features._named", lambda name: named.append(name) or str(name))
    many = [1] * (MOST_FEATURES + 1)
    for value in (many, {str(i): True for i in range(MOST_FEATURES + 1)}, ["word"] * (MOST_FEATURES + 1)):
        with pytest.raises(InvalidRanking, match=r"with contextFeatures\[0\].* there are more than 1000 features"):
            flattened([{"a": 1, "x": {"y": value} if depth else value}], "contextFeatures")
    with pytest.raises(InvalidRanking, match="with contextFeatures there are more"):
        flattened([{}] * (MOST_FEATURES + 1), "contextFeatures")
    assert len(named) <= 3


def test_interactions_of_one_request_are_bounded():
    actions = tuple(Action(f"a{i}", ({"x": [1] * 19},)) for i in range(50))
    assert len(RankingRequest("e", actions, ({"c": [1] * 100},)).features.context) == 100
    with pytest.raises(InvalidRanking, match="make 101000 products, need at most 100000"):
        RankingRequest("e", actions, ({"c": [1] * 101},))


def test_what_is_remembered_of_actions_is_bounded_by_their_features_and_letters():
    hashed = []
    actions = RememberedActions(lambda name, features: hashed.append(name) or [], most=1000)
    wide = tuple((f"f{i}", 1.0) for i in range(300))
    for name in ("a", "b", "c", "d", "b", "a"):
        actions.namespaces(name, wide)
    assert hashed == ["a", "b", "c", "d", "a"], "the one not offered for longest is forgotten"
    assert actions.weight <= 1000
    actions.namespaces("e", (("x" * 200_000, 1.0),))
    assert (actions.weight, list(actions)) == (0, []), "one that is too large is not remembered"


def test_a_model_remembers_a_bounded_number_of_features():
    model = RankingModel("c")
    for i in range(120):
        request = RankingRequest("e", (Action(f"a{i}", ({"x": [i] * MOST_FEATURES},)),))
        model.scores(request.features, (0,))
    assert model._remembered.weight <= MOST_REMEMBERED < 120 * MOST_FEATURES


def test_training_that_is_not_wanted_any_more_keeps_what_it_learned_and_goes_on_there():
    rows = [MaturedRanking(i + 1, asked(f"e{i}", TIERS[i % 3]), i % 4, "learner", float(i % 2)) for i in range(200)]
    assert train_rankings("contest", None, rows, is_wanted=lambda: False) is None
    asks = iter(range(10_000))
    first = train_rankings("contest", None, rows, is_wanted=lambda: next(asks) < 203)
    assert (first.watermark, first.n_learned) == (96, 96)
    second = train_rankings("contest", first, rows[96:])
    assert (second.watermark, second.n_learned) == (200, 200)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "b"}, {"a": {"b": 1}}),
        ({"a": {"b": "c"}}, {"a.b": "c"}),
        ({"a": "1"}, {"a": 1}),
        ({"a": "true"}, {"a": True}),
        ({"a": True}, {"a": False}),
        ({"a": [1]}, {"a": {"0": 1}}),
        ({"a": "b "}, {"a": "b"}),
        ({"a": 'x"],["y'}, {"a": "x"}),
    ],
)
def test_no_feature_passes_for_another(vw, one, other):
    names = [{name for name, _ in flattened([item], "x")} for item in (one, other)]
    assert not names[0] & names[1]
    # Vowpal Wabbit must tell them apart too.
    hashes = [{place for place, _ in vw.hashed("C", [(name, 1.0) for name in found])} for found in names]
    assert not hashes[0] & hashes[1]


def test_what_is_not_known_or_not_to_be_read_is_no_feature():
    assert flattened([{"a": None, "_id": "ann", "b": {}, "c": []}], "x") == []


def test_numbers_of_any_size_leave_a_model_that_predicts():
    huge = RankingRequest("e", (Action("a", ({"x": 1e308, "y": -(10**30)},)),), ({"z": 5e300},))
    model = RankingModel(
        "c", train_rankings("c", None, [MaturedRanking(i, huge, 0, "learner", 1.0) for i in range(50)])
    )
    assert all(map(math.isfinite, model.scores(huge.features, (0,))))


def test_a_model_that_serves_no_longer_is_freed_at_once():
    model = RankingModel("c")
    model.scores(asked().features, (0, 1))
    gone = weakref.ref(model)
    gc.disable()
    try:
        del model
        assert gone() is None
    finally:
        gc.enable()


def test_training_in_steps_is_training_at_once():
    rows = [MaturedRanking(i, asked(f"e{i}", TIERS[i % 3]), i % 4, "learner", float(i % 5 == 0)) for i in range(90)]
    first = train_rankings("contest", None, rows[:30])
    stepwise = RankingModel("contest", train_rankings("contest", first, rows[30:]))
    whole = RankingModel("contest", train_rankings("contest", None, rows[:30]))
    whole.learn_many(rows[30:])
    features = asked().features
    assert stepwise.scores(features, range(4)) == pytest.approx(whole.scores(features, range(4)), abs=1e-6)
    assert (stepwise.n_learned, stepwise.spread) == (90, whole.spread)


def test_control_teaches_nothing_and_still_moves_the_watermark():
    rows = [MaturedRanking(7, asked(), 0, "control", 1.0)]
    snapshot = train_rankings("contest", None, rows)
    assert (snapshot.n_learned, snapshot.watermark) == (0, 7)
    assert train_rankings("contest", snapshot, []) is None


def test_a_snapshot_of_another_loop_is_refused(model):
    snapshot = model.snapshot(watermark=3)
    with pytest.raises(BrokenSnapshot, match="of 'contest', need 'ranking' of 'other'"):
        RankingModel("other", snapshot)
    with pytest.raises(BrokenSnapshot, match="state cannot be read"):
        RankingModel("contest", replace(snapshot, state=b"\xff"))


@given(rewards=st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_the_spread_is_the_standard_deviation_with_one_event_of_prior(rewards):
    state = RewardState()
    for reward in rewards:
        state = state.after(reward)
    expected = math.sqrt((np.var(rewards) * len(rewards) + ranking_learner.FIRST_VARIANCE) / (len(rewards) + 1))
    assert state.spread == pytest.approx(expected)
    assert state.mean == pytest.approx(np.mean(rewards), abs=1e-12)


@pytest.mark.parametrize("value", [1.01, -2, math.nan, math.inf, True])
def test_a_reward_outside_minus_one_to_one_is_refused(value):
    with pytest.raises(InvalidRanking, match=r"need a number in \[-1, 1\]"):
        check_reward(value)


def test_the_earliest_reward_or_their_sum_counts_and_the_default_where_there_is_none():
    assert RankingRules().reward_of([0.25, 1.0]) == 0.25
    assert RankingRules(aggregation="sum").reward_of([0.25, 0.5]) == 0.75
    assert RankingRules(default_reward=0.1).reward_of([]) == 0.1


@pytest.mark.parametrize(
    "rules",
    [
        {"floor": 1.5},
        {"random": 0.6, "control": 0.6},
        {"control": -0.1},
        {"aggregation": "last"},
        {"default_reward": 2},
    ],
)
def test_rules_that_cannot_be_are_refused(rules):
    with pytest.raises(InvalidSettings, match=r"need|must be"):
        RankingRules(**rules)


def test_a_policy_that_needs_more_than_scores_cannot_rank():
    with pytest.raises(InvalidSettings, match="Take squarecb, epsilon-greedy, softmax or uniform"):
        RankingEngine("contest", RankingRules(), Native(), Uniform(), SALT)


def test_a_time_without_zone_is_refused():
    with pytest.raises(InvalidContext, match="has no zone"):
        engine().rank(asked(), at=AT.replace(tzinfo=None))


def test_a_wait_belongs_to_the_rules_that_a_row_keeps():
    rules = RankingRules(wait=timedelta(hours=3), policy="softmax")
    assert msgspec.json.decode(msgspec.json.encode(rules), type=RankingRules) == rules
