"""Sample campaigns that ship with the package."""

from __future__ import annotations

import re
from datetime import date, timedelta
from importlib import resources

SAMPLES = {"referral-contest": "referral_contest.toml", "winback-es": "winback_es.toml"}
"""File of each sample, by its name."""

_BEGINS = re.compile(r"^begins = (\d{4}-\d\d-\d\d)", flags=re.MULTILINE)
_DAY = re.compile(r"\b\d{4}-\d\d-\d\d\b")


def sample_text(name: str) -> str:
    """The campaign file of a sample.

    >>> sample_text("referral-contest").splitlines()[2]
    '[campaign]'
    """
    return resources.files("service").joinpath("campaigns", SAMPLES[name]).read_text(encoding="utf-8")


def beginning(text: str, day: date) -> str:
    r"""A campaign file whose `[time].begins` is this day: all its dates are moved by as much, those in comments too.

    Args:
        text: of the file; it stays as it is where nothing begins.
        day: the first one.

    >>> print(beginning("begins = 2026-01-05\nends = 2026-02-01", date(2026, 3, 1)))
    begins = 2026-03-01
    ends = 2026-03-28
    """
    found = _BEGINS.search(text)
    if found is None:
        return text
    later: timedelta = day - date.fromisoformat(found[1])
    return _DAY.sub(lambda one: (date.fromisoformat(one[0]) + later).isoformat(), text)
