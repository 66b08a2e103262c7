"""Send slots: when a message goes out, which hours are out of a decision, and that both are the same however it is made."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import Context, read_campaign
from bandit.context_columns import columns_of
from bandit.decide_many import decide_many
from bandit.decisions import Requests
from bandit.errors import InvalidCampaign, InvalidContext, NoEligibleArm
from bandit.exclusion import BY_CALLER
from bandit.limits import QuietHours
from bandit.send_slot import SendSlot
from bandit.send_slots import BLACKOUT, EARLIEST, LATEST, QUIET, WITHIN, SendSlots

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Chatham", "UTC"]
DAILY_0230 = SendSlot(tuple(range(7)), 150)
SUNDAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
DOCUMENT = {
    "context": {"zone": {"kind": "categorical", "values": ZONES}},
    "groups": {"random": 0.2, "control": {"share": 0.2, "choice": {"subject": "plain", "send_slot": "weekday-09"}}},
    "limits": {"quiet_hours": {"from": "21:00", "until": "08:00", "zone": "zone"}},
    "send_slots": {"within": "3d"},
}
SLOTS = ["weekday-09", "weekend-17", "mon-18", "wed-02", "daily-20:30"]


@pytest.fixture
def campaign(worlds):
    """Two dimensions, one of them send slots."""
    dimensions = [worlds.dimension("subject", "plain", "champion"), worlds.dimension("send_slot", *SLOTS)]
    return worlds.campaign(**DOCUMENT, dimension=dimensions)


@pytest.mark.parametrize(
    ("zone", "decided", "expected"),
    [
        (
            "Europe/Berlin",
            "2026-03-28T12:00:00+00:00",
            "2026-03-29T01:00:00+00:00",
        ),  # 02:30 is skipped: 03:00 summer time
        ("Europe/Berlin", "2026-10-24T12:00:00+00:00", "2026-10-25T00:30:00+00:00"),  # 02:30 comes twice: the first
        ("Asia/Kolkata", "2026-10-24T12:00:00+00:00", "2026-10-24T21:00:00+00:00"),
    ],
)
def test_an_hour_that_clocks_skip_is_the_next_minute_and_one_shown_twice_the_first(zone, decided, expected):
    slots = SendSlots(0, (DAILY_0230,), home=zone)
    assert slots.times({}, datetime.fromisoformat(decided)).send_at == (datetime.fromisoformat(expected),)


FIRST, LAST = datetime(2026, 3, 20), datetime(2026, 4, 10)  # noqa: DTZ001 - hypothesis wants them so
days = st.dates(FIRST.date(), LAST.date())
bounds = st.one_of(st.none(), days, st.datetimes(FIRST, LAST, timezones=st.sampled_from([None, UTC])))


@given(
    st.datetimes(FIRST, LAST, timezones=st.just(UTC)),
    st.sampled_from(ZONES),
    st.lists(st.builds(SendSlot, st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
                       st.integers(0, 1439)), min_size=1, max_size=4),
    st.integers(1, 240).map(lambda hours: timedelta(hours=hours)),
    st.sets(days, max_size=5),
    bounds, bounds,
)  # fmt: skip
def test_a_slot_goes_out_at_the_first_showing_that_nothing_forbids_and_is_out_where_there_is_none(
    at, zone, slots, within, blackout, earliest, latest
):
    quiet = QuietHours(22 * 60, 7 * 60)
    rules = SendSlots(0, tuple(slots), "", zone, within, quiet, frozenset(blackout), earliest, latest)
    found = rules.times({}, at)
    out = {one.arm: one.rule for one in found.excluded}
    for arm, slot in enumerate(slots):
        expected = _first_by_the_minute(slot, at, ZoneInfo(zone), rules)
        assert found.send_at[arm] == expected
        assert (arm in out) == (expected is None)
        assert out.get(arm, QUIET) in {QUIET, BLACKOUT, EARLIEST, LATEST, WITHIN}


def _first_by_the_minute(slot, at, zone, rules):
    """The same by looking at each date in turn, with no help from the code under test but the clock."""
    for days in range(-1, 12):
        day = at.astimezone(zone).date() + timedelta(days=days)
        wall = datetime(day.year, day.month, day.day, slot.minute // 60, slot.minute % 60, tzinfo=zone)
        moment = wall.astimezone(UTC)
        while moment.astimezone(zone).replace(tzinfo=None) < wall.replace(tzinfo=None):
            moment += timedelta(minutes=1)
        if wall.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wall.replace(tzinfo=None):
            # Skipped: the first minute of summer time.
            moment = wall.astimezone(UTC) - timedelta(hours=2)
            while moment.astimezone(zone).replace(tzinfo=None) < wall.replace(tzinfo=None):
                moment += timedelta(minutes=1)
        local = moment.astimezone(zone)
        if day.weekday() not in slot.days or not at <= moment <= at + rules.within or day in rules.blackout:
            continue
        if rules.quiet_hours.has(local.time()) or _beyond(local, rules.earliest, -1) or _beyond(local, rules.latest, 1):
            continue
        return moment
    return None


def _beyond(local, bound, side):
    if bound is None:
        return False
    if not isinstance(bound, datetime):
        return (local.date() - bound).days * side > 0
    gap = (local if bound.tzinfo else local.replace(tzinfo=None)) - bound
    return gap * side > timedelta(0)


def test_hours_are_out_before_the_draw_and_the_pick_says_when(campaign, worlds):
    decision = worlds.engine(campaign).decide("ann", Context.of(zone="UTC"), decision_id="d1", at=SUNDAY)
    rules = {campaign.dimensions[1].ids[one.arm]: one.rule for one in decision.excluded}
    assert rules == {"wed-02": QUIET}  # on Wednesday at two it is night; within three days all others come
    pmf = dict(zip(SLOTS, decision.picks[1].pmf.probabilities, strict=True))
    assert pmf["wed-02"] == 0.0
    assert sum(pmf.values()) == pytest.approx(1.0)
    expected = {"weekday-09": "23T09:00", "weekend-17": "22T17:00", "mon-18": "23T18:00", "daily-20:30": "22T20:30"}
    assert f"{decision.send_at:%dT%H:%M}" == expected[decision.choice["send_slot"]]


def test_quiet_hours_do_not_move_a_chosen_hour_again(campaign, worlds):
    engine = worlds.engine(campaign)
    for i in range(40):
        decision = engine.decide(f"c{i}", Context.of(zone="Asia/Kolkata"), decision_id=f"d{i}", at=SUNDAY)
        local = decision.send_at.astimezone(ZoneInfo("Asia/Kolkata"))
        slot = campaign.send_slots.slots[campaign.dimensions[1].index_of(decision.choice["send_slot"])]
        assert (local.weekday() in slot.days, local.hour * 60 + local.minute) == (True, slot.minute)


def test_control_gets_one_of_the_hours_that_are_left_where_its_own_is_out(campaign, worlds):
    saturday = datetime(2026, 11, 21, 10, tzinfo=UTC)
    engine = worlds.engine(read_campaign(campaign.toml.replace('"3d"', '"1d"')))
    made = [engine.decide(f"c{i}", Context.of(zone="UTC"), decision_id=f"d{i}", at=saturday) for i in range(60)]
    control = [one for one in made if one.group == "control"]
    assert control
    for one in control:
        assert one.choice["send_slot"] in {"weekend-17", "daily-20:30"}
        assert one.picks[1].propensity == 0.5


@pytest.mark.parametrize("as_columns", [True, False])
@pytest.mark.parametrize("exclude", [True, False])
def test_many_decisions_have_the_hours_that_each_would_have_had(campaign, worlds, as_columns, exclude):
    n, engine = 120, worlds.engine(campaign)
    contexts = [Context.of(zone=[*ZONES, None][i % 6]) for i in range(n)]
    at = [SUNDAY + timedelta(hours=i % 7) for i in range(n)]
    excludes = [{"send_slot": ["mon-18"]} if exclude and i % 2 else {} for i in range(n)]
    ids, customers = [f"d{i}" for i in range(n)], [f"c{i}" for i in range(n)]
    given = columns_of(campaign.schema, contexts) if as_columns else contexts
    many = decide_many(engine, Requests(customers, given, ids, at, exclude=excludes if exclude else None))
    for row in range(n):
        alone = engine.decide(
            customers[row], contexts[row], decision_id=ids[row], at=at[row], exclude=excludes[row] or None
        )
        assert many.decision(row) == alone
    assert many.send_ats() == [many.decision(row).send_at for row in range(n)]


def test_what_a_caller_excludes_stays_theirs_where_the_hour_is_out_as_well(campaign, worlds):
    engine = worlds.engine(campaign)
    exclude = {"send_slot": ["wed-02"]}
    decision = engine.decide("ann", Context.of(zone="UTC"), decision_id="d1", at=SUNDAY, exclude=exclude)
    assert [one.rule for one in decision.excluded] == [BY_CALLER]


def test_where_every_hour_is_out_each_rule_is_named(worlds, campaign):
    assert campaign.toml.count('"within" = "3d"') == 1
    shut = read_campaign(campaign.toml.replace('"within" = "3d"', '"within" = "3d", latest = 2026-11-22T12:00:00Z'))
    with pytest.raises(NoEligibleArm, match=r"'mon-18' by \[send_slots\].latest"):
        worlds.engine(shut).decide("ann", Context.of(zone="UTC"), decision_id="d1", at=SUNDAY)


def test_a_zone_that_is_none_is_refused(worlds):
    document = DOCUMENT | {"context": {"zone": {"kind": "categorical", "protected": True}}}
    dimensions = [worlds.dimension("subject", "plain"), worlds.dimension("send_slot", *SLOTS)]
    engine = worlds.engine(worlds.campaign(**document, dimension=dimensions))
    with pytest.raises(InvalidContext, match="send slots could not be kept"):
        engine.decide("ann", Context.of(zone="Mars/Olympus"), decision_id="d1", at=SUNDAY)


def test_a_grid_lists_its_arms_in_place_of_nothing_and_beside_those_that_are_listed(worlds):
    listed = worlds.dimension("when", {"id": "mon-09", "features": {"mine": "yes"}}, {"id": "no_send", "no_send": True})
    grid = {"grid": "24x7", "hours": [9, 18], "dimension": "when"}
    with_listed = worlds.campaign(send_slots=grid, dimension=[worlds.dimension("subject", "plain"), listed])
    ids = with_listed.dimensions[1].ids
    assert (len(ids), ids[:2]) == (15, ("mon-09", "no_send"))
    assert with_listed.dimensions[1].arms[0].features == {"mine": "yes"}
    assert with_listed.send_slots.slots[1] is None
    without = worlds.campaign(send_slots={"grid": "24x7"}, dimension=[worlds.dimension("subject", "plain")])
    assert [(one.name, len(one.arms)) for one in without.dimensions] == [("subject", 1), ("send_slot", 168)]


def test_an_arm_may_say_its_hour_itself(worlds):
    arm = {"id": "lunch", "slot": {"days": ["mon", "tue"], "at": "12:30"}}
    found = worlds.campaign(send_slots={"within": "7d"}, dimension=[worlds.dimension("send_slot", arm, "weekend-10")])
    assert found.send_slots.slots[0] == SendSlot((0, 1), 750)


@pytest.mark.parametrize(
    ("slots", "arms", "said"),
    [
        ({"within": "soon"}, SLOTS, "up to 28d"),
        ({"within": "40d"}, SLOTS, "up to 28d"),
        ({"zone": "level"}, SLOTS, "IANA zones only"),
        ({"blackout": ["2026-12-25"]}, SLOTS, "without quotes"),
        ({"earliest": "tomorrow"}, SLOTS, "without quotes"),
        ({"grid": "hourly"}, SLOTS, "24x7"),
        ({"hours": [9]}, SLOTS, "a grid beside them"),
        ({"grid": "daily", "hours": [25]}, SLOTS, "0 to 23"),
        ({"dimension": "hour"}, SLOTS, "a grid, which makes one"),
        ({"withn": "7d"}, SLOTS, "here stand dimension, grid"),
        ({}, [*SLOTS, "later"], "arm later: found no hour"),
        ({}, [*SLOTS, {"id": "x", "slot": {"days": ["moon"], "at": "12:30"}}], "weekday or weekend"),
        ({}, [*SLOTS, {"id": "x", "slot": {"at": "noon"}}], "21:00"),
        (None, [{"id": "x", "slot": {"at": "12:30"}}], "no `slot`, or a [send_slots] table"),
    ],
)
def test_each_fault_of_the_table_is_named(worlds, slots, arms, said):
    with pytest.raises(InvalidCampaign) as found:
        worlds.campaign(send_slots=slots, dimension=[worlds.dimension("send_slot", *arms)])
    assert said in str(found.value)


def test_a_campaign_without_the_table_is_as_it_was(worlds):
    dimensions = [worlds.dimension("subject", "plain"), worlds.dimension("send_slot", *SLOTS)]
    plain = worlds.campaign(dimension=dimensions)
    decision = worlds.engine(plain).decide("ann", Context.of(), decision_id="d1", at=SUNDAY)
    assert (plain.send_slots, decision.excluded, decision.send_at) == (None, (), None)
    assert np.count_nonzero(decision.picks[1].pmf.probabilities) == len(SLOTS)


@settings(max_examples=40)
@given(
    st.lists(st.datetimes(FIRST, LAST, timezones=st.just(UTC)), min_size=1, max_size=3),
    st.lists(st.integers(-90, 90), min_size=1, max_size=3),
    st.sampled_from(ZONES),
)
def test_what_was_worked_out_for_another_time_is_never_told_where_it_no_longer_holds(starts, minutes, zone):
    slots = (SendSlot((0, 1, 2, 3, 4), 540), SendSlot((5, 6), 60), DAILY_0230, None)
    asked = SendSlots(0, slots, home=zone, within=timedelta(days=2), quiet_hours=QuietHours(0, 60))
    moments = [start + timedelta(minutes=shift) for start in starts for shift in minutes]
    moments += [one for at in moments for one in asked.times({}, at).send_at if one]
    for at in [*moments, *(one + timedelta.resolution for one in moments), *(one - asked.within for one in moments)]:
        fresh = SendSlots(0, slots, home=zone, within=timedelta(days=2), quiet_hours=QuietHours(0, 60))
        assert asked.times({}, at) == fresh.times({}, at)
