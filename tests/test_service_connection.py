"""Connections end with their threads, and emptying the log of changes keeps nobody waiting who writes."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from pathlib import Path

import pytest

from service.store import Store

DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "manyarm.db") as opened:
        yield opened


def in_a_thread(task):
    thread = threading.Thread(target=task)
    thread.start()
    thread.join()


@pytest.mark.skipif(not DESCRIPTORS.exists() or sys.platform != "linux", reason="counts open files as Linux shows them")
def test_a_thread_that_ends_closes_its_connection(store):
    store.last_seq()
    before = len(list(DESCRIPTORS.iterdir()))
    for _ in range(30):
        in_a_thread(store.last_seq)
    # The interpreter lets go of the last threads' things a little later.
    assert len(list(DESCRIPTORS.iterdir())) < before + 20


def test_a_store_that_is_closed_closes_the_connections_of_threads_that_go_on(tmp_path):
    opened, closed, seen = threading.Event(), threading.Event(), []
    store = Store(tmp_path / "manyarm.db")

    def read():
        connection = store.reader()
        opened.set()
        closed.wait(60.0)
        try:
            connection.execute("SELECT 1")
        except sqlite3.ProgrammingError as error:
            seen.append(str(error))

    thread = threading.Thread(target=read)
    thread.start()
    opened.wait(60.0)
    store.close()
    closed.set()
    thread.join()
    assert seen == ["Cannot operate on a closed database."]


def test_nobody_who_writes_waits_long_while_the_log_is_emptied_beside_a_reader(store):
    def note(name):
        store.write(lambda connection: connection.execute("INSERT INTO keys VALUES (?, x'00')", (name,)).rowcount)

    note("first")
    reader = store.reader()
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM keys").fetchall()
    note("second")
    found = []
    wiping = threading.Thread(target=lambda: found.append(store.wipe()))
    begun = time.perf_counter()
    wiping.start()
    longest, n = 0.0, 0
    while wiping.is_alive():
        started = time.perf_counter()
        note(f"{n}")
        longest, n = max(longest, time.perf_counter() - started), n + 1
        time.sleep(0.01)
    whole = time.perf_counter() - begun
    reader.execute("ROLLBACK")
    assert found == [False]
    # By the time of the wiping, whatever else the machine does; without pauses in it the first write waited until its end.
    assert n > 2
    assert longest < 0.75 * whole
    assert store.wipe()
