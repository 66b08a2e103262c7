"""Send slots and choices that send nothing, from the request to the audit of the log."""

import json
import sqlite3
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.engines import engine_for
from service.rows import DECIDED, next_chain
from service.store import Store
from service.trainer import Trainer
from service.verification import verify_store

QUIET = {"id": "no_send", "no_send": True}
ROWS = f"SELECT seq, {', '.join(DECIDED)} FROM decisions ORDER BY seq"
GROUPS = {"random": 0.3, "control": {"share": 0.2, "choice": {"subject": "plain", "send_slot": "weekday-09"}}}
LIMITS = {
    "quiet_hours": {"from": "21:00", "until": "08:00", "zone": "zone"},
    "caps": [{"most": 1, "within": "1d"}],
}


@pytest.fixture(scope="module")
def sections(worlds):
    """A campaign with quiet hours, hours at night, and a subject that is no message."""
    return {
        "groups": GROUPS,
        "limits": LIMITS,
        "context": {"zone": {"kind": "categorical", "values": ["Europe/Berlin", "Asia/Tokyo"]}},
        "send_slots": {"within": "2d"},
        "dimension": [
            worlds.dimension("subject", {"id": "plain", "text": "Hello"}, QUIET),
            worlds.dimension("send_slot", "weekday-09", "weekend-17", "mon-02", "tue-12"),
        ],
    }


@pytest.fixture(scope="module")
def honest(worlds, sections, tmp_path_factory):
    """A closed file with an honest log and a snapshot."""
    path = tmp_path_factory.mktemp("slots") / "manyarm.db"
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(worlds.campaign(**sections), worlds.noon)
        for day in (0, 7):
            engine, at = engine_for(store, log), worlds.noon + timedelta(days=day)
            contexts = worlds.contexts(log.campaign, 120, seed=day)
            made = [engine.decide(f"c{i}", one, decision_id=f"r{day}-{i}", at=at) for i, one in enumerate(contexts)]
            store.add_decisions([store.row_of(decision, log) for decision in made])
            Trainer(store, log).step(at + timedelta(days=6))
    return path


@pytest.fixture
def forged(honest, tmp_path):
    """Verifies a copy in which one row was changed and the chain made to fit: the failures in words, by check."""

    def verify(where, **columns):
        path = tmp_path / "forged.db"
        path.write_bytes(honest.read_bytes())
        connection = sqlite3.connect(path, isolation_level=None)
        seq, *found = connection.execute(
            f"SELECT seq, excluded, send_at FROM decisions WHERE {where} LIMIT 1"
        ).fetchone()
        for name, change in columns.items():
            value = change(dict(zip(("excluded", "send_at"), found, strict=True))[name])
            connection.execute(f"UPDATE decisions SET {name} = ? WHERE seq = ?", (value, seq))
        chain = bytes(16)
        for number, *values in connection.execute(ROWS).fetchall():
            chain = next_chain(chain, values)
            connection.execute("UPDATE decisions SET chain = ? WHERE seq = ?", (chain, number))
        connection.execute("UPDATE head SET chain = ?", (chain,))
        connection.close()
        with Store(path) as store:
            return {check.name: check.failures for check in verify_store(store).checks if check.failures}

    return verify


RANDOM = "\"group\" = 'random' AND send_at IS NOT NULL AND json_extract(context, '$.zone') = 'Europe/Berlin'"


def test_an_honest_log_passes(honest):
    with Store(honest) as store:
        found = verify_store(store)
        names = {check.name: check.n_checked for check in found.checks}
    assert found.passed
    assert names["send slots"] == 240


def test_a_removal_that_nothing_asked_for_is_found(forged):
    added = forged(RANDOM, excluded=lambda text: json.dumps([*json.loads(text), [1, 1, "[send_slots].blackout"]]))
    assert "arm 'weekend-17' is out by [send_slots].blackout, and its hour could be used" in added["send slots"][0]


def test_a_removal_that_is_missing_is_found(forged):
    missing = forged(RANDOM, excluded=lambda _: None)
    assert "arm 'mon-02' was to be out by [limits].quiet_hours, the row says nothing" in missing["send slots"][0]


def test_a_removal_for_another_reason_is_found(forged):
    other = forged(RANDOM, excluded=lambda text: text.replace("quiet_hours", "caps"))
    assert "[limits].quiet_hours, the row says [limits].caps" in other["send slots"][0]


def test_another_time_than_that_of_the_hour_picked_is_found(forged):
    moved = forged(RANDOM, send_at=lambda text: (datetime.fromisoformat(text) + timedelta(hours=1)).isoformat())
    assert "the message was to go out at" in moved["send slots"][0]


@pytest.fixture
def http(serve, worlds, sections):
    """A service of the campaign; it is Sunday noon, 21:00 in Tokyo."""
    return serve(worlds.campaign(**sections))


def decided(http, silent, n=80):
    """Some decision that sends nothing, or one that does."""
    for i in range(n):
        answer = http.decide(f"{silent}{i}", decision_id=f"{silent}{i}", context={"zone": "Asia/Tokyo"})
        if answer["send"] != silent:
            return answer
    raise AssertionError("all decisions are alike")


