"""Customers of any campaign: they fit its schema, hang together as asked, and never change when others join."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, spearmanr

from bandit.campaign_file import read_campaign
from bandit.context import Context
from bandit.errors import InvalidContext
from bandit.schema import BooleanField, CategoricalField, NumericField, Schema
from service.sample import sample_text
from simulator.customers import Customers, customers_of_rows, drawn_customers
from simulator.world import ImpossibleWorld

SAMPLE = read_campaign(sample_text("referral-contest")).schema
SCHEMA = Schema(
    (
        CategoricalField("level", ("low", "middle", "high"), required=True),
        BooleanField("member", required=True),
        NumericField("orders", 0.0, 50.0, required=True),
        NumericField("days_since_visit", 0.0, 365.0, required=True),
        CategoricalField("gender", (), protected=True, required=True),
    )
)
LEVELS = SCHEMA["level"].values


def scores(customers):
    """Every field as numbers, least to most."""
    columns = {name: [context[name] for context in customers.contexts] for name in customers.contexts[0]}
    columns["level"] = [LEVELS.index(value) for value in columns["level"]]
    columns["gender"] = [value == "b" for value in columns["gender"]]
    return {name: np.array(values, dtype=float) for name, values in columns.items()}


@st.composite
def schemas(draw):
    names = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True))
    fields = []
    for name in names:
        protected, required = draw(st.booleans()), draw(st.booleans())
        kind = draw(st.sampled_from("cnb"))
        if kind == "b":
            fields.append(BooleanField(name, protected, required))
        elif kind == "n":
            low = draw(st.floats(-1e12, 1e12))
            fields.append(NumericField(name, low, low + draw(st.floats(1.0, 1e12)), protected, required))
        else:
            n_values = draw(st.integers(0 if protected or not required else 1, 30))
            fields.append(CategoricalField(name, tuple(f"v{i}" for i in range(n_values)), protected, required))
    return Schema(tuple(fields))


@settings(max_examples=60, deadline=None)
@given(schema=schemas(), seed=st.integers(0, 2**64 - 1), correlation=st.floats(0.0, 0.999))
def test_drawn_customers_of_any_schema_are_what_the_engine_would_use(schema, seed, correlation):
    for context in drawn_customers(schema, seed, 40, correlation=correlation).contexts:
        assert schema.encode(Context(context)).values == context


@settings(max_examples=30, deadline=None)
@given(schema=schemas(), seed=st.integers(0, 99), n=st.integers(1, 30), more=st.integers(0, 30))
def test_the_first_customers_of_a_longer_list_are_those_of_a_shorter_one(schema, seed, n, more):
    few, many = drawn_customers(schema, seed, n), drawn_customers(schema, seed, n + more)
    assert (few.ids, few.contexts, few.zones) == (many.ids[:n], many.contexts[:n], many.zones[:n])


def test_another_field_leaves_the_values_of_the_others_alone():
    fewer = Schema(SCHEMA.fields[1:])
    for long, short in zip(
        drawn_customers(SCHEMA, 3, 50).contexts, drawn_customers(fewer, 3, 50).contexts, strict=True
    ):
        assert {name: long[name] for name in short} == short


def test_another_seed_draws_other_customers():
    assert drawn_customers(SCHEMA, 0, 50).contexts != drawn_customers(SCHEMA, 1, 50).contexts


@pytest.mark.parametrize("seed", range(3))
def test_without_correlation_no_two_fields_hang_together(seed):
    columns = scores(drawn_customers(SCHEMA, seed, 4_000, correlation=0.0))
    for one, other in combinations(columns, 2):
        assert abs(spearmanr(columns[one], columns[other]).statistic) < 4.5 / np.sqrt(4_000)


@pytest.mark.parametrize("seed", range(3))
def test_more_correlation_binds_all_fields_more_and_days_since_something_the_other_way(seed):
    for one, other in combinations(("level", "member", "orders", "days_since_visit"), 2):
        sign = -1.0 if other == "days_since_visit" else 1.0
        found = [
            sign * spearmanr(columns[one], columns[other]).statistic
            for columns in (scores(drawn_customers(SCHEMA, seed, 3_000, correlation=c)) for c in (0.0, 0.4, 0.8))
        ]
        assert found[0] + 0.1 < found[1] < found[2] - 0.1


def test_correlation_is_that_of_the_hidden_scores_of_two_fields():
    fields = tuple(NumericField(f"number-{i}", 0.0, 1.0, required=True) for i in range(12))
    columns = np.array([list(c.values()) for c in drawn_customers(Schema(fields), 0, 4_000, correlation=0.5).contexts])
    ranks = spearmanr(columns).statistic[np.triu_indices(12, 1)]
    assert np.mean(2.0 * np.sin(np.pi * ranks / 6.0)) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("seed", range(3))
def test_a_protected_field_is_independent_of_what_may_move_a_response(seed):
    columns = scores(drawn_customers(SCHEMA, seed, 4_000, correlation=0.9))
    for name in ("level", "member", "orders", "days_since_visit"):
        assert abs(spearmanr(columns["gender"], columns[name]).statistic) < 4.5 / np.sqrt(4_000)


def test_every_value_of_a_category_occurs_and_some_much_more_than_others():
    customers = drawn_customers(SAMPLE, 0, 1_000)
    for name in ("engagement_level", "lifecycle_stage", "device", "country"):
        counts = Counter(context[name] for context in customers.contexts if context[name] is not None)
        assert set(counts) == set(SAMPLE[name].values)
        assert max(counts.values()) > 1.5 * min(counts.values())


def test_optional_values_are_missing_for_one_to_five_percent_whoever_they_are():
    customers, n = drawn_customers(SAMPLE, 0, 8_000), 8_000
    level = [context["engagement_level"] for context in customers.contexts]
    for item in SAMPLE.fields:
        gone = np.array([context[item.name] is None for context in customers.contexts])
        assert 0.01 - 4 * np.sqrt(0.01 / n) < gone.mean() < 0.05 + 4 * np.sqrt(0.05 / n)
        if item.name != "engagement_level":
            table = [[np.sum(gone[np.array(level) == v]), np.sum(~gone[np.array(level) == v])] for v in set(level)]
            assert chi2_contingency(table[1:]).pvalue > 1e-4


def test_a_field_without_a_list_of_values_takes_two():
    assert {context["gender"] for context in drawn_customers(SCHEMA, 0, 200).contexts} == {"a", "b"}


def test_an_open_field_by_which_clocks_go_holds_where_the_customer_lives_and_changes_nothing_else():
    country, zone = CategoricalField("country", ("jp", "de")), CategoricalField("zone", (), protected=True)
    with_zone, without = Schema((country, zone)), Schema((country,))
    told, plain = drawn_customers(with_zone, 3, 400, clock="zone"), drawn_customers(without, 3, 400)
    assert told.zones == plain.zones
    assert {context["zone"] for context in told.contexts} == {None, "Asia/Tokyo", "Europe/Berlin", "UTC"}
    assert all(context["zone"] in {None, home} for context, home in zip(told.contexts, told.zones, strict=True))
    assert [{"country": context["country"]} for context in told.contexts] == list(plain.contexts)


def test_rows_that_name_a_protected_zone_live_there():
    schema = Schema((CategoricalField("country", ("jp",)), CategoricalField("zone", (), protected=True)))
    rows = [{"country": "jp", "zone": "Europe/Rome"}, {"country": "jp"}]
    assert customers_of_rows(schema, rows, 0, clock="zone").zones == ("Europe/Rome", "Asia/Tokyo")


def test_an_open_field_without_values_is_missing_and_may_not_be_required():
    schema = Schema((CategoricalField("plan", ()),))
    assert {context["plan"] for context in drawn_customers(schema, 0, 50).contexts} == {None}
    with pytest.raises(ImpossibleWorld, match=r"'plan' is required.*Declare the values"):
        drawn_customers(Schema((CategoricalField("plan", (), required=True),)), 0, 50)


def test_numbers_lean_to_the_low_end_and_are_whole_where_the_range_is():
    orders = np.array([context["orders"] for context in drawn_customers(SCHEMA, 0, 2_000).contexts])
    assert np.median(orders) < 25.0
    assert np.all(orders == np.round(orders))
    fine = drawn_customers(Schema((NumericField("score", 0.0, 1.0, required=True),)), 0, 100)
    assert len({context["score"] for context in fine.contexts}) == 100


def test_a_campaign_without_context_has_customers_all_the_same():
    assert drawn_customers(Schema(()), 0, 2).contexts == ({}, {})


def test_customers_survive_the_way_to_another_process():
    customers = drawn_customers(SAMPLE, 0, 20)
    copied = pickle.loads(pickle.dumps(customers))
    assert (copied.ids, copied.contexts, copied.zones) == (customers.ids, customers.contexts, customers.zones)
    assert copied.place("c000007") == 7


ROWS = [{"level": level, "orders": orders} for level in ("low", "high") for orders in (1.0, 2.0, 3.0)]
LIST = Schema((CategoricalField("level", LEVELS), NumericField("orders", 0.0, 2.0), BooleanField("member")))


def used(row):
    """A row as the engine would use it."""
    return dict(LIST.encode(Context(row)).values)


@given(n=st.integers(1, 40), seed=st.integers(0, 99))
def test_every_row_is_used_equally_often_as_far_as_the_number_divides(n, seed):
    customers = customers_of_rows(LIST, [*ROWS, {}], seed, n)
    counts = Counter(tuple(context.items()) for context in customers.contexts)
    rows = Counter(tuple(used(row).items()) for row in [*ROWS, {}])
    assert customers.n == n
    assert set(counts) <= set(rows)
    for key, times in rows.items():
        assert n // 7 * times <= counts[key] <= (n // 7 + 1) * times


def test_without_a_number_the_customers_are_the_rows_in_order_with_their_ids():
    customers = customers_of_rows(LIST, ROWS, 0, ids=list("uvwxyz"))
    assert customers.ids == tuple("uvwxyz")
    assert list(customers.contexts) == [used(row) for row in ROWS]


def test_fewer_customers_than_rows_are_some_of_them_under_their_own_ids():
    ids = [f"person-{i}" for i in range(6)]
    picked = {customers_of_rows(LIST, ROWS, seed, 3, ids=ids).ids for seed in range(20)}
    for names in picked:
        places = [ids.index(name) for name in names]
        assert places == sorted(set(places))
    assert len(picked) > 5


def test_a_row_that_does_not_fit_the_schema_is_named():
    with pytest.raises(InvalidContext, match=r"row 2 of the customers: context 'level' is 'huge'.*low, middle, high"):
        customers_of_rows(LIST, [{"level": "low"}, {"level": "huge"}], 0)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"rows": []}, "give at least one row"),
        ({"n": 0}, "at least 1 customer"),
        ({"ids": ["a"]}, "the id of each row, in order, or none"),
        ({"ids": list("aaabcd")}, "every customer one of its own"),
        ({"ids": list("abcdef"), "n": 7}, "at most 6, or leave the ids out"),
        ({"seed": -1}, "one from 0 up"),
    ],
)
def test_lists_that_cannot_be_used_are_refused_with_advice(arguments, advice):
    with pytest.raises(ImpossibleWorld, match=advice):
        customers_of_rows(LIST, **{"rows": ROWS, "seed": 0} | arguments)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"n": 0}, "at least 1 customer"),
        ({"correlation": 1.0}, "less than 1"),
        ({"correlation": float("nan")}, "less than 1"),
        ({"seed": 2**64}, "one from 0 up"),
        ({"zone": "+02:00"}, "Europe/Berlin"),
    ],
)
def test_draws_that_cannot_be_made_are_refused_with_advice(arguments, advice):
    with pytest.raises(ImpossibleWorld, match=advice):
        drawn_customers(SCHEMA, **{"seed": 0, "n": 3} | arguments)


@pytest.mark.parametrize(
    ("customers", "advice"),
    [
        (((), (), ()), "at least one customer"),
        ((("a",), ({}, {}), ("UTC",)), "one of each"),
        ((("a", "a"), ({}, {}), ("UTC", "UTC")), "one of its own"),
        ((("a", ""), ({}, {}), ("UTC", "UTC")), "one of its own"),
        ((("a",), ({},), ("Mars/Base",)), "no IANA time zone"),
    ],
)
def test_customers_who_cannot_be_told_apart_or_placed_are_refused(customers, advice):
    with pytest.raises(ImpossibleWorld, match=advice):
        Customers(*customers)


def test_a_stranger_is_refused_by_name():
    with pytest.raises(ImpossibleWorld, match="nobody here is called 'zoe'"):
        drawn_customers(SCHEMA, 0, 3).place("zoe")
