"""The time is made by the service for every request, stands in the log, and a forged one is found."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bandit import Context, Engine, LoggedDecision, Matured, Served
from policies import group_policies
from service.rows import DECIDED, next_chain
from service.verification import verify_store
from simulator.habits import HABITS, Habits
from simulator.replay import replay
from simulator.scenarios import SCENARIOS

CONTROL = {"share": 0.2, "choice": {"subject": "plain", "cta": "join"}}
PLACES = {
    "level": {"kind": "categorical", "values": ["low", "high"]},
    "zone": {"kind": "categorical", "values": ["Europe/Madrid", "Asia/Kolkata"]},
}
TIME = {
    "zone": "zone",
    "country": "ES",
    "begins": date(2026, 11, 1),
    "ends": date(2026, 12, 1),
    "fields": {"hour": "hour", "weekday": "weekday", "holiday": "holiday", "left": "days_until_end"},
}
NOON = "2026-11-22T12:00:00Z"
SUNDAY = {"hour": "13", "weekday": "sun", "holiday": False, "left": 9.0}
STEP = timedelta(days=2)


@pytest.fixture
def campaign(worlds):
    """A campaign with rules on the weekday."""
    subject = worlds.dimension("subject", "plain", {"id": "champion", "when": {"weekday": ["sat", "sun"]}})
    groups = {"random": 0.2, "control": CONTROL}
    return worlds.campaign(
        context=PLACES, time=TIME, groups=groups, dimension=[subject, worlds.dimension("cta", "join", "invite")]
    )


@pytest.fixture
def http(serve, campaign):
    """A service on a Sunday at noon, UTC."""
    return serve(campaign)


def known(row):
    return {name: value for name, value in row.context.items() if name not in PLACES}


def test_a_decision_keeps_the_time_that_the_customers_clock_showed(http):
    http.decide("ann", context={"zone": "Europe/Madrid"})
    http.decide("bob", context={"zone": "Asia/Kolkata"})
    http.wait(hours=12)
    http.decide("cid", context={})
    assert [known(row) for row in http.rows()] == [
        SUNDAY, SUNDAY | {"hour": "17"}, SUNDAY | {"hour": "00", "weekday": "mon", "left": 8.0},
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/decisions/batch"])
def test_a_request_that_brings_the_time_is_refused_with_advice(http, path):
    body = {"customer_id": "ann", "context": {"hour": "09"}}
    if path.endswith("batch"):
        answer = http.client.post(path, json={"decisions": [body]}).json()["decisions"][0]
    else:
        answer = http.client.post(path, json=body).json()
    assert (answer["status"], answer["title"]) == (422, "InvalidContext")
    assert "Leave it out" in answer["detail"]
    assert http.rows() == []


def test_a_retry_hours_later_gets_the_stored_decision(http):
    first = http.decide("ann", decision_id="d", context={"level": "low"})
    http.wait(hours=9)
    assert http.decide("ann", decision_id="d", context={"level": "low"}) == first
    conflict = http.decide("ann", decision_id="d", context={"level": "high"})
    assert "for another context" in conflict["detail"]
    refused = http.decide("ann", decision_id="d", context={"level": "low", "hour": "13"})
    assert "Leave it out" in refused["detail"]


def test_a_batch_over_http_decides_as_one_by_one(http, serve, campaign):
    lines = [
        {"customer_id": f"c{i}", "decision_id": f"d{i}", "context": {"zone": ("Europe/Madrid", None)[i % 2]}}
        for i in range(8)
    ]
    answer = http.client.post("/v1/decisions/batch", json={"decisions": lines}).json()
    batch = [one["choice"] for one in answer["decisions"]]
    assert batch == [serve(campaign).decide(**line)["choice"] for line in lines]
    assert {row.context["hour"] for row in http.rows()} == {"13", "12"}


def test_why_a_decision_was_made_is_said_with_its_own_time(http):
    http.learn()
    http.wait(hours=1)
    made = http.decide("ann", decision_id="d", context={"level": "low"})
    http.wait(hours=30)
    shown = http.show("d", explain=True)
    assert shown["choice"] == made["choice"]
    removed = {one["arm"]: one["rule"] for one in shown["explanation"]["dimensions"][0]["removed"]}
    assert "weekday" in removed["champion"]


def test_who_does_not_consent_may_not_bring_the_time_either(serve, worlds):
    context = PLACES | {"yes": {"kind": "boolean"}}
    http = serve(worlds.campaign(context=context, time=TIME, privacy={"consent": "yes"}, groups={"control": CONTROL}))
    assert http.decide(context={"yes": False})["policy"] == "no-consent"
    assert "Leave it out" in http.decide(context={"yes": False, "hour": "09"})["detail"]


def rechain(path):
    """What a tamperer who knows the code does last."""
    with sqlite3.connect(path) as connection:
        chain, rows = bytes(16), f"SELECT seq, {', '.join(DECIDED)} FROM decisions ORDER BY seq"
        for seq, *values in connection.execute(rows).fetchall():
            chain = next_chain(chain, values)
            connection.execute("UPDATE decisions SET chain = ? WHERE seq = ?", (chain, seq))
        connection.execute("UPDATE head SET chain = ?", (chain,))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("hour", "09", "hour is '09'; at 2026-11-22T12:00:00+00:00, where the customer lives, the hour is '13'"),
        ("left", 3.0, "the days_until_end is 9.0: the row was changed, or the table of time zones was updated"),
        ("holiday", True, "the row was changed, or the list of the library `holidays` was updated"),
        ("holiday", None, "the holiday is False"),
    ],
)
def test_a_forged_time_is_found_whoever_forged_the_chain_too(http, name, value, words):
    for i in range(4):
        http.decide(f"c{i}", context={"zone": "Europe/Madrid"})
    assert verify_store(http.store).passed
    with sqlite3.connect(http.store.path) as connection:
        query = "UPDATE decisions SET context = json_set(context, ?, json(?)) WHERE seq = 2"
        connection.execute(query, (f"$.{name}", json.dumps(value)))
    rechain(http.store.path)
    checks = {check.name: check.failures for check in verify_store(http.store).checks if not check.passed}
    assert set(checks) == {"time"}
    assert len(checks["time"]) == 1
    assert words in checks["time"][0]


def test_without_made_fields_there_is_no_check_of_them(serve):
    http = serve()
    http.decide()
    assert "time" not in {check.name for check in verify_store(http.store).checks}


@pytest.fixture
def folder(tmp_path, monkeypatch, worlds, campaign):
    """A folder with a campaign and its customers, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "campaign.toml").write_text(campaign.toml, encoding="utf-8")
    rows = range(30)
    zones = [("Europe/Madrid", "Asia/Kolkata", None)[i % 3] for i in rows]
    users = {"customer_id": [f"c{i}" for i in rows], "decision_id": [f"d{i}" for i in rows], "zone": zones}
    pq.write_table(pa.table(users), "users.parquet")
    return tmp_path


