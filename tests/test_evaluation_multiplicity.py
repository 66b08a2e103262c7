import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from bandit.errors import UnusableLog
from evaluation.multiplicity import benjamini_hochberg, holm

some_p_values = st.lists(st.none() | st.just(float("nan")) | st.floats(0, 1), max_size=20)


def test_holm_of_three_claims_worked_out_by_hand():
    # sorted .01 x 3, .02 x 2, .03 x 1, then made to rise: .03, .04, .04.
    assert holm([0.02, 0.03, 0.01]) == pytest.approx((0.04, 0.04, 0.03))


def test_benjamini_hochberg_of_three_questions_worked_out_by_hand():
    # sorted .01 x 3/1, .02 x 3/2, .03 x 3/3, each the least of those above it: .03 all.
    assert benjamini_hochberg([0.02, 0.03, 0.01]) == pytest.approx((0.03, 0.03, 0.03))


@pytest.mark.parametrize(("adjust", "method"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_both_are_those_of_statsmodels(adjust, method):
    p_values = np.random.default_rng(1).random(40) ** 3
    assert adjust(p_values) == tuple(multipletests(p_values, method=method)[1])


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@given(p_values=some_p_values)
def test_a_question_without_an_answer_leaves_the_others_as_they_would_be_without_it(adjust, p_values):
    there = [p is not None and p == p for p in p_values]  # noqa: PLR0124 - NaN differs from itself
    adjusted = adjust(p_values)
    assert [p is not None for p in adjusted] == there
    alone = adjust([p for p, known in zip(p_values, there, strict=True) if known])
    assert tuple(p for p in adjusted if p is not None) == alone


@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_exploration_is_never_stricter_than_claims_and_neither_is_bolder_than_one_test(p_values):
    for plain, explored, claimed in zip(p_values, benjamini_hochberg(p_values), holm(p_values), strict=True):
        assert plain <= explored * (1 + 1e-12)
        assert explored <= claimed * (1 + 1e-12)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_no_question_has_no_answer(adjust):
    assert adjust([]) == ()
    assert adjust([None, float("nan")]) == (None, None)


@pytest.mark.parametrize("wrong", [-0.01, 1.01, float("inf")])
@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_what_is_no_probability_is_refused_by_its_value(adjust, wrong):
    with pytest.raises(UnusableLog, match=rf"p-value {wrong} .1 such. is no probability"):
        adjust([0.5, wrong])
