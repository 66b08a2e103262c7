import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bandit.errors import EngineError, InvalidSettings, UnusableLog
from evaluation.empirical_bayes import ShrunkValue, shrink

families = st.lists(st.tuples(st.floats(-10, 10), st.floats(0.01, 10)), min_size=2, max_size=12)


def column(shrunk, name):
    return np.array([getattr(one, name) for one in shrunk.values])


def drawn(rng, n, spread):
    """True values, estimates and errors of n arms."""
    errors, truths = rng.uniform(0.5, 1.5, n), rng.normal(5, spread, n)
    return truths, rng.normal(truths, errors), errors


def test_far_apart_estimates_stay_where_they_are():
    assert column(shrink([0, 1, 2], [1e-4] * 3), "value") == pytest.approx([0, 1, 2], abs=1e-6)


def test_estimates_that_errors_explain_are_drawn_more_than_half_of_the_way():
    rng = np.random.default_rng(2)
    _, estimates, errors = drawn(rng, 40, 0.0)
    answer = shrink(estimates, errors)
    assert np.std(column(answer, "value")) < 0.3 * np.std(estimates)
    assert answer.mean == pytest.approx(np.average(estimates, weights=1 / errors**2), abs=0.1)


def test_many_equal_errors_give_the_normal_formula_at_the_true_spread():
    rng = np.random.default_rng(3)
    truths = rng.normal(5, 1, 1000)
    estimates = rng.normal(truths, 1)
    answer = shrink(estimates, np.ones(1000))
    assert answer.spread == pytest.approx(1, abs=0.1)
    # Half of the way to the mean, error sqrt(1/2).
    drawn_half = (estimates + estimates.mean()) / 2
    assert column(answer, "value") == pytest.approx(drawn_half, abs=0.2)
    assert column(answer, "se") == pytest.approx(np.full(1000, np.sqrt(0.5)), abs=0.04)
    assert answer.mean_se == pytest.approx(np.sqrt(2 / 1000), rel=0.05)


def test_posterior_is_the_one_that_adding_up_a_fine_grid_gives():
    # The same model with nothing integrated out by formula: a grid over mean and spread.
    estimates, errors = np.array([0.0, 1.0, 3.0]), np.array([1.0, 0.7, 1.3])
    typical = 1 / np.mean(1 / errors**2)
    mean, log_spread = np.meshgrid(np.linspace(-25, 25, 2001), np.linspace(-9, 6, 751))
    spread = np.exp(log_spread)
    weight = spread**2 * typical / (typical + spread**2) ** 2
    for estimate, error in zip(estimates, errors, strict=True):
        variance = error**2 + spread**2
        weight = weight * np.exp(-((estimate - mean) ** 2) / variance / 2) / np.sqrt(variance)
    weight /= weight.sum()
    answer = shrink(estimates, errors)
    for one, estimate, error in zip(answer.values, estimates, errors, strict=True):
        share = error**2 / (error**2 + spread**2)
        value = (weight * (share * mean + (1 - share) * estimate)).sum()
        second = (weight * ((share * mean + (1 - share) * estimate) ** 2 + error**2 * (1 - share))).sum()
        assert one.value == pytest.approx(value, abs=1e-3)
        assert one.se == pytest.approx(np.sqrt(second - value**2), abs=1e-3)


@pytest.mark.parametrize(("n", "spread", "most"), [(12, 0.0, 0.3), (12, 1.0, 0.65), (40, 0.7, 0.45), (40, 5.0, 1.02)])
def test_error_is_well_below_that_of_raw_estimates_and_intervals_cover(n, spread, most):
    rng = np.random.default_rng(4)
    raw, shrunk, held = [], [], []
    for _ in range(40):
        truths, estimates, errors = drawn(rng, n, spread)
        answer = shrink(estimates, errors)
        raw.append((estimates - truths) ** 2)
        shrunk.append((column(answer, "value") - truths) ** 2)
        held.append((column(answer, "ci_lower") <= truths) & (truths <= column(answer, "ci_upper")))
    assert np.mean(shrunk) < most * np.mean(raw)
    # 40 families: their coverage, .94 on average, is known to .01.
    assert np.mean(held) > 0.90


