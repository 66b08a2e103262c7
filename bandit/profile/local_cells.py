"""When events were, where the customer lives: the hour of the week and the month that a wall clock and a calendar showed."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bandit.profile.sums import Counts

_HOURS = 24


def local_cell(at: datetime, zone: str) -> tuple[int, int]:
    """The hour of the week, in [0, 168), and the month, in [0, 12), of a moment in a zone.

    An hour that clocks skip is never shown, and one that they show twice is shown twice.

    >>> from datetime import UTC
    >>> local_cell(datetime(2026, 3, 29, 1, 30, tzinfo=UTC), "Europe/Berlin")
    (147, 2)
    """
    local = at.astimezone(ZoneInfo(zone))
    return local.weekday() * _HOURS + local.hour, local.month - 1


def local_cells(times: Counts, zones: Counts, names: list[str]) -> tuple[Counts, Counts]:
    """The same for many moments.

    Args:
        times: microseconds since 1970, shape (n,).
        zones: positions in `names`, shape (n,).
        names: IANA zones.

    Returns:
        Hours of the week and months, each of shape (n,).
    """
    cells, months = np.zeros(len(times), dtype=np.int64), np.zeros(len(times), dtype=np.int64)
    for place in np.unique(zones).tolist():
        rows = np.flatnonzero(zones == place)
        moments = pd.DatetimeIndex(times[rows].astype("datetime64[us]")).tz_localize("UTC")
        local = moments.tz_convert(ZoneInfo(names[place]))
        cells[rows] = local.day_of_week.to_numpy() * _HOURS + local.hour.to_numpy()
        months[rows] = local.month.to_numpy() - 1
    return cells, months
