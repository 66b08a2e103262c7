"""Learned segments: clouds that are there are found by every method, structure that is not there by none."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from bandit.errors import UnusableLog
from bandit.profile.cluster_choice import LEAST_STABILITY
from bandit.profile.cluster_methods import Setting, fitted
from bandit.profile.cluster_reference import references
from bandit.profile.cluster_shapes import DenseShape, membership
from bandit.profile.cluster_space import feature_space
from bandit.profile.learned_segments import LearnedSegments
from bandit.profile.segment_profiles import NOTABLE, OUTSIDE
from bandit.profile.segment_search import CLEARLY, LEAST_CUSTOMERS, learn_segments
from bandit.profile.segment_spec import METHODS, LearnedSpec, SegmentSpec

CENTRES = np.array([[0.0, 0.0, 0.0], [7.0, 0.0, 3.0], [0.0, 7.0, -3.0]])
N_REFERENCES = 4


def spec_of(names, **options):
    learned = LearnedSpec(groups=("all",), **{"most": 4, **options})
    return SegmentSpec(groups={"all": tuple(names)}, learned=learned)


def clouds(n=180, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(3, size=n)
    table = pd.DataFrame(CENTRES[truth] + rng.normal(size=(n, 3)), columns=["visits", "orders", "age"])
    table["channel"] = np.where(truth == 1, "push", "email")
    table.index = pd.Index([f"c{k}" for k in range(n)], name="customer_id")
    return table, truth


FOUND = {}


def found_by(method):
    """One search a method, for all tests."""
    if method not in FOUND:
        table, _ = clouds()
        FOUND[method] = learn_segments(table, spec_of(table.columns, methods=(method,)), n_references=N_REFERENCES)
    return FOUND[method]


@pytest.mark.parametrize("method", METHODS)
def test_three_clouds_are_found_by_every_method(method):
    table, truth = clouds()
    search = found_by(method)
    assert search.reason == ""
    assert search.segments.stability >= LEAST_STABILITY
    assigned = search.segments.assign(table)["segment"]
    inside = (assigned != OUTSIDE).to_numpy()
    assert inside.mean() > 0.85
    assert adjusted_rand_score(truth[inside], assigned[inside]) > 0.97
    assert max(search.by_chance) <= search.segments.silhouette - CLEARLY
    assert len(search.by_chance) == 2 * N_REFERENCES


@pytest.mark.parametrize("method", METHODS)
def test_segments_after_a_round_trip_say_exactly_the_same(method):
    segments = found_by(method).segments
    again = LearnedSegments.from_json(segments.to_json())
    assert again == segments
    assert again.to_json() == segments.to_json()
    table, _ = clouds(n=400, seed=5)
    pd.testing.assert_frame_equal(again.assign(table), segments.assign(table), check_exact=True)


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 7))
@settings(max_examples=8)
def test_a_customer_is_assigned_alike_alone_and_among_others_old_or_new(method, seed, n):
    segments = found_by(method).segments
    table, _ = clouds(n=180)
    table.loc[table.index[::17], "orders"] = np.nan
    everybody = segments.assign(table)
    rng = np.random.default_rng(seed)
    chosen = table.index[rng.choice(len(table), n, replace=False)]
    some = table.loc[chosen].set_axis([f"new{k}" for k in range(n)])
    expected = everybody.loc[chosen].set_axis(some.index)
    pd.testing.assert_frame_equal(segments.assign(some), expected, check_exact=True)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=2)
def test_the_order_of_customers_changes_nothing(seed):
    table, _ = clouds()
    shuffled = table.sample(frac=1.0, random_state=seed)
    again = learn_segments(shuffled, spec_of(table.columns, methods=("kmeans",)), n_references=N_REFERENCES)
    assert again == found_by("kmeans")


def gaussian(rng, n):
    shared = rng.normal(size=(n, 1))
    return pd.DataFrame(0.7 * shared + 0.7 * rng.normal(size=(n, 3)), columns=list("abc"))


def box(rng, n):
    return pd.DataFrame(rng.uniform(size=(n, 2)), columns=list("ab"))


def long_tails(rng, n):
    return pd.DataFrame(np.exp(1.5 * rng.normal(size=(n, 3))), columns=list("abc"))


def counts(rng, n):
    return pd.DataFrame(rng.poisson([0.4, 2.0, 8.0], size=(n, 3)), columns=list("abc"))


def categories(rng, n):
    table = pd.DataFrame({"a": rng.choice(["email", "push", "sms"], n), "b": rng.random(n) < 0.3})
    return table.assign(c=rng.choice(["new", "old"], n), d=rng.normal(size=n))


@pytest.mark.parametrize("structureless", [gaussian, box, long_tails, counts, categories])
def test_among_customers_without_structure_none_is_found(structureless):
    table = structureless(np.random.default_rng(3), 200)
    search = learn_segments(table, spec_of(table.columns), n_references=10)
    assert search.segments is None
    assert any(
        word in search.reason
        for word in ("No segments are apart", "No segments are found again", "without any structure")
    )


def test_one_feature_of_two_kinds_alone_makes_no_segments():
    rng = np.random.default_rng(4)
    table = pd.DataFrame(
        {"has_bought": (rng.random(300) < 0.5) * 1.0, "b": rng.normal(size=300), "c": rng.normal(size=300)}
    )
    search = learn_segments(table, spec_of(table.columns, methods=("kmeans",)))
    assert search.segments is None


def test_too_few_customers_are_no_segments():
    table, _ = clouds(n=LEAST_CUSTOMERS - 1)
    search = learn_segments(table, spec_of(table.columns))
    assert search.segments is None
    assert f"{LEAST_CUSTOMERS - 1} customers are too few" in search.reason


def test_the_same_seed_finds_the_same_and_another_the_same_clouds():
    table, truth = clouds(n=1500, seed=8)
    spec = spec_of(table.columns, methods=("kmeans",), most=3)
    one, two = (learn_segments(table, spec, n_references=1) for _ in range(2))
    assert one == two
    assert one.n_fitted == 1000
    other = learn_segments(table, replace(spec, learned=replace(spec.learned, seed=1)), n_references=1)
    assert adjusted_rand_score(truth, other.segments.assign(table)["segment"]) > 0.97


def test_profiles_say_what_sets_a_segment_apart():
    table, truth = clouds()
    profiles = {one.name: one for one in found_by("hierarchical").segments.profiles}
    assert sum(one.n_customers for one in profiles.values()) == len(table)
    far = next(one for one in profiles.values() if one.n_customers == (truth == 1).sum())
    told = {one.feature: one for one in far.differences}
    assert told["channel"].level == "push"
    assert told["channel"].here > 0.99
    assert "channel mostly push (100 %, everybody" in far.words
    assert "visits very high (median" in far.words
    assert all(abs(one.size) >= NOTABLE for one in far.differences)
    assert "channel_push" in far.name or "high_visits" in far.name
    assert all(profile.found_again > 0.9 for profile in profiles.values())


def test_confidence_is_low_between_segments_and_the_runner_up_is_the_neighbour():
    segments = found_by("kmeans").segments
    ends = pd.DataFrame({"visits": [0.0, 7.0], "orders": 0.0, "age": [0.0, 3.0], "channel": ["email", "push"]})
    path = pd.DataFrame(
        {"visits": np.linspace(0, 7, 60), "orders": 0.0, "age": np.linspace(0, 3, 60), "channel": "email"}
    )
    first, last = segments.assign(ends)["segment"]
    found = segments.assign(path)
    least = found["segment_confidence"].idxmin()
    assert found.loc[least, "segment_confidence"] < 0.7 < found["segment_confidence"].iloc[[0, -1]].min()
    assert {found.loc[least, "segment"], found.loc[least, "segment_runner_up"]} == {first, last}
    assert (found["segment"] != found["segment_runner_up"]).all()


def test_whoever_is_far_from_everybody_is_outside_of_dense_segments():
    segments = found_by("dbscan").segments
    far = pd.DataFrame({"visits": [3.5], "orders": [40.0], "age": [0.0], "channel": ["email"]})
    assert segments.assign(far)["segment"].tolist() == [OUTSIDE]


def test_a_customer_at_a_dense_point_is_in_its_segment():
    points = np.random.default_rng(1).normal(size=(120, 2)) + np.repeat([[0.0, 0.0], [9.0, 9.0]], 60, axis=0)
    shape = fitted(Setting("dbscan", 0.95), points, 0)
    assert isinstance(shape, DenseShape)
    for segment, cores in enumerate(shape.cores):
        assert (membership(shape, np.array(cores)).best == segment).all()


def test_a_table_without_a_feature_is_refused():
    segments = found_by("kmeans").segments
    with pytest.raises(UnusableLog, match="no column orders"):
        segments.assign(clouds()[0].drop(columns="orders"))


@pytest.mark.parametrize(
    "broken",
    [b"", b"not json", b"{}", b'{"space": 3}'],
)
def test_a_file_that_holds_no_segments_is_refused(broken):
    with pytest.raises(UnusableLog, match="no learned segments"):
        LearnedSegments.from_json(broken)


@pytest.mark.parametrize("method", METHODS)
def test_a_file_of_another_version_or_cut_short_or_with_a_coordinate_too_few_is_refused(method):
    data = found_by(method).segments.to_json()
    content = json.loads(data)
    shape = content["shape"]
    points = {"kmeans": shape.get("centres"), "hierarchical": shape.get("centres"), "gaussian": shape.get("means")}
    points.get(method, shape.get("cores", [[]])[0])[0].pop()
    for wrong in (data.replace(b'"format": 1', b'"format": 2'), data[:-20], json.dumps(content).encode()):
        with pytest.raises(UnusableLog, match="no learned segments"):
            LearnedSegments.from_json(wrong)


@pytest.mark.parametrize("method", METHODS)
def test_nobody_is_assigned_to_nothing(method):
    assert found_by(method).segments.assign(clouds()[0].iloc[:0]).empty


def test_missing_values_are_filled_and_said_and_features_that_say_nothing_are_left_out():
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"a": rng.normal(size=100), "same": 1.0, "rarely": [1.0] * 30 + [np.nan] * 70})
    table["id"] = [f"c{k}" for k in range(100)]
    table.loc[:24, "a"] = np.nan
    space = feature_space(table, ["a", "same", "rarely", "id", "absent"])
    assert space.names == ("a",)
    assert space.numbers[0].missing == 0.25
    assert len(space.left_out) == 4
    assert "rarely: missing for 70% of the customers" in space.left_out
    with pytest.raises(UnusableLog, match="no feature is left"):
        feature_space(table, ["same"])


@given(scale=st.floats(1e-3, 1e6), seed=st.integers(0, 100))
@settings(max_examples=20)
def test_the_unit_of_a_number_does_not_matter(scale, seed):
    values = np.random.default_rng(seed).gamma(2.0, size=60)
    one, other = (pd.DataFrame({"x": values * unit}) for unit in (1.0, scale))
    places = [feature_space(table, ["x"]).coordinates(table) for table in (one, other)]
    np.testing.assert_allclose(*places, atol=1e-4)


def test_references_keep_what_one_column_does_alone():
    rng = np.random.default_rng(0)
    lumpy, smooth = rng.poisson(0.3, size=400) * 1.0, rng.normal(size=400)
    level = np.eye(3)[rng.choice(3, 400, p=[0.6, 0.3, 0.1])]
    points = np.column_stack([lumpy, smooth, level])
    for made in references(points, 2, (3,), 2, seed=1):
        assert made.shape == points.shape
        np.testing.assert_array_equal(np.sort(made[:, 0]), np.sort(lumpy))
        assert len(np.intersect1d(made[:, 1], smooth)) == 0
        np.testing.assert_array_equal(made[:, 2:].sum(axis=0), level.sum(axis=0))
        np.testing.assert_array_equal(made[:, 2:].sum(axis=1), 1.0)
