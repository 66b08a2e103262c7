"""Nine values with standard errors, and nine bootstraps, from arrays: ours beside Open Bandit Pipeline's, in turns."""

from __future__ import annotations

import gc
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from timing import ratio

from evaluation.columns import ALWAYS, AnyColumn, stack
from evaluation.estimator import Estimate, estimate
from evaluation.methods import METHODS
from evaluation.poisson_bootstrap import Resamples
from evaluation.sums import Sums
from evaluation.weighed import Weighed, require_pmfs, weigh

SEED = 20_261_122
N_ARMS, N_RESAMPLES = 20, 100
NAMES = ("ips", "ips-clipped", "snips", "dm", "dr", "sndr", "switch-dr", "dros", "dr-subgaussian")
ESTIMATORS = {name: METHODS[name].estimator for name in NAMES}
COLUMNS: tuple[AnyColumn, ...] = (*ALWAYS, *(column for one in ESTIMATORS.values() for column in one.columns))
TOLERANCE = 1e-9
PEER = Path(__file__).parent / "obp_peer.py"


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """A log and a target as anybody holds them; `target` and `model` have shape (n, n_arms)."""

    rewards: np.ndarray
    propensities: np.ndarray
    picks: np.ndarray
    target: np.ndarray
    model: np.ndarray


def arrays(n: int) -> Arrays:
    """Binary rewards of a twentieth; both policies lean on the same scores, with a floor under the log's."""
    rng = np.random.default_rng(SEED)
    scores = rng.normal(size=(n, N_ARMS))
    behavior = 0.8 * _softmax(scores) + 0.2 / N_ARMS
    picks = (behavior.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=N_ARMS - 1)
    model = 0.05 + 0.02 * np.tanh(scores + rng.normal(size=scores.shape))
    rewards = (rng.random(n) < 0.05 + 0.02 * np.tanh(scores[np.arange(n), picks])).astype(np.float64)
    return Arrays(rewards, behavior[np.arange(n), picks], picks, _softmax(2.0 * scores), model)


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return found


def weighed(log: Arrays) -> Weighed:
    """From arrays to checked rows: pmfs, propensities, rewards, model."""
    require_pmfs(log.target, "the target's pmf")
    at = np.arange(len(log.picks))
    expected = np.einsum("na,na->n", log.model, log.target)
    return weigh(
        log.rewards, log.propensities, log.target[at, log.picks], predicted=log.model[at, log.picks], expected=expected
    )


def values(log: Arrays) -> dict[str, Estimate]:
    """All nine, each with its standard error and interval."""
    sums = Sums.of_stack(*stack(weighed(log), COLUMNS))
    return {name: estimate(one, sums) for name, one in ESTIMATORS.items()}


def bootstraps(log: Arrays) -> dict[str, Estimate]:
    """All nine from one bootstrap, beginning with the arrays as well."""
    names, columns = stack(weighed(log), COLUMNS)
    sums = Sums.of_stack(names, columns)
    resamples = Resamples.of_stack(names, columns, np.random.default_rng(SEED), N_RESAMPLES)
    return {name: resamples.interval(one, sums) for name, one in ESTIMATORS.items()}


def stages(log: Arrays) -> dict[str, float]:
    """Milliseconds of each step of ours, the least of some rounds."""
    rows = weighed(log)
    names, columns = stack(rows, COLUMNS)
    sums = Sums.of_stack(names, columns)
    resamples = Resamples.of_stack(names, columns, np.random.default_rng(SEED), N_RESAMPLES)
    steps: dict[str, Callable[[], object]] = {
        "checking and weighing": lambda: weighed(log),
        "columns": lambda: stack(rows, COLUMNS),
        "sums": lambda: Sums.of_stack(names, columns),
        "nine estimates": lambda: [estimate(one, sums) for one in ESTIMATORS.values()],
        "resampling": lambda: Resamples.of_stack(names, columns, np.random.default_rng(SEED), N_RESAMPLES),
        "nine percentiles": lambda: [resamples.interval(one, sums) for one in ESTIMATORS.values()],
    }
    return {name: round(min(_seconds(step) for _ in range(5)) * 1e3, 2) for name, step in steps.items()}


def _seconds(call: Callable[[], object], repeats: int = 1) -> float:
    """Mean time of a call."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


Ask = Callable[[str], dict[str, Any]]


@contextmanager
def peer(python: str, log: Arrays) -> Iterator[Ask]:
    """A process of obp's that holds the arrays and answers questions; it ends with the block."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        kept = {field.name: getattr(log, field.name) for field in fields(log)}
        np.savez(path, **kept)
        command = [python, str(PEER), str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            asked, told = process.stdin, process.stdout
            if asked is None or told is None or told.readline().strip() != "ready":
                raise SystemExit(f"{python} cannot run obp: make the environment that evaluate.py describes.")

            def ask(question: str) -> dict[str, Any]:
                asked.write(question + "\n")
                asked.flush()
                answer: dict[str, Any] = json.loads(told.readline())
                return answer

            yield ask
            asked.close()


def speed(python: str, n_rows: int, rounds: int) -> dict[str, Any]:
    """Ours alone where no interpreter with obp is named, else both in turns and how they compare."""
    log = arrays(n_rows)
    values(log), bootstraps(log)  # once, for the caches
    found = {"seed": SEED, "n_rows": n_rows, "n_arms": N_ARMS, "n_resamples": N_RESAMPLES, "estimators": list(NAMES)}
    if not python:
        return found | {"milliseconds_ours": stages(log), "ratios": {}}
    gc.disable()
    try:
        with peer(python, log) as ask:
            times, apart = _in_turns(log, ask, rounds)
    finally:
        gc.enable()
    return found | {
        "milliseconds_ours": stages(log),
        "milliseconds_least": {name: round(min(seconds) * 1e3, 2) for name, seconds in times.items()},
        "largest_difference_of_values": apart,
        "ratios": {
            "values with standard errors, obp / ours": ratio(times, "obp values and errors", "values and errors"),
            "values alone of obp / values with standard errors of ours": ratio(
                times, "obp values", "values and errors"
            ),
            "bootstraps, obp / ours": ratio(times, "obp bootstraps", "bootstraps"),
        },
    }


def _in_turns(log: Arrays, ask: Ask, rounds: int) -> tuple[dict[str, list[float]], float]:
    """Seconds by round, and the largest difference between their values and ours."""
    names = ("values and errors", "obp values and errors", "obp values", "bootstraps", "obp bootstraps")
    times: dict[str, list[float]] = {name: [] for name in names}
    theirs = ask("values")["values"]  # once, for their caches
    for _ in range(rounds):
        times["values and errors"].append(_seconds(lambda: values(log), repeats=5))
        answer = ask("values")
        times["obp values and errors"].append(answer["seconds"])
        times["obp values"].append(answer["seconds_values"])
        times["bootstraps"].append(_seconds(lambda: bootstraps(log)))
        times["obp bootstraps"].append(ask("intervals")["seconds"])
    return times, max(abs(one.value - theirs[name]) for name, one in values(log).items())