@settings(max_examples=30)
@given(families)
def test_values_lie_between_raw_and_the_others_in_the_order_that_intervals_need(family):
    estimates, errors = zip(*family, strict=True)
    low, high = min(estimates), max(estimates)
    for one in shrink(estimates, errors).values:
        assert low - 1e-9 <= one.value <= high + 1e-9
        assert one.ci_lower <= one.value <= one.ci_upper
        assert one.se > 0


@settings(max_examples=30)
@given(families, st.floats(-5, 5), st.floats(0.1, 50))
def test_other_units_give_the_same_answer_in_other_units(family, shift, factor):
    estimates, errors = np.array(family).T
    assume(np.ptp(estimates) == 0 or np.ptp(estimates) > 1e-6)
    plain, moved = shrink(estimates, errors), shrink(estimates * factor + shift, errors * factor)
    assert column(moved, "value") == pytest.approx(column(plain, "value") * factor + shift, rel=1e-6, abs=1e-6)
    assert column(moved, "se") == pytest.approx(column(plain, "se") * factor, rel=1e-6)


@settings(max_examples=30)
@given(families, st.randoms(use_true_random=False))
def test_order_does_not_matter(family, random):
    shuffled = random.sample(family, len(family))
    values = {pair: one.value for pair, one in zip(family, shrink(*zip(*family, strict=True)).values, strict=True)}
    again = shrink(*zip(*shuffled, strict=True)).values
    assert [one.value for one in again] == pytest.approx([values[pair] for pair in shuffled], rel=1e-6, abs=1e-9)


def test_one_estimate_comes_back_as_it_was():
    answer = shrink([0.1], [0.02])
    (one,) = answer.values
    assert (one.value, one.se) == pytest.approx((0.1, 0.02))
    assert (one.ci_lower, one.ci_upper) == pytest.approx((0.1 - 1.959964 * 0.02, 0.1 + 1.959964 * 0.02))
    assert (answer.mean_se, answer.spread) == (None, None)


def test_two_estimates_move_alike_towards_the_middle():
    low, high = shrink([0.1, 0.2], [0.02, 0.02]).values
    assert 0.1 < low.value < 0.15 < high.value < 0.2
    assert low.value + high.value == pytest.approx(0.3)


def test_equal_estimates_are_not_called_certainly_equal():
    answer = shrink([0.1] * 5, [0.02] * 5)
    assert column(answer, "value") == pytest.approx([0.1] * 5)
    assert (column(answer, "se") > 0.02 / np.sqrt(5)).all()
    assert answer.spread > 0


@pytest.mark.parametrize("missing", [(None, 0.02), (0.5, None), (float("nan"), 0.02), (0.5, float("nan")), (0.5, 0.0)])
def test_what_is_not_known_is_left_out_and_moves_nothing(missing):
    whole = shrink([0.1, missing[0], 0.2], [0.02, missing[1], 0.03])
    alone = shrink([0.1, 0.2], [0.02, 0.03])
    assert whole.values == (alone.values[0], None, alone.values[1])
    assert (whole.mean, whole.spread) == (alone.mean, alone.spread)


@pytest.mark.parametrize(
    ("estimates", "errors", "said"),
    [
        ([0.1, 0.2], [0.1], "2 estimates with 1 standard errors"),
        ([0.1, float("inf")], [0.1, 0.1], "estimate inf with standard error 0.1"),
        ([0.1, 0.2], [0.1, -0.1], "estimate 0.2 with standard error -0.1"),
        ([0.1, 0.2], [0.1, float("inf")], "estimate 0.2 with standard error inf"),
        ([0.1, None], [0.0, 0.1], "none of 2 estimates has a standard error above 0"),
        ([], [], "none of 0 estimates"),
    ],
)
def test_a_family_that_cannot_be_drawn_together_is_refused(estimates, errors, said):
    with pytest.raises(UnusableLog, match=said):
        shrink(estimates, errors)


def test_a_level_outside_0_and_1_is_refused():
    with pytest.raises(InvalidSettings, match="confidence_level is 95"):
        shrink([0.1], [0.1], 95)


def test_a_value_outside_its_interval_is_a_bug_and_is_not_published():
    with pytest.raises(EngineError, match="does not hold its own value"):
        ShrunkValue(0.1, 0.1, 0.1, 0.1, 0.2, 0.3)
