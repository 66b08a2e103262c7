"""Ratios that can be trusted on a noisy machine: contestants take turns, and each round gives one ratio."""

from __future__ import annotations

import gc
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def microseconds(call: Callable[[], object], repeats: int) -> float:
    """Mean time of one call."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats * 1e6


def in_turns(
    contestants: Mapping[str, Callable[[], object]], *, rounds: int = 25, repeats: int = 200
) -> dict[str, list[float]]:
    """Microseconds a call, one figure a round and contestant; rounds are short so that all meet the same weather."""
    for call in contestants.values():
        microseconds(call, repeats)
    gc.disable()
    try:
        rows = [{name: microseconds(call, repeats) for name, call in contestants.items()} for _ in range(rounds)]
    finally:
        gc.enable()
    return {name: [row[name] for row in rows] for name in contestants}


def ratio(times: Mapping[str, list[float]], first: str, second: str) -> dict[str, float]:
    """Median, least and largest of first / second, round by round."""
    found = sorted(a / b for a, b in zip(times[first], times[second], strict=True))
    return {"median": statistics.median(found), "least": found[0], "largest": found[-1]}


def keep(name: str, document: dict[str, object]) -> None:
    """Write a result where the docs read it from, and show it."""
    document["python"], document["machine"] = platform.python_version(), platform.machine()
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(document, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)
