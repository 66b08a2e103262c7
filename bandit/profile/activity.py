"""At which hours of the week a customer is active, where they live, and in which months of the year.

A few events say little, so each customer begins with some events of the population: the share of cell k is

    (n_k + strength * q_k) / (n + strength)

where n_k of the customer's n events fall in the cell, and a share q_k of everybody's. With no event it is q, with many it is
the customer's own.

Source: the mean of a Dirichlet posterior, Gelman et al. (2013), Bayesian Data Analysis, 3.4.
"""

from __future__ import annotations

import numpy as np

from bandit.arrays import FloatArray
from bandit.profile.maker import Columns, Maker, texts
from bandit.profile.population import Population
from bandit.profile.spec import ProfileSpec
from bandit.profile.sums import N_MONTHS, Counts, Sums

_HOURS, _WEEKDAYS, _SATURDAY, _YEAR = 24, 7, 5, 365.0
DAYPARTS = ("night", "morning", "afternoon", "evening")
"""Six hours each, from midnight on."""
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def activity_profile(sums: Sums, population: Population, spec: ProfileSpec) -> FloatArray:
    """Shares of a customer's activity by local hour of the week, smoothed towards the population.

    Returns:
        Shape (n, 168), each row with the sum 1; cell 0 is Monday from 00:00 to 01:00.

    Caution: it says when customers act, not when they read mail; and hours at which they were written to are overrepresented
    wherever opens and clicks count as activity.
    """
    return _smoothed(sums.cells, np.array(population.cells), spec.shrinkage.activity)


def habits(sums: Sums, population: Population, spec: ProfileSpec) -> Columns:
    """The hour, the part of the day and the weekday at which a customer is most active."""
    strength = spec.shrinkage.activity
    cells = sums.cells.reshape(len(sums), _WEEKDAYS, _HOURS)
    usual = np.array(population.cells).reshape(_WEEKDAYS, _HOURS)
    by_hour, by_day = cells.sum(axis=1), cells.sum(axis=2)
    hours = _smoothed(by_hour, usual.sum(axis=0), strength)
    days = _smoothed(by_day, usual.sum(axis=1), strength)
    parts = by_hour.reshape(len(sums), len(DAYPARTS), _HOURS // len(DAYPARTS)).sum(axis=2)
    usual_parts = usual.sum(axis=0).reshape(len(DAYPARTS), -1).sum(axis=1)
    return {
        "preferred_hour": np.argmax(hours, axis=1).astype(np.float64),
        "preferred_daypart": texts(list(DAYPARTS), np.argmax(_smoothed(parts, usual_parts, strength), axis=1)),
        "preferred_weekday": texts(list(WEEKDAYS), np.argmax(days, axis=1)),
        "weekend_share": days[:, _SATURDAY] + days[:, _SATURDAY + 1],
    }


def seasons(sums: Sums, population: Population, spec: ProfileSpec) -> Columns:
    """How unevenly a customer's activity lies over the months, and how the month of the features compares with a mean one.

    Seasonality is half the sum of |share - 1/12| over the months, divided by 11/12, its largest value: 0 for the same in every
    month, 1 for all in one. Both are missing until a customer is known for a year: before that nobody can tell a season from
    a beginning.
    """
    shares = _smoothed(sums.months, np.array(population.months), spec.shrinkage.activity)
    distance = np.zeros(len(sums))
    for month in range(N_MONTHS):
        distance += np.abs(shares[:, month] - 1.0 / N_MONTHS)
    this_month = int(np.datetime64(sums.at, "us").astype("datetime64[M]").astype(np.int64)) % N_MONTHS
    is_known = sums.days_since(sums.first["any"]) >= _YEAR
    return {
        "seasonality": np.where(is_known, np.minimum(distance / 2.0 / (1.0 - 1.0 / N_MONTHS), 1.0), np.nan),
        "season_index": np.where(is_known, shares[:, this_month] * N_MONTHS, np.nan),
    }


def _smoothed(counts: Counts, usual: FloatArray, strength: float) -> FloatArray:
    """Shares of each row, drawn towards the usual ones; shape of `counts`."""
    shares: FloatArray = (counts + strength * usual) / (counts.sum(axis=1, keepdims=True) + strength)
    return shares


ACTIVITY = Maker(
    {
        "preferred_hour": "the local hour, 0 to 23, with the largest share of activity in `windows.activity`, smoothed",
        "preferred_daypart": "night (from 00), morning (06), afternoon (12) or evening (18), the same way",
        "preferred_weekday": "monday to sunday, the same way",
        "weekend_share": "share of activity on Saturdays and Sundays, smoothed",
    },
    habits,
)
SEASONS = Maker(
    {
        "seasonality": "0 for the same activity in every month of the year, 1 for all in one; missing in the first year",
        "season_index": "activity in the month it is now, as a multiple of a mean month; missing in the first year",
    },
    seasons,
)
