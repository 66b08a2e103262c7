"""What rehearsing a campaign costs, and whether what it says is true.

Run: .venv/bin/python benchmarks/simulate.py                    (all parts; about an hour on two quiet cores)
     .venv/bin/python benchmarks/simulate.py speed fitted       (some parts; the others' results stay as they are)

- speed: deciding and learning of a replay on 12 x 4 x 4 x 10 arms beside plain Vowpal Wabbit with text examples on the same
  rows, in turns; a whole replay's seconds; two processes beside one.
- same: a whole replay twice, on one process and on two: are the documents equal, byte by byte?
- truth: intervals of policies' values and bounds of groups' lifts from simulated logs, beside the exact truth.
- tuning: tuned settings beside the default, on fresh seeds.
- fitted: a world fitted to two thirds of Hillstrom's test, asked about the last third.
- faults: which audit notices which fault, and how often none does without one.

Seeds are fixed and stand in the results. The exit code is 1 where a gate does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Before numpy is imported, here and in the processes begun from here: threads of two cores stall each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import timing
from gates import Gate
from simulations import Pool
from simulator_faults import faults, gates_of_faults
from simulator_fitted import fitted, gates_of_fitted
from simulator_same import gates_of_same, same
from simulator_speed import gates_of_speed, speed
from simulator_truth import gates_of_truth, truth
from simulator_tuning import gates_of_tuning, tuning

NAME = "simulator"
PARTS = ("speed", "same", "truth", "tuning", "fitted", "faults")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of the part on truth; the others have their own sizes, and a small one for `--smoke`."""

    logs: int = 200
    sends: int = 6000


def gates_of(document: Mapping[str, Any]) -> list[Gate]:
    """Every gate of the parts that were run."""
    by_part: dict[str, Callable[[dict[str, Any]], list[Gate]]] = {
        "speed": gates_of_speed,
        "same": gates_of_same,
        "truth": gates_of_truth,
        "tuning": gates_of_tuning,
        "fitted": gates_of_fitted,
        "faults": gates_of_faults,
    }
    return [one for part, gates in by_part.items() if part in document for one in gates(document[part])]


def ran(part: str, options: argparse.Namespace) -> dict[str, Any]:
    """One part."""
    smoke, processes = options.smoke, 1 if options.smoke else options.processes
    pool = Pool(time.monotonic() + 60 * options.budget, processes, options.kept)
    sizes = Sizes(1, 150) if smoke else Sizes(options.logs)
    run: dict[str, Callable[[], dict[str, Any]]] = {
        "speed": lambda: speed(smoke=smoke),
        "same": lambda: same(smoke=smoke),
        "truth": lambda: truth(pool, sizes.logs, sizes.sends),
        "tuning": lambda: tuning(smoke=smoke, kept=options.kept, n_processes=processes),
        "fitted": lambda: fitted(smoke=smoke),
        "faults": lambda: faults(pool, smoke=smoke),
    }
    return run[part]()


def kept_before(smoke: bool) -> dict[str, Any]:
    """What earlier runs of other parts found."""
    path = timing.RESULTS / f"{NAME}.json"
    return json.loads(path.read_text()) if path.exists() and not smoke else {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}; all where none is named")
    parser.add_argument("--logs", type=int, default=Sizes().logs, help="simulated logs a world, of the part on truth")
    parser.add_argument("--budget", type=float, default=60.0, help="minutes for each part that simulates logs")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--kept", type=Path, help="folder where finished portions are kept, to go on after an interruption"
    )
    parser.add_argument("--smoke", action="store_true", help="a little of everything, nothing written: does it run?")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    document: dict[str, Any] = {}
    for part in options.parts or PARTS:
        found = ran(part, options)
        # What other runs kept in the meantime stays.
        document = {**document, **kept_before(options.smoke), part: found}
        if not options.smoke:
            timing.keep(NAME, document)
    if options.smoke:
        print("ok")
        return 0
    broken = [gate for gate in gates_of(document) if not gate.holds]
    for gate in broken:
        print(f"does not hold: {asdict(gate)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
