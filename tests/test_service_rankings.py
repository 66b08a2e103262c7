"""The log of rankings: `verify` notices what was tampered with, training repeats and skips nothing, and VW can read it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import timedelta

import numpy as np
import pytest
from starlette.testclient import TestClient

from bandit.errors import BrokenSnapshot, OutdatedSnapshot, UnknownDecision, UnusableLog
from bandit.ranking_request import Action, RankingRequest
from bandit.snapshot import Snapshot
from service.app import create_app
from service.dsjson_source import DsjsonSource
from service.rankings.dsjson import CONTROL, UNSETTLED, require_dsjson, write_dsjson
from service.rankings.erasing import erase_old_rankings, erase_ranking
from service.rankings.rows import RANKED, next_link
from service.rankings.snapshots import add, newest_whole
from service.rankings.table import (
    activate,
    find_ranking,
    iterate_rankings,
    mature_rankings,
    record_reward,
    store_ranking,
)
from service.rankings.trainer import Rankings, load_ranking, train_step
from service.serving import Serving
from service.settings import Settings
from service.store import Store
from service.verification import verify_store

CAMPAIGN = "contest"
SHARES = {"personalizer_random": "0.2", "personalizer_control": "0.2"}
N, ROUNDS = 40, 3


def request(i):
    """Two to four actions that differ from event to event, one of them sometimes excluded."""
    actions = tuple(Action(f"a{(i + k) % 7}", ({"tone": k % 2, "price": k},)) for k in range(2 + i % 3))
    context = ({"user": {"tier": ("gold", "new")[i % 2]}},)
    return RankingRequest(f"e{i}", actions, context, ("a3",) if i % 5 == 0 else (), is_deferred=i % 8 == 0)


def live(store, rankings, now):
    """Three rounds of rankings with rewards in time and late, deferred events shown and not, and a snapshot a round."""
    for r in range(ROUNDS):
        at = now + timedelta(hours=r)
        made = [rankings.engine.rank(request(r * N + i), at=at) for i in range(N)]

        def write(connection, made=made, at=at):
            for i, ranking in enumerate(made):
                event_id = ranking.request.event_id
                assert store_ranking(connection, ranking) is None
                if i % 3 == 0:
                    record_reward(connection, event_id, 0.5, at + timedelta(minutes=1 + i))
                    record_reward(connection, event_id, 1.0, at + timedelta(minutes=2 + i))
                if i % 16 == 0:
                    activate(connection, event_id, at)

        store.write(write)
        rankings.train(at + timedelta(minutes=30))


@pytest.fixture(scope="module")
def honest(worlds, tmp_path_factory):
    """A closed file with 120 honest rankings of three groups and three snapshots."""
    path = tmp_path_factory.mktemp("rankings") / "manyarm.db"
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        store.open_log(worlds.campaign(), worlds.noon)
        live(store, Rankings(store, CAMPAIGN, Settings(SHARES)), worlds.noon)
    return path


@pytest.fixture
def path(honest, tmp_path):
    """A copy, to be tampered with."""
    return shutil.copy(honest, tmp_path / "manyarm.db")


@pytest.fixture
def sql(path):
    """Raw access to the copy."""
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def failed(path):
    """Verifies the copy: the failures in words, by check."""

    def verify():
        with Store(path) as store:
            found = verify_store(store)
        return {check.name: check.failures for check in found.checks if check.failures}

    return verify


def rechain(sql):
    """What a tamperer who knows the code does last: every chain and the head are made to fit."""
    chain, last = bytes(16), 0
    for last, *values in sql.execute(f"SELECT seq, {', '.join(RANKED)} FROM rankings ORDER BY seq").fetchall():
        chain = next_link(chain, values)
        sql.execute("UPDATE rankings SET chain = ? WHERE seq = ?", (chain, last))
    sql.execute("UPDATE ranking_head SET seq = ?, chain = ?", (last, chain))


def learned(sql):
    """A row from the middle that the learner drew from a snapshot."""
    query = "SELECT seq FROM rankings WHERE snapshot = 'r00001' AND state = 'matured' ORDER BY seq LIMIT 1"
    return sql.execute(query).fetchone()[0]


def test_an_honest_log_passes_every_check(path, sql, failed):
    groups = sql.execute('SELECT DISTINCT "group" FROM rankings ORDER BY 1').fetchall()
    states = sql.execute("SELECT DISTINCT state FROM rankings ORDER BY 1").fetchall()
    assert groups == [("control",), ("learner",), ("random",)]
    assert states == [("expired",), ("matured",)]
    assert failed() == {}
    with Store(path) as store:
        checks = {check.name: check.n_checked for check in verify_store(store).checks if check.name.startswith("rank")}
    assert checks.pop("rank training") == ROUNDS
    assert set(checks.values()) == {N * ROUNDS}


def test_a_store_without_rankings_has_no_checks_of_them(worlds, tmp_path):
    with Store(tmp_path / "new.db") as store:
        store.open_log(worlds.campaign(), worlds.noon)
        assert not [check for check in verify_store(store).checks if check.name.startswith("rank")]


def scaled(sql, seq):
    """The row's pmf with a little moved from one action to another."""
    pmf = np.frombuffer(sql.execute("SELECT pmf FROM rankings WHERE seq = ?", (seq,)).fetchone()[0]).copy()
    least, most = int(np.argmin(np.where(pmf > 0, pmf, 2))), int(np.argmax(pmf))
    pmf[least] += 1e-4
    pmf[most] -= 1e-4
    return pmf


