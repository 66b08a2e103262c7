"""What one policy earns more than another over whole choices: exact where pairs are all that acts, with known bounds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from bandit.errors import UnusableLog
from evaluation.columns import WEIGHT
from evaluation.cressie_read import Reach, cressie_read_gain
from evaluation.estimator import part
from evaluation.evaluate import AGAINST, TARGET
from evaluation.log_batch import Layout, LogBatch
from evaluation.overlap import Verdict
from evaluation.pairwise_gain import GAIN, LARGEST, LEAST, PAIRWISE, PairwiseGain, gain_in

SIZES = (3, 2, 3)


class Known:
    """Someone whose joint pmf is a table for each level, asked for and counted."""

    def __init__(self, seed, sharpness=1.0):
        rng = np.random.default_rng(seed)
        self.tables = {level: self._table(rng, sharpness) for level in ("low", "high")}
        self.asked = Counter()

    def _table(self, rng, sharpness):
        shares = np.exp(sharpness * rng.normal(size=SIZES))
        return shares / shares.sum()

    def pmf(self, encoded):
        level = encoded.values["level"]
        self.asked[level] += 1
        return self.tables[level]

    def pmf_under(self, ties, encoded, *, is_blind):
        return self.tables[encoded.values["level"]]


@pytest.fixture
def campaign(worlds):
    return worlds.campaign(
        context={"level": {"kind": "categorical", "values": ["low", "high"]}},
        dimension=[worlds.dimension(f"d{d}", *(f"{d}-{arm}" for arm in range(size))) for d, size in enumerate(SIZES)],
    )


@pytest.fixture
def everybody():
    return {"": Known(1), "s1": Known(2)}


def batch_of(campaign, deciders, picks, levels, names, rewards):
    """Rows that these deciders drew; the propensity of the whole choice stands in the last dimension."""
    picks = np.asarray(picks)
    drawn = [deciders[name].tables[level][tuple(at)] for name, level, at in zip(names, levels, picks, strict=True)]
    propensities = np.ones(picks.shape)
    propensities[:, -1] = drawn
    layout = Layout(tuple(d.name for d in campaign.dimensions), tuple(d.ids for d in campaign.dimensions))
    return LogBatch(
        layout, np.arange(1, len(picks) + 1), np.asarray(rewards, dtype=float), picks, propensities, None,
        {"level": list(levels)}, deciders=list(names),
    )  # fmt: skip


def every_choice(campaign, deciders, name, level, rewards):
    """One row for each choice."""
    picks = np.argwhere(np.ones(SIZES))
    n = len(picks)
    return batch_of(campaign, deciders, picks, [level] * n, [name] * n, rewards[tuple(picks.T)])


def random_batch(campaign, deciders, n, seed=0):
    rng = np.random.default_rng(seed)
    levels, names = rng.choice(["low", "high"], n), rng.choice(["", "s1"], n)
    picks = [
        np.unravel_index(rng.choice(18, p=deciders[name].tables[level].ravel()), SIZES)
        for name, level in zip(names, levels, strict=True)
    ]
    return batch_of(campaign, deciders, picks, levels, names, rng.random(n) < 0.3)


def pairs_only(seed):
    """Rewards of every choice that are sums over pairs of dimensions."""
    rng = np.random.default_rng(seed)
    first, second, third = rng.random((3, 2, 1)), rng.random((1, 2, 3)), rng.random((3, 1, 3))
    return (first + second + third) / 3.0


def weighed(campaign, deciders, new, serving, batch):
    """The gain's weights of each row: its own sums, row by row."""
    gain = PairwiseGain(campaign, new, serving, deciders)
    rows = (batch.only(np.arange(len(batch)) == at) for at in range(len(batch)))
    return np.array([part(gain.tally([row]).sums, GAIN).mean(WEIGHT.name) for row in rows])


@pytest.mark.parametrize("name", ["", "s1"])
def test_the_gain_is_exact_where_pairs_are_all_that_acts(campaign, everybody, name):
    """Over everything that a row could have been: the expectation of (w - 1) r is the one value minus the other."""
    new, serving, rewards = Known(3), Known(4), pairs_only(5)
    for level in ("low", "high"):
        batch = every_choice(campaign, everybody, name, level, rewards)
        weights = weighed(campaign, everybody, new, serving, batch)
        behavior = everybody[name].tables[level].ravel()
        assert behavior @ weights == pytest.approx(1.0, abs=1e-9)
        expected = float(((new.tables[level] - serving.tables[level]) * rewards).sum())
        assert behavior @ ((weights - 1.0) * rewards.ravel()) == pytest.approx(expected, abs=1e-9)


def test_what_a_row_could_have_been_is_known_from_a_single_one(campaign, everybody):
    new, serving = Known(3), Known(4)
    batch = every_choice(campaign, everybody, "s1", "high", np.zeros(SIZES))
    weights = weighed(campaign, everybody, new, serving, batch)
    one = PairwiseGain(campaign, new, serving, everybody).tally([batch.only(np.arange(len(batch)) == 5)]).sums
    assert one.n == 1
    assert part(one, GAIN).mean(LEAST) == pytest.approx(weights.min())
    assert part(one, GAIN).mean(LARGEST) == pytest.approx(weights.max())
    assert weights.min() < 0.0 < weights.max()


