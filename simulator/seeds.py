"""The same thing for many seeds, in several processes; the answer does not depend on how many."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Final, TypeVar

from bandit.errors import InvalidSettings

Found = TypeVar("Found")

_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def over_seeds(
    play: Callable[[int], Found],
    seeds: Sequence[int],
    *,
    n_processes: int = 1,
    watch: Callable[[int], None] = lambda _: None,
) -> list[Found]:
    """What `play` answers to each seed, in the order of the seeds.

    Args:
        play: from a seed to an answer; with more than one process, both can be pickled.
        seeds: one a call.
        n_processes: how many calls run at a time, at least 1; a single one runs in this process.
        watch: is told how many calls are done, after each.

    Raises:
        InvalidSettings: if there is no process to run in.
        Exception: whatever a call raised; those not begun are given up.

    >>> over_seeds(abs, [-2, 1])
    [2, 1]
    """
    if n_processes < 1:
        raise InvalidSettings(f"n_processes is {n_processes}: give at least 1, this one.")
    n_workers = min(n_processes, len(seeds))
    if n_workers > 1:
        return _in_processes(play, seeds, n_workers, watch)
    found = []
    for n_done, seed in enumerate(seeds, start=1):
        found.append(play(seed))
        watch(n_done)
    return found


def _in_processes(
    play: Callable[[int], Found], seeds: Sequence[int], n_workers: int, watch: Callable[[int], None]
) -> list[Found]:
    # Forked workers would inherit locks of threads that do not exist in them; spawned ones begin clean.
    context = multiprocessing.get_context("spawn")
    with _single_threaded(), ProcessPoolExecutor(n_workers, mp_context=context) as pool:
        calls = [pool.submit(play, seed) for seed in seeds]
        waiting = set(calls)
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for call in done:
                    call.result()
                watch(len(calls) - len(waiting))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return [call.result() for call in calls]


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Workers are as many as there should be busy cores; threads of linear algebra in each would only stall the others."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