def decide(cli, *options, at=NOON):
    cli.run("decide", "--users", "users.parquet", "--out", "choices.parquet", "--at", at, *options)
    return pq.read_table("choices.parquet").to_pylist()


def test_a_table_gets_the_time_in_columns_and_a_second_run_tells_nobody_of_another_context(folder, cli):
    first = decide(cli)
    again = decide(cli, "--again", at="2026-11-23T20:00:00Z")
    assert [row["arm.subject"] for row in again] == [row["arm.subject"] for row in first]
    cli.run("export", "--out", "log.parquet")
    hours = pq.read_table("log.parquet").to_pylist()
    expected = {"Europe/Madrid": "13", "Asia/Kolkata": "17", None: "12"}
    assert all(row["context.hour"] == expected[row["context.zone"]] for row in hours)
    assert {(row["context.weekday"], row["context.left"]) for row in hours} == {("sun", 9.0)}
    assert json.loads(cli.run("verify", "--json"))["passed"]


def test_a_table_that_brings_the_time_is_refused_with_advice(folder, cli):
    users = pq.read_table("users.parquet")
    pq.write_table(users.append_column("hour", pa.array(["09"] * len(users))), "users.parquet")
    cli.run("decide", "--users", "users.parquet", "--out", "choices.parquet", "--at", NOON, code=2)
    assert len(decide(cli, "--ignore", "hour")) == 30


