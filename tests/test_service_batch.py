"""`manyarm decide`: a table is decided once, whatever is killed, in however many processes, and as the API decides."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from bandit import Context
from bandit.decide_many import decide_many
from bandit.decisions import Requests
from bandit.wear_out import DAY, PastSend
from service.app import create_app
from service.batch_runs import EarlierRun, advance_run, begun_run, finish_run, ids_in
from service.integrity import check_chain
from service.repeated_ids import RepeatedIds
from service.rows import DECIDED, covered, next_chain
from service.rows_in_columns import append_rows, rows_in_columns
from service.serving import Serving
from service.snapshots_table import add_snapshot, promote
from service.store import Store
from service.trainer import Trainer
from service.verification import verify_store

MANYARM = str(Path(sys.executable).with_name("manyarm"))
NOON = "2026-11-22T12:00:00Z"
ARMS = {"id": "plain", "text": "Hello"}, {"id": "champion", "when": {"level": ["high"]}}
GROUPS = {"random": 0.2, "control": {"share": 0.2, "choice": {"subject": "plain", "cta": "join"}}}


def document(worlds, **sections):
    """A campaign with rules, groups and texts."""
    dimensions = [worlds.dimension("subject", *ARMS), worlds.dimension("cta", "join", "invite")]
    return worlds.document(**{"dimension": dimensions, "groups": GROUPS} | sections)


def users(n, *, first=0, **columns):
    """Customers of whom something is known, and something is not."""
    rows = range(first, first + n)
    known = {
        "customer_id": [f"c{i}" for i in rows],
        "level": [("low", "high", None)[i % 3] for i in rows],
        "days": [i % 13 - 1.5 for i in rows],
        "member": [(True, False, None)[i % 3] for i in rows],
    }
    return pa.table(known | columns)


@pytest.fixture
def folder(tmp_path, monkeypatch, worlds):
    """A fresh folder with a campaign, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "campaign.toml").write_text(worlds.toml(document(worlds)), encoding="utf-8")
    return tmp_path


def decided(cli, *options, out="choices.parquet"):
    cli.run("decide", "--users", "users.parquet", "--out", out, "--at", NOON, *options)
    return pq.read_table(out).to_pylist()


def begun(store, log, at, *, again=False):
    """The run of a table, as the command asks for it."""
    return begun_run(store, log, "hash", 0, at=at, new_id=iter(["0123456789ab", "ba9876543210"]).__next__, again=again)


def n_stored(path="manyarm.db"):
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT count(*), count(DISTINCT customer_key) FROM decisions").fetchone()


