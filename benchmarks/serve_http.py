"""Durable decisions over HTTP, beside an empty FastAPI endpoint with a pydantic response in a process of its own.

Both run under uvicorn with uvloop and httptools, one process each; `manyarm serve` is started as people start it. wrk loads one
after the other, in turns; the ratio of requests per second is taken round by round. Every decision is answered after COMMIT
with synchronous=FULL.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
from gates import Gate
from serve_prepared import SIZES, free_port, prepared, serving, until_ready
from timing import ratio

CONNECTIONS = 64
EMPTY = """
import sys
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
class Empty(BaseModel):
    status: str
    number: int
app = FastAPI()
@app.get("/empty")
async def empty() -> Empty:
    return Empty(status="ok", number=1)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
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
RATE, SLOWEST = "decisions / empty, requests per second", "decisions / empty, p99"
LEAST = {"12 arms": 0.55, "12x4x4x10 arms": 0.35}
MOST_P99 = 4.0


def wrk(port: int, path: str, seconds: int, script: Path | None = None) -> tuple[float, float]:
    """Requests per second and the 99th percentile of the latency in milliseconds."""
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed; on Debian: apt-get install wrk")
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{port}{path}"]
    if script:
        command[1:1] = ["-s", str(script)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text:
        raise SystemExit(f"the server refused requests, so this measures nothing:\n{text}")
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]  # type: ignore[index]


@contextmanager
def empty_server() -> Iterator[int]:
    """The peer; gives its port."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", EMPTY, str(port)])
    try:
        until_ready(port, "/empty")
        yield port
    finally:
        server.terminate()
        server.wait()


def measure(dimensions: Mapping[str, int], *, rounds: int, seconds: int, wears: bool = False) -> dict[str, list[float]]:
    """Both servers, loaded in turns."""
    found: dict[str, list[float]] = {"empty": [], "decisions": [], "empty p99": [], "decisions p99": []}
    with tempfile.TemporaryDirectory() as folder, empty_server() as empty:
        script, port = Path(folder) / "load.lua", free_port()
        script.write_text(LUA)
        with serving(prepared(Path(folder), dimensions, wears=wears), port):
            for _ in range(rounds):
                for name, load in (
                    ("empty", (empty, "/empty", seconds)),
                    ("decisions", (port, "/v1/decisions", seconds, script)),
                ):
                    rate, slow = wrk(*load)
                    found[name].append(rate)
                    found[f"{name} p99"].append(slow)
    return found


def http(*, rounds: int = 5, seconds: int = 4, smoke: bool = False) -> dict[str, Any]:
    """Every size of campaign; a smoke starts the servers and decides once."""
    if smoke:
        with tempfile.TemporaryDirectory() as folder, empty_server():
            port = free_port()
            with serving(prepared(Path(folder), SIZES["12 arms"], n=50), port):
                body = {"customer_id": "ann", "context": {"f0": "v1"}}
                httpx.post(f"http://127.0.0.1:{port}/v1/decisions", json=body).raise_for_status()
        return {}
    cases = [(name, dimensions, False) for name, dimensions in SIZES.items()]
    cases.append(("12 arms, [wear_out]", SIZES["12 arms"], True))
    document: dict[str, Any] = {"connections": CONNECTIONS}
    for name, dimensions, wears in cases:
        found = measure(dimensions, rounds=rounds, seconds=seconds, wears=wears)
        document[name] = {
            "requests_per_second_most": {key: max(found[key]) for key in ("empty", "decisions")},
            "p99_milliseconds": {key: found[f"{key} p99"] for key in ("empty", "decisions")},
            RATE: ratio(found, "decisions", "empty"),
            SLOWEST: ratio(found, "decisions p99", "empty p99"),
        }
    return document


def gates_of_http(part: Mapping[str, Any]) -> list[Gate]:
    """Rate and p99 beside the empty endpoint's."""
    rates = [Gate(f"http: {name}, {RATE}", part[name][RATE]["median"], least=least) for name, least in LEAST.items()]
    return [
        *rates,
        *[Gate(f"http: {name}, {SLOWEST}", part[name][SLOWEST]["median"], largest=MOST_P99) for name in LEAST],
    ]