def plain(campaign):
    """The same campaign without `[time]`."""
    return replace(campaign, time=None, schema=campaign.declared, content_hash="plain")


def early_birds(stage):
    """The same stage in a world where everybody reads their mail on weekday mornings."""
    world = stage.world
    kinds = np.full(world.customers.n, HABITS.index("weekday morning"))
    return replace(stage, world=replace(world, effects=replace(world.effects, habits=Habits(kinds, 0.6))))


def played(campaign, scenario, n, change=lambda stage: stage):
    stages = [change(stage) for stage in SCENARIOS[scenario].stages(campaign, 3, n)]
    engine = Engine(campaign, group_policies(campaign), b"salt", b"secret")
    return replay(stages, [engine] * len(stages), step=STEP)


@pytest.fixture(scope="module")
def timed(worlds):
    """A campaign without rules, with the hour and the weekday."""
    fields = {"block": "hour_block", "weekday": "weekday"}
    return worlds.campaign(
        context=PLACES, time={"zone": "zone", "fields": fields}, reward={"window": "6h", "events": {"open": 1.0}}
    )


def test_a_world_is_the_same_for_a_campaign_that_knows_the_time(timed):
    with_time, without = played(timed, "habits", 400), played(plain(timed), "habits", 400)
    assert [one.context for one in with_time.stages[0].arrivals] == [one.context for one in without.stages[0].arrivals]
    assert np.array_equal(with_time.truth.best, without.truth.best)
    assert np.array_equal(with_time.truth.uniform, without.truth.uniform)


def test_who_knows_the_hour_expects_what_comes_at_that_hour(timed):
    """A habit that all have moves opens and makes no arm better than another; who does not know the hour expects the mean."""

    def error(campaign):
        found = played(campaign, "steady", 3000, early_birds)
        late = slice(1500, None)
        expected, true = found.stages[0].estimates[late], found.truth.values[late]
        told = ~np.isnan(expected)
        return float(np.mean((expected[told] - true[told]) ** 2))

    assert error(timed) < 0.9 * error(plain(timed))


def chance(at, choice):
    """In the morning the plain subject is opened, in the evening the champion."""
    return 0.5 if (choice["subject"] == "champion") == (at.hour >= 12) else 0.2


def test_a_learner_that_knows_the_hour_finds_what_another_cannot(worlds):
    sections = {"context": PLACES, "dimension": [worlds.dimension("subject", "plain", "champion")]}
    document = sections | {"reward": {"window": "6h", "events": {"open": 1.0}}, "policy": {"floor": 0.0}}
    value = {}
    for name, time in (("timed", {"fields": {"hour": "hour"}}), ("plain", None)):
        campaign = worlds.campaign(**document, time=time)
        engine, rng, rows = worlds.engine(campaign), np.random.default_rng(0), []
        for number in range(1, 1501):
            at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=17 * number)
            made = engine.decide(f"c{number}", Context.of(), decision_id=f"r{number}", at=at)
            opened = frozenset(["open"] if rng.random() < chance(at, made.choice) else [])
            rows.append(Matured(number, LoggedDecision.of(made, number), opened))
        served = engine.serving(Served("s", worlds.kind(campaign).serve(campaign, worlds.train(campaign, rows))))
        later = [datetime(2026, 12, 20, hour, 30, tzinfo=UTC) for hour in range(24)] * 10
        choices = [
            served.decide(f"n{i}", Context.of(), decision_id=f"n{i}", at=at).choice for i, at in enumerate(later)
        ]
        value[name] = float(np.mean([chance(at, choice) for at, choice in zip(later, choices, strict=True)]))
    assert value["timed"] > 0.45
    assert value["plain"] < 0.4


def test_rules_on_the_time_hold_for_the_truth_of_a_replay_as_for_its_decisions(campaign):
    stage = played(campaign, "steady", 300).stages[0]
    weekend = np.array([arrival.at.weekday() >= 5 for arrival in stage.arrivals])
    picks, champion = stage.picks[:, 0], stage.campaign.dimensions[0].index_of("champion")
    assert (picks == champion).any()
    assert not (picks[~weekend & np.array([a.context["zone"] is None for a in stage.arrivals])] == champion).any()
    assert (stage.truth.best >= stage.truth.values - 1e-12).all()
