"""How engaged a customer is: a score of 0 to 100 in six parts, and its level."""

from __future__ import annotations

import numpy as np

from bandit.arrays import FloatArray
from bandit.profile.engagement_spec import LEVELS, LOWEST, PARTS, EngagementSpec
from bandit.profile.maker import Column, Columns, Maker, texts
from bandit.profile.population import Population, smoothed
from bandit.profile.spec import ProfileSpec
from bandit.profile.sums import Counts, Sums

_CLICK_POINTS = 2


def engagement(sums: Sums, population: Population, spec: ProfileSpec) -> Columns:
    """The score, its parts and its level.

    The score is the weighted sum of the parts. The first part is told by the days since the last login, each of the others is
    min(1, points / full) * 100, with one point an event, and two for a click in an e-mail.
    """
    del population
    counts, wanted = sums.counts, spec.engagement
    points = {
        "feature_usage": counts["usage"],
        "social_activity": counts["social"],
        "referral_history": sums.referrals,
        "email_engagement": counts["opens"] + _CLICK_POINTS * counts["clicks"],
        "support": counts["support"],
    }
    parts = {"login_frequency": _login(sums.days_since(sums.last["login"]), wanted)}
    parts |= {name: _out_of_full(found, wanted.full[name]) for name, found in points.items()}
    score = np.zeros(len(sums))
    for name in PARTS:
        score += wanted.weights[name] * parts[name]
    return {
        "engagement_score": np.minimum(score, 100.0),
        "engagement_level": _level(score, wanted),
        **{f"engagement_{name}": parts[name] for name in PARTS},
    }


def _login(days: FloatArray, wanted: EngagementSpec) -> FloatArray:
    places = np.searchsorted(np.array(wanted.login_days), days, side="left")
    return np.where(np.isnan(days), wanted.login_never, np.array(wanted.login_scores)[places])


def _out_of_full(points: Counts, full: float) -> FloatArray:
    return np.minimum(points / full, 1.0) * 100.0


def _level(score: FloatArray, wanted: EngagementSpec) -> Column:
    below = sum((score < wanted.levels[level]).astype(np.int64) for level in LEVELS)
    return texts([*LEVELS, LOWEST], np.asarray(below))


def email_rates(sums: Sums, population: Population, spec: ProfileSpec) -> Columns:
    """How often a customer opens and clicks what is sent, drawn towards the population."""
    counts, strength = sums.counts, spec.shrinkage.rates
    return {
        "email_open_rate": smoothed(counts["opens"], counts["sent"], population.open_rate, strength),
        "email_click_rate": smoothed(counts["clicks"], counts["sent"], population.click_rate, strength),
        "emails_sent": counts["sent"].astype(np.float64),
    }


ENGAGEMENT = Maker(
    {
        "engagement_score": "weighted sum of the six parts, 0 to 100",
        "engagement_level": "power_user, active_user, moderate_user, low_engagement or inactive_user, by the score",
        "engagement_login_frequency": "100 / 80 / 60 / 40 / 20 for a last login within 1 / 7 / 30 / 90 / more days, 0 for never",
        "engagement_feature_usage": "uses of features in `windows.usage`, out of full marks",
        "engagement_social_activity": "shares and other social events in `windows.social`, out of full marks",
        "engagement_referral_history": "referrals ever, out of full marks",
        "engagement_email_engagement": "opens and twice the clicks in `windows.email`, out of full marks",
        "engagement_support": "contacts with support in `windows.support`, out of full marks",
    },
    engagement,
)
EMAIL = Maker(
    {
        "email_open_rate": "opens a message sent in `windows.email`, smoothed; missing where none was sent",
        "email_click_rate": "clicks a message sent, the same way",
        "emails_sent": "messages sent in `windows.email`",
    },
    email_rates,
)
