"""Deciding for a whole table: beside Vowpal Wabbit's native driver on the same examples, and beside single HTTP calls.

The examples are those a decision looks at: every arm of a dimension with the context and the earlier picks, 30 a send with
12 x 4 x 4 x 10 arms. The driver reads them as text with the learner's own arguments and predicts, in a process of its own, as
`manyarm decide` runs in a process of its own. All customers are of the learner's group, so that nobody is decided for free.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from decide import contexts
from gates import Gate
from serve_http import LUA, wrk
from serve_prepared import MANYARM, SEED, SIZES, Prepared, free_port, prepared, serving
from timing import ratio

from bandit import Context, Engine, Group
from bandit.candidates import Start
from bandit.context_columns import columns_of
from bandit.decide_many import decide_many
from bandit.decisions import Requests
from bandit.features import FeatureSpace
from bandit.regression import task_of
from service.engines import engine_for
from service.store import Store

PLAIN = "the same from a Context object each / driver"
SCORING, DURABLE, SINGLE = (
    "scoring, pmfs and draws / driver",
    "logged durably / driver",
    "logged durably / HTTP, one core",
)
SCALES, MEMORY = "two processes / one", "most memory, five times the customers / once"
MACHINE = "two processes / one, a plain loop"
"""What this machine gives to anything: a figure of `SCALES` is to be read beside it."""
LOOP = "n = 0\nfor k in range(10_000_000): n += k"
LEAST = {SCORING: 30.0, DURABLE: 5.0, SINGLE: 20.0, SCALES: 1.7}
MOST_MEMORY = 1.1


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def learners(engine: Engine, n: int) -> list[str]:
    """So many customers of the learner's group."""
    groups = engine.campaign.groups
    group_of = partial(groups.group_of, campaign=engine.campaign.id, salt=engine.salt)
    numbered = (f"c{number}" for number in itertools.count())
    return list(itertools.islice((one for one in numbered if group_of(one) is Group.LEARNER), n))


def write_users(path: Path, customers: Sequence[str], known: Sequence[Context]) -> None:
    """The table that `manyarm decide` reads, in row groups of 50,000."""
    columns = {name: [context.values[name] for context in known] for name in known[0].values}
    ids = [f"batch-{number}" for number in range(len(customers))]
    table = pa.table({"customer_id": list(customers), "decision_id": ids, **columns})
    pq.write_table(table, path, row_group_size=50_000)


def write_examples(made: Prepared, folder: Path, known: Sequence[Context], picks: Sequence[Sequence[int]]) -> list[str]:
    """The driver's command over the same examples, with a model of the learner's own arguments."""
    campaign, letters = made.campaign, FeatureSpace.of(made.campaign).namespaces
    task = task_of(campaign)
    arguments = f"{task.candidates[0].arguments(Start(-3.0), task.bounds)} {task.shared}".split()
    with (folder / "examples.txt").open("w") as file:
        for context, row in zip(known, picks, strict=True):
            shared = "|C " + " ".join(f"{name}={value}" for name, value in context.values.items())
            earlier = ""
            for dimension, letter, pick in zip(campaign.dimensions, letters, row, strict=True):
                file.writelines(f"{shared}{earlier} |{letter} {arm}\n" for arm in dimension.ids)
                earlier += f" |{letter} {dimension.ids[pick]}"
    driver = [sys.executable, "-m", "vowpalwabbit", "--quiet"]
    first = folder / "first.txt"
    first.write_text("1 " + (folder / "examples.txt").open().readline())
    model = str(folder / "model.vw")
    subprocess.run([*driver, "-d", str(first), "-f", model, *arguments], check=True, capture_output=True)
    return [*driver, "-t", "-i", model, "-d", str(folder / "examples.txt"), "-p", str(folder / "predictions.txt")]


def decide_command(users: Path, out: Path, *, processes: int, pinned: bool = False) -> list[str]:
    """`manyarm decide`, on one core where it is pinned."""
    pin = ["taskset", "-c", "0"] if pinned else []
    return [*pin, MANYARM, "decide", "--users", str(users), "--out", str(out), "--processes", str(processes)]


def decided(made: Prepared, users: Path, *, processes: int = 1, pinned: bool = False) -> tuple[float, float]:
    """Seconds of a whole `manyarm decide` on a fresh copy of the database, and its largest process in megabytes."""
    with tempfile.TemporaryDirectory(dir=made.folder) as folder:
        for name in ("campaign.toml", "manyarm.db"):
            shutil.copy(made.folder / name, folder)
        command = decide_command(users, Path(folder) / "choices.parquet", processes=processes, pinned=pinned)
        begins = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begins
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return seconds, usage.ru_maxrss / 1024


