"""A world fitted to a log of a campaign in which recent messages cost something: what is true is what is earned, costs paid."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from bandit import Context, Engine, LoggedDecision
from bandit.wear_out import PastSend
from policies import group_policies
from service.fitted_trust import LOGGED, UNIFORM, trust
from service.log_source import batch_of
from simulator.fit_rows import FitRows
from simulator.fitting import fit_world
from simulator.replay import Stage, replay
from simulator.truth import value_of
from simulator.world import Arrival, ChoiceGrid, RememberingWorld

COST, WITHIN, MOST = 0.07, timedelta(days=10), 3
RATES = {("high", "plain"): 0.5, ("high", "champion"): 0.3, ("low", "plain"): 0.1, ("low", "champion"): 0.15}
N, N_CUSTOMERS = 2400, 150
"""Everybody comes about once a day, and a message after three others pays for those of level high alone."""
SILENT = {"subject": "no_send", "cta": "no_send"}


@pytest.fixture(scope="module")
def campaign(worlds):
    return worlds.campaign(
        context={"level": {"kind": "categorical", "values": ["low", "high"]}},
        reward={
            "window": "6h",
            "events": {"click": 1.0},
            "recent_send": {"cost": COST, "within": f"{WITHIN.days}d", "most": MOST},
        },
        dimension=[
            worlds.dimension("subject", "plain", "champion", {"id": "no_send", "no_send": True}),
            worlds.dimension("cta", "join", "invite"),
        ],
        groups={"random": 0.4},
    )


@pytest.fixture(scope="module")
def log(worlds, campaign):
    """Rows of a log drawn at random, with what each had cost."""
    rng, engine, got, rows = np.random.default_rng(2), worlds.engine(campaign), {}, []
    for number in range(1, N + 1):
        who, at = f"c{rng.integers(N_CUSTOMERS)}", worlds.noon + number * timedelta(days=13) / N
        level, past = ("low", "high")[int(who[1:]) % 2], got.setdefault(who, [])
        made = engine.decide(who, Context.of(level=level), decision_id=f"log{number}", at=at, past=past)
        past.append(PastSend(at, made.choice))
        clicked = rng.random() < RATES.get((level, made.choice["subject"]), 0.0)
        types = frozenset(["click"] * clicked)
        row = LoggedDecision.of(made, number)
        reward = campaign.reward_of(row.arms, types, row.recent_sends)
        rows.append((replace(row, state="matured", reward=reward), float(clicked), who))
    return rows


@pytest.fixture(scope="module")
def world(campaign, log):
    grid = ChoiceGrid({d.name: d.ids for d in campaign.dimensions})
    made = [row for row, _, _ in log]
    rows = FitRows(
        grid,
        [dict(one.context) for one in made],
        np.array([grid.places(dict(zip(grid.dimensions, one.arms, strict=True))) for one in made]),
        np.array([np.prod(one.propensities) for one in made]),
        np.array([[clicked] for _, clicked, _ in log]),
        ("click",),
        (1.0,),
        [who for _, _, who in log],
        at=np.array([(one.decided_at - made[0].decided_at) / timedelta(hours=1) for one in made]),
        start=made[0].decided_at,
    )
    return fit_world(rows, campaign, seed=0)


@pytest.fixture(scope="module")
def stage(world, campaign):
    engine = Engine(campaign, group_policies(campaign), b"salt", b"secret")
    return replay([Stage(world, campaign, 2600)], [engine]).stages[0]


def standard_errors(found):
    """How far a mean lies from 0."""
    return abs(found.mean()) / (found.std() / len(found) ** 0.5)


def test_the_truth_of_a_replay_is_the_mean_of_what_it_earns_costs_paid(stage):
    """Without the costs it would be 12 and more standard errors beside it."""
    assert standard_errors(stage.rewards - stage.truth.values) < 3.5
    paid = stage.earned - stage.rewards
    assert standard_errors(stage.rewards - (stage.truth.values + paid)) > 10.0


def test_what_the_truth_takes_off_is_what_the_log_of_the_replay_took_off(world, stage):
    """To the last bit, send by send: the history is the replay's own."""
    choices = [world.choices.at(k) for k in np.ravel_multi_index(tuple(stage.picks.T), world.choices.shape)]
    free = world.expected_rewards([one.context for one in stage.arrivals])
    chosen = np.array([row[world.choices.index(choice)] for row, choice in zip(free, choices, strict=True)])
    assert chosen - stage.truth.values == pytest.approx(stage.earned - stage.rewards, abs=1e-12)
    assert set(np.round((chosen - stage.truth.values) / COST).astype(int).tolist()) == {0, 1, 2, MOST}


def sends_something(world):
    """Which choices send something, in the order of the grid; the impossible ones with half a silence do not."""
    return np.array(["no_send" not in choice.values() for choice in world.choices])


