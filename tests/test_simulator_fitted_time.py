"""A world fitted to a log for a campaign that knows the time: each send has the time at which it was decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from bandit import Context, Engine
from bandit.errors import UnusableLog
from bandit.time_kinds import WEEKDAYS
from policies import group_policies
from simulator.fit_rows import FitRows
from simulator.fitting import fit_world
from simulator.replay import Stage, replay
from simulator.truth import value_of, value_of_choices
from simulator.world import Arrival, ChoiceGrid

MADRID, MEXICO = "Europe/Madrid", "America/Mexico_City"
START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
N, DAYS = 5000, 21
WEEKEND = {"sat", "sun"}


def weekday_of(at, zone):
    """What a calendar on the wall says, by nobody's code but the library's."""
    return WEEKDAYS[at.astimezone(ZoneInfo(zone)).weekday()]


def chance(weekday, subject):
    """Plain is for the weekend, champion for the rest; nobody clicks on Mondays."""
    if weekday == "mon":
        return 0.05
    return 0.5 if (subject == "plain") == (weekday in WEEKEND) else 0.2


def timed(worlds, *subjects, **sections):
    return worlds.campaign(
        context={"zone": {"kind": "categorical", "values": [MADRID, MEXICO]}},
        time={"zone": "zone", "fields": {"weekday": "weekday", "block": "hour_block"}},
        **{
            "dimension": [worlds.dimension("subject", *(subjects or ("plain", "champion")))],
            "reward": {"window": "6h", "events": {"click": 1.0}},
            "groups": {"random": 0.2},
        }
        | sections,
    )


@pytest.fixture(scope="module")
def campaign(worlds):
    return timed(worlds)


@pytest.fixture(scope="module")
def rows():
    """A log that was written before the campaign knew the time: three weeks, and customers in two zones."""
    rng = np.random.default_rng(5)
    seconds = np.sort(rng.integers(86_400 * DAYS, size=N))
    at = (seconds - seconds[0]) / 3600.0
    customers = rng.integers(1500, size=N)
    zones = [(MADRID, MEXICO)[who % 2] for who in customers.tolist()]
    picks = rng.integers(2, size=N)
    subjects = ("plain", "champion")
    moments = [START + timedelta(hours=hours) for hours in at.tolist()]
    chances = [chance(weekday_of(t, zone), subjects[k]) for t, zone, k in zip(moments, zones, picks, strict=True)]
    return FitRows(
        ChoiceGrid({"subject": subjects}),
        [{"zone": zone} for zone in zones],
        picks[:, None],
        np.full(N, 0.5),
        (rng.random(N) < np.array(chances)).astype(np.float64)[:, None],
        ("click",),
        (1.0,),
        [f"c{who}" for who in customers.tolist()],
        at=at,
        start=START,
    )


@pytest.fixture(scope="module")
def world(rows, campaign):
    return fit_world(rows, campaign, seed=1)


def played(world, campaign, n):
    engine = Engine(campaign, group_policies(campaign), b"salt", b"secret")
    (stage,) = replay([Stage(world, campaign, n)], [engine]).stages
    return stage


@pytest.mark.parametrize("zone", [MADRID, MEXICO])
def test_effects_of_the_weekday_are_found_on_the_customers_own_calendar(world, zone):
    """Each cell of 350 sends within .1, about four standard errors; at 03:00 UTC it is still yesterday in Mexico."""
    for hour in (3, 15):
        arrivals = [Arrival("ann", START + timedelta(days=day, hours=hour), {"zone": zone}) for day in range(7)]
        found = world.expected_rewards_after(arrivals)
        true = [[chance(weekday_of(one.at, zone), subject) for subject in ("plain", "champion")] for one in arrivals]
        assert np.abs(found - np.array(true)).max() < 0.1


def test_a_send_of_the_log_comes_with_the_time_at_which_it_was_decided(world, campaign, rows):
    for came, context, at in zip(world.arrivals(N), rows.contexts, rows.moments, strict=True):
        assert came.at == at
        assert came.context == campaign.completed(Context(context), at).values
        assert came.context["weekday"] == weekday_of(at, context["zone"])


def test_when_the_log_begins_again_everybody_comes_on_the_same_weekday_at_the_same_hour(world, campaign):
    first, *later = np.array_split(np.array(list(world.arrivals(3 * N)), dtype=np.object_), 3)
    for lap, again in enumerate(later, start=1):
        apart = {came.at - before.at for came, before in zip(again, first, strict=True)}
        assert apart == {lap * timedelta(days=DAYS)}
    for came in later[-1]:
        given = Context(campaign.given_of(came.context))
        assert came.context == campaign.completed(given, came.at).values


def test_what_customers_do_is_expected_at_the_moment_of_the_send_whoever_says_it(world):
    came = next(one for one in world.arrivals(N) if one.context["weekday"] == "sat")
    bare = replace(came, context={"zone": came.context["zone"]})
    assert np.array_equal(world.expected_rewards_after([bare]), world.expected_rewards_after([came]))
    assert np.array_equal(world.expected_rewards_after([came]), world.expected_rewards([came.context]))
    choice = {"subject": "plain"}
    reactions = [[world.react(one, choice, decision_id=f"d{i}") for i in range(300)] for one in (bare, came)]
    assert reactions[0] == reactions[1]


def test_the_truth_of_a_replay_is_the_mean_of_what_it_earns_and_the_learner_finds_the_weekend(world, campaign):
    stage = played(world, campaign, N + 1000)
    apart = stage.rewards - stage.truth.values
    assert abs(apart.mean()) < 4.0 * apart.std() / len(apart) ** 0.5
    late = slice(N // 2, None)
    made, best = stage.truth.values[late].mean(), stage.truth.best[late].mean()
    blind = max(
        value_of_choices(world, stage.arrivals[late], [choice] * len(stage.arrivals[late])).value
        for choice in world.choices
    )
    assert made > blind + 0.3 * (best - blind)


def test_rules_on_the_time_hold_for_random_and_best(worlds, rows):
    ruled = timed(worlds, {"id": "plain", "when": {"weekday": sorted(WEEKEND)}}, "champion")
    world = fit_world(rows, ruled, seed=1)
    arrivals = list(world.arrivals(600))
    weekend = np.array([weekday_of(one.at, one.context["zone"]) in WEEKEND for one in arrivals])
    pmf = world.random_pmf_at(arrivals)
    assert (pmf[weekend] == 0.5).all()
    assert (pmf[~weekend] == [0.0, 1.0]).all()
    truth = value_of(world, arrivals, lambda came: world.random_pmf_at([came])[0])
    assert truth.values == pytest.approx(truth.uniform)
    assert (truth.best >= truth.values - 1e-12).all()


def test_hours_that_are_out_at_the_moment_are_not_in_the_truth(worlds, rows):
    slots = [
        {"id": "early", "slot": {"days": ["sat", "sun"], "at": "10:00"}},
        {"id": "late", "slot": {"days": ["mon", "tue"], "at": "10:00"}},
    ]
    hours = {"name": "send_slot", "arm": slots}
    ruled = timed(worlds, send_slots={"within": "2d"}, dimension=[hours])
    moved = replace(rows, choices=ChoiceGrid({"send_slot": ("early", "late")}))
    world = fit_world(moved, ruled, seed=1)
    friday = Arrival("ann", START + timedelta(days=4, hours=12), {"zone": MADRID})
    sunday = Arrival("ann", START + timedelta(days=6, hours=9, minutes=30), {"zone": MADRID})
    assert world.random_pmf_at([friday, sunday]).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    truth = value_of_choices(world, [friday], [{"send_slot": "early"}])
    assert truth.values.tolist() == truth.best.tolist() == truth.uniform.tolist()


def test_a_log_without_times_cannot_show_what_the_time_does(worlds, rows):
    ruled = timed(worlds, {"id": "plain", "when": {"weekday": sorted(WEEKEND)}}, "champion")
    world = fit_world(replace(rows, at=None), ruled, seed=1)
    assert {tuple(one.context) for one in world.arrivals(50)} == {("zone",)}
    days = [Arrival("ann", START + timedelta(days=day), {"zone": MADRID}) for day in range(7)]
    assert np.ptp(world.expected_rewards_after(days), axis=0).max() == 0.0
    fitted = world.response.probabilities(world.rows.contexts, rows.picks)
    assert fitted.mean() == pytest.approx(rows.labels.mean(), abs=1e-3)
    assert world.random_pmf_at(days)[:, 0].tolist() == [0.0] * 5 + [0.5] * 2


def test_a_part_of_a_log_begins_at_its_own_time(rows):
    later = rows.only(slice(2000, 4000))
    assert later.moments == rows.moments[2000:4000]
    assert later.only(slice(500, 1000)).moments == rows.moments[2500:3000]


def test_a_row_in_a_zone_that_is_none_is_named(worlds, rows):
    contexts = [{"zone": "Atlantis"} if i == 6 else context for i, context in enumerate(rows.contexts)]
    with pytest.raises(UnusableLog, match=r"row 7 of the log.*Atlantis.*no IANA time zone"):
        fit_world(replace(rows, contexts=contexts), timed(worlds), seed=1)
