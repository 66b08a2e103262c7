"""The same thing for many seeds, in several processes; the answer does not depend on how many."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeVar

from threadpoolctl import threadpool_limits

from bandit.errors import InvalidSettings

Found = TypeVar("Found")


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
    with seed_player(min(n_processes, max(len(seeds), 1))) as player:
        return player(play, seeds, watch)


class SeedPlayer(Protocol):
    """Plays seeds, again and again, in the same processes."""

    def __call__(
        self, play: Callable[[int], Found], seeds: Sequence[int], watch: Callable[[int], None] = ..., /
    ) -> list[Found]:
        """See `over_seeds`."""


@contextmanager
def seed_player(n_processes: int) -> Iterator[SeedPlayer]:
    """For as long as there is something to play: processes take seconds to begin.

    Args:
        n_processes: how many seeds are played at a time, at least 1; a single one is played in this process.

    Raises:
        InvalidSettings: if there is no process to run in.
    """
    if n_processes < 1:
        raise InvalidSettings(f"n_processes is {n_processes}: give at least 1, this one.")
    if n_processes == 1:
        yield _here
        return
    # Forked workers would inherit locks of threads that do not exist in them; spawned ones begin clean.
    with ProcessPoolExecutor(n_processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield partial(_in_pool, pool)


def _here(
    play: Callable[[int], Found], seeds: Sequence[int], watch: Callable[[int], None] = lambda _: None, /
) -> list[Found]:
    found = []
    for n_done, seed in enumerate(seeds, start=1):
        found.append(_alone(play, seed))
        watch(n_done)
    return found


def _in_pool(
    pool: ProcessPoolExecutor,
    play: Callable[[int], Found],
    seeds: Sequence[int],
    watch: Callable[[int], None] = lambda _: None,
    /,
) -> list[Found]:
    calls = [pool.submit(_alone, play, seed) for seed in seeds]
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


def _alone(play: Callable[[int], Found], seed: int) -> Found:
    """One call on one thread.

    Threads of linear algebra cut a sum differently for each number of them, so that its last digit hangs on the machine; and
    in processes as many as cores they would only stall each other.
    """
    with threadpool_limits(1):
        return play(seed)
