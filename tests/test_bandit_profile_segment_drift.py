"""Segments then and now: nothing is said to have changed that has not, and what has is named."""

from __future__ import annotations

from math import log

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import SquareTable

from bandit.errors import UnusableLog
from bandit.profile.cluster_shapes import RoundShape
from bandit.profile.cluster_space import feature_space
from bandit.profile.learned_segments import LearnedSegments
from bandit.profile.segment_baseline import baselines_of
from bandit.profile.segment_drift import segment_drift, segment_moves
from bandit.profile.segment_profiles import profiles_of
from bandit.stability_index import RARE, StabilityBin, stability_index


def customers(seed, n=1000, low=0.5):
    rng = np.random.default_rng(seed)
    is_low = rng.random(n) < low
    table = pd.DataFrame({"visits": np.where(is_low, 0.0, 8.0) + rng.normal(size=n), "age": rng.normal(size=n)})
    table["channel"] = rng.choice(["email", "push"], n)
    return table.set_index(pd.Index([f"c{k}" for k in range(n)], name="customer_id"))


def two_segments(table):
    space = feature_space(table, list(table.columns))
    points = space.coordinates(table)
    low = table["visits"].to_numpy() < 4
    shape = RoundShape(centres=tuple(tuple(points[one].mean(axis=0).tolist()) for one in (low, ~low)), variance=1.0)
    profiles = profiles_of(table, space, (~low).astype(np.int64), (1.0, 1.0), -1)
    return LearnedSegments(space, shape, profiles, "kmeans(2)", 0.7, 1.0, baselines_of(table, space), len(table))


SEGMENTS = two_segments(customers(0))


def drift_of(table, before=None):
    return segment_drift(SEGMENTS, table, SEGMENTS.assign(table)["segment"], before)


def test_customers_like_those_of_then_rarely_drift():
    answers = [drift_of(customers(seed)) for seed in range(1, 61)]
    assert sum(one.segments.alarm for one in answers) <= stats.binom.ppf(0.999, 60, 0.01)
    assert sum(bool(one.moved_features) for one in answers) <= stats.binom.ppf(0.999, 60, 0.01)


def test_a_segment_that_grows_is_found_with_the_feature_that_grew_it():
    drift = drift_of(customers(1, low=0.35))
    assert drift.segments.alarm
    assert drift.moved_features == ("visits",)
    assert next(iter(drift.features)) == "visits"
    then, now = drift.counts["low_visits"]
    assert (then, now) == ((customers(0)["visits"] < 4).sum(), (customers(1, low=0.35)["visits"] < 4).sum())


def test_the_customers_of_then_have_index_zero():
    drift = drift_of(customers(0))
    assert drift.segments.statistic == 0.0
    assert {found.statistic for found in drift.features.values()} == {0.0}


@pytest.mark.parametrize(("feature", "value"), [("age", np.nan), ("channel", "fax"), ("channel", None)])
def test_values_that_go_missing_or_are_new_are_found(feature, value):
    table = customers(2)
    table.loc[table.index[:200], feature] = value
    assert drift_of(table).moved_features == (feature,)


PEOPLE = st.dictionaries(st.sampled_from([f"c{k}" for k in range(40)]), st.sampled_from("abc"), min_size=1)


@given(before=PEOPLE, now=PEOPLE)
def test_moves_add_up(before, now):
    moves = segment_moves(pd.Series(before, dtype="str"), pd.Series(now, dtype="str"))
    both = before.keys() & now.keys()
    assert moves.n_both == len(both)
    assert moves.n_moved == sum(before[one] != now[one] for one in both)
    assert (moves.n_new, moves.n_gone) == (len(now.keys() - both), len(before.keys() - both))
    assert (moves.p_value is None) == (moves.n_moved == 0)
    assert moves.p_value is None or 0.0 <= moves.p_value <= 1.0


@given(counts=st.lists(st.lists(st.integers(1, 30), min_size=3, max_size=3), min_size=3, max_size=3))
def test_the_test_of_moves_is_that_of_statsmodels(counts):
    pairs = [
        (a, b) for a, row in zip("xyz", counts, strict=True) for b, n in zip("xyz", row, strict=True) for _ in range(n)
    ]
    before, now = (pd.Series([pair[k] for pair in pairs]) for k in (0, 1))
    expected = SquareTable(np.array(counts, dtype=float), shift_zeros=False).homogeneity()
    moves = segment_moves(before, now)
    assert moves.statistic == pytest.approx(float(expected.statistic), abs=1e-8)
    assert moves.p_value == pytest.approx(float(expected.pvalue), abs=1e-8)


def test_segments_that_only_exchange_customers_in_pairs_have_a_p_value():
    before = pd.Series(["a"] * 30 + ["b"] * 10 + ["c"] * 20 + ["d"] * 20)
    now = pd.Series(["b"] * 30 + ["a"] * 10 + ["d"] * 20 + ["c"] * 20)
    moves = segment_moves(before, now)
    assert moves.statistic == pytest.approx(20**2 / 40)
    assert moves.p_value == pytest.approx(stats.chi2.sf(10.0, 2))


def test_a_customer_who_stands_twice_is_refused():
    twice = pd.Series(["a", "b"], index=["c1", "c1"])
    with pytest.raises(UnusableLog, match="'c1' stands twice"):
        segment_moves(twice, twice)


def test_index_and_threshold_by_hand():
    found = stability_index([StabilityBin("a", 40, 120), StabilityBin("b", 60, 80)], confidence_level=0.95)
    p, q = 40.5 / 101, 120.5 / 201
    assert found.statistic == pytest.approx((q - p) * log(q / p) + (p - q) * log((1 - q) / (1 - p)))
    assert found.threshold == pytest.approx(0.015 * stats.chi2.ppf(0.95, 1))
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic / 0.015, 1))
    assert found.alarm


def test_bins_with_too_few_are_put_together_and_one_bin_says_nothing():
    few = [StabilityBin("a", 100, 100), StabilityBin("b", 6, 7), StabilityBin("c", 6, 7)]
    assert [one.label for one in stability_index(few).bins] == ["a", RARE]
    alone = stability_index([StabilityBin("a", 100, 100), StabilityBin("b", 1, 1)])
    assert (alone.p_value, alone.alarm) == (None, False)
    assert "all are in one bin" in alone.reason
