"""What is made of the time is what the customer's own clock and calendar say, whoever asks and however many at once."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit import Context
from bandit.decide_many import decide_many
from bandit.decisions import Requests
from bandit.errors import InvalidCampaign, InvalidContext
from bandit.holiday_calendar import is_holiday
from bandit.time_context import TimeContext
from bandit.time_kinds import KINDS, PHASES, SEASONS, WEEKDAYS, Span, season_of

ZONES = sorted(zone for zone in available_timezones() if zone != "localtime")
SPAN = {"begins": date(2026, 11, 1), "ends": date(2026, 12, 1)}
EVERYTHING = {f"made_{kind}": kind for kind in KINDS}
PLACES = {
    "zone": {"kind": "categorical", "protected": True},
    "land": {"kind": "categorical", "values": ["ES", "DE-BY", "US"]},
    "days": {"kind": "numeric", "range": [0, 10]},
}
TIME = {"zone": "zone", "country": "land", **SPAN, "fields": EVERYTHING}
moments = st.datetimes(datetime(1971, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.fixture(scope="module")
def campaign(worlds):
    """A campaign that makes all there is, and has a rule on the weekday and on days."""
    subject = worlds.dimension("subject", "plain", {"id": "champion", "when": {"made_weekday": ["sat", "sun"]}})
    cta = worlds.dimension("cta", "join", {"id": "hurry", "when": {"made_days_until_end": [0, 3]}})
    groups = {"random": 0.2, "control": {"share": 0.2, "choice": {"subject": "plain", "cta": "join"}}}
    return worlds.campaign(context=PLACES, time=TIME, dimension=[subject, cta], groups=groups)


@given(st.sampled_from(ZONES), moments)
def test_hour_and_weekday_are_those_of_the_zone_at_any_moment(zone, at):
    time = TimeContext(
        {"hour": "hour", "block": "hour_block", "day": "weekday", "free": "is_weekend"}, "UTC", zone="zone"
    )
    local = at.astimezone(ZoneInfo(zone))
    made = time.values({"zone": zone}, at)
    assert made["hour"] == f"{local:%H}"
    assert made["block"] == ("night", "morning", "afternoon", "evening")[local.hour // 6]
    assert made["day"] == f"{local:%a}".lower()
    assert made["free"] == (made["day"] in {"sat", "sun"})


def test_an_hour_that_clocks_skip_is_never_made_and_one_shown_twice_is_made_twice():
    time = TimeContext({"hour": "hour"}, "Europe/Berlin")

    def hours(begin):
        return [time.values({}, begin + timedelta(hours=hour))["hour"] for hour in range(5)]

    assert hours(datetime(2026, 3, 28, 23, tzinfo=UTC)) == ["00", "01", "03", "04", "05"]
    assert hours(datetime(2026, 10, 24, 22, tzinfo=UTC)) == ["00", "01", "02", "02", "03"]


def test_at_the_end_of_a_year_every_customer_has_a_year_of_their_own():
    time = TimeContext({"day": "weekday", "holiday": "holiday"}, "UTC", zone="zone", country="ES")
    at = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert time.values({"zone": "Europe/Madrid"}, at) == {"day": "fri", "holiday": True}
    assert time.values({"zone": "America/New_York"}, at) == {"day": "thu", "holiday": False}


def test_a_customer_of_unknown_zone_lives_at_home_and_one_of_no_zone_is_refused(campaign):
    at = datetime(2026, 11, 2, 23, 30, tzinfo=UTC)
    time = TimeContext({"hour": "hour"}, "Asia/Tokyo", zone="zone")
    assert time.values({"zone": None}, at) == time.values({}, at) == {"hour": "08"}
    with pytest.raises(InvalidContext, match="no IANA time zone"):
        time.values({"zone": "Mars/Base"}, at)


@given(st.dates(date(2024, 1, 1), date(2028, 12, 31)), st.integers(1, 800), st.integers(-5, 900))
def test_days_add_up_to_the_campaigns_and_its_phases_come_in_their_order(begins, length, offset):
    span = Span(begins, begins + timedelta(days=length))
    day = begins + timedelta(days=offset)
    since, until = span.days_since_begin(day), span.days_until_end(day)
    assert since + until == length
    assert since == min(max(offset, 0), length)
    order = [PHASES.index(span.phase(day + timedelta(days=one))) for one in range(2)]
    assert order == sorted(order)
    assert (span.phase(day) == "last_day") == (day == span.ends)
    assert (span.phase(day) in {"before", "after"}) == (not span.begins <= day <= span.ends)


def test_a_campaign_over_a_leap_day_counts_it():
    span = Span(date(2028, 2, 1), date(2028, 3, 1))
    assert [span.days_since_begin(day) for day in (date(2028, 2, 29), date(2028, 3, 1))] == [28.0, 29.0]
    time = TimeContext({"since": "days_since_begin", "season": "season"}, "UTC", span=span)
    assert time.values({}, datetime(2028, 2, 29, 12, tzinfo=UTC)) == {"since": 28.0, "season": "winter"}


def test_seasons_of_the_south_are_those_of_the_north_half_a_year_later():
    for month in range(1, 13):
        assert season_of(month, is_south=True) == season_of((month + 5) % 12 + 1)
    assert [season_of(month) for month in (3, 6, 9, 12)] == list(SEASONS)


def test_holidays_are_those_of_the_country_and_of_its_part_and_unknown_where_the_country_is():
    time = TimeContext({"holiday": "holiday"}, "UTC", country_field="land")
    corpus_christi = datetime(2026, 6, 4, 12, tzinfo=UTC)
    assert [time.values({"land": land}, corpus_christi)["holiday"] for land in ("DE-BY", "DE", "ES", None)] == [
        True, False, False, None,
    ]  # fmt: skip
    # New Year's Day of 2022 was a Saturday: the day in lieu lies in the year before.
    assert is_holiday("US", date(2021, 12, 31))


@given(
    st.lists(
        st.tuples(st.sampled_from([*ZONES[::40], None]), st.sampled_from(["ES", "US", None]), moments), max_size=12
    )
)
def test_many_contexts_at_once_are_completed_as_each_alone(worlds, campaign, sends):
    engine = worlds.engine(campaign)
    contexts = [Context.of(zone=zone, land=land, days=3) for zone, land, _ in sends]
    ids, at = [f"d{i}" for i in range(len(sends))], [moment for _, _, moment in sends]
    alone = [
        engine.decide(name, context, decision_id=name, at=one)
        for name, context, one in zip(ids, contexts, at, strict=True)
    ]
    encoded = [campaign.schema.encode(context) for context in contexts]
    for given_ in (contexts, encoded, [*encoded[:1], *contexts[1:]]):
        made = decide_many(engine, Requests(ids, given_, ids, at))
        assert [made.decision(row) for row in range(len(made))] == alone


def test_a_value_made_at_another_time_is_made_anew(worlds, campaign):
    engine, at = worlds.engine(campaign), datetime(2026, 11, 7, 9, tzinfo=UTC)
    stale = campaign.schema.encode(campaign.completed(Context.of(days=3), at - timedelta(days=1)))
    made = decide_many(engine, Requests(["ann"], [stale], ["d"], [at])).decision(0)
    assert made == engine.decide("ann", Context.of(days=3), decision_id="d", at=at)
    assert made.context["made_weekday"] == "sat"


def test_rules_look_at_the_time_of_the_decision(worlds, campaign):
    engine = worlds.engine(campaign)
    seen = set()
    for day in range(1, 31):
        at = datetime(2026, 11, day, 12, tzinfo=UTC)
        for customer in range(12):
            made = engine.decide(f"c{customer}", Context.of(), decision_id=f"{day}-{customer}", at=at)
            seen.add((made.choice["subject"], WEEKDAYS[at.weekday()] in {"sat", "sun"}))
            assert made.choice["cta"] == "join" or day >= 28
    assert ("champion", True) in seen
    assert ("champion", False) not in seen


@pytest.mark.parametrize("value", ["mon", None, 3])
def test_a_caller_who_gives_a_made_field_is_refused_with_advice(worlds, campaign, value):
    given_ = Context.of(made_weekday=value)
    with pytest.raises(InvalidContext, match=r"'made_weekday' is .*the engine makes it.*Leave it out"):
        worlds.engine(campaign).decide("ann", given_, decision_id="d", at=worlds.noon)
    requests = Requests(["bob", "ann"], [Context.of(), given_], ["e", "d"], [worlds.noon] * 2)
    with pytest.raises(InvalidContext, match="Leave it out"):
        decide_many(worlds.engine(campaign), requests)


def test_made_fields_are_features_and_columns_like_all_others(worlds, campaign):
    assert "made_hour=23" in campaign.schema.features
    assert "made_days_until_end#" in campaign.schema.features
    assert [item.name for item in campaign.declared.fields] == list(PLACES)
    made = worlds.engine(campaign).decide("ann", Context.of(), decision_id="d", at=worlds.noon)
    assert set(made.context) == {*PLACES, *EVERYTHING}
    assert dict(campaign.given_of(made.context)) == dict.fromkeys(PLACES)


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ({"fields": {}}, "at least one field"),
        ({}, "at least one field"),
        ({"fields": {"level": "hour"}}, "not declared under"),
        ({"fields": {"local hour": "hour"}}, "letters, digits"),
        ({"fields": {"hour": "minute"}}, "one of hour, hour_block"),
        ({"fields": {"hour": 3}}, "what it is to hold"),
        ({"fields": {"p": "phase"}}, "the first and the last day"),
        ({"fields": {"p": "phase"}, "begins": date(2026, 11, 1)}, "such as 2026-12-01"),
        ({"fields": {"p": "phase"}, "begins": date(2026, 11, 1), "ends": date(2026, 11, 1)}, "a day after 2026-11-01"),
        ({"fields": {"p": "phase"}, "begins": "2026-11-01", "ends": date(1, 1, 1)}, "without quotes"),
        (
            {"fields": {"p": "phase"}, "begins": datetime(2026, 11, 1, tzinfo=UTC), "ends": date(2026, 12, 1)},
            "without a time",
        ),
        ({"fields": {"h": "holiday"}}, "whose holidays count"),
        ({"fields": {"h": "holiday"}, "country": "Spain"}, "a country such as ES"),
        ({"fields": {"h": "holiday"}, "country": "days"}, "a categorical field that is not protected"),
        ({"fields": {"h": "holiday"}, "country": "level"}, "level with the value low"),
        ({"fields": {"h": "hour"}, "zone": "level"}, "IANA zones only"),
        ({"fields": {"h": "hour"}, "zone": "where"}, "whose values are IANA zones"),
        ({"fields": {"h": "hour"}, "hemisphere": "east"}, "north or south"),
        ({"fields": {"h": "hour"}, "timezone": "UTC"}, "no such key"),
    ],
)
def test_every_fault_of_the_table_is_named_with_what_would_be_right(worlds, time, words):
    with pytest.raises(InvalidCampaign, match=words):
        worlds.campaign(time=time)


def test_consent_is_never_made_of_the_time(worlds):
    groups = {"control": {"share": 0.5, "choice": {"subject": "plain", "cta": "join"}}}
    with pytest.raises(InvalidCampaign, match="consent"):
        worlds.campaign(time={"fields": {"free": "is_weekend"}}, privacy={"consent": "free"}, groups=groups)


def test_the_time_belongs_to_what_a_campaign_says(worlds):
    hours = [worlds.campaign(time={"fields": {name: "hour"}}).content_hash for name in ("a", "b")]
    assert len({*hours, worlds.campaign().content_hash}) == 3


def test_the_list_of_holidays_is_loaded_only_for_a_campaign_that_asks():
    code = "import sys, bandit, service.cli, service.app; sys.exit('holidays' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
