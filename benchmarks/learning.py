"""How well it learns, beside other people's bandits: same customers, same luck, exact truth.

Run:    .venv/bin/python benchmarks/learning.py                        (needs the `bench` group; hours; may be interrupted)
        .venv/bin/python benchmarks/learning.py --problems email12 --batches 1000 --seeds 100:103
        .venv/bin/python benchmarks/learning.py --variant sharp=sharp.toml --contestants sharp
Report: .venv/bin/python benchmarks/learning.py --report

Every run (problem, batch, contestant, seed) is one line of a file in the scratch folder, and is not played twice. The gap
of a run is the share of the way from a uniform choice to the best choice for each customer, from exact expected rewards.
A variant is a file with a `[policy]` and a `[learner]` table; `manyarm` has neither, and so plays with the defaults. After
a change of the engine play it anew with `--again --contestants manyarm`: lines say of which code they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import numpy as np
from contestants import PEERS, PRODUCT, Contestant, Run, beginnings, product, wearers
from learning_report import report
from problems import PROBLEMS

from bandit.regression import RegressionLearner
from bandit.wear_out import Exposure
from simulator.engine_decider import EngineDecider
from simulator.rehearsal import play
from simulator.truth import Truth, gap

ROOT = Path(__file__).parent.parent
N_POINTS = 20
RECOVERY_DAYS = (1.0, 3.0, 7.0, 14.0, 21.0)


@dataclass(frozen=True, slots=True)
class Task:
    """One run to be played; `n_sends` 0 means the problem's own."""

    problem: str
    batch: int
    contestant: str
    seed: int
    n_sends: int = 0


Variants = Mapping[str, str]
"""Contestant to its TOML tables."""


def field_of(variants: Variants) -> dict[str, Contestant]:
    """Every contestant by name: the product, its variants, the peers."""
    own = [product(), *beginnings(), *wearers(), *(product(name, tables) for name, tables in variants.items())]
    return {contestant.name: contestant for contestant in (*own, *PEERS)}


def played(task: Task, variants: Variants) -> dict[str, object]:
    """Play one run; the line that is kept of it."""
    warnings.simplefilter("ignore")  # packages warn of their own affairs, once a call
    problem, contestant = PROBLEMS[task.problem], field_of(variants)[task.contestant]
    phases = problem.phases(task.seed, task.n_sends or None)
    decider = contestant.make(Run(problem, phases, task.batch, task.seed))
    start = time.process_time()
    truth = play(phases, decider, batch=task.batch).truth
    seconds = time.process_time() - start
    fallbacks = len(decider.fallbacks) if isinstance(decider, EngineDecider) else 0
    figures = {"seconds": round(seconds, 2), "fallbacks": fallbacks, "code": code()}
    wear = recovery(decider) if isinstance(decider, EngineDecider) else None
    return {**key_of(task, contestant), **summary(truth), **figures, **({"wear": wear} if wear else {})}


def recovery(decider: EngineDecider) -> list[float] | None:
    """What one exposure takes off the logit of a click, as learned, after each of `RECOVERY_DAYS`."""
    spec, learner = decider.campaign.wear_out, decider.learner
    if spec is None or not isinstance(learner, RegressionLearner):
        return None
    worn = learner.trial.tables([learner.trial.validation.chosen]).worn(spec, [1.0])
    lost = [dict(worn.added([Exposure(0, 0, days, 1)]))[1][0] for days in RECOVERY_DAYS] if worn else []
    return [round(value, 4) for value in lost]


@cache
def code() -> str:
    """A short hash of the engine's source."""
    files = sorted(path for package in ("bandit", "policies", "simulator") for path in (ROOT / package).glob("*.py"))
    return hashlib.blake2b(b"".join(path.read_bytes() for path in files), digest_size=4).hexdigest()


def key_of(task: Task, contestant: Contestant) -> dict[str, object]:
    """What a line is found under."""
    return {
        "problem": task.problem,
        "batch": task.batch,
        "contestant": task.contestant,
        "seed": task.seed,
        "settings": contestant.key,
        "n_sends": task.n_sends or PROBLEMS[task.problem].n_sends,
    }


