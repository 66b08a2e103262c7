"""A real server, a real kill -9, five times under load: what was acknowledged is there, and nothing was learned twice."""

from __future__ import annotations

import itertools
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2 as httpx
import pytest

from bandit.campaign_file import read_campaign
from service.store import Store
from service.trainer import Trainer
from service.verification import verify_store

KILLS = 5
CLIENTS = 6
DECISIONS = 60
CAMPAIGN = """
[campaign]
id = "crash"
[context.level]
kind = "categorical"
values = ["low", "high"]
[reward]
window = "1m"
events = { click = 1.0 }
[learner]
bits = 14  # eight features: writing the usual table with each snapshot would be most of the work
[groups]
random = 0.1
control = { share = 0.1, choice = { subject = "a", cta = "x" } }
[[dimension]]
name = "subject"
[[dimension.arm]]
id = "a"
[[dimension.arm]]
id = "b"
[[dimension.arm]]
id = "c"
[[dimension]]
name = "cta"
[[dimension.arm]]
id = "x"
[[dimension.arm]]
id = "y"
"""


class Acknowledged:
    """What the server said yes to; only that may be held against it."""

    def __init__(self) -> None:
        self.decisions: list[str] = []
        self.outcomes: list[str] = []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(forks: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [str(forks / "manyarm"), "serve", "--port", str(port), "--learn-every", "0.1"]
    server = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    # One client for all attempts: a new one reads the certificates of the world.
    with httpx.Client(timeout=1, verify=False) as http:
        while time.monotonic() < deadline:
            try:
                if http.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                    return server
            except httpx.HTTPError:
                time.sleep(0.05)
    server.kill()
    pytest.fail("the server was not ready within 60 seconds")


def press(
    port: int, client: int, numbers: itertools.count[int], acknowledged: Acknowledged, stop: threading.Event
) -> None:
    """Decide, report the sending (long enough ago that the window has closed already), report a click; until killed."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", timeout=30, verify=False) as http:
        while not stop.is_set():
            number = next(numbers)
            decision_id = f"client{client}-{number}"
            body = {"customer_id": f"customer{number % 500}", "decision_id": decision_id, "context": {"level": "low"}}
            try:
                if http.post("/decisions", json=body).status_code != 200:
                    continue
                acknowledged.decisions.append(decision_id)
                click = {"event_id": f"click-{decision_id}", "type": "click"}
                if http.post(f"/decisions/{decision_id}/outcomes", json=click).status_code == 200:
                    acknowledged.outcomes.append(f"click-{decision_id}")
                sent_at = (datetime.now(UTC) - timedelta(seconds=90)).isoformat()
                http.post(f"/decisions/{decision_id}/sent", json={"at": sent_at})
            except httpx.HTTPError:
                return  # the server was killed under this request; nothing was acknowledged


def until_at_work(path: Path, acknowledged: Acknowledged) -> None:
    """Wait until so many decisions are acknowledged and the trainer has learned twice, in this life of the server."""
    enough, deadline = len(acknowledged.decisions) + DECISIONS, time.monotonic() + 60
    with closing(sqlite3.connect(path, timeout=30)) as database:
        learned = n_snapshots(database) + 2
        while len(acknowledged.decisions) < enough or n_snapshots(database) < learned:
            assert time.monotonic() < deadline, "the server takes no decisions, or its trainer does not learn"
            time.sleep(0.02)


def n_snapshots(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT count(*) FROM snapshots").fetchone()[0])


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory, forks: Path) -> tuple[Path, Acknowledged]:
    folder = tmp_path_factory.mktemp("crash")
    (folder / "campaign.toml").write_text(CAMPAIGN)
    acknowledged, numbers = Acknowledged(), itertools.count()
    for kill in range(KILLS):
        port, stop = free_port(), threading.Event()
        server = start(forks, folder, port)
        clients = [
            threading.Thread(target=press, args=(port, client, numbers, acknowledged, stop))
            for client in range(CLIENTS)
        ]
        for thread in clients:
            thread.start()
        try:
            until_at_work(folder / "manyarm.db", acknowledged)
            time.sleep(0.017 * kill)  # each kill hits another moment of a commit or of a step
        finally:  # a server that is left behind would be blamed on another test
            server.send_signal(signal.SIGKILL)
            server.wait()
            stop.set()
        for thread in clients:
            thread.join()
    return folder, acknowledged


def test_every_acknowledged_decision_and_outcome_survives_five_kills(survived: tuple[Path, Acknowledged]) -> None:
    folder, acknowledged = survived
    assert len(acknowledged.decisions) > 100, "the load was too light to prove anything"
    with Store(folder / "manyarm.db") as store:
        decisions = {row[0] for row in store.reader().execute("SELECT decision_id FROM decisions")}
        outcomes = {row[0] for row in store.reader().execute("SELECT event_id FROM outcomes")}
    assert set(acknowledged.decisions) <= decisions
    assert set(acknowledged.outcomes) <= outcomes


def test_no_decision_is_learned_twice_or_skipped_and_the_log_verifies(survived: tuple[Path, Acknowledged]) -> None:
    folder, _ = survived
    campaign = read_campaign(CAMPAIGN)
    with Store(folder / "manyarm.db") as store:
        log = store.open_log(campaign, datetime.now(UTC))
        during = store.reader().execute("SELECT count(*) FROM snapshots").fetchone()[0]
        Trainer(store, log).step(datetime.now(UTC))
        learned = store.reader().execute("SELECT n_learned FROM snapshots ORDER BY number DESC LIMIT 1").fetchone()[0]
        query = "SELECT count(*) FROM decisions WHERE state = 'matured' AND \"group\" <> 'control'"
        matured = store.reader().execute(query).fetchone()[0]
        found = verify_store(store)
    assert during >= 2 * KILLS, "the trainer must have been at work while the server was killed"
    assert learned == matured
    assert found.passed, [check.failures for check in found.checks if not check.passed]


def test_a_port_in_use_is_refused_with_advice_and_nothing_is_made(tmp_path: Path, forks: Path) -> None:
    (tmp_path / "campaign.toml").write_text(CAMPAIGN)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [str(forks / "manyarm"), "serve", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Name another --port" in done.stderr
    assert not (tmp_path / "manyarm.db").exists()
