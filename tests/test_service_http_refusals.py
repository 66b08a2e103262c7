"""The HTTP service against wrong requests: a problem detail that helps, nothing stored, and never a 5xx."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.app import create_app
from service.serving import Serving
from service.store import Store

PROBLEM = "application/problem+json"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

STRANGE = st.sampled_from(["\ud800", "a\udfffb", "\x00", "a\x00b", "", "x" * 1001, "🎉", "d1", "ann", "high", "NaN"])
SCALAR = STRANGE | st.none() | st.booleans() | st.floats() | st.integers(-(10**400), 10**400) | st.text(max_size=8)
NAMES = st.sampled_from(["level", "days", "member", "elsewhere", "\ud800", "\x00", ""])
ANYTHING = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(STRANGE, inner, max_size=2), max_leaves=5
)
TIMES = st.sampled_from(
    ["2026-11-22T13:00:00Z", "2026-11-22", "2026-11-22T13:00:00", "soon", "2026-02-30T00:00:00Z", ""]
)
DECISION = st.fixed_dictionaries(
    {"customer_id": STRANGE | ANYTHING},
    optional={
        "context": st.dictionaries(NAMES, SCALAR, max_size=3) | ANYTHING,
        "decision_id": ANYTHING,
        "exclude": st.dictionaries(st.sampled_from(["subject", "cta", "\ud800"]), st.lists(STRANGE, max_size=2))
        | ANYTHING,
        "deferred": SCALAR,
        "explain": SCALAR,
        "more": SCALAR,
    },
)
BATCH = st.fixed_dictionaries({"decisions": st.lists(DECISION | ANYTHING, max_size=3)})
OUTCOME = st.fixed_dictionaries(
    {"event_id": STRANGE | ANYTHING},
    optional={"type": st.sampled_from(["click", "open", "\ud800"]) | ANYTHING, "at": TIMES | ANYTHING, "more": SCALAR},
)
SENT = st.fixed_dictionaries({}, optional={"sent": SCALAR, "at": TIMES | ANYTHING})
DEEP = [
    "[" * 50_000,
    '{"customer_id":"a","context":{"days":' + "[" * 50_000,
    '{"a":' * 50_000,
    '{"a":' * 500 + "1" + "}" * 500,
]
BODIES = (
    (DECISION | OUTCOME | SENT | BATCH | ANYTHING).map(lambda body: json.dumps(body).encode())  # \ud800 stays an escape
    | st.binary(max_size=30)
    | st.sampled_from([text.encode() for text in DEEP])
    | st.binary(max_size=4).map(lambda some: b'{"customer_id": "ann' + some + b'"}')
)
IDS = st.sampled_from(["d1", "nobody", "%00", "%ED%A0%80", "%FF", "a%2Fb", "%F0%9F%8E%89", "x" * 1001, "d1%0A", "%20"])
REPORTS = st.builds("/v1/decisions/{}/{}".format, IDS, st.sampled_from(["outcomes", "sent"]))
PATHS = st.sampled_from(["/v1/decisions", "/v1/decisions/batch"]) | REPORTS


@pytest.fixture(scope="module")
def store(tmp_path_factory, worlds):
    with Store(tmp_path_factory.mktemp("http") / "manyarm.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def client(store, worlds):
    """A service with the decision d1 in it, its clock standing still."""
    serving = Serving(store, store.open_log(worlds.campaign(), worlds.noon), clock=lambda: NOON)
    with TestClient(create_app(serving), raise_server_exceptions=False) as opened:
        assert opened.post("/v1/decisions", json={"customer_id": "ann", "decision_id": "d1"}).status_code == 200
        yield opened


@pytest.fixture
def unchanged(store):
    """Checks afterwards that nothing was stored."""
    query = "SELECT (SELECT count(*) FROM decisions), (SELECT count(*) FROM outcomes), (SELECT sent_at FROM decisions)"
    before = store.reader().execute(query).fetchone()
    yield
    assert store.reader().execute(query).fetchone() == before


def problem(response, status, title):
    """Check that a response is this problem, with all its fields; returns its detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    body = response.json()
    assert body == {"type": f"urn:manyarm:problem:{title}", "title": title, "status": status, "detail": body["detail"]}
    return body["detail"]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("context", "detail"),
    [
        ({"levle": "high"}, "context 'levle' is not declared in the campaign file"),
        ({"level": "medium"}, "context 'level' is 'medium', need one of low, high"),
        ({"level": 3}, "context 'level' is 3"),
        ({"days": "three"}, "context 'days' is 'three', need a finite number"),
        ({"days": True}, "context 'days' is True, need a finite number"),
        ({"member": "yes"}, "context 'member' is 'yes', need true or false"),
    ],
)
def test_a_context_that_does_not_fit_is_refused_by_name(client, context, detail):
    assert detail in problem(
        client.post("/v1/decisions", json={"customer_id": "ann", "context": context}), 422, "InvalidContext"
    )


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        (b"", 400, "truncated"),
        (b"customer_id=ann", 400, "malformed"),
        (b'{"customer_id": "ann", "context": {"days": NaN}}', 400, "malformed"),
        (b'{"customer_id": "ann", "context": {"days": Infinity}}', 400, "malformed"),
        (b'{"customer_id": "ann"} {}', 400, "trailing"),
        (b'{"customer_id": "\xff"}', 400, ""),
        (b'{"customer_id": "ann", "context": {"\xed\xa0\x80": 1}}', 400, ""),
        (b'{"customer_id": "\\ud800"}', 400, ""),
        (b"[]", 422, "Expected `object`"),
        (b"{}", 422, "missing required field `customer_id`"),
        (b'{"customer_id": 7}', 422, "Expected `str`, got `int` - at `$.customer_id`"),
        (b'{"customer_id": "ann", "contxt": {}}', 422, "unknown field `contxt`"),
        (b'{"customer_id": "ann", "context": {"days": [1]}}', 422, "got `array`"),
        (b'{"customer_id": "ann", "context": {"days": 1e999}}', 422, "out of range"),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_understood_is_refused(client, content, status, detail):
    found = problem(client.post("/v1/decisions", content=content), status, "InvalidRequest")
    assert detail in found
    assert "Nothing was stored; see /docs" in found


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", ["customer_id", "decision_id"])
@pytest.mark.parametrize("value", ["", "x" * 1001])
def test_an_id_that_is_empty_or_too_long_is_refused(client, name, value):
    response = client.post("/v1/decisions", json={"customer_id": "ann"} | {name: value})
    assert f"{name} is " in problem(response, 422, "InvalidContext")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("body", "title", "detail"),
    [
        ({"type": "open"}, "InvalidOutcome", "Known: click, conversion"),
        ({"event_id": ""}, "InvalidOutcome", "need 1 to 1000"),
        ({"event_id": "x" * 1001}, "InvalidOutcome", "has 1001 characters"),
        ({"event_id": None}, "InvalidRequest", "Expected `str`, got `null` - at `$.event_id`"),
        ({"worth": 1}, "InvalidRequest", "unknown field `worth`"),
        ({"at": "2026-11-22T13:00:00"}, "InvalidOutcome", "with its zone"),
        ({"at": "yesterday"}, "InvalidRequest", "RFC3339"),
        ({"at": "2026-11-22T11:00:00Z"}, "InvalidOutcome", "before its decision"),
    ],
)
def test_an_outcome_that_cannot_be_counted_is_refused_with_the_reason(client, body, title, detail):
    response = client.post("/v1/decisions/d1/outcomes", json={"event_id": "e", "type": "click"} | body)
    assert detail in problem(response, 422, title)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("content", "status", "title", "detail"),
    [
        (b"sent=no", 400, "InvalidRequest", "malformed"),
        (b'{"sent": "no"}', 422, "InvalidRequest", "Expected `bool`"),
        (b'{"snet": true}', 422, "InvalidRequest", "unknown field `snet`"),
        (b'{"at": "2026-11-22T13:00:00"}', 422, "InvalidOutcome", "with its zone"),
        (b'{"at": "2026-11-22T11:00:00Z"}', 422, "InvalidOutcome", "cannot have been sent before"),
    ],
)
def test_a_sending_that_makes_no_sense_is_refused_with_the_reason(client, content, status, title, detail):
    assert detail in problem(client.post("/v1/decisions/d1/sent", content=content), status, title)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("path", "body"), [("outcomes", {"event_id": "e", "type": "click"}), ("sent", {})])
