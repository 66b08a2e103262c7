"""Kept sums with one more event, of which most days are passed on unread: the same bytes as reading all of them gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.errors import UnusableEvents
from bandit.profile.events import Event, events_of
from bandit.profile.features import features_at, features_of
from bandit.profile.kept_state import kept_after_all
from bandit.profile.population import population_of
from bandit.profile.spec import ROLES, ProfileSpec, Windows
from bandit.profile.state import State, state_after_all
from bandit.profile.summing import sums_at

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TYPES = [*(types[0] for types in ROLES.values()), "something else"]
SHORT = ProfileSpec(
    windows=Windows(usage=3, social=1, email=7, support=2, purchases=9, sessions=2, preferences=5, activity=4, trend=2)
)
texts = st.one_of(st.none(), st.sampled_from(["mobile", "ärger", 'so "called"', '"20758":{', "a\\b", "\x1f", "{}"]))
events = st.builds(
    Event,
    customer_id=st.just("c1"),
    # Few different times: many events at the same moment, many on the same day, some long before the others.
    at=st.integers(0, 40).map(lambda n: NOON - timedelta(days=n % 8 if n < 32 else 400, minutes=n % 4)),
    type=st.sampled_from(TYPES),
    value=st.one_of(st.none(), st.floats(-1e6, 1e6)),
    channel=texts,
    device=texts,
    zone=st.sampled_from([None, "Europe/Berlin", "Pacific/Apia"]),
)


def in_table(stream, at, spec, population):
    """Features of the same events as a table; None where not known."""
    row = features_at(events_of(stream), at, spec, population=population).loc["c1"]
    return row.astype("object").where(row.notna(), None).to_dict()


def heavy(n=2000):
    """A customer with so many events in a year, of every type, some of which come late and some at the same time."""
    for place in range(n):
        late = 3 if place % 7 == 0 else 0
        at = NOON - timedelta(days=360) + timedelta(hours=place // 2 * 8 % (360 * 24) - 24 * late)
        yield Event(
            "c1", at, TYPES[place * 5 % len(TYPES)], value=place * 0.37, device=f"d{place % 3}", zone="Europe/Berlin"
        )


@given(st.lists(events, max_size=30), st.lists(events, max_size=4), st.sampled_from([ProfileSpec(), SHORT]))
@settings(max_examples=80)
def test_kept_sums_after_more_events_are_byte_for_byte_those_of_a_state_that_was_read_whole(before, more, spec):
    state = state_after_all(None, before, spec)
    kept = state.to_json()
    assert kept_after_all(kept, more, spec) == state_after_all(State.from_json(kept), more, spec).to_json()
    assert kept_after_all(None, before, spec) == kept


@given(
    st.lists(events, min_size=1, max_size=25),
    st.sampled_from([ProfileSpec(), SHORT]),
    st.randoms(use_true_random=False),
)
@settings(max_examples=30)
def test_features_of_kept_sums_are_those_of_the_table_in_whatever_order_events_were_added(stream, spec, luck):
    at = max(event.at for event in stream) + timedelta(microseconds=1)
    population = population_of(sums_at(events_of(stream), at, spec), spec)
    luck.shuffle(stream)
    kept = None
    for event in stream:
        kept = kept_after_all(kept, [event], spec)
    found = features_of(State.from_json(kept), at, spec, population)
    assert found == in_table(stream, at, spec, population)


def test_features_of_a_heavy_customer_are_those_of_the_table_after_each_of_the_last_events():
    spec, stream = ProfileSpec(), list(heavy())
    kept = kept_after_all(None, stream[:-6], spec)
    for n in range(len(stream) - 6, len(stream)):
        kept = kept_after_all(kept, [stream[n]], spec)
        assert kept == state_after_all(None, stream[: n + 1], spec).to_json()
    at = NOON + timedelta(days=1)
    population = population_of(sums_at(events_of(stream), at, spec), spec)
    found = features_of(State.from_json(kept), at, spec, population)
    assert found == in_table(stream, at, spec, population)


def test_only_the_days_of_the_new_events_are_read():
    spec, stream = ProfileSpec(), list(heavy(400))
    kept = kept_after_all(None, stream, spec)
    day = min(State.from_json(kept).days)
    broken = kept.replace(f'"{day}":{{'.encode(), f'"{day}":{{"what":"nobody reads",'.encode(), 1)
    later = Event("c1", NOON, "login")
    assert b"nobody reads" in kept_after_all(broken, [later], spec)
    with pytest.raises(UnusableEvents, match="cannot be read"):
        kept_after_all(broken, [Event("c1", datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day), "login")], spec)
    with pytest.raises(UnusableEvents, match="cannot be read"):
        State.from_json(broken)


@pytest.mark.parametrize("broken", [b"", b"{}", b'{"made_by": 3}', b"[1, 2]"])
def test_kept_bytes_that_are_no_state_take_no_events(broken):
    with pytest.raises(UnusableEvents, match="Make them again from the events"):
        kept_after_all(broken, [Event("c1", NOON, "login")], ProfileSpec())


def test_sums_made_under_another_profile_take_no_events():
    kept = kept_after_all(None, [Event("c1", NOON, "login")], SHORT)
    with pytest.raises(UnusableEvents, match="another \\[profile\\]"):
        kept_after_all(kept, [Event("c1", NOON, "login")], ProfileSpec())