def test_a_choice_of_nothing_says_so_and_has_neither_texts_nor_a_time(http):
    nothing = decided(http, silent=True)
    assert nothing["choice"] == {"subject": "no_send", "send_slot": "no_send"}
    assert (nothing["texts"], nothing["send_at"]) == ({}, None)
    something = decided(http, silent=False)
    assert something["texts"] == {"subject": "Hello"}
    assert something["send_at"] is not None


def test_nothing_can_be_reported_as_sent_or_not(http):
    decision_id = decided(http, silent=True)["decision_id"]
    for body in ({}, {"sent": False}):
        refused = http.client.post(f"/v1/decisions/{decision_id}/sent", json=body)
        assert refused.status_code == 422
        assert "report nothing but outcomes" in refused.json()["detail"]
    assert (
        http.client.post(f"/v1/decisions/{decision_id}/outcomes", json={"event_id": "e", "type": "click"}).status_code
        == 200
    )


def test_a_deferred_choice_of_nothing_is_reported_as_kept(http):
    for i in range(40):
        answer = http.client.post(
            "/v1/decisions",
            json={"customer_id": f"d{i}", "decision_id": f"d{i}", "context": {"zone": "Asia/Tokyo"}, "deferred": True},
        ).json()
        if not answer["send"]:
            break
    assert http.client.post(f"/v1/decisions/{answer['decision_id']}/sent", json={}).status_code == 200


def test_caps_count_messages_and_not_choices_of_nothing(http):
    who = next(
        name for name in map(str, range(99)) if http.decide(name, context={"zone": "Asia/Tokyo"})["group"] == "random"
    )
    outcomes = []
    for i in range(60):
        body = {"customer_id": who, "decision_id": f"a{i}", "context": {"zone": "Asia/Tokyo"}}
        found = http.client.post("/v1/decisions", json=body).json()
        outcomes.append(found.get("title") or found["send"])
    assert outcomes.count(False) >= 15
    assert outcomes.count(True) <= 2  # its two hours lie more than a day apart
    assert outcomes.count("CapReached") == 60 - outcomes.count(False) - outcomes.count(True) > 10


def test_an_explanation_lists_the_hours_best_first_in_both_clocks(http):
    answer = decided(http, silent=False)
    shown = http.client.get(f"/v1/decisions/{answer['decision_id']}", params={"explain": 1}).json()
    stage = shown["explanation"]["dimensions"][1]
    assert {one["arm"]: one["rule"] for one in stage["removed"]} == {
        "weekend-17": "[send_slots].within: the hour does not come in time",
        "mon-02": "[limits].quiet_hours",
        "no_send": "requires subject (picked 'plain')",
    }
    times = [(one["arm"], one["utc"], one["local"]) for one in stage["send_slots"]]
    assert times == [
        ("weekday-09", "2026-11-23T00:00:00Z", "2026-11-23T09:00:00+09:00"),
        ("tue-12", "2026-11-24T03:00:00Z", "2026-11-24T12:00:00+09:00"),
    ]
    assert shown["explanation"]["dimensions"][0]["send_slots"] is None


def test_a_table_of_customers_gets_hours_in_the_customers_zones(worlds, sections, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "campaign.toml").write_text(worlds.toml(worlds.document(**sections)))
    zones = ["Asia/Tokyo", "Europe/Berlin"]
    table = {"customer_id": [f"c{i}" for i in range(200)], "zone": [zones[i % 2] for i in range(200)]}
    pq.write_table(pa.table(table), "users.parquet")
    cli.run("decide", "users.parquet", "--out", "choices.parquet", "--at", worlds.noon.isoformat())
    rows = pq.read_table("choices.parquet").to_pylist()
    statuses = {row["status"] for row in rows}
    assert statuses == {"decided", "no-send"}
    for i, row in enumerate(rows):
        if row["status"] == "no-send":
            assert (row["arm.subject"], row["text.subject"], row["send_at"]) == ("no_send", "", None)
        elif row["arm.send_slot"] == "weekday-09":
            assert f"{row['send_at']:%d %H}" == ("23 00" if i % 2 == 0 else "23 08")
    cli.run("verify")


def test_caps_of_a_channel_and_of_all_campaigns_count_what_they_say(worlds, tmp_path):
    caps = [{"most": 1, "within": "7d", "channel": "sms"}, {"most": 3, "within": "7d", "all_campaigns": True}]
    channel = worlds.dimension("channel", "email", "sms")
    limited = worlds.campaign(dimension=[channel], limits={"caps": caps})
    other = worlds.campaign(campaign={"id": "other"}, dimension=[worlds.dimension("subject", "plain")])

    def stored(store, campaign, name, exclude=None):
        log = store.open_log(campaign, worlds.noon)
        engine = engine_for(store, log)
        made = engine.decide("ann", worlds.contexts(campaign, 1)[0], decision_id=name, at=worlds.noon, exclude=exclude)
        (error,) = store.add_each([store.row_of(made, log)])
        return type(error).__name__

    with Store(tmp_path / "caps.db", salt=worlds.salt, secret=worlds.secret) as store:
        sms, email = {"channel": ["email"]}, {"channel": ["sms"]}
        assert stored(store, limited, "d1", sms) == "NoneType"
        assert stored(store, limited, "d2", sms) == "CapReached"
        assert stored(store, limited, "d3", email) == "NoneType"
        assert stored(store, other, "d4") == "NoneType"
        assert stored(store, limited, "d5", email) == "CapReached"
        assert stored(store, other, "d6") == "NoneType"
