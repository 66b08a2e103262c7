"""What a running service takes up while it runs: keys of customers, snapshots one at a time, and the wish to stop."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

import service.erasing
import service.serving
from bandit import Context
from service.app import create_app
from service.consent import Consent
from service.customer_keys import rotate_key
from service.deciding import Request
from service.engines import engine_for
from service.opt_outs import find_opt_out, opt_in, opt_out
from service.serving import Serving
from service.store import Store

CONTROL = {"share": 0.2, "choice": {"subject": "plain", "cta": "invite"}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "manyarm.db"


@pytest.fixture
def store(path, worlds):
    with Store(path, salt=worlds.salt, secret=worlds.secret) as opened:
        yield opened


@pytest.fixture
def serving(store, worlds):
    log = store.open_log(worlds.campaign(groups={"control": CONTROL}, privacy={"retention": "30d"}), worlds.noon)
    return Serving(store, log, clock=lambda: worlds.noon)


def rotate_elsewhere(path, at, opting_out=()):
    """Another process rotates the key of customers, and somebody opts out there."""
    with Store(path) as other:
        other.write(lambda connection: rotate_key(connection, at))
        other.reload_keys()
        for one in opting_out:
            other.write(lambda connection, one=one: opt_out(connection, one, other.customer_keys, at, "asked"))


def test_an_opt_out_under_a_key_that_another_process_made_is_known_within_two_seconds(serving, path, worlds):
    serving.renew_keys(worlds.noon)
    rotate_elsewhere(path, worlds.noon, ["bob"])
    at = worlds.noon + timedelta(seconds=2)
    serving.renew_keys(at)
    ruling = Consent(serving.store, serving.log).ruling(Request("bob", Context({}), "d1"), at)
    assert ruling.reason == "opted-out"
    assert serving.engine.secret == serving.store.secret == serving.store.customer_keys.newest


@pytest.mark.parametrize("route", ["/v1/decisions", "/v1/decisions/batch"])
def test_nobody_is_decided_for_who_opted_out_under_a_key_that_another_process_made(serving, path, worlds, route):
    client = TestClient(create_app(serving))
    asked = {"customer_id": "bob", "context": {}}
    body = asked if route == "/v1/decisions" else {"decisions": [asked]}
    assert "choice" in client.post(route, json=body).text
    rotate_elsewhere(path, worlds.noon, ["bob"])
    serving.clock = lambda: worlds.noon + timedelta(seconds=2)
    assert "OptedOut" in client.post(route, json=body).text


def test_keys_are_read_again_when_the_clock_was_set_back(serving, path, worlds):
    serving.renew_keys(worlds.noon)
    rotate_elsewhere(path, worlds.noon)
    serving.renew_keys(worlds.noon + timedelta(seconds=1))
    assert serving.store.customer_keys.generation == 1
    serving.renew_keys(worlds.noon - timedelta(hours=1))
    assert serving.store.customer_keys.generation == 2


def test_a_request_does_not_wait_for_an_engine_that_is_being_made_and_the_next_one_looks_again(serving, path, worlds):
    rotate_elsewhere(path, worlds.noon)
    with serving._swapping:
        serving.renew_keys(worlds.noon)
    assert serving.store.customer_keys.generation == 2
    assert serving.engine.secret != serving.store.secret
    serving.renew_keys(worlds.noon)
    assert serving.engine.secret == serving.store.secret


def test_what_counts_an_opt_out_keeps_it_under_the_newest_key_of_the_file(serving, path, worlds):
    store, consent = serving.store, Consent(serving.store, serving.log)
    store.write(lambda connection: opt_out(connection, "ann", store.customer_keys, worlds.noon, "asked"))
    ruling = consent.ruling(Request("ann", Context({}), "d1"), worlds.noon)
    rotate_elsewhere(path, worlds.noon)
    store.write(lambda connection: consent.count(connection, [ruling], worlds.noon))
    assert store.reader().execute("SELECT generation FROM opt_outs").fetchall() == [(2,)]
    store.reload_keys()
    assert find_opt_out(store.reader(), "ann", store.customer_keys) is not None
    store.write(lambda connection: opt_in(connection, "ann", store.customer_keys))


def test_engines_are_made_one_at_a_time_so_that_an_older_one_is_never_assigned_last(serving, path, worlds, monkeypatch):
    inside, together, begun = [], [], threading.Event()

    def slow(store, log):
        inside.append(1)
        together.append(len(inside))
        begun.set()
        threading.Event().wait(0.1)
        inside.pop()
        return engine_for(store, log)

    monkeypatch.setattr(service.serving, "engine_for", slow)
    rotate_elsewhere(path, worlds.noon)
    threads = [threading.Thread(target=serving.take_up) for _ in range(3)]
    for thread in threads:
        thread.start()
        begun.wait(2.0)
    for thread in threads:
        thread.join()
    assert together == [1]
    assert serving.engine.secret == serving.store.secret


def test_a_service_that_is_asked_to_stop_leaves_the_rest_of_what_is_too_old(store, worlds, monkeypatch):
    log = store.open_log(worlds.campaign(privacy={"retention": "30d"}), worlds.noon)
    made = worlds.decide(engine_for(store, log), 5)
    store.add_decisions([store.row_of(one, log) for one in made])

    def new_id():
        serving.drain()  # in the middle of the first slice
        return "e1"

    monkeypatch.setattr(service.erasing, "AT_ONCE", 2)
    serving = Serving(store, log, clock=lambda: worlds.noon + timedelta(days=60), new_id=new_id)
    serving.train()  # matures and learns
    assert [erasure for (erasure,) in store.reader().execute("SELECT erasure_id FROM erasures")] == ["e1"]
    assert store.reader().execute("SELECT count(*) FROM decisions").fetchone() == (3,)
