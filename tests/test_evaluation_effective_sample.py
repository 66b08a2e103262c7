"""Wilson's interval in place of a normal one: leaning upwards, inside [0, 1], and Wilson's own where sends are counted."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.effective_sample import METHOD, on_effective_sample
from evaluation.estimator import Estimate
from evaluation.intervals import wilson


def normal(value, se):
    return Estimate(value, se, value - 1.96 * se, value + 1.96 * se, "normal")


def test_sends_that_all_weigh_1_get_wilsons_own_interval():
    found = on_effective_sample(normal(0.06, sqrt(0.06 * 0.94 / 500)))
    expected = wilson(30, 500)
    assert [found.ci_lower, found.ci_upper] == pytest.approx([expected.ci_lower, expected.ci_upper])
    assert found.method == METHOD


@given(st.floats(0.001, 0.4), st.floats(0.001, 1.0), st.floats(0.5, 0.999))
def test_it_leans_upwards_from_a_small_rate_and_stays_between_0_and_1(value, relative_error, level):
    given_ = normal(value, value * relative_error)
    found = on_effective_sample(given_, level)
    assert (found.value, found.se) == (given_.value, given_.se)
    assert 0.0 <= found.ci_lower < found.value < found.ci_upper <= 1.0
    assert found.ci_upper - found.value > found.value - found.ci_lower


def test_more_confidence_is_wider():
    given_ = normal(0.06, 0.02)
    widths = [one.ci_upper - one.ci_lower for one in (on_effective_sample(given_, p) for p in (0.8, 0.95, 0.99))]
    assert widths == sorted(widths)


@pytest.mark.parametrize(
    "unfit", [normal(-0.01, 0.02), normal(0.0, 0.02), normal(1.2, 0.02), normal(0.1, 0.0), replace(normal(0.1, 0.1), se=None)]
)  # fmt: skip
def test_what_is_no_rate_or_has_no_error_stays_as_it_is(unfit):
    assert on_effective_sample(unfit) is unfit