@pytest.mark.parametrize(("wears", "seen"), [(False, None), (True, 7), (True, 0)])
def test_rows_made_in_columns_are_the_rows_made_one_by_one(worlds, tmp_path, wears, seen):
    night = {"from": "10:00", "until": "13:00"} if wears else None  # in which it is decided
    campaign = worlds.campaign(
        **document(worlds, wear_out={} if wears else None, limits=night and {"quiet_hours": night})
    )
    snapshot = worlds.train(campaign, worlds.rows(replace(campaign, wear_out=None), 60, lambda *_: {"click": 0.5}))
    engine = worlds.engine(campaign, snapshot)
    contexts = worlds.contexts(campaign, 80)
    customers, ids = [f"c{i}" for i in range(80)], [f"it's \u00e9 {i}" for i in range(80)]
    past = [engine.decide("ann", contexts[0], decision_id="p", at=worlds.noon - DAY, past=[]).choice] if wears else []
    pasts = [[PastSend(worlds.noon - DAY, choice) for choice in past] for _ in contexts] if wears else None
    at = [worlds.noon + timedelta(seconds=i % 2) for i in range(80)]
    decisions = decide_many(engine, Requests(customers, contexts, ids, at, pasts))
    with Store(tmp_path / "one.db", salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(campaign, worlds.noon)
        rows = rows_in_columns(decisions, log, [seen] * 80)
        alone = [store.row_of(decisions.decision(row), log, seen=seen) for row in range(80)]
        assert list(rows.values()) == [values for values, _ in alone]
        assert list(rows.covered) == [covered(values) for values, _ in alone]
        some = rows.only([3, 5])
        assert list(some.values()) == [alone[3][0], alone[5][0]]
        store.write(lambda connection: append_rows(connection, rows))
        stored = list(store.decisions(log))
        assert [row.decision_id for row in stored] == ids
        assert check_chain(store.reader()).passed
        chain = bytes(16)
        for values, _ in alone:
            chain = next_chain(chain, values)
        assert store.reader().execute("SELECT chain FROM head").fetchone() == (chain,)
        due = store.reader().execute("SELECT due_at FROM decisions ORDER BY seq").fetchall()
        assert [one for (one,) in due] == [due_at for _, due_at in alone]


def test_a_table_is_decided_as_the_api_decides_the_same_ids(folder, cli, worlds):
    pq.write_table(users(60, decision_id=[f"d{i}" for i in range(60)]), "users.parquet")
    rows = decided(cli)
    with Store("manyarm.db") as store:
        salt, secret = store.salt, store.secret
    with Store("api.db", salt=salt, secret=secret) as store:
        log = store.open_log(worlds.campaign(**document(worlds)), worlds.noon)
        client = TestClient(create_app(Serving(store, log, clock=lambda: worlds.noon)))
        for row, user in zip(rows, users(60).to_pylist(), strict=True):
            customer_id, context = user.pop("customer_id"), user
            body = {"customer_id": customer_id, "context": context, "decision_id": row["decision_id"]}
            answer = client.post("/v1/decisions", json=body).json()
            assert answer["choice"] == {name: row[f"arm.{name}"] for name in ("subject", "cta")}
            assert (answer["group"], answer["propensity"]) == (row["group"], row["propensity"])
            assert answer["texts"] == {"subject": "Hello"} if row["text.subject"] else answer["texts"] == {}
        with Store("manyarm.db") as batch:
            ours, theirs = list(batch.decisions(log)), list(store.decisions(log))
            assert ours == theirs


def begin_run(run, path="users.parquet", db="manyarm.db"):
    """As if this run had been begun and killed at once."""
    from service.user_check import content_of  # noqa: PLC0415
    from service.user_table import columns_for  # noqa: PLC0415

    with Store(db) as store:
        log = store.logs()[0]
        users_hash = content_of(Path(path), columns_for(Path(path), log, ignored=[]))
        store.write(
            lambda connection: connection.execute(
                "INSERT INTO batch_runs (run, log_id, users_hash, at, n_rows) VALUES (?, ?, ?, ?, 0)",
                (run, log.log_id, users_hash, "2026-11-22T12:00:00.000000+00:00"),
            )
        )


def test_a_killed_run_goes_on_and_two_processes_write_the_bytes_that_one_writes(folder, cli, worlds):
    """A real `manyarm decide`, killed in the middle, twice; then run to the end, beside one that nobody disturbed."""
    n = 20_000
    pq.write_table(users(n), "users.parquet")
    with Store("manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        store.open_log(worlds.campaign(**document(worlds)), worlds.noon)
    begin_run("0123456789ab")
    undisturbed = Path("undisturbed.db")
    undisturbed.write_bytes(Path("manyarm.db").read_bytes())
    command = [MANYARM, "decide", "--users", "users.parquet", "--out", "choices.parquet"]
    for least, n_processes in ((1, 1), (8_000, 2)):
        # Each goes on at a time of its own, which nothing but the times of its rows hangs on.
        killed = kill_in_the_middle(
            [*command, "--processes", str(n_processes), "--at", f"2026-11-2{n_processes}T12:00Z"], least
        )
        assert least <= killed < n
        assert not Path("choices.parquet").exists()
    decided(cli, "--processes", 2)
    assert n_stored() == (n, n)
    decided(cli, "--db", undisturbed, "--processes", 1, out="undisturbed.parquet")
    assert Path("choices.parquet").read_bytes() == Path("undisturbed.parquet").read_bytes()
    columns, found = ", ".join(name for name in DECIDED if name != "decided_at"), []
    for path in ("manyarm.db", undisturbed):
        with Store(path) as store:
            assert check_chain(store.reader()).passed
            (n_times,) = store.reader().execute("SELECT count(DISTINCT decided_at) FROM decisions").fetchone()
            assert (n_times > 1) == (path != undisturbed)
            found.append(store.reader().execute(f"SELECT seq, {columns} FROM decisions ORDER BY seq").fetchall())
    assert found[0] == found[1]
    assert "Say --again for a new wave" in message(cli, "decide", "users.parquet", "--at", NOON)  # it is finished now


def kill_in_the_middle(command, least):
    """Kill the command once so many rows are stored; returns how many there were in the end."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while n_stored()[0] < least:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return n_stored()[0]


def test_a_run_goes_on_with_the_ids_and_the_snapshot_it_began_with_at_the_time_it_goes_on(folder, cli, worlds):
    """Whatever was promoted since; and messages that go out now are not taken for sends of long ago that nobody clicked."""
    pq.write_table(users(40), "users.parquet")
    with Store("manyarm.db") as store:
        log = store.open_log(worlds.campaign(**document(worlds)), worlds.noon)
    begin_run("0123456789ab")
    with Store("manyarm.db") as store:
        ids = ids_in("0123456789ab", ["c0", "c1"], 0, salt=store.salt)
        salt, secret = store.salt, store.secret
        snapshot = worlds.train(log.campaign, worlds.rows(log.campaign, 60, lambda *_: {"click": 0.5}))
        name = store.write(
            lambda connection: add_snapshot(connection, log.log_id, snapshot, parent=None, newest=None, at=worlds.noon)
        )
        store.write(lambda connection: promote(connection, log.log_id, name, at=worlds.noon, reason="since"))
    cli.run("decide", "users.parquet", "--out", "choices.parquet", "--at", "2027-01-01T00:00:00Z")
    rows = pq.read_table("choices.parquet").to_pylist()
    assert [row["decision_id"] for row in rows[:2]] == ids
    unserved, now = worlds.engine(log.campaign, salt=salt, secret=secret), datetime(2027, 1, 1, tzinfo=UTC)
    with Store("manyarm.db") as store:
        for row in store.decisions(log):
            assert (row.decided_at, row.snapshot) == (now, None)
            made = unserved.decide(f"c{row.seq - 1}", Context(row.context), decision_id=row.decision_id, at=worlds.noon)
            assert made.picks[0].pmf.probabilities == pytest.approx(row.pmfs[0], abs=1e-15)
        assert Trainer(store, log).step(now + timedelta(seconds=1)).n_matured == 0


def test_a_table_begun_under_another_content_of_the_campaign_is_decided_anew_only_if_asked(folder, cli, worlds):
    pq.write_table(users(20), "users.parquet")
    with Store("manyarm.db") as store:
        store.open_log(worlds.campaign(**document(worlds)), worlds.noon)
    begin_run("0123456789ab")
    text = Path("campaign.toml").read_text(encoding="utf-8")
    edited = worlds.toml(document(worlds, groups=GROUPS | {"random": 0.3}))
    Path("campaign.toml").write_text(edited, encoding="utf-8")
    assert "the campaign file was changed since" in message(cli, "decide", "users.parquet", "--at", NOON)
    assert n_stored() == (0, 0)
    Path("campaign.toml").write_text(text, encoding="utf-8")
    assert len(decided(cli)) == 20
    Path("campaign.toml").write_text(edited, encoding="utf-8")
    assert "was decided before" in message(cli, "decide", "users.parquet", "--at", NOON)
    assert n_stored() == (20, 20)
    assert len(decided(cli, "--again")) == 20
    assert n_stored() == (40, 20)


def test_a_run_counts_those_of_whom_nothing_is_stored_once_however_often_it_is_killed(tmp_path, worlds):
    with Store(tmp_path / "manyarm.db") as store:
        log = store.open_log(worlds.campaign(), worlds.noon)
        first = begun(store, log, worlds.noon)
        assert [store.write(lambda c, n=n: advance_run(c, first, n)) for n in (10, 20)] == [True, True]
        later = begun(store, log, worlds.noon + DAY)
        assert (later.run, later.at, later.begun_before) == (first.run, worlds.noon + DAY, worlds.noon)
        assert [store.write(lambda c, n=n: advance_run(c, later, n)) for n in (10, 20, 30)] == [False, False, True]
        finish_run(store, later, worlds.noon + 2 * DAY)
        assert begun(store, log, worlds.noon) == EarlierRun(worlds.noon, worlds.noon + 2 * DAY)


def test_a_killed_run_over_a_table_of_which_nothing_is_stored_counts_it_once(folder, cli, worlds):
    context = worlds.document()["context"] | {"consent": {"kind": "boolean"}}
    text = worlds.toml(document(worlds, context=context, privacy={"consent": "consent"}))
    Path("campaign.toml").write_text(text, encoding="utf-8")
    pq.write_table(users(9).select(["customer_id"]), "users.parquet")
    for _ in range(2):
        assert {row["status"] for row in decided(cli)} == {"no-consent"}
        with sqlite3.connect("manyarm.db") as connection:
            assert connection.execute("SELECT n FROM unstored").fetchall() == [(9,)]
            connection.execute("UPDATE batch_runs SET finished_at = NULL")  # as if it was killed before its last word
        connection.close()


def test_the_chain_holds_over_an_estimate_that_sqlite_would_read_one_bit_off(worlds, tmp_path):
    with Store(tmp_path / "one.db", salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(worlds.campaign(), worlds.noon)
        asked = Requests(["ann"], [Context({})], ["d1"], [worlds.noon])
        decisions = decide_many(worlds.engine(log.campaign), asked)
        rows = rows_in_columns(replace(decisions, estimates=np.array([5.05196444538815e-18])), log, [None])
        store.write(lambda connection: append_rows(connection, rows))
        assert check_chain(store.reader()).passed
        assert not [value for value in rows.common.values() if isinstance(value, float)]


def test_rows_that_the_api_decided_before_stand(folder, cli, worlds):
    pq.write_table(users(30, decision_id=[f"d{i}" for i in range(30)]), "users.parquet")
    with Store("manyarm.db") as store:
        log = store.open_log(worlds.campaign(**document(worlds)), worlds.noon)
        client = TestClient(create_app(Serving(store, log, clock=lambda: worlds.noon - timedelta(hours=1))))
        body = {"customer_id": "c7", "context": {"level": "high", "days": 5.5, "member": False}, "decision_id": "d7"}
        before = client.post("/v1/decisions", json=body).json()
    rows = decided(cli)
    assert [row["decision_id"] for row in rows] == [f"d{i}" for i in range(30)]
    assert (rows[7]["arm.subject"], rows[7]["arm.cta"]) == (before["choice"]["subject"], before["choice"]["cta"])
    with Store("manyarm.db") as store:
        assert len(list(store.decisions(log))) == 30
        assert store.decision("d7", log).decided_at == worlds.noon - timedelta(hours=1)
        assert verify_store(store).passed


def test_a_customer_for_whom_rules_leave_nothing_is_named_and_what_was_stored_stays(folder, cli, worlds):
    dimensions = [worlds.dimension("subject", {"id": "only", "when": {"level": ["high"]}})]
    Path("campaign.toml").write_text(worlds.toml(worlds.document(dimension=dimensions)), encoding="utf-8")
    level = ["high"] * 10_003
    level[10_001] = "low"
    pq.write_table(users(10_003).set_column(1, "level", pa.array(level)), "users.parquet")
    with pytest.raises(AssertionError, match="customer 'c10001': no arm of dimension 'subject' is eligible"):
        decided(cli, "--processes", 2)
    assert n_stored()[0] == 10_000


def test_who_opted_out_or_did_not_consent_is_not_decided_for_in_a_table_either(folder, cli, worlds):
    context = {"consent": {"kind": "boolean"}, "level": {"kind": "categorical", "values": ["low", "high"]}}
    text = worlds.toml(document(worlds, context=context, privacy={"consent": "consent"}))
    Path("campaign.toml").write_text(text, encoding="utf-8")
    columns = users(9).select(["customer_id", "level"]).append_column("consent", pa.array([True, False, None] * 3))
    pq.write_table(columns, "users.parquet")
    Store("manyarm.db").close()
    cli.run("opt-out", "c0")
    rows = decided(cli)
    assert [row["status"] for row in rows] == ["opted-out", *["no-consent"] * 2, *["decided", *["no-consent"] * 2] * 2]
    assert rows[0]["arm.subject"] is None
    assert {(row["arm.subject"], row["arm.cta"], row["group"]) for row in rows if row["status"] == "no-consent"} == {
        ("plain", "join", "control")
    }
    assert n_stored()[0] == 2
    with sqlite3.connect("manyarm.db") as connection:
        counts = dict(connection.execute("SELECT reason, n FROM unstored"))
    assert counts == {"opted-out": 1, "no-consent": 6}


@given(ids=st.lists(st.text("ab\0", max_size=3)), cut=st.integers(0, 5))
def test_ids_that_repeat_an_earlier_one_are_found(ids, cut):
    with RepeatedIds() as repeated:
        repeated.add(ids[:cut])
        repeated.add(ids[cut:])
        found = repeated.repetitions().tolist()
    assert found == [row for row, one in enumerate(ids) if one in ids[:row]]


def test_the_answer_says_what_became_of_the_rows(folder, cli):
    pq.write_table(users(5), "users.parquet")
    found = json.loads(cli.run("decide", "users.parquet", "--out", "c.csv", "--json", "--at", NOON))
    assert found == {
        "out": "c.csv",
        "n_decisions": 5,
        "n_capped": 0,
        "n_opted_out": 0,
        "n_no_send": 0,
        "n_no_consent": 0,
        "n_unfilled": 0,
    }
    assert "name one" in message(cli, "decide", "users.parquet", "--users", "users.parquet")


def message(cli, *arguments):
    """What a misused command says."""
    with pytest.raises(AssertionError) as refused:
        cli.run(*arguments)
    return str(refused.value)
