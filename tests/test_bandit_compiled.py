"""The compiled tables say what Vowpal Wabbit says, for every context, choice, target and hash width."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bandit.features import FeatureSpace
from bandit.learner import TrainingRow
from bandit.regression import reference_score, serve, task_of, whole_bank

AGREE = 1e-5
CONTEXT = {
    "level": {"kind": "categorical", "values": ["low", "mid", "high"]},
    "days": {"kind": "numeric", "range": [-5, 10]},
    "member": {"kind": "boolean"},
    "gender": {"kind": "categorical", "protected": True},
}
SHARED = [
    {"id": "plain", "features": {"tone": "calm", "length": 0.25}},
    {"id": "champion", "features": {"tone": "loud", "length": 0.75}},
    {"id": "dominate", "features": {"tone": "loud", "length": -1.5}},
]
DIMENSIONS = {
    "one": [("subject", *SHARED)],
    "three": [
        ("subject", *SHARED),
        ("cta", "join", {"id": "invite", "features": {"tone": "loud"}}),
        ("slot", "am", "pm"),
    ],
}
EVENTS = {"click": 0.2, "conversion": 1.0, "unsubscribe": -0.5}
CASES = [
    pytest.param(
        shape, target, interactions, bits, id=f"{shape}-{target}-{'joint' if interactions else 'apart'}-{bits}"
    )
    for shape, target, interactions, bits in itertools.product(
        DIMENSIONS, ("outcomes", "reward"), (True, False), (0, 10)
    )
]


def chance(context, choice):
    """A truth with every kind of term in it: context, arm, context with arm, arm with arm."""
    lift = 0.3 * (context["level"] == "high") + 0.2 * (choice["subject"] == "champion")
    lift += 0.3 * (context["member"] is True and choice["subject"] == "dominate")
    lift += 0.2 * (choice["subject"] == "plain" and choice.get("cta") == "invite")
    lift += 0.02 * (context["days"] or 0.0) * (choice.get("slot") == "pm")
    click = min(max(0.1 + lift, 0.0), 1.0)
    return {"click": click, "conversion": click / 3, "unsubscribe": 0.2 * (1.0 - click)}


class Compiled:
    """A trained campaign, its served tables, and Vowpal Wabbit's own answers."""

    def __init__(self, worlds, shape, target, interactions, bits, n=400):
        self.campaign = worlds.campaign(
            context=CONTEXT,
            dimension=[worlds.dimension(*dimension) for dimension in DIMENSIONS[shape]],
            reward={"window": "72h", "events": EVENTS},
            policy={"interactions": interactions},
            learner={"name": "regression", "target": target, "bits": bits, "learning_rate": 0.5},
        )
        self.snapshot = worlds.train(self.campaign, worlds.rows(self.campaign, n, chance))
        self.scorer = serve(self.campaign, self.snapshot)
        _, self.reference, _ = whole_bank(self.campaign, task_of(self.campaign), self.snapshot, serving=True)
        self.target, self.interactions = target, interactions
        contexts = worlds.contexts(self.campaign, 3, missing=0.3, seed=9)
        self.contexts = [self.campaign.schema.encode(context) for context in contexts]

    def linear(self, context):
        """Vowpal Wabbit's linear predictions of every whole choice, shape (n_models, *n_arms of each dimension)."""
        choices = list(itertools.product(*map(range, self.campaign.sizes)))
        rows = [TrainingRow(context, picks, 0.0, (), (), ()) for picks in choices]
        answers = np.array([self.reference.predict(row) for row in rows])
        return answers.T.reshape(-1, *self.campaign.sizes)

    def reward(self, linear):
        """From linear predictions, shape (n_models, ...), to the reward they mean."""
        if self.target == "reward":
            return linear[0].clip(*self.campaign.reward.bounds)
        return np.tensordot(list(EVENTS.values()), 1.0 / (1.0 + np.exp(-linear)), axes=1)

    def expected(self, linear, picks, dimension):
        """The scores a stage should have: what is not picked yet counts as its average arm, later or not looked at."""
        known = picks[:dimension] if self.interactions else (slice(None),) * dimension
        axis = 0 if self.interactions else dimension
        left = np.moveaxis(linear[(slice(None), *known)], 1 + axis, 1)
        return self.reward(left.reshape(*left.shape[:2], -1).mean(axis=2))

    def scores(self, context, picks, dimension):
        state = self.scorer.start(context)
        for d in range(dimension):
            state = self.scorer.after(state, d, picks[d])
        return self.scorer.estimates(state, dimension, range(self.campaign.sizes[dimension])).scores


