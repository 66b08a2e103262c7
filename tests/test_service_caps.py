"""Caps hold whoever asks: over HTTP, in tables, at the same time, and for messages that are still on their way."""

from __future__ import annotations

import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from bandit.errors import CapReached
from service.app import create_app
from service.serving import Serving
from service.store import Store
from service.verification import verify_store

NOON = "2026-11-22T12:00:00Z"
DAY = timedelta(days=1)


def document(worlds, **limits):
    return worlds.document(limits=limits or {"caps": [{"most": 1, "within": "24h"}, {"most": 2, "within": "7d"}]})


class Service:
    """One service on a clock that stands still."""

    def __init__(self, store, log, now):
        self.store, self.log, self.now = store, log, now
        self.client = TestClient(create_app(Serving(store, log, clock=lambda: self.now)))

    def decide(self, customer_id="ann", **more):
        return self.client.post("/v1/decisions", json={"customer_id": customer_id, **more})

    def report(self, decision_id, **body):
        return self.client.post(f"/v1/decisions/{decision_id}/sent", json=body)


@pytest.fixture
def folder(tmp_path, monkeypatch, worlds):
    monkeypatch.chdir(tmp_path)
    Path("campaign.toml").write_text(worlds.toml(document(worlds)), encoding="utf-8")
    return tmp_path


@pytest.fixture
def http(folder, worlds):
    with Store("manyarm.db") as store:
        yield Service(store, store.open_log(worlds.campaign(**document(worlds)), worlds.noon), worlds.noon)


def test_a_customer_who_has_enough_gets_no_decision_and_the_answer_says_when_the_next_may_go(http):
    assert http.decide(decision_id="d1").status_code == 200
    refused = http.decide(decision_id="d2")
    assert refused.status_code == 409
    assert refused.json()["title"] == "CapReached"
    assert "may go out from 2026-11-23T12:00:00+00:00 on" in refused.json()["detail"]
    assert http.decide("bob").status_code == 200
    http.now += DAY
    assert http.decide(decision_id="d2").status_code == 200
    http.now += DAY
    assert "2026-11-29T12:00:00+00:00" in http.decide(decision_id="d3").json()["detail"]
    assert http.store.decision("d3", http.log) is None
    assert verify_store(http.store).passed


def test_a_repetition_is_answered_whatever_the_cap(http):
    first = http.decide(decision_id="d1").json()
    assert http.decide(decision_id="d1").json() == first


def test_what_was_not_sent_does_not_count_and_what_was_sent_counts_from_then(http):
    http.decide(decision_id="d1")
    http.report("d1", sent=False)
    assert http.decide(decision_id="d2").status_code == 200
    http.now += 2 * DAY
    http.report("d2", at=http.now.isoformat())
    http.now += timedelta(hours=23)
    assert http.decide(decision_id="d3").status_code == 409
    http.now += timedelta(hours=1)
    assert http.decide(decision_id="d3").status_code == 200


def test_the_sends_of_an_earlier_campaign_file_count(http, worlds):
    http.decide(decision_id="d1")
    changed = worlds.campaign(**document(worlds) | {"campaign": {"id": "contest", "timezone": "Europe/Madrid"}})
    other = Service(http.store, http.store.open_log(changed, worlds.noon), worlds.noon + timedelta(hours=1))
    assert other.log.log_id != http.log.log_id
    assert other.decide(decision_id="d2").status_code == 409


def test_of_many_requests_at_once_one_is_decided(http, worlds):
    """Two processes, each with its own writer, and no luck involved: the count is taken inside the transaction."""
    with Store("manyarm.db") as elsewhere:
        services = [http, Service(elsewhere, elsewhere.open_log(http.log.campaign, worlds.noon), worlds.noon)]
        statuses = []

        def ask(number):
            statuses.append(services[number % 2].decide(decision_id=f"d{number}").status_code)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200] + [409] * 11


