"""What a customer got before comes from the log, is used, stored and verified: over HTTP, in tables and in simulations."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from bandit import Context
from bandit.warm_start import HistoricalSend, learn_log
from bandit.wear_out import DAY, Exposure, moved_exposures
from service import past_sends
from service.app import create_app
from service.cli import main
from service.commands.export import schema_of
from service.exported_exposures import exported_exposures
from service.outcomes_table import mature, record_not_sent
from service.past_sends import PastSends, sends_before
from service.serving import Serving
from service.simulation import Simulation
from service.store import Store
from service.table import arms_in, read_rows
from service.verification import verify_store
from service.warm_starting import _earlier_sends
from simulator.email_worlds import email12hi
from simulator.wear_world import WearWorld

GROUPS = {"random": 0.2}


@pytest.fixture
def store(tmp_path, worlds):
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        yield store


@pytest.fixture
def log(store, worlds):
    return store.open_log(worlds.campaign(wear_out={}, groups=GROUPS), worlds.noon)


def decide(worlds, store, log, customer_id, days):
    """One decision so many days after noon, stored."""
    at = worlds.noon + days * DAY
    past, seen = PastSends(store, log).to(customer_id, at)
    engine = worlds.engine(log.campaign)
    made = engine.decide(customer_id, Context({}), decision_id=f"{customer_id}-{days}", at=at, past=past)
    store.add_decisions([store.row_of(made, log, seen=seen)])
    return made


def checks(store):
    return {check.name: check for check in verify_store(store).checks}


def test_every_earlier_send_to_the_customer_counts_and_nobody_elses(worlds, store, log):
    first = decide(worlds, store, log, "ann", 0)
    decide(worlds, store, log, "bob", 1)
    second = decide(worlds, store, log, "ann", 2)
    third = decide(worlds, store, log, "ann", 40)
    assert first.exposures == third.exposures == ()
    places = log.campaign.picks_of(first.choice)
    assert second.exposures == tuple(Exposure(d, place, 2.0, 1) for d, place in enumerate(places))
    assert store.decision("ann-2", log).exposures == second.exposures


def test_a_message_that_never_went_out_wears_nothing(worlds, store, log):
    decide(worlds, store, log, "ann", 0)
    store.write(lambda connection: record_not_sent(connection, "ann-0"))
    assert decide(worlds, store, log, "ann", 2).exposures == ()
    # Reported later, it had counted; verify knows that both can be.
    decide(worlds, store, log, "ann", 3)
    store.write(lambda connection: record_not_sent(connection, "ann-2"))
    assert verify_store(store).passed


def test_what_the_customer_got_under_the_former_campaign_file_counts_too(worlds, store, log):
    made = decide(worlds, store, log, "ann", 0)
    changed = worlds.campaign(
        wear_out={},
        groups=GROUPS,
        dimension=[
            worlds.dimension("subject", "new", "plain", "champion", "dominate"),
            worlds.dimension("cta", "join", "invite"),
        ],
    )
    later = store.open_log(changed, worlds.noon + DAY)
    (subject, _) = decide(worlds, store, later, "ann", 2).exposures
    assert changed.dimensions[0].ids[subject.arm] == made.choice["subject"]
    another = worlds.campaign(wear_out={}, groups=GROUPS, campaign={"id": "autumn"})
    assert decide(worlds, store, store.open_log(another, worlds.noon), "ann", 3).exposures == ()
    assert verify_store(store).passed


def test_without_the_table_nothing_is_looked_up(worlds, store):
    log = store.open_log(worlds.campaign(), worlds.noon)
    assert PastSends(store, log).to("ann", worlds.noon) == (None, None)
    made = decide(worlds, store, log, "ann", 0)
    assert sends_before(store, log, store.decision(made.decision_id, log)) == []
    assert "exposures" not in checks(store)


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (lambda e: [], "was sent 1 times before within the window, the row says 0"),
        (
            lambda e: [[d, arm, days, 3] for d, arm, days, _ in e],
            "was sent 1 times before within the window, the row says 3",
        ),
        (lambda e: [[d, arm, 9.5, times] for d, arm, _, times in e], "was not sent 9.5 days before"),
        (lambda e: [[d, 1 - min(arm, 1), days, times] for d, arm, days, times in e], "was sent 0 times before"),
        (lambda e: [[7, arm, days, times] for _, arm, days, times in e], "cannot be read"),
        (lambda e: [[d, arm, -1.0, times] for d, arm, _, times in e], "cannot be read"),
    ],
    ids=["nothing", "more", "longer ago", "another arm", "no such dimension", "negative"],
)
def test_exposures_that_the_log_does_not_bear_out_are_found(worlds, store, log, edit, found):
    for customer in ("ann", "bob", "cyd"):
        decide(worlds, store, log, customer, 0)
        decide(worlds, store, log, customer, 2)
    assert verify_store(store).passed
    sql = sqlite3.connect(store.path, isolation_level=None)
    (text,) = sql.execute("SELECT exposures FROM decisions WHERE decision_id = 'bob-2'").fetchone()
    sql.execute("UPDATE decisions SET exposures = ? WHERE decision_id = 'bob-2'", (json.dumps(edit(json.loads(text))),))
    sql.close()
    failures = {name: check.failures for name, check in checks(store).items() if check.failures}
    assert failures.keys() == {"chain", "readable" if found == "cannot be read" else "exposures"}
    assert any("bob-2" in failure and found in failure for name in failures for failure in failures[name])


def test_a_recency_that_is_not_that_of_the_latest_send_is_found(worlds, store, log):
    choice = decide(worlds, store, log, "ann", 0).choice
    days = 1
    while decide(worlds, store, log, "ann", days).choice["subject"] != choice["subject"]:
        days += 1
    made = decide(worlds, store, log, "ann", days + 1)
    (place,) = (place for place, e in enumerate(made.exposures) if (e.dimension, e.frequency) == (0, 2))
    stale = [list(e) for e in made.exposures]
    stale[place][2] = float(days + 1)  # the age of the first of the two
    sql = sqlite3.connect(store.path, isolation_level=None)
    sql.execute("UPDATE decisions SET exposures = ? WHERE decision_id = ?", (json.dumps(stale), made.decision_id))
    sql.close()
    (failure,) = checks(store)["exposures"].failures
    assert "was last sent 1.0 days before, the row says" in failure


def test_a_send_that_another_process_stored_in_between_may_be_missing(worlds, store, log):
    """A command that began long ago commits between another's look-up and its commit: neither is wrong."""
    later = worlds.noon + DAY
    past, seen = PastSends(store, log).to("ann", later)
    engine = worlds.engine(log.campaign)
    decide(worlds, store, log, "ann", 0)  # decided a day before, stored only now
    made = engine.decide("ann", Context({}), decision_id="between", at=later, past=past)
    store.add_decisions([store.row_of(made, log, seen=seen)])
    assert made.exposures == ()
    assert verify_store(store).passed
    # Had it stood there when the log was read, it would have had to count.
    store.add_decisions([store.row_of(replace(made, decision_id="blind"), log, seen=store.last_seq())])
    assert any("blind" in failure for failure in checks(store)["exposures"].failures)