@pytest.fixture(scope="module", params=[param.values for param in CASES], ids=[param.id for param in CASES])
def compiled(request, worlds):
    return Compiled(worlds, *request.param)


def test_what_is_compared_with_is_what_a_snapshot_says_that_was_just_read(compiled):
    context, picks = next(choices(compiled))
    just_read = reference_score(compiled.campaign, compiled.snapshot, TrainingRow(context, picks, 0.0, (), (), ()))
    assert compiled.linear(context)[(slice(None), *picks)] == pytest.approx(np.array(just_read), abs=0.0)


def choices(compiled, seed=0):
    rng = np.random.default_rng(seed)
    for context in compiled.contexts:
        yield context, tuple(int(rng.integers(size)) for size in compiled.campaign.sizes)


def test_every_stages_scores_are_the_models_own_given_the_earlier_picks_and_the_average_of_the_later(compiled):
    for context, picks in choices(compiled):
        linear = compiled.linear(context)
        for dimension in range(len(picks)):
            expected = compiled.expected(linear, picks, dimension)
            assert compiled.scores(context, picks, dimension) == pytest.approx(expected, abs=AGREE)


def test_the_last_stage_of_interacting_dimensions_is_the_prediction_of_the_whole_choice(worlds):
    compiled = Compiled(worlds, "three", "outcomes", True, 10)
    for context, picks in choices(compiled):
        whole = compiled.reward(compiled.linear(context))[picks]
        assert compiled.scores(context, picks, 2)[picks[2]] == pytest.approx(whole, abs=AGREE)


def test_what_is_compared_is_not_constant(compiled):
    scores = np.array([compiled.scores(context, picks, 0) for context, picks in choices(compiled)])
    assert np.ptp(scores, axis=0).max() > 0.02
    assert np.ptp(scores, axis=1).max() > 0.02


def test_plain_numbers_of_the_arms_on_offer_are_the_arrays_cut_down(compiled):
    for context, _ in choices(compiled):
        state = compiled.scorer.start(context)
        for dimension, size in enumerate(compiled.campaign.sizes):
            for offered in (tuple(range(size)), tuple(range(1, size)), (0,)):
                whole = compiled.scorer.estimates(state, dimension, offered)
                offer = compiled.scorer.offer(state, dimension, offered)
                assert offer.scores == pytest.approx(whole.scores[list(offered)], abs=1e-12)
                assert (offer.dimension, tuple(offer.arms)) == (dimension, offered)
                assert offer.n_learned == whole.n_learned == compiled.snapshot.n_learned


@pytest.mark.parametrize("n_arms", [1, 39, 40, 41, 60])
def test_few_arms_and_many_are_scored_alike(worlds, n_arms):
    arms = [f"arm{k}" for k in range(n_arms)]
    campaign = worlds.campaign(dimension=[worlds.dimension("subject", *arms)], learner={"learning_rate": 0.5})
    scorer = serve(campaign, worlds.train(campaign, worlds.rows(campaign, 100, lambda *_: {"click": 0.3})))
    state = scorer.start(campaign.schema.encode(worlds.contexts(campaign, 1)[0]))
    offered = tuple(range(0, n_arms, 2))
    whole = scorer.estimates(state, 0, offered).scores
    assert scorer.offer(state, 0, offered).scores == pytest.approx(whole[list(offered)], abs=1e-12)


