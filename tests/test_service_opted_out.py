"""Opt-outs are looked up together, and no decision is made for somebody whose opt-out was acknowledged, by whichever process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.opt_outs import opt_in, opt_out
from service.opted_out import OptedOut
from service.store import Store

OTHER = """
import sys
from datetime import UTC, datetime
from service.opt_outs import opt_out
from service.store import Store
with Store(sys.argv[1]) as store:
    for line in sys.stdin:
        at = datetime.now(UTC)
        store.write(lambda connection: opt_out(connection, line.strip(), store.customer_keys, at, "asked"))
        print(line.strip(), flush=True)
"""
"""Another process: reads a customer a line, opts them out, and says so when it is on disk."""


@pytest.fixture
def store(tmp_path, worlds):
    with Store(tmp_path / "served.db", salt=worlds.salt, secret=worlds.secret) as opened:
        yield opened


def asked(looks, store, customers):
    """What each of some coroutines is told that ask in the same round."""

    async def all_of_them():
        return await asyncio.gather(*(looks.is_any(store.customer_keys.of(one)) for one in customers))

    return asyncio.run(all_of_them())


def test_those_who_ask_together_are_answered_by_one_look_each_with_their_own_answer(store, worlds, monkeypatch):
    looked = []
    monkeypatch.setattr(
        "service.opted_out.find_opted_out", lambda _, names: looked.append(names) or {names[3], names[0]}
    )
    assert asked(OptedOut(store), store, ["a", "b", "c", "d"]) == [True, False, False, True]
    assert len(looked) == 1
    assert len(looked[0]) == 4


def test_nothing_is_remembered_from_one_round_to_the_next(store, worlds):
    looks = OptedOut(store)

    async def in_turns():
        found = []
        for change in (opt_out, None, opt_in, opt_out):
            if change is opt_out:
                store.write(lambda connection: opt_out(connection, "ann", store.customer_keys, worlds.noon, "asked"))
            elif change is opt_in:
                store.write(lambda connection: opt_in(connection, "ann", store.customer_keys))
            found.append(await looks.is_any(store.customer_keys.of("ann")))
        return found

    assert asyncio.run(in_turns()) == [True, True, False, True]


def test_a_look_that_fails_is_heard_of_by_all_who_wait_and_the_next_one_is_made(store, monkeypatch):
    looks = OptedOut(store)

    def broken(_, names):
        raise OSError("the disk is gone")

    async def both():
        return await asyncio.gather(*(looks.is_any((name,)) for name in "ab"), return_exceptions=True)

    with monkeypatch.context() as patched:
        patched.setattr("service.opted_out.find_opted_out", broken)
        assert [type(one) for one in asyncio.run(both())] == [OSError, OSError]
    assert asyncio.run(both()) == [False, False]


def test_a_caller_that_went_away_spoils_nobody_elses_answer(store):
    looks = OptedOut(store)

    async def one_leaves():
        leaving, staying = looks.is_any(("a",)), looks.is_any(("b",))
        leaving.cancel()
        return await staying

    assert asyncio.run(one_leaves()) is False


def test_loops_in_several_threads_do_not_wait_for_each_other(store):
    looks, together = OptedOut(store), threading.Barrier(4)

    async def often():
        return [await looks.is_any(("a",)) for _ in range(200)]

    def in_a_loop():
        together.wait(10)
        return asyncio.run(asyncio.wait_for(often(), 30))

    with ThreadPoolExecutor(4) as threads:
        found = [thread.result() for thread in [threads.submit(in_a_loop) for _ in range(4)]]
    assert found == [[False] * 200] * 4


def test_a_round_that_its_loop_never_came_to_is_not_waited_for(store):
    looks = OptedOut(store)

    async def asks_and_leaves():
        looks.is_any(("a",))

    asyncio.run(asks_and_leaves())
    assert asked(looks, store, ["a"]) == [False]


def test_an_opt_out_that_another_process_acknowledged_holds_for_every_decision_asked_for_afterwards(serve):
    service = serve()
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(service.store.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    stop, wrong, n_others = threading.Event(), [], []

    def decide_for_others():
        number = 0
        while not stop.is_set():
            number += 1
            n_others.append(service.decide(f"other{number}").get("decision_id"))

    with ThreadPoolExecutor(3) as threads, other:
        busy = [threads.submit(decide_for_others) for _ in range(3)]
        try:
            for number in range(40):
                name = f"customer{number}"
                assert "choice" in service.decide(name)
                other.stdin.write(f"{name}\n")
                other.stdin.flush()
                assert other.stdout.readline().strip() == name
                answer = service.decide(name)
                if answer.get("title") != "OptedOut":
                    wrong.append(answer)
        finally:
            stop.set()
            other.stdin.close()
        for one in busy:
            one.result()
    assert not wrong
    assert all(n_others)
    assert len(n_others) > 40, "nobody else decided meanwhile"