def test_a_customer_decided_for_all_the_time_costs_no_more_than_the_latest_sends(worlds, store, log, monkeypatch):
    monkeypatch.setattr(past_sends, "MOST", 5)
    for number in range(12):
        made = decide(worlds, store, log, "monitor", number / 100)
    assert sum(e.frequency for e in made.exposures if e.dimension == 0) == 5
    assert verify_store(store).passed


def test_only_a_file_that_asks_for_wear_out_pays_for_the_index(worlds, store):
    def indexes():
        return {row[1] for row in store.reader().execute("PRAGMA index_list(decisions)")}

    store.open_log(worlds.campaign(), worlds.noon)
    assert "decisions_customer" not in indexes()
    log = store.open_log(worlds.campaign(wear_out={}), worlds.noon)
    assert "decisions_customer" in indexes()
    assert store.open_log(worlds.campaign(wear_out={}), worlds.noon).log_id == log.log_id


def test_looking_up_many_customers_remembers_none_of_them(worlds, store, log):
    past = PastSends(store, log)
    for number in range(50):
        past.to(f"c{number}", worlds.noon)
    assert past._waiting == {}


def test_over_http_a_second_send_knows_of_the_first_and_the_receipt_says_so(worlds, store, log):
    now = [worlds.noon]
    serving = Serving(store, log, clock=lambda: now[0])
    with TestClient(create_app(serving)) as client:
        asked = {"customer_id": "ann", "context": {"level": "high"}}
        first = client.post("/v1/decisions", json=asked | {"decision_id": "d1"}).json()
        now[0] += timedelta(hours=36)
        answer = client.post("/v1/decisions", json=asked | {"decision_id": "d2"})
        receipt = client.get("/v1/decisions/d2").json()
        again = client.post("/v1/decisions", json=asked | {"decision_id": "d2"})
    assert receipt["exposures"] == {
        name: {arm: {"recency": 1.5, "frequency": 1}} for name, arm in first["choice"].items()
    }
    assert client.get("/v1/decisions/d1").json()["exposures"] == {}
    assert again.content == answer.content
    assert verify_store(store).passed


