"""Models of stages, rows of a log that they score, and what the command line makes of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import product

import numpy as np
import pytest

from bandit import Outcome, load_campaign
from bandit.context import Context
from bandit.errors import InvalidSettings
from bandit.regression import REGRESSION
from evaluation.composite import CompositeWeigher
from evaluation.joint_pmf import JointPolicy, JointRules
from evaluation.log_batch import Layout, LogBatch
from evaluation.reward_model import others, trained
from evaluation.stage_models import StageFit, StageModels
from evaluation.target import Rule, RulesTarget
from policies.fixed import Fixed
from policies.uniform import Uniform
from service.composite_asking import modelled
from service.engines import engine_for
from service.log_source import with_one_reward
from service.outcomes_table import record_outcome
from service.store import Store
from service.trainer import Trainer


@pytest.fixture(scope="module")
def campaign(worlds):
    """Two dimensions, drawn one after the other, with a rule between them; one reward."""
    cta = worlds.dimension("cta", "join", {"id": "invite", "requires": {"subject": ["champion", "plain"]}})
    subject = worlds.dimension("subject", "plain", "champion", "dominate")
    return with_one_reward(worlds.campaign(dimension=[subject, cta], policy={"name": "squarecb", "floor": 0.1}))


def log_of(campaign, n, worlds, seed=0):
    """Choices by a sequential policy; champions with an invitation are worth most, the two together more than each."""
    rng = np.random.default_rng(seed)
    contexts = [context.values for context in worlds.contexts(campaign, n, seed=seed, missing=0.0)]
    first = np.array([0.5, 0.3, 0.2])
    second = np.array([[0.7, 0.3], [0.2, 0.8], [1.0, 0.0]])
    picks = [(k := int(rng.choice(3, p=first)), int(rng.choice(2, p=second[k]))) for _ in range(n)]
    rewards = [
        0.1 + 0.2 * (p == (1, 1)) + 0.3 * c["member"] * (p[0] == 1) for c, p in zip(contexts, picks, strict=True)
    ]
    layout = Layout(tuple(d.name for d in campaign.dimensions), tuple(d.ids for d in campaign.dimensions))
    return LogBatch(
        layout, np.arange(1, n + 1), np.array(rewards), np.array(picks),
        np.array([[first[k], second[k][m]] for k, m in picks]),
        context={name: [context[name] for context in contexts] for name in contexts[0]}, deciders=["log"] * n,
    )  # fmt: skip


class Told:
    """A joint pmf that is told."""

    def __init__(self, joint):
        self.joint = joint

    def pmf(self, encoded):
        return self.joint


BEHAVIOR = Told(np.array([[0.35, 0.15], [0.06, 0.24], [0.2, 0.0]]))
TARGET = Told(np.array([[0.1, 0.0], [0.2, 0.7], [0.0, 0.0]]))


def fitted(campaign, batch, target, n_folds=3):
    last = [trained(others([batch], fold, n_folds), campaign, REGRESSION, (0.0, 1.0)) for fold in range(n_folds)]
    return StageFit(campaign, target)([batch], last)


@pytest.fixture(scope="module")
def log(campaign, worlds):
    """120 rows, and three folds of models for TARGET."""
    batch = log_of(campaign, 120, worlds)
    return batch, fitted(campaign, batch, TARGET)


def test_the_score_of_a_row_equals_the_formula_by_hand(campaign, log):
    """V1 + w1 (V2 - Q1) + w1 w2 (r - Q2) with what the row's own fold of models says, to 1e-9; in reward units."""
    batch, stages = log
    scale = -1.0, 2.0
    found = CompositeWeigher(campaign, TARGET, {"log": BEHAVIOR}, "t", (), scale, stages).weigh(batch)
    for row, (context, (k, m)) in enumerate(zip(batch.contexts(), batch.picks.tolist(), strict=True)):
        models = stages[batch.numbers[row] % 3]
        q1, q2 = (scale[0] + scale[1] * q for q in models.values(campaign.schema.encode(Context(context)), (k, m)))
        then = {0: [1.0, 0.0], 1: [2 / 9, 7 / 9], 2: [0.3, 0.7]}[k]
        w1 = [0.1 / 0.5, 0.9 / 0.3, 0.0][k]
        w2 = 0.0 if k == 2 else then[m] / batch.propensities[row, 1]
        v1, v2 = 0.1 * q1[0] + 0.9 * q1[1], then[0] * q2[0] + then[1] * q2[1]
        by_hand = v1 + w1 * (v2 - q1[k]) + w1 * w2 * (batch.rewards[row] - q2[m])
        assert found.staged[row] == pytest.approx(by_hand, abs=1e-9)
        assert found.weights[row] == pytest.approx(w1 * w2, abs=1e-9)


