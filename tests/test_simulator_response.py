"""Probabilities follow from sums of effects, one at a time or all at once, and only from attributes that count."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulator.effects import draw_responses
from simulator.population import CATEGORIES, PROTECTED, RANGES, draw_population
from simulator.response import EVENT_TYPES, Attributes
from simulator.world import ChoiceGrid, ImpossibleWorld

GRID = ChoiceGrid({"subject": ("plain", "champion", "dominate"), "cta": ("join", "claim-spot")})
CONTEXTS = [c.context for c in draw_population(np.random.default_rng(3), 60)]
ATTRIBUTES = Attributes(dict(CATEGORIES), dict(RANGES))
MODEL = draw_responses(np.random.default_rng(4), GRID, ATTRIBUTES, CONTEXTS)
CHAMPION = {"subject": "champion", "cta": "claim-spot"}


def test_the_grid_of_probabilities_equals_the_single_ones():
    grid = MODEL.probability_grid(CONTEXTS)
    single = np.array([[MODEL.probabilities(context, choice) for choice in GRID] for context in CONTEXTS])
    np.testing.assert_allclose(grid, np.moveaxis(single, -1, 0), rtol=1e-12)


def test_a_probability_is_the_logistic_function_of_the_sum_of_its_effects():
    context = CONTEXTS[0]
    total = MODEL.choice_logits[GRID.index(CHAMPION)].copy()
    for name, values in CATEGORIES.items():
        table = MODEL.value_logits[name][values.index(context[name])]
        total += table[1] + table[3 + 1] + table[-1]  # champion, claim-spot (after three subjects), whatever is chosen
    for (name, (low, high)), rise in zip(RANGES.items(), MODEL.numeric_logits, strict=True):
        value = context[name]
        total += 0.0 if value is None else rise * ((value - low) / (high - low) - 0.5)
    assert MODEL.probabilities(context, CHAMPION) == pytest.approx(1 / (1 + np.exp(-total)), rel=1e-12)


@pytest.mark.parametrize("gender", [*PROTECTED["gender"], None, "never heard of"])
def test_a_protected_attribute_moves_nothing(gender):
    context = CONTEXTS[0]
    assert MODEL.probabilities({**context, "gender": gender}, CHAMPION) == MODEL.probabilities(context, CHAMPION)


def test_a_missing_number_counts_as_the_middle_of_its_range():
    for name, (low, high) in RANGES.items():
        middle, missing = ({**CONTEXTS[0], name: value} for value in ((low + high) / 2, None))
        assert MODEL.probabilities(missing, CHAMPION) == pytest.approx(MODEL.probabilities(middle, CHAMPION))


def test_numbers_outside_their_range_count_as_its_end():
    end, beyond = ({**CONTEXTS[0], "days_since_login": value} for value in (365.0, 1_000.0))
    assert MODEL.probabilities(beyond, CHAMPION) == MODEL.probabilities(end, CHAMPION)


@pytest.mark.parametrize("value", [math.nan, math.inf, "many"])
def test_a_number_that_is_none_is_refused(value):
    with pytest.raises(ImpossibleWorld, match="finite number or None"):
        MODEL.probabilities({**CONTEXTS[0], "referrals_made": value}, CHAMPION)


@pytest.mark.parametrize("value", ["superfan", None, 3.0])
def test_a_category_without_an_effect_is_refused_with_the_values_there_are(value):
    with pytest.raises(ImpossibleWorld, match=r"engagement_level: inactive_user, .*power_user"):
        MODEL.probabilities({**CONTEXTS[0], "engagement_level": value}, CHAMPION)


def test_a_context_without_a_category_is_refused():
    with pytest.raises(ImpossibleWorld, match="contexts of its own arrivals"):
        MODEL.probability_grid([{"days_since_login": 3.0}])


@pytest.mark.parametrize(
    ("categories", "ranges"),
    [
        ({"device": ()}, {}),
        ({"device": ("mobile", "mobile")}, {}),
        ({}, {"age": (1.0, 1.0)}),
        ({}, {"age": (0.0, math.nan)}),
    ],
)
def test_attributes_without_values_or_width_are_refused(categories, ranges):
    with pytest.raises(ImpossibleWorld, match="each value once"):
        Attributes(categories, ranges)


def test_there_is_one_probability_an_event():
    assert len(MODEL.probabilities(CONTEXTS[0], CHAMPION)) == len(EVENT_TYPES)
