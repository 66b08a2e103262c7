"""Many simulated logs on some cores: the same seeds whatever the order, an end to it when time is up, and a way back in."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.intervals import wilson

Seeds = Sequence[np.random.SeedSequence]
Simulate = Callable[[Seeds], Mapping[str, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Cell:
    """Logs of one kind.

    Attributes:
        name: in the results.
        simulate: what happens to each: seeds of some logs to one array a figure, first axis the logs.
        n_logs: how many.
        at_once: logs a task.
    """

    name: str
    simulate: Simulate
    n_logs: int
    at_once: int = 25

    def tasks(self, seed: int) -> list[Seeds]:
        """Seeds of all logs, in portions; log i of a cell has the same one however many there are."""
        seeds = np.random.SeedSequence([seed, *self.name.encode()]).spawn(self.n_logs)
        return [seeds[start : start + self.at_once] for start in range(0, self.n_logs, self.at_once)]


Figures = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Pool:
    """Simulates on some processes; one process is this one.

    Attributes:
        deadline: of `time.monotonic`; nothing begins after it.
        n_processes: how many.
        kept: a folder where finished portions are kept, so that a run that was cut short goes on where it ended; None for
            none. Empty it after a change to what is simulated: a portion is known by its cell's name and its seeds alone.
    """

    deadline: float
    n_processes: int
    kept: Path | None = None

    def simulated(self, cells: Sequence[Cell], seed: int) -> dict[str, Figures]:
        """Figures by cell, of every log that was finished; cells take turns."""
        queues = [(cell, cell.tasks(seed)) for cell in cells]
        turns = range(max(len(queue) for _, queue in queues))
        tasks = [(cell, queue[turn]) for turn in turns for cell, queue in queues if turn < len(queue)]
        parts: dict[str, list[Mapping[str, np.ndarray]]] = {cell.name: [] for cell in cells}
        for (cell, _), part in zip(tasks, self._run(tasks), strict=True):
            if part is not None:
                parts[cell.name].append(part)
        return {
            name: {figure: np.concatenate([part[figure] for part in found]) for figure in found[0]}
            for name, found in parts.items()
            if found
        }

    def _run(self, tasks: Sequence[tuple[Cell, Seeds]]) -> list[Mapping[str, np.ndarray] | None]:
        if self.n_processes == 1:
            return [_until(self.deadline, cell.simulate, seeds, self._file(cell, seeds)) for cell, seeds in tasks]
        with ProcessPoolExecutor(self.n_processes, multiprocessing.get_context("spawn")) as pool:
            jobs = [
                pool.submit(_until, self.deadline, cell.simulate, seeds, self._file(cell, seeds))
                for cell, seeds in tasks
            ]
            return [job.result() for job in jobs]

    def _file(self, cell: Cell, seeds: Seeds) -> Path | None:
        """Where a portion is kept."""
        if self.kept is None:
            return None
        known = repr((cell.name, seeds[0].entropy, seeds[0].spawn_key, len(seeds)))
        return self.kept / f"{blake2b(known.encode(), digest_size=12).hexdigest()}.npz"


def _until(deadline: float, simulate: Simulate, seeds: Seeds, file: Path | None) -> Mapping[str, np.ndarray] | None:
    """Nothing once time is up; the clock is the machine's, the same in each process."""
    if file and file.exists():
        with np.load(file) as found:
            return dict(found)
    if time.monotonic() >= deadline:
        return None
    figures = simulate(seeds)
    if file:
        draft = file.with_name(f"{file.stem}.part.npz")
        np.savez(draft, **figures)
        draft.replace(file)
    return figures


def covered(held: np.ndarray) -> dict[str, Any]:
    """Share of intervals that held the truth, between its binomial (Wilson) limits."""
    if not held.size:
        return {"coverage": None, "limits": None, "n": 0}
    share = wilson(int(held.sum()), held.size)
    return {
        "coverage": round(float(held.mean()), 4),
        "limits": [round(share.ci_lower, 4), round(share.ci_upper, 4)],
        "n": int(held.size),
    }