def summary(truth: Truth) -> dict[str, object]:
    """Gap of the whole run, of its later half, and of each twentieth; and how many times uniform it was worth."""
    half = len(truth.values) // 2
    later = gap(truth.values[half:], truth.uniform[half:], truth.best[half:])
    parts = zip(*(np.array_split(part, N_POINTS) for part in (truth.values, truth.uniform, truth.best)), strict=True)
    return {
        "value": round(truth.value, 6),
        "gap": round(truth.gap, 5),
        "later_gap": round(later, 5),
        "times_uniform": round(truth.value / float(truth.uniform.mean()), 5),
        "curve": [round(gap(*part), 4) for part in parts],
    }


def read_lines(path: Path) -> list[dict[str, object]]:
    """What was played before; a line cut off by an interruption is left out, and played again."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def tasks_of(options: argparse.Namespace, contestants: Mapping[str, Contestant]) -> list[Task]:
    """All runs that were asked for, seed by seed, so that an interrupted comparison is still paired."""
    first, last = (int(end) for end in options.seeds.split(":"))
    names = options.contestants or list(contestants)
    tasks, reasons = [], set()
    for seed in range(first, last):
        for problem in (PROBLEMS[name] for name in options.problems or PROBLEMS):
            for batch in [b for b in problem.batches if not options.batches or b in options.batches]:
                for name in [n for n in names if not problem.only or n in problem.only]:
                    reason = contestants[name].refuses(problem, batch)
                    if reason:
                        reasons.add(f"left out: {name} on {problem.name}, batch {batch}: {reason}")
                    else:
                        tasks.append(Task(problem.name, batch, name, seed, options.sends))
    print(*sorted(reasons), sep="\n", file=sys.stderr)
    return tasks


def play_all(tasks: Sequence[Task], variants: Variants, path: Path, n_workers: int) -> None:
    """Play in other processes; each line is written by this one as soon as it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # One thread a process, and read by the linear algebra when a new process begins.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with (
        ProcessPoolExecutor(n_workers, mp_context=multiprocessing.get_context("spawn")) as pool,
        path.open("a") as file,
        click.progressbar(length=len(tasks), label="playing", file=sys.stderr) as bar,
    ):
        running = [pool.submit(played, task, variants) for task in tasks]
        for done in as_completed(running):
            if done.exception():
                pool.shutdown(cancel_futures=True)
            file.write(json.dumps(done.result()) + "\n")
            file.flush()
            bar.update(1)


def without(
    tasks: Iterable[Task], lines: Iterable[Mapping[str, object]], contestants: Mapping[str, Contestant]
) -> list[Task]:
    """Tasks of which there is no line yet."""
    known = [key_of(Task("email12", 1, PRODUCT, 0), contestants[PRODUCT])]
    names = tuple(known[0])
    found = {tuple(line.get(name) for name in names) for line in lines}
    return [task for task in tasks if tuple(key_of(task, contestants[task.contestant]).values()) not in found]


def smoke() -> None:
    """A small campaign of the product and of one peer that needs no package."""
    for name in (PRODUCT, PEERS[0].name):
        played(Task("email12", 100, name, 0, n_sends=300), {})
    print("ok", PRODUCT, PEERS[0].name)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="*", choices=list(PROBLEMS), metavar="NAME", help="default: all")
    parser.add_argument("--batches", nargs="*", type=int, help="default: those of each problem")
    parser.add_argument("--seeds", default="100:120", help="first:last, the last one not included")
    parser.add_argument("--contestants", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=FILE", help="tables for the product")
    parser.add_argument("--again", action="store_true", help="play also what was played before; the later line counts")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sends", type=int, default=0, help="shorter runs, to try something out; not in the report")
    parser.add_argument("--scratch", type=Path, default=ROOT / "build" / "learning")
    parser.add_argument("--report", action="store_true", help="play nothing: table, JSON and images of what there is")
    parser.add_argument("--smoke", action="store_true", help="a few sends, nothing written: does it run?")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.smoke:
        smoke()
        return
    variants = {name: Path(file).read_text() for name, file in (text.split("=", 1) for text in options.variant)}
    contestants, path = field_of(variants), options.scratch / "runs.jsonl"
    if not options.report:
        tasks = tasks_of(options, contestants)
        new = tasks if options.again else without(tasks, read_lines(path), contestants)
        play_all(new, variants, path, options.workers)
    current = {contestant.name: contestant.key for contestant in contestants.values()}
    lines = [line for line in read_lines(path) if current.get(str(line["contestant"])) == line["settings"]]
    report(lines, keep_results=options.report, problems=options.problems or list(PROBLEMS))


if __name__ == "__main__":
    main()