def test_a_changed_propensity_is_noticed(sql, failed):
    seq = learned(sql)
    sql.execute("UPDATE rankings SET propensity = propensity * 0.9 WHERE seq = ?", (seq,))
    rechain(sql)
    (found,) = failed()["rank pmf"]
    assert f"row {seq}, event" in found
    assert "the pmf says" in found


def test_a_whole_pmf_that_was_changed_is_noticed_although_it_fits_itself(sql, failed):
    seq = learned(sql)
    pmf = scaled(sql, seq)
    chosen = sql.execute("SELECT chosen FROM rankings WHERE seq = ?", (seq,)).fetchone()[0]
    sql.execute("UPDATE rankings SET pmf = ?, propensity = ? WHERE seq = ?", (pmf.tobytes(), pmf[chosen], seq))
    rechain(sql)
    (found,) = failed()["rank again"]
    assert "differs by 0.0001 from the recomputed one" in found


@pytest.mark.parametrize(
    ("change", "check", "said"),
    [
        ("chosen = (chosen + 1) % json_array_length(actions)", "rank draw", "was drawn, position"),
        ("\"group\" = 'random'", "rank draw", "group is 'random', its position says 'learner'"),
        ("snapshot = 'r00002'", "rank again", "from the recomputed one"),
        ("snapshot = 'r00099'", "rank again", "'r00099' is not in this database"),
        ("snapshot = NULL", "rank again", "one does not go with the other"),
        ("policy = 'softmax'", "rank again", "its rules 'squarecb'"),
        ("rules = json_set(rules, '$.floor', 0.3)", "rank again", "from the recomputed one"),
        ("context = json_array(json_object('user', 'nobody'))", "rank again", "from the recomputed one"),
        ("rules = '{}!'", "rank pmf", "cannot be read"),
        ("actions = '[]'", "rank pmf", "cannot be read"),
    ],
)
def test_what_was_decided_cannot_be_changed_unnoticed(sql, failed, change, check, said):
    seq = learned(sql)
    sql.execute(f"UPDATE rankings SET {change} WHERE seq = ?", (seq,))
    found = failed()
    assert f"row {seq}, event" in found["rank chain"][0]
    rechain(sql)
    found = failed()
    assert "rank chain" not in found
    assert said in found[check][0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE rankings SET reward = 0.75 WHERE seq = ?", "reward is 0.75, what was reported in time"),
        ("UPDATE rankings SET reward = NULL WHERE seq = ?", "state is 'matured' with reward None"),
        ("UPDATE rankings SET state = 'pending' WHERE seq = ?", "state is 'pending' with reward"),
        ("DELETE FROM ranking_rewards WHERE event_id = (SELECT event_id FROM rankings WHERE seq = ?)", "is worth 0.0"),
    ],
)
def test_a_reward_that_nobody_reported_is_noticed(sql, failed, change, said):
    seq = sql.execute("SELECT seq FROM rankings WHERE reward = 0.5 ORDER BY seq LIMIT 1").fetchone()[0]
    sql.execute(change, (seq,))
    assert said in failed()["rank reward"][0]


