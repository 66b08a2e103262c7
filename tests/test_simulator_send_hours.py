"""Send slots: read from arm ids, and met by the customer's own wall clock the next time it shows them."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bandit.campaign_file import read_campaign
from bandit.errors import InvalidSettings
from bandit.local_time import moment_of
from bandit.send_slot import SendSlot, send_slot
from service.sample import sample_text
from simulator.local_time import hours_of_week, moments_of
from simulator.send_hours import SendHours, send_hours_of
from simulator.world import ImpossibleWorld

WEEKDAYS, EVERY_DAY = (0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5, 6)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Los_Angeles",
    "America/Nuuk",
    "Asia/Kolkata",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
)
ARMS = ("weekday-09", "weekend-17", "mon-00", "sunday-02:30", "hour-02", "daily-23:59", "07:45")
HOURS = send_hours_of(ARMS)
# A year from the last week of 2027, with a leap day and all clock changes in it, to the microsecond.
START = datetime(2027, 12, 25, tzinfo=UTC)
MOMENTS = st.integers(0, 380 * 86_400 * 1_000_000).map(lambda n: START + timedelta(microseconds=n))


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("arm", "days", "minute"),
    [
        ("weekday-09", WEEKDAYS, 540),
        ("weekend-17", (5, 6), 1020),
        ("mon-18", (0,), 1080),
        ("saturday-10", (5,), 600),
        ("Sun-7", (6,), 420),
        ("hour-14", EVERY_DAY, 840),
        ("daily_06:05", EVERY_DAY, 365),
        ("09:30", EVERY_DAY, 570),
        ("00:00", EVERY_DAY, 0),
        ("tue-23:59", (1,), 1439),
    ],
)
def test_ids_that_name_a_day_and_an_hour_are_send_slots(arm, days, minute):
    assert send_slot(arm) == SendSlot(days, minute)


@pytest.mark.parametrize(
    "arm",
    ["plain", "09", "10-20", "weekday", "weekday-24", "24:00", "09:60", "noon-12", "step-2", "mon-18h", "", "٠٩:٣٠"],
)
def test_other_ids_are_none(arm):
    assert send_slot(arm) is None


def test_a_dimension_has_send_slots_only_if_every_arm_names_one():
    campaign = read_campaign(sample_text("referral-contest"))
    found = {dimension.name: send_hours_of(dimension.ids) for dimension in campaign.dimensions}
    assert [name for name, hours in found.items() if hours is not None] == ["send_slot"]
    assert len(found["send_slot"].slots) == 10
    assert send_hours_of(("weekday-09", "now")) is None
    assert send_hours_of(()) is None


@settings(max_examples=300, deadline=None)
@given(at=MOMENTS, arm=st.integers(0, len(ARMS) - 1), zone=st.sampled_from(ZONES))
@example(utc("2028-03-26T00:59:59"), 4, "Europe/Berlin")
@example(utc("2028-10-29T00:45"), 4, "Europe/Berlin")
@example(utc("2028-02-28T23:30"), 0, "Europe/Berlin")
def test_a_message_goes_out_at_its_local_time_at_or_after_the_decision_and_within_a_week(at, arm, zone):
    sent, slot = HOURS.sent_at(at, arm, zone), HOURS.slots[arm]
    local = sent.astimezone(ZoneInfo(zone))
    late = local.hour * 60 + local.minute - slot.minute
    assert sent.utcoffset() == timedelta(0)
    assert at <= sent < at + timedelta(days=7, hours=2)
    if late == 0:
        assert (local.second, local.microsecond, local.fold) == (0, 0, 0)
        assert local.weekday() in slot.days
    else:
        # Only where the clock went forward over the slot; then just before it showed less than the slot.
        before = (sent - timedelta(minutes=1)).astimezone(ZoneInfo(zone))
        assert before.utcoffset() != local.utcoffset()
        assert before.hour * 60 + before.minute < slot.minute


@settings(max_examples=300, deadline=None)
@given(at=MOMENTS, arm=st.integers(0, len(ARMS) - 1), zone=st.sampled_from(ZONES))
def test_no_showing_of_the_slot_between_decision_and_sending_is_passed_over(at, arm, zone):
    sent, slot, clock = HOURS.sent_at(at, arm, zone), HOURS.slots[arm], ZoneInfo(zone)
    # Noon of each local day before the one of the sending: a slot on that day lay before the decision, or there is none.
    local, decided = sent.astimezone(clock), at.astimezone(clock)
    day = decided.date()
    while day < local.date():
        assert day.weekday() not in slot.days or day == decided.date()
        day += timedelta(days=1)
    if decided.date() < local.date() and decided.weekday() in slot.days:
        assert decided.hour * 60 + decided.minute + (decided.second + decided.microsecond > 0) > slot.minute


@settings(max_examples=30, deadline=None)
@given(decisions=st.lists(st.tuples(MOMENTS, st.sampled_from(ZONES)), max_size=12))
def test_many_sends_are_planned_for_the_same_moments_as_one_by_one(decisions):
    ats, zones = [at for at, _ in decisions], [zone for _, zone in decisions]
    planned = HOURS.planned(ats, zones)
    assert planned.at.shape == planned.local_hours.shape == planned.delay_hours.shape == (len(ats), len(ARMS))
    for row, (at, zone) in enumerate(decisions):
        one_by_one = [HOURS.sent_at(at, arm, zone) for arm in range(len(ARMS))]
        assert planned.at[row].tolist() == moments_of(one_by_one).tolist()
        assert planned.local_hours[row].tolist() == hours_of_week(one_by_one, [zone] * len(ARMS)).tolist()
        delays = [(sent - at) / timedelta(hours=1) for sent in one_by_one]
        assert planned.delay_hours[row].tolist() == pytest.approx(delays, abs=1e-9)


@pytest.mark.parametrize(
    ("arm", "at", "zone", "sent"),
    [
        ("02:30", "2026-03-28T12:00", "Europe/Berlin", "2026-03-29T01:00"),
        ("02:30", "2026-03-29T01:00", "Europe/Berlin", "2026-03-29T01:00"),
        ("02:30", "2026-03-29T01:01", "Europe/Berlin", "2026-03-30T00:30"),
        ("02:30", "2026-10-25T00:00", "Europe/Berlin", "2026-10-25T00:30"),
        ("02:30", "2026-10-25T00:31", "Europe/Berlin", "2026-10-26T01:30"),
        ("weekday-09", "2026-03-27T12:00", "Europe/Berlin", "2026-03-30T07:00"),
        ("weekday-09", "2026-01-09T03:30", "Asia/Kolkata", "2026-01-09T03:30"),
        ("weekday-09", "2026-01-09T03:31", "Asia/Kolkata", "2026-01-12T03:30"),
        ("weekend-10", "2028-02-28T12:00", "UTC", "2028-03-04T10:00"),
        ("tue-08", "2028-02-28T12:00", "UTC", "2028-02-29T08:00"),
        ("sun-02:30", "2026-10-01T00:00", "Australia/Sydney", "2026-10-03T16:00"),
        ("sun-02:30", "2026-04-01T00:00", "Australia/Sydney", "2026-04-04T15:30"),
        ("mon-09", "2026-01-04T20:00", "Pacific/Auckland", "2026-01-04T20:00"),
        ("mon-09", "2026-01-05T20:00", "Pacific/Pago_Pago", "2026-01-05T20:00"),
    ],
)
def test_sendings_around_clock_changes_are_those_of_the_almanac(arm, at, zone, sent):
    assert send_hours_of([arm]).sent_at(utc(at), 0, zone) == utc(sent)


def test_what_was_worked_out_before_never_changes_an_answer():
    fresh, used = send_hours_of(ARMS), send_hours_of(ARMS)
    for day in range(0, 200, 3):
        used.planned([START + timedelta(days=day)], ["Europe/Berlin"])
    copied = pickle.loads(pickle.dumps(used))
    for hours in (used, copied):
        assert hours == fresh
        assert hours.sent_at(START, 3, "Europe/Berlin") == fresh.sent_at(START, 3, "Europe/Berlin")


@pytest.mark.parametrize("zone", ZONES)
def test_the_calendar_has_no_seams(zone):
    """The class works its calendar out in stretches; a search day by day knows of none."""
    clock, hours = ZoneInfo(zone), send_hours_of(ARMS)
    for number in range(0, 130 * 24, 7):
        at = START + timedelta(hours=number)
        days = [at.date() + timedelta(days=step) for step in range(-2, 10)]
        for arm, slot in enumerate(hours.slots):
            moments = [moment_of(clock, day, slot.minute) for day in days if day.weekday() in slot.days]
            assert hours.sent_at(at, arm, zone) == min(moment for moment in moments if moment >= at)


def test_planning_twenty_thousand_sends_works_the_calendar_out_once_a_zone_and_slot(monkeypatch):
    asked = []
    monkeypatch.setattr("simulator.send_hours.moment_of", lambda *day: asked.append(day) or moment_of(*day))
    hours, n = send_hours_of([f"weekday-{hour:02d}" for hour in range(8, 18)]), 20_000
    ats = [START + timedelta(days=28) / n * number for number in range(n)]
    planned = hours.planned(ats, [ZONES[number % len(ZONES)] for number in range(n)])
    assert planned.at.shape == (n, 10)
    assert np.all(planned.delay_hours >= 0.0)
    assert len(asked) < 2 * 67 * 10 * len(ZONES)


@pytest.mark.parametrize(
    ("ask", "advice"),
    [
        (lambda: HOURS.sent_at(START, 7, "UTC"), "from 0 to 6"),
        (lambda: HOURS.sent_at(START, -1, "UTC"), "from 0 to 6"),
        (lambda: HOURS.sent_at(START, 0, "+02:00"), "never an offset"),
        (lambda: HOURS.sent_at(datetime(2026, 1, 5, tzinfo=ZoneInfo("Asia/Tokyo")), 0, "UTC"), "in UTC"),
        (lambda: HOURS.planned([START], ["CET+1"]), "never an offset"),
        (lambda: HOURS.planned([START], []), "the zone of each"),
        (lambda: HOURS.planned([START.replace(tzinfo=None)], ["UTC"]), "in UTC"),
        (lambda: SendHours(()), "give one an arm"),
        (lambda: SendSlot((), 60), "days of the week"),
        (lambda: SendSlot((6, 5), 60), "in order"),
        (lambda: SendSlot((7,), 60), "6, in order"),
        (lambda: SendSlot((0,), 1440), "0 to 1439"),
    ],
)
def test_what_never_comes_is_refused_with_advice(ask, advice):
    with pytest.raises((ImpossibleWorld, InvalidSettings), match=advice):
        ask()
