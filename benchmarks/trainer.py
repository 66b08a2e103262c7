"""How fast the trainer learns, beside Vowpal Wabbit's own driver on the same examples.

Run: .venv/bin/python benchmarks/trainer.py

The same sends (10 features, 12 x 4 x 4 x 10 arms, one outcome type) are learned three ways: by Vowpal Wabbit's driver
from a text file, in a process of its own; by the training step from rows in memory; and by the whole trainer, from
SQLite to a promoted snapshot. Rounds take turns; ratios are per round.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
from decide import AT, SEED, campaign_text, contexts
from timing import keep, ratio

from bandit import Engine, Group, LoggedDecision, Matured, learner_for, read_campaign, train
from bandit.candidates import Start
from bandit.features import FeatureSpace
from bandit.regression import task_of
from policies import group_policies
from service.store import Store
from service.trainer import Trainer

DIMENSIONS = {"subject": 12, "cta": 4, "benefit": 4, "slot": 10}


def decisions(engine: Engine, n_rows: int) -> list[Matured]:
    """Random sends, each with a click in twenty."""
    rng = np.random.default_rng(SEED)
    made = []
    for number, context in enumerate(contexts(rng, n_rows), start=1):
        decision = engine.decide(f"c{number}", context, decision_id=f"d{number}", at=AT)
        types = frozenset(["click"] if rng.random() < 0.05 else [])
        made.append((decision, Matured(number, LoggedDecision.of(decision, number), types)))
    return made  # type: ignore[return-value]


def vw_text(campaign, rows, path: Path) -> str:  # noqa: ANN001 - a benchmark
    """The rows as Vowpal Wabbit's text, and the argument string that learns them alike."""
    letters = FeatureSpace.of(campaign).namespaces
    with path.open("w") as file:
        for _, row in rows:
            if row.decision.group == Group.CONTROL:
                continue
            context = " ".join(f"{name}={value}" for name, value in row.decision.context.items())
            arms = " ".join(f"|{letter} {arm}" for letter, arm in zip(letters, row.decision.arms, strict=True))
            file.write(f"{1 if row.outcome_types else -1} |C {context} {arms}\n")
    task = task_of(campaign)
    return f"{task.candidates[0].arguments(Start(-3.0), task.bounds)} {task.shared}"


def timed(call) -> float:  # noqa: ANN001
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def filled_store(path: Path, campaign, rows) -> Store:  # noqa: ANN001
    """A store that holds the decisions and their clicks, none matured."""
    store = Store(path, salt=b"salt", secret=b"secret")
    log = store.open_log(campaign, AT)
    store.add_decisions([store.row_of(decision, log) for decision, _ in rows])
    clicks = [
        (f"e{m.number}", m.decision.decision_id, "click", AT.isoformat(), AT.isoformat(), 0)
        for _, m in rows
        if m.outcome_types
    ]
    store.write(
        lambda c: (
            c.executemany(
                "INSERT INTO outcomes (event_id, decision_id, type, at, received_at, late) VALUES (?, ?, ?, ?, ?, ?)",
                clicks,
            )
            and None
        )
    )
    return store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="a few rows, nothing written: does it run?")
    options = parser.parse_args()
    n_rows, rounds = (600, 1) if options.smoke else (options.rows, options.rounds)
    campaign = read_campaign(campaign_text(DIMENSIONS))
    policies = group_policies(campaign)
    rows = decisions(Engine(campaign, policies, b"salt", b"secret"), n_rows)
    kind = learner_for(campaign.learner, policies[Group.LEARNER].needs)
    alone = read_campaign(campaign_text(DIMENSIONS) + "[learner]\nlearning_rate = 0.03\n")
    times: dict[str, list[float]] = {"driver": [], "one candidate": [], "step": [], "trainer": []}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "rows.txt"
        arguments = vw_text(campaign, rows, text)
        driver = [sys.executable, "-m", "vowpalwabbit", "-d", str(text), "--quiet", *arguments.split()]
        for number in range(rounds):
            times["driver"].append(timed(lambda: subprocess.run(driver, check=True, capture_output=True)))
            times["one candidate"].append(timed(lambda: train(alone, kind, None, [matured for _, matured in rows])))
            times["step"].append(timed(lambda: train(campaign, kind, None, [matured for _, matured in rows])))
            with filled_store(Path(folder) / f"{number}.db", campaign, rows) as store:
                trainer = Trainer(store, store.open_log(campaign, AT))
                times["trainer"].append(timed(lambda: trainer.step(AT + timedelta(days=4))))  # noqa: B023
    if options.smoke:
        print("ok")
        return
    found = {
        "rows_per_second": {name: round(n_rows / min(seconds)) for name, seconds in times.items()},
        "ratios": {
            "training step / driver, rows per second": ratio(times, "driver", "step"),
            "one candidate / driver, rows per second": ratio(times, "driver", "one candidate"),
            "four candidates / one, time": ratio(times, "step", "one candidate"),
            "whole trainer / driver, rows per second": ratio(times, "driver", "trainer"),
        },
        "goals": {"training step / driver, rows per second": 0.5, "four candidates / one, time": 4.0},
    }
    keep("trainer", {"seed": SEED, "n_rows": n_rows, **found})


if __name__ == "__main__":
    main()
