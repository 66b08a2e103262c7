"""Durable decisions over HTTP, beside an empty FastAPI endpoint with a pydantic response in a process of its own.

Both run under uvicorn with uvloop and httptools, one process each; `manyarm serve` is started as people start it. wrk loads one
after the other, in turns; the ratio of requests per second is taken round by round. Every decision is answered after COMMIT
with synchronous=FULL. Beside them runs serve_floor.py, which stores a prepared row: what any durable answer costs here. Processor
time a request is kept as well, for it says more than seconds where a machine has other work.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx2 as httpx
from gates import Gate
from serve_prepared import SIZES, Prepared, free_port, prepared, serving, until_ready
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
FLOOR_RATE = "floor / empty, requests per second"
LEAST = {"12 arms": 0.55, "12x4x4x10 arms": 0.35}
MOST_P99 = 4.0


def wrk(port: int, path: str, seconds: int, script: Path | None = None) -> tuple[float, float, int]:
    """Requests per second, the 99th percentile of the latency in milliseconds, and how many requests there were."""
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed; on Debian: apt-get install wrk")
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{port}{path}"]
    if script:
        command[1:1] = ["-s", str(script)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in text:
        raise SystemExit(f"the server refused requests, so this measures nothing:\n{text}")
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    rate, n = (re.search(pattern, text)[1] for pattern in (r"Requests/sec:\s+([\d.]+)", r"(\d+) requests in"))  # type: ignore[index]
    return float(rate), float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit], int(n)


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used so far, its own and the system's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def empty_server() -> Iterator[tuple[int, int]]:
    """The peer; gives its process id and its port."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", EMPTY, str(port)])
    try:
        until_ready(port, "/empty")
        yield server.pid, port
    finally:
        server.terminate()
        server.wait()


@contextmanager
def floor_server(made: Prepared) -> Iterator[tuple[int, int]]:
    """What stores a prepared row; gives its process id and its port."""
    port = free_port()
    program = str(Path(__file__).with_name("serve_floor.py"))
    server = subprocess.Popen([sys.executable, program, str(port), str(made.folder)])
    try:
        until_ready(port)
        yield server.pid, port
    finally:
        server.terminate()
        server.wait()


def measure(dimensions: Mapping[str, int], *, rounds: int, seconds: int, wears: bool = False) -> dict[str, list[float]]:
    """All servers, loaded in turns."""
    names = ("empty", "floor", "decisions")
    found: dict[str, list[float]] = {f"{name}{what}": [] for name in names for what in ("", " p99", " processor")}
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other, empty_server() as empty:
        script, port = Path(one) / "load.lua", free_port()
        script.write_text(LUA)
        served = prepared(Path(one), dimensions, wears=wears)
        with serving(served, port) as pid, floor_server(prepared(Path(other), dimensions, wears=wears)) as floor:
            for _ in range(rounds):
                for name, (process, where), path in (
                    ("empty", empty, "/empty"),
                    ("floor", floor, "/v1/decisions"),
                    ("decisions", (pid, port), "/v1/decisions"),
                ):
                    before = processor_seconds(process)
                    rate, slow, n = wrk(where, path, seconds, None if name == "empty" else script)
                    used = (processor_seconds(process) - before) / n * 1e6
                    for what, value in (("", rate), (" p99", slow), (" processor", used)):
                        found[name + what].append(value)
    return found


def http(*, rounds: int = 5, seconds: int = 4, smoke: bool = False) -> dict[str, Any]:
    """Every size of campaign; a smoke starts the servers and decides once."""
    if smoke:
        with tempfile.TemporaryDirectory() as folder, empty_server():
            made, port = prepared(Path(folder), SIZES["12 arms"], n=50), free_port()
            with serving(made, port), floor_server(made) as (_, floor):
                body = {"customer_id": "ann", "context": {"f0": "v1"}}
                for where in (port, floor):
                    httpx.post(f"http://127.0.0.1:{where}/v1/decisions", json=body).raise_for_status()
        return {}
    cases = [(name, dimensions, False) for name, dimensions in SIZES.items()]
    cases.append(("12 arms, [wear_out]", SIZES["12 arms"], True))
    document: dict[str, Any] = {"connections": CONNECTIONS}
    for name, dimensions, wears in cases:
        found = measure(dimensions, rounds=rounds, seconds=seconds, wears=wears)
        document[name] = {
            "requests_per_second_most": {key: max(found[key]) for key in ("empty", "floor", "decisions")},
            "p99_milliseconds": {key: found[f"{key} p99"] for key in ("empty", "floor", "decisions")},
            "processor_microseconds_a_request": {
                key: median(found[f"{key} processor"]) for key in ("empty", "floor", "decisions")
            },
            RATE: ratio(found, "decisions", "empty"),
            FLOOR_RATE: ratio(found, "floor", "empty"),
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
