"""A pmf is checked once: what is not a distribution never becomes one."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import Pmf
from bandit.errors import InvalidPmf

LAW = settings(max_examples=100, deadline=None)
WEIGHTS = st.lists(st.floats(0.0, 1e6) | st.just(0.0), min_size=1, max_size=30).filter(lambda w: sum(w) > 1e-3)


def named(probabilities):
    return Pmf(tuple(f"arm{i}" for i in range(len(probabilities))), tuple(probabilities))


@LAW
@given(WEIGHTS)
def test_normalised_weights_are_a_pmf_and_come_back_arm_by_arm(weights):
    total = math.fsum(weights)
    pmf = named([weight / total for weight in weights])
    assert [pmf[arm] for arm in pmf.arms] == list(pmf.probabilities)


@LAW
@given(WEIGHTS, st.floats(1e-8, 0.5), st.sampled_from([-1, 1]))
def test_a_sum_that_is_not_one_is_refused_with_the_sum(weights, excess, sign):
    total = math.fsum(weights) / (1.0 + sign * excess)
    with pytest.raises(InvalidPmf, match=r"mend the policy"):
        named([weight / total for weight in weights])


@pytest.mark.parametrize("bad", [-0.1, -1e-300, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_negative_or_not_finite_probability_is_refused_and_its_arm_named(bad, place):
    probabilities = [0.5, 0.5]
    probabilities.insert(place, bad)
    with pytest.raises(InvalidPmf, match=f"probability of arm 'arm{place}' is {bad!r}, need a number in"):
        named(probabilities)


def test_two_faults_that_cancel_are_still_refused():
    with pytest.raises(InvalidPmf, match=r"'arm0' is 1\.5"):
        named([1.5, -0.5])


def test_a_sum_of_two_is_refused_in_words_that_say_why_it_matters():
    with pytest.raises(InvalidPmf, match=r"propensity that is not the one used.*mend the policy that returned"):
        named([1.0, 1.0])
    with pytest.raises(InvalidPmf, match=r"sum to 0.8, need 1"):
        named([0.4, 0.4])


@pytest.mark.parametrize("arms", [("a",), ("a", "b", "c")])
def test_one_probability_an_arm(arms):
    with pytest.raises(InvalidPmf, match=f"2 probabilities for {len(arms)} arms"):
        Pmf(arms, (0.5, 0.5))


def test_a_pmf_over_nothing_is_refused_like_every_other_that_is_none():
    with pytest.raises(InvalidPmf):
        Pmf((), ())


def test_rounding_in_the_last_digits_is_accepted():
    assert named([0.1] * 10).probabilities == (0.1,) * 10
    assert named([1.0 - 5e-10])["arm0"] == 1.0 - 5e-10


def test_a_pmf_never_changes():
    pmf = named([1.0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        pmf.probabilities = (0.5,)


def test_an_arm_that_is_not_in_it_has_no_probability():
    with pytest.raises((KeyError, ValueError)):
        named([1.0])["vanished"]
