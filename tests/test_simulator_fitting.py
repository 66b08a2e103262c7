"""A world fitted to a log: what the fit keeps of it, what it never sees, and what customers then do."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit import RewardSpec
from bandit.errors import UnusableLog
from simulator import fitting
from simulator.fit_rows import LEAST_ROWS, FitRows
from simulator.fitting import FEWEST_EVENTS, fit_world, folds_of
from simulator.together import given_parent
from simulator.truth import value_of_choices
from simulator.world import ChoiceGrid, ImpossibleWorld, RuledWorld

SUBJECTS = {"plain": 0.1, "champion": 0.2, "dominate": 0.3}
"""Probability of a click by subject; members of level "high" click on plain more than anybody on anything."""


def chance(context, choice):
    click = 0.5 if (context["level"], choice["subject"]) == ("high", "plain") else SUBJECTS[choice["subject"]]
    click += 0.05 * (choice["cta"] == "invite")
    return {"click": click}


def fit_rows(campaign, matured, *, sends_each=2, labels=None, **columns):
    """Logged rows as columns; conversions follow every third click."""
    grid = ChoiceGrid({d.name: d.ids for d in campaign.dimensions})
    clicked = np.array(["click" in row.outcome_types for row in matured], dtype=np.float64)
    converted = clicked * (np.arange(len(matured)) % 3 == 0)
    made = [row.decision for row in matured]
    return FitRows(
        grid,
        [dict(one.context) for one in made],
        np.array([grid.places(dict(zip(grid.dimensions, one.arms, strict=True))) for one in made]),
        np.array([np.prod(one.propensities) for one in made]),
        np.stack([clicked, converted], axis=1) if labels is None else labels,
        campaign.reward.types,
        campaign.reward.worths,
        [f"c{i // sends_each}" for i in range(len(made))],
        **columns,
    )


@pytest.fixture(scope="module")
def campaign(worlds):
    return worlds.campaign(groups={"random": 1.0})


@pytest.fixture(scope="module")
def rows(worlds, campaign):
    n = 4000
    made = worlds.rows(campaign, n, chance)
    delays = {"click": np.array([1.0, 5.0, 40.0]), "conversion": np.array([0.5, 60.0])}
    at = np.sort(np.random.default_rng(3).uniform(0, 500, n))
    return fit_rows(campaign, made, delays=delays, at=at, start=datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def world(rows, campaign):
    return fit_world(rows, campaign, seed=7)


def test_every_arm_has_the_mean_rate_it_had_in_the_log(world, rows):
    fitted = world.response.probabilities(rows.contexts, rows.picks)
    for d, size in enumerate(rows.choices.shape):
        for arm in range(size):
            mine = rows.picks[:, d] == arm
            # A hundredth of a standard error of a rate of a fifth.
            assert fitted[mine].mean(axis=0) == pytest.approx(
                rows.labels[mine].mean(axis=0), abs=0.01 * 0.4 / mine.sum() ** 0.5
            )


def test_what_suits_whom_is_found_where_the_log_shows_it(world):
    """Each within .08 of the truth: about three standard errors of a cell of 300 rows."""
    contexts = [{"level": level, "days": 5.0, "member": True} for level in ("low", "high")]
    rewards = np.array([world.response.probabilities(contexts, np.array([[k, 0]] * 2))[:, 0] for k in range(3)])
    truth = np.array([[chance(c, {"subject": s, "cta": "join"})["click"] for c in contexts] for s in SUBJECTS])
    assert np.abs(rewards - truth).max() < 0.08
    assert [world.best_choice(context)[0]["subject"] for context in contexts] == ["dominate", "plain"]


def test_a_log_in_which_nothing_matters_is_not_believed_to_show_something(world, rows, campaign):
    """What is left is the luck of the arms' own rates: a standard error of about .01 each."""
    shuffled = rows.labels[np.random.default_rng(1).permutation(len(rows))]
    dull = fit_world(replace(rows, labels=shuffled), campaign, seed=7)
    contexts = rows.contexts[:500]
    clicks = [one.response.rewards(contexts).std() for one in (dull, world)]
    assert clicks[0] < 0.25 * clicks[1]
    found = dull.evidence.types[0].reliability
    assert found.log_loss < found.base_log_loss * 1.005


