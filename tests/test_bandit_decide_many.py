"""Many decisions at once are the decisions that `Engine.decide` makes one by one."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import Context, Served
from bandit.bootstrap import MemberScorer
from bandit.charged_scorer import charged
from bandit.compiled import CompiledScorer, Tables
from bandit.decide_many import decide_many
from bandit.decisions import Requests
from bandit.draw import draw, draw_many
from bandit.errors import InvalidContext, NoEligibleArm
from bandit.features import FeatureSpace
from bandit.plain_scorer import PlainScorer
from bandit.wear_out import PastSend

CLOSE = 1e-12
POLICIES = ("squarecb", "epsilon-greedy", "softmax", "uniform", "thompson")
CONTEXT = {
    "level": {"kind": "categorical", "values": ["low", "mid", "high"]},
    "days": {"kind": "numeric", "range": [0, 10]},
    "member": {"kind": "boolean"},
    "gender": {"kind": "categorical", "protected": True},
}
RULES = (
    {},
    {"when": {"level": ["low", "high"]}},
    {"when": {"days": [2, 7]}},
    {"when": {"member": True, "level": ["mid"]}},
)


@st.composite
def campaigns(draw_):
    """Documents with 1 to 4 dimensions; the first arm of each is free of rules."""
    dimensions, interactions = [], draw_(st.booleans())
    for d in range(draw_(st.integers(1, 4))):
        arms = [{"id": f"a{d}0"}]
        for k in range(1, draw_(st.integers(1, 5))):
            arm = {"id": f"a{d}{k}", **draw_(st.sampled_from(RULES))}
            if interactions and d and draw_(st.booleans()):
                arm["requires"] = {f"d{d - 1}": [f"a{d - 1}0"]}
            arms.append(arm)
        dimensions.append((f"d{d}", *arms))
    policy = draw_(st.sampled_from(POLICIES))
    return {
        "dimension": dimensions,
        "policy": {"name": policy, "floor": draw_(st.sampled_from([0.0, 0.05])), "interactions": interactions},
        "groups": {
            "random": 0.2,
            "control": {"share": 0.2, "choice": {name: arms[0]["id"] for name, *arms in dimensions}},
        },
        "wear_out": draw_(st.sampled_from([None, {"window": "30d"}])),
        "recent_send": draw_(st.sampled_from([None, {"cost": 0.125, "within": "20d", "most": 3}])),
        "members": policy == "thompson",
        "plain": draw_(st.booleans()),
        "logistic": draw_(st.booleans()),
    }


def scorer_of(campaign, drawn, rng, *, spread=1.0):
    """Tables of random weights: small multiples of a quarter, whose sums are exact, so that arms that tie do so both ways."""
    space, n_members = FeatureSpace.graded(campaign), 3
    width, n_models = 1 + sum(campaign.sizes), 2 * (n_members if drawn["members"] else 1)
    if not drawn["logistic"] and not drawn["members"]:
        n_models = 1

    def some(*shape):
        return rng.integers(-3, 4, shape) / 4.0 * spread

    pairs = some(width - 1, n_models, width)
    pairs[:, :, 0] = 0.0
    context = some(len(space.context), n_models, width)
    context[list(campaign.schema.numeric)] = rng.normal(size=(n_models, width))
    wear = rng.normal(size=(len(space.wear), n_models))
    tables = Tables(campaign.sizes, some(n_models, width), context, pairs, wear)
    sequential, wear = campaign.policy.interactions, campaign.wear_out
    if drawn["members"]:
        return MemberScorer(
            tables, (0.2, -1.0), n_members, 500, bounds=(-1.0, 1.2), sequential=sequential, wear_out=wear
        )
    worths = (0.2, -1.0)[:n_models] if drawn["logistic"] else (1.0,)
    arrays = CompiledScorer(
        tables, worths, 500, logistic=drawn["logistic"], bounds=(-1.0, 1.2), sequential=sequential, wear_out=wear
    )
    if not (drawn["plain"] and drawn["logistic"]):
        return arrays
    return PlainScorer(tables, arrays, worths, sequential=sequential, wear_out=wear)


def campaign_of(worlds, drawn):
    recent_send = {"recent_send": drawn["recent_send"]} if drawn.get("recent_send") else {}
    return worlds.campaign(
        context=CONTEXT,
        dimension=[worlds.dimension(*dimension) for dimension in drawn["dimension"]],
        policy=drawn["policy"],
        groups=drawn["groups"],
        wear_out=drawn["wear_out"],
        reward={"window": "72h", "events": {"click": 0.2, "conversion": 1.0}, **recent_send},
    )


def requests_of(worlds, campaign, n, rng):
    """n sends, some customers twice, with a past where the campaign asks for one."""
    at = [worlds.noon + timedelta(minutes=int(minute)) for minute in rng.integers(0, 1000, n)]
    pasts = None
    if campaign.looks_back:
        pasts = [
            [
                PastSend(
                    time - timedelta(hours=float(rng.uniform(-10, 900))),
                    campaign.choice_of(rng.integers(campaign.sizes)),
                )
                for _ in range(rng.integers(0, 4))
            ]
            for time in at
        ]
    customers = [f"c{i}" for i in rng.integers(0, n, n)]
    contexts, ids = worlds.contexts(campaign, n, missing=0.2), [f"d{i}" for i in range(n)]
    exclude = [excluded(campaign, rng) for _ in range(n)] if rng.random() < 0.5 else None  # or in columns throughout
    return Requests(customers, contexts, ids, at, pasts, exclude)


def excluded(campaign, rng):
    """Some arms of some dimensions, but never the first one, which no rule removes; half of the time nothing."""
    if rng.random() < 0.5:
        return {}
    return {d.name: [arm for arm in d.ids[1:] if rng.random() < 0.4] for d in campaign.dimensions}


def one_by_one(engine, requests):
    pasts = requests.pasts or [None] * len(requests)
    kept_out = requests.exclude or [None] * len(requests)
    columns = (requests.customer_ids, requests.contexts, requests.decision_ids, requests.at, pasts, kept_out)
    return [
        engine.decide(who, context, decision_id=i, at=at, past=past, exclude=exclude)
        for who, context, i, at, past, exclude in zip(*columns, strict=True)
    ]


def assert_same(found, expected):
    """Everything equal; numbers to 1e-12."""
    assert [found.decision(row).choice for row in range(len(found))] == [one.choice for one in expected]
    for row, one in enumerate(expected):
        made = found.decision(row)
        for name in ("decision_id", "campaign_hash", "customer_key", "group", "context", "policy", "snapshot"):
            assert getattr(made, name) == getattr(one, name), name
        for name in ("candidate", "fallback", "decided_at", "exposures", "excluded", "recent_sends"):
            assert getattr(made, name) == getattr(one, name), name
        assert made.propensity == pytest.approx(one.propensity, abs=CLOSE)
        assert (made.estimate is None) == (one.estimate is None)
        assert made.estimate is None or made.estimate == pytest.approx(one.estimate, abs=CLOSE)
        for mine, theirs in zip(made.picks, one.picks, strict=True):
            assert mine.pmf.arms == theirs.pmf.arms
            assert np.abs(np.subtract(mine.pmf.probabilities, theirs.pmf.probabilities)).max() <= CLOSE


@settings(max_examples=60, deadline=None)
@given(campaigns(), st.integers(0, 2**32 - 1), st.booleans())
def test_many_at_once_are_one_by_one(worlds, drawn, seed, is_served):
    rng = np.random.default_rng(seed)
    campaign = campaign_of(worlds, drawn)
    served = Served("s1", charged(campaign, scorer_of(campaign, drawn, rng)), "steady") if is_served else None
    engine = worlds.engine(campaign, served=served)
    requests = requests_of(worlds, campaign, 25, rng)
    found = decide_many(engine, requests)
    assert_same(found, one_by_one(engine, requests))


def small(worlds, **drawn):
    """One small campaign with rules, and its engine on random tables."""
    dimensions = [("subject", "plain", {"id": "loud", "when": {"level": ["low"]}}, "calm"), ("cta", "join", "invite")]
    document = {"dimension": dimensions, "policy": {"floor": 0.05}, "groups": None, "wear_out": None, "members": False}
    drawn = document | {"plain": True, "logistic": True} | drawn
    return drawn, campaign_of(worlds, drawn)


@pytest.mark.parametrize("plain", [True, False])
def test_an_ill_model_falls_back_row_by_row_with_the_same_words(worlds, plain):
    drawn, campaign = small(worlds, plain=plain)
    rng = np.random.default_rng(0)
    scorer = scorer_of(campaign, drawn, rng)
    tables = scorer.arrays.tables if plain else scorer.tables
    # Whoever is of the middle level is believed to be beyond all bounds; the others are decided for as ever.
    tables.context[1, :, 1] = np.nan
    engine = worlds.engine(campaign, served=Served("s1", remade(scorer, tables, plain), "steady"))
    requests = requests_of(worlds, campaign, 40, rng)
    found = decide_many(engine, requests)
    assert_same(found, one_by_one(engine, requests))
    assert 0 < sum(fallback is not None for fallback in found.fallbacks) < len(found)


def remade(scorer, tables, plain):
    """The same scorer over tables that were changed."""
    arrays = CompiledScorer(tables, (0.2, -1.0), 500, logistic=True, bounds=(-1.0, 1.2), sequential=True)
    return PlainScorer(tables, arrays, (0.2, -1.0), sequential=True) if plain else arrays


def test_a_prediction_that_no_float_holds_is_left_to_the_engine(worlds):
    drawn, campaign = small(worlds)
    rng = np.random.default_rng(1)
    scorer = scorer_of(campaign, drawn, rng, spread=4000.0)
    engine = worlds.engine(campaign, served=Served("s1", scorer))
    requests = requests_of(worlds, campaign, 40, rng)
    found = decide_many(engine, requests)
    assert_same(found, one_by_one(engine, requests))
    assert any(found.fallbacks)


@pytest.mark.parametrize("learner", ["native", "bootstrap", "regression"])
def test_every_learner_decides_for_many_what_it_decides_for_each(worlds, learner):
    policy = {"native": "native", "bootstrap": "thompson"}.get(learner, "squarecb")
    campaign = worlds.campaign(
        policy={"name": policy, "floor": 0.05}, learner={"name": learner}, groups={"random": 0.2}
    )
    rows = worlds.rows(campaign, 300, lambda context, choice: {"click": 0.4 * (choice["cta"] == "join")})
    engine = worlds.engine(campaign, worlds.train(campaign, rows))
    requests = requests_of(worlds, campaign, 60, np.random.default_rng(2))
    found = decide_many(engine, requests)
    assert_same(found, one_by_one(engine, requests))
    assert set(found.snapshots) == {"s1", None}


def test_the_first_bad_row_is_the_one_that_is_named(worlds):
    dimensions = [("subject", {"id": "plain", "when": {"level": ["low"]}}, {"id": "calm", "when": {"level": ["mid"]}})]
    _, campaign = small(worlds, dimension=dimensions)
    engine = worlds.engine(campaign)
    fine, nothing_left, unknown = ({"level": level} for level in ("low", "high", "tall"))
    for rows, error in (
        ((fine, nothing_left, unknown), NoEligibleArm),
        ((fine, unknown, nothing_left), InvalidContext),
    ):
        requests = asked(worlds, *map(Context, rows))
        with pytest.raises(error) as many:
            decide_many(engine, requests)
        with pytest.raises(error) as each:
            one_by_one(engine, requests)
        assert str(many.value) == str(each.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"decision_ids": ["d0", ""]}, "decision_id"),
        ({"customer_ids": ["c0", 7]}, "customer_id"),
        ({"at": [datetime(2026, 1, 1)] * 2}, "no zone"),  # noqa: DTZ001 - that is the fault
        ({"pasts": None}, "wear_out"),
    ],
)
def test_what_the_engine_refuses_is_refused_for_many(worlds, change, words):
    _, campaign = small(worlds, wear_out={"window": "30d"})
    asked_for = asked(worlds, Context.of(level="low"), Context.of(level="mid"))
    parts = {name: getattr(asked_for, name) for name in ("customer_ids", "contexts", "decision_ids", "at")}
    with pytest.raises(InvalidContext, match=words):
        decide_many(worlds.engine(campaign), Requests(**parts | {"pasts": [[], []]} | change))


def test_columns_of_different_lengths_are_refused(worlds):
    with pytest.raises(InvalidContext, match="as many of each"):
        Requests(["c0"], [Context.of()], ["d0", "d1"], [worlds.noon])


def test_nobody_is_decided_for_without_a_fault(worlds):
    _, campaign = small(worlds)
    found = decide_many(worlds.engine(campaign), asked(worlds))
    assert (len(found), found.picks.shape) == (0, (0, 2))


def test_a_sum_that_falls_short_of_one_draws_the_last_arm_that_can_be_drawn():
    pmf = np.array([0.1] * 10 + [0.0])
    assert pmf.cumsum()[-1] < 1.0
    positions = np.array([0.0, 1.0 - 2.0**-53])
    assert draw_many(np.array([pmf, pmf]), positions).tolist() == [
        draw(pmf.tolist(), position) for position in positions
    ]


def asked(worlds, *contexts):
    """One send each to c0, c1, ..."""
    names = range(len(contexts))
    return Requests(
        [f"c{i}" for i in names], contexts, [f"d{i}" for i in names], [worlds.noon] * len(contexts), [[] for _ in names]
    )
