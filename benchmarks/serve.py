"""Durable decisions over HTTP, beside an empty FastAPI endpoint with a pydantic response: same server, same run.

Run: .venv/bin/python benchmarks/serve.py    (needs wrk, a Debian package)

One uvicorn process serves both routes. wrk loads one after the other at 64 connections, in turns; the ratio of requests
per second is taken round by round. Every decision is answered after COMMIT with synchronous=FULL.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
from decide import campaign_text
from timing import keep, ratio

PORT, CONNECTIONS = 8765, 64
SIZES = {"12 arms": {"subject": 12}, "12x4x4x10 arms": {"subject": 12, "cta": 4, "benefit": 4, "slot": 10}}
SERVER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
import uvicorn
from pydantic import BaseModel
from bandit import Context, load_campaign
from service.app import create_app
from service.serving import Serving
from service.store import Store
from service.trainer import Trainer
class Empty(BaseModel):
    status: str
    number: int
with Store(sys.argv[1]) as store:
    now = datetime.now(UTC)
    log = store.open_log(load_campaign(sys.argv[2]), now)
    serving = Serving(store, log)
    earlier = now - timedelta(days=9)
    contexts = [Context({f"f{j}": f"v{(i + j) % 4}" for j in range(10)}) for i in range(3000)]
    made = [
        serving.engine.decide(f"c{i}", context, decision_id=f"w{i}", at=earlier, past=[])
        for i, context in enumerate(contexts)
    ]
    store.add_decisions([store.row_of(decision, log) for decision in made])
    Trainer(store, log).step(now)
    serving.train()
    app = create_app(serving)
    @app.get("/empty")
    async def empty() -> Empty:
        return Empty(status="ok", number=1)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[3]), log_level="warning", access_log=False)
"""
LUA = """
local n = 0
request = function()
  n = n + 1
  local level = n % 4
  local body = '{"customer_id":"c' .. (n % 9000) .. '","context":{"f0":"v' .. level .. '","f1":"v1","f2":"v' .. level
    .. '","f3":"v3","f4":"v0","f5":"v1","f6":"v2","f7":"v3","f8":"v0","f9":"v' .. level .. '"}}'
  return wrk.format("POST", "/v1/decisions", {["Content-Type"] = "application/json"}, body)
end
"""


def wrk(path: str, seconds: int, script: Path | None = None) -> tuple[float, float]:
    """Requests per second and the 99th percentile of the latency in milliseconds."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{PORT}{path}"]
    if script:
        command[1:1] = ["-s", str(script)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text:
        raise SystemExit(f"the server refused requests, so this measures nothing:\n{text}")
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]  # type: ignore[index]


def measure(
    folder: Path, dimensions: dict[str, int], *, rounds: int, seconds: int, wears: bool = False
) -> dict[str, list[float]]:
    """One server, both routes in turns."""
    found: dict[str, list[float]] = {"empty": [], "decisions": [], "empty p99": [], "decisions p99": []}
    with started(folder, dimensions, wears=wears):
        for _ in range(rounds):
            for name, path, script in (("empty", "/empty", None), ("decisions", "/v1/decisions", folder / "load.lua")):
                rate, slow = wrk(path, seconds, script)
                found[name].append(rate)
                found[f"{name} p99"].append(slow)
    return found


def smoke() -> None:
    """Start the server and decide once."""
    with tempfile.TemporaryDirectory() as folder, started(Path(folder), SIZES["12 arms"]):
        body = {"customer_id": "ann", "context": {"f0": "v1"}}
        httpx.post(f"http://127.0.0.1:{PORT}/v1/decisions", json=body).raise_for_status()
    print("ok")


@contextmanager
def started(folder: Path, dimensions: dict[str, int], *, wears: bool = False) -> Iterator[None]:
    """The server of both routes, until the end of the block."""
    (folder / "campaign.toml").write_text(campaign_text(dimensions, wears=wears))
    (folder / "load.lua").write_text(LUA)
    command = [sys.executable, "-c", SERVER, str(folder / "log.db"), str(folder / "campaign.toml"), str(PORT)]
    server = subprocess.Popen(command)
    try:
        _wait()
        yield
    finally:
        server.terminate()
        server.wait()


def _wait() -> None:
    for _ in range(300):
        try:
            if httpx.get(f"http://127.0.0.1:{PORT}/readyz", timeout=1).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise SystemExit("the server did not become ready")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--smoke", action="store_true", help="one decision, nothing written: does it run?")
    options = parser.parse_args()
    if options.smoke:
        smoke()
        return
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed; on Debian: apt-get install wrk")
    document: dict[str, object] = {"connections": CONNECTIONS, "goals": {"12 arms": 0.4}}
    cases = [(name, dimensions, False) for name, dimensions in SIZES.items()]
    cases.append(("12 arms, [wear_out]", SIZES["12 arms"], True))
    for name, dimensions, wears in cases:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), dimensions, rounds=options.rounds, seconds=options.seconds, wears=wears)
        document[name] = {
            "requests_per_second_most": {key: max(found[key]) for key in ("empty", "decisions")},
            "decisions / empty, requests per second": ratio(found, "decisions", "empty"),
            "decisions / empty, p99": ratio(found, "decisions p99", "empty p99"),
        }
    keep("serve", document)


if __name__ == "__main__":
    main()