def test_a_row_that_the_target_would_never_send_keeps_what_the_model_expects(campaign, log):
    batch, stages = log
    found = CompositeWeigher(campaign, TARGET, {"log": BEHAVIOR}, "t", (), (0.0, 1.0), stages).weigh(batch)
    never = batch.picks[:, 0] == 2
    assert never.any()
    assert (found.weights[never] == 0.0).all()
    for row in np.flatnonzero(never):
        encoded = campaign.schema.encode(Context(list(batch.contexts())[row]))
        first = stages[batch.numbers[row] % 3].values(encoded, (2, 0))[0]
        assert found.staged[row] == pytest.approx(0.1 * first[0] + 0.9 * first[1], abs=1e-12)


def test_no_model_scores_a_row_that_it_or_one_behind_it_learned_from(campaign, log):
    """With the rewards and picks of one fold changed beyond recognition, the models of that fold stay what they were."""
    batch, stages = log
    own = batch.numbers % 3 == 1
    changed = replace(
        batch, rewards=np.where(own, 1.0 - batch.rewards, batch.rewards), picks=np.where(own[:, None], 0, batch.picks)
    )
    encoded = campaign.schema.encode(Context({"level": "high", "days": 2.0, "member": True}))
    again = fitted(campaign, changed, TARGET)
    before, after = ([models.values(encoded, (1, 0)) for models in folds] for folds in (stages, again))
    for fold in range(3):
        same = [np.array_equal(one, other) for one, other in zip(before[fold], after[fold], strict=True)]
        assert same == ([True, True] if fold == 1 else [False, False])


def test_a_stage_learns_what_the_next_one_expects_of_the_target(campaign, worlds):
    """Champions are worth .3 with the target's calls; a target with others is told apart by the first stage already."""
    batch = log_of(campaign, 1000, worlds)
    encoded = campaign.schema.encode(Context({"level": "low", "days": 2.0, "member": False}))
    found = {}
    for call in (0, 1):
        target = np.zeros((3, 2))
        target[1, call] = 1.0
        models = fitted(campaign, batch, Told(target), 2)[0]
        found[call], second = (
            value[arm] for value, arm in zip(models.values(encoded, (1, call)), (1, call), strict=True)
        )
        assert found[call] == pytest.approx(second, abs=0.03)
    assert found[1] > found[0] + 0.05


def test_each_of_three_stages_learns_from_the_one_behind_it(worlds):
    """Of each stage the logged arms' values are, to a tenth of their spread, what the next one expects of the target."""
    dimensions = [worlds.dimension(name, *arms) for name, arms in (("a", "xyz"), ("b", "xy"), ("c", "wxyz"))]
    made = with_one_reward(worlds.campaign(dimension=dimensions))
    rng, n = np.random.default_rng(0), 600
    picks = np.stack([rng.integers(size, size=n) for size in made.sizes], axis=1)
    batch = LogBatch(
        Layout(("a", "b", "c"), tuple(d.ids for d in made.dimensions)), np.arange(1, n + 1),
        np.array([0.4, 0.1, 0.0])[picks[:, 0]] + 0.1 * picks[:, 1] + 0.15 * picks[:, 2], picks,
        np.tile([1 / 3, 1 / 2, 1 / 4], (n, 1)), context={"level": ["low"] * n, "days": [1.0] * n, "member": [True] * n},
    )  # fmt: skip
    pmfs = np.array([0.2, 0.3, 0.5]), np.array([0.9, 0.1]), np.array([0.0, 0.0, 0.1, 0.9])
    models = fitted(made, batch, Told(np.einsum("a,b,c->abc", *pmfs)), 2)[0]
    encoded = made.schema.encode(Context(next(batch.contexts())))
    for d in (0, 1):
        pairs = [
            (found[d][p[d]], pmfs[d + 1] @ found[d + 1]) for p in picks[:60] for found in [models.values(encoded, p)]
        ]
        chosen, following = np.array(pairs).T
        assert np.abs(chosen - following).max() < 0.1 * np.ptp(following)