def test_a_ranking_hidden_as_expired_is_noticed(sql, failed):
    query = "SELECT seq, matured FROM rankings WHERE reward > 0 AND deferred = 0 ORDER BY seq LIMIT 1"
    seq, number = sql.execute(query).fetchone()
    sql.execute("UPDATE rankings SET state = 'expired', reward = NULL, matured = NULL WHERE seq = ?", (seq,))
    found = failed()
    assert "state is 'expired', and the event was not deferred" in found["rank reward"][0]
    assert (
        f"event number {number + 1} in the order of maturing follows on number {number - 1}"
        in found["rank training"][0]
    )


def test_a_damaged_snapshot_is_noticed_when_no_ranking_is_left(path, sql, failed, worlds):
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        sql.execute("UPDATE rankings SET state = 'expired' WHERE state IN ('pending', 'deferred')")
        erase_old_rankings(store, CAMPAIGN, timedelta(0), worlds.noon + timedelta(days=9))
    assert sql.execute("SELECT count(*) FROM rankings").fetchone() == (0,)
    assert failed() == {}
    sql.execute("UPDATE ranking_snapshots SET n_learned = n_learned + 1 WHERE number = 3")
    assert "do not tell the same counters" in failed()["rank training"][0]


def test_learning_that_begins_again_without_what_was_erased_still_verifies(path, sql, failed, worlds, monkeypatch):
    """As after an update whose snapshots are made otherwise; and so does what goes on from there, while more is erased."""
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        later = worlds.noon + timedelta(hours=9)
        erase_old_rankings(store, CAMPAIGN, timedelta(hours=8, minutes=30), later)
        before, whole = [one for (one,) in sql.execute("SELECT sha256 FROM ranking_snapshots")], Snapshot.from_bytes

        def read(body, *, sha256):
            if sha256 in before:
                raise OutdatedSnapshot("of an earlier version")
            return whole(body, sha256=sha256)

        monkeypatch.setattr(Snapshot, "from_bytes", read)
        rankings = Rankings(store, CAMPAIGN, Settings(SHARES))
        for step in range(3):
            now = later + step * timedelta(days=1)
            rankings.train(now)
            erase_old_rankings(store, CAMPAIGN, timedelta(hours=8, minutes=30) - step * timedelta(hours=1), later)
            made = [rankings.engine.rank(request(1000 + 30 * step + i), at=now) for i in range(30)]
            store.write(lambda connection, made=made: [store_ranking(connection, one) for one in made])
    found = sql.execute("SELECT parent, n_missed FROM ranking_snapshots WHERE number > 3").fetchall()
    assert [parent for parent, _ in found] == [None, "r00004", "r00005"]
    assert found[0][1] == found[1][1] == found[2][1] > 0
    monkeypatch.undo()
    assert failed() == {}
    sql.execute("UPDATE ranking_snapshots SET n_missed = 0 WHERE number = 5")
    assert "snapshot r00005 learned" in failed()["rank training"][0]
    sql.execute("UPDATE ranking_snapshots SET n_missed = 999 WHERE number = 5")
    assert "missed 999 events" in failed()["rank training"][0]


def test_what_learns_is_counted_once_for_all_snapshots(path):
    said = []
    with Store(path) as store:
        store.reader().set_trace_callback(said.append)
        assert verify_store(store).passed
    assert sum('"group" FROM rankings' in one for one in said) == 1


def test_ending_waits_reads_no_more_than_what_is_due(sql, worlds):
    """It happens inside the writer: decisions wait meanwhile."""
    said = []
    sql.set_trace_callback(said.append)
    assert mature_rankings(sql, CAMPAIGN, worlds.noon + timedelta(days=9)) == 0
    assert not any("max(matured)" in one for one in said)
    sql.execute(
        "UPDATE rankings SET state = 'pending', reward = NULL, matured = NULL WHERE seq = (SELECT max(seq) FROM rankings)"
    )
    assert mature_rankings(sql, CAMPAIGN, worlds.noon + timedelta(days=9)) == 1
    sql.set_trace_callback(None)
    numbering = [one for one in said if "max(matured)" in one]
    assert len(numbering) == 2
    for query, index in zip(numbering, ("rankings_matured", "erased_rankings_matured"), strict=True):
        assert f"INDEX {index}" in sql.execute(f"EXPLAIN QUERY PLAN {query}").fetchone()[3]


