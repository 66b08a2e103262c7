"""The sample campaigns promise nothing that they do not keep: send slots are real, and a contest has days of its own."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit import Context, Engine, read_campaign
from policies import group_policies
from service.sample import SAMPLES, beginning, sample_text

CONTEST = sample_text("referral-contest")
COMMENTED = re.compile(r"^# (?=\[|[a-z_]+ = )", flags=re.MULTILINE)


def decided(campaign, at, **known):
    """One customer's decision, by the random policy or for the control group."""
    engine = Engine(campaign, group_policies(campaign), salt=b"salt", secret=b"secret")
    past = [] if campaign.looks_back is not None else None
    return engine.decide("ann", Context.of(**known), decision_id=f"send-{at.isoformat()}", at=at, past=past)


@pytest.mark.parametrize("example", SAMPLES)
def test_every_sample_has_hours_that_are_kept_and_knows_the_time(example):
    campaign = read_campaign(sample_text(example))
    assert campaign.send_slots is not None
    assert campaign.time is not None
    assert campaign.zone_fields == ("zone",)


@given(
    st.integers(0, 2 * 366 * 24 * 60).map(
        lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    ),
    st.sampled_from(["Asia/Kolkata", "America/New_York", "Europe/Berlin", "Australia/Sydney"]),
)
def test_in_the_contest_no_hour_is_ever_out_and_the_message_goes_out_at_the_hour_picked(at, zone):
    campaign = read_campaign(CONTEST)
    decision = decided(campaign, at, zone=zone)
    assert not decision.excluded
    kind, _, hour = decision.choice["send_slot"].partition("-")
    local = decision.send_at.astimezone(ZoneInfo(zone))
    assert at <= decision.send_at <= at + timedelta(days=7)
    assert local.hour == int(hour)
    assert (local.weekday() < 5) == (kind == "weekday")


def test_whose_zone_is_not_known_lives_in_that_of_the_campaign():
    at = datetime(2026, 1, 7, 12, tzinfo=UTC)
    campaign = read_campaign(CONTEST)
    assert decided(campaign, at).send_at == decided(campaign, at, zone=campaign.timezone).send_at


def test_a_contest_that_begins_another_day_is_as_long_and_differs_in_dates_alone():
    moved = beginning(CONTEST, date(2028, 2, 20))
    was, now = (read_campaign(text).time.span for text in (CONTEST, moved))
    assert now.begins == date(2028, 2, 20)
    assert now.ends - now.begins == was.ends - was.begins == timedelta(days=27)
    assert re.sub(r"\d{4}-\d\d-\d\d", "DAY", moved) == re.sub(r"\d{4}-\d\d-\d\d", "DAY", CONTEST)
    assert beginning(moved, was.begins) == CONTEST
    assert "# latest = 2028-03-18" in moved


def test_a_sample_without_days_of_its_own_stays_as_it_is():
    assert beginning(sample_text("winback-es"), date(2028, 2, 20)) == sample_text("winback-es")


@pytest.mark.parametrize("phase", ["before", "early", "late", "after"])
def test_a_contest_is_decided_for_whatever_day_it_is(phase):
    campaign = read_campaign(beginning(CONTEST, date(2026, 6, 1)))
    days = {"before": -200, "early": 2, "late": 24, "after": 400}[phase]
    at = datetime(2026, 6, 1, 12, 30, tzinfo=UTC) + timedelta(days=days)
    decision = decided(campaign, at, zone="Europe/Paris")
    assert decision.context["phase"] == phase
    assert decision.send_at > at


def test_the_lines_that_are_commented_out_are_ready_to_be_used():
    text, n = COMMENTED.subn("", CONTEST)
    assert n == 7
    campaign = read_campaign(text)
    assert [(cap.most, cap.within) for cap in campaign.caps] == [(2, timedelta(days=7))]
    decision = decided(campaign, datetime(2026, 1, 5, 12, tzinfo=UTC), zone="Europe/Berlin")
    out = {campaign.dimensions[one.dimension].ids[one.arm]: one.rule for one in decision.excluded}
    assert out == dict.fromkeys(("weekday-20", "weekend-20"), "[limits].quiet_hours")
    assert decision.send_at.date() != date(2026, 1, 6)
    subject = dict(zip((d.name for d in campaign.dimensions), decision.picks, strict=True))["subject"]
    urgent = campaign.dimensions[0].index_of("three-days-left")
    assert subject.pmf.probabilities[urgent] == 0.0, "the contest has just begun"
