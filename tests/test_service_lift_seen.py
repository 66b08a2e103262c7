"""When a lift can be seen by somebody who looks daily, and the smallest one that a list can show at all."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.power import Comparison, smallest_lift
from service.lift_seen import DailyLooks, FirstDays, always_valid, naive
from service.visible_lift import Asked, visible_lift


@pytest.fixture
def campaign(worlds):
    """Four arms, a fifth of the customers in control."""
    return worlds.campaign(
        groups={"random": 0.1, "control": {"share": 0.2, "choice": {"subject": "a"}}},
        dimension=[worlds.dimension("subject", *"abcd")],
    )


def _looks(rewards, treated, *, days=20, window=0.0, customers=None):
    n = len(rewards)
    whose = np.arange(n) if customers is None else customers
    return DailyLooks.of(treated, whose, np.asarray(rewards, dtype=float), np.arange(n) / n * days + window)


def test_a_lift_is_not_seen_before_the_first_window_has_closed():
    treated = np.arange(4000) % 2 == 0
    found = [_looks(treated, treated, window=window) for window in (0.0, 5.0)]
    early, late = (always_valid(looks, 0.5, (0.0, 1.0), 4000).better for looks in found)
    assert (early, late) == (1, 6)
    assert naive(found[1]) == FirstDays(better=6)


def test_a_send_that_matures_late_holds_up_those_after_it():
    looks = DailyLooks.of(np.ones(4, bool), np.arange(4), np.zeros(4), np.array([0.5, 3.5, 1.0, 1.5]))
    assert looks.known.tolist() == [1, 1, 1, 4]
    assert [part.tolist() for part in looks.looks()] == [[1, 4], [1, 4]]


def test_control_being_better_is_said_too():
    treated = np.arange(4000) % 2 == 0
    found = always_valid(_looks(~treated, treated), 0.5, (0.0, 1.0), 4000)
    assert (found.better, found.worse, found.claimed) == (None, 1, True)


def test_a_lift_that_turned_around_was_seen_on_the_day_it_was_seen():
    """The bounds cross in the end and say nothing more; whoever looked before they did saw a winner."""
    treated = np.arange(8000) % 2 == 0
    rewards = np.where(np.arange(8000) < 4000, treated, ~treated)
    found = always_valid(_looks(rewards, treated), 0.5, (0.0, 1.0), 8000)
    assert found.better == 1


def test_looking_daily_misleads_the_naive_test_and_not_the_bounds():
    """100 logs without effect, 3 sends a customer, looked at on 20 days."""
    rng = np.random.default_rng(3)
    claims = np.zeros(2)
    for _ in range(100):
        treated = rng.permutation(np.arange(500) % 2 == 0)
        rewards = rng.random(1500) < np.tile(rng.beta(1.0, 4.0, size=500), 3)
        looks = _looks(rewards, np.tile(treated, 3), customers=np.tile(np.arange(500), 3))
        claims += always_valid(looks, 0.5, (0.0, 1.0), 1500).claimed, naive(looks).claimed
    assert claims[0] <= 5
    assert claims[1] >= 20


def test_nobody_sees_anything_in_a_log_without_rows():
    empty = _looks([], np.zeros(0, dtype=bool))
    assert (always_valid(empty, 0.5, (0.0, 1.0), 10), naive(empty)) == (FirstDays(), FirstDays())


def test_a_control_share_that_is_advised_shows_the_lift(campaign):
    """A fifth of the list is in control here, and a larger share shows what it does not."""
    planned, halves = (Comparison(0.05, 0.9 - share, share, 1, 2.0, 0.1) for share in (0.2, 0.45))
    lift = (smallest_lift(planned, 30_000) + smallest_lift(halves, 30_000)) / 2
    found = visible_lift(campaign, Asked(0.05, 30_000, 60_000, 0.1, lift))
    share = found.control_share
    assert found.smallest[0].lift > lift
    assert share > 0.2
    assert smallest_lift(Comparison(0.05, 0.9 - share, share, 1, 2.0, 0.1), 30_000) == pytest.approx(lift, rel=1e-3)


def test_a_lift_that_no_share_shows_is_answered_in_customers(campaign):
    found = visible_lift(campaign, Asked(0.05, 1_000, 2_000, 0.1, 0.05))
    assert found.control_share is None
    again = visible_lift(campaign, Asked(0.05, found.customers, 2 * found.customers, 0.1, 0.05))
    assert again.smallest[0].lift == pytest.approx(0.05, rel=1e-3)


def test_without_a_rewarded_send_of_control_there_is_no_rate_to_lift(campaign):
    assert visible_lift(campaign, Asked(0.0, 1_000, 2_000, 0.1, 0.05)) is None
