"""Sums of a whole table of events up to a time, in columns."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd

from bandit.profile.event_rows import EventRows, event_rows
from bandit.profile.local_cells import local_cells
from bandit.profile.sessions import LONGEST_MINUTES, summed_sessions
from bandit.profile.spec import ProfileSpec
from bandit.profile.sums import (
    COUNTED,
    DAY_SECONDS,
    N_CELLS,
    N_MONTHS,
    PERIOD,
    PREFERENCES,
    Counts,
    Sums,
    day_of,
    microseconds,
    n_periods,
)

_SECOND, _MINUTE = 1_000_000, 60


def sums_at(events: pd.DataFrame, at: datetime, spec: ProfileSpec) -> Sums:
    """Sums of the events strictly before a time, of every customer who had any.

    Args:
        events: as `bandit.profile.events` says.
        at: with a zone.
        spec: what the types mean, and the windows.
    """
    moment = microseconds(at)
    rows, today = event_rows(events, moment, spec), day_of(moment)
    sessions, seconds = _sessions(rows, today, spec)
    cells, months = _cells_and_months(rows, today, spec)
    recent = rows.marks["active"] & (rows.days >= today - spec.windows.preferences)
    everything = np.ones(len(rows.who), dtype=np.bool_)
    marks = rows.marks
    return Sums(
        at=moment,
        customers=rows.customers,
        counts=_counts(rows, today, spec),
        earlier=_earlier(rows, today, spec),
        referrals=rows.counted(marks["referral"]),
        first={
            "any": rows.first(everything),
            "signup": rows.first(marks["signup"]),
            "purchase": rows.first(marks["purchase"]),
        },
        last={
            "active": rows.last(marks["active"]),
            "login": rows.last(marks["login"]),
            "purchase": rows.last(marks["purchase"]),
        },
        sessions=sessions,
        session_seconds=seconds,
        periods=_periods(rows, today, spec),
        preferred={name: rows.most_frequent(recent, rows.texts[name]) for name in PREFERENCES},
        cells=cells,
        months=months,
    )


def _counts(rows: EventRows, today: int, spec: ProfileSpec) -> dict[str, Counts]:
    """What `COUNTED` names."""
    found = {}
    for name, (mark, window) in COUNTED.items():
        since = rows.days >= today - getattr(spec.windows, window)
        if name == "money":
            found[name] = rows.added(rows.marks["priced"] & since, rows.amounts)
        else:
            found[name] = rows.counted(rows.marks[mark] & since)
    return found


def _earlier(rows: EventRows, today: int, spec: ProfileSpec) -> Counts:
    """Activity in the window of the trend before the last one."""
    trend = spec.windows.trend
    before = (rows.days < today - trend) & (rows.days >= today - 2 * trend - 1)
    return rows.counted(rows.marks["active"] & before)


def _sessions(rows: EventRows, today: int, spec: ProfileSpec) -> tuple[Counts, Counts]:
    minutes = np.where(rows.marks["session_end"], rows.values, 0.0)
    lasted = np.rint(np.clip(np.nan_to_num(minutes), 0.0, LONGEST_MINUTES) * _MINUTE).astype(np.int64)
    is_active, ends = rows.marks["active"], rows.times // _SECOND
    stretches = (ends - lasted)[is_active], ends[is_active]
    begin, gap = (today - spec.windows.sessions) * DAY_SECONDS, int(spec.session_gap.total_seconds())
    return summed_sessions(rows.who[is_active], stretches, len(rows.customers), gap=gap, begin=begin)


def _periods(rows: EventRows, today: int, spec: ProfileSpec) -> Counts:
    """In how many stretches of the window of purchases each customer bought."""
    n = n_periods(spec.windows.purchases)
    ago = (today - rows.days) // PERIOD
    counts = rows.marks["purchase"] & (ago < n) & (rows.days >= today - spec.windows.purchases)
    bought = rows.crossed(counts, ago, n)
    in_each: Counts = np.sum(bought > 0, axis=1, dtype=np.int64)
    return in_each


def _cells_and_months(rows: EventRows, today: int, spec: ProfileSpec) -> tuple[Counts, Counts]:
    is_active = rows.marks["active"]
    cells, months = np.zeros_like(rows.who), np.zeros_like(rows.who)
    found = local_cells(rows.times[is_active], rows.zones.codes[is_active], rows.zones.names)
    cells[is_active], months[is_active] = found
    lately = is_active & (rows.days >= today - spec.windows.activity)
    return rows.crossed(lately, cells, N_CELLS), rows.crossed(is_active, months, N_MONTHS)
