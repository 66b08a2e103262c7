"""Tables as they serve mean what the models mean, and no message is worth in its first dimension what it is worth in all."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.bootstrap import BOOTSTRAP
from bandit.compiled import CompiledScorer, Tables, blocks_of
from bandit.context import EncodedContext
from bandit.features import FeatureSpace, Silence
from bandit.learner import TrainingRow
from bandit.no_send import implied_arms
from bandit.readout import centred
from bandit.regression import REGRESSION, RegressionLearner, compile_snapshot, reference_score, task_of
from bandit.regression_state import RegressionState
from bandit.snapshot import Snapshot
from bandit.warm_start import carry_over

QUIET = {"id": "no_send", "no_send": True}
BASE = 0.4
AGREE = 1e-5
"""Vowpal Wabbit's weights are single-precision numbers."""


@pytest.fixture(scope="module")
def build(worlds):
    """A campaign of three dimensions; those named may end the choice."""

    def made(*ending, **sections):
        parts = {"channel": ("email", "push"), "subject": ("plain", "bold", "calm"), "hour": ("am", "pm")}
        dimensions = [
            worlds.dimension(name, *arms, *([QUIET] if name in ending else [])) for name, arms in parts.items()
        ]
        events = {"window": "72h", "events": {"visit": 1.0}}
        shared = {"dimension": dimensions, "reward": events, "context": {"member": {"kind": "boolean"}}}
        return worlds.campaign(**shared | sections)

    return made


def possible(campaign):
    """Every whole choice that can be made, as picks."""
    for picks in product(*map(range, campaign.sizes)):
        arms = [dimension.arms[pick] for dimension, pick in zip(campaign.dimensions, picks, strict=True)]
        chosen = {d.name: arm.id for d, arm in zip(campaign.dimensions, arms, strict=True)}
        if all(chosen[name] in allowed for arm in arms for name, allowed in arm.requires.items()):
            yield picks


def quiet_from(campaign, dimension):
    """Picks of a choice that ends at a dimension."""
    return tuple(d.index_of(d.silent) if place >= dimension else 0 for place, d in enumerate(campaign.dimensions))


def drawn(sizes, rng, n_models=2, n_features=3):
    width = 1 + sum(sizes)
    pairs = np.zeros((width - 1, n_models, width))
    blocks = blocks_of(sizes)
    for first, second in product(blocks, blocks):
        if first.start < second.start:
            terms = rng.normal(size=(first.stop - first.start, n_models, second.stop - second.start))
            pairs[first.start - 1 : first.stop - 1, :, second] = terms
            pairs[second.start - 1 : second.stop - 1, :, first] = terms.transpose(2, 1, 0)
    constant, context = rng.normal(size=(n_models, width)), rng.normal(size=(n_features, n_models, width))
    return Tables(tuple(sizes), constant, context, pairs, np.zeros((0, n_models)))


def scorer_of(tables):
    n_models = len(tables.constant)
    return CompiledScorer(tables, (1.0,) * n_models, 1, logistic=False, bounds=(-1e9, 1e9), sequential=True)


def walked(scorer, context, picks):
    """The state before the last pick, and what the whole choice is worth."""
    state = scorer.start(context)
    for d, pick in enumerate(picks[:-1]):
        state = scorer.after(state, d, pick)
    return scorer.whole(state, len(picks) - 1, picks[-1])


ENDINGS = [("channel",), ("subject",), ("channel", "subject"), ("channel", "hour"), ("channel", "subject", "hour")]
CONTEXT = EncodedContext({}, (0, 2), (1.0, 0.5))
ANYBODY = EncodedContext({}, (0,), (1.0,))


@given(seed=st.integers(0, 2**32 - 1), ending=st.sampled_from(ENDINGS))
def test_no_whole_choice_scores_differently_however_terms_are_moved(build, seed, ending):
    campaign = build(*ending)
    tables = drawn(campaign.sizes, np.random.default_rng(seed))
    before, after = scorer_of(tables), scorer_of(centred(tables, implied_arms(campaign.dimensions)))
    for picks in possible(campaign):
        assert walked(after, CONTEXT, picks) == pytest.approx(walked(before, CONTEXT, picks), abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), ending=st.sampled_from([("channel",), ("subject",)]))
