"""Group commit: what waits is committed together, all that was acknowledged is there, and no failure spoils another."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from bandit.errors import ConflictingDecision, InvalidOutcome, UnusableStore
from service.integrity import check_chain
from service.store import Store

PATIENCE = 2.0


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "manyarm.db") as opened:
        yield opened


@pytest.fixture
def log(store, worlds):
    return store.open_log(worlds.campaign(), worlds.noon)


@pytest.fixture
def rows(store, log, worlds):
    """Rows for the bulk insert: `rows(5, "d")` has the ids d0 to d4."""

    def make(n, prefix="d"):
        return [store.row_of(made, log) for made in worlds.decide(worlds.engine(log.campaign), n, prefix=prefix)]

    return make


@pytest.fixture
def held(store):
    """While it is held the writer is busy with one operation, so that everything else has to wait for one commit."""

    @contextmanager
    def hold():
        busy, released = threading.Event(), threading.Event()
        statements = []

        def operation(connection):
            connection.set_trace_callback(statements.append)
            busy.set()
            assert released.wait(PATIENCE)

        holder = threading.Thread(target=store.write, args=(operation,))
        holder.start()
        assert busy.wait(PATIENCE)
        try:
            yield statements
        finally:
            released.set()
            holder.join()

    return hold


def ids(store, log):
    return [row.decision_id for row in store.decisions(log)]


def in_time(work):
    """Run blocking work in a thread and fail, instead of hanging, where it is never answered."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(work()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert answers, "the writer never answered"
    return answers[0]


