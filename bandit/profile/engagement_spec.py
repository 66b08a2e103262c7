"""How engaged a customer is, as the campaign counts it: weights, login scores, full marks and levels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bandit.fault import Reader, is_number

PARTS: Final = (
    "login_frequency",
    "feature_usage",
    "social_activity",
    "referral_history",
    "email_engagement",
    "support",
)
"""The parts of the engagement score, each from 0 to 100."""
COUNTED: Final = PARTS[1:]
"""Parts that are a count out of full marks; the first is told by the last login."""
LEVELS: Final = ("power_user", "active_user", "moderate_user", "low_engagement")
LOWEST: Final = "inactive_user"
"""The level of everybody below the last threshold."""
_WEIGHTS: Final = (0.25, 0.20, 0.15, 0.15, 0.15, 0.10)
_FULL: Final = (20.0, 10.0, 5.0, 10.0, 2.0)
_STARTS: Final = (80.0, 60.0, 40.0, 20.0)


@dataclass(frozen=True, slots=True)
class EngagementSpec:
    """The `[profile.engagement]` table.

    Attributes:
        weights: of each of `PARTS`; their sum is 1.
        login_days: a last login within so many days has the score at the same place of `login_scores`.
        login_scores: one more than `login_days`: the last one is for a login longer ago than all of them.
        login_never: the score of a customer who never logged in.
        full: how many points of each of `COUNTED` give 100.
        levels: from which score on each of `LEVELS` begins.

    >>> EngagementSpec().level_of(80.0), EngagementSpec().level_of(3.0)
    ('power_user', 'inactive_user')
    """

    weights: Mapping[str, float] = field(default_factory=lambda: dict(zip(PARTS, _WEIGHTS, strict=True)))
    login_days: tuple[float, ...] = (1.0, 7.0, 30.0, 90.0)
    login_scores: tuple[float, ...] = (100.0, 80.0, 60.0, 40.0, 20.0)
    login_never: float = 0.0
    full: Mapping[str, float] = field(default_factory=lambda: dict(zip(COUNTED, _FULL, strict=True)))
    levels: Mapping[str, float] = field(default_factory=lambda: dict(zip(LEVELS, _STARTS, strict=True)))

    def level_of(self, score: float) -> str:
        """The level of an engagement score in [0, 100]."""
        return next((level for level in LEVELS if score >= self.levels[level]), LOWEST)


def read_engagement(table: Reader) -> EngagementSpec:
    """The table, with its faults noted."""
    usual = EngagementSpec()
    weights = _numbers(table, "weights", usual.weights, low=0.0, wanted="a weight in [0, 1]", high=1.0)
    if not math.isclose(sum(weights.values()), 1.0, abs_tol=1e-6):
        table.fault("weights", f"weights whose sum is {sum(weights.values()):g}", "weights whose sum is 1")
    full = _numbers(table, "full", usual.full, low=1.0, wanted="how many points give 100, from 1 on", high=1e6)
    levels = _numbers(table, "levels", usual.levels, low=0.0, wanted="a score in [0, 100]", high=100.0)
    if any(above <= below for above, below in itertools.pairwise(levels.values())):
        table.fault("levels", dict(levels), "scores that fall from power_user down to low_engagement")
    days = _list(table, "login_days", usual.login_days)
    scores = _list(table, "login_scores", usual.login_scores)
    if any(late <= early for early, late in itertools.pairwise((0.0, *days))):
        table.fault("login_days", list(days), "days from above 0 on that rise, such as [1, 7, 30, 90]")
    if len(scores) != len(days) + 1 or not all(0.0 <= score <= 100.0 for score in scores):
        advice = "scores in [0, 100], one for each of login_days and one for any longer time"
        table.fault("login_scores", list(scores), advice)
    never = table.number("login_never", low=0.0, high=100.0, default=usual.login_never, wanted="a score in [0, 100]")
    table.refuse_the_rest(("weights", "full", "levels", "login_days", "login_scores", "login_never"))
    return EngagementSpec(weights, days, scores, never, full, levels)


def _numbers(
    table: Reader, key: str, usual: Mapping[str, float], *, low: float, high: float, wanted: str
) -> dict[str, float]:
    """A table of numbers under known names; those that are not given have their usual value."""
    inner = table.table(key)
    found = {name: inner.number(name, low=low, high=high, default=usual[name], wanted=wanted) for name in usual}
    inner.refuse_the_rest(usual)
    return found


def _list(table: Reader, key: str, usual: tuple[float, ...]) -> tuple[float, ...]:
    if key not in table.names():
        return usual
    found = table.take(key)
    if isinstance(found, list) and found and all(is_number(one) for one in found):
        return tuple(float(one) for one in found)
    table.fault(key, found, "a list of numbers")
    return usual
