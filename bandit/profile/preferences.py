"""How often and how long a customer is there, and by which channel, device and content."""

from __future__ import annotations

import numpy as np

from bandit.profile.maker import Columns, Maker
from bandit.profile.population import Population
from bandit.profile.spec import ProfileSpec
from bandit.profile.sums import PREFERENCES, Sums

_WEEK, _MINUTE = 7.0, 60.0


def sessions(sums: Sums, population: Population, spec: ProfileSpec) -> Columns:
    """Sessions a week, over the window or the time since the first event, at least a week; and their mean length."""
    del population
    known = np.maximum(np.minimum(sums.days_since(sums.first["any"]), float(spec.windows.sessions)), _WEEK)
    minutes = sums.session_seconds / np.maximum(sums.sessions, 1) / _MINUTE
    return {
        "session_frequency": sums.sessions / known * _WEEK,
        "session_minutes": np.where(sums.sessions > 0, minutes, np.nan),
    }


def preferences(sums: Sums, population: Population, spec: ProfileSpec) -> Columns:
    """What stands most often beside the customer's activity; the first in the order of code points where several do."""
    del population, spec
    return {f"preferred_{name}": sums.preferred[name] for name in PREFERENCES}


SESSIONS = Maker(
    {
        "session_frequency": "sessions a week in `windows.sessions`",
        "session_minutes": "mean length of a session, from its first to its last event; missing where there is none",
    },
    sessions,
)
PREFERRED = Maker(
    {
        "preferred_channel": "the `channel` of most activity in `windows.preferences`; missing where none is known",
        "preferred_device": "the `device`, the same way",
        "preferred_content": "the `content`, the same way",
    },
    preferences,
)
