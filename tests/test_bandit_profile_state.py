"""One customer's sums, event by event, against the same events in a table: the same features, to the last bit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.errors import UnusableEvents
from bandit.profile.events import Event, events_of
from bandit.profile.features import FEATURES, features_at, features_of
from bandit.profile.population import Population, population_of
from bandit.profile.spec import ROLES, LifecycleSpec, Missing, ProfileSpec, Windows
from bandit.profile.state import State, state_after, state_after_all
from bandit.profile.summing import sums_at

BEGIN = datetime(2025, 3, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TYPES = [*(types[0] for types in ROLES.values()), "something else"]
SPECS = [
    ProfileSpec(),
    ProfileSpec(
        windows=Windows(usage=3, social=1, email=7, support=2, purchases=7, sessions=2, preferences=5, activity=4, trend=2),
        lifecycle=LifecycleSpec(new=2, growing=9, at_risk=4, dormant=6),
        missing=Missing(value=7.25, channel="unknown", zone="America/New_York"),
        session_gap=timedelta(hours=6),
    ),
]  # fmt: skip
numbers = st.one_of(st.none(), st.floats(-1e9, 1e9, allow_nan=False), st.sampled_from([0.0, 19.99, 0.1, 30.0, 1e-4]))
moments = st.one_of(
    st.datetimes(BEGIN.replace(tzinfo=None), NOON.replace(tzinfo=None)),
    # Many in little time, around the night in which clocks go back and around the edges of days.
    st.integers(0, 4 * 24 * 60).map(lambda minutes: datetime(2026, 10, 23) + timedelta(minutes=minutes)),  # noqa: DTZ001
)
streams = st.lists(
    st.builds(
        Event,
        customer_id=st.sampled_from(["c1", "c10", "c2"]),
        at=moments.map(lambda at: at.replace(tzinfo=UTC)),
        type=st.sampled_from(TYPES),
        value=numbers,
        channel=st.sampled_from([None, "email", "push", "ärger"]),
        device=st.sampled_from([None, "mobile", "desktop"]),
        content=st.sampled_from([None, "sport", "news", "Sport"]),
        zone=st.sampled_from([None, "Europe/Berlin", "Asia/Kolkata", "Pacific/Apia", "America/St_Johns"]),
        discount=st.one_of(st.none(), st.floats(0.0, 1.0)),
    ),
    max_size=40,
)  # fmt: skip


def said(value):
    """A feature so that equal means the same bits."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return None
    return value.hex() if isinstance(value, float) else str(value)


@given(streams, st.sampled_from(SPECS), st.integers(0, 400), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_features_from_a_state_are_those_from_a_table_to_the_last_bit_in_whatever_order_events_come(
    stream, spec, days, luck
):
    at = max((event.at for event in stream), default=NOON) + timedelta(microseconds=1) + days * timedelta(hours=7)
    population = population_of(sums_at(events_of(stream), at, spec), spec)
    table = features_at(events_of(stream), at, spec)
    luck.shuffle(stream)
    for customer_id in {event.customer_id for event in stream}:
        state = None
        for event in stream:
            if event.customer_id == customer_id:
                state = State.from_json(state_after(state, event, spec).to_json())
        one = features_of(state, at, spec, Population.from_json(population.to_json()))
        many = table.loc[customer_id].to_dict()
        assert {name: said(value) for name, value in one.items()} == {name: said(many[name]) for name in FEATURES}


@given(streams.filter(bool), st.sampled_from(SPECS), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_a_state_does_not_depend_on_the_order_of_its_events_nor_on_how_many_are_added_at_once(stream, spec, luck):
    state = state_after_all(None, stream, spec)
    luck.shuffle(stream)
    one_by_one = None
    for event in stream:
        one_by_one = state_after(one_by_one, event, spec)
    assert one_by_one == state
    assert State.from_json(one_by_one.to_json()) == state


def test_a_state_is_never_asked_about_a_time_before_one_of_its_events():
    state = state_after(None, Event("c1", NOON, "login"), ProfileSpec())
    population = population_of(sums_at(events_of([]), NOON, ProfileSpec()), ProfileSpec())
    with pytest.raises(UnusableEvents, match="they would know the future"):
        features_of(state, NOON, ProfileSpec(), population)
    assert features_of(state, NOON + timedelta(microseconds=1), ProfileSpec(), population)["days_since_login"] > 0.0


def test_sums_made_under_another_profile_are_refused_with_the_way_out():
    state = state_after(None, Event("c1", NOON, "login"), SPECS[0])
    with pytest.raises(UnusableEvents, match="Make them again from the events"):
        state_after(state, Event("c1", NOON, "login"), SPECS[1])


@pytest.mark.parametrize("broken", [b"", b"{}", b'{"made_by": 3}', b"[1, 2]"])
def test_kept_bytes_that_are_no_state_are_refused(broken):
    with pytest.raises(UnusableEvents, match="cannot be read"):
        State.from_json(broken)
    with pytest.raises(UnusableEvents, match="Fit it again"):
        Population.from_json(broken)
