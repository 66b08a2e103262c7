"""Several desks in processes of their own: each decides every so manieth group, and answers come back in order."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from queue import SimpleQueue
from threading import Thread

import pyarrow as pa

from bandit.errors import EngineError
from service.desk import DecidedGroup, Job, open_desk
from service.store import Store

AHEAD = 2
"""Groups a process has in hand: one it decides, one that waits."""


class LostProcess(EngineError):
    """A process that decided ended before its time."""


@dataclass(frozen=True, slots=True)
class UndecidedGroup:
    """Some rows of a table.

    Attributes:
        batch: the rows.
        first: number of the first of them in the table.
        looking: whether some may be stored already.
    """

    batch: pa.RecordBatch
    first: int
    looking: bool


def expect_processes() -> None:
    """Let what processes begin from load its libraries beside whatever this one does first; it ends with this one."""
    if isinstance(_context(), ForkServerContext):
        # One process loads them and the others are forked from it, for to load them takes each longer than 50,000 rows.
        multiprocessing.set_forkserver_preload(["service.desks", "scipy.sparse", "scipy.special"])
        multiprocessing.forkserver.ensure_running()


@contextmanager
def desks_in_processes(job: Job, n_processes: int) -> Iterator[list[Connection]]:
    """Connections to so many processes that decide; they end with this block, or when this process dies."""
    expect_processes()
    context = _context()
    pairs = [context.Pipe() for _ in range(n_processes)]
    processes = [context.Process(target=_work, args=(job, there), daemon=True) for _, there in pairs]
    for process, (_, there) in zip(processes, pairs, strict=True):
        process.start()
        there.close()
    try:
        yield [here for here, _ in pairs]
    finally:
        for here, _ in pairs:
            here.close()
        for process in processes:
            process.join()


def _context() -> ForkServerContext | SpawnContext:
    """How processes begin: never forked from this one, whose threads may hold locks."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


def decided_by(
    desks: list[Connection], groups: Iterable[UndecidedGroup]
) -> Iterator[tuple[UndecidedGroup, DecidedGroup]]:
    """Groups with what was decided for them, in order.

    Raises:
        EngineError: what the first group that could not be decided was refused for.
    """
    waiting: deque[tuple[UndecidedGroup, Connection]] = deque()
    for number, group in enumerate(groups):
        desk = desks[number % len(desks)]
        _send(desk, group)
        waiting.append((group, desk))
        if len(waiting) == AHEAD * len(desks):
            yield _answer(*waiting.popleft())
    while waiting:
        yield _answer(*waiting.popleft())


def _send(desk: Connection, group: UndecidedGroup) -> None:
    try:
        desk.send(group)
    except OSError as error:
        raise _lost() from error


def _answer(group: UndecidedGroup, desk: Connection) -> tuple[UndecidedGroup, DecidedGroup]:
    try:
        answer = desk.recv()
    except (EOFError, OSError) as error:
        raise _lost() from error
    if isinstance(answer, DecidedGroup):
        return group, answer
    raise answer


def _lost() -> LostProcess:
    return LostProcess(
        "a process that decides ended before its time (out of memory?). What was decided until then is stored: run the same "
        "command again and it goes on there, with fewer --processes if memory is short."
    )


def _work(job: Job, connection: Connection) -> None:
    """A process: one group after another until nobody asks any more."""
    # An interrupt reaches every process of a terminal; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    waiting: SimpleQueue[UndecidedGroup] = SimpleQueue()
    # A thread of its own takes what comes: two processes that both wait to be rid of something would wait for good.
    Thread(target=_receive, args=(connection, waiting), daemon=True).start()
    with suppress(BrokenPipeError), Store(job.db) as store:
        try:
            desk = open_desk(job, store)
            while True:
                group = waiting.get()
                connection.send(desk.decide(group.batch, group.first, looking=group.looking))
        except EngineError as error:
            connection.send(error)


def _receive(connection: Connection, waiting: SimpleQueue[UndecidedGroup]) -> None:
    try:
        while True:
            waiting.put(connection.recv())
    except (EOFError, OSError):
        # Whoever asked has finished, or was killed; a process that reads only has nothing to put in order.
        os._exit(0)
