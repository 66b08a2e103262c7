"""The decision service under load, beside what people would compare it with.

Run: .venv/bin/python benchmarks/serve.py               (all parts; http and soak need wrk, a Debian package)
     .venv/bin/python benchmarks/serve.py http kills    (some parts; the others' results stay as they are)

- http: durable single decisions beside an empty FastAPI endpoint.
- batch: `manyarm decide` beside Vowpal Wabbit's native driver and beside single calls.
- kills: twenty times kill -9 under mixed load, and a restart on a million decisions.
- soak: half an hour at half load (`--minutes` for another time).

The exit code is 1 where a gate does not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import timing
from gates import Gate
from serve_batch import batch, gates_of_batch
from serve_http import gates_of_http, http
from serve_kills import gates_of_kills, kills
from serve_soak import gates_of_soak, soak

NAME = "serve"
PARTS = ("http", "batch", "kills", "soak")


def gates_of(document: Mapping[str, Any]) -> list[Gate]:
    """Every gate of the parts that were run."""
    by_part: dict[str, Callable[[dict[str, Any]], list[Gate]]] = {
        "http": gates_of_http,
        "batch": gates_of_batch,
        "kills": gates_of_kills,
        "soak": gates_of_soak,
    }
    return [one for part, gates in by_part.items() if part in document for one in gates(document[part])]


def ran(part: str, options: argparse.Namespace) -> dict[str, Any]:
    """One part."""
    run: dict[str, Callable[[], dict[str, Any]]] = {
        "http": lambda: http(rounds=options.rounds, smoke=options.smoke),
        "batch": lambda: batch(n=options.rows, rounds=options.rounds, smoke=options.smoke),
        "kills": lambda: kills(smoke=options.smoke),
        "soak": lambda: soak(minutes=options.minutes, smoke=options.smoke),
    }
    return run[part]()


def kept_before() -> dict[str, Any]:
    """What earlier runs of other parts found."""
    path = timing.RESULTS / f"{NAME}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}; all where none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=200_000, help="customers of the batch")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the soak")
    parser.add_argument("--smoke", action="store_true", help="a little of everything, nothing written: does it run?")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    # A smoke must run where wrk is not installed, as in the tests.
    for part in options.parts or [one for one in PARTS if not (options.smoke and one == "soak")]:
        found = ran(part, options)
        if not options.smoke:
            timing.keep(NAME, {**kept_before(), part: found})
    if options.smoke:
        print("ok")
        return 0
    broken = [gate for gate in gates_of(kept_before()) if not gate.holds]
    for gate in broken:
        print(f"does not hold: {asdict(gate)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
