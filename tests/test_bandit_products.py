"""Product blocks: what is made of a catalogue and of events, by hand-computed values and by laws."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.errors import InvalidSettings, UnusableCatalogue
from bandit.products.candidates import COLLABORATIVE, CONTENT, POPULAR, CandidateOptions, candidates_of
from bandit.products.catalogue import Catalogue, Product, read_catalogue
from bandit.products.interactions import interactions_of, usable_events
from bandit.products.mix_choice import POPULAR_ONLY, choose_mix, taken_after
from bandit.products.popular import popularity
from bandit.products.product_arms import ArmOptions, product_arms
from bandit.products.ranking_quality import quality_of, ranking_quality
from bandit.products.similarity import similarity, text_components, word_weights

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
TEAS = Catalogue(
    (
        Product("green", "Green tea", category="tea", price=4.0),
        Product("black", "Black tea", category="tea", price=3.0),
        Product("mug", "Big mug", category="ware", price=9.0),
        Product("pot", "Iron pot", category="ware"),
    )
)


def events_of(*rows):
    """Events from (customer, product, type, days before noon)."""
    made = [(who, what, kind, NOON - timedelta(days=days)) for who, what, kind, days in rows]
    return pd.DataFrame(made, columns=["customer_id", "product", "type", "at"])


def matrix(interactions):
    return interactions.weights.toarray()


def shop(seed, taste, n_customers=300, n_products=24):
    """Customers who like one of four kinds of products so many times as much as the others."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(n_products) % 4
    catalogue = Catalogue(
        tuple(Product(f"p{k}", f"kind{kinds[k]} thing", category=f"k{kinds[k]}") for k in range(n_products))
    )
    base = rng.gamma(2.0, size=n_products)
    rows = []
    for one in range(n_customers):
        shares = base * np.where(kinds == one % 4, taste, 1.0)
        rows += [
            (f"c{one:03d}", f"p{product}", "purchase" if rng.random() < 0.5 else "view", rng.uniform(0.1, 80.0))
            for product in rng.choice(n_products, size=12, p=shares / shares.sum())
        ]
    return catalogue, events_of(*rows)


# Ranking quality, by hand.


@pytest.mark.parametrize(
    ("ranked", "taken", "k", "precision", "recall", "average_precision"),
    [
        (["a", "b", "c", "d"], {"a", "c"}, 4, 2 / 4, 2 / 2, (1 / 1 + 2 / 3) / 2),
        (["a", "b", "c", "d"], {"a", "c"}, 2, 1 / 2, 1 / 2, (1 / 1) / 2),
        (["x", "a"], {"a", "b", "c"}, 2, 1 / 2, 1 / 3, (1 / 2) / 2),
        (["x", "y"], {"a"}, 2, 0.0, 0.0, 0.0),
        (["a"], {"a", "b"}, 5, 1 / 5, 1 / 2, 1 / 2),
        ([], {"a"}, 3, 0.0, 0.0, 0.0),
    ],
)
def test_quality_is_what_the_definitions_say(ranked, taken, k, precision, recall, average_precision):
    assert quality_of(ranked, taken, k) == pytest.approx([precision, recall, average_precision])


def test_who_took_nothing_does_not_count_and_the_others_count_alike():
    found = ranking_quality([["a", "b"], ["a", "b"], ["a", "b"]], [{"a"}, set(), {"c"}], 2)
    assert (found.precision, found.recall, found.average_precision, found.n_customers) == (0.25, 0.5, 0.5, 2)
    with pytest.raises(UnusableCatalogue, match="nobody took any product"):
        ranking_quality([["a"]], [set()], 1)


def test_a_list_with_a_product_twice_is_refused():
    with pytest.raises(UnusableCatalogue, match="each product once"):
        quality_of(["a", "a"], {"a"}, 2)


@given(st.lists(st.integers(0, 9), unique=True, max_size=8), st.sets(st.integers(0, 9), min_size=1), st.integers(1, 6))
def test_quality_is_between_0_and_1_and_1_only_for_a_perfect_list(ranked, taken, k):
    ranked, taken = [str(one) for one in ranked], {str(one) for one in taken}
    found = quality_of(ranked, taken, k)
    assert ((found >= 0.0) & (found <= 1.0 + 1e-12)).all()
    best = min(k, len(taken))
    assert (found[2] > 1.0 - 1e-9) == (len(ranked) >= best and set(ranked[:best]) <= taken)


# Interactions.


def test_an_event_counts_by_its_type_and_half_after_its_half_life():
    events = events_of(("ann", "green", "purchase", 10), ("ann", "green", "view", 0.0001), ("bob", "mug", "cart", 20))
    found, _ = interactions_of(events, TEAS, until=NOON, half_life=timedelta(days=10))
    assert found.customers == ("ann", "bob")
    assert matrix(found)[0] == pytest.approx([5.0 / 2 + 1.0, 0.0, 0.0, 0.0], abs=1e-4)
    assert matrix(found)[1] == pytest.approx([0.0, 0.0, 3.0 / 4, 0.0])
    assert found.bought.toarray().tolist() == [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]