def test_an_arm_that_ends_the_choice_scores_what_the_whole_choice_does(build, seed, ending):
    campaign = build(*ending)
    place = [dimension.name for dimension in campaign.dimensions].index(ending[0])
    tables = drawn(campaign.sizes, np.random.default_rng(seed))
    scorer = scorer_of(centred(tables, implied_arms(campaign.dimensions)))
    picks, state = quiet_from(campaign, place), scorer.start(CONTEXT)
    for d in range(place):
        state = scorer.after(state, d, picks[d])
    scores = scorer.estimates(state, place, range(campaign.sizes[place])).scores
    assert scores[picks[place]] == pytest.approx(walked(scorer_of(tables), CONTEXT, picks), abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1))
def test_an_arm_that_sends_scores_the_mean_of_the_choices_that_begin_with_it(build, seed):
    """On the linear scale, where the mean of a sum is the sum of means."""
    campaign = build("channel")
    tables = drawn(campaign.sizes, np.random.default_rng(seed))
    scorer = scorer_of(centred(tables, implied_arms(campaign.dimensions)))
    scores = scorer.estimates(scorer.start(CONTEXT), 0, range(3)).scores
    whole = scorer_of(tables)
    for arm in range(2):
        beginning = [walked(whole, CONTEXT, picks) for picks in possible(campaign) if picks[0] == arm]
        assert scores[arm] == pytest.approx(float(np.mean(beginning)), abs=1e-9)


def rows_of(campaign, n, seed=0):
    """A third get no message and come as often as anybody; emails bring fewer, pushes fewer still."""
    rng, rows = np.random.default_rng(seed), []
    quiet = quiet_from(campaign, 0) if campaign.dimensions[0].silent else None
    for _ in range(n):
        picks = tuple(int(rng.integers(size)) for size in (2, 3, 2))
        rate = (0.2, 0.1)[picks[0]]
        if quiet and rng.random() < 1 / 3:
            picks, rate = quiet, BASE
        visit = float(rng.random() < rate)
        rows.append(TrainingRow(ANYBODY, picks, visit, (visit,), (), ()))
    return rows


def learner_of(campaign, silence):
    space = FeatureSpace.graded(campaign, silence=silence)
    return RegressionLearner(campaign, None, replace(task_of(campaign), space=space))


def first_estimate(scorer, campaign):
    """Of no_send, in the first dimension."""
    scores = scorer.estimates(scorer.start(ANYBODY), 0, range(campaign.sizes[0])).scores
    return float(scores[campaign.dimensions[0].index_of("no_send")])


@pytest.fixture(scope="module")
def former(build):
    """A campaign that may send nothing, and a snapshot as they were made when each dimension was read by itself."""
    campaign = build("channel")
    learner = learner_of(campaign, Silence.APART)
    learner.learn_many(rows_of(campaign, 3000))
    return campaign, learner.snapshot(watermark=3000)


@pytest.fixture(scope="module")
def recent(build):
    campaign = build("channel")
    learner = REGRESSION.fresh(campaign)
    learner.learn_many(rows_of(campaign, 3000))
    return campaign, learner.snapshot(watermark=3000)


def test_what_no_message_is_worth_is_seen_where_it_is_decided(recent, former):
    campaign, snapshot = recent
    assert first_estimate(REGRESSION.serve(campaign, snapshot), campaign) == pytest.approx(BASE, rel=0.1)
    assert first_estimate(REGRESSION.serve(*former), campaign) != pytest.approx(BASE, rel=0.1)


def test_tables_agree_with_the_models_about_every_choice_that_can_be_made(recent):
    campaign, snapshot = recent
    scorer = REGRESSION.serve(campaign, snapshot)
    for picks in possible(campaign):
        (linear,) = reference_score(campaign, snapshot, TrainingRow(ANYBODY, picks, 0.0, (), (), ()))
        assert walked(scorer, ANYBODY, picks) == pytest.approx(1 / (1 + np.exp(-linear)), abs=AGREE)