def test_rows_cut_off_or_cut_out_are_noticed(sql, failed):
    sql.execute("DELETE FROM rankings WHERE seq = 7")
    assert "rows 7 to 7 are missing" in failed()["rank chain"][0]
    sql.execute("DELETE FROM rankings WHERE seq > 100")
    assert "the rankings end at row 100, and the head says 120" in failed()["rank chain"][-1]


def test_a_snapshot_with_a_changed_byte_is_noticed_and_neither_serves_nor_teaches(path, sql, failed, worlds):
    body = bytearray(sql.execute("SELECT body FROM ranking_snapshots WHERE snapshot = 'r00003'").fetchone()[0])
    body[-1] ^= 1
    sql.execute("UPDATE ranking_snapshots SET body = ? WHERE snapshot = 'r00003'", (bytes(body),))
    assert "'r00003'" in failed()["rank training"][0]
    with Store(path) as store:
        assert Rankings(store, CAMPAIGN, Settings()).engine.served.snapshot == "r00002"
        training = train_step(store, CAMPAIGN, worlds.noon + timedelta(hours=9))
        assert (training.snapshot, training.n_matured) == ("r00004", 0)
        query = "SELECT n_learned, watermark FROM ranking_snapshots WHERE snapshot = 'r00003'"
        again = newest_whole(store.reader(), CAMPAIGN)[1]
        assert (again.n_learned, again.watermark) == store.reader().execute(query).fetchone()
        assert [check.name for check in verify_store(store).checks if check.failures] == ["rank training"]


def test_without_a_whole_snapshot_everything_is_alike_and_the_rows_say_why(path, sql, worlds):
    sql.execute("UPDATE ranking_snapshots SET body = x'00'")
    with Store(path) as store:
        ranking = Rankings(store, CAMPAIGN, Settings()).engine.rank(request(999), at=worlds.noon)
    assert ranking.snapshot is None
    assert "no snapshot yet: ranking snapshot 'r00003'" in ranking.fallback


def test_the_slower_of_two_trainers_stores_nothing_twice(worlds, tmp_path):
    with Store(tmp_path / "manyarm.db", salt=worlds.salt) as store:
        rankings = Rankings(store, CAMPAIGN, Settings())
        ranking = rankings.engine.rank(request(1), at=worlds.noon)
        store.write(lambda connection: store_ranking(connection, ranking))
        later = worlds.noon + timedelta(hours=1)
        write = store.write

        def raced(operation):
            """Another trainer comes between learning and storing."""
            if getattr(operation, "__name__", "") == "keep":
                store.write = write
                assert train_step(store, CAMPAIGN, later).snapshot == "r00001"
            return write(operation)

        store.write = raced
        slower = train_step(store, CAMPAIGN, later)
        assert (slower.n_learned, slower.snapshot) == (0, None)
        assert verify_store(store).passed


def test_a_ranking_reads_back_as_it_was_made(path):
    with Store(path) as store:
        for kept in iterate_rankings(store.reader(), CAMPAIGN):
            assert find_ranking(store.reader(), kept.ranking.request.event_id) == kept
            number = int(kept.ranking.request.event_id[1:])
            assert kept.ranking.request == request(number)


def test_the_snapshot_of_a_row_scores_as_it_did(path):
    with Store(path) as store:
        for kept in iterate_rankings(store.reader(), CAMPAIGN):
            ranking = kept.ranking
            if ranking.snapshot:
                scorer = load_ranking(store, CAMPAIGN, ranking.snapshot).scorer
                (estimate,) = scorer.scores(ranking.request.features, (ranking.chosen,))
                assert estimate == pytest.approx(ranking.estimate, abs=1e-9)


