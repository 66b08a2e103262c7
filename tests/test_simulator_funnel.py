"""The funnel: opens, clicks, conversions and the rest, for whatever a campaign rewards."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.funnel import ROLES, USUAL_RATES, Funnel, Role
from simulator.world import ImpossibleWorld

types = st.dictionaries(
    st.sampled_from([*ROLES, "reply", "call"]), st.floats(-10.0, 10.0, allow_subnormal=False), min_size=1
)


@given(events=types)
def test_every_step_comes_after_the_one_it_needs_and_every_rewarded_type_is_one(events):
    funnel = Funnel.of(events)
    assert {step.type for step in funnel.steps if step.reported} == set(events)
    for place, step in enumerate(funnel.steps):
        assert step.needs is None or step.needs < place
        assert step.worth == events.get(step.type, 0.0)
        assert funnel.place(step.type) == place


@given(events=types, seed=st.integers(0, 1000))
def test_nobody_clicks_more_often_than_they_open_or_converts_more_often_than_they_click(events, seed):
    funnel = Funnel.of(events)
    given_needs = np.random.default_rng(seed).random((len(funnel.steps), 7))
    marginals = funnel.marginals(given_needs.copy())
    for place, step in enumerate(funnel.steps):
        if step.needs is None:
            np.testing.assert_array_equal(marginals[place], given_needs[place])
        else:
            np.testing.assert_array_equal(marginals[place], given_needs[place] * marginals[step.needs])


@given(events=types)
def test_the_order_of_the_types_in_the_file_changes_no_step_but_its_place(events):
    backwards = dict(reversed(events.items()))
    assert {(s.type, s.role, s.rate) for s in Funnel.of(events).steps} == {
        (s.type, s.role, s.rate) for s in Funnel.of(backwards).steps
    }


def test_opens_and_clicks_are_there_although_nobody_rewards_them():
    steps = Funnel.of({"purchase": 3.0}).steps
    assert [(step.type, step.role, step.reported) for step in steps] == [
        ("open", Role.OPEN, False),
        ("click", Role.CLICK, False),
        ("purchase", Role.CONVERSION, True),
    ]


def test_two_kinds_of_conversion_both_need_the_click():
    steps = Funnel.of({"signup": 1.0, "order": 5.0}).steps
    assert [(step.type, step.needs) for step in steps[2:]] == [("signup", 1), ("order", 1)]


def test_a_given_rate_wins_over_the_scenarios_and_that_over_the_usual_one():
    events = {"click": 1.0, "reply": 1.0, "complaint": -1.0}
    funnel = Funnel.of(events, {"click": 0.1}, usual={Role.CLICK: 0.01, Role.OTHER: 0.05})
    rates = {step.type: step.rate for step in funnel.steps}
    assert rates == {
        "open": USUAL_RATES[Role.OPEN],
        "click": 0.1,
        "reply": 0.05,
        "complaint": USUAL_RATES[Role.COMPLAINT],
    }


@given(clicks=st.floats(1e-9, 0.999))
def test_where_only_many_clicks_are_told_there_are_opens_enough_for_them(clicks):
    opened, clicked, *_ = Funnel.of({"click": 1.0}, {"click": clicks}).steps
    assert USUAL_RATES[Role.OPEN] <= opened.rate < 1.0
    assert clicked.rate == clicks < opened.rate


def test_the_expected_reward_is_the_sum_of_worths_times_probabilities():
    funnel = Funnel.of({"click": 2.0, "conversion": 5.0, "unsubscribe": -1.0})
    marginals = np.array([[0.5], [0.2], [0.1], [0.01]])
    worths = [step.worth for step in funnel.steps]
    np.testing.assert_allclose(funnel.expected(marginals, worths), [2.0 * 0.2 + 5.0 * 0.1 - 0.01])


@pytest.mark.parametrize(
    ("rates", "advice"),
    [
        ({"click": 4.0}, "rate of click is 4.0"),
        ({"click": float("nan")}, "between 0 and 1"),
        ({"click": 0.3, "open": 0.3}, "let clicks be rarer than opens; give both"),
        ({"purchase": 0.3}, "This campaign's types: open, click, conversion."),
    ],
)
def test_a_rate_that_cannot_be_is_refused_with_what_would_be_right(rates, advice):
    with pytest.raises(ImpossibleWorld, match=re.escape(advice)):
        Funnel.of({"click": 1.0, "conversion": 1.0}, rates)