def test_one_commit_holds_no_more_of_a_customer_than_the_cap_allows(http, worlds):
    made = [
        worlds.engine(http.log.campaign, salt=http.store.salt, secret=http.store.secret)
        .decide("ann", worlds.contexts(http.log.campaign, 1)[0], decision_id=f"d{i}", at=worlds.noon)
        for i in range(2)
    ]  # fmt: skip
    with pytest.raises(CapReached):
        http.store.add_decisions([http.store.row_of(one, http.log) for one in made])
    assert list(http.store.decisions(http.log)) == []


def test_a_row_that_is_refused_for_its_id_uses_up_no_message(http, worlds):
    """Of an earlier campaign file's id, and of one that stands twice in a commit."""
    changed = worlds.campaign(**document(worlds) | {"campaign": {"id": "contest", "timezone": "Europe/Madrid"}})
    log = http.store.open_log(changed, worlds.noon)

    def added(log, *asked):
        engine = worlds.engine(log.campaign, salt=http.store.salt, secret=http.store.secret)
        context = worlds.contexts(log.campaign, 1)[0]
        made = [engine.decide(name, context, decision_id=id_, at=worlds.noon) for name, id_ in asked]
        return [type(error).__name__ for error in http.store.add_each([http.store.row_of(one, log) for one in made])]

    twice = added(http.log, ("ann", "d1"), ("ann", "d1"), ("ann", "d2"))
    assert twice == ["NoneType", "ConflictingDecision", "CapReached"]
    assert added(log, ("bob", "d1"), ("bob", "d9"), ("bob", "d8")) == ["ConflictingDecision", "NoneType", "CapReached"]


