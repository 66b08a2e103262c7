"""The sums up to a time that one customer's state holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import numpy as np

from bandit.errors import UnusableEvents
from bandit.profile.sessions import within
from bandit.profile.spec import ProfileSpec
from bandit.profile.state import Name, State, require_same
from bandit.profile.sums import (
    COUNTED,
    DAY_SECONDS,
    N_CELLS,
    N_MONTHS,
    NEVER,
    PERIOD,
    PREFERENCES,
    Counts,
    Sums,
    Texts,
    day_of,
    microseconds,
    n_periods,
)


def sums_of(state: State, at: datetime, spec: ProfileSpec, *, customer_id: str = "") -> Sums:
    """The sums of one customer, as `bandit.profile.summing.sums_at` would make them of the same events.

    Raises:
        UnusableEvents: if the state holds an event at this time or after it, which it cannot forget, or was made under
            another `[profile]`.
    """
    moment = microseconds(at)
    require_same(state, spec.sums_hash)
    if state.latest >= moment:
        raise UnusableEvents(
            f"features at {at.isoformat()} were asked of sums that hold an event of that time or later: they would know the "
            "future. Ask for a later time, or make the features from the table of events."
        )
    today, windows = day_of(moment), spec.windows
    counts, earlier = _counted(state, today, spec)
    sessions, seconds = within(state.sessions, (today - windows.sessions) * DAY_SECONDS)
    tastes = _total(state.tastes, today - windows.preferences)
    return Sums(
        at=moment,
        customers=_texts(customer_id),
        counts={name: _row(count) for name, count in counts.items()},
        earlier=_row(earlier),
        referrals=_row(state.referrals),
        first={name: _row(state.first.get(name, NEVER)) for name in ("any", "signup", "purchase")},
        last={name: _row(state.last.get(name, NEVER)) for name in ("active", "login", "purchase")},
        sessions=_row(sessions),
        session_seconds=_row(seconds),
        periods=_row(_periods(state, today, windows.purchases)),
        preferred={name: _texts(_most_frequent(tastes, f"{name}=")) for name in PREFERENCES},
        cells=_spread(_total(state.cells, today - windows.activity), N_CELLS),
        months=_spread(state.months, N_MONTHS),
    )


def _counted(state: State, today: int, spec: ProfileSpec) -> tuple[dict[str, int], int]:
    """What `COUNTED` names, and activity in the window of the trend before the last one."""
    begins: dict[str, list[tuple[str, int]]] = {}
    for name, (mark, window) in COUNTED.items():
        begins.setdefault(mark, []).append((name, today - getattr(spec.windows, window)))
    found, earlier, trend = dict.fromkeys(COUNTED, 0), 0, spec.windows.trend
    for day, counts in state.days.items():
        for mark, count in counts.items():
            for name, begin in begins.get(mark, ()):
                found[name] += count if day >= begin else 0
        earlier += counts.get("active", 0) if today - 2 * trend - 1 <= day < today - trend else 0
    return found, earlier


def _total(days: Mapping[int, Mapping[Name, int]], since: int) -> dict[Name, int]:
    found: Counter[Name] = Counter()
    for day, counts in days.items():
        if day >= since:
            for name, count in counts.items():
                found[name] += count
    return found


def _periods(state: State, today: int, window: int) -> int:
    bought = {
        (today - day) // PERIOD for day, counts in state.days.items() if day >= today - window and "purchase" in counts
    }
    return len({ago for ago in bought if ago < n_periods(window)})


def _most_frequent(tastes: Mapping[str, int], prefix: str) -> str | None:
    found = {name: count for name, count in tastes.items() if name.startswith(prefix)}
    best = min(found, key=lambda name: (-found[name], name), default=None)
    return best.removeprefix(prefix) if best else None


def _spread(counts: Mapping[int, int], length: int) -> Counts:
    found = np.zeros((1, length), dtype=np.int64)
    for place, count in counts.items():
        found[0, place] = count
    return found


def _row(number: int) -> Counts:
    return np.array([number], dtype=np.int64)


def _texts(text: str | None) -> Texts:
    return np.array([text], dtype=object)