def test_who_pays_for_messages_of_late_is_best_left_in_peace(world, stage):
    sends = sends_something(world)
    free, paid = world.expected_rewards([one.context for one in stage.arrivals]), stage.truth.best
    assert (paid >= 0.0).all()
    assert (free[:, sends] > 0.0).any(axis=1).all()
    assert 0.1 < (paid == 0.0).mean() < 0.9


def test_only_messages_of_the_stretch_cost_something(world, worlds):
    message, days = {"subject": "plain", "cta": "join"}, timedelta(days=1)
    past = [
        PastSend(worlds.noon - WITHIN, message),
        PastSend(worlds.noon - days, SILENT),
        PastSend(worlds.noon - 2 * days, message),
    ]
    arrival = Arrival("ann", worlds.noon, {"level": "high"}, tuple(past))
    assert isinstance(world, RememberingWorld)
    assert world.memory == WITHIN
    free = world.expected_rewards([arrival.context])[0]
    wanted = np.where(sends_something(world), free - COST, 0.0)
    assert world.expected_rewards_after([arrival])[0] == pytest.approx(wanted, abs=1e-15)


def test_a_choice_that_sends_nothing_brings_nothing(world):
    arrival = next(world.arrivals(1))
    silent = world.choices.index(SILENT)
    assert {world.react(arrival, SILENT, decision_id=f"d{i}") for i in range(500)} == {()}
    assert world.expected_reward(arrival.context, SILENT) == world.expected_rewards([arrival.context])[0, silent] == 0.0
    assert (world.out_of_fold_rewards(np.arange(N))[:, silent] == 0.0).all()


def test_messages_have_the_rates_of_messages_however_often_nothing_was_sent(world, campaign, log):
    """A rare outcome has one rate for everybody who got something, and together they are the log's."""
    rare = np.zeros((N, 1))
    messages = np.array([row.arms[0] != "no_send" for row, _, _ in log])
    rare[np.flatnonzero(messages)[:9]] = 1.0
    dull = fit_world(replace(world.rows, labels=rare), campaign, seed=0)
    assert dull.evidence.types[0].is_mean_alone
    numbers = np.ravel_multi_index(tuple(dull.rows.picks.T), dull.choices.shape)
    for one in (dull, world):
        expected = one.expected_rewards(one.rows.contexts)[np.arange(N), numbers]
        assert expected.sum() == pytest.approx(one.rows.rewards.sum(), rel=1e-3)
        assert (one.evidence.predicted[~messages] == 0.0).all()
    assert dull.expected_rewards([{}])[0, 0] == pytest.approx(9 / messages.sum(), rel=1e-6)


def test_a_policy_is_valued_after_what_each_customer_got_before(world, stage):
    def pmf_of(arrival):
        return world.random_pmf([arrival.context])[0]

    some = stage.arrivals[2000:2300]
    truth = value_of(world, some, pmf_of)
    pmf, free = world.random_pmf([{}])[0], world.expected_rewards([one.context for one in some])
    costs = COST * np.array(stage.recent_sends[2000:2300])
    assert truth.values == pytest.approx(free @ pmf - costs * pmf[sends_something(world)].sum(), abs=1e-12)
    assert truth.uniform == pytest.approx(truth.values, abs=1e-12)


def test_the_log_is_held_against_the_world_with_its_costs(world, campaign, log):
    """The two say the same of the log and of a uniform choice; without the costs they were far apart."""
    batch = batch_of([row for row, _, _ in log], campaign, 0)
    found = {row.policy: row for row in trust(world, [batch], seen=True).rows}
    assert abs(found[LOGGED].apart) < 1.0
    assert abs(found[UNIFORM].apart) < 1.0
    silent = "always no_send, no_send"
    assert silent not in found or found[silent].world == 0.0
    # A log that does not say how many messages there were has no costs in its rewards.
    earned = replace(batch, rewards=batch.worths, recent_sends=None, worths=None)
    free = {row.policy: row for row in trust(world, [earned], seen=True).rows}
    assert free[LOGGED].world > found[LOGGED].world + 0.01
    assert abs(free[LOGGED].apart) < 1.0


def test_a_campaign_without_costs_has_nothing_to_remember(world, campaign):
    free = world.valued_by(replace(campaign, reward=replace(campaign.reward, recent_send=None)))
    assert free.memory == timedelta(0)
    arrivals = list(free.arrivals(20))
    past = (PastSend(arrivals[0].at - timedelta(hours=1), {"subject": "plain", "cta": "join"}),)
    worn = [replace(one, past=past) for one in arrivals]
    assert np.array_equal(free.expected_rewards_after(worn), free.expected_rewards([one.context for one in arrivals]))
