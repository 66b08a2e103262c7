"""Wall clocks: skipped times become the next minute, doubled ones the first, and hours of the week are local."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandit.local_time import moment_of
from simulator.local_time import hour_of_week, hours_of_week, moments_of, zone_named
from simulator.world import ImpossibleWorld

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Nuuk",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Apia",
    "Pacific/Kiritimati",
)
DATES = st.dates(date(2010, 1, 1), date(2037, 12, 30))
MINUTE = timedelta(minutes=1)


def wall(moment, zone):
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@given(zone=st.sampled_from(ZONES), day=DATES, minute=st.integers(0, 1439))
@example("Europe/Berlin", date(2026, 3, 29), 150)
@example("Australia/Lord_Howe", date(2026, 10, 4), 135)
@example("Pacific/Apia", date(2011, 12, 30), 600)
@example("America/Nuuk", date(2026, 3, 28), 23 * 60 + 30)
def test_a_moment_is_the_first_at_which_the_clock_shows_the_time_or_a_later_one(zone, day, minute):
    moment = moment_of(ZoneInfo(zone), day, minute)
    asked = datetime.combine(day, datetime.min.time()) + minute * MINUTE
    assert moment.utcoffset() == timedelta(0)
    assert wall(moment, zone) >= asked
    # Up to the minute before, every clock showed less; so it is the first such minute, in a gap as in an overlap.
    assert all(wall(moment - back * MINUTE, zone) < asked for back in (1, 2, 15, 29, 30, 45, 59, 60, 61, 90, 120))


@pytest.mark.parametrize(
    ("zone", "day", "minute", "utc"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 120, "2026-03-29T01:00"),
        ("Europe/Berlin", date(2026, 3, 29), 150, "2026-03-29T01:00"),
        ("Europe/Berlin", date(2026, 3, 29), 179, "2026-03-29T01:00"),
        ("Europe/Berlin", date(2026, 3, 29), 180, "2026-03-29T01:00"),
        ("Europe/Berlin", date(2026, 10, 25), 150, "2026-10-25T00:30"),
        ("Europe/Berlin", date(2026, 10, 25), 180, "2026-10-25T02:00"),
        ("Australia/Sydney", date(2026, 10, 4), 150, "2026-10-03T16:00"),
        ("Australia/Sydney", date(2026, 4, 5), 150, "2026-04-04T15:30"),
        ("Australia/Lord_Howe", date(2026, 10, 4), 135, "2026-10-03T15:30"),
        ("Asia/Kolkata", date(2028, 2, 29), 570, "2028-02-29T04:00"),
        ("Pacific/Apia", date(2011, 12, 30), 600, "2011-12-30T10:00"),
    ],
)
def test_moments_around_clock_changes_are_those_of_the_almanac(zone, day, minute, utc):
    assert moment_of(zone_named(zone), day, minute) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


def test_the_hour_of_the_week_counts_from_monday_midnight_on_the_local_clock():
    monday = datetime(2026, 1, 5, tzinfo=UTC)
    ats = [monday, monday + timedelta(minutes=90), monday - timedelta(seconds=36), monday, monday]
    zones = ["UTC", "UTC", "UTC", "Asia/Kathmandu", "America/New_York"]
    assert hours_of_week(ats, zones).tolist() == pytest.approx([0.0, 1.5, 167.99, 5.75, 163.0])


@given(seconds=st.floats(0.0, 8e8), zone=st.sampled_from(ZONES))
def test_an_hour_of_the_week_is_always_within_the_week(seconds, zone):
    at = datetime(2010, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    hour, local = hour_of_week(at, ZoneInfo(zone)), wall(at, zone)
    assert 0.0 <= hour < 168.0
    assert int(hour // 24) == local.weekday()
    assert int(hour % 24) == local.hour


@pytest.mark.parametrize(
    "name", ["+02:00", "UTC+2", "localtime", "Mars/Base", "", "Europe", "../etc/passwd", "Europe/Berlin\0"]
)
def test_what_is_no_zone_is_refused_with_an_example_of_one(name):
    with pytest.raises(ImpossibleWorld, match="Give a name such as 'Europe/Berlin'"):
        zone_named(name)


def test_times_that_are_not_utc_are_refused():
    for at in (datetime(2026, 1, 5), datetime(2026, 1, 5, tzinfo=ZoneInfo("Europe/Berlin"))):  # noqa: DTZ001
        with pytest.raises(ImpossibleWorld, match="UTC"):
            moments_of([at])
        with pytest.raises(ImpossibleWorld, match="UTC"):
            hours_of_week([at], ["UTC"])


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ImpossibleWorld, match="the zone of each"):
        hours_of_week([datetime(2026, 1, 5, tzinfo=UTC)], [])
