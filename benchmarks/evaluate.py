"""What evaluating a log costs, and whether its intervals hold what they promise.

Run: .venv/bin/python benchmarks/evaluate.py --obp OBP/bin/python      (all parts; some twenty minutes on two cores)
     .venv/bin/python benchmarks/evaluate.py coverage composite        (some parts; the others' results stay as they are)

- speed: nine values with standard errors, and nine bootstraps of 100 resamples, of 100,000 rows and 20 arms, beside Open
  Bandit Pipeline's; from the same arrays, in turns. Its standard errors are the spread of the rows' rewards that it
  bootstraps; they take it a second pass, so the ratio to its values alone is kept too. One BLAS thread, which is not what a
  user has: its work uses no more, but ours does, and stalls where the cores are busy (OPENBLAS_NUM_THREADS=2 shows it).
- memory: `manyarm evaluate` on an export of 10 million rows, in a process of its own.
- coverage: intervals of a fixed target's value, ten arms, three logging policies, 1,000 and 10,000 rows.
- composite: intervals of four dimensions' whole choices, with and without interactions, 20,000 rows drawn evenly.
- sequential: the same on logs of our own learner, which draws each dimension given the ones before.
- gate: whether a better snapshot of four dimensions is let through, and a worse one is not.

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
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

# Before numpy is imported, here and in the processes begun from here: threads of two cores stall each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import timing
from evaluate_composite import composite
from evaluate_coverage import coverage
from evaluate_gate import gate, gates_of_gate
from evaluate_memory import memory
from evaluate_sequential import gates_of_sequential, sequential
from evaluate_speed import TOLERANCE, speed
from gates import Gate
from simulations import Pool

SHARES = {"coverage": 0.35, "composite": 0.15, "sequential": 0.35, "gate": 0.15}
"""Of the budget, for each part that simulates."""
PARTS = ("speed", "memory", *SHARES)
NAME = "evaluation"


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
    sequential_logs: int = 40
    sequential_rows: int = 20_000
    gate_logs: int = 100
    processes: int = 2


SMOKE = Sizes(2000, 1, 5_000, 4, 2, 2, 20, 1, 1, 100, 1, processes=1)


def gates_of(document: dict[str, Any]) -> list[Gate]:
    """Every gate of the parts that were run."""
    by_part: dict[str, Callable[[dict[str, Any]], list[Gate]]] = {
        "speed": _gates_of_speed,
        "memory": _gates_of_memory,
        "coverage": _gates_of_coverage,
        "composite": _gates_of_composite,
        "sequential": gates_of_sequential,
        "gate": gates_of_gate,
    }
    return [one for part, gates in by_part.items() if part in document for one in gates(document[part])]


def _gates_of_speed(found: dict[str, Any]) -> list[Gate]:
    ratios = found.get("ratios", {})
    if not ratios:
        return []
    goals = (("values with standard errors, obp / ours", 20.0), ("bootstraps, obp / ours", 15.0))
    return [
        *(Gate(name, ratios[name]["median"], least=goal) for name, goal in goals if name in ratios),
        Gate("largest difference of values from obp's", found["largest_difference_of_values"], largest=TOLERANCE),
    ]


def _gates_of_memory(found: dict[str, Any]) -> list[Gate]:
    return [Gate("peak megabytes", found["peak_megabytes"], largest=1024.0)]


def _gates_of_coverage(found: dict[str, Any]) -> list[Gate]:
    gates: list[Gate] = []
    for name, cell in found.get("cells", {}).items():
        wilson, cressie = cell["snips wilson"]["coverage"], cell["cressie-read"]["coverage"]
        ends = (0.92, 0.97) if cell["n"] == 10_000 else (0.90, None)
        gates.append(Gate(f"{name}: snips wilson", wilson, *ends))
        gates.append(Gate(f"{name}: cressie-read", cressie, least=0.95 if cell["largest_weight"] >= 50.0 else 0.92))
    return gates


def _gates_of_composite(found: dict[str, Any]) -> list[Gate]:
    return [
        Gate(f"{name}: {one}", found["worlds"][name]["estimators"][one]["coverage"], least=0.92)
        for name in ("additive", "pairs", "logit")
        for one in ("order-2", "dr-order-2")
    ]


def measured(parts: list[str], python: str, sizes: Sizes, budget: float) -> dict[str, Any]:
    """The results of some parts."""
    found: dict[str, Any] = {}
    if "speed" in parts:
        found["speed"] = speed(python, sizes.rows, sizes.rounds)
    if "memory" in parts:
        found["memory"] = memory(sizes.long_rows)
    by_length = {1000: sizes.short_logs, 10_000: sizes.long_logs}
    simulations: dict[str, Callable[[Pool], dict[str, Any]]] = {
        "coverage": lambda pool: coverage(by_length, sizes.bootstrapped, sizes.resamples, pool),
        "composite": lambda pool: composite(sizes.composite_logs, pool),
        "sequential": lambda pool: sequential(sizes.sequential_logs, pool, sizes.sequential_rows),
        "gate": lambda pool: gate(sizes.gate_logs, pool, sizes.sequential_rows),
    }
    wanted = [part for part in SHARES if part in parts]
    share = budget / (sum(SHARES[part] for part in wanted) or 1.0)
    for part in wanted:
        found[part] = simulations[part](Pool(time.monotonic() + share * SHARES[part], sizes.processes))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"some of: {', '.join(PARTS)}; all where none is named"
    )
    parser.add_argument("--obp", default="", metavar="PYTHON", help="an interpreter with obp 0.5.7; needed for speed")
    parser.add_argument("--budget", type=float, default=1200.0, metavar="SECONDS", help="after it no log is simulated")
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
    document["gates"] = [{**asdict(one), "holds": one.holds} for one in gates]
    timing.keep(NAME, document)
    for one in gates:
        print(f"{'holds ' if one.holds else 'FAILS '} {one.name}: {one.figure} [{one.least}, {one.largest}]")
    print(f"{time.monotonic() - start:.0f} seconds")
    sys.exit(not all(one.holds for one in gates))


if __name__ == "__main__":
    main()