def test_the_export_is_dsjson_that_evaluate_reads(path, tmp_path, worlds, cli):
    campaign, out = tmp_path / "campaign.toml", tmp_path / "rankings.dsjson"
    campaign.write_text(worlds.toml(worlds.document()), encoding="utf-8")
    said = json.loads(cli.run("export", "--db", path, "--campaign", campaign, "--rankings", out, "--json"))
    with Store(path) as store:
        rows = [kept for kept in iterate_rankings(store.reader(), CAMPAIGN) if kept.state == "matured"]
    kept = [one for one in rows if one.ranking.group != "control"]
    assert said["n_rows"] == len(kept) > 50
    assert said["left_out"] == {CONTROL: len(rows) - len(kept), UNSETTLED: N * ROUNDS - len(rows)}
    (batch,) = DsjsonSource.read(out).batches()
    assert batch.rewards.tolist() == [one.reward for one in kept]
    assert batch.propensities[:, 0].tolist() == [one.propensity for one in kept]
    assert batch.picks[:, 0].tolist() == [one.ranking.chosen for one in kept]
    for row, one in zip(batch.pmfs[0], kept, strict=True):
        assert row[: len(one.ranking.pmf)].tolist() == list(one.ranking.pmf)
    weights = np.array([1 / len(one.ranking.request.offered) / one.propensity for one in kept])
    snips = (weights * batch.rewards).sum() / weights.sum()
    assert cli.values(cli.ask(out, "--target", "uniform"))["snips"] == pytest.approx(snips)


def test_a_line_of_the_export_is_the_one_of_its_ranking(path, tmp_path):
    out = tmp_path / "rankings.dsjson"
    with Store(path) as store:
        (kept,) = [one for one in iterate_rankings(store.reader(), CAMPAIGN) if one.ranking.request.event_id == "e43"]
        write_dsjson(out, [kept])
    line, ranking = json.loads(out.read_text()), kept.ranking
    assert line["EventId"] == "e43"
    assert (line["_label_cost"], line["_label_probability"]) == (-kept.reward + 0.0, ranking.propensity)
    assert line["a"][0] == ranking.chosen + 1 == line["_label_Action"]
    assert dict(zip(line["a"], line["p"], strict=True)) == {i + 1: p for i, p in enumerate(ranking.pmf)}
    assert line["c"]["FromUrl"] == [{"user": {"tier": "new"}}]
    assert [one["_tag"] for one in line["c"]["_multi"]] == [action.id for action in ranking.request.actions]


def test_an_export_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    with pytest.raises(UnusableLog, match=r"need \.dsjson or \.json"):
        require_dsjson(tmp_path / "log.parquet")
    with pytest.raises(UnusableLog, match="does not exist"):
        require_dsjson(tmp_path / "nowhere" / "log.dsjson")


def test_learn_learns_from_rankings_too(worlds, tmp_path, cli):
    campaign, path = tmp_path / "campaign.toml", tmp_path / "manyarm.db"
    campaign.write_text(worlds.toml(worlds.document()), encoding="utf-8")
    with Store(path) as store:
        engine = Rankings(store, CAMPAIGN, Settings()).engine
        made = [engine.rank(request(i), at=worlds.noon) for i in (1, 2, 3)]
        store.write(lambda connection: [store_ranking(connection, one) for one in made])
    arguments = ("learn", "--db", path, "--campaign", campaign, "--at")
    assert "rankings" not in json.loads(cli.run(*arguments, "2026-11-22T12:09:00Z", "--json"))
    said = cli.run(*arguments, "2026-11-22T12:10:00Z")
    assert "Rankings: the wait of 3 is over, 3 learned from; r00001 serves them." in said
    assert "rankings" not in json.loads(cli.run(*arguments, "2026-11-22T12:11:00Z", "--json"))
    assert "rank training        1  ok" in cli.run("verify", "--db", path)


def kept(store):
    return [name for (name,) in store.reader().execute("SELECT snapshot FROM ranking_snapshots ORDER BY number")]


