"""The contract of every scenario: exact truth, the engine's own random policy, the same from the same seed."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from bandit import Context
from bandit.wear_out import PastSend
from simulator.customers import drawn_customers
from simulator.scenarios import SCENARIOS, Scenario
from simulator.truth import value_of_choices
from simulator.world import ImpossibleWorld, RememberingWorld, RuledWorld, SendingWorld

N_SENDS = 160
N_LIVES = 30
"""How often each send is lived through."""
RATES = {"click": 0.15, "open": 0.4, "reply": 0.1, "unsubscribe": 0.05}
"""Higher than usual, so that a Monte Carlo of some thousands of sends could notice a fault of a few percent."""


@pytest.fixture(scope="module")
def campaign(worlds):
    return worlds.campaign(
        context={
            "level": {"kind": "categorical", "values": ["low", "middle", "high"]},
            "days": {"kind": "numeric", "range": [0, 10]},
            "member": {"kind": "boolean"},
            "country": {"kind": "categorical", "values": ["us", "de", "in"]},
            "gender": {"kind": "categorical", "protected": True},
        },
        reward={
            "window": "12h",
            "events": {"click": 0.5, "purchase": 2.0, "reply": 0.3, "unsubscribe": -1.0, "open": 0.1},
        },
        dimension=[
            worlds.dimension(
                "subject",
                "plain",
                "champion",
                "dominate",
                {"id": "vip", "when": {"level": ["high"]}},
                {"id": "early", "when": {"days": [0, 4], "member": True}},
            ),
            worlds.dimension(
                "cta", "join", "invite", "claim", {"id": "reserve", "requires": {"subject": ["vip", "plain"]}}
            ),
            worlds.dimension("send_slot", "weekday-09", "weekday-18", "weekend-11"),
        ],
        groups={"random": 1.0},
    )


@pytest.fixture(scope="module")
def played(campaign):
    """Each scenario's stages, built once."""
    stages = {name: one.stages(campaign, 5, N_SENDS, rates=RATES) for name, one in SCENARIOS.items()}
    return {name: stages[name] for name in SCENARIOS}


def sends_of(stage, seed=3):
    """Arrivals with a past of random sends, and a random eligible choice for each."""
    rng = np.random.default_rng(seed)
    arrivals, choices = [], []
    for arrival in stage.world.arrivals(stage.n_sends):
        pmf = stage.world.random_pmf([arrival.context])[0]
        drawn = [stage.world.choices.at(int(k)) for k in rng.choice(len(pmf), 3, p=pmf)]
        days = rng.uniform(0.1, 20.0, 2)
        past = tuple(PastSend(arrival.at - timedelta(days=float(d)), c) for d, c in zip(days, drawn[1:], strict=True))
        arrivals.append(replace(arrival, past=past))
        choices.append(drawn[0])
    return arrivals, choices


def counted(world, arrival, choice, outcomes):
    """What a window counts of persons' outcomes: reward, and revenue."""
    closes = world.sent_at(arrival, choice) + world.window
    in_time = [outcome for outcome in outcomes if outcome.at <= closes and not outcome.machine]
    return world.campaign.reward.reward_of([o.type for o in in_time]), sum(o.revenue for o in in_time)