@settings(max_examples=12)
@given(
    st.lists(
        st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from(["green", "mug"]), st.floats(0.01, 9)), max_size=6
    )
)
def test_what_comes_later_changes_nothing(later):
    before = events_of(("ann", "green", "view", 3), ("bob", "mug", "purchase", 1))
    after = events_of(*[(who, what, "purchase", -days) for who, what, days in later])
    alone, _ = interactions_of(before, TEAS, until=NOON)
    together, _ = interactions_of(pd.concat([before, after]), TEAS, until=NOON)
    assert (matrix(alone) == matrix(together)).all()
    assert (matrix(alone) > 0).sum() == 2


def test_the_order_of_rows_changes_no_list():
    _, events = shop(1, 6.0)
    catalogue = shop(1, 6.0)[0]
    shuffled = events.sample(frac=1.0, random_state=3)
    made = [interactions_of(one, catalogue, until=NOON)[0] for one in (events, shuffled)]
    options = CandidateOptions(5, {CONTENT: 1.0, POPULAR: 0.5})
    first, second = (
        [(one.customer_id, [c.product for c in one.candidates]) for one in candidates_of(m, options)] for m in made
    )
    assert first == second


def test_every_fault_of_the_events_is_counted_with_examples_and_nothing_else_is_lost():
    texts = pd.DataFrame(
        [
            ("ann", "2026-10-01T09:00:00Z", "view", "green"),
            ("ann", "2026-10-01T09:00:00Z", "view", "green"),
            ("", "2026-10-01T09:00:00Z", "view", "green"),
            ("bob", "2026-10-01T09:00:00", "view", "green"),
            ("bob", "yesterday", "view", "green"),
            ("bob", "2027-01-01T00:00:00+01:00", "view", "green"),
            ("bob", "2026-10-01T09:00:00Z", "login", ""),
            ("bob", "2026-10-01T09:00:00Z", "search", "green"),
            ("bob", "2026-10-01T09:00:00+02:00", "view", "sugar"),
        ],
        columns=["customer_id", "at", "type", "product"],
    )
    used, findings = usable_events(texts, TEAS, until=NOON)
    assert len(used) == 1
    assert {one.what.split(":")[0]: one.count for one in findings} == {
        "without a customer_id": 1,
        "without a product": 1,
        "whose time cannot be read or has no zone": 2,
        "at or after the time asked for": 1,
        "of a type that counts nothing": 1,
        "with a product that is not in the catalogue": 1,
        "that repeat another one exactly": 1,
    }
    assert any("'sugar'" in str(one) for one in findings)


def test_events_of_which_none_can_be_used_are_refused_with_what_is_wrong():
    with pytest.raises(UnusableCatalogue, match="2 of a type that counts nothing"):
        interactions_of(events_of(("ann", "green", "look", 1), ("bob", "mug", "look", 1)), TEAS, until=NOON)
    with pytest.raises(UnusableCatalogue, match="product is missing"):
        interactions_of(events_of().drop(columns="product"), TEAS, until=NOON)


# The catalogue.


def test_faults_of_the_catalogue_are_counted_and_nothing_is_made_up():
    rows = [
        {"product": "a", "name": "A", "category": "x", "price": "cheap"},
        {"product": "", "name": "B"},
        {"product": "a", "name": "again"},
        {"product": "c", "name": "", "category": "", "price": -1},
    ]
    catalogue, findings = read_catalogue(rows)
    assert [(one.id, one.category, one.price) for one in catalogue.products] == [("a", "x", None), ("c", "", None)]
    assert sum(one.count for one in findings) == 6
    features = [arm.features for arm in product_arms(catalogue, np.zeros(2))]
    assert all("price" not in one for one in features)
    assert "category" not in features[1]


@pytest.mark.parametrize(
    ("rows", "words"), [([{"id": "a"}], "need product"), ([], "holds no product"), ([{"product": " "}], "no product")]
)
def test_a_catalogue_of_nothing_is_refused(rows, words):
    with pytest.raises(UnusableCatalogue, match=words):
        read_catalogue(rows)


def test_arms_are_the_most_popular_products_first():
    arms = product_arms(TEAS, np.array([1.0, 0.0, 7.0, 3.0]), ArmOptions(most=3, components=2))
    assert [arm.id for arm in arms] == ["mug", "pot", "green"]
    assert arms[0].features["popularity"] == 1.0
    assert arms[0].features["price"] == pytest.approx(np.log(10.0), abs=1e-4)
    assert {"words_1", "words_2"} <= arms[0].features.keys()
    with pytest.raises(InvalidSettings, match="1 to 500 products"):
        ArmOptions(most=501)


