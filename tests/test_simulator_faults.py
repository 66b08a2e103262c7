"""Faults hit what they say and nothing else, the same for the same seed; each changes what it names and keeps the rest."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit.errors import InvalidSettings
from bandit.estimates import Estimates, Need
from policies.native import Native
from policies.softmax import Softmax
from policies.thompson import Thompson
from policies.uniform import Uniform
from simulator.faults import (
    FAULTS,
    ChangedIds,
    DisorderedEvents,
    DuplicatedEvents,
    EventFault,
    Extent,
    Faults,
    IdentityFault,
    LateEvents,
    LostEvents,
    Misguided,
    MisguidedPolicy,
    PolicyFault,
    ReportedEvent,
    RowFault,
    SendingFault,
    StalePropensities,
    SwappedArms,
    SwappedRows,
    UnsentChoice,
    UnvoidedSends,
    WrongPropensities,
    faults_of,
)
from simulator.world import ChoiceGrid, ImpossibleWorld

START = datetime(2026, 1, 5, tzinfo=UTC)
EVERY = Extent(1.0)
GRID = ChoiceGrid({"subject": ("plain", "champion"), "cta": ("join", "invite")})

moments = st.integers(0, 28 * 24 * 3600 * 1000).map(lambda ms: START + timedelta(milliseconds=ms))
streams = st.lists(st.tuples(st.integers(0, 10**6), moments), unique_by=lambda one: one[0], max_size=30).map(
    lambda drawn: [ReportedEvent(f"d{n}", f"d{n}-click", "click", at, at) for n, at in drawn]
)
event_faults = st.sampled_from([LostEvents, DuplicatedEvents, DisorderedEvents, LateEvents])
extents = st.builds(Extent, st.floats(0.05, 1.0), st.integers(0, 5))


def stream(n):
    """n clicks, one every ten minutes."""
    return [
        ReportedEvent(f"d{i}", f"e{i}", "click", START + i * timedelta(minutes=10), START + i * timedelta(minutes=10))
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def decided(worlds):
    """Forty decisions from a snapshot that knows something, so that pmfs differ from send to send."""
    campaign = worlds.campaign(policy={"name": "softmax", "floor": 0.1})
    rows = worlds.rows(campaign, 60, lambda _, choice: {"click": 0.9 * (choice["subject"] == "champion")})
    return worlds.decide(worlds.engine(campaign, worlds.train(campaign, rows)), 40)


def nothing(_):
    """For faults that do not ask what an earlier snapshot says."""
    raise AssertionError("asked for an earlier snapshot")


def pmfs(decision):
    return tuple(pick.pmf.probabilities for pick in decision.picks)


@given(event_faults, extents, streams)
def test_a_stream_may_be_passed_in_pieces(fault, extent, events):
    whole, half = fault(extent).events(events), len(events) // 2
    pieces = fault(extent).events(events[:half]) + fault(extent).events(events[half:])
    assert Counter(whole) == Counter(pieces)


@given(event_faults, extents, streams)
def test_nothing_that_happened_before_a_fault_began_is_hit(fault, extent, events):
    since = START + timedelta(days=14)
    early = [event for event in events if event.at < since]
    assert Counter(fault(Extent(extent.share, extent.seed, since)).events(early)) == Counter(early)


@given(extents, streams)
def test_lost_events_are_missing_and_the_others_are_untouched(extent, events):
    left = LostEvents(extent).events(events)
    assert left == [event for event in events if event in left]
    assert LostEvents(EVERY).events(events) == []


@given(extents, streams)
def test_a_duplicate_says_the_same_again_with_the_same_id_within_a_day(extent, events):
    made = DuplicatedEvents(extent).events(events)
    first: dict[str, ReportedEvent] = {}
    for event in made:
        kept = first.setdefault(event.event_id, event)
        assert (event.decision_id, event.type, event.at) == (kept.decision_id, kept.type, kept.at)
        assert timedelta(0) <= event.reported_at - kept.reported_at <= timedelta(days=1)
    assert list(first.values()) == events
    assert len(DuplicatedEvents(EVERY).events(events)) == 2 * len(events)


@given(extents, streams)
def test_disorder_holds_events_back_to_the_full_hour_and_changes_nothing_else(extent, events):
    made = {event.event_id: event for event in DisorderedEvents(extent).events(events)}
    assert made.keys() == {event.event_id for event in events}
    for event in events:
        held = made[event.event_id].reported_at
        assert timedelta(0) <= held - event.reported_at < timedelta(hours=1)
        assert held in {event.reported_at, held.replace(minute=0, second=0, microsecond=0)}
        assert made[event.event_id].at == event.at


def test_disorder_reports_some_events_before_earlier_ones():
    reported = [event.at for event in DisorderedEvents(EVERY).events(stream(200))]
    assert sum(one > other for one, other in pairwise(reported)) > 50


def test_late_events_come_by_so_much_later():
    events = stream(400)
    made = LateEvents(Extent(0.25), by=timedelta(days=8)).events(events)
    later = Counter(after.reported_at - before.reported_at for before, after in zip(events, made, strict=True))
    assert set(later) == {timedelta(0), timedelta(days=8)}
    assert 70 <= later[timedelta(days=8)] <= 130
    with pytest.raises(InvalidSettings, match="leave the fault out"):
        LateEvents(EVERY, by=timedelta(0))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_is_the_share_that_is_hit(share):
    lost = 4000 - len(LostEvents(Extent(share)).events(stream(4000)))
    assert abs(lost / 4000 - share) < 5 * np.sqrt(share * (1 - share) / 4000)


def test_another_seed_hits_others_and_two_faults_do_not_hit_the_same():
    events = stream(1000)
    lost = [{event.event_id for event in LostEvents(Extent(0.5, seed)).events(events)} for seed in (0, 1)]
    late = {event.event_id for event in LateEvents(Extent(0.5)).events(events) if event.reported_at == event.at}
    assert 150 < len(lost[0] & lost[1]) < 350
    assert 150 < len(lost[0] & late) < 350


@pytest.mark.parametrize("made", [WrongPropensities(EVERY), SwappedArms(EVERY)])
def test_a_row_with_wrong_numbers_is_consistent_in_itself_and_keeps_what_was_drawn(made, decided):
    for before, after in zip(decided, made.rows(decided, nothing), strict=True):
        assert after.choice == before.choice
        assert pmfs(after) != pmfs(before)
        for mine, theirs in zip(before.picks, after.picks, strict=True):
            assert theirs.propensity == theirs.pmf[theirs.arm]
            assert [p > 0 for p in mine.pmf.probabilities] == [p > 0 for p in theirs.pmf.probabilities]
        assert after.propensity == pytest.approx(np.prod([pick.propensity for pick in after.picks]))


def test_a_larger_floor_makes_every_pmf_flatter(decided):
    for before, after in zip(decided, WrongPropensities(EVERY, floor=0.5).rows(decided, nothing), strict=True):
        for mine, theirs in zip(before.picks, after.picks, strict=True):
            even = 1 / len(mine.pmf.probabilities)
            assert theirs.pmf.probabilities == pytest.approx([0.5 * p + 0.5 * even for p in mine.pmf.probabilities])
    with pytest.raises(InvalidSettings, match="above 0 and up to 1"):
        WrongPropensities(EVERY, floor=0.0)


def test_arms_swapped_twice_are_as_they_were(decided):
    swapped = SwappedArms(EVERY)
    assert swapped.rows(swapped.rows(decided, nothing), nothing) == decided


def test_stale_rows_hold_what_the_earlier_snapshot_says(decided):
    earlier = [pick.pmf for pick in decided[0].picks]
    made = StalePropensities(Extent(0.5)).rows(decided, lambda _: earlier)
    stale = [after for before, after in zip(decided, made, strict=True) if after != before]
    assert 8 < len(stale) < 32
    assert {pmfs(row) for row in stale} == {pmfs(decided[0])}


def test_swapped_rows_exchange_all_their_numbers_with_their_neighbours(decided):
    made = SwappedRows(Extent(0.4)).rows(decided, nothing)
    assert [row.choice for row in made] == [row.choice for row in decided]
    moved = [place for place, (one, other) in enumerate(zip(decided, made, strict=True)) if one != other]
    assert moved
    assert len(moved) % 2 == 0
    for one, other in zip(moved[::2], moved[1::2], strict=True):
        assert other == one + 1
        assert (pmfs(made[one]), pmfs(made[other])) == (pmfs(decided[other]), pmfs(decided[one]))
        assert (made[one].propensity, made[other].propensity) == (decided[other].propensity, decided[one].propensity)


@pytest.mark.parametrize("fault", [WrongPropensities, StalePropensities, SwappedArms, SwappedRows])
def test_rows_before_a_fault_began_are_untouched(fault, decided):
    assert fault(Extent(1.0, since=decided[-1].decided_at + timedelta(seconds=1))).rows(decided, nothing) == decided


SCORES, ELIGIBLE = np.array([0.3, 0.1, 0.2, 0.9]), np.array([True, True, True, False])
NATIVE = np.array([0.7, 0.1, 0.2, 0.0])


@pytest.mark.parametrize(
    ("inner", "estimates"),
    [
        (Softmax(0.05), Estimates(scores=SCORES)),
        (Native(), Estimates(native=NATIVE)),
        (Thompson(), Estimates(members=np.stack([SCORES, SCORES + 0.01]))),
    ],
)
def test_a_misguided_policy_prefers_the_worst_and_says_so_honestly(inner, estimates):
    policy = Misguided(inner)
    offer = estimates.on_offer(0, (0, 1, 2), 4)
    pmf = policy.pmf(estimates, ELIGIBLE, dimension=0)
    assert pmf[:3].tolist() == pytest.approx(policy.shares(offer))
    assert pmf[3] == 0.0
    assert pmf.sum() == pytest.approx(1.0)
    assert pmf[:3].argmax() == 1
    assert inner.pmf(estimates, ELIGIBLE, dimension=0).argmax() == 0
    assert (policy.name, policy.needs) == (inner.name, inner.needs)


def test_a_partly_misguided_policy_lies_in_between():
    right, wrong, half = (
        policy.pmf(Estimates(scores=SCORES), ELIGIBLE, dimension=0)
        for policy in (Softmax(0.1), Misguided(Softmax(0.1)), Misguided(Softmax(0.1), 0.5))
    )
    assert half == pytest.approx((right + wrong) / 2)


def test_an_arm_without_rivals_stays_certain():
    alone = np.array([True, False])
    assert Misguided(Native()).pmf(Estimates(native=np.array([1.0, 0.0])), alone, dimension=0).tolist() == [1.0, 0.0]
    assert Misguided(Native()).shares(Estimates(native=np.array([1.0, 0.0])).on_offer(0, (0,), 2)) == [1.0]


def test_only_policies_that_ask_for_estimates_can_be_misguided_and_only_once_the_fault_is_there():
    fault = MisguidedPolicy(Extent(0.7, since=START))
    assert fault.policy(Softmax(), START) == Misguided(Softmax(), 0.7)
    assert fault.policy(Softmax(), START - timedelta(seconds=1)) == Softmax()
    assert Uniform().needs is Need.NOTHING
    assert fault.policy(Uniform(), START) == Uniform()


def test_what_is_not_sent_as_chosen_is_the_default_or_nothing():
    chosen = {"subject": "champion", "cta": "invite"}
    sent = [UnsentChoice(Extent(0.3)).sent(f"d{i}", START, chosen, GRID) for i in range(500)]
    assert {tuple(choice.values()) for choice in sent} == {("plain", "join"), ("champion", "invite")}
    gone = [UnvoidedSends(Extent(0.3)).sent(f"d{i}", START, chosen, GRID) for i in range(500)]
    assert {choice is None for choice in gone} == {True, False}
    assert all(choice in (None, chosen) for choice in gone)


def test_changed_ids_last_a_week_and_belong_to_one_person():
    fault = ChangedIds(Extent(0.5))
    ids = {
        (name, day): fault.known_as(name, START + timedelta(days=day))
        for name in ("a", "b", "c", "d")
        for day in range(28)
    }
    kept = [name for name in "abcd" if {ids[name, day] for day in range(28)} == {name}]
    changed = [name for name in "abcd" if name not in kept]
    assert kept
    assert changed
    for name in changed:
        assert len({ids[name, day] for day in range(28)}) == 4
        assert ids[name, 0] == ids[name, 6] != ids[name, 7]
    assert len({ids[name, 0] for name in "abcd"}) == 4


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_of_exactly_one_kind_and_knows_what_it_hits(name):
    (fault,) = faults_of([name], seed=3, since=START).faults
    kinds = [
        kind for kind in (EventFault, RowFault, PolicyFault, SendingFault, IdentityFault) if isinstance(fault, kind)
    ]
    assert len(kinds) == 1
    assert fault.extent == Extent(FAULTS[name].share, 3, START)
    assert FAULTS[name].about.endswith(".")


def test_several_faults_act_one_after_the_other():
    both = faults_of(["lost-events=0.5", "late-events=0.5"])
    lost, late = both.faults
    assert both.events(stream(200)) == late.events(lost.events(stream(200)))
    nothing_goes_out = Faults((UnvoidedSends(EVERY), UnsentChoice(EVERY)))
    assert nothing_goes_out.sent("d", START, {"subject": "champion", "cta": "join"}, GRID) is None


def test_without_faults_everything_stays_as_it_is(decided):
    none = Faults()
    assert none.events(stream(5)) == stream(5)
    assert none.rows(decided, nothing) == decided
    assert none.policy(Softmax(), START) == Softmax()
    assert none.sent("d", START, GRID.at(3), GRID) == GRID.at(3)
    assert none.known_as("ann", START) == "ann"


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("lost", "name one of lost-events, duplicated-events"),
        ("lost-events=half", "give a number above 0 and up to 1"),
        ("lost-events=0", "for no fault leave it out"),
        ("lost-events=1.1", "above 0 and up to 1"),
        ("lost-events=nan", "above 0 and up to 1"),
    ],
)
def test_a_fault_that_is_none_is_refused_with_advice(text, advice):
    with pytest.raises(InvalidSettings, match=advice):
        faults_of([text])


def test_times_without_a_zone_are_refused():
    with pytest.raises(ImpossibleWorld, match="in UTC"):
        Extent(0.5, since=datetime(2026, 1, 5))  # noqa: DTZ001 - what is refused
    with pytest.raises(ImpossibleWorld, match="in UTC"):
        ReportedEvent("d", "e", "click", START, datetime(2026, 1, 5))  # noqa: DTZ001 - what is refused
