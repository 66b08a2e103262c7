"""The store keeps decisions exactly, by the rules they were made under, and says what to do where it cannot."""

from __future__ import annotations

import dataclasses
import itertools
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import service.connection
from bandit import Decision, Group, LoggedDecision, Outcome, Pick, Pmf
from bandit.errors import ConflictingDecision, InvalidOutcome, UnusableStore
from service import migrations
from service.integrity import check_chain
from service.outcomes_table import Receipt, record_outcome
from service.store import Store
from service.trainer import Trainer

ARMS = (("plain", "a|b:c", '"quoted" \\ \n', "🎉 fête", " "), ("join", "\x00nul", "x" * 200))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ANY_FLOAT = st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)  # SQLite keeps no minus zero
MOMENT = st.integers(0, 10**15).map(lambda n: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=3 * n))
COUNTER = itertools.count()
CHILD = """
import sys
from bandit import Context, read_campaign
from service.clock import system_clock
from service.store import Store
from service.engines import engine_for
with Store(sys.argv[1]) as store:
    log = store.open_log(read_campaign(sys.stdin.read()), system_clock())
    engine = engine_for(store, log)
    for i in range(10_000):
        decision = engine.decide("ann", Context.of(), decision_id=f"d{i}", at=system_clock())
        store.add_decisions([store.row_of(decision, log)])
        print(f"d{i}", flush=True)
"""