def error_of(work):
    """The exception a call ends with, None where it ends well."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
        return error
    return None


def test_everything_that_many_threads_were_told_is_stored_is_there_once(store, log, rows):
    made = rows(400)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda row: store.add_decisions([row]), made))
    assert sorted(ids(store, log)) == sorted(f"d{i}" for i in range(400))
    assert [row.seq for row in store.decisions(log)] == list(range(1, 401))
    assert check_chain(store.reader()).failures == []


def test_everything_that_many_coroutines_were_told_is_stored_is_there_once(store, log, rows):
    made = rows(600)  # more than fit into one commit

    async def write_all():
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(store.writer.submit_row(row, loop) for row in made))
        return ids(store, log)

    assert asyncio.run(write_all()) == [f"d{i}" for i in range(600)]
    assert check_chain(store.reader()).failures == []


def test_what_waits_shares_one_commit(store, log, rows, held):
    made = rows(50)

    async def write_all():
        loop = asyncio.get_running_loop()
        with held() as statements:
            waiting = [store.writer.submit_row(row, loop) for row in made]
        await asyncio.gather(*waiting)
        return statements

    statements = asyncio.run(write_all())
    assert len(ids(store, log)) == 50
    assert statements.count("COMMIT") == 2  # the holder's, and one for all fifty


def test_nothing_is_acknowledged_before_it_can_be_read_by_others(store, log, rows):
    other = sqlite3.connect(store.path)
    for n, row in enumerate(rows(20), start=1):
        store.add_decisions([row])
        assert other.execute("SELECT count(*) FROM decisions").fetchone() == (n,)
    other.close()


@pytest.mark.parametrize(
    "error",
    [InvalidOutcome("no such type"), ValueError("a bug"), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogate")],
    ids=lambda error: type(error).__name__,
)
def test_a_failing_operation_takes_back_its_own_changes_and_no_others(store, log, rows, held, error):
    def failing(connection):
        connection.execute("INSERT INTO keys VALUES ('half done', x'00')")
        raise error

    def fine(name):
        return lambda connection: connection.execute("INSERT INTO keys VALUES (?, x'00')", (name,)).rowcount

    before, after, row = fine("before"), fine("after"), rows(1)[0]

    async def write_all():
        loop = asyncio.get_running_loop()
        with held():
            work = [store.writer.submit(operation, loop) for operation in (before, failing, after)]
            work.append(store.writer.submit_row(row, loop))
        return await asyncio.gather(*work, return_exceptions=True)

    assert asyncio.run(write_all()) == [1, error, 1, None]
    names = {name for (name,) in store.reader().execute("SELECT name FROM keys")}
    assert names == {"salt", "secret", "receipts", "before", "after"}
    assert ids(store, log) == ["d0"]


def test_an_operation_that_breaks_a_rule_of_the_database_spoils_no_other(store, held):
    def broken(connection):
        connection.execute("INSERT INTO keys VALUES ('salt', x'00')")  # the name is taken

    def fine(connection):
        connection.execute("INSERT INTO keys VALUES ('fine', x'00')")

    async def write_all():
        loop = asyncio.get_running_loop()
        with held():
            work = [store.writer.submit(operation, loop) for operation in (fine, broken)]
        return await asyncio.gather(*work, return_exceptions=True)

    first, second = asyncio.run(write_all())
    assert first is None
    assert isinstance(second, (sqlite3.IntegrityError, UnusableStore))


def test_a_taken_id_among_many_rows_is_refused_alone(store, log, rows, held):
    store.add_decisions(rows(2))
    made = [*rows(3, "e"), *rows(2)[1:], *rows(3, "f"), *rows(1, "e")]

    async def write_all():
        loop = asyncio.get_running_loop()
        with held():
            waiting = [store.writer.submit_row(row, loop) for row in made]
        return await asyncio.gather(*waiting, return_exceptions=True)

    answers = asyncio.run(write_all())
    refused = [place for place, answer in enumerate(answers) if answer is not None]
    assert refused == [3, 7]
    assert all(isinstance(answers[place], ConflictingDecision) for place in refused)
    assert "Ask again with the same decision_id" in str(answers[3])
    assert ids(store, log) == ["d0", "d1", "e0", "e1", "e2", "f0", "f1", "f2"]
    assert check_chain(store.reader()).failures == []


def test_a_row_that_cannot_be_stored_is_refused_and_the_writer_lives(store, log, rows):
    good, (values, due_at) = rows(2)[0], rows(1, "odd")[0]
    odd = (tuple("\ud800" if value == "odd0" else value for value in values), due_at)

    async def write_both():
        loop = asyncio.get_running_loop()
        waiting = [store.writer.submit_row(row, loop) for row in (odd, good)]
        return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), PATIENCE)

    refused, _ = asyncio.run(write_both())
    assert isinstance(refused, Exception)
    assert in_time(lambda: store.write(lambda _: "alive")) == "alive"


def test_a_row_of_a_log_that_does_not_exist_spoils_no_other(store, log, rows, held):
    good, (values, due_at) = rows(2)[0], rows(1, "astray")[0]

    async def write_both():
        loop = asyncio.get_running_loop()
        with held():
            waiting = [store.writer.submit_row(row, loop) for row in (((99, *values[1:]), due_at), good)]
        return await asyncio.gather(*waiting, return_exceptions=True)

    refused, stored = asyncio.run(write_both())
    assert isinstance(refused, Exception)
    assert stored is None
    assert ids(store, log) == ["d0"]


def test_a_caller_that_gave_up_is_no_error_and_its_row_may_be_there(store, log, rows, held):
    made = rows(3)

    async def give_up():
        loop = asyncio.get_running_loop()
        with held():
            waiting = [store.writer.submit_row(row, loop) for row in made]
            waiting[1].cancel()
        return await asyncio.gather(*waiting, return_exceptions=True)

    first, cancelled, last = asyncio.run(give_up())
    assert (first, last) == (None, None)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert ids(store, log) == ["d0", "d1", "d2"]


def test_a_loop_that_was_closed_meanwhile_does_not_stop_the_writer(store, log, rows, held):
    """A service that is shut down closes its loop with requests in flight; others still wait for the writer."""
    loop = asyncio.new_event_loop()
    with held():
        store.writer.submit_row(rows(1)[0], loop)
        loop.close()
    assert in_time(lambda: store.write(lambda _: "alive")) == "alive"
    assert ids(store, log) == ["d0"]


def test_closing_writes_what_waits(tmp_path, worlds):
    with Store(tmp_path / "manyarm.db") as store:
        log = store.open_log(worlds.campaign(), worlds.noon)
        made = [store.row_of(decision, log) for decision in worlds.decide(worlds.engine(log.campaign), 100)]
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(lambda: [store.add_decisions([row]) for row in made[:50]])
            store.add_decisions(made[50:])
            written.result()
    with Store(tmp_path / "manyarm.db") as again:
        assert len(ids(again, again.logs()[0])) == 100


def test_a_write_after_closing_is_an_error_and_does_not_wait_for_ever(tmp_path):
    store = Store(tmp_path / "manyarm.db")
    store.close()
    assert isinstance(in_time(lambda: error_of(lambda: store.write(lambda _: None))), UnusableStore)


def test_the_same_decision_from_two_callers_is_stored_once(store, log, rows):
    row = rows(1)[0]
    barrier = threading.Barrier(8)

    def write(_):
        barrier.wait()
        return error_of(lambda: store.add_decisions([row]))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(write, range(8)))
    assert answers.count(None) == 1
    assert sum(isinstance(answer, ConflictingDecision) for answer in answers) == 7
    assert ids(store, log) == ["d0"]
    assert dataclasses.astuple(check_chain(store.reader()))[2:] == (1, 0, [], [])


def test_a_row_that_nobody_foresaw_is_refused_and_the_writer_lives_on(store, log, rows):
    bad, good = rows(2)
    (values, due_at) = bad
    too_large = (tuple(2**70 if isinstance(value, int) else value for value in values), due_at)

    async def write(row):
        await asyncio.wait_for(store.writer.submit_row(row, asyncio.get_running_loop()), PATIENCE)

    with pytest.raises(UnusableStore, match="could not be written"):
        asyncio.run(write(too_large))
    asyncio.run(write(good))
    assert ids(store, log) == ["d1"]


@pytest.mark.parametrize("seed", range(8))
def test_rows_together_fare_as_they_would_one_by_one(tmp_path, worlds, seed):
    """Taken ids, ids that are no text and logs that are not there, wherever they stand among good rows."""
    drawn = random.Random(seed)
    stores = [Store(tmp_path / f"{name}.db", salt=b"salt", secret=b"secret") for name in ("together", "alone")]
    with stores[0] as together, stores[1] as alone:
        log, _ = (store.open_log(worlds.campaign(), worlds.noon) for store in stores)
        good = [together.row_of(made, log) for made in worlds.decide(worlds.engine(log.campaign), 12)]
        some = [_spoiled(drawn, drawn.choice(good)) for _ in range(30)]
        answers = together.add_each(some)
        assert [type(one) for one in answers] == [type(alone.add_each([row])[0]) for row in some]
        assert ids(together, log) == ids(alone, log)
        heads = [store.reader().execute("SELECT seq, chain FROM head").fetchone() for store in stores]
        assert heads[0] == heads[1]
        assert check_chain(together.reader()).failures == []


def _spoiled(drawn, row):
    values, due_at = row
    return drawn.choice([row, row, row, ((99, *values[1:]), due_at), ((values[0], "\ud800", *values[2:]), due_at)])
