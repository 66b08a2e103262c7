"""Features of a time: nothing from then on changes them, and each says what its page says."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.fault import Reader
from bandit.profile.activity import activity_profile
from bandit.profile.events import Event, events_of
from bandit.profile.features import DRAWN, FEATURES, MAKERS, features_at, table_of
from bandit.profile.local_cells import local_cell, local_cells
from bandit.profile.population import population_of
from bandit.profile.spec import ProfileSpec, Windows, read_profile
from bandit.profile.summing import sums_at
from bandit.profile.sums import microseconds

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PAGE = Path(__file__).parents[1] / "docs" / "profile.md"
TYPES = [
    "login",
    "feature_use",
    "share",
    "referral",
    "email_sent",
    "email_open",
    "email_click",
    "purchase",
    "session_end",
]
events = st.builds(
    lambda who, minutes, kind, value, device: Event(
        who, NOON - timedelta(minutes=minutes), kind, value=value, device=device, zone="Europe/Berlin"
    ),
    st.sampled_from(["c1", "c2", "c3"]),
    st.integers(1, 600 * 24 * 60),
    st.sampled_from(TYPES),
    st.one_of(st.none(), st.floats(0.0, 500.0)),
    st.sampled_from([None, "mobile", "desktop"]),
)
later = st.lists(st.tuples(events, st.integers(0, 100)), max_size=10)


def of(*happened, at=NOON, spec=None):
    """The features of the customer c1."""
    return features_at(events_of(happened), at, spec or ProfileSpec()).loc["c1"]


@given(st.lists(events, min_size=1, max_size=25), later, st.randoms(use_true_random=False))
@settings(max_examples=15)
def test_events_at_the_time_or_later_change_no_feature_of_anybody(before, after, luck):
    after = [Event("c4", NOON, "purchase", value=1e6), *(
        Event(one.customer_id, NOON + timedelta(days=days), one.type, one.value, device="tv", zone="Asia/Tokyo")
        for one, days in after
    )]  # fmt: skip
    everything = [*before, *after]
    luck.shuffle(everything)
    known = features_at(events_of(before), NOON, ProfileSpec())
    pd.testing.assert_frame_equal(features_at(events_of(everything), NOON, ProfileSpec()), known, check_exact=True)


@given(st.lists(events, min_size=1, max_size=25))
@settings(max_examples=15)
def test_features_that_are_not_drawn_are_the_same_with_any_population(happened):
    sums = sums_at(events_of(happened), NOON, ProfileSpec())
    late = sums_at(
        events_of([Event("x", NOON - DAY, kind, value=3.0, discount=0.5) for kind in TYPES]), NOON, ProfileSpec()
    )
    populations = [population_of(one, ProfileSpec()) for one in (sums, late)]
    one, other = (table_of(sums, ProfileSpec(), population=population) for population in populations)
    alike = [name for name in FEATURES if name not in DRAWN]
    pd.testing.assert_frame_equal(one[alike], other[alike], check_exact=True)
    assert not one[sorted(DRAWN)].equals(other[sorted(DRAWN)])


@given(st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2036, 1, 1)), min_size=1, max_size=30))  # noqa: DTZ001
@settings(max_examples=40)
def test_many_moments_fall_into_the_hours_that_a_clock_shows(moments):
    zones = ["America/St_Johns", "Asia/Kolkata", "Europe/Berlin", "Pacific/Apia"]
    moments = [moment.replace(tzinfo=UTC) for moment in moments]
    places = np.arange(len(moments)) % len(zones)
    found = local_cells(np.array([microseconds(one) for one in moments]), places, zones)
    expected = [local_cell(one, zones[place]) for one, place in zip(moments, places.tolist(), strict=True)]
    assert list(zip(*(one.tolist() for one in found), strict=True)) == expected


def test_the_login_score_falls_at_each_of_its_days():
    for days, score in ((1, 100), (1.01, 80), (7, 80), (30, 60), (90, 40), (91, 20)):
        assert of(Event("c1", NOON - days * DAY, "login"))["engagement_login_frequency"] == score
    assert of(Event("c1", NOON - DAY, "share"))["engagement_login_frequency"] == 0


def test_the_score_is_the_weighted_sum_of_its_parts_and_gives_the_level():
    happened = [Event("c1", NOON - DAY / 2, "login"), *(Event("c1", NOON - DAY, "feature_use") for _ in range(30))]
    happened += [Event("c1", NOON - DAY, "share") for _ in range(5)]
    found = of(*happened)
    assert found["engagement_score"] == pytest.approx(0.25 * 100 + 0.20 * 100 + 0.15 * 50)
    assert found["engagement_level"] == "moderate_user"


@pytest.mark.parametrize(
    ("days", "stage"),
    [((5,), "new"), ((100, 5), "growing"), ((400, 5), "established"), ((400, 61), "at_risk"), ((400, 181), "dormant"),
     ((400, 40, 5, 4), "growing")],
)  # fmt: skip
def test_the_stage_follows_from_age_and_activity(days, stage):
    assert of(*(Event("c1", NOON - n * DAY, "login") for n in days))["lifecycle_stage"] == stage


def test_a_customer_with_few_events_has_the_hours_of_everybody_and_one_with_many_its_own():
    crowd = [Event(f"a{i}", NOON.replace(hour=9) - i * DAY, "login") for i in range(150)]
    mine = [Event("c1", NOON.replace(hour=20) - i * DAY, "login") for i in range(100)]
    for n, hour in ((1, 9), (100, 20)):
        assert (
            features_at(events_of([*crowd, *mine[1 : n + 1]]), NOON, ProfileSpec()).loc["c1", "preferred_hour"] == hour
        )
    sums = sums_at(events_of([*crowd, *mine]), NOON, ProfileSpec())
    shares = activity_profile(sums, population_of(sums, ProfileSpec()), ProfileSpec())
    assert shares.shape == (151, 168)
    assert shares.sum(axis=1) == pytest.approx(1.0)


def test_quintiles_money_and_rates_are_those_of_the_formulas():
    bought = [Event(f"c{i}", NOON - i * DAY, "purchase", value=float(i), discount=0.2 * (i == 1)) for i in range(1, 6)]
    found = features_at(events_of(bought), NOON, ProfileSpec())
    assert found["recency_score"].tolist() == [5, 4, 3, 2, 1]
    assert found["monetary_score"].tolist() == [1, 2, 3, 4, 5]
    assert found.loc["c1", "price_sensitivity"] == pytest.approx((1 + 10 * 2 / 7) / 11)
    mails = [Event("c1", NOON - DAY, kind) for kind in ("email_sent", "email_sent", "email_open")]
    assert of(*mails)["email_open_rate"] == pytest.approx((1 + 10 * 2 / 4) / 12)


def test_a_session_lasts_from_its_first_event_to_its_last_and_a_break_ends_it():
    at = [NOON - 2 * DAY + timedelta(minutes=minutes) for minutes in (0, 20, 40, 71)]
    found = of(*(Event("c1", one, "feature_use") for one in at))
    assert found["session_minutes"] == 20.0
    assert found["session_frequency"] == 2.0
    assert of(Event("c1", at[0], "session_end", value=12.0))["session_minutes"] == 12.0


def test_what_is_sent_to_a_customer_is_nothing_they_did():
    found = of(Event("c1", NOON - 90 * DAY, "login"), Event("c1", NOON - DAY, "email_sent", device="mobile"))
    assert found["days_since_active"] == 90.0
    assert pd.isna(found["preferred_device"])


def test_every_feature_is_made_and_explained_and_the_page_says_the_same():
    made = of(Event("c1", NOON - DAY, "login"))
    assert list(made.index) == list(FEATURES)
    assert all(f"| `{name}` | {means} |" in PAGE.read_text(encoding="utf-8") for name, means in FEATURES.items())
    assert sum(len(maker.means) for maker in MAKERS) == len(FEATURES)


def test_the_page_shows_the_usual_profile_and_windows_that_are_changed_change_features():
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    faults = []
    assert read_profile(Reader(tomllib.loads(text)["profile"], "profile", faults)) == ProfileSpec()
    assert not faults
    shares = [Event("c1", NOON - 5 * DAY, "share")]
    assert of(*shares, spec=ProfileSpec(windows=Windows(social=4)))["engagement_social_activity"] == 0
    assert of(*shares)["engagement_social_activity"] == 10


def test_every_fault_of_the_table_is_named():
    table = {
        "events": {"login": ["share"], "purchase": ["share"]}, "engagement": {"weights": {"support": 0.5}, "login_days": [7, 1]},
        "windows": {"usage": "3h"}, "lifecycle": {"growing": "10d"}, "missing": {"zone": "Mars"}, "session_gap": "2d", "zest": 1,
    }  # fmt: skip
    faults = []
    read_profile(Reader(table, "profile", faults))
    named = {fault.where for fault in faults}
    assert named == {f"profile.{name}" for name in (
        "events", "engagement.weights", "engagement.login_days", "engagement.login_scores", "windows.usage",
        "lifecycle.growing", "missing.zone",
        "session_gap", "zest",
    )}  # fmt: skip
