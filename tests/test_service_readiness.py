"""/readyz and the store in trouble: 503 with a reason while it lasts, and well again by itself."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

import service.connection
import service.readiness
from service.app import create_app
from service.serving import Serving
from service.settings import Settings
from service.store import Store
from service.trainer import Trainer
from service.verification import verify_store


@pytest.fixture
def serving(tmp_path, worlds, monkeypatch):
    monkeypatch.setattr(service.connection, "BUSY_SECONDS", 0.3)
    monkeypatch.setattr(service.readiness, "FRESH", 0.0)
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        made = Serving(store, store.open_log(worlds.campaign(), worlds.noon), clock=lambda: made.now)
        made.now = worlds.noon
        yield made


@pytest.fixture
def client(serving):
    with TestClient(create_app(serving), raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def locked(serving):
    """Another process holds the lock of the database until the answer is called."""
    other = sqlite3.connect(serving.store.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield lambda: other.execute("ROLLBACK")
    other.close()


def decide(client, decision_id):
    body = {"customer_id": "ann", "decision_id": decision_id, "context": {"level": "high"}}
    return client.post("/v1/decisions", json=body)


def ready(client):
    """Status and reasons."""
    response = client.get("/readyz")
    assert response.json()["status"] == ("ready" if response.status_code == 200 else "not ready")
    return response.status_code, response.json()["reasons"]


def test_a_service_that_is_well_has_no_reasons_and_no_warnings(client):
    assert ready(client) == (200, [])
    body = client.get("/readyz").json()
    assert (body["warnings"], body["trainer_step_age_seconds"]) == ([], None)


def test_a_full_disk_is_a_503_and_the_service_recovers_by_itself(client, serving, caplog):
    """SQLite's own limit of pages gives the same error as a full disk, at the same places."""
    ids = [f"{'x' * 900}{i}" for i in range(60)]
    assert decide(client, "before").status_code == 200
    (pages,) = serving.store.reader().execute("PRAGMA page_count").fetchone()
    serving.store.write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}"))
    answers = [decide(client, one) for one in ids]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) > 5, "the database never became full"
    assert {answer.status_code for answer in refused} == {503}
    detail = refused[0].json()["detail"]
    assert "database or disk is full" in detail
    assert "Nothing of this was stored: free the disk or the lock" in detail
    assert client.get("/v1/decisions/before").status_code == 200, "reading goes on"
    serving.store.write(lambda connection: connection.execute("PRAGMA max_page_count = 1000000"))
    again = [decide(client, one) for one in ids]
    assert {answer.status_code for answer in again} == {200}
    assert all(a.content == b.content for a, b in zip(answers, again, strict=True) if a.status_code == 200)
    assert serving.store.writer.commits.n_failed == len(refused)
    found = verify_store(serving.store)
    assert found.passed, [check.failures for check in found.checks if not check.passed]
    said = [record.getMessage() for record in caplog.records if record.name == "manyarm"]
    begun, over = said.index("the database cannot be written; requests are answered with 503"), len(said) - 1
    assert said[over] == "the database takes writes again"
    assert over - begun <= 2, "trouble is logged when it begins and when it is over, not once a request"


def test_a_locked_database_is_not_ready_until_the_lock_is_gone(client, locked):
    status, (reason,) = ready(client)
    assert (status, "database is locked" in reason) == (503, True)
    locked()
    assert ready(client) == (200, [])


def test_a_write_that_waits_too_long_is_a_reason_before_it_has_failed(client, locked, monkeypatch):
    monkeypatch.setattr(service.readiness, "PATIENCE", 0.01)
    status, (reason,) = ready(client)
    assert (status, "a write has waited for more than 0.01 seconds" in reason) == (503, True)
    locked()


def test_the_disk_is_asked_once_a_second_at_most(serving, monkeypatch, client):
    monkeypatch.setattr(service.readiness, "FRESH", 1.0)
    ready(client)
    before = serving.store.writer.commits.sizes.total
    serving.timer = lambda: 0.0  # within the second
    for _ in range(5):
        assert ready(client) == (200, [])
    assert serving.store.writer.commits.sizes.total == before


def test_too_little_free_space_is_a_reason(serving):
    serving.settings = Settings({"least_free_disk": 1e9})
    with TestClient(create_app(serving)) as client:
        status, (reason,) = ready(client)
        assert (status, reason.startswith("disk: "), "need 1e+09 (setting least_free_disk)" in reason) == (
            503,
            True,
            True,
        )
        assert client.get("/healthz").status_code == 200


def test_a_service_that_drains_is_not_ready_and_still_answers(serving, client):
    serving.drain()
    status, (reason,) = ready(client)
    assert (status, reason.startswith("draining: ")) == (503, True)
    answer = decide(client, "d1")
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


def test_a_broken_snapshot_and_a_trainer_in_trouble_are_warnings(serving, client):
    for i in range(40):
        decide(client, f"d{i}")
    serving.now += timedelta(hours=73)
    serving.train()
    assert client.get("/readyz").json()["deciding"] == "learner"
    serving.store.write(lambda connection: connection.execute("UPDATE snapshots SET body = x'00'"))
    serving.engine = service.serving.engine_for(serving.store, serving.log)
    serving.last_error, serving.pause = "OperationalError", timedelta(minutes=1)
    serving.now += timedelta(minutes=10)
    assert ready(client) == (200, [])
    body = client.get("/readyz").json()
    assert [warning.split(":")[0] for warning in body["warnings"]] == ["snapshot", "trainer", "trainer"]
    assert "the last step failed (OperationalError; its text is in the log)" in body["warnings"][1]
    assert (body["trainer"], body["trainer_step_age_seconds"]) == ("OperationalError", 600.0)


def test_a_trainer_that_is_not_wanted_any_more_closes_no_more_windows_and_goes_on_later(serving, client):
    decide(client, "d1")
    serving.now += timedelta(hours=73)
    trainer = Trainer(serving.store, serving.log)
    assert trainer.close_windows(serving.now, lambda: False) == 0
    assert trainer.close_windows(serving.now) == 1
