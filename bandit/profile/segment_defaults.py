"""What `[profile.segments]` says where the campaign file says nothing: rules, traits, and groups of features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from bandit.dimension import Allowed, Range

OTHER: Final = "other"
"""The segment of whoever no rule holds for."""
OTHER_TRAITS: Final = ("curiosity", "friendly", "helpful_tips", "every_two_weeks")


def _at_least(low: float) -> Range:
    return Range(low, math.inf)


_Usual = tuple[tuple[Mapping[str, Allowed], ...], tuple[str, str, str, str]]
USUAL_RULES: Final[Mapping[str, _Usual]] = {
    "champion": (
        (
            {"engagement_score": _at_least(80.0)},
            {"recency_score": _at_least(4.0), "frequency_score": _at_least(4.0), "monetary_score": _at_least(4.0)},
        ),
        ("status", "exclusive", "early_access", "weekly"),
    ),
    "loyal_customer": (
        (
            {
                "brand_loyalty": _at_least(0.5),
                "account_age_days": _at_least(180.0),
                "lifecycle_stage": frozenset(("growing", "established")),
            },
        ),
        ("belonging", "warm", "loyalty_points", "weekly"),
    ),
    "price_sensitive": (
        ({"price_sensitivity": _at_least(0.5)},),
        ("saving", "direct", "discount", "every_two_weeks"),
    ),
    "social_influencer": (
        ({"engagement_social_activity": _at_least(80.0)}, {"referrals_made": _at_least(3.0)}),
        ("recognition", "enthusiastic", "referral_bonus", "weekly"),
    ),
    "at_risk": (
        ({"lifecycle_stage": frozenset(("at_risk", "dormant"))},),
        ("reassurance", "caring", "win_back_offer", "monthly"),
    ),
}
"""Alternatives of conditions, and motivation, tone, incentive and frequency."""

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "demographic": ("age", "country", "language", "account_age_days"),
    "behavioural": ("engagement_score", "days_since_active", "session_frequency", "weekend_share"),
    "psychographic": ("price_sensitivity", "brand_loyalty", "engagement_social_activity", "preferred_content"),
    "technographic": ("preferred_channel", "preferred_device"),
    "value": ("frequency", "monetary", "referrals_made"),
}
"""Features by what they tell of a customer; those without a column in the table are left out, and named."""