def test_a_choice_that_could_not_be_drawn_is_not_counted_on(campaign, everybody):
    table = everybody["s1"].tables["high"]
    table[2, 1, 2] = 0.0
    table /= table.sum()
    new, serving = Known(3), Known(4)
    batch = every_choice(campaign, everybody, "s1", "high", np.zeros(SIZES))
    possible = batch.only(batch.propensities[:, -1] > 0.0)
    weights = weighed(campaign, everybody, new, serving, possible)
    found = part(PairwiseGain(campaign, new, serving, everybody).tally([possible]).sums, GAIN)
    assert (found.low(LEAST), found.high(LARGEST)) == pytest.approx((weights.min(), weights.max()))


def test_the_answer_is_cressie_reads_with_the_bounds_of_all_rows(campaign, everybody):
    batch = random_batch(campaign, everybody, 400)
    found = PairwiseGain(campaign, Known(3), Known(4), everybody).tally([batch])
    evaluation = gain_in(found, (0.0, 1.0), "new", "old")
    sums = part(found.sums, GAIN)
    reach = Reach(sums.high(LARGEST), least_weight=sums.low(LEAST))
    assert dict(evaluation.difference) == {PAIRWISE: cressie_read_gain(sums, reach)}
    assert sums.high(LARGEST) > sums.high(WEIGHT.name), "choose other rows: these hold the largest that could have been"
    assert (evaluation.answer.target, evaluation.against.target) == ("new", "old")


def test_each_side_has_its_own_verdict_by_its_own_weights(campaign, everybody):
    batch = random_batch(campaign, everybody, 400)
    gain = PairwiseGain(campaign, Known(3), Known(4, sharpness=4.0), everybody)
    found = gain.tally([batch])
    evaluation = gain_in(found, (0.0, 1.0), "new", "old")
    sides = {prefix: part(found.sums, prefix) for prefix in (TARGET, AGAINST)}
    assert evaluation.answer.overlap.mean_weight == sides[TARGET].mean(WEIGHT.name)
    assert evaluation.against.overlap.mean_weight == sides[AGAINST].mean(WEIGHT.name)
    assert evaluation.against.overlap.ess < evaluation.answer.overlap.ess
    np.testing.assert_allclose(
        part(found.sums, GAIN).mean(WEIGHT.name) - 1.0,
        sides[TARGET].mean(WEIGHT.name) - sides[AGAINST].mean(WEIGHT.name),
        atol=1e-12,
    )


def test_a_policy_earns_nothing_more_than_itself(campaign, everybody):
    found = PairwiseGain(campaign, Known(3), Known(3), everybody).tally([random_batch(campaign, everybody, 200)])
    gain = gain_in(found, (0.0, 1.0), "new", "old").difference[PAIRWISE]
    assert [gain.value, gain.ci_lower, gain.ci_upper] == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)


def test_few_rows_are_worth_too_little(campaign, everybody):
    found = PairwiseGain(campaign, Known(3), Known(4), everybody).tally([random_batch(campaign, everybody, 40)])
    evaluation = gain_in(found, (0.0, 1.0), "new", "old")
    assert evaluation.verdict is Verdict.UNRELIABLE
    assert any("Collect about" in reason for reason in evaluation.reasons)


def test_parts_of_a_log_are_the_whole_log(campaign, everybody):
    batch, gain = random_batch(campaign, everybody, 100), PairwiseGain(campaign, Known(3), Known(4), everybody)
    is_first = np.arange(100) < 30
    whole, parts = gain.tally([batch]).sums, gain.tally([batch.only(is_first), batch.only(~is_first)]).sums
    for name in ("means", "scatter", "lows", "highs"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-9)


def test_customers_of_a_kind_are_weighed_once(campaign, everybody):
    new = Known(3)
    PairwiseGain(campaign, new, Known(4), everybody).tally([random_batch(campaign, everybody, 200)])
    assert new.asked == {"low": 2, "high": 2}, "once for each of the two who decided"


def test_a_propensity_that_was_not_used_is_refused_with_its_row(campaign, everybody):
    batch = random_batch(campaign, everybody, 20)
    batch.propensities[6, 2] *= 1.01
    with pytest.raises(UnusableLog, match=r"row 7: its propensity is .*, its snapshot gives .*manyarm verify"):
        PairwiseGain(campaign, Known(3), Known(4), everybody).tally([batch])


def test_a_target_that_picks_what_the_log_never_does_is_refused(campaign, everybody):
    table = everybody["s1"].tables["low"]
    table[2] = 0.0
    table /= table.sum()
    batch = batch_of(campaign, everybody, [[0, 0, 0]], ["low"], ["s1"], [1.0])
    with pytest.raises(UnusableLog, match=r"target picks dimension 0 arm 2 .* behavior never does"):
        PairwiseGain(campaign, Known(3), Known(4), everybody).tally([batch])


def test_a_log_without_rows_or_without_who_decided_is_refused(campaign, everybody):
    gain, batch = PairwiseGain(campaign, Known(3), Known(4), everybody), random_batch(campaign, everybody, 5)
    with pytest.raises(UnusableLog, match="no row to judge by"):
        gain.tally([])
    with pytest.raises(UnusableLog, match="does not say which snapshot decided"):
        gain.tally([replace(batch, deciders=None)])
