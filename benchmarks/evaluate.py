"""What evaluating a log costs, and whether its intervals hold what they promise.

Run: .venv/bin/python benchmarks/evaluate.py --obp OBP/bin/python      (all parts; about ten minutes on two cores)
     .venv/bin/python benchmarks/evaluate.py coverage composite        (some parts; the others' results stay as they are)

- speed: nine values with standard errors, and nine bootstraps of 100 resamples, of 100,000 rows and 20 arms, beside Open
  Bandit Pipeline's; from the same arrays, in turns. Its standard errors are the spread of the rows' rewards that it
  bootstraps; they take it a second pass, so the ratio to its values alone is kept too. One BLAS thread, which is not what a
  user has: its work uses no more, but ours does, and stalls where the cores are busy (OPENBLAS_NUM_THREADS=2 shows it).
- memory: `manyarm evaluate` on an export of 10 million rows, in a process of its own.
- coverage: intervals of a fixed target's value, ten arms, three logging policies, 1,000 and 10,000 rows.
- composite: intervals of four dimensions' whole choices, with and without interactions, 20,000 rows.

Seeds are fixed and stand in the results; where `--budget` runs out, fewer logs are simulated, and the results say how many.
The exit code is 1 where a gate does not hold.

obp 0.5.7 pins what no current Python has, so it lives in an environment of its own:

    python3.11 -m venv OBP
    OBP/bin/pip install --ignore-requires-python --no-deps obp==0.5.7
    OBP/bin/pip install numpy==1.23.5 scipy==1.9.3 'pandas<2' scikit-learn==1.2.2 'matplotlib<3.8' seaborn tqdm pyyaml mmh3 torch
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

# Before numpy is imported, here and in the processes begun from here: threads of two cores stall each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import timing
from evaluate_composite import composite
from evaluate_coverage import coverage
from evaluate_memory import memory
from evaluate_speed import TOLERANCE, speed
from gates import Gate
from simulations import Pool

PARTS = ("speed", "memory", "coverage", "composite")
NAME = "evaluation"
COMPOSITE_SHARE = 0.25
"""Of the budget, kept for the composite part."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    rows: int = 100_000
    rounds: int = 11
    long_rows: int = 10_000_000
    short_logs: int = 2000
    long_logs: int = 600
    bootstrapped: int = 300
    resamples: int = 400
    composite_logs: int = 150
    processes: int = 2


SMOKE = Sizes(2000, 1, 20_000, 4, 2, 2, 20, 2, processes=1)


def gates_of(document: dict[str, Any]) -> list[Gate]:
    """Every gate of the parts that were run."""
    found: list[Gate] = []
    ratios = document.get("speed", {}).get("ratios", {})
    for name, goal in (("values with standard errors, obp / ours", 20.0), ("bootstraps, obp / ours", 15.0)):
        if name in ratios:
            found.append(Gate(name, ratios[name]["median"], least=goal))
    if ratios:
        apart = document["speed"]["largest_difference_of_values"]
        found.append(Gate("largest difference of values from obp's", apart, largest=TOLERANCE))
    if "memory" in document:
        found.append(Gate("peak megabytes", document["memory"]["peak_megabytes"], largest=1024.0))
    for name, cell in document.get("coverage", {}).get("cells", {}).items():
        wilson, cressie = cell["snips wilson"]["coverage"], cell["cressie-read"]["coverage"]
        ends = (0.92, 0.97) if cell["n"] == 10_000 else (0.90, None)
        found.append(Gate(f"{name}: snips wilson", wilson, *ends))
        found.append(Gate(f"{name}: cressie-read", cressie, least=0.95 if cell["largest_weight"] >= 50.0 else 0.92))
    for name in ("additive", "pairs", "logit") if "composite" in document else ():
        estimators = document["composite"]["worlds"][name]["estimators"]
        composites = (
            Gate(f"{name}: {one}", estimators[one]["coverage"], least=0.92) for one in ("order-2", "dr-order-2")
        )
        found.extend(composites)
    return found


def measured(parts: list[str], python: str, sizes: Sizes, budget: float) -> dict[str, Any]:
    """The results of some parts."""
    end, found = time.monotonic() + budget, {}
    if "speed" in parts:
        found["speed"] = speed(python, sizes.rows, sizes.rounds)
    if "memory" in parts:
        found["memory"] = memory(sizes.long_rows)
    if "coverage" in parts:
        by_length = {1000: sizes.short_logs, 10_000: sizes.long_logs}
        deadline = end - (COMPOSITE_SHARE * budget if "composite" in parts else 0.0)
        pool = Pool(deadline, sizes.processes)
        found["coverage"] = coverage(by_length, sizes.bootstrapped, sizes.resamples, pool)
    if "composite" in parts:
        found["composite"] = composite(sizes.composite_logs, Pool(end, sizes.processes))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"some of: {', '.join(PARTS)}; all where none is named"
    )
    parser.add_argument("--obp", default="", metavar="PYTHON", help="an interpreter with obp 0.5.7; needed for speed")
    parser.add_argument("--budget", type=float, default=660.0, metavar="SECONDS", help="after it no log is simulated")
    parser.add_argument("--smoke", action="store_true", help="a few rows, nothing written: does it run?")
    options = parser.parse_args()
    parts = options.parts or list(PARTS)
    if set(parts) - set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}.")
    if "speed" in parts and not (options.obp or options.smoke):
        parser.error("speed needs --obp, or name the other parts.")
    start = time.monotonic()
    found = measured(parts, options.obp, SMOKE if options.smoke else Sizes(), options.budget)
    if options.smoke:
        gates_of(found)
        print("ok")
        return
    kept = timing.RESULTS / f"{NAME}.json"
    document = (json.loads(kept.read_text()) if kept.exists() else {}) | found
    gates = gates_of(document)
    document["gates"] = [{**asdict(gate), "holds": gate.holds} for gate in gates]
    timing.keep(NAME, document)
    for gate in gates:
        print(f"{'holds ' if gate.holds else 'FAILS '} {gate.name}: {gate.figure} [{gate.least}, {gate.largest}]")
    print(f"{time.monotonic() - start:.0f} seconds")
    sys.exit(not all(gate.holds for gate in gates))


if __name__ == "__main__":
    main()
