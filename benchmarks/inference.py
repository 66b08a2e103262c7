"""Whether tests, sequences and audits hold what they promise on adaptive data, and whether the usual ones fail there.

Run: .venv/bin/python benchmarks/inference.py                       (all parts; about half an hour on two cores)
     .venv/bin/python benchmarks/inference.py arms groups           (some parts; the others' results stay as they are)
     .venv/bin/python benchmarks/inference.py --picture             (draws docs/images/inference.png from the results)

- arms: arm against arm and against the rest, on traffic of even, SquareCB-like and Thompson-like learners; 20 looks.
- groups: learner against control by a sticky hash; customers with one send and with many; harm stops; 20 looks.
- audits: false alarms, and how often each fault is found.
- shrinkage: empirical Bayes against raw estimates; discoveries among many questions.
- collectors: what learning costs a comparison of arms, beside an even split.
- upworthy: sample ratios of the Upworthy archive's headline tests (--upworthy FILE, a table of packages).
- speed: `manyarm compare` on a million decisions, beside reading the file.

Seeds are fixed and stand in the results. A run that was cut short goes on where it ended: finished portions lie in --kept,
which must be emptied after a change of what is simulated. The exit code is 1 where a gate does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

# Before numpy is imported, here and in the processes begun from here: threads of two cores stall each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import timing
from gates import Gate
from inference_arms import arms, gates_of_arms
from inference_audits import audits, gates_of_audits, gates_of_upworthy, upworthy
from inference_collectors import collectors, gates_of_collectors
from inference_groups import gates_of_groups, groups
from inference_picture import draw
from inference_shrinkage import gates_of_shrinkage, shrinkage
from inference_speed import gates_of_speed, speed
from simulations import Pool

NAME = "inference"
SIMULATED: dict[str, Callable[[int, Pool], dict[str, Any]]] = {
    "arms": arms,
    "groups": groups,
    "audits": audits,
    "shrinkage": shrinkage,
    "collectors": collectors,
}
GATES: dict[str, Callable[[dict[str, Any]], list[Gate]]] = {
    "arms": gates_of_arms,
    "groups": gates_of_groups,
    "audits": gates_of_audits,
    "shrinkage": gates_of_shrinkage,
    "collectors": gates_of_collectors,
    "upworthy": gates_of_upworthy,
    "speed": gates_of_speed,
}
N_LOGS, SMOKE_LOGS = 1000, 2
ROWS, ROUNDS = 1_000_000, 5


def measured(parts: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """The results of some parts."""
    deadline = time.monotonic() + options.budget
    pool = Pool(deadline, 1 if options.smoke else 2, None if options.smoke else options.kept)
    n_logs = SMOKE_LOGS if options.smoke else options.logs
    found = {name: SIMULATED[name](n_logs, pool) for name in parts if name in SIMULATED}
    if "upworthy" in parts and options.upworthy:
        found["upworthy"] = upworthy(options.upworthy)
    if "speed" in parts:
        found["speed"] = speed(5_000, 1) if options.smoke else speed(ROWS, ROUNDS)
    return found


def gates_of(document: dict[str, Any]) -> list[Gate]:
    """Every gate of the parts that were run."""
    return [gate for name, gates in GATES.items() if name in document for gate in gates(document[name])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"some of: {', '.join(GATES)}; all where none is named"
    )
    parser.add_argument(
        "--upworthy", type=Path, metavar="FILE", help="upworthy_srm_all_packages.csv.gz; needed for upworthy"
    )
    parser.add_argument("--logs", type=int, default=N_LOGS, help="simulated logs of each kind")
    parser.add_argument("--budget", type=float, default=3600.0, metavar="SECONDS", help="after it no log is simulated")
    parser.add_argument(
        "--kept", type=Path, default=Path(tempfile.gettempdir()) / "manyarm-inference", metavar="FOLDER"
    )
    parser.add_argument("--picture", action="store_true", help="draw the results that there are, and simulate nothing")
    parser.add_argument("--smoke", action="store_true", help="a few logs, nothing written: does it run?")
    options = parser.parse_args()
    if set(options.parts) - set(GATES):
        parser.error(f"parts are {', '.join(GATES)}.")
    if "upworthy" in options.parts and not options.upworthy:
        parser.error("upworthy needs --upworthy FILE.")
    options.kept.mkdir(parents=True, exist_ok=True)
    file = timing.RESULTS / f"{NAME}.json"
    if options.picture:
        draw(json.loads(file.read_text()))
        return
    start = time.monotonic()
    found = measured(options.parts or list(GATES), options)
    if options.smoke:
        gates_of(found)
        print("ok")
        return
    document = (json.loads(file.read_text()) if file.exists() else {}) | found
    gates = gates_of(document)
    document["gates"] = [{**asdict(gate), "holds": gate.holds} for gate in gates]
    timing.keep(NAME, document)
    draw(document)
    for gate in gates:
        print(f"{'holds ' if gate.holds else 'FAILS '} {gate.name}: {gate.figure} [{gate.least}, {gate.largest}]")
    print(f"{time.monotonic() - start:.0f} seconds")
    sys.exit(not all(gate.holds for gate in gates))


if __name__ == "__main__":
    main()