def test_every_way_of_asking_for_the_expected_reward_gives_the_same_number(world, rows):
    contexts = rows.contexts[:20]
    rewards = world.expected_rewards(contexts)
    one_by_one = [[world.expected_reward(context, choice) for choice in world.choices] for context in contexts]
    assert rewards == pytest.approx(np.array(one_by_one), rel=1e-12)
    assert [world.best_choice(context)[1] for context in contexts] == pytest.approx(rewards.max(axis=1))
    assert [world.uniform_value(context) for context in contexts] == pytest.approx(rewards.mean(axis=1))


def test_customers_react_as_often_as_expected_and_never_convert_without_a_click(world, rows):
    context, choice, n = rows.contexts[0], world.choices.at(4), 6000
    arrival = replace(next(world.arrivals(1)), context=context)
    reactions = [world.react(arrival, choice, decision_id=f"d{i}") for i in range(n)]
    types = [frozenset(one.type for one in outcomes) for outcomes in reactions]
    expected = world.response.probabilities([context], np.array([world.choices.places(choice)]))[0]
    for name, probability in zip(rows.types, expected, strict=True):
        happened = sum(name in one for one in types)
        assert abs(happened - n * probability) < 4.5 * (n * probability * (1 - probability)) ** 0.5
    assert all("click" in one for one in types if "conversion" in one)
    assert any("conversion" not in one for one in types if "click" in one)


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_what_happens_together_happens_as_often_as_before_and_never_with_a_chance_that_is_none(chance, of_parent):
    together, alone = given_parent(chance, of_parent, True), given_parent(chance, of_parent, False)
    assert of_parent * together + (1 - of_parent) * alone == pytest.approx(chance)
    assert 0.0 <= alone <= together <= 1.0
    assert chance > of_parent or alone == 0.0


def test_outcomes_come_after_delays_of_the_log_in_order_and_within_the_window(world):
    arrival = next(world.arrivals(1))
    found = [world.react(arrival, world.choices.at(0), decision_id=f"d{i}") for i in range(2000)]
    late = {"click": set(), "conversion": set()}
    for outcomes in found:
        at = {one.type: (one.at - arrival.at) / timedelta(hours=1) for one in outcomes}
        assert list(at.values()) == sorted(at.values())
        for name, hours in at.items():
            late[name].add(hours)
        assert at.get("conversion", 1e9) >= at.get("click", 0.0)
    assert late["click"] == {1.0, 5.0, 40.0}
    assert late["conversion"] == {1.0, 5.0, 40.0, 60.0}
    assert max(late["conversion"]) <= world.window / timedelta(hours=1)


def test_customers_come_as_they_came_and_begin_again_after_the_last(world, rows):
    n = len(rows)
    came = list(world.arrivals(2 * n))
    assert [one.customer_id for one in came[:n]] == list(rows.customers)
    assert [one.context for one in came[:n]] == list(rows.contexts)
    assert came[0].at == rows.start
    hours = np.array([(one.at - rows.start) / timedelta(hours=1) for one in came])
    assert hours[:n] == pytest.approx(rows.at - rows.at[0], abs=1e-6)
    assert (np.diff(hours) >= 0).all()
    assert hours[n] > hours[n - 1]
    assert hours[n:] - hours[n] == pytest.approx(hours[:n], abs=1e-6)
    with pytest.raises(ImpossibleWorld, match="n_sends is -1"):
        next(world.arrivals(-1))


def test_a_log_without_times_lasts_a_month(world, rows):
    untimed = replace(world, rows=replace(rows, at=None))
    came = [one.at - rows.start for one in untimed.arrivals(len(rows) + 1)]
    assert came[-1] == timedelta(days=30)
    assert np.ptp(np.diff(came)) <= timedelta(microseconds=1)


def test_the_same_seed_gives_the_same_world_and_another_only_other_luck(world, rows, campaign):
    again, other = fit_world(rows, campaign, seed=7), world.with_seed(8)
    assert np.array_equal(again.expected_rewards(rows.contexts[:50]), world.expected_rewards(rows.contexts[:50]))
    arrival = next(world.arrivals(1))

    def run(one):
        return [one.react(arrival, world.choices.at(2), decision_id=f"d{i}") for i in range(200)]

    assert run(again) == run(world) != run(other)
    assert np.array_equal(other.expected_rewards(rows.contexts[:50]), world.expected_rewards(rows.contexts[:50]))