def test_a_simulated_campaign_with_wear_out_learns_and_verifies_and_its_export_shows_it(worlds, store, tmp_path):
    world = WearWorld(email12hi(0, 60), 0.5, timedelta(days=7), timedelta(minutes=40))
    fields = {n: {"kind": "categorical", "values": list(v)} for n, v in world.attributes.categories.items()}
    fields |= {n: {"kind": "numeric", "range": list(r)} for n, r in world.attributes.ranges.items()}
    document = worlds.document(
        context=fields,
        wear_out={},
        reward={"window": "1h", "events": {"click": 1.0}},
        groups=GROUPS,
        dimension=[worlds.dimension("subject", *world.choices.dimensions["subject"])],
    )
    (tmp_path / "campaign.toml").write_text(worlds.toml(document), encoding="utf-8")
    log = store.open_log(worlds.campaign(**document), worlds.noon)
    n_sends = sum(len(sends) for sends in Simulation(world, store, log, timedelta(days=5)).run(900))
    rows = list(store.decisions(log))
    assert n_sends == len(rows) == 900
    assert sum(bool(row.exposures) for row in rows) > 700
    assert all(row.candidate for row in rows if row.snapshot)
    found = checks(store)
    assert found["exposures"].n_checked == 900
    assert not [check.failures for check in found.values() if check.failures]

    arguments = ["--db", str(store.path), "--campaign", str(tmp_path / "campaign.toml")]
    for name in ("log.parquet", "log.csv"):
        result = CliRunner().invoke(main, ["export", "--out", str(tmp_path / name), *arguments])
        assert result.exit_code == 0, result.output
    table = pq.read_table(tmp_path / "log.parquet")
    assert table.schema.equals(schema_of(log.campaign))
    last = table.to_pylist()[-1]
    arms = {e.arm: (e.recency, e.frequency) for e in rows[-1].exposures}
    assert last["frequency.subject"] == [arms.get(k, (None, 0))[1] for k in range(12)]
    assert last["recency.subject"] == [arms.get(k, (None, 0))[0] for k in range(12)]


@pytest.mark.parametrize("name", ["log.parquet", "log.csv"])
def test_an_export_says_again_what_customers_got(worlds, store, log, tmp_path, name):
    for customer in ("ann", "bob", "cyd"):
        for days in (0, 2, 3):
            decide(worlds, store, log, customer, days)
    (tmp_path / "campaign.toml").write_text(log.campaign.toml, encoding="utf-8")
    out = tmp_path / name
    arguments = ["export", "--out", str(out), "--db", str(store.path), "--campaign", str(tmp_path / "campaign.toml")]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    order = arms_in(out)
    read = [exported_exposures(cells, log.campaign, order) for cells in read_rows(out)]
    assert read == [row.exposures for row in store.decisions(log)]
    # Whatever the order of arms in the campaign that reads them.
    turned = worlds.campaign(
        wear_out={},
        dimension=[
            worlds.dimension("subject", "dominate", "champion", "plain"),
            worlds.dimension("cta", "join", "invite"),
        ],
    )
    for cells, row in zip(read_rows(out), store.decisions(log), strict=True):
        expected = moved_exposures(row.exposures, log.campaign.dimensions, turned.dimensions)
        assert exported_exposures(cells, turned, order) == expected
    assert exported_exposures({"arm.subject": "plain"}, log.campaign, order) is None
    assert exported_exposures({"recency.subject": "{", "frequency.subject": "{}"}, log.campaign, order) is None
    assert exported_exposures({"recency.subject": [1.0], "frequency.subject": [1]}, log.campaign, {}) is None


@pytest.mark.parametrize("window", ["30d", "7d"])
def test_a_warm_start_from_earlier_logs_counts_as_the_new_campaign_counts(worlds, store, tmp_path, window):
    """Whatever the earlier file counted, or if it did not at all: the database holds the sends."""
    earlier = store.open_log(worlds.campaign(), worlds.noon)
    for days in (0, 9, 11):
        decide(worlds, store, earlier, "ann", days)
    campaign = worlds.campaign(wear_out={"window": window})
    log = store.open_log(campaign, worlds.noon)
    rows = list(store.decisions(earlier))
    assert all(row.exposures == () for row in rows)
    store.write(lambda connection: mature(connection, earlier.log_id, earlier.campaign, worlds.noon + 40 * DAY))
    sends = list(_earlier_sends(store, log))
    counted = [sum(e.frequency for e in send.exposures if e.dimension == 0) for send in sends]
    assert counted == ([0, 1, 2] if window == "30d" else [0, 0, 1])


def test_rows_that_do_not_say_what_customers_got_are_counted(worlds):
    campaign = worlds.campaign(wear_out={})
    send = HistoricalSend({}, {"subject": "plain", "cta": "join"}, {}, None, frozenset())
    learned = learn_log(campaign, worlds.kind(campaign), [send, replace(send, exposures=())])
    assert (learned.n_learned, dict(learned.unfit)) == (2, {"what the customer got before": 1})


def test_check_names_a_learner_that_cannot_learn_from_it(worlds, tmp_path):
    document = worlds.document(wear_out={}, policy={"name": "native"}, learner={"name": "native"})
    (tmp_path / "campaign.toml").write_text(worlds.toml(document), encoding="utf-8")
    result = CliRunner().invoke(main, ["check", str(tmp_path / "campaign.toml")])
    assert result.exit_code == 1
    assert "wear_out" in result.output
    assert "regression, bootstrap" in result.output
