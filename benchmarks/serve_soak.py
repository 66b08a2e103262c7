"""Half an hour at half load: does memory grow, do file descriptors?

wrk drives single decisions at about half the rate that the server reached just before, by a pause after each answer. Resident
memory and open descriptors are read from /proc every few seconds; the slope of the last third is held against its own noise.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gates import Gate
from scipy import stats
from serve_http import CONNECTIONS, LUA, wrk
from serve_prepared import SIZES, free_port, prepared, serving

EVERY = 5.0
PAUSE = "\nfunction delay()\n  return {milliseconds}\nend\n"
SLOPE, DESCRIPTORS = "megabytes an hour in the last third", "descriptors at the end / after the first third"
MOST_GROWTH = 3.0


def soak(*, minutes: float = 30.0, smoke: bool = False) -> dict[str, Any]:
    """One server under one load.

    Args:
        minutes: of load.
        smoke: some seconds.
    """
    seconds = 3.0 if smoke else 60.0 * minutes
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        (folder / "load.lua").write_text(LUA)
        made = prepared(folder, SIZES["12x4x4x10 arms"], n=400 if smoke else 3000)
        with serving(made, port, "--learn-every", "10") as pid:
            full, _, _ = wrk(port, "/v1/decisions", 1 if smoke else 5, folder / "load.lua")
            # Each connection waits as long as it was served: half the rate.
            pause = round(1000 * CONNECTIONS / full)
            (folder / "half.lua").write_text(LUA + PAUSE.format(milliseconds=pause))
            rows, rate = _watched(pid, port, folder / "half.lua", seconds)
    third = len(rows) * 2 // 3
    times, megabytes, descriptors = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    fitted = stats.linregress(times[third:] / 3600.0, megabytes[third:])
    # Memory that does not move at all has no noise, which linregress says as 0 / 0.
    noise = float(np.nan_to_num(fitted.stderr))
    return {
        "minutes": seconds / 60.0,
        "requests_per_second": {"full": round(full), "half": round(rate)},
        "megabytes": [round(one, 1) for one in megabytes[:: max(len(rows) // 30, 1)].tolist()],
        SLOPE: {"slope": fitted.slope, "standard_error": noise},
        "slope in megabytes a million requests": fitted.slope / 3600.0 / rate * 1e6,
        DESCRIPTORS: float(descriptors[third:].max() / descriptors[len(rows) // 3]),
    }


def _watched(pid: int, port: int, script: Path, seconds: float) -> tuple[list[tuple[float, float, int]], float]:
    """Seconds, megabytes and descriptors while wrk runs; and the rate it had."""
    # wrk gives an answer up after 2 s by itself; on a machine with other work that says nothing of the server.
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{int(seconds)}s", "--timeout", "60s", "-s", str(script)]
    command.append(f"http://127.0.0.1:{port}/")
    begins, rows = time.monotonic(), []
    load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while load.poll() is None:
        rows.append((time.monotonic() - begins, _megabytes(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))))
        time.sleep(min(EVERY, seconds / 9))
    text = load.stdout.read() if load.stdout else ""
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"requests failed during the soak:\n{text}")
    return rows, float(text.split("Requests/sec:")[1].split()[0])


def _megabytes(pid: int) -> float:
    """Resident memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def gates_of_soak(part: Mapping[str, Any]) -> list[Gate]:
    """A slope within its noise, or too small to matter; no descriptor more."""
    found = part[SLOPE]
    noise = max(3.0 * found["standard_error"], MOST_GROWTH)
    return [
        Gate(f"soak: {SLOPE}", found["slope"], largest=noise),
        Gate(f"soak: {DESCRIPTORS}", part[DESCRIPTORS], largest=1.1),
    ]