def test_another_process_gets_the_same_world(world):
    copy, arrival = pickle.loads(pickle.dumps(world)), next(world.arrivals(1))
    for i in range(50):
        assert copy.react(arrival, world.choices.at(1), decision_id=f"d{i}") == world.react(
            arrival, world.choices.at(1), decision_id=f"d{i}"
        )
    assert np.array_equal(copy.random_pmf([arrival.context]), world.random_pmf([arrival.context]))


def test_no_row_is_predicted_by_a_fit_that_saw_its_customer(worlds, campaign):
    """One fold's customers all click, the others seldom: a fit that had seen them would say so."""
    made = worlds.rows(campaign, 2000, chance, seed=5)
    plain = fit_rows(campaign, made)
    fold_of = folds_of(plain.customers, 5, seed=1)
    labels = np.where((fold_of == 2)[:, None], 1.0, plain.labels)
    world = fit_world(replace(plain, labels=labels), campaign, seed=1)
    assert np.array_equal(world.evidence.fold_of, fold_of)
    predicted, others = world.evidence.predicted[:, 0], plain.labels[fold_of != 2, 0].mean()
    assert predicted[fold_of == 2].mean() == pytest.approx(others, abs=0.05)
    assert predicted[fold_of != 2].mean() > others + 0.1
    of_rows = world.out_of_fold_rewards(np.flatnonzero(fold_of == 2))
    assert np.array_equal(
        of_rows, world.evidence.of_folds[2].rewards([plain.contexts[i] for i in np.flatnonzero(fold_of == 2)])
    )
    assert world.expected_rewards(plain.contexts).mean() > 1.3 * of_rows.mean()


def test_all_sends_to_a_customer_lie_in_one_fold_and_folds_are_about_as_large():
    customers = [f"c{i % 101}" for i in range(700)]
    fold_of = folds_of(customers, 5, seed=0)
    assert len({(who, fold) for who, fold in zip(customers, fold_of.tolist(), strict=True)}) == 101
    assert sorted(np.bincount(fold_of[:101]).tolist()) == [20, 20, 20, 20, 21]
    with pytest.raises(UnusableLog, match="6 folds of 5 customers"):
        folds_of(["a", "b", "c", "d", "e"] * 50, 6, seed=0)


@pytest.mark.parametrize("n_events", [0, FEWEST_EVENTS - 1, FEWEST_EVENTS])
def test_a_rare_outcome_has_its_mean_rate_and_nothing_else(rows, campaign, n_events):
    some = rows.only(slice(0, 1000))
    labels = some.labels.copy()
    labels[:, 1] = np.arange(1000) < n_events
    world = fit_world(replace(some, labels=labels), campaign, seed=0)
    click, conversion = world.evidence.types
    assert conversion.n_events == n_events
    assert conversion.is_mean_alone == (n_events < FEWEST_EVENTS)
    assert not click.is_mean_alone
    if conversion.is_mean_alone:
        found = world.response.probabilities(some.contexts, some.picks)[:, 1]
        assert np.ptp(found) == 0.0
        assert found[0] == pytest.approx(n_events / 1000, abs=1e-8)


def test_levels_of_an_amount_never_happen_together(rows, campaign):
    some = rows.only(slice(0, 1500))
    level = np.random.default_rng(0).integers(0, 4, 1500)
    labels = np.stack([level == 1, level == 2], axis=1).astype(np.float64)
    world = fit_world(replace(some, labels=labels, exclusive=True, delays={}), campaign, seed=0)
    arrival, n = next(world.arrivals(1)), 4000
    found = [world.react(arrival, world.choices.at(1), decision_id=f"d{i}") for i in range(n)]
    assert max(map(len, found)) == 1
    assert {one.at for outcomes in found for one in outcomes} == {arrival.at}
    expected = world.response.probabilities([arrival.context], np.array([world.choices.places(world.choices.at(1))]))[0]
    for name, probability in zip(some.types, expected, strict=True):
        happened = sum(outcomes[0].type == name for outcomes in found if outcomes)
        assert abs(happened - n * probability) < 4.5 * (n * probability * (1 - probability)) ** 0.5