def test_snapshots_that_no_ranking_names_are_deleted_and_the_log_verifies(path, worlds, failed):
    now = worlds.noon + timedelta(days=1)
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        named = kept(store)[:2]  # rounds two and three were drawn from them
        rankings = Rankings(store, CAMPAIGN, Settings(SHARES))
        for r in range(5):
            # A deferred event is not shown, and one of control names no snapshot: only a reward comes to learn from.
            settings = Settings({"personalizer_control": "1"})
            made = Rankings(store, CAMPAIGN, settings).engine.rank(request(1001 + 8 * r), at=now)
            store.write(lambda connection, made=made: store_ranking(connection, made))
            now += timedelta(minutes=30)
            rankings.train(now)
        assert kept(store) == [*named, "r00007", "r00008"]
        assert rankings.engine.served.snapshot == "r00008"
    assert failed() == {}


def test_an_old_file_with_many_snapshots_is_pruned_some_at_a_time(path, sql, worlds, monkeypatch):
    monkeypatch.setattr("service.rankings.snapshots.PRUNED_AT_ONCE", 2)
    columns = "campaign, n_learned, watermark, sha256, body, created_at"
    for number in range(4, 9):
        copy = (
            f"INSERT INTO ranking_snapshots (number, snapshot, {columns}) SELECT ?, ?, {columns} FROM ranking_snapshots"
        )
        sql.execute(f"{copy} WHERE number = 3", (number, f"r{number:05d}"))
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        newest, before = newest_whole(store.reader(), CAMPAIGN)
        store.write(lambda c: add(c, CAMPAIGN, before, parent=newest, newest=newest, at=worlds.noon))
        assert kept(store) == [f"r0000{number}" for number in (1, 2, 5, 6, 7, 8, 9)]


def test_a_ranking_from_a_snapshot_that_was_deleted_meanwhile_is_not_stored(path, sql, worlds):
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        rankings = Rankings(store, CAMPAIGN, Settings())
        made = rankings.engine.rank(request(1001), at=worlds.noon)
        assert made.snapshot == "r00003"
        sql.execute("DELETE FROM ranking_snapshots WHERE number = 3")
        with pytest.raises(BrokenSnapshot, match="'r00003' was replaced by another process"):
            store.write(lambda connection: store_ranking(connection, made))
        assert find_ranking(store.reader(), "e1001") is None


def test_a_deleted_snapshot_that_a_ranking_names_is_noticed(sql, failed):
    sql.execute("DELETE FROM ranking_snapshots WHERE snapshot = 'r00001'")
    assert "'r00001' is not in this database" in failed()["rank again"][0]


def test_a_trainer_that_is_not_wanted_ends_few_waits_and_learns_nothing(path, sql, worlds):
    sql.execute("UPDATE rankings SET state = 'pending', matured = NULL, reward = NULL WHERE seq > 100")
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        now = worlds.noon + timedelta(days=1)
        assert train_step(store, CAMPAIGN, now, is_wanted=lambda: False).n_matured == 0
        assert train_step(store, CAMPAIGN, now).n_matured == 20


def test_old_rankings_are_erased_and_what_is_left_still_proves_itself_and_goes_on_learning(path, sql, failed, worlds):
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        rankings = Rankings(store, CAMPAIGN, Settings(SHARES), timedelta(days=30))
        later = worlds.noon + timedelta(days=30, hours=1, minutes=30)
        rankings.train(later)
        left = {one.ranking.request.event_id for one in iterate_rankings(store.reader(), CAMPAIGN)}
        assert left == {f"e{i}" for i in range(2 * N, 3 * N)}
        assert sql.execute("SELECT count(*) FROM ranking_rewards WHERE event_id = 'e3'").fetchone() == (0,)
        assert "tier" not in "".join(map(str, sql.execute("SELECT * FROM erased_rankings").fetchall()))
        rankings.train(later + timedelta(hours=1))
        made = [rankings.engine.rank(request(i), at=later) for i in range(5, 30)]
        store.write(lambda connection: [store_ranking(connection, one) for one in made])
        rankings.train(later + timedelta(hours=2))
        last = max(one.matured or 0 for one in iterate_rankings(store.reader(), CAMPAIGN))
        assert last > sql.execute("SELECT max(matured) FROM erased_rankings").fetchone()[0]
        assert rankings.engine.served.snapshot == "r00004"
    assert failed() == {}