def test_a_constant_reward_is_that_number_whatever_the_weights(campaign, worlds):
    batch = replace(log_of(campaign, 60, worlds), rewards=np.full(60, 0.25))
    stages = fitted(campaign, batch, TARGET, 2)
    found = CompositeWeigher(campaign, TARGET, {"log": BEHAVIOR}, "t", (), (0.0, 1.0), stages).weigh(batch)
    np.testing.assert_allclose(found.staged, 0.25, atol=1e-5)


def test_a_product_log_and_a_table_of_rules_are_weighed_like_any_other(campaign, worlds):
    """Over everything a row could have been, by its probability: what rules would have earned, with models that are wrong."""
    free = replace(campaign, dimensions=worlds.campaign().dimensions)
    rules = RulesTarget((Rule({"level": ("high",)}, (1, 0)), Rule({}, (0, 1))), "rules")
    target = JointRules(rules, lambda picks: JointPolicy(free, Fixed(picks)))
    stages = fitted(free, log_of(free, 60, worlds), target, 2)
    weigher = CompositeWeigher(free, target, {"log": JointPolicy(free, Uniform())}, "t", (), (0.0, 1.0), stages)
    choices = list(product(range(3), range(2)))
    truth = np.array([[0.3, 0.1], [0.9, 0.2], [0.4, 0.8]])
    for level, best in (("high", (1, 0)), ("low", (0, 1))):
        batch = replace(
            log_of(free, 6, worlds), numbers=np.full(6, 7), rewards=np.array([truth[p] for p in choices]),
            picks=np.array(choices), propensities=np.tile([1 / 3, 1 / 2], (6, 1)),
            context={"level": [level] * 6, "days": [1.0] * 6, "member": [True] * 6},
        )  # fmt: skip
        assert weigher.weigh(batch).staged.mean() == pytest.approx(truth[best], abs=1e-12)


def test_what_could_never_be_logged_is_counted_as_unsupported(campaign, worlds):
    batch = log_of(campaign, 30, worlds)
    target = Told(np.array([[0.0, 0.0], [0.0, 0.75], [0.0, 0.25]]))
    weigher = CompositeWeigher(
        campaign, target, {"log": BEHAVIOR}, "t", stages=fitted(campaign, batch, target, 2), by_pinv=False
    )
    np.testing.assert_allclose(weigher.weigh(batch).support, 0.75)


def test_stage_wise_scores_change_no_other_weight_and_cost_none(campaign, log):
    batch, stages = log
    plain = CompositeWeigher(campaign, TARGET, {"log": BEHAVIOR}, "t")
    both, alone = replace(plain, stages=stages).weigh(batch), replace(plain, stages=stages, by_pinv=False).weigh(batch)
    assert plain.weigh(batch).staged is None
    assert alone.additive is alone.pairwise is None
    np.testing.assert_array_equal(both.pairwise, plain.weigh(batch).pairwise)
    np.testing.assert_array_equal(both.staged, alone.staged)


def test_folds_that_differ_and_weighers_with_nothing_to_weigh_by_are_refused(campaign, worlds):
    stages = (StageModels(()),) * 2
    with pytest.raises(InvalidSettings, match="3 reward models and 2 sets of stage models"):
        CompositeWeigher(campaign, TARGET, {}, "t", (JointPolicy(campaign, Uniform()),) * 3, stages=stages)
    with pytest.raises(InvalidSettings, match="nothing would weigh the rows"):
        CompositeWeigher(campaign, TARGET, {}, "t", by_pinv=False)


def test_a_campaign_whose_learner_sees_no_earlier_picks_has_no_stages(campaign):
    blind = replace(campaign, policy=replace(campaign.policy, interactions=False))
    with pytest.raises(InvalidSettings, match="interactions = true"):
        StageFit(blind, TARGET)


