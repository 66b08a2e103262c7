"""Contexts are measured from the average customer, and nobody who is served can tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.compiled import Tables, in_raw_terms
from bandit.context import EncodedContext
from bandit.scaling import INDICATOR, LEAST_DEVIATION, SPREAD, Scaling


def contexts(values):
    """One customer a row of a dense table of feature values."""
    return [EncodedContext({}, tuple(range(len(row))), tuple(row)) for row in values]


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=30))
def test_the_average_customer_is_at_zero_and_no_number_varies_more_than_the_spread(rows):
    scaling = Scaling.of(contexts(rows), (True, True, False))
    scaled = (np.array(rows) - scaling.means) * scaling.scales
    assert scaled.mean(axis=0) == pytest.approx(0.0, abs=1e-9)
    assert (scaled[:, :2].std(axis=0) <= SPREAD + 1e-9).all()


def test_numbers_end_up_equally_far_apart_whatever_their_declared_range():
    rng = np.random.default_rng(0)
    narrow, wide = 0.5 + 0.15 * rng.standard_normal(2000), rng.random(2000)
    scaling = Scaling.of(contexts(np.stack([narrow, wide], axis=1).tolist()), (True, True))
    scaled = (np.stack([narrow, wide], axis=1) - scaling.means) * scaling.scales
    assert scaled.std(axis=0) == pytest.approx([SPREAD, SPREAD])


def test_a_number_that_was_the_same_for_the_first_customers_is_not_blown_up():
    scaling = Scaling.of(contexts([[0.2]] * 50), (True,))
    assert scaling.scales == (SPREAD / LEAST_DEVIATION,)


def test_indicators_keep_their_step_however_rare_they_are():
    rows = [[1.0, 0.0]] + [[0.0, 1.0]] * 99
    assert Scaling.of(contexts(rows), (False, False)).scales == (INDICATOR, INDICATOR)


def test_weights_over_scaled_contexts_mean_the_same_in_raw_terms():
    rng = np.random.default_rng(1)
    n_features, n_models, width = 4, 2, 6
    tables = Tables(
        (2, 3),
        rng.standard_normal((n_models, width)),
        rng.standard_normal((n_features, n_models, width)),
        np.zeros((5, n_models, width)),
        np.zeros((0, n_models)),
    )
    scaling = Scaling(tuple(rng.random(n_features)), tuple(1.0 + rng.random(n_features)))
    raw, customer = in_raw_terms(tables, scaling), rng.random(n_features)
    scaled = (customer - scaling.means) * scaling.scales
    expected = tables.constant + np.tensordot(scaled, tables.context, axes=1)
    assert raw.constant + np.tensordot(customer, raw.context, axes=1) == pytest.approx(expected)
