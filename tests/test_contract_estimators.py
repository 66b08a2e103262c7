"""Laws that every estimator and every method of the registry keeps; a new one is held to them by being registered."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.columns import ALWAYS, LARGEST, stack
from evaluation.evaluate import Bootstrap, conclude, tally
from evaluation.log_batch import Layout, LogBatch
from evaluation.methods import METHODS, Known, Needs
from evaluation.poisson_bootstrap import Resamples
from evaluation.stage_wise import stage_wise_scores
from evaluation.sums import Sums
from evaluation.target import CallableTarget
from evaluation.weighed import Weighed, weigh
from evaluation.weighing import TargetWeigher

SELF_NORMALISED = ["snips", "snpi", "order-2-sn"]
ALL = sorted(METHODS)


def picked(pmfs, rng):
    """An arm from each pmf: what `rng.choice` gives one by one, at once."""
    reached = np.cumsum(pmfs, axis=1)
    return (reached / reached[:, -1:] <= rng.random(len(pmfs))[:, None]).sum(axis=1)


@lru_cache(maxsize=200)
def rows_of(n, seed=0, *, same=False, reward=None):
    """n rows of 5 arms, context-dependent logging, a model that is off, weights and scores for composite choices too."""
    rng = np.random.default_rng(seed)
    logged = rng.dirichlet(np.ones(5) * 2, n) * 0.8 + 0.04
    target = logged if same else rng.dirichlet(np.ones(5), n)
    picks = picked(logged, rng)
    at = np.arange(n)
    rewards = (rng.random(n) < 0.1 + 0.1 * picks).astype(float) if reward is None else np.full(n, reward)
    q = np.clip(0.15 + 0.08 * np.arange(5) + rng.normal(0, 0.05, (n, 5)), 0, 1)
    w = target[at, picks] / logged[at, picks]
    found = weigh(
        rewards, logged[at, picks], target[at, picks], predicted=q[at, picks], expected=(q * target).sum(1),
        additive=0.5 + 0.5 * w, pairwise=0.2 + 0.8 * w,
    )  # fmt: skip
    # A first stage, arms 0 and 1 against the others, with a model of its own that is off as well.
    group = (np.arange(5) > 1).astype(int)
    own = group == group[picks][:, None]
    wanted, drawn = (target * own).sum(1), (logged * own).sum(1)
    staged = stage_wise_scores(
        found.rewards,
        np.stack([wanted / drawn, w], axis=1),
        np.stack([0.3 * target[:, :2].sum(1) + 0.4 * target[:, 2:].sum(1), (q * target * own).sum(1) / wanted], axis=1),
        np.stack([0.3 + 0.1 * group[picks], q[at, picks]], axis=1),
    )
    return replace(found, largest=(target / logged).max(1), staged=staged)


def only(rows, at):
    return Weighed(
        *(None if values is None else values[at] for values in (getattr(rows, n) for n in Weighed.__slots__))
    )


def sums_of(rows, name):
    return Sums.of_stack(*stack(rows, [*ALWAYS, LARGEST, *METHODS[name].columns]))


def numbers(found):
    return np.array([np.nan if x is None else x for x in (found.value, found.se, found.ci_lower, found.ci_upper)])


@pytest.mark.parametrize("name", ALL)
def test_two_shards_equal_one_log(name):
    rows = rows_of(701)
    parts = [only(rows, slice(a, b)) for a, b in ((0, 1), (1, 300), (300, 701))]
    merged = sums_of(parts[0], name) + sums_of(parts[1], name) + sums_of(parts[2], name)
    known = Known(is_binary=True)
    expected, found = (numbers(METHODS[name].estimate(s, known)) for s in (sums_of(rows, name), merged))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", ALL)
def test_shuffled_rows_change_nothing(name):
    rows = rows_of(500, 3)
    mixed = only(rows, np.random.default_rng(1).permutation(500))
    known = Known(is_binary=True)
    expected, found = (numbers(METHODS[name].estimate(sums_of(r, name), known)) for r in (rows, mixed))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", ALL)
def test_an_interval_holds_its_value(name):
    found = METHODS[name].estimate(sums_of(rows_of(300, 5), name), Known(is_binary=True))
    if name == "dm":
        assert found.ci_lower is found.ci_upper is found.se is None
    else:
        assert found.ci_lower <= found.value <= found.ci_upper
        assert found.se > 0


@pytest.mark.parametrize("name", SELF_NORMALISED)
@pytest.mark.parametrize("reward", [1.0, 0.0, 0.3, -7.1])
def test_a_constant_reward_gives_exactly_that_number_with_an_interval_of_no_width(name, reward):
    rows = rows_of(400, 2, reward=reward)
    found = METHODS[name].estimate(sums_of(rows, name), Known(is_binary=reward in {0.0, 1.0}))
    assert (found.value, found.ci_lower, found.ci_upper, found.se) == (reward, reward, reward, 0.0)


@pytest.mark.parametrize("name", SELF_NORMALISED)
def test_a_bootstrap_moves_the_denominator_too(name):
    """A peer resamples over a fixed denominator, and reports an interval around rewards that are all 1."""
    rows = rows_of(400, 2, reward=1.0)
    stacked = stack(rows, [*ALWAYS, *METHODS[name].columns])
    resamples = Resamples.of_stack(*stacked, np.random.default_rng(0), 100)
    found = resamples.interval(METHODS[name].estimator, Sums.of_stack(*stacked))
    assert (found.value, found.ci_lower, found.ci_upper) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("name", ["ips", "snips", "cressie-read", "ips-slope", "ips-clipped"])
def test_the_policy_that_made_the_log_earns_exactly_the_plain_mean(name):
    rows = rows_of(997, 4, same=True)
    found = METHODS[name].estimate(sums_of(rows, name), Known(is_binary=True))
    assert found.value == float(np.mean(rows.rewards))


@pytest.mark.parametrize("name", [name for name in ALL if name.endswith("slope")])
def test_two_logs_through_one_tuned_object_share_nothing(name):
    """A peer keeps the bound that it chose for the first log."""
    estimator = METHODS[name].estimator
    calm, wild = rows_of(300, 1), rows_of(300, 1)
    wild = replace(wild, weights=wild.weights * np.where(np.arange(300) % 50 == 0, 400.0, 1.0))
    alone = estimator.value(sums_of(wild, name)), estimator.chosen(sums_of(wild, name))
    estimator.value(sums_of(calm, name))
    assert (estimator.value(sums_of(wild, name)), estimator.chosen(sums_of(wild, name))) == alone
    if name in {"dr-slope", "switch-slope"}:
        assert estimator.chosen(sums_of(calm, name)) != alone[1]


@pytest.mark.parametrize("name", [name for name in ALL if METHODS[name].needs is not Needs.RANGE and name != "dm"])
def test_a_standard_error_is_what_the_estimate_spreads_by(name):
    """Over 150 logs; the constant is wide enough that chance alone does not reach it. Slope's choice adds some."""
    found = [
        METHODS[name].estimate(sums_of(rows_of(400, 1000 + seed), name), Known(is_binary=True)) for seed in range(150)
    ]
    spread, said = np.std([one.value for one in found]), np.mean([one.se for one in found])
    assert 0.75 < said / spread < 1.25


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 200), st.integers(0, 10_000), st.floats(0.01, 100.0), st.floats(-5.0, 5.0))
def test_values_move_with_the_unit_of_the_reward(n, seed, unit, shift):
    """Euros instead of cents change nothing but the unit; self-normalised estimates follow a shift as well."""
    rows = rows_of(n, seed)
    moved = replace(rows, rewards=rows.rewards * unit + shift)
    for name in SELF_NORMALISED:
        expected = METHODS[name].estimator.value(sums_of(rows, name)) * unit + shift
        assert METHODS[name].estimator.value(sums_of(moved, name)) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    scaled = replace(rows, rewards=rows.rewards * unit)
    expected = METHODS["ips"].estimator.value(sums_of(rows, "ips")) * unit
    assert METHODS["ips"].estimator.value(sums_of(scaled, "ips")) == pytest.approx(expected, rel=1e-9)