def test_steady_is_the_default_and_names_are_those_of_the_registry():
    assert next(iter(SCENARIOS)) == "steady"
    assert all(name == scenario.name for name, scenario in SCENARIOS.items())
    assert len({scenario.paragraph for scenario in SCENARIOS.values()}) == len(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_reacts_as_its_truth_says(name, played):
    for stage in played[name]:
        world = stage.world
        arrivals, choices = sends_of(stage)
        expected, revenue = world.rewards_of_choices(arrivals, choices), world.revenues_of_choices(arrivals, choices)
        found = np.zeros((len(arrivals), N_LIVES, 2))
        for life in range(N_LIVES):
            lived = world.reactions(arrivals, choices, [f"{name}-{life}-{k}" for k in range(len(arrivals))])
            for k, outcomes in enumerate(lived):
                found[k, life] = counted(world, arrivals[k], choices[k], outcomes)
        # The mean over all lives of all sends, whose standard error is that of independent draws with the means known.
        for column, truth in ((0, expected), (1, revenue)):
            errors = found[:, :, column] - truth[:, None]
            standard_error = errors.std() / np.sqrt(errors.size)
            assert abs(errors.mean()) < 4.0 * standard_error, (name, errors.mean() / truth.mean())
        # And send by send: if one kind of send were wrong and another made up for it, the scores would be too wide.
        scores = (found[:, :, 0].mean(axis=1) - expected) / (found[:, :, 0].std() / np.sqrt(N_LIVES))
        assert np.mean(np.abs(scores) > 4.0) < 0.02


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_knows_the_random_policy_of_the_engine(name, played, worlds):
    for stage in played[name]:
        world, engine = stage.world, worlds.engine(stage.campaign)
        for k, arrival in enumerate(world.arrivals(min(stage.n_sends, 60))):
            made = engine.decide(arrival.customer_id, Context(arrival.context), decision_id=f"d{k}", at=arrival.at)
            pmf = world.random_pmf([arrival.context])[0]
            assert made.group == "random"
            assert pmf[world.choices.index(made.choice)] == pytest.approx(made.propensity, rel=1e-12)
            assert pmf.sum() == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_the_same_from_the_same_seed_and_after_a_journey_to_another_process(name, campaign, played):
    again = SCENARIOS[name].stages(campaign, 5, N_SENDS, rates=RATES)
    for stage, other, carried in zip(played[name], again, pickle.loads(pickle.dumps(again)), strict=True):
        arrivals, choices = sends_of(stage)
        assert list(stage.world.arrivals(stage.n_sends)) == list(other.world.arrivals(other.n_sends))
        ids = [f"d{k}" for k in range(len(arrivals))]
        for twin in (other.world, carried.world):
            np.testing.assert_array_equal(
                stage.world.expected_rewards_after(arrivals[:20]), twin.expected_rewards_after(arrivals[:20])
            )
            assert stage.world.reactions(arrivals, choices, ids) == twin.reactions(arrivals, choices, ids)


@pytest.mark.parametrize("name", SCENARIOS)
def test_another_seed_is_another_world(name, campaign, played):
    other = SCENARIOS[name].stages(campaign, 6, N_SENDS, rates=RATES)[0].world
    first = played[name][0].world
    contexts = [arrival.context for arrival in first.arrivals(5)]
    assert other.expected_rewards(contexts).shape[0] == 5
    assert not np.allclose(other.expected_rewards(contexts)[0, 0], first.expected_rewards(contexts)[0, 0])
    assert list(other.arrivals(5)) != list(first.arrivals(5))


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_fast_path_and_the_grid_agree_and_the_best_choice_may_be_sent(name, played):
    for stage in played[name]:
        world = stage.world
        arrivals, choices = sends_of(stage)
        truth = value_of_choices(world, arrivals, choices)
        np.testing.assert_allclose(world.rewards_of_choices(arrivals, choices), truth.values, rtol=1e-9, atol=1e-15)
        # Rounding alone: where all choices are alike the mean of them may exceed them by an ulp.
        assert (truth.best >= truth.uniform - 1e-15).all()
        for arrival in arrivals[:10]:
            best, value = world.best_choice(arrival.context)
            index = world.choices.index(best)
            assert world.random_pmf([arrival.context])[0, index] > 0.0
            assert value == pytest.approx(world.expected_reward(arrival.context, best), rel=1e-9)
            assert value >= world.uniform_value(arrival.context) - 1e-15


@pytest.mark.parametrize("name", SCENARIOS)
def test_stages_follow_each_other_in_time_with_the_same_customers(name, played):
    stages = played[name]
    arrivals = [arrival for stage in stages for arrival in stage.world.arrivals(stage.n_sends)]
    assert len(arrivals) == max(2, round(N_SENDS * SCENARIOS[name].sends_share))
    assert all(a.at < b.at for a, b in pairwise(arrivals))
    days = stages[0].world.schedule.days
    assert arrivals[-1].at - arrivals[0].at < timedelta(days=days)
    assert len({id(stage.world.customers) for stage in stages}) == 1
    for stage in stages:
        assert isinstance(stage.world, RememberingWorld)
        assert isinstance(stage.world, RuledWorld)
        assert isinstance(stage.world, SendingWorld)
        assert stage.world.choices.dimensions == {d.name: d.ids for d in stage.campaign.dimensions}


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_protected_moves_nothing(name, played):
    world = played[name][0].world
    for arrival in world.arrivals(5):
        others = [arrival.context | {"gender": value} for value in ("a", "b", "something else", None)]
        rewards = world.expected_rewards(others)
        np.testing.assert_array_equal(rewards, np.broadcast_to(rewards[0], rewards.shape))


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_users_own_customers_are_the_ones_who_receive(name, campaign):
    own = drawn_customers(campaign.schema, 9, 31)
    stages = SCENARIOS[name].stages(campaign, 1, 40, customers=own)
    assert {arrival.customer_id for s in stages for arrival in s.world.arrivals(s.n_sends)} <= set(own.ids)
    assert all(stage.world.customers is own for stage in stages)


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in {"misleading", "new-arms", "retired-arms"}])
def test_a_campaign_without_context_rules_or_alternatives_can_be_played_too(name, worlds):
    bare = worlds.campaign(context=None, dimension=[worlds.dimension("subject", "plain")])
    for stage in SCENARIOS[name].stages(bare, 0, 20):
        arrivals = list(stage.world.arrivals(stage.n_sends))
        assert np.isfinite(stage.world.expected_rewards_after(arrivals)).all()
        np.testing.assert_array_equal(stage.world.random_pmf([{}]), [[1.0]])


@pytest.mark.parametrize(
    ("name", "advice"),
    [("misleading", "Declare one under"), ("new-arms", "or add arms"), ("retired-arms", "or add arms")],
)  # fmt: skip
def test_a_campaign_in_which_nothing_could_happen_is_refused_with_advice(name, advice, worlds):
    bare = worlds.campaign(context=None, dimension=[worlds.dimension("subject", "plain", "champion")])
    with pytest.raises(ImpossibleWorld, match=advice):
        SCENARIOS[name].stages(bare, 0, 20)


def test_nonsense_is_refused(campaign):
    with pytest.raises(ImpossibleWorld, match="at least 2 sends"):
        SCENARIOS["steady"].stages(campaign, 0, 1)
    with pytest.raises(ImpossibleWorld, match="give one from 0 up"):
        SCENARIOS["steady"].stages(campaign, -1, 10)
    with pytest.raises(ImpossibleWorld, match="a share in"):
        Scenario("odd", "Odd.", sends_share=0.0)