def test_rankings_that_wait_or_are_not_learned_from_are_not_erased_by_age(path, sql, worlds):
    sql.execute("UPDATE rankings SET state = 'pending', matured = NULL, reward = NULL WHERE seq > 110")
    sql.execute("UPDATE ranking_snapshots SET watermark = 20 WHERE number = 3")
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        before = sql.execute("SELECT count(*) FROM rankings WHERE matured > 20 OR state = 'pending'").fetchone()[0]
        watermark = erase_old_rankings(store, CAMPAIGN, timedelta(0), worlds.noon + timedelta(days=9))
        assert watermark == 120 - sql.execute("SELECT count(*) FROM rankings").fetchone()[0]
        assert sql.execute("SELECT count(*) FROM rankings WHERE state = 'pending'").fetchone() == (10,)
        assert before >= 10


@pytest.mark.parametrize(
    ("tamper", "check"),
    [
        ("UPDATE erased_rankings SET taught = 1 - taught WHERE seq = 3", "rank chain"),
        ("DELETE FROM erased_rankings WHERE seq = 3", "rank chain"),
        (
            "INSERT INTO erased_rankings SELECT seq, campaign, chain, matured, 1, x'00' FROM rankings LIMIT 1",
            "rank chain",
        ),
    ],
)
def test_what_is_left_of_an_erased_ranking_is_signed(path, sql, failed, worlds, tamper, check):
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        erase_ranking(store, CAMPAIGN, "e2")
        with pytest.raises(UnknownDecision):
            erase_ranking(store, CAMPAIGN, "e2")
    assert failed() == {}
    sql.execute(tamper)
    if "INSERT" in tamper:
        sql.execute("DELETE FROM rankings WHERE seq = (SELECT max(seq) FROM erased_rankings WHERE signature = x'00')")
    assert check in failed()


def test_a_matured_ranking_that_waits_to_be_learned_from_is_erased_after_that(path, sql, worlds):
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        rankings = Rankings(store, CAMPAIGN, Settings(SHARES))
        now = worlds.noon + timedelta(days=1)
        made = rankings.engine.rank(request(1001), at=now)
        store.write(lambda connection: store_ranking(connection, made))
        store.write(lambda connection: mature_rankings(connection, CAMPAIGN, now + timedelta(days=1)))
        with pytest.raises(UnusableLog, match="manyarm learn"):
            erase_ranking(store, CAMPAIGN, "e1001")
        rankings.train(now + timedelta(days=1))
        erase_ranking(store, CAMPAIGN, "e1001")
        assert find_ranking(store.reader(), "e1001") is None


def test_metrics_tell_rankings_by_group_and_the_age_of_what_serves(path, worlds):
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(worlds.campaign(), worlds.noon)
        serving = Serving(store, log, clock=lambda: worlds.noon + timedelta(hours=3), settings=Settings(SHARES))
        client = TestClient(create_app(serving))
        for place in range(40):
            body = {"eventId": f"m{place}", "actions": [{"id": "a"}, {"id": "b"}]}
            assert client.post("/personalizer/v1.0/rank", json=body).status_code == 201
        said = client.get("/metrics").text
        counts = [line for line in said.splitlines() if line.startswith("manyarm_rankings_total{")]
        assert sum(float(line.split()[-1]) for line in counts) == 40
        assert {line.split('group="')[1].split('"')[0] for line in counts} == {"control", "learner", "random"}
        assert 'manyarm_rankings_open{state="pending"} 40.0' in said
        assert "manyarm_ranking_snapshot_age_seconds 1800.0" in said
        assert 'route="/personalizer/v1.0/rank"' in said


def test_the_command_erases_rankings_by_age_and_by_event(path, worlds, tmp_path, cli):
    (tmp_path / "c.toml").write_text(worlds.toml(worlds.document()), encoding="utf-8")
    (tmp_path / "s.toml").write_text('personalizer_retention = "30d"\n')
    base = ("erase", "--db", path, "--campaign", tmp_path / "c.toml", "--json")
    assert json.loads(cli.run(*base, "--event", "e4")) == {"n_rankings": 1}
    at = (worlds.noon + timedelta(days=30, minutes=30)).isoformat()
    found = json.loads(cli.run(*base, "--expired", "--settings", tmp_path / "s.toml", "--at", at))
    assert (found["n_rankings"], found["n_decisions"]) == (N - 1, 0)
    cli.run("verify", "--db", path)
