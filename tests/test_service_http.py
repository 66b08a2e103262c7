"""The HTTP service: the right answer to every right request, once and for all."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import dataclass, field
from datetime import timedelta

import httpx2
import pytest
from starlette.testclient import TestClient

import service.connection
from bandit.candidates import CANDIDATES, FIRST
from service.app import create_app
from service.schemas import DecisionAnswer, DecisionReceipt
from service.serving import Serving
from service.store import Store

JSON, PROBLEM = "application/json", "application/problem+json"
ANN = {"customer_id": "ann", "context": {"level": "high", "days": 3, "member": True}}
ROUTES = {
    ("post", "/v1/decisions"),
    ("post", "/v1/decisions/batch"),
    ("get", "/v1/decisions/{decision_id}"),
    ("get", "/v1/campaigns/{campaign}/snapshots"),
    ("post", "/v1/campaigns/{campaign}/snapshots"),
    ("get", "/v1/campaigns/{campaign}/report"),
    ("post", "/v1/decisions/{decision_id}/outcomes"),
    ("post", "/v1/decisions/{decision_id}/sent"),
    ("post", "/v1/webhooks/{provider}"),
    ("post", "/v1/unsubscribe/{token}"),
    ("get", "/v1/unsubscribe/{token}"),
    ("get", "/v1/customers/{customer_id}"),
    ("delete", "/v1/customers/{customer_id}"),
    ("post", "/v1/customers/{customer_id}/opt-out"),
    ("post", "/v1/customers/{customer_id}/events"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
    ("post", "/personalizer/v1.0/rank"),
    ("post", "/personalizer/v1.0/events/{event_id}/reward"),
    ("post", "/personalizer/v1.0/events/{event_id}/activate"),
}


@dataclass
class Service:
    """A service on a clock that stands still until it is told to go on; ids of its own are n1, n2, ..."""

    store: Store
    log: object
    now: object
    n: int = 0
    serving: Serving = field(init=False)
    client: TestClient = field(init=False)

    def __post_init__(self):
        self.serving = Serving(self.store, self.log, clock=lambda: self.now, new_id=self.new_id)
        self.app = create_app(self.serving)

    def new_id(self):
        self.n += 1
        return f"n{self.n}"

    def wait(self, **time):
        self.now += timedelta(**time)

    def decide(self, **changes):
        return self.client.post("/v1/decisions", json=ANN | changes)

    def tell(self, decision_id, **body):
        return self.client.post(f"/v1/decisions/{decision_id}/outcomes", json=body)

    def sent(self, decision_id, **body):
        return self.client.post(f"/v1/decisions/{decision_id}/sent", json=body)

    def show(self, decision_id):
        return self.client.get(f"/v1/decisions/{decision_id}").json()

    def count(self, table="decisions"):
        return self.store.reader().execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.fixture
def http(tmp_path, worlds, monkeypatch):
    """A running service with a new database."""
    monkeypatch.setattr(service.connection, "BUSY_SECONDS", 0.05)
    arms = {"id": "plain", "text": "Hello"}, {"id": "champion", "when": {"level": ["high"]}}
    campaign = worlds.campaign(
        dimension=[worlds.dimension("subject", *arms), worlds.dimension("cta", "join", "invite")]
    )
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        made = Service(store, store.open_log(campaign, worlds.noon), worlds.noon)
        with TestClient(made.app, raise_server_exceptions=False) as made.client:
            yield made


def problem(response, status, title):
    """Check that a response is this problem, with all its fields; returns its detail."""
    body = response.json()
    assert (response.status_code, body["title"]) == (status, title), body
    assert response.headers["content-type"] == PROBLEM
    assert body.keys() == {"type", "title", "status", "detail"}
    assert (body["status"], body["type"]) == (status, f"urn:manyarm:problem:{title}")
    return body["detail"]


def test_a_decision_says_what_was_chosen_and_with_which_probability(http):
    response = http.decide()
    body = response.json()
    assert (response.status_code, response.headers["content-type"]) == (200, JSON)
    assert body["decision_id"] == "n1"
    assert body["choice"].keys() == {"subject", "cta"}
    assert body["texts"] == ({"subject": "Hello"} if body["choice"]["subject"] == "plain" else {})
    assert body["propensity"] == 0.25
    assert (body["campaign"], body["group"], body["policy"]) == ("contest", "learner", "uniform")
    assert (body["snapshot"], body["fallback"], body["send_at"]) == (None, "no snapshot yet", None)
    assert body["decided_at"] == "2026-11-22T12:00:00Z"


def test_an_id_is_made_where_none_was_given_and_each_is_another_decision(http):
    assert [http.decide().json()["decision_id"], http.decide(decision_id=None).json()["decision_id"]] == ["n1", "n2"]
    assert http.count() == 2


def test_the_receipt_holds_the_answer_and_everything_that_went_into_it(http):
    answer = http.decide(decision_id="d1").json()
    receipt = http.show("d1")
    assert receipt.items() >= answer.items()
    assert receipt["context"] == {"level": "high", "days": 3.0, "member": True}
    assert receipt["pmf"] == {"subject": {"plain": 0.5, "champion": 0.5}, "cta": {"join": 0.5, "invite": 0.5}}
    assert receipt["propensities"] == {"subject": 0.5, "cta": 0.5}
    assert receipt["campaign_hash"] == http.log.campaign.content_hash
    assert (receipt["state"], receipt["sent_at"], receipt["reward"], receipt["estimate"]) == (
        "pending",
        None,
        None,
        None,
    )
    assert len(receipt["customer_key"]) == 32
    assert "ann" not in json.dumps(receipt)


def test_an_arm_that_rules_removed_has_no_probability_in_the_receipt(http):
    http.decide(decision_id="d1", context={"level": "low"})
    assert http.show("d1")["pmf"]["subject"] == {"plain": 1.0, "champion": 0.0}


@pytest.mark.parametrize("decision_id", ["d 1", "ü🎉", "a?b=c#d", "100%", "a\x00b", "..", "x" * 1000, "2026/11/22-7"])
def test_every_id_that_can_be_decided_under_can_be_shown_and_reported_on(http, decision_id):
    assert http.decide(decision_id=decision_id).status_code == 200
    path = "".join(f"%{byte:02X}" for byte in decision_id.encode())
    assert http.show(path).get("decision_id") == decision_id
    assert http.tell(path, event_id="e1", type="click").json() == {"decision_id": decision_id, "status": "accepted"}
    assert http.sent(path).json()["status"] == "accepted"


def test_a_retry_gets_the_stored_answer_byte_for_byte_though_another_snapshot_serves(http):
    first = http.decide(decision_id="d1")
    for i in range(60):
        http.tell(http.decide(customer_id=f"c{i}").json()["decision_id"], event_id=f"e{i}", type="click")
    assert http.count("outcomes") == 60
    http.wait(hours=73)
    assert http.serving.train() is False
    assert http.serving.engine.served.snapshot == "s00001"
    assert http.decide(decision_id="d1").content == first.content
    assert http.decide(decision_id="d2").json()["snapshot"] == "s00001"
    again = http.show("d1")
    assert (again["snapshot"], again["state"], again["reward"]) == (None, "matured", 0.0)


def test_a_retry_after_a_restart_gets_the_stored_answer(http):
    first = http.decide(decision_id="d1")
    restarted = create_app(Serving(http.store, http.log, clock=lambda: http.now + timedelta(days=1)))
    with TestClient(restarted) as client:
        assert client.post("/v1/decisions", json=ANN | {"decision_id": "d1"}).content == first.content


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"customer_id": "bob"}, "customer"), ({"context": {"level": "low"}}, "context"), ({"context": {}}, "context")],
)
def test_the_same_id_for_another_request_is_a_conflict_and_the_stored_one_stands(http, changes, what):
    first = http.decide(decision_id="d1")
    detail = problem(http.decide(decision_id="d1", **changes), 409, "ConflictingDecision")
    assert f"for another {what}. The stored one stands" in detail
    assert http.decide(decision_id="d1").content == first.content
    assert http.count() == 1


def test_identical_requests_at_the_same_moment_make_one_row_and_get_one_answer(http):
    async def all_at_once():
        transport = httpx2.ASGITransport(http.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            body = ANN | {"decision_id": "d1"}
            return await asyncio.gather(*(client.post("/v1/decisions", json=body) for _ in range(40)))

    answers = asyncio.run(all_at_once())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert http.count() == 1


def test_an_id_used_under_an_earlier_campaign_file_is_a_conflict_that_says_so(http, worlds):
    http.decide(decision_id="d1")
    changed = http.store.open_log(worlds.campaign(policy={"name": "uniform"}), worlds.noon)
    with TestClient(create_app(Serving(http.store, changed, clock=lambda: http.now))) as client:
        detail = problem(client.post("/v1/decisions", json=ANN | {"decision_id": "d1"}), 409, "ConflictingDecision")
    assert "Ask again with the same decision_id" not in detail, "asking again will never help"


def test_an_outcome_is_accepted_once_and_repeated_as_often_as_one_likes(http):
    http.decide(decision_id="d1")
    answers = [http.tell("d1", event_id="e1", type="click").json() for _ in range(3)]
    assert [answer["status"] for answer in answers] == ["accepted", "duplicate", "duplicate"]
    assert http.count("outcomes") == 1
    http.wait(hours=73)
    assert http.tell("d1", event_id="e2", type="conversion").json()["status"] == "late"
    http.serving.train()
    assert http.show("d1")["reward"] == 0.2


def test_the_time_of_an_outcome_is_the_reporters_where_given_and_the_clocks_where_not(http):
    http.decide(decision_id="d1")
    http.wait(hours=80)
    assert http.tell("d1", event_id="e1", type="click", at="2026-11-23T14:00:00+02:00").json()["status"] == "accepted"
    assert http.tell("d1", event_id="e2", type="click").json()["status"] == "late"


def test_a_sending_moves_the_window_and_is_shown(http):
    http.decide(decision_id="d1")
    http.wait(hours=24)
    assert http.sent("d1").json() == {"decision_id": "d1", "status": "accepted"}
    assert http.sent("d1", sent=True, at="2026-11-23T12:00:00Z").json()["status"] == "duplicate"
    assert http.show("d1")["sent_at"] == "2026-11-23T12:00:00Z"
    http.wait(hours=71)
    assert http.tell("d1", event_id="e1", type="click").json()["status"] == "accepted"


def test_a_sending_needs_no_body(http):
    http.decide(decision_id="d1")
    assert http.client.post("/v1/decisions/d1/sent").json()["status"] == "accepted"


def test_a_sending_without_a_time_may_be_reported_again(http):
    """A caller whose answer got lost does not know whether the first report arrived."""
    http.decide(decision_id="d1")
    first = http.sent("d1").json()["status"]
    http.wait(minutes=1)
    assert [first, http.sent("d1").json()["status"]] == ["accepted", "duplicate"]
    assert problem(http.sent("d1", at="2026-11-22T13:00:00Z"), 422, "InvalidOutcome")


def test_an_outcome_of_the_future_is_refused_and_its_id_is_not_used_up(http):
    http.decide(decision_id="d1")
    refused = http.tell("d1", event_id="e1", type="click", at="2036-01-01T00:00:00Z")
    assert "Check the clock" in problem(refused, 422, "InvalidOutcome")
    assert http.tell("d1", event_id="e1", type="click").json()["status"] == "accepted"


def test_a_message_that_was_not_sent_is_void(http):
    http.decide(decision_id="d1")
    assert [http.sent("d1", sent=False).json()["status"] for _ in range(2)] == ["accepted", "duplicate"]
    assert http.show("d1")["state"] == "void"
    detail = problem(http.sent("d1", at="2026-11-23T12:00:00Z"), 422, "InvalidOutcome")
    assert "is void; it cannot be sent" in detail


def test_a_process_that_lives_says_so(http):
    assert http.client.get("/healthz").json() == {"status": "ok"}


def test_answers_have_just_the_fields_that_the_documentation_says(http):
    answer, receipt = http.decide(decision_id="d1").json(), http.show("d1")
    assert answer.keys() == DecisionAnswer.model_fields.keys() - {"explanation", "html", "text"}
    assert receipt.keys() == DecisionReceipt.model_fields.keys() - {"explanation", "html", "text"}
    DecisionAnswer.model_validate(answer)
    DecisionReceipt.model_validate(receipt)


def test_an_answer_and_its_receipt_name_the_candidate_that_served(http):
    assert http.decide(decision_id="d1").json()["candidate"] is None
    http.wait(hours=73)
    http.serving.train()
    answers = [http.decide(decision_id="d2").json(), http.show("d2")]
    assert [answer["candidate"] for answer in answers] == [CANDIDATES[FIRST].name] * 2


def test_a_service_is_ready_without_a_snapshot_and_says_who_decides(http):
    before = http.client.get("/readyz")
    assert (before.status_code, before.json()["snapshot"]) == (200, None)
    assert before.json()["deciding"] == "random: no snapshot yet"
    http.decide()
    http.wait(hours=73)
    http.serving.train()
    after = http.client.get("/readyz").json()
    assert (after["snapshot"], after["deciding"], after["store"], after["trainer"]) == ("s00001", "learner", "ok", "ok")
    assert (after["campaign"], after["campaign_hash"]) == ("contest", http.log.campaign.content_hash)


def test_a_service_without_its_tables_is_not_ready(http):
    http.store.write(lambda connection: connection.execute("ALTER TABLE head RENAME TO elsewhere"))
    response = http.client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "not ready")
    assert "no such table: head" in response.json()["store"]
    assert http.client.get("/healthz").status_code == 200


def test_a_locked_database_is_a_503_and_the_retry_works_when_it_is_free(http):
    other = sqlite3.connect(http.store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    detail = problem(http.decide(decision_id="d1"), 503, "UnusableStore")
    assert "Nothing of this was stored" in detail
    other.execute("ROLLBACK")
    other.close()
    assert http.decide(decision_id="d1").status_code == 200


def test_openapi_lists_every_route_with_its_body_and_its_problems(http):
    document = http.client.get("/openapi.json").json()
    assert {(method, path) for path, methods in document["paths"].items() for method in methods} == ROUTES
    served = {(method.lower(), route.path) for route in http.app.routes for method in getattr(route, "methods", ())}
    listed = {pair for pair in served if pair[0] != "head" and not pair[1].startswith(("/openapi", "/docs", "/redoc"))}
    assert listed <= ROUTES
    decide = document["paths"]["/v1/decisions"]["post"]
    assert decide["requestBody"]["content"][JSON]["schema"]["required"] == ["customer_id"]
    assert decide["responses"].keys() >= {"200", "400", "409", "422", "503"}
    assert all(PROBLEM in decide["responses"][status]["content"] for status in ("400", "409", "422", "503"))