def test_following_one_decision_leaves_another_untouched(compiled):
    context, picks = next(choices(compiled))
    state = compiled.scorer.start(context)
    everything = range(compiled.campaign.sizes[0])
    before = compiled.scorer.estimates(state, 0, everything).scores.copy()
    compiled.scorer.after(state, 0, picks[0])
    assert (compiled.scorer.estimates(state, 0, everything).scores == before).all()


def test_ten_bits_really_make_features_collide(worlds):
    wide = Compiled(worlds, "three", "reward", True, 0)
    narrow = Compiled(worlds, "three", "reward", True, 10)
    context, _ = next(choices(wide))
    assert "-b 10" in narrow.snapshot.arguments[0]
    assert np.abs(wide.linear(context) - narrow.linear(context)).max() > 1e-3


def test_few_features_get_eighteen_bits_and_many_get_sixty_four_places_each(worlds):
    """The rule of the product, which tests have narrowed for themselves; see tests/made_once.py."""
    bits = FeatureSpace.bits.fget.__wrapped__
    few, many = (
        FeatureSpace.of(worlds.campaign(dimension=[worlds.dimension("subject", *(f"a{k}" for k in range(n)))]))
        for n in (3, 3000)
    )
    assert bits(few) == 18 < bits(many) == FeatureSpace.bits.fget(many)
    assert 2 ** bits(many) >= 64 * many.n_weights > 2 ** (bits(many) - 1)
    assert 2 ** FeatureSpace.bits.fget(few) >= 64 * few.n_weights


def test_arms_that_share_a_feature_share_what_is_learned_about_it(worlds):
    arms = [{"id": f"{tone}{i}", "features": {"tone": tone}} for i in range(2) for tone in ("calm", "loud")]
    campaign = worlds.campaign(
        context=None, dimension=[worlds.dimension("subject", *arms)], reward={"window": "1h", "events": {"click": 1.0}}
    )
    seen = worlds.rows(campaign, 600, lambda _, choice: {"click": 0.8 if choice["subject"].startswith("loud") else 0.1})
    rows = [row for row in seen if row.decision.arms[0] in ("calm0", "loud0")]
    scorer = serve(campaign, worlds.train(campaign, rows))
    state = scorer.start(campaign.schema.encode(worlds.contexts(campaign, 1)[0]))
    scores = dict(zip(campaign.dimensions[0].ids, scorer.estimates(state, 0, range(4)).scores, strict=True))
    assert scores["loud1"] > scores["calm1"] + 0.1  # never sent, known by its tone


@pytest.mark.parametrize("target", ["outcomes", "reward"])
def test_a_campaign_that_knows_nothing_of_its_customers_compiles_too(worlds, target):
    campaign = worlds.campaign(context=None, learner={"name": "regression", "target": target})
    snapshot = worlds.train(
        campaign, worlds.rows(campaign, 300, lambda _, choice: {"click": 0.9 * (choice["subject"] == "champion")})
    )
    scorer = serve(campaign, snapshot)
    nobody = campaign.schema.encode(worlds.contexts(campaign, 1)[0])
    scores = scorer.estimates(scorer.start(nobody), 0, range(3)).scores
    assert scores.argmax() == 1
    assert scorer.n_learned == 300


def test_expected_rewards_stay_within_what_one_decision_can_earn(worlds):
    campaign = worlds.campaign(
        reward={"window": "1h", "events": EVENTS}, learner={"target": "reward", "learning_rate": 50.0}
    )
    assert campaign.reward.bounds == (-0.5, 1.2)
    rows = worlds.rows(campaign, 300, lambda *_: {"conversion": 0.9, "click": 0.9, "unsubscribe": 0.1})
    scorer = serve(campaign, worlds.train(campaign, rows))
    for context in worlds.contexts(campaign, 30):
        scores = scorer.estimates(scorer.start(campaign.schema.encode(context)), 0, range(3)).scores
        assert (scores >= -0.5).all()
        assert (scores <= 1.2).all()
