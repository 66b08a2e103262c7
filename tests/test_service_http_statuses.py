"""The table of statuses in docs/http.md, row by row against the running app."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from bandit.errors import UnusableStore
from service.app import create_app
from service.door_rules import DoorRules
from service.keys_table import Scope, issue_key
from service.serving import Serving
from service.settings import Settings
from service.store import Store

PAGE = Path(__file__).parents[1] / "docs" / "http.md"
DECIDE, BATCH, EVENTS, REPORT = "/v1/decisions", "/v1/decisions/batch", "/v1/customers/ann/events", "/v1/decisions/d1"
ANN = {"customer_id": "ann"}
NDJSON = {"Content-Type": "application/x-ndjson"}
TEXT = {"Content-Type": "text/plain"}
LOGIN = {"event_id": "e", "type": "login"}
PROBES = [
    (400, "InvalidRequest", "POST", DECIDE, {"content": b'{"customer_id": '}),
    (400, "InvalidRequest", "POST", BATCH, {"content": b"no JSON"}),
    (400, "InvalidRequest", "POST", DECIDE, {"content": b""}),
    (400, "InvalidRequest", "POST", DECIDE, {"content": b"{}", "headers": {"Content-Length": "many"}}),
    (401, "RefusedWebhook", "POST", "/v1/webhooks/postmark", {"content": b"[]", "headers": {"X-Webhook-Token": "no"}}),
    (403, "OtherSite", "POST", DECIDE, {"json": ANN, "headers": {"Origin": "https://elsewhere.example"}}),
    (404, "UnknownDecision", "GET", "/v1/decisions/nobody", {}),
    (404, "UnknownCampaign", "GET", "/v1/campaigns/another/report", {}),
    (
        404,
        "UnknownSnapshot",
        "POST",
        "/v1/campaigns/contest/snapshots",
        {"json": {"action": "promote", "snapshot": "s9"}},
    ),
    (404, "UnknownLink", "GET", "/v1/unsubscribe/nobody", {}),
    (404, "NoSuchWebhook", "POST", "/v1/webhooks/sendgrid", {"content": b"[]"}),
    (404, "NotFound", "GET", "/v1/elsewhere", {}),
    (405, "MethodNotAllowed", "DELETE", DECIDE, {}),
    (409, "ConflictingDecision", "POST", DECIDE, {"json": {"customer_id": "bob", "decision_id": "d1"}}),
    (409, "ConflictingOutcome", "POST", f"{REPORT}/outcomes", {"json": {"event_id": "o1", "type": "conversion"}}),
    (409, "OptedOut", "POST", DECIDE, {"json": {"customer_id": "gone"}}),
    (413, "BatchTooLarge", "POST", BATCH, {"json": {"decisions": [ANN] * 1001}}),
    (413, "BodyTooLarge", "POST", DECIDE, {"json": {**ANN, "context": {"level": "x" * 99_000}}}),
    (415, "UnsupportedMediaType", "POST", BATCH, {"content": b"{}", "headers": TEXT}),
    (421, "UnknownHost", "POST", DECIDE, {"json": ANN, "headers": {"Host": "elsewhere.example"}}),
    (422, "InvalidRequest", "POST", DECIDE, {"json": {}}),
    (422, "InvalidRequest", "POST", DECIDE, {"json": {**ANN, "contxt": {}}}),
    (422, "InvalidContext", "POST", DECIDE, {"json": {**ANN, "context": {"levle": 1}}}),
    (422, "InvalidExclusion", "POST", DECIDE, {"json": {**ANN, "exclude": {"subject": ["nothing"]}}}),
    (422, "InvalidOutcome", "POST", f"{REPORT}/outcomes", {"json": {"event_id": "o2", "type": "smile"}}),
    (422, "UnusableEvents", "POST", EVENTS, {"json": {"events": [LOGIN] * 1001}}),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory, worlds):
    campaign = worlds.campaign(profile={})
    settings = Settings({"webhook_postmark_secret": "a secret of the tests"})
    rules = DoorRules(hosts=frozenset({"testserver"}), largest_body=90_000)
    with Store(tmp_path_factory.mktemp("statuses") / "manyarm.db") as store:
        serving = Serving(store, store.open_log(campaign, worlds.noon), clock=lambda: worlds.noon, settings=settings)
        with TestClient(create_app(serving, rules=rules), raise_server_exceptions=False) as opened:
            assert opened.post(DECIDE, json=ANN | {"decision_id": "d1"}).status_code == 200
            assert opened.post(f"{REPORT}/outcomes", json={"event_id": "o1", "type": "click"}).status_code == 200
            assert opened.post("/v1/customers/gone/opt-out", json={}).status_code == 200
            yield opened


@pytest.mark.parametrize(("status", "title", "method", "path", "asked"), PROBES, ids=lambda one: str(one)[:40])
def test_every_refusal_has_the_status_that_the_page_says(client, status, title, method, path, asked):
    answer = client.request(method, path, **asked)
    assert (answer.status_code, answer.json()["title"]) == (status, title), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert status in documented()


def test_a_body_of_another_kind_is_read_as_json_but_for_batches(client):
    assert client.post(DECIDE, content=b'{"customer_id": "zoe", "decision_id": "z1"}', headers=TEXT).status_code == 200
    assert client.post("/v1/decisions/z1/sent", content=b"").status_code == 200
    lines = client.post(BATCH, content=b'{"customer_id": "zoe"}\nno JSON\n{}\n', headers=NDJSON)
    assert lines.status_code == 200
    assert [line.count('"status":') and re.findall(r'"status":(\d+)', line) for line in lines.text.splitlines()][1:] == [
        ["400"], ["422"],
    ]  # fmt: skip


def test_keys_rates_and_faults_have_the_statuses_that_the_page_says(tmp_path, worlds, monkeypatch):
    now = [worlds.noon]
    with Store(tmp_path / "m.db") as store:
        serving = Serving(store, store.open_log(worlds.campaign(), worlds.noon), clock=lambda: now[0])
        rules = DoorRules(needs_key=True, is_local=False, rate_limit=2)
        client = TestClient(create_app(serving, rules=rules), raise_server_exceptions=False)
        made = store.write(
            lambda c: issue_key(c, "k1", "mailer", [Scope.DECIDE], secret="5e" * 32, at=now[0], lifetime=None)
        )
        now[0] += timedelta(seconds=2)
        key = {"Authorization": f"Bearer {made}"}
        found = {401: client.post(DECIDE, json=ANN), 403: client.get("/v1/customers/ann", headers=key)}
        assert client.post(DECIDE, json=ANN, headers=key).status_code == 200
        found[429] = [client.post(DECIDE, json=ANN, headers=key) for _ in range(4)][-1]
        assert int(found[429].headers["Retry-After"]) > 0
        now[0] += timedelta(seconds=9)
        for status, error in ((503, UnusableStore("no room")), (500, ZeroDivisionError())):
            monkeypatch.setattr(store.writer, "submit_row", _raising(error))
            found[status] = client.post(DECIDE, json=ANN, headers=key)
        assert {status: answer.status_code for status, answer in found.items()} == {status: status for status in found}
    assert found.keys() <= documented()
    assert documented() == found.keys() | {probe[0] for probe in PROBES}


def _raising(error):
    def submit(*_):
        raise error

    return submit


def documented():
    """The statuses of the page's table."""
    table = PAGE.read_text(encoding="utf-8").partition("| status | when |")[2].partition("\n\n")[0]
    return {int(status) for line in table.splitlines() for status in re.findall(r"^\| (\d+) \|", line)}
