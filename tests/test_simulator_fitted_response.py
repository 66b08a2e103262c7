"""The fit itself: terms and what they mean, the optimum, and the strengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import expit, logit

from bandit.schema import BooleanField, CategoricalField, NumericField, Schema
from simulator import logistic_ridge
from simulator.fitted_response import FittedResponse
from simulator.logistic_ridge import Sends, fit_logistic
from simulator.response_terms import ContextTerms, Part, ResponseTerms

SCHEMA = Schema(
    (
        CategoricalField("plan", ("free", "paid")),
        NumericField("age", 0, 100),
        CategoricalField("gender", (), protected=True),
        BooleanField("member"),
    )
)


def contexts(n, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            "plan": [None, "free", "paid"][rng.integers(3)],
            "age": None if rng.random() < 0.1 else float(rng.uniform(-5, 105)),
            "gender": "any",
            "member": bool(rng.random() < 0.5),
        }
        for _ in range(n)
    ]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 10_000))
def test_the_design_and_what_its_weights_mean_give_the_same_probabilities(shape, seed):
    """Rows times weights, one choice each, one send alone, and every choice at once: four ways to one number."""
    rng, people = np.random.default_rng(seed), contexts(7, seed)
    context = ContextTerms.of(SCHEMA, people)
    terms = ResponseTerms(context.size, tuple(shape))
    picks = np.stack([rng.integers(size, size=7) for size in shape], axis=1)
    design = terms.design(context.matrix(people), picks)
    assert design.shape == (7, len(terms.parts))
    weights = rng.normal(size=len(terms.parts))
    response = FittedResponse(context, terms.shape, (terms.effects(weights),), (1.0,))
    by_rows = expit(design @ weights)
    assert response.probabilities(people, picks)[:, 0] == pytest.approx(by_rows, rel=1e-9)
    one_by_one = [response.probabilities_of_one(one, row)[0] for one, row in zip(people, picks.tolist(), strict=True)]
    assert one_by_one == pytest.approx(by_rows, rel=1e-9)
    numbers = np.ravel_multi_index(tuple(picks.T), tuple(shape))
    assert response.rewards(people)[np.arange(7), numbers] == pytest.approx(by_rows, rel=1e-9)


def test_every_term_belongs_to_its_part():
    terms = ResponseTerms(3, (2, 4))
    assert np.bincount(terms.parts, minlength=len(Part)).tolist() == [1, 6, 3, 18, 8]


@given(st.floats(-50, 150))
def test_a_number_lies_between_two_knots_and_nothing_leaves_the_range(age):
    terms = ContextTerms(SCHEMA, {3: np.array([0.2, 0.3, 0.7])})
    row = terms.matrix([{"plan": "free", "age": age, "gender": "x", "member": True}]).toarray()[0]
    hats = row[3:6]
    assert hats.min() >= 0.0
    assert hats.sum() == pytest.approx(1.0)
    assert hats @ [0.2, 0.3, 0.7] == pytest.approx(np.clip(age / 100, 0.2, 0.7))
    assert row.sum() == pytest.approx(3.0)


def test_knots_stand_at_quantiles_and_a_number_nobody_has_does_not_matter():
    people = [{"age": float(age)} for age in range(101)]
    schema = Schema((NumericField("age", 0, 100),))
    assert ContextTerms.of(schema, people).knots[0] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ContextTerms.of(schema, [{"age": None}] * 3).matrix([{"age": 7.0}]).shape == (1, 3)
    assert ContextTerms.of(Schema(()), [{}, {}]).matrix([{}]).shape == (1, 0)


def drawn(n, n_terms, seed=0):
    rng = np.random.default_rng(seed)
    design = sparse.csr_array(
        np.hstack([np.ones((n, 1)), rng.normal(size=(n, n_terms - 1)) * (rng.random((n, n_terms - 1)) < 0.5)])
    )
    labels = (rng.random(n) < expit(design @ rng.normal(0, 0.5, n_terms) - 1.0)).astype(np.float64)
    return design, labels


def test_at_the_fit_no_slope_is_left():
    design, labels = drawn(800, 12)
    penalties = np.geomspace(0.01, 100.0, 12)
    weights = fit_logistic(Sends.of(design), labels, penalties, close=1e-6)
    assert np.abs(design.T @ (expit(design @ weights) - labels) + penalties * weights).max() < 1e-3


def test_where_cross_products_are_too_many_the_fit_is_the_same(monkeypatch):
    design, labels = drawn(500, 9, seed=1)
    fits = [fit_logistic(Sends.of(design), labels, np.full(9, 2.0), close=1e-7)]
    monkeypatch.setattr(logistic_ridge, "MOST_SQUARED", 5)
    sends = Sends.of(design)
    assert sends.gram.shape == (9,)
    fits.append(fit_logistic(sends, labels, np.full(9, 2.0), close=1e-7))
    assert fits[0] == pytest.approx(fits[1], abs=1e-5)


def test_leaving_rows_out_is_as_if_they_had_never_been():
    design, labels = drawn(300, 5, seed=2)
    gone = np.arange(300) < 100
    whole = Sends.of(design)
    rest = whole.but(Sends.of(design[gone]), ~gone)
    plain = Sends.of(design[~gone])
    assert rest.gram == pytest.approx(plain.gram)
    assert fit_logistic(rest, labels[~gone], np.ones(5)) == pytest.approx(
        fit_logistic(plain, labels[~gone], np.ones(5))
    )


def test_two_groups_without_a_ridge_have_their_own_rates_and_a_strong_ridge_leaves_nothing():
    design = sparse.csr_array(np.array([[1.0, 0.0]] * 50 + [[1.0, 1.0]] * 50))
    labels = np.array([1.0] * 10 + [0.0] * 40 + [1.0] * 30 + [0.0] * 20)
    loose = fit_logistic(Sends.of(design), labels, np.full(2, 1e-8), close=1e-7)
    assert loose == pytest.approx([logit(0.2), logit(0.6) - logit(0.2)], abs=1e-4)
    tight = fit_logistic(Sends.of(design), labels, np.array([1e-8, 1e9]), close=1e-7)
    assert tight == pytest.approx([logit(0.4), 0.0], abs=1e-4)