def test_a_table_leaves_out_who_has_enough_and_the_api_counts_what_the_table_decided(folder, cli, worlds):
    customers = ["ann", "bob", "ann", "cat"]
    pq.write_table(pa.table({"customer_id": customers}), "users.parquet")
    with Store("manyarm.db") as store:
        service = Service(
            store, store.open_log(worlds.campaign(**document(worlds)), worlds.noon), worlds.noon - DAY / 2
        )
        assert service.decide("cat").status_code == 200
    cli.run("decide", "users.parquet", "--out", "choices.parquet", "--at", NOON)
    rows = pq.read_table("choices.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["decided", "decided", "capped", "capped"]
    assert [row["customer_id"] for row in rows] == customers
    assert rows[2]["arm.subject"] is rows[2]["propensity"] is rows[2]["send_at"] is None
    with Store("manyarm.db") as store:
        service = Service(store, store.open_log(worlds.campaign(**document(worlds)), worlds.noon), worlds.noon)
        assert [service.decide(one).status_code for one in ("ann", "bob", "dan")] == [409, 409, 200]
        assert verify_store(store).passed
    cli.run("decide", "users.parquet", "--out", "choices.csv", "--at", "2026-11-24T12:00:00Z", "--again")
    assert [line.split(",")[-1] for line in Path("choices.csv").read_text().split()[1:]] == [
        "decided", "decided", "capped", "decided",
    ]  # fmt: skip


def test_a_message_that_waits_for_the_morning_counts_when_it_goes_out(tmp_path, worlds):
    night = {"from": "21:00", "until": "08:00"}
    campaign = worlds.campaign(**document(worlds, caps=[{"most": 1, "within": "24h"}], quiet_hours=night))
    with Store(tmp_path / "manyarm.db") as store:
        http = Service(store, store.open_log(campaign, worlds.noon), worlds.noon + timedelta(hours=10))
        assert http.decide(decision_id="d1").json()["send_at"] == "2026-11-23T08:00:00Z"
        assert http.store.decision("d1", http.log).send_at.isoformat() == "2026-11-23T08:00:00+00:00"
        # At noon of the next day it is 14 hours since the decision and 4 since the message.
        http.now = worlds.noon + DAY
        assert "2026-11-24T08:00:00+00:00" in http.decide(decision_id="d2").json()["detail"]


def test_without_caps_there_is_no_index_of_customers_to_keep(tmp_path, worlds):
    indexes = "SELECT count(*) FROM sqlite_master WHERE name = 'decisions_customer'"
    for name, sections, expected in (("a.db", {}, 0), ("b.db", document(worlds), 1)):
        with Store(tmp_path / name) as store:
            store.open_log(worlds.campaign(**sections), worlds.noon)
        with sqlite3.connect(tmp_path / name) as connection:
            assert connection.execute(indexes).fetchone() == (expected,)


def test_a_zone_that_is_none_is_found_before_anything_is_decided(folder, cli, worlds):
    night = {"from": "21:00", "until": "08:00", "zone": "zone"}
    context = {"zone": {"kind": "categorical", "protected": True}}
    text = worlds.toml(worlds.document(context=context, limits={"quiet_hours": night}))
    Path("campaign.toml").write_text(text, encoding="utf-8")
    zones = ["Asia/Tokyo", "Berlin", None]
    pq.write_table(pa.table({"customer_id": ["ann", "bob", "cat"], "zone": zones}), "users.parquet")
    with pytest.raises(AssertionError, match="1 of 3 rows cannot be decided"):
        cli.run("decide", "users.parquet", "--at", NOON)
    pq.write_table(pa.table({"customer_id": ["ann", "cat"], "zone": [zones[0], zones[2]]}), "users.parquet")
    cli.run("decide", "users.parquet", "--out", "choices.parquet", "--at", NOON)
    rows = pq.read_table("choices.parquet").to_pylist()
    assert [row["send_at"] and row["send_at"].isoformat() for row in rows] == ["2026-11-22T23:00:00+00:00", None]


def test_who_did_not_consent_is_not_mailed_at_night_either(folder, cli, worlds):
    night = {"from": "21:00", "until": "08:00", "zone": "zone"}
    context = {"zone": {"kind": "categorical", "protected": True}, "consent": {"kind": "boolean"}}
    control = {"share": 0.2, "choice": {"subject": "plain", "cta": "join"}}
    sections = {"context": context, "groups": {"control": control}, "limits": {"quiet_hours": night}}
    text = worlds.toml(worlds.document(**sections, privacy={"consent": "consent"}))
    Path("campaign.toml").write_text(text, encoding="utf-8")
    zones, said = ["Asia/Tokyo", None, "Asia/Tokyo"], [False, False, True]
    table = {"customer_id": ["ann", "bob", "cat"], "zone": zones, "consent": said}
    pq.write_table(pa.table(table), "users.parquet")
    cli.run("decide", "users.parquet", "--out", "choices.parquet", "--at", NOON)
    rows = pq.read_table("choices.parquet").to_pylist()
    morning = "2026-11-22T23:00:00+00:00"
    assert [row["status"] for row in rows] == ["no-consent", "no-consent", "decided"]
    assert [row["send_at"] and row["send_at"].isoformat() for row in rows] == [morning, None, morning]
    with Store("manyarm.db") as store:
        client = TestClient(create_app(Serving(store, store.logs()[0], clock=lambda: worlds.noon)))
        body = {"customer_id": "ann", "context": {"zone": "Asia/Tokyo"}}
        answer = client.post("/v1/decisions", json=body).json()
        assert (answer["policy"], answer["send_at"]) == ("no-consent", "2026-11-22T23:00:00Z")
        body["context"] = {"zone": "Tokyo"}
        assert client.post("/v1/decisions", json=body).status_code == 422


def test_check_says_what_the_limits_are(folder, cli, worlds):
    night = {"from": "21:00", "until": "08:00"}
    text = worlds.toml(document(worlds, caps=[{"most": 2, "within": "7d"}], quiet_hours=night))
    Path("campaign.toml").write_text(text, encoding="utf-8")
    assert "limits    at most 2 in 7 days, quiet from 21:00 to 08:00" in cli.run("check")