def test_where_levels_are_likely_what_is_expected_is_still_what_happens(rows, campaign):
    """Every send brings one of two amounts, so that two separate fits may promise more than one of them."""
    some = rows.only(slice(0, 1500))
    first = (np.random.default_rng(4).random(1500) < 0.5).astype(np.float64)
    labels = np.stack([first, 1.0 - first], axis=1)
    fitted = fit_world(replace(some, labels=labels, exclusive=True, delays={}), campaign, seed=0)
    hopeful = tuple(replace(effects, base=effects.base + 1.0) for effects in fitted.response.effects)
    world = replace(fitted, response=replace(fitted.response, effects=hopeful))
    arrival, n = next(world.arrivals(1)), 2000
    choice, places = world.choices.at(1), np.array([world.choices.places(world.choices.at(1))])
    assert world.response.probabilities([arrival.context], places).sum() == pytest.approx(1.0)
    expected = world.expected_reward(arrival.context, choice)
    assert expected == pytest.approx(world.expected_rewards([arrival.context])[0, 1])
    earned = [
        campaign.reward.reward_of([one.type for one in world.react(arrival, choice, decision_id=f"d{i}")])
        for i in range(n)
    ]
    assert abs(np.mean(earned) - expected) < 4.5 * np.std(earned) / n**0.5


def test_a_long_log_is_fitted_as_a_short_one_though_strengths_are_chosen_on_a_part(rows, campaign, monkeypatch):
    some = rows.only(slice(0, 1500))
    monkeypatch.setattr(fitting, "TRIED", {part: (strength,) for part, strength in fitting._BEGIN.items()})
    short = fit_world(some, campaign, seed=0)
    monkeypatch.setattr(fitting, "MOST_TRIED", 700)
    long = fit_world(some, campaign, seed=0)
    assert long.evidence.predicted == pytest.approx(short.evidence.predicted, abs=1e-6)
    assert long.expected_rewards(some.contexts[:50]) == pytest.approx(
        short.expected_rewards(some.contexts[:50]), abs=1e-6
    )


def test_rules_of_the_campaign_hold_in_the_world(worlds, rows):
    subjects = worlds.dimension("subject", {"id": "plain", "when": {"level": ["low"]}}, "champion", "dominate")
    ruled = worlds.campaign(dimension=[subjects, worlds.dimension("cta", "join", "invite")], groups={"random": 1.0})
    world = fit_world(rows.only(slice(0, 1500)), ruled, seed=0)
    assert isinstance(world, RuledWorld)
    low, high = ({"level": level, "days": 1.0, "member": True} for level in ("low", "high"))
    assert world.random_pmf([low, high]).tolist() == [[1 / 6] * 6, [0.0, 0.0, 0.25, 0.25, 0.25, 0.25]]
    assert world.best_choice(high)[0]["subject"] != "plain"
    assert world.uniform_value(high) == pytest.approx(world.expected_rewards([high])[0, 2:].mean())
    truth = value_of_choices(world, list(world.arrivals(50)), [world.choices.at(2)] * 50)
    assert truth.regret >= 0.0


def test_a_log_of_another_campaign_is_refused(rows, campaign):
    short = ChoiceGrid({"subject": ("plain", "champion", "dominate")})
    with pytest.raises(UnusableLog, match=r"Fit with the campaign that made the log"):
        fit_world(replace(rows, choices=short, picks=rows.picks[:, :1]), campaign, seed=0)
    other = replace(campaign, reward=RewardSpec(campaign.reward.window, {"click": 0.5, "conversion": 1.0}))
    with pytest.raises(UnusableLog, match=r"fit with the campaign's types and worths"):
        fit_world(rows, other, seed=0)


def test_impossible_rows_are_refused_with_advice(rows):
    nan = np.where(np.arange(len(rows)) == 3, np.nan, rows.propensities)
    for change, advice in [
        ({"propensities": nan}, "Correct or drop such rows"),
        ({"labels": rows.labels * 2.0}, "happens within the window, or does not"),
        ({"labels": rows.labels[:, :1]}, "labels has shape"),
        ({"picks": rows.picks + 1}, "not the position of an arm"),
        ({"delays": {"open": np.ones(3)}}, "which is no type"),
        ({"delays": {"click": np.array([-1.0])}}, "leave a type without delays out"),
    ]:
        with pytest.raises(UnusableLog, match=advice):
            replace(rows, **change)
    with pytest.raises(UnusableLog, match=rf"199 rows.*need at least {LEAST_ROWS}.*rehearse in a made-up world"):
        rows.only(slice(0, 199))