@st.composite
def decisions(draw):
    """Any decision at all, whether or not an engine would make it."""
    picks = []
    for name, arms in zip(("subject", "cta"), ARMS, strict=True):
        weights = draw(st.lists(st.floats(1e-9, 1.0), min_size=len(arms), max_size=len(arms)))
        pmf = Pmf(arms, tuple(weight / sum(weights) for weight in weights))
        picks.append(Pick(name, draw(st.sampled_from(arms)), draw(st.floats(5e-324, 1.0)), pmf))
    context = {"level": draw(TEXT), "days": draw(ANY_FLOAT), "member": draw(st.sampled_from([True, False, None]))}
    return Decision(
        f"{next(COUNTER)} {draw(TEXT)}",
        "contest",
        "",
        draw(TEXT),
        draw(st.sampled_from(Group)),
        context | {"note": draw(TEXT) * draw(st.sampled_from([1, 400]))},
        tuple(picks),
        draw(st.floats(5e-324, 1.0)),
        draw(TEXT),
        draw(st.none() | TEXT),
        draw(st.none() | TEXT.map(lambda text: text * 500)),
        draw(st.none() | ANY_FLOAT),
        draw(MOMENT),
        draw(st.none() | MOMENT),
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "manyarm.db"


@pytest.fixture
def store(path, worlds):
    with Store(path, salt=worlds.salt, secret=worlds.secret) as opened:
        yield opened


@pytest.fixture(scope="module")
def strange(tmp_path_factory, worlds):
    """A store whose campaign has strange arms, and its log."""
    dimensions = [worlds.dimension(name, *arms) for name, arms in zip(("subject", "cta"), ARMS, strict=True)]
    with Store(tmp_path_factory.mktemp("strange") / "manyarm.db") as opened:
        yield opened, opened.open_log(worlds.campaign(dimension=dimensions), worlds.noon)


@pytest.fixture
def book(worlds):
    """Decides and stores a few rows in a log: `book(store, log, 5, "d")`."""

    def write(store, log, n, prefix="d"):
        made = worlds.decide(worlds.engine(log.campaign), n, prefix=prefix)
        store.add_decisions([store.row_of(decision, log) for decision in made])
        return made

    return write


@settings(max_examples=40, deadline=None)
@given(st.lists(decisions(), min_size=1, max_size=4))
def test_every_field_of_every_decision_comes_back_bit_for_bit(strange, made):
    store, log = strange
    before = store.reader().execute("SELECT seq FROM head").fetchone()[0]
    store.add_decisions([store.row_of(decision, log) for decision in made])
    for seq, decision in enumerate(made, start=before + 1):
        exact = dataclasses.replace(decision, campaign_hash=log.campaign.content_hash)
        wanted = dataclasses.replace(LoggedDecision.of(exact, seq), state="pending")
        # repr shows every bit of a float, where == takes 0.0 for -0.0
        assert repr(store.decision(decision.decision_id, log)) == repr(wanted)


def test_the_chain_holds_after_all_those_strange_rows(strange):
    check = check_chain(strange[0].reader())
    assert check.passed, check.failures
    assert check.n_checked >= 40


def test_an_estimate_of_minus_zero_does_not_break_the_chain(store, worlds):
    """SQLite keeps -0.0 as 0.0, so the chain has to be made over what will be read back."""
    log = store.open_log(worlds.campaign(), worlds.noon)
    decision = dataclasses.replace(worlds.decide(worlds.engine(log.campaign), 1)[0], estimate=-0.0)
    store.add_decisions([store.row_of(decision, log)])
    assert check_chain(store.reader()).failures == []


def test_a_time_in_another_zone_comes_back_as_the_same_moment_in_utc(store, worlds):
    log = store.open_log(worlds.campaign(), worlds.noon)
    at = datetime(2026, 11, 22, 23, 30, 0, 1, tzinfo=timezone(timedelta(hours=-5, minutes=-30)))
    decision = dataclasses.replace(worlds.decide(worlds.engine(log.campaign), 1)[0], decided_at=at, send_at=at)
    store.add_decisions([store.row_of(decision, log)])
    found = store.decision("d0", log)
    assert found.decided_at == found.send_at == at
    assert found.decided_at.isoformat() == "2026-11-23T05:00:00.000001+00:00"


def test_decisions_and_keys_survive_close_and_reopen(path, worlds, book):
    with Store(path) as store:
        log, keys = store.open_log(worlds.campaign(), worlds.noon), (store.salt, store.secret)
        book(store, log, 20)
        before = list(store.decisions(log))
    assert keys[0] != keys[1]
    with Store(path, salt=b"another salt", secret=b"another secret") as again:
        assert (again.salt, again.secret) == keys
        assert list(again.decisions(again.open_log(worlds.campaign(), worlds.noon))) == before
        assert [row.seq for row in before] == list(range(1, 21))


def test_two_new_files_have_different_random_keys(tmp_path):
    with Store(tmp_path / "a.db") as first, Store(tmp_path / "b.db") as second:
        assert len({first.salt, first.secret, second.salt, second.secret}) == 4
        assert {len(first.salt), len(first.secret)} == {16}


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(path, worlds):
    """SIGKILL leaves no time to tidy up; every id the child printed was acknowledged."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        child.stdin.write(worlds.toml(worlds.document()))
        child.stdin.close()
        told = [child.stdout.readline().strip() for _ in range(50)]
        child.send_signal(signal.SIGKILL)
        told += [line for line in child.stdout.read().split("\n")[:-1] if line]
    with Store(path) as store:
        stored = {row.decision_id for row in store.decisions(store.logs()[0])}
        assert len(told) >= 50
        assert stored.issuperset(told)
        assert check_chain(store.reader()).passed


def test_a_taken_id_makes_a_whole_bulk_fail_and_leaves_the_chain_whole(store, worlds, book):
    log = store.open_log(worlds.campaign(), worlds.noon)
    book(store, log, 3)
    more = worlds.decide(worlds.engine(log.campaign), 5, prefix="e")
    rows = [store.row_of(decision, log) for decision in (*more[:2], dataclasses.replace(more[2], decision_id="d1"))]
    with pytest.raises(ConflictingDecision, match=r"'d1'.*Ask again with the same decision_id"):
        store.add_decisions(rows)
    with pytest.raises(ConflictingDecision, match="'e3'"):
        store.add_decisions([store.row_of(more[3], log)] * 2)
    assert [row.decision_id for row in store.decisions(log)] == ["d0", "d1", "d2"]
    book(store, log, 2, "f")
    assert check_chain(store.reader()).failures == []


def test_a_locked_database_is_said_to_be_locked_and_works_again_afterwards(path, worlds, book, monkeypatch):
    monkeypatch.setattr(service.connection, "BUSY_SECONDS", 0.05)
    with Store(path) as store:
        log = store.open_log(worlds.campaign(), worlds.noon)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnusableStore, match=r"locked.*Nothing of this was stored: free the disk or the lock"):
            book(store, log, 3)
        with pytest.raises(UnusableStore, match=r"locked.*Name another file with --db"):
            Store(path)
        other.execute("ROLLBACK")
        other.close()
        book(store, log, 3)
        assert len(list(store.decisions(log))) == 3


def test_what_is_no_place_for_a_database_is_refused_with_advice(tmp_path):
    for path in (tmp_path, tmp_path / "absent" / "manyarm.db"):
        with pytest.raises(UnusableStore, match="Name another file with --db, or make this one readable and writable"):
            Store(path)


def test_a_text_file_is_refused_and_left_as_it_is(path):
    path.write_text("decision_id,arm\nd1,plain\n" * 100)
    with pytest.raises(UnusableStore, match=r"manyarm\.db cannot be used as a database \(file is not a database\)"):
        Store(path)
    assert path.read_text() == "decision_id,arm\nd1,plain\n" * 100


def test_the_database_of_another_program_is_refused_and_left_as_it_is(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.commit()
    with pytest.raises(UnusableStore):
        Store(path)
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmarks",)]
    other.close()


def test_several_processes_may_open_a_new_file_at_the_same_moment(tmp_path, monkeypatch):
    """`serve` and `learn` started together; each thread here has connections of its own, as a process has."""
    monkeypatch.setattr(migrations, "apply", migrations.apply.__wrapped__)  # and not the tests' copy of an empty file

    def open_one(path, barrier):
        barrier.wait()
        with Store(path) as store:
            return store.salt

    with ThreadPoolExecutor(4) as pool:
        for n in range(5):
            barrier = threading.Barrier(4)
            salts = list(pool.map(open_one, [tmp_path / f"{n}.db"] * 4, [barrier] * 4))
            assert len(set(salts)) == 1


def test_a_changed_campaign_begins_a_new_log_and_the_old_file_continues_the_old_one(store, worlds, book):
    old, new = worlds.campaign(), worlds.campaign(policy={"name": "squarecb", "floor": 0.1})
    first = store.open_log(old, worlds.noon)
    book(store, first, 3, "old")
    second = store.open_log(new, worlds.noon)
    book(store, second, 2, "new")
    assert (first.is_new, first.replaces) == (True, None)
    assert (second.is_new, second.replaces) == (True, old.content_hash)
    back = store.open_log(old, worlds.noon)
    assert (back.log_id, back.is_new, back.replaces) == (first.log_id, False, None)
    book(store, back, 1, "back")
    assert [row.decision_id for row in store.decisions(back)] == ["old0", "old1", "old2", "back0"]
    assert [row.decision_id for row in store.decisions(second)] == ["new0", "new1"]
    assert [log.campaign.content_hash for log in store.logs()] == [old.content_hash, new.content_hash]
    assert check_chain(store.reader()).n_checked == 6
    assert store.open_log(worlds.campaign(campaign={"id": "autumn"}), worlds.noon).replaces is None


def test_a_late_click_of_an_old_campaign_counts_by_the_old_rules(store, worlds, book):
    first = store.open_log(worlds.campaign(), worlds.noon)
    book(store, first, 1)
    second = store.open_log(
        worlds.campaign(reward={"window": "1h", "events": {"click": 0.7, "purchase": 2.0}}), worlds.noon
    )
    book(store, second, 1, "new")

    def report(decision_id, kind):
        outcome = Outcome(f"{decision_id} {kind}", decision_id, kind, worlds.noon + timedelta(hours=2))
        return store.write(lambda connection: record_outcome(connection, outcome, store.reward_of, worlds.noon))

    assert report("d0", "click") is Receipt.ACCEPTED
    assert report("new0", "click") is Receipt.LATE
    with pytest.raises(InvalidOutcome, match="Known: click, conversion"):
        report("d0", "purchase")
    assert Trainer(store, second).close_windows(worlds.noon + timedelta(days=4)) == 2
    assert (store.decision("d0", first).reward, store.decision("new0", second).reward) == (0.2, 0.0)


def test_tables_are_strict_and_commits_are_flushed_to_a_write_ahead_log(store):
    listed = store.reader().execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table'").fetchall()
    ours = {name: strict for name, strict in listed if not name.startswith(("sqlite_", "_sqlite"))}
    assert ours.keys() >= {"keys", "logs", "decisions", "head", "outcomes", "snapshots", "promotions"}
    assert set(ours.values()) == {1}, ours
    for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
        assert store.write(lambda connection, name=pragma: connection.execute(f"PRAGMA {name}").fetchone()) == (value,)
