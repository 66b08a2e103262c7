"""How long a customer has been one, how lately they did anything, and the stage that this makes."""

from __future__ import annotations

import numpy as np

from bandit.profile.maker import Columns, Maker, texts
from bandit.profile.population import Population
from bandit.profile.spec import ProfileSpec
from bandit.profile.sums import NEVER, Sums

STAGES = ("dormant", "at_risk", "new", "growing", "established")
"""In the order in which they are asked about."""
NEAREST = {"dormant": "at_risk", "at_risk": "established", "new": "growing", "growing": "established"}
"""What a stage is called where a campaign does not tell it from another one."""


def lifecycle(sums: Sums, population: Population, spec: ProfileSpec) -> Columns:
    """Ages, and the first stage that applies: dormant, at_risk, new, growing, established."""
    del population
    wanted, counts = spec.lifecycle, sums.counts
    signup = sums.first["signup"]
    age = sums.days_since(np.where(signup == NEVER, sums.first["any"], signup))
    active = sums.days_since(sums.last["active"])
    # Whoever was never active has been idle since we know of them.
    idle = np.where(np.isnan(active), sums.days_since(sums.first["any"]), active)
    is_growing = (age < wanted.growing) | ((sums.earlier > 0) & (counts["active"] >= wanted.growth * sums.earlier))
    conditions = (idle >= wanted.dormant, idle >= wanted.at_risk, age < wanted.new, is_growing)
    places = np.select(conditions, range(len(conditions)), default=len(conditions)).astype(np.int64)
    return {
        "lifecycle_stage": texts(list(STAGES), places),
        "account_age_days": age,
        "days_since_login": sums.days_since(sums.last["login"]),
        "days_since_active": active,
        "active_events": counts["active"].astype(np.float64),
        "activity_trend": (counts["active"] + 1.0) / (sums.earlier + 1.0),
        "referrals_made": sums.referrals.astype(np.float64),
        "support_contacts": counts["support"].astype(np.float64),
    }


LIFECYCLE = Maker(
    {
        "lifecycle_stage": "new, growing, established, at_risk or dormant",
        "account_age_days": "days since the sign-up, or since the first event where no sign-up is known",
        "days_since_login": "days since the last login; missing where there was none",
        "days_since_active": "days since the customer last did anything; missing where they never did",
        "active_events": "what the customer did in `windows.trend`",
        "activity_trend": "(activity in `windows.trend` + 1) / (activity in the same time before + 1)",
        "referrals_made": "referrals ever",
        "support_contacts": "contacts with support in `windows.support`",
    },
    lifecycle,
)