# Sources and lists.


def test_products_said_alike_are_alike_and_components_keep_what_differs():
    words = word_weights(TEAS)
    alike = similarity(words)
    assert alike[0, 1] > alike[0, 2]
    assert (np.diag(alike) == 0.0).all()
    assert np.allclose(alike, alike.T)
    components = text_components(words, 4)
    # All directions together lose nothing: products are as alike by them as by their words.
    assert np.allclose(components @ components.T, words @ words.T)
    assert not word_weights(Catalogue((Product("a"), Product("b")))).any()


def test_nobody_makes_a_product_popular_alone():
    one = [("ann", "green", "view", 0.1 + k / 1000) for k in range(50)]
    many = [(f"c{k}", "mug", "view", 0.1) for k in range(9)]
    found, _ = interactions_of(events_of(*one, *many), TEAS, until=NOON)
    assert popularity(found)[2] > popularity(found)[0] > popularity(found)[1] == 0.0


def test_lists_hold_what_like_minded_customers_took_and_say_where_from():
    pytest.importorskip("implicit")
    catalogue, events = shop(2, 40.0)
    found, _ = interactions_of(events, catalogue, until=NOON)
    listed = list(candidates_of(found, CandidateOptions(4, {COLLABORATIVE: 1.0})))
    own = [sum(int(c.product[1:]) % 4 == int(one.customer_id[1:]) % 4 for c in one.candidates) for one in listed]
    assert np.mean(own) > 3.5
    assert {c.source for one in listed for c in one.candidates} == {COLLABORATIVE}
    again = list(candidates_of(found, CandidateOptions(4, {COLLABORATIVE: 1.0})))
    assert listed == again


def test_what_was_bought_is_left_out_if_asked():
    catalogue, events = shop(3, 5.0, n_customers=40)
    found, _ = interactions_of(events, catalogue, until=NOON)
    bought = found.bought.toarray() > 0
    for without in (True, False):
        options = CandidateOptions(24, {CONTENT: 1.0, POPULAR: 1.0}, without_bought=without)
        listed = list(candidates_of(found, options))
        kept = [bought[row, catalogue.index_of(c.product)] for row, one in enumerate(listed) for c in one.candidates]
        assert any(kept) is not without
        assert all(len({c.product for c in one.candidates}) == len(one.candidates) for one in listed)
        assert all(list(one.candidates) == sorted(one.candidates, key=lambda c: -c.score) for one in listed)


def test_without_its_library_collaborative_filtering_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "implicit.cpu.als", None)
    found, _ = interactions_of(events_of(("ann", "green", "view", 1)), TEAS, until=NOON)
    with pytest.raises(UnusableCatalogue, match=r"pip install 'manyarm\[products\]'"):
        list(candidates_of(found))
    assert list(candidates_of(found, CandidateOptions(2, {POPULAR: 1.0})))


@pytest.mark.parametrize(
    "wrong", [{"sources": {"magic": 1.0}}, {"sources": {}}, {"sources": {POPULAR: 0.0}}, {"most": 0}]
)
def test_options_that_make_no_list_are_refused(wrong):
    with pytest.raises(InvalidSettings):
        CandidateOptions(**wrong)


# Choosing the mix.


def test_a_mix_is_chosen_only_where_it_surely_beats_popular_products():
    mixes = [{CONTENT: 1.0}, {CONTENT: 1.0, POPULAR: 2.0}]
    for taste, expected in ((40.0, True), (1.0, False)):
        catalogue, events = shop(4, taste)
        used, _ = usable_events(events, catalogue, until=NOON)
        choice = choose_mix(used, catalogue, CandidateOptions(without_bought=True), k=4, mixes=mixes)
        assert (choice.sources != POPULAR_ONLY) is expected
        assert choice.popular.n_customers > 100
        best = max(one.low for one in choice.judged)
        assert (best > 0.0) is expected


def test_lists_are_judged_by_what_came_after_them_alone():
    events = events_of(("ann", "green", "purchase", 9), ("ann", "mug", "purchase", 1), ("ann", "green", "purchase", 1))
    split = NOON - timedelta(days=5)
    assert taken_after(events, split, new_only=True) == {"ann": {"mug"}}
    assert taken_after(events, split, new_only=False) == {"ann": {"mug", "green"}}
    views = events_of(("bob", "pot", "view", 2))
    assert taken_after(views, split, new_only=True) == {"bob": {"pot"}}


def test_with_few_customers_nothing_is_judged():
    used, _ = usable_events(events_of(("ann", "green", "view", 3), ("ann", "mug", "view", 1)), TEAS, until=NOON)
    choice = choose_mix(used, TEAS, CandidateOptions(), k=2)
    assert (choice.popular, choice.judged, set(choice.sources)) == (None, (), {COLLABORATIVE, CONTENT, POPULAR})