def test_a_report_on_an_unknown_decision_is_a_404_with_where_to_look(client, path, body):
    response = client.post(f"/v1/decisions/nobody/{path}", json=body)
    assert "no decision 'nobody'" in problem(response, 404, "UnknownDecision")


def test_one_event_id_for_two_events_is_a_conflict(client):
    assert client.post("/v1/decisions/d1/outcomes", json={"event_id": "twice", "type": "click"}).status_code == 200
    response = client.post("/v1/decisions/d1/outcomes", json={"event_id": "twice", "type": "conversion"})
    assert "give each event an id of its own" in problem(response, 409, "ConflictingOutcome")


EDGES = ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("at", EDGES)
def test_an_outcome_at_the_edge_of_the_calendar_is_refused(client, at):
    body = {"event_id": "e", "type": "click", "at": at}
    problem(client.post("/v1/decisions/d1/outcomes", json=body), 422, "InvalidOutcome")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("at", [*EDGES, "9999-12-31T23:59:59Z", "4999-01-01T00:00:00Z"])
def test_a_sending_at_the_edge_of_the_calendar_is_refused(client, at):
    """And so is any in the far future: its decision would never mature."""
    problem(client.post("/v1/decisions/d1/sent", json={"at": at}), 422, "InvalidOutcome")


def test_what_is_not_there_and_what_is_not_done_is_a_problem_too(client):
    assert "no decision 'nobody'" in problem(client.get("/v1/decisions/nobody"), 404, "UnknownDecision")
    assert "/v1/nothing" in problem(client.get("/v1/nothing"), 404, "NotFound")
    assert "The routes stand at /docs" in problem(client.get("/v1/decisions"), 405, "MethodNotAllowed")
    problem(client.delete("/v1/decisions/d1"), 405, "MethodNotAllowed")


def test_a_method_that_is_not_allowed_is_answered_with_those_that_are(client):
    """RFC 9110, 15.5.6: the Allow header is a must."""
    assert client.get("/v1/decisions").headers.get("allow") == "POST"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(PATHS, BODIES), min_size=1, max_size=5))
def test_no_request_whatever_is_answered_with_a_server_error(client, requests):
    for path, body in requests:
        response = client.post(path, content=body)
        assert response.status_code < 500, (path, body)
        assert response.status_code == 200 or response.headers["content-type"] == PROBLEM
        assert client.get(path).status_code < 500


def test_the_service_is_well_after_all_of_that(client, store):
    assert client.get("/readyz").json()["status"] == "ready"
    assert client.post("/v1/decisions", json={"customer_id": "ann", "decision_id": "last"}).status_code == 200
    assert client.get("/v1/decisions/last").json()["context"] == {"level": None, "days": None, "member": None}
