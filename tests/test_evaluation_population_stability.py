"""The stability index is held against what chance does at its size, whatever its bins."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bandit.errors import InvalidSettings, UnusableLog
from bandit.stability_index import RARE
from evaluation.population_stability import MISSING, binned, population_stability, quantile_edges


def test_index_and_threshold_by_hand():
    answer = population_stability([True] * 40 + [False] * 60, [True] * 120 + [False] * 80)
    p, q = 40.5 / 101, 120.5 / 201
    index = (q - p) * log(q / p) + (p - q) * log((1 - q) / (1 - p))
    assert answer.statistic == pytest.approx(index)
    assert answer.threshold == pytest.approx((1 / 100 + 1 / 200) * stats.chi2.ppf(0.99, 1))
    assert answer.p_value == pytest.approx(stats.chi2.sf(index / 0.015, 1))
    assert answer.alarm
    assert [(one.label, one.earlier, one.later) for one in answer.bins] == [("False", 60, 80), ("True", 40, 120)]


@given(counts=st.lists(st.integers(0, 60), min_size=2, max_size=5), seed=st.integers(0, 100))
def test_order_of_customers_and_names_of_values_do_not_matter(counts, seed):
    rng = np.random.default_rng(seed)
    earlier = [f"v{k}" for k, count in enumerate(counts) for _ in range(count + 1)]
    later = [f"v{k}" for k in rng.integers(len(counts), size=80)]
    one = population_stability(earlier, later)
    renamed = {f"v{k}": f"w{len(counts) - k}" for k in range(len(counts))}
    other = population_stability([renamed[v] for v in rng.permutation(earlier)], [renamed[v] for v in later])
    assert other.reason == one.reason or other.p_value == pytest.approx(one.p_value)


@given(values=st.lists(st.integers(0, 5), min_size=40, max_size=200))
def test_equal_parts_have_index_zero(values):
    answer = population_stability(values, values, is_numeric=True)
    assert answer.reason or (answer.statistic == 0.0 and answer.p_value == 1.0)


DRAWS = {
    "minority": lambda rng: (rng.random(800) < 0.04).tolist(),
    "number": lambda rng: rng.exponential(size=800).tolist(),
    "few": lambda rng: rng.choice(list("abcdefgh"), 90).tolist(),
}


@pytest.mark.parametrize("kind", DRAWS)
def test_parts_of_one_population_rarely_exceed_the_threshold(kind):
    rng, n_runs, alarms, unusual = np.random.default_rng(1), 300, 0, 0
    for _ in range(n_runs):
        answer = population_stability(DRAWS[kind](rng), DRAWS[kind](rng), is_numeric=kind == "number")
        alarms += answer.alarm
        unusual += answer.p_value is not None and answer.p_value < 0.05
    assert alarms <= stats.binom.ppf(0.999, n_runs, 0.01)
    assert unusual <= stats.binom.ppf(0.999, n_runs, 0.05)


def test_a_minority_that_doubles_is_found():
    rng, n_runs = np.random.default_rng(2), 60
    found = sum(
        population_stability((rng.random(2000) < 0.04).tolist(), (rng.random(2000) < 0.08).tolist()).alarm
        for _ in range(n_runs)
    )
    assert found >= 0.9 * n_runs


def test_missing_is_a_bin_of_its_own_and_a_field_that_goes_missing_is_found():
    numbers = list(range(200))
    answer = population_stability(numbers, [None] * 60 + numbers[60:], is_numeric=True)
    assert answer.bins[0].label == MISSING or MISSING in {one.label for one in answer.bins}
    assert answer.alarm


def test_rare_values_are_put_together():
    common = ["a"] * 100 + ["b"] * 100
    answer = population_stability([*common, *"cdefghijkl"], [*common, *"cdefghijkl"])
    assert [(one.label, one.earlier) for one in answer.bins] == [("a", 100), ("b", 100), (RARE, 10)]
    merged = population_stability([*common, "c"], [*common, "d"])
    assert [one.label for one in merged.bins] == ["a", RARE] or [one.label for one in merged.bins] == ["b", RARE]
    assert sum(one.earlier for one in merged.bins) == 201


def test_one_value_says_nothing():
    answer = population_stability(["a"] * 50, ["a"] * 50)
    assert (answer.p_value, answer.alarm) == (None, False)
    assert "all are in one bin" in answer.reason


def test_quantiles_are_of_the_earlier_part_and_an_edge_belongs_below():
    edges = quantile_edges([1, 1, 1, 2, 3, 4, None], 3)
    assert edges.tolist() == [1.0, 2.0]
    assert binned([0, 1, 1.5, 2, 9, None], edges).tolist() == [0, 0, 1, 1, 2, -1]
    assert quantile_edges([None, None], 4).tolist() == []
    assert quantile_edges([7, 7, 7], 4).tolist() == []


@pytest.mark.parametrize(("earlier", "later"), [([], ["a"]), (["a"], [])])
def test_an_empty_part_is_refused(earlier, later):
    with pytest.raises(UnusableLog, match="nothing to compare"):
        population_stability(earlier, later)


def test_a_text_among_numbers_is_refused():
    with pytest.raises(UnusableLog, match="holds a text"):
        population_stability([1.0, 2.0], ["many"], is_numeric=True)


@pytest.mark.parametrize("arguments", [{"n_bins": 1}, {"confidence_level": 1.0}])
def test_settings_out_of_range_are_refused(arguments):
    with pytest.raises(InvalidSettings):
        population_stability(["a"], ["b"], **arguments)
