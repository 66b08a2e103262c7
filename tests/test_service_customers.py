"""The rights of one person, over HTTP and on the command line: see everything, have it erased, not be mailed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from bandit import Context
from service.app import create_app
from service.cli import main
from service.consent import Consent
from service.customer_keys import CustomerKeys, retire_keys, rotate_key
from service.deciding import Request, stored_decision
from service.erasing import Order, erase_customer
from service.erasure import Reason
from service.person import person_document
from service.routes.customers import ErasureReceipt, OptOutAnswer, PersonAnswer, RemovedFromLog
from service.serving import Serving
from service.store import Store
from service.verification import verify_store
from service.webhooks.opt_outs import opt_out_recipient

NOON = "2026-11-22T12:00:00Z"


class Service:
    """A service on a clock that stands still."""

    def __init__(self, path, worlds, **sections):
        self.now = worlds.noon
        self.store = Store(path, salt=worlds.salt, secret=worlds.secret)
        self.log = self.store.open_log(worlds.campaign(**sections), self.now)
        ids = iter(f"n{i}" for i in range(1000))
        self.serving = Serving(self.store, self.log, clock=lambda: self.now, new_id=lambda: next(ids))
        self.client = TestClient(create_app(self.serving), raise_server_exceptions=False)

    def decide(self, customer_id="ann", **more):
        asked = {"customer_id": customer_id, "context": {"level": "high"}} | more
        return self.client.post("/v1/decisions", json=asked)

    def count(self, table="decisions"):
        return self.store.reader().execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.fixture
def http(tmp_path, worlds):
    """A running service."""
    made = Service(tmp_path / "manyarm.db", worlds)
    yield made
    made.store.close()


@pytest.fixture
def run(tmp_path, monkeypatch, worlds):
    """Runs a command in a folder with a campaign and three decisions; returns what it answered."""
    monkeypatch.chdir(tmp_path)
    campaign = worlds.toml(worlds.document(privacy={"retention": "30d"}))
    Path("campaign.toml").write_text(campaign, encoding="utf-8")
    Path("users.csv").write_text("customer_id,decision_id,level\nann,d1,high\nbob,d2,low\nann,d3,\n", encoding="utf-8")

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if "--json" in arguments else result.output

    invoke("decide", "users.csv", "--at", NOON)
    return invoke


def left(path="manyarm.db"):
    with closing(sqlite3.connect(path)) as connection:
        return [one for (one,) in connection.execute("SELECT decision_id FROM decisions ORDER BY seq")]


def test_a_person_is_shown_everything_that_is_known_of_them(http):
    http.decide(decision_id="d1")
    http.decide("bob", decision_id="d2")
    http.client.post("/v1/decisions/d1/outcomes", json={"event_id": "e1", "type": "click"})
    http.client.post("/v1/customers/ann/opt-out", json={"reason": "phone"})
    http.store.write(
        lambda c: c.execute(
            "INSERT INTO webhook_events (provider, event_key, received_at, body, state, kind, decision_id) "
            "VALUES ('brevo', 'k', '2026', ?, 'done', 'click', 'd1')", (b'{"email": "ann@example.org"}',)
        )
    )  # fmt: skip
    shown = http.client.get("/v1/customers/ann").json()
    assert (shown["customer_id"], shown["opted_out"]["reason"]) == ("ann", "phone")
    (decision,) = shown["decisions"]
    assert (decision["decision_id"], decision["context"]["level"], decision["state"]) == ("d1", "high", "pending")
    assert decision["choice"].keys() == {"subject", "cta"}
    assert [(one["event_id"], one["type"]) for one in decision["outcomes"]] == [("e1", "click")]
    assert decision["webhook_events"][0]["body"] == {"email": "ann@example.org"}
    assert http.client.get("/v1/customers/nobody").json()["decisions"] == []


def test_an_erased_person_is_unknown_and_their_decisions_are_answered_like_any_unknown_id(http):
    http.decide(decision_id="d1")
    http.decide("bob", decision_id="d2")
    never = http.client.post("/v1/decisions/never/outcomes", json={"event_id": "e", "type": "click"})
    receipt = http.client.delete("/v1/customers/ann").json()
    assert receipt["removed"][0]["decisions"] == 1
    assert receipt["is_wiped"] is True
    assert "ann" not in json.dumps(receipt)
    late = http.client.post("/v1/decisions/d1/outcomes", json={"event_id": "e", "type": "click"})
    assert (late.status_code, late.json()["title"]) == (404, "UnknownDecision")
    assert late.json()["detail"] == never.json()["detail"].replace("never", "d1")
    assert http.client.get("/v1/decisions/d1").status_code == 404
    assert http.client.get("/v1/customers/ann").json()["decisions"] == []
    assert http.decide(decision_id="d3").status_code == 200
    assert len(http.client.get("/v1/customers/ann").json()["decisions"]) == 1
    assert verify_store(http.store).passed


@pytest.mark.parametrize("customer_id", ["a/b", "ann@example.org", "what?", "a/opt-out", "%F0%9F%90%88", "x" * 1000])
def test_any_customer_id_can_be_asked_for(http, customer_id):
    path = f"/v1/customers/{customer_id.replace('?', '%3F')}"
    http.decide(httpx_unquoted(customer_id))
    assert len(http.client.get(path).json()["decisions"]) == 1
    assert http.client.delete(path).json()["removed"][0]["decisions"] == 1
    assert http.count() == 0


def httpx_unquoted(text):
    return "\N{CAT}" if text.startswith("%F0") else text


@pytest.mark.parametrize("customer_id", ["x" * 1001, ""])
def test_an_id_that_nobody_can_have_is_refused(http, customer_id):
    for method in ("GET", "DELETE"):
        assert http.client.request(method, f"/v1/customers/{customer_id}").status_code in {404, 405, 422}
    assert http.count("erasures") == 0


def test_an_erasure_survives_in_another_process_while_a_service_runs(http):
    http.decide(decision_id="d1")
    with Store(http.store.path) as other:
        assert erase_customer(other, "ann", Order("r1", http.now, Reason.REQUEST)).n_decisions == 1
    assert http.client.get("/v1/decisions/d1").status_code == 404
    assert http.decide(decision_id="d1").status_code == 200


def test_the_service_erases_what_is_too_old_once_a_day(tmp_path, worlds):
    http = Service(tmp_path / "manyarm.db", worlds, privacy={"retention": "10d"}, policy={"name": "uniform"})
    http.decide(decision_id="d1")
    http.serving.train()
    http.now += timedelta(days=9)
    http.decide(decision_id="d2")
    http.serving.train()
    assert http.count() == 2
    http.now += timedelta(days=2)
    http.serving.train()
    assert http.client.get("/v1/decisions/d1").status_code == 404
    assert http.client.get("/v1/decisions/d2").status_code == 200
    http.now += timedelta(hours=23)
    n_receipts = http.count("erasures")
    http.serving.train()
    assert http.count("erasures") == n_receipts == 1
    assert verify_store(http.store).passed
    http.store.close()


def test_the_command_erases_one_and_answers_with_a_receipt_that_can_be_checked(run):
    found = run("erase", "ann", "--json")
    assert found["n_decisions"] == 2
    assert left() == ["d2"]
    (receipt,) = found["erasures"]
    assert run("erase", "--receipt", receipt["erasure_id"], "--json")["is_signed"] is True
    with closing(sqlite3.connect("manyarm.db")) as connection, connection:
        connection.execute("UPDATE erasures SET at = '2020'")
    assert "NOT signed" in run("erase", "--receipt", receipt["erasure_id"], code=1)
    assert "no receipt 'nothing'" in run("erase", "--receipt", "nothing", code=2)


def test_the_command_erases_everybody_in_a_table(run):
    Path("gone.csv").write_text("customer_id\nann\nnobody\nann\n", encoding="utf-8")
    found = run("erase", "--file", "gone.csv", "--vacuum", "--json")
    assert [sum(one["decisions"] for one in receipt["removed"]) for receipt in found["erasures"]] == [2, 0]
    assert left() == ["d2"]
    assert "Every check passed" in run("verify")


def test_the_command_erases_what_is_too_old(run, worlds):
    assert run("erase", "--expired", "--at", "2027-02-01T00:00:00Z", "--json")["n_decisions"] == 0
    run("learn", "--at", "2027-02-01T00:00:00Z")
    assert run("erase", "--expired", "--at", "2027-02-01T00:00:00Z", "--json")["n_decisions"] == 3
    Path("campaign.toml").write_text(worlds.toml(worlds.document()), encoding="utf-8")
    assert "does not say how long rows are kept" in run("erase", "--expired", code=2)


@pytest.mark.parametrize("arguments", [
    ["ann", "--expired"], ["ann", "--file", "users.csv"], ["--rotate-key", "--receipt", "x"], ["--drop-opt-outs", "ann"],
    ["--file", "campaign.toml"], [""], ["--file", "headless.csv"],
])  # fmt: skip
def test_a_command_that_asks_for_two_things_or_for_nobody_is_refused(run, arguments):
    Path("headless.csv").write_text("who\nann\n", encoding="utf-8")
    run("erase", *arguments, code=2)
    assert left() == ["d1", "d2", "d3"]


def test_one_persons_data_is_exported_as_json(run):
    run("export", "--customer", "ann", "--out", "ann.json")
    found = json.loads(Path("ann.json").read_text(encoding="utf-8"))
    assert [one["decision_id"] for one in found["decisions"]] == ["d1", "d3"]
    assert "need .json" in run("export", "--customer", "ann", "--out", "ann.csv", code=2)


def test_opting_out_on_the_command_line_is_heeded_by_decisions(run, worlds):
    Path("others.csv").write_text("customer_id\nann\ncid\n", encoding="utf-8")
    assert run("opt-out", "--file", "others.csv", "--json") == {"n_customers": 2, "n_changed": 2, "opted_out": True}
    assert run("opt-out", "ann", "--undo", "--json")["n_changed"] == 1
    assert run("opt-out", "ann", "--undo", "--json")["n_changed"] == 0
    with Store("manyarm.db") as store:
        consent = Consent(store, store.logs()[0])
        ruled = [consent.ruling(Request(one, Context({}), "d9"), worlds.noon) for one in ("ann", "cid")]
    assert [one is None for one in ruled] == [True, False]


def test_after_a_rotation_new_rows_bear_the_new_key_and_old_ones_are_still_found(http):
    http.decide(decision_id="d1")
    http.store.write(lambda c: rotate_key(c, http.now))
    http.serving.train()
    http.decide(decision_id="d2")
    keys = [key for (key,) in http.store.reader().execute("SELECT customer_key FROM decisions ORDER BY seq")]
    assert keys == list(reversed(http.store.customer_keys.of("ann")))
    assert http.decide(decision_id="d1").status_code == 200
    assert http.decide("bob", decision_id="d1").status_code == 409
    assert [one["decision_id"] for one in http.client.get("/v1/customers/ann").json()["decisions"]] == ["d1", "d2"]
    assert http.client.delete("/v1/customers/ann").json()["removed"][0]["decisions"] == 2
    assert verify_store(http.store).passed


def test_groups_and_draws_do_not_hang_on_the_key(http):
    before = [http.decide(f"c{i}", decision_id=f"d{i}").json() for i in range(20)]
    http.store.write(lambda c: rotate_key(c, http.now))
    http.serving.train()
    engine, high = http.serving.engine, Context({"level": "high"})
    again = [engine.decide(f"c{i}", high, decision_id=f"d{i}", at=http.now) for i in range(20)]
    assert [(one.group.value, one.choice) for one in again] == [(one["group"], one["choice"]) for one in before]


def test_a_retired_key_is_gone_from_the_file_and_its_rows_can_be_linked_to_nobody(http):
    http.decide(decision_id="d1")
    old = http.store.secret
    http.store.write(lambda c: rotate_key(c, http.now))
    http.serving.train()
    http.decide(decision_id="d2")
    assert http.store.write(lambda c: retire_keys(c, http.now, http.now, dropping=False)) == 1
    http.store.wipe()
    assert not any(old in path.read_bytes() for path in http.store.path.parent.glob("manyarm.db*"))
    shown = http.client.get("/v1/customers/ann").json()["decisions"]
    assert [one["decision_id"] for one in shown] == ["d2"]
    assert http.client.delete("/v1/customers/ann").json()["removed"][0]["decisions"] == 1
    assert http.count() == 1
    assert verify_store(http.store).passed
    assert http.store.write(lambda c: rotate_key(c, http.now)) == 3


def test_a_key_under_which_opt_outs_stand_is_not_retired_without_a_word(http):
    http.client.post("/v1/customers/ann/opt-out", json={})
    http.client.post("/v1/customers/bob/opt-out", json={})
    http.store.write(lambda c: rotate_key(c, http.now))
    http.serving.train()
    with pytest.raises(Exception, match="2 opt-outs may be known under these keys alone"):
        http.store.write(lambda c: retire_keys(c, http.now, http.now, dropping=False))
    assert http.decide().status_code == 409  # by which ann is known under the newest key
    with pytest.raises(Exception, match="1 opt-outs may be known"):
        http.store.write(lambda c: retire_keys(c, http.now, http.now, dropping=False))
    assert http.store.write(lambda c: retire_keys(c, http.now, http.now, dropping=True)) == 1
    http.store.reload_keys()
    assert [http.decide(one).status_code for one in ("ann", "bob")] == [409, 200]


def test_an_opt_out_by_a_link_stands_under_the_key_of_its_row(http):
    """The first row bears the key that is retired, the second the newest; neither says whose key it was."""
    http.decide("ann", decision_id="d1")
    http.store.write(lambda c: rotate_key(c, http.now))
    http.now += timedelta(days=2)
    http.serving.train()
    http.decide("bob", decision_id="d2")
    for name in ("d1", "d2"):
        http.store.write(lambda c, name=name: opt_out_recipient(c, name, http.now, "one-click"))
    with pytest.raises(Exception, match="1 opt-outs may be known under these keys alone"):
        http.store.write(lambda c: retire_keys(c, http.now, http.now, dropping=False))
    http.store.write(lambda c: retire_keys(c, http.now, http.now, dropping=True))
    http.store.reload_keys()
    assert [http.decide(one).status_code for one in ("ann", "bob")] == [200, 409]


@pytest.mark.parametrize(("days", "generation"), [(-3, 1), (0, 1), (1, 2), (9, 1)])
def test_a_row_that_may_bear_an_earlier_key_counts_as_bearing_it(http, days, generation):
    """From the first day after a rotation, or decided ahead of its time."""
    rotated = http.now
    http.store.write(lambda c: rotate_key(c, rotated))
    made = http.serving.engine.decide("ann", Context({}), decision_id="d1", at=rotated + timedelta(days=days))
    http.store.add_decisions([http.store.row_of(made, http.log)])
    clicked = rotated + timedelta(days=3 if days < 9 else 0)
    http.store.write(lambda c: opt_out_recipient(c, "d1", clicked, "one-click"))
    assert http.store.reader().execute("SELECT generation FROM opt_outs").fetchall() == [(generation,)]


def test_keys_rotate_and_retire_on_the_command_line(run):
    assert run("erase", "--rotate-key", "--json") == {"generation": 2}
    run("opt-out", "ann")
    assert run("erase", "--retire-keys-before", "2020-01-01T00:00:00Z", "--json") == {"n_retired": 0}
    assert run("erase", "--retire-keys-before", "2100-01-01T00:00:00Z", "--json") == {"n_retired": 1}
    assert run("erase", "ann", "--json")["n_decisions"] == 0
    assert "Every check passed" in run("verify")


def test_a_retry_is_known_under_every_key_that_is_left(http):
    http.decide(decision_id="d1")
    asked = Request("ann", Context({"level": "high"}), "d1")
    http.store.write(lambda c: rotate_key(c, http.now))
    http.store.reload_keys()
    assert stored_decision(http.store, http.log, asked).seq == 1
    assert len(http.store.customer_keys.secrets) == 2
    assert person_document(http.store, "ann")["decisions"][0]["decision_id"] == "d1"
    assert CustomerKeys(http.store.customer_keys.secrets, 2) == http.store.customer_keys


def test_personal_fields_are_exported_only_when_asked_for(run, worlds):
    fields = {"city": {"kind": "categorical", "personal": True}, **worlds.document()["context"]}
    Path("campaign.toml").write_text(worlds.toml(worlds.document(context=fields)), encoding="utf-8")
    Path("users.csv").write_text("customer_id,city\nann,Atlantis\n", encoding="utf-8")
    run("decide", "users.csv", "--at", NOON, "--out", "choices.csv")
    run("export", "--out", "log.csv")
    assert "Atlantis" not in Path("log.csv").read_text(encoding="utf-8")
    assert "context.level" in Path("log.csv").read_text(encoding="utf-8")
    run("export", "--out", "log.csv", "--personal")
    assert "Atlantis" in Path("log.csv").read_text(encoding="utf-8")
    run("export", "--customer", "ann", "--out", "ann.json")
    assert "Atlantis" in Path("ann.json").read_text(encoding="utf-8")


def test_a_log_exported_without_personal_fields_can_be_evaluated(run, worlds):
    fields = {"city": {"kind": "categorical", "personal": True}, **worlds.document()["context"]}
    sections = {"context": fields, "groups": {"random": 1.0}, "policy": {"name": "uniform"}}
    Path("campaign.toml").write_text(worlds.toml(worlds.document(**sections)), encoding="utf-8")
    Path("users.csv").write_text("customer_id,city\n" + "".join(f"c{i},x\n" for i in range(200)), encoding="utf-8")
    run("decide", "users.csv", "--at", NOON, "--out", "choices.csv")
    run("learn", "--at", "2026-12-22T12:00:00Z")
    run("export", "--out", "log.parquet")
    assert run("evaluate", "log.parquet", "--target", "uniform", "--json", "--campaign", "campaign.toml")["n"] == 200


def test_answers_have_just_the_fields_that_the_documentation_says(http):
    http.decide(decision_id="d1")
    assert http.client.get("/v1/customers/ann").json().keys() == PersonAnswer.model_fields.keys()
    assert http.client.post("/v1/customers/ann/opt-out").json().keys() == OptOutAnswer.model_fields.keys()
    receipt = http.client.delete("/v1/customers/ann").json()
    assert receipt.keys() == ErasureReceipt.model_fields.keys()
    assert receipt["removed"][0].keys() == RemovedFromLog.model_fields.keys()
