"""Waiting is by the clock: as long as was said, and one attempt at least."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.patience import PAUSE_SECONDS, Patience


class Clock:
    """Goes on where somebody sleeps, and where an attempt takes its time."""

    def __init__(self):
        self.now = 100.0

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    """The clock that patience goes by."""
    made = Clock()
    monkeypatch.setattr("service.patience.time.monotonic", lambda: made.now)
    monkeypatch.setattr("service.patience.time.sleep", made.sleep)
    return made


@pytest.mark.parametrize(("attempt_seconds", "n_attempts"), [(0.0, 42), (0.15, 11), (3.0, 1)])
def test_an_attempt_that_takes_long_leaves_time_for_fewer(clock, attempt_seconds, n_attempts):
    patience, made = Patience(timedelta(seconds=2.02)), 1
    clock.sleep(attempt_seconds)
    while patience.pause():
        made += 1
        clock.sleep(attempt_seconds)
    assert made == n_attempts
    assert clock.now - 100.0 <= 2.02 + PAUSE_SECONDS + attempt_seconds + 1e-9


def test_where_no_time_was_given_nobody_pauses(clock):
    assert not Patience(timedelta(0)).pause()
    assert clock.now == 100.0


def test_what_is_over_stays_over(clock):
    patience = Patience(timedelta(seconds=1))
    clock.sleep(1.0)
    assert [patience.pause() for _ in range(3)] == [False] * 3
    assert clock.now == 101.0
