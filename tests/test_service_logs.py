"""Lines on standard error: one record a line, the fields that were promised, and never whom a decision was for."""

from __future__ import annotations

import io
import json
import logging

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.logs import write_logs
from service.serving import Serving
from service.settings import Settings
from service.store import Store


@pytest.fixture
def written():
    """`written(log_format="json")` begins to write; call the answer for the lines so far."""
    root, own = logging.getLogger(), logging.getLogger("manyarm")
    before = root.handlers[:], root.level, own.level
    for handler in before[0]:
        root.removeHandler(handler)  # basicConfig closes what it finds, and pytest's own must live

    def begin(**given):
        stream = io.StringIO()
        write_logs(Settings(given), stream)
        return lambda: stream.getvalue().splitlines()

    yield begin
    root.handlers[:], root.level = before[0], before[1]
    own.setLevel(before[2])


@pytest.fixture
def client(tmp_path, worlds):
    """A service that writes one line a request."""
    with Store(tmp_path / "manyarm.db") as store:
        log = store.open_log(worlds.campaign(), worlds.noon)
        serving = Serving(store, log, clock=lambda: worlds.noon, settings=Settings({"log_requests": True}))
        yield TestClient(create_app(serving), raise_server_exceptions=False)


def broken():
    raise ValueError("ann@example.com asked for this")


def test_a_line_of_json_has_time_level_event_and_its_fields(written):
    lines = written(log_format="json")
    logging.getLogger("manyarm").info(
        "snapshot %s serves", "s00001", extra={"snapshot": "s00001", "customer_id": "ann"}
    )
    (line,) = map(json.loads, lines())
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "info", "event": "snapshot s00001 serves", "snapshot": "s00001"}


def test_a_line_of_text_says_the_same(written):
    lines = written(log_format="text")
    logging.getLogger("manyarm").warning("the database\ntakes writes again", extra={"snapshot": "s00001"})
    (line,) = lines()
    assert line[10] == " "
    assert line.endswith("WARNING manyarm: the database takes writes again snapshot=s00001")


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_an_exception_says_where_it_came_from_and_not_what_it_quoted(written, log_format):
    lines = written(log_format=log_format)
    try:
        broken()
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    (line,) = lines()
    assert "ValueError" in line
    assert "test_service_logs.py:" in line
    assert "ann@example.com" not in line


def test_lines_less_important_than_the_level_are_left_out(written):
    lines = written(log_level="warning")
    for level in (logging.INFO, logging.WARNING):
        logging.getLogger("manyarm").log(level, "said")
    logging.getLogger("uvicorn.access").info("GET /")
    assert len(lines()) == 1


def test_a_text_that_is_no_utf8_is_written_escaped(written):
    lines = written(log_format="json")
    logging.getLogger("manyarm").info("of \udcff", extra={"decision_id": "d\ud800"})
    assert json.loads(lines()[0])["decision_id"] == "d\\ud800"


def test_a_request_is_one_line_with_its_decision_its_route_and_nobody_s_name(written, client):
    lines = written(log_format="json")
    body = {"customer_id": "ann@example.com", "decision_id": "d1", "context": {"level": "high", "days": 3.25}}
    assert client.post("/v1/decisions", json=body).status_code == 200
    assert client.post("/v1/decisions/d1/sent", json={}).status_code == 200
    assert client.post("/v1/decisions", json=body | {"customer_id": "bob@example.com"}).status_code == 409
    client.get("/v1/nothing/ann@example.com?key=hush")
    found = [json.loads(line) for line in lines()]
    assert [(line["event"], line["status"], line.get("decision_id")) for line in found] == [
        ("request", 200, "d1"),
        ("request", 200, "d1"),
        ("request", 409, None),
        ("request", 404, None),
    ]
    assert found[0]["route"] == "/v1/decisions"
    assert all(line["milliseconds"] >= 0 for line in found)
    # A second or a duration may well have the same digits.
    text = json.dumps([{name: line[name] for name in line.keys() - {"time", "milliseconds"}} for line in found])
    assert not any(word in text for word in ("ann", "bob", "high", "3.25", "hush"))


def test_requests_are_not_written_unless_asked_for(written, worlds, tmp_path):
    lines = written(log_format="json")
    with Store(tmp_path / "quiet.db") as store:
        serving = Serving(store, store.open_log(worlds.campaign(), worlds.noon), clock=lambda: worlds.noon)
        TestClient(create_app(serving)).post("/v1/decisions", json={"customer_id": "ann"})
    assert lines() == []


@pytest.mark.parametrize(("name", "value"), [("log_format", "xml"), ("log_level", "loud")])
def test_a_format_or_level_that_is_none_is_refused_with_those_there_are(name, value):
    with pytest.raises(Exception, match=f"{name}.*need one of"):
        Settings({name: value})