def test_the_model_of_a_product_log_looks_at_every_pick(worlds):
    """The policy's own learner would not: its dimensions do not look at each other."""
    campaign = modelled(worlds.campaign(policy={"name": "squarecb", "interactions": False}))
    scorer = trained([log_of(campaign, 600, worlds)], campaign, REGRESSION, (0.0, 1.0))
    encoded = campaign.schema.encode(Context({"level": "low", "days": 2.0, "member": True}))
    values = JointPolicy(campaign, Uniform(), scorer).values(encoded)
    assert values[1, 1] > values[0, 1] + 0.1
    assert values[1, 1] > values[1, 0] + 0.05


# The command line


BEST = ["--target", "fixed:subject=champion,cta=invite"]


def live(folder, worlds, *, interactions):
    """A database of 160 sends, decided at random and by a snapshot; one choice alone is clicked. Returns its arguments."""
    policy = {"name": "squarecb", "floor": 0.3, "interactions": interactions}
    document = worlds.document(groups={"random": 0.4}, policy=policy)
    (folder / "campaign.toml").write_text(worlds.toml(document), encoding="utf-8")
    with Store(folder / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(load_campaign(folder / "campaign.toml"), worlds.noon)
        for day in (0, 4):
            at = worlds.noon + timedelta(days=day)
            made = worlds.decide(engine_for(store, log), 80, seed=day, prefix=f"{day}-")
            store.add_decisions([store.row_of(replace(one, decided_at=at), log) for one in made])
            clicked = [one.decision_id for one in made if one.choice == {"subject": "champion", "cta": "invite"}]
            store.write(partial(_click, clicked, store.reward_of, at + timedelta(hours=1)))
            Trainer(store, log).step(at + timedelta(days=4))
    return ["--db", folder / "manyarm.db", "--campaign", folder / "campaign.toml"]


def _click(ids, reward_of, at, connection):
    for one in ids:
        record_outcome(connection, Outcome(f"{one} e", one, "click", at), reward_of, at)


@pytest.fixture(scope="module")
def kept(worlds, tmp_path_factory):
    """A log whose second dimension was drawn in view of the first."""
    return live(tmp_path_factory.mktemp("stages"), worlds, interactions=True)


@pytest.fixture(scope="module")
def both(cli, kept):
    """What two estimators say of it."""
    return cli.ask(*kept, *BEST, "--against", "uniform", "--estimators", "dr-stage-wise,dr-order-2")


def test_the_command_line_gives_value_interval_and_difference(both):
    assert both["estimators"].keys() == both["difference"].keys() == {"dr-stage-wise", "dr-order-2"}
    for document, truth in ((both["estimators"], 0.2), (both["difference"], 0.2 - 0.2 / 6)):
        one = document["dr-stage-wise"]
        assert one["ci_lower"] < one["value"] < one["ci_upper"]
        assert one["value"] == pytest.approx(truth, abs=5 * one["se"] + 1e-3)


def test_alone_it_gives_the_same_number_and_a_verdict_on_whole_choices(cli, kept, both):
    alone = cli.ask(*kept, *BEST, "--estimators", "dr-stage-wise")
    assert alone["estimators"] == {"dr-stage-wise": both["estimators"]["dr-stage-wise"]}
    assert (alone["ess"], alone["support"]) == pytest.approx((both["ess"], 1.0))


def test_a_log_whose_dimensions_were_drawn_apart_is_answered_too(cli, worlds, tmp_path):
    found = cli.ask(*live(tmp_path, worlds, interactions=False), *BEST, "--estimators", "dr-stage-wise")
    one = found["estimators"]["dr-stage-wise"]
    assert one["value"] == pytest.approx(0.2, abs=5 * one["se"] + 1e-3)


def test_an_export_has_no_models_of_stages_and_says_where_they_are(cli, kept, tmp_path):
    cli.run("export", "--out", tmp_path / "log.csv", *kept)
    with pytest.raises(AssertionError, match="dr-stage-wise needs models of every stage"):
        cli.ask(tmp_path / "log.csv", "--target", "uniform", "--estimators", "dr-stage-wise")
