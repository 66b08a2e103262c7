"""kill -9 under mixed load, again and again: is everything there that was acknowledged, and was nothing learned twice?

Clients decide, report sendings, outcomes and webhooks of a mail provider while the trainer learns every tenth of a second; the
server is killed after a second or two and begun again on the same file. Then: every acknowledged write is looked for in the
database, the rows that were learned from are counted against the rows that matured, and `manyarm verify` runs. Apart from that,
a file of a million decisions: how long from the start of the process until /readyz?
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
from gates import Gate
from serve_prepared import MANYARM, SIZES, Prepared, begun, fill, free_port, prepared, until_ready

from bandit import read_campaign
from service.store import Store

KILLS, CLIENTS, MANY = 20, 8, 1_000_000
SIGNING_KEY = "a key of the benchmark"
SETTINGS = {"MANYARM_WEBHOOK_MAILGUN_KEY": SIGNING_KEY}
MOST_SECONDS = 3.0


@dataclass(slots=True)
class Acknowledged:
    """Ids of what the server said yes to; only that may be held against it."""

    decisions: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    webhooks: list[str] = field(default_factory=list)


def mailgun(decision_id: str, now: datetime) -> dict[str, Any]:
    """A click as Mailgun reports it, signed."""
    stamp, token = str(int(now.timestamp())), decision_id.ljust(50, "0")[:50]
    signature = hmac.new(SIGNING_KEY.encode(), (stamp + token).encode(), hashlib.sha256).hexdigest()
    return {
        "signature": {"timestamp": stamp, "token": token, "signature": signature},
        "event-data": {
            "id": f"hook-{decision_id}",
            "event": "clicked",
            "timestamp": now.timestamp(),
            "user-variables": {"decision_id": decision_id},
            "client-info": {"client-type": "browser", "user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"},
        },
    }


def press(port: int, client: int, numbers: itertools.count[int], said: Acknowledged, stop: threading.Event) -> None:
    """One client; sends are reported as of long enough ago that windows close while the benchmark runs."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", timeout=5) as http:
        while not stop.is_set():
            number, now = next(numbers), datetime.now(UTC)
            name = f"client{client}-{number}"
            try:
                _one_send(http, name, number, now, said)
            except httpx.HTTPError:
                return  # killed under this request: nothing was acknowledged


def _one_send(http: httpx.Client, name: str, number: int, now: datetime, said: Acknowledged) -> None:
    body = {"customer_id": f"c{number % 500}", "decision_id": name, "context": {"f0": "v1"}}
    if http.post("/decisions", json=body).status_code == 200:
        said.decisions.append(name)
    click = {"event_id": f"click-{name}", "type": "click"}
    if http.post(f"/decisions/{name}/outcomes", json=click).status_code == 200:
        said.outcomes.append(f"click-{name}")
    if http.post("/webhooks/mailgun", json=mailgun(name, now)).status_code == 200:
        said.webhooks.append(f"hook-{name}")
    sent = {"at": (now - timedelta(seconds=90)).isoformat()}
    if http.post(f"/decisions/{name}/sent", json=sent).status_code == 200:
        said.sent.append(name)


def killed(folder: Path, n_kills: int) -> tuple[Prepared, Acknowledged, list[float]]:
    """Kill a server n times under load; returns what was acknowledged and the seconds of each start."""
    made = prepared(folder, SIZES["12 arms"], n=200)
    text = (folder / "campaign.toml").read_text().replace('window = "72h"', 'window = "1m"')
    (folder / "campaign.toml").write_text(text)
    said, numbers, starts = Acknowledged(), itertools.count(), []
    for kill in range(n_kills):
        port, stop = free_port(), threading.Event()
        server = begun(made, port, "--learn-every", "0.1", settings=SETTINGS)
        starts.append(until_ready(port))
        arguments = [(port, client, numbers, said, stop) for client in range(CLIENTS)]
        clients = [threading.Thread(target=press, args=one) for one in arguments]
        for thread in clients:
            thread.start()
        time.sleep(1.0 + 0.05 * kill)
        server.send_signal(signal.SIGKILL)
        server.wait()
        stop.set()
        for thread in clients:
            thread.join()
    return Prepared(folder, read_campaign(text)), said, starts


