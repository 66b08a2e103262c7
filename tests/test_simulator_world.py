"""Choices are numbered once and for all, and records refuse what no campaign could use."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.world import Arrival, ChoiceGrid, ImpossibleWorld, SimulatedOutcome, luck

GOLDEN = (0.3571928087582078, 0.05577759810279981)  # frozen: changing it changes every simulated campaign ever quoted
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
GRID = ChoiceGrid({"subject": ("plain", "champion", "dominate"), "cta": ("join", "claim-spot")})


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_every_number_leads_to_a_choice_and_back(sizes, data):
    grid = ChoiceGrid({f"d{d}": [f"arm{i}" for i in range(size)] for d, size in enumerate(sizes)})
    index = data.draw(st.integers(0, len(grid) - 1))
    assert grid.index(grid.at(index)) == index
    assert len(grid) == np.prod(sizes)


def test_choices_run_through_the_last_dimension_fastest():
    expected = [{"subject": s, "cta": c} for s, c in itertools.product(*GRID.dimensions.values())]
    assert list(GRID) == expected
    assert [GRID.at(i) for i in range(6)] == expected


@pytest.mark.parametrize(
    "choice",
    [
        {"subject": "plain"},
        {"subject": "plain", "cta": "vanish"},
        {"subject": "plain", "cta": "join", "benefit": "vip"},
        {},
    ],
)
def test_a_choice_with_a_wrong_arm_or_dimension_is_refused_with_the_arms_there_are(choice):
    with pytest.raises(ImpossibleWorld, match=r"exactly one arm of each dimension.*join, claim-spot"):
        GRID.index(choice)


@pytest.mark.parametrize("index", [-1, 6])
def test_a_number_no_choice_has_is_refused(index):
    with pytest.raises(ImpossibleWorld, match="numbered from 0 to 5"):
        GRID.at(index)


@pytest.mark.parametrize("dimensions", [{}, {"cta": ()}, {"cta": ("join", "join")}, {"cta": "join"}])
def test_dimensions_without_distinct_arms_are_refused(dimensions):
    with pytest.raises(ImpossibleWorld, match="at least one"):
        ChoiceGrid(dimensions)


def test_times_must_be_in_utc():
    with pytest.raises(ImpossibleWorld, match="tzinfo=UTC"):
        Arrival("c1", NOON.replace(tzinfo=None), {})
    with pytest.raises(ImpossibleWorld, match="time of the click"):
        SimulatedOutcome("click", NOON.astimezone(timezone(timedelta(hours=2))))


def test_a_customer_needs_an_id():
    with pytest.raises(ImpossibleWorld, match="an id of its own"):
        Arrival("", NOON, {})


def test_luck_is_uniform_and_inside_the_open_interval():
    numbers = np.array([luck(0, f"d{i}", "occurs", 8) for i in range(5_000)]).ravel()
    assert 0.0 < numbers.min() < numbers.max() < 1.0
    # Kolmogorov-Smirnov, 40,000 numbers: the .9999 quantile of the statistic is 2.23 / sqrt(n).
    distance = np.abs(np.sort(numbers) - (np.arange(numbers.size) + 0.5) / numbers.size).max()
    assert distance < 2.23 / np.sqrt(numbers.size)


def test_luck_differs_by_seed_decision_and_purpose():
    draws = {luck(seed, d, purpose, 1) for seed in (0, 1) for d in ("d1", "d2") for purpose in ("occurs", "click")}
    assert len(draws) == 8


def test_luck_is_the_same_on_every_machine():
    assert luck(7, "decision-1", "occurs", 2) == pytest.approx(GOLDEN, abs=1e-15)
