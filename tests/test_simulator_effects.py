"""Effects are drawn once from a generator, with mean rates that are given and sizes that are meant."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.effects import DEFAULT_RATES, EffectSizes, draw_responses
from simulator.population import CATEGORIES, RANGES, draw_population
from simulator.response import EVENT_TYPES, Attributes
from simulator.world import ChoiceGrid, ImpossibleWorld

SMALL = ChoiceGrid({"subject": [f"s{i}" for i in range(5)], "cta": ("join", "claim-spot")})
LARGE = ChoiceGrid({"subject": [f"s{i}" for i in range(12)], "cta": list("abcd"), "slot": [f"h{i}" for i in range(10)]})
CONTEXTS = [c.context for c in draw_population(np.random.default_rng(3), 1_500)]
ATTRIBUTES = Attributes(dict(CATEGORIES), dict(RANGES))
NOTHING = EffectSizes(customer=0.0, arm=0.0, affinity=0.0, pair=0.0, favourite={}, trend={})


def drawn(choices=SMALL, seed=4, **changes):
    return draw_responses(np.random.default_rng(seed), choices, ATTRIBUTES, CONTEXTS, **changes)


@pytest.mark.parametrize(("choices", "tolerance"), [(SMALL, 1e-9), (LARGE, 5e-3)])
@pytest.mark.parametrize("click_rate", [0.04, 0.3])
def test_a_uniform_choice_gives_the_rates_asked_for(choices, tolerance, click_rate):
    """Exactly where all choices are summed over; to half a percent (relative) where 200,000 pairs stand for them."""
    rates = {**DEFAULT_RATES, "click": click_rate}
    click, conversion, unsubscribe, complaint = drawn(choices, rates=rates).probability_grid(CONTEXTS)
    measured = (click.mean(), (click * conversion).mean() / click.mean(), unsubscribe.mean(), complaint.mean())
    assert measured == pytest.approx([rates[name] for name in EVENT_TYPES], rel=tolerance)


def test_without_effects_everybody_reacts_at_the_mean_rate():
    grid = drawn(sizes=NOTHING).probability_grid(CONTEXTS[:20])
    for probabilities, name in zip(grid, EVENT_TYPES, strict=True):
        np.testing.assert_allclose(probabilities, DEFAULT_RATES[name], rtol=1e-9)


def test_a_trend_makes_the_last_value_click_more_and_complain_less():
    sizes = EffectSizes(customer=0.0, arm=0.0, affinity=0.0, pair=0.0, favourite={}, trend={"engagement_level": 1.0})
    table = drawn(sizes=sizes).value_logits["engagement_level"][:, -1]
    np.testing.assert_allclose(table[-1] - table[0], [1.0, 0.5, -0.5, -0.5])


def test_values_of_a_field_with_favourites_like_different_arms():
    sizes = EffectSizes(customer=0.0, arm=0.0, affinity=0.0, pair=0.0, favourite={"engagement_level": 0.3}, trend={})
    table = drawn(LARGE, sizes=sizes).value_logits["engagement_level"][:, :, 0]
    assert len(set(table[:, :12].argmax(axis=1))) == 5
    assert len(set(table[:, 12:16].argmax(axis=1))) == 4  # four calls to action cannot differ for five levels
    np.testing.assert_allclose(table.sum(axis=1), 0.3 * 3)


def test_pairs_of_arms_are_the_only_departure_from_additive_arms():
    def departure(pair):
        logits = drawn(sizes=EffectSizes(pair=pair)).choice_logits[:, 0].reshape(SMALL.shape)
        return np.abs(logits - logits.mean(0) - logits.mean(1, keepdims=True) + logits.mean()).max()

    assert departure(0.0) < 1e-12
    assert departure(0.3) > 0.05


def test_the_same_generator_draws_the_same_effects():
    assert drawn().choice_logits.tobytes() == drawn().choice_logits.tobytes()
    assert drawn().choice_logits.tobytes() != drawn(seed=5).choice_logits.tobytes()


@pytest.mark.parametrize("change", [{"click": 4.0}, {"click": 0.0}, {"open": 0.2}])
def test_rates_that_no_base_gives_are_refused(change):
    with pytest.raises(ImpossibleWorld, match="a share, not percent"):
        drawn(rates={**DEFAULT_RATES, **change})


@pytest.mark.parametrize("sizes", [EffectSizes(trend={"mood": 1.0}), EffectSizes(favourite={"referrals_made": 1.0})])
def test_effects_of_fields_nobody_has_are_refused(sizes):
    with pytest.raises(ImpossibleWorld, match="silently be absent"):
        drawn(sizes=sizes)


def test_negative_effect_sizes_are_refused():
    with pytest.raises(ImpossibleWorld, match="standard deviations"):
        EffectSizes(arm=-0.1)


def test_lifts_that_are_not_finite_are_refused():
    with pytest.raises(ImpossibleWorld, match="give finite numbers"):
        EffectSizes(trend={"engagement_level": float("inf")})