def lost(db: Path, said: Acknowledged) -> dict[str, int]:
    """How many acknowledged writes are not in the file, by kind."""
    queries = {
        "decisions": "SELECT decision_id FROM decisions",
        "sent": "SELECT decision_id FROM decisions WHERE sent_at IS NOT NULL",
        "outcomes": "SELECT event_id FROM outcomes",
        "webhooks": "SELECT event_key FROM webhook_events",
    }
    with closing(sqlite3.connect(db)) as connection:
        there = {kind: {str(row[0]) for row in connection.execute(query)} for kind, query in queries.items()}
    return {kind: len(set(getattr(said, kind)) - there[kind]) for kind in queries}


def learned(made: Prepared) -> dict[str, int]:
    """Rows that the newest snapshot of the log learned from, and rows that it should have: matured, not of the control."""
    with Store(made.db) as store:
        log_id = store.open_log(made.campaign, datetime.now(UTC)).log_id
        reader = store.reader()
        newest = "SELECT n_learned, watermark FROM snapshots WHERE log_id = ? ORDER BY number DESC LIMIT 1"
        n_learned, watermark = reader.execute(newest, (log_id,)).fetchone() or (0, 0)
        due = "SELECT count(*) FROM decisions WHERE log_id = ? AND matured <= ? AND \"group\" <> 'control'"
        expected = reader.execute(due, (log_id, watermark)).fetchone()[0]
    return {"learned": int(n_learned), "matured until then": int(expected)}


def restarts(folder: Path, n: int, times: int) -> list[float]:
    """Seconds from the start of the process until it is ready, on a file of n decisions, killed each time."""
    made, found = prepared(folder, SIZES["12 arms"], n=200), []
    with Store(made.db) as store:
        log = store.open_log(made.campaign, datetime.now(UTC))
        fill(store, log, n, datetime.now(UTC), prefix="many")
    for _ in range(times):
        port = free_port()
        server = begun(made, port)
        found.append(until_ready(port))
        server.kill()
        server.wait()
    return found


def kills(*, n_kills: int = KILLS, smoke: bool = False) -> dict[str, Any]:
    """The killings, what was lost, what verify says, and the restart on a large file.

    Args:
        n_kills: of the server.
        smoke: one, and a small file.
    """
    n_kills, many = (1, 500) if smoke else (n_kills, MANY)
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as large:
        made, said, starts = killed(Path(name), n_kills)
        command = [MANYARM, "verify", "--db", str(made.db), "--json"]
        verified = subprocess.run(command, cwd=made.folder, capture_output=True, text=True, check=False)
        document = {
            "kills": n_kills,
            "acknowledged": {kind: len(getattr(said, kind)) for kind in ("decisions", "sent", "outcomes", "webhooks")},
            "lost": lost(made.db, said),
            "rows": learned(made),
            "verify": verified.returncode,
            "seconds_until_ready": {"median": sorted(starts)[len(starts) // 2], "largest": max(starts)},
            "decisions_in_large_file": many,
            "seconds_until_ready_with_large_file": restarts(Path(large), many, 1 if smoke else 5),
        }
    if verified.returncode:
        print(json.dumps(json.loads(verified.stdout or "{}"), indent=1)[:3000], verified.stderr)
    return document


def gates_of_kills(part: Mapping[str, Any]) -> list[Gate]:
    """Nothing lost, nothing learned twice, verified, ready soon."""
    rows = part["rows"]
    return [
        Gate("kills: acknowledged writes lost", sum(part["lost"].values()), largest=0),
        Gate(
            "kills: rows learned from but not matured, or the other way",
            abs(rows["learned"] - rows["matured until then"]),
            largest=0,
        ),
        Gate("kills: rows learned from", rows["learned"], least=1),
        Gate("kills: exit status of verify", part["verify"], largest=0),
        Gate(
            "kills: seconds until ready, large file",
            max(part["seconds_until_ready_with_large_file"]),
            largest=MOST_SECONDS,
        ),
    ]