def batch_of(n, seed, *, target_seed=None):
    rng = np.random.default_rng(seed)
    pmf = rng.dirichlet(np.ones(3), n) * 0.7 + 0.1
    picks = picked(pmf, rng)
    rewards = (rng.random(n) < 0.2 + 0.2 * picks).astype(float)
    layout = Layout(("arm",), (("a", "b", "c"),))
    return LogBatch(layout, np.arange(1, n + 1), rewards, picks[:, None], pmf[np.arange(n), picks][:, None], (pmf,))


def test_a_difference_is_narrower_than_two_values_apart():
    """Two targets that agree on most rows share most of their noise, and the difference does not hold it."""
    batch = batch_of(4000, 7)
    first = TargetWeigher(CallableTarget(lambda b: [np.tile([0.1, 0.2, 0.7], (len(b), 1))], "first"))
    second = TargetWeigher(CallableTarget(lambda b: [np.tile([0.1, 0.25, 0.65], (len(b), 1))], "second"))
    methods = (METHODS["snips"], METHODS["ips"], METHODS["cressie-read"])
    found = conclude(tally([batch], methods, first, second), methods, Known(is_binary=True), "first", "second")
    for name in ("snips", "ips", "cressie-read"):
        apart = np.hypot(found.answer.estimates[name].se, found.against.estimates[name].se)
        assert found.difference[name].se < 0.2 * apart
        values = found.answer.estimates[name].value - found.against.estimates[name].value
        assert found.difference[name].value == pytest.approx(values, abs=2e-3)


def test_a_target_held_against_itself_differs_by_nothing():
    weigher = TargetWeigher(CallableTarget(lambda b: [np.tile([0.1, 0.2, 0.7], (len(b), 1))], "t"))
    methods = (METHODS["snips"], METHODS["cressie-read"])
    found = conclude(tally([batch_of(500, 1)], methods, weigher, weigher), methods, Known(is_binary=True), "t", "t")
    for name in ("snips", "cressie-read"):
        one = found.difference[name]
        np.testing.assert_allclose([one.value, one.se], 0.0, atol=1e-8)


def test_a_bootstrap_of_shards_is_one_bootstrap():
    weigher = TargetWeigher(CallableTarget(lambda b: [np.tile([0.1, 0.2, 0.7], (len(b), 1))], "t"))
    batch, methods = batch_of(3000, 2), (METHODS["snips"], METHODS["ips"])
    cut = [batch.only(np.arange(3000) < 1100), batch.only(np.arange(3000) >= 1100)]
    found = tally(cut, methods, weigher, bootstrap=Bootstrap(np.random.default_rng(0), 400))
    answer = conclude(found, methods, Known(is_binary=True), "t").answer
    for name in ("snips", "ips"):
        se = answer.estimates[name].se
        assert answer.estimates[f"{name} (bootstrap)"].se == pytest.approx(se, rel=0.15)
        assert answer.estimates[f"{name} (bootstrap)"].ci_lower == pytest.approx(
            answer.estimates[name].ci_lower, abs=se
        )