def test_a_snapshot_of_old_is_served_as_it_was(former):
    """To the last bit: what it decided is made again by `manyarm verify`."""
    campaign, snapshot = former
    assert RegressionState.decoded(snapshot.state).silence is Silence.APART
    tables = compile_snapshot(campaign, Snapshot.from_bytes(snapshot.to_bytes()))
    assert np.abs(tables.constant[:, -1]).max() > 0.0, "the implied arm of the last dimension has a say of its own"
    means = tables.constant[:, 4:8].mean(axis=1)
    assert means == pytest.approx(np.zeros_like(means), abs=1e-12)


def test_an_old_model_that_learns_on_is_read_out_together(former):
    campaign, snapshot = former
    learner = REGRESSION.resume(campaign, snapshot)
    learner.learn_many(rows_of(campaign, 500, seed=1))
    later = learner.snapshot(watermark=3500)
    assert RegressionState.decoded(later.state).silence is Silence.GATHERED
    served = first_estimate(REGRESSION.serve(campaign, later), campaign)
    assert served == first_estimate(REGRESSION.live(campaign, learner), campaign)
    assert served == pytest.approx(BASE, rel=0.15)


def test_an_old_snapshot_of_few_rows_begins_anew_with_them(build):
    campaign = build("channel")
    old = learner_of(campaign, Silence.APART)
    old.learn_many(rows_of(campaign, 10))
    learner = REGRESSION.resume(campaign, old.snapshot(watermark=10))
    learner.learn_many(rows_of(campaign, 600, seed=1))
    assert RegressionState.decoded(learner.snapshot(watermark=610).state).silence is Silence.LEFT_OUT


@pytest.mark.parametrize("kind", [REGRESSION, BOOTSTRAP], ids=lambda kind: kind.name)
def test_a_resumed_learner_is_the_one_that_never_stopped(build, kind):
    campaign = build("channel", learner={"name": kind.name} | ({"members": 2} if kind is BOOTSTRAP else {}))
    rows = rows_of(campaign, 700)
    through, until = kind.fresh(campaign), kind.fresh(campaign)
    through.learn_many(rows)
    until.learn_many(rows[:600])
    resumed = kind.resume(campaign, until.snapshot(watermark=600))
    resumed.learn_many(rows[600:])
    first, second = (kind.serve(campaign, one.snapshot(watermark=700)) for one in (through, resumed))
    assert first_estimate(first, campaign) == first_estimate(second, campaign)


@pytest.mark.parametrize("ending", [(), ("hour",)], ids=["never ends", "ends last"])
def test_where_no_arm_follows_from_another_a_snapshot_has_nothing_new_in_it(build, ending):
    campaign = build(*ending)
    assert not implied_arms(campaign.dimensions)
    learner = REGRESSION.fresh(campaign)
    learner.learn_many(rows_of(campaign, 600))
    state = RegressionState.decoded(learner.snapshot(watermark=600).state)
    assert state.silence is Silence.APART
    assert state.encoded().startswith(b"\x97"), "seven parts, as before there was anything to say"


def test_a_warm_start_keeps_what_the_models_made_of_silence(former, recent, build):
    campaign, old = former
    changed = build("channel", campaign={"id": "another"})
    kept = {
        name: RegressionState.decoded(carry_over(before, snapshot, changed, REGRESSION).state).silence
        for name, (before, snapshot) in {"former": former, "recent": recent, "never": never(build)}.items()
    }
    assert kept == {"former": Silence.GATHERED, "recent": Silence.LEFT_OUT, "never": Silence.LEFT_OUT}
    plain = carry_over(campaign, old, build(campaign={"id": "another"}), REGRESSION)
    assert RegressionState.decoded(plain.state).silence is Silence.APART


def never(build):
    campaign = build()
    learner = REGRESSION.fresh(campaign)
    learner.learn_many(rows_of(campaign, 600))
    return campaign, learner.snapshot(watermark=600)
