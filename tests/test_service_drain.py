"""A real server and a real SIGTERM under load: nothing acknowledged is lost, nothing accepted stays unanswered, exit 0."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
import pytest

from service.app import create_app
from service.draining import DrainingServer
from service.serving import Serving
from service.settings import Settings
from service.store import Store
from service.verification import verify_store

CLIENTS, ENOUGH = 6, 100
SETTINGS = """
log_format = "json"
log_requests = true
drain = "20s"
drain_notice = "2s"
"""


@dataclass
class Pressed:
    """What the clients saw."""

    answers: dict[str, int] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)
    sent_away: int = 0


@dataclass
class Served:
    """A server that has ended, and what was seen of it."""

    folder: Path
    pressed: Pressed
    readyz: list[tuple[int, dict[str, object]]]
    in_flight: int
    status: int
    seconds: float
    lines: list[dict[str, object]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [
        str(Path(sys.executable).with_name("manyarm")),
        "serve",
        "--settings",
        "settings.toml",
        "--learn-every",
        "0.1",
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stderr=log, env=environment(port))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=1, verify=False).status_code == 200:
                return server
        except httpx.HTTPError:
            time.sleep(0.05)
    server.kill()
    pytest.fail(f"the server was not ready: {(folder / 'log').read_text()}")


def environment(port: int) -> dict[str, str]:
    """The port comes from a variable, the rest from the file: both must reach the command."""
    return {**os.environ, "MANYARM_PORT": str(port)}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds the lock of the database, so nothing that is written is answered."""
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def ended(server: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever goes wrong: a server that is left behind would be blamed on another test."""
    try:
        yield
    finally:
        server.kill()
        server.wait()


def until_draining(port: int) -> httpx.Response:
    """What /readyz says as soon as the signal has arrived."""
    with httpx.Client(timeout=5, verify=False) as http:
        while (answer := http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
            time.sleep(0.01)
    return answer


def until_nobody_listens(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.05)
    pytest.fail("the server listens on and on")


def press(port: int, client: int, pressed: Pressed, numbers: itertools.count[int]) -> None:
    """Decide as fast as it goes; come back elsewhere once an answer asks for it, as load balancers do."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", timeout=20, verify=False) as http:
        while True:
            decision_id = f"client{client}-{next(numbers)}"
            body = {"customer_id": f"customer{client}", "decision_id": decision_id, "context": {"level": "low"}}
            try:
                answer = http.post("/decisions", json=body)
            except httpx.HTTPError:
                pressed.unanswered.append(decision_id)
                return
            pressed.answers[decision_id] = answer.status_code
            if answer.headers.get("connection") == "close":
                pressed.sent_away += 1
                return


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, worlds) -> Served:
    """A server that was asked to stop under load."""
    folder, port, pressed = tmp_path_factory.mktemp("drain"), free_port(), Pressed()
    (folder / "campaign.toml").write_text(worlds.toml(worlds.document()))
    (folder / "settings.toml").write_text(SETTINGS)
    server, numbers = start(folder, port), itertools.count()
    clients = [threading.Thread(target=press, args=(port, one, pressed, numbers)) for one in range(CLIENTS)]
    for thread in clients:
        thread.start()
    with ended(server):
        deadline = time.monotonic() + 60
        while len(pressed.answers) < ENOUGH and time.monotonic() < deadline:
            time.sleep(0.02)
        with locked(folder / "manyarm.db"):  # longer than the notice: requests are in flight when listening ends
            time.sleep(0.5)
            server.send_signal(signal.SIGTERM)
            asked = time.monotonic()
            readyz = [until_draining(port)]
            until_nobody_listens(port)
            in_flight = sum(thread.is_alive() for thread in clients)
        status = server.wait(timeout=60)
    seconds = time.monotonic() - asked
    for thread in clients:
        thread.join()
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return Served(folder, pressed, [(one.status_code, one.json()) for one in readyz], in_flight, status, seconds, lines)


def test_every_request_that_was_accepted_is_answered(served: Served) -> None:
    assert len(served.pressed.answers) >= ENOUGH, "the load was too light to prove anything"
    assert served.in_flight, "nobody waited for an answer when listening ended"
    assert served.pressed.unanswered == []
    assert set(served.pressed.answers.values()) == {200}
    assert served.pressed.sent_away == CLIENTS, "every client was asked to come back elsewhere"


def test_every_acknowledged_decision_is_on_disk_and_the_log_verifies(served: Served) -> None:
    with Store(served.folder / "manyarm.db") as store:
        stored = {row[0] for row in store.reader().execute("SELECT decision_id FROM decisions")}
        found = verify_store(store)
    assert served.pressed.answers.keys() <= stored
    assert found.passed, [check.failures for check in found.checks if not check.passed]


def test_readyz_turns_503_at_once_with_the_reason(served: Served) -> None:
    ((status, body),) = served.readyz
    assert status == 503
    assert any(reason.startswith("draining") for reason in body["reasons"])


def test_the_process_ends_well_and_in_time(served: Served) -> None:
    assert served.status == 0
    assert 2.0 <= served.seconds < 20.0


def test_every_line_of_the_log_is_json_and_says_what_happened(served: Served) -> None:
    events = [line["event"] for line in served.lines]
    assert str(events[0]).startswith("campaign contest from campaign.toml, log in manyarm.db; http://127.0.0.1:")
    assert {"event": "draining", "reason": "SIGTERM"}.items() <= served.lines[events.index("draining")].items()
    decided = [line for line in served.lines if line.get("route") == "/v1/decisions"]
    assert {line["decision_id"] for line in decided} == served.pressed.answers.keys()
    assert "customer0" not in json.dumps(served.lines)


def test_a_second_signal_ends_the_notice_and_a_third_one_everything(tmp_path: Path, worlds) -> None:
    with Store(tmp_path / "manyarm.db") as store:
        serving = Serving(store, store.open_log(worlds.campaign(), worlds.noon))
        server = DrainingServer(create_app(serving), serving)
        seen = []
        for _ in range(3):
            server.handle_exit(signal.SIGTERM, None)
            seen.append((serving.is_draining, server.should_exit, server.force_exit))
    assert seen == [(True, False, False), (True, True, False), (True, True, True)]


def test_the_notice_comes_out_of_the_time_to_drain(tmp_path: Path, worlds) -> None:
    with Store(tmp_path / "manyarm.db") as store:
        settings = Settings({"drain": "20s", "drain_notice": "5s"})
        serving = Serving(store, store.open_log(worlds.campaign(), worlds.noon), settings=settings)
        assert DrainingServer(create_app(serving), serving).config.timeout_graceful_shutdown == 15