def looped(n_processes: int) -> float:
    """Seconds until so many processes have each done the same plain loop."""
    begins = time.perf_counter()
    for process in [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(n_processes)]:
        process.wait()
    return time.perf_counter() - begins


def single_calls(made: Prepared, seconds: int) -> float:
    """Single decisions a second over HTTP, the server on the core that the batch has too, wrk on the other."""
    port, script = free_port(), made.folder / "load.lua"
    script.write_text(LUA)
    with serving(made, port) as pid:
        subprocess.run(["taskset", "-a", "-cp", "0", str(pid)], check=True, capture_output=True)
        return wrk(port, "/v1/decisions", seconds, script)[0]


def batch(*, n: int = 200_000, rounds: int = 3, smoke: bool = False) -> dict[str, Any]:
    """Every ratio, round by round.

    Args:
        n: customers of the table.
        rounds: each contestant takes one turn in each.
        smoke: a little of everything, nothing over HTTP.
    """
    n, rounds = (40, 1) if smoke else (n, rounds)
    with tempfile.TemporaryDirectory() as name:
        made = prepared(Path(name), SIZES["12x4x4x10 arms"], n=100 if smoke else 3000)
        with Store(made.db) as store:
            engine = engine_for(store, store.open_log(made.campaign, datetime.now(UTC)))
        found, memory = _in_turns(made, engine, n, rounds, with_http=not smoke)
    if smoke:
        return {}
    loops = {"one": [1 / looped(1) for _ in range(rounds)], "two": [2 / looped(2) for _ in range(rounds)]}
    names = {SCORING: "scoring", PLAIN: "scoring, a Context each", DURABLE: "one process", SINGLE: "one core"}
    ratios = {name: ratio(found, name_of, "HTTP" if name == SINGLE else "driver") for name, name_of in names.items()}
    return {
        "n": n,
        "rows_per_second": {name: [round(rate) for rate in rates] for name, rates in found.items()},
        **ratios,
        SCALES: ratio(found, "two processes", "one process"),
        MACHINE: ratio(loops, "two", "one"),
        "megabytes": memory,
        MEMORY: max(memory["five times"]) / max(memory["once"]),
    }


def _in_turns(
    made: Prepared, engine: Engine, n: int, rounds: int, *, with_http: bool
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Rows a second of each contestant, and megabytes of the largest process."""
    known, customers = contexts(np.random.default_rng(SEED), n), learners(engine, n)
    # As the command reads them from a table: columns, which it makes from Arrow's dictionaries.
    columns = columns_of(made.campaign.schema, known)
    asked = Requests(
        customers,
        columns if columns is not None else known,
        [f"s{number}" for number in range(n)],
        [datetime.now(UTC)] * n,
    )
    plain = replace(asked, contexts=known)
    n_driver = min(n, 4000)
    picks = decide_many(engine, asked).picks[:n_driver].tolist()
    driver = write_examples(made, made.folder, known[:n_driver], picks)
    users, many = made.folder / "users.parquet", made.folder / "many.parquet"
    write_users(users, customers, known)
    write_users(many, [f"{one}-{k}" for k in range(5) for one in customers], known * 5)
    rates: dict[str, list[float]] = {
        name: []
        for name in ("driver", "scoring", "scoring, a Context each", "one process", "one core", "two processes", "HTTP")
    }
    memory: dict[str, list[float]] = {"once": [], "five times": []}
    for _ in range(rounds):
        rates["driver"].append(n_driver / timed(lambda: subprocess.run(driver, check=True, capture_output=True)))
        rates["scoring"].append(n / timed(lambda: decide_many(engine, asked)))
        rates["scoring, a Context each"].append(n / timed(lambda: decide_many(engine, plain)))
        seconds, megabytes = decided(made, users)
        rates["one process"].append(n / seconds)
        memory["once"].append(round(megabytes, 1))
        rates["one core"].append(n / decided(made, users, pinned=True)[0])
        rates["two processes"].append(n / decided(made, users, processes=2)[0])
        rates["HTTP"].append(single_calls(made, 4) if with_http else float("nan"))
    memory["five times"].append(round(decided(made, many)[1], 1))
    return rates, memory


def gates_of_batch(part: Mapping[str, Any]) -> list[Gate]:
    """Rates, scaling, and memory that does not grow with the table."""
    rates = [Gate(f"batch: {name}", part[name]["median"], least=least) for name, least in LEAST.items()]
    return [*rates, Gate(f"batch: {MEMORY}", part[MEMORY], largest=MOST_MEMORY)]
