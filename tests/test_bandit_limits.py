"""Caps and quiet hours: what the campaign file may say, and that nothing goes out too often or at night."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bandit import Context
from bandit.decide_many import decide_many
from bandit.decisions import Requests
from bandit.errors import InvalidCampaign, InvalidContext
from bandit.limits import Cap, Limits, QuietHours

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Nuuk",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Apia",
)
HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
NIGHT = QuietHours(21 * 60, 8 * 60)
MOMENTS = st.datetimes(datetime(2010, 1, 1), datetime(2037, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def is_quiet(hours, moment, zone):
    """By the wall clock, minute by minute."""
    clock = moment.astimezone(zone).time()
    start, end = time(hours.start // 60, hours.start % 60), time(hours.end // 60, hours.end % 60)
    return start <= clock < end if start < end else clock >= start or clock < end


@given(
    at=MOMENTS,
    zone=st.sampled_from(ZONES),
    start=st.integers(0, 1439),
    length=st.integers(1, 1439),
)
@example(datetime(2026, 3, 29, 0, 30, tzinfo=UTC), "Europe/Berlin", 22 * 60, 270)  # until 02:30, which is skipped
@example(datetime(2026, 10, 24, 23, tzinfo=UTC), "Europe/Berlin", 22 * 60, 270)  # until 02:30, which comes twice
@example(datetime(2026, 10, 25, 1, 10, tzinfo=UTC), "Europe/Berlin", 120, 30)  # quiet in the second of two hours
@example(datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "Europe/Berlin", 165, 1425)  # 02:30 is skipped, 03:00 is quiet again
@example(datetime(2011, 12, 30, 8, tzinfo=UTC), "Pacific/Apia", 21 * 60, 660)  # the day after is skipped
def test_a_message_never_goes_out_in_quiet_hours_and_never_before_its_decision(at, zone, start, length):
    hours, place = QuietHours(start, (start + length) % 1440), ZoneInfo(zone)
    over_at = hours.over_at(at, place)
    assert over_at >= at
    assert over_at.utcoffset() == timedelta(0)
    assert not is_quiet(hours, over_at, place)
    assert (over_at == at) == (not is_quiet(hours, at, place))
    if (
        over_at > at
        and over_at - at < 6 * HOUR
        and at.astimezone(place).utcoffset() == over_at.astimezone(place).utcoffset()
    ):
        # It waits no longer than it must.
        steps = range(int((over_at - at) / (10 * MINUTE)))
        assert all(is_quiet(hours, at + step * 10 * MINUTE, place) for step in steps)


@pytest.mark.parametrize(
    ("at", "until", "expected"),
    [
        ("2026-03-28T22:00", "08:00", "2026-03-29T06:00"),  # a night of one hour less
        ("2026-10-24T22:00", "08:00", "2026-10-25T07:00"),  # and of one more
        ("2026-03-28T22:00", "02:30", "2026-03-29T01:00"),  # skipped: the next minute there is, 03:00
        ("2026-10-24T22:00", "02:30", "2026-10-25T00:30"),  # shown twice: the first
        ("2026-10-25T01:10", "02:30", "2026-10-25T01:30"),  # decided in between: the second
        ("2026-06-01T06:00", "08:00", None),  # 08:00 sharp is day
    ],
)
def test_the_end_of_a_night_in_berlin(at, until, expected):
    hour, minute = map(int, until.split(":"))
    limits = Limits((), QuietHours(21 * 60, hour * 60 + minute))
    found = limits.send_at({}, datetime.fromisoformat(at).replace(tzinfo=UTC), home="Europe/Berlin")
    assert found == (datetime.fromisoformat(expected).replace(tzinfo=UTC) if expected else None)


@given(
    sends=st.lists(st.integers(-200, 200), max_size=8),
    caps=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 100)), min_size=1, max_size=3),
)
def test_a_cap_holds_in_every_stretch_of_time_and_the_next_message_is_the_first_that_may_go(sends, caps):
    caps = [Cap(most, within * HOUR) for most, within in caps]
    kept = []
    for hours in sends:  # a history that keeps the caps
        if Limits(tuple(caps)).free_from(NOON + hours * HOUR, kept) == NOON + hours * HOUR:
            kept.append(NOON + hours * HOUR)
    free_from = Limits(tuple(caps)).free_from(NOON, kept)
    assert keeps(caps, [*kept, free_from])
    assert all(not keeps(caps, [*kept, NOON + step * HOUR]) for step in range(int((free_from - NOON) / HOUR)))


def keeps(caps, sends):
    """No stretch that ends with a message holds too many; every other stretch holds no more than one of these."""
    return all(sum(end - cap.within < send <= end for send in sends) <= cap.most for cap in caps for end in sends)


def test_the_file_may_say_how_often_and_when_not(worlds):
    zone = {"kind": "categorical", "values": ["Europe/Berlin", "Asia/Tokyo"]}
    limits = {
        "caps": [{"most": 1, "within": "24h"}, {"most": 2, "within": "7d"}],
        "quiet_hours": {"from": "21:00", "until": "08:00", "zone": "zone"},
    }
    campaign = worlds.campaign(limits=limits, context={"zone": zone})
    assert campaign.limits == Limits((Cap(1, DAY), Cap(2, 7 * DAY)), QuietHours(21 * 60, 8 * 60, "zone"))
    assert worlds.campaign().limits is None


@pytest.mark.parametrize(
    ("limits", "where"),
    [
        ({}, "limits"),
        ({"caps": [{"most": 0, "within": "7d"}]}, "limits.caps[0].most"),
        ({"caps": [{"most": 1.5, "within": "7d"}]}, "limits.caps[0].most"),
        ({"caps": [{"most": 1, "within": "a week"}]}, "limits.caps[0].within"),
        ({"caps": 3}, "limits.caps"),
        ({"cap": []}, "limits.cap"),
        ({"quiet_hours": {"from": "21:00"}}, "limits.quiet_hours.until"),
        ({"quiet_hours": {"from": "21:00", "until": "24:00"}}, "limits.quiet_hours.until"),
        ({"quiet_hours": {"from": "9 pm", "until": "08:00"}}, "limits.quiet_hours.from"),
        ({"quiet_hours": {"from": "08:00", "until": "08:00"}}, "limits.quiet_hours.until"),
        ({"quiet_hours": {"from": "21:00", "until": "08:00", "zone": "nothing"}}, "limits.quiet_hours.zone"),
        ({"quiet_hours": {"from": "21:00", "until": "08:00", "zone": "level"}}, "limits.quiet_hours.zone"),
        ({"quiet_hours": {"from": "21:00", "until": "08:00", "zone": "days"}}, "limits.quiet_hours.zone"),
    ],
)
def test_every_fault_of_the_table_is_named(worlds, limits, where):
    with pytest.raises(InvalidCampaign) as refused:
        worlds.campaign(limits=limits)
    assert where in {fault.where for fault in refused.value.faults}


@pytest.fixture
def zoned(worlds):
    """An engine of a campaign whose customers say where they live."""
    night = {"from": "21:00", "until": "08:00", "zone": "zone"}
    context = {"zone": {"kind": "categorical", "protected": True}}
    campaign = worlds.campaign(
        campaign={"id": "contest", "timezone": "Europe/Berlin"}, context=context, limits={"quiet_hours": night}
    )
    return worlds.engine(campaign)


def test_a_decision_waits_for_the_morning_where_its_customer_lives(zoned):
    at = datetime.combine(date(2026, 11, 22), time(22, 30), UTC)
    zones = ["Asia/Tokyo", "America/New_York", "Europe/Berlin", None]
    expected = ["2026-11-22T23:00", None, "2026-11-23T07:00", "2026-11-23T07:00"]
    contexts = [Context({"zone": zone}) for zone in zones]
    made = [zoned.decide("ann", context, decision_id=f"d{i}", at=at).send_at for i, context in enumerate(contexts)]
    assert made == [text and datetime.fromisoformat(text).replace(tzinfo=UTC) for text in expected]
    many = decide_many(zoned, Requests(["ann"] * 4, contexts, [f"d{i}" for i in range(4)], [at] * 4))
    assert many.send_ats() == made
    assert [many.decision(row).send_at for row in range(4)] == made


@pytest.mark.parametrize("zone", ["Berlin", "+01:00", "localtime", "../etc/passwd", "\0"])
def test_a_zone_that_is_none_is_refused_by_name(zoned, zone):
    with pytest.raises(InvalidContext, match="no IANA time zone"):
        zoned.decide("ann", Context({"zone": zone}), decision_id="d1", at=NOON)
