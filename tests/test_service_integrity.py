"""The chain, the rewards and the snapshots of a store: nothing is edited, removed, added or voided unseen."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import timedelta

import pytest

from bandit import Outcome
from service.engines import engine_for
from service.outcomes_table import record_outcome
from service.store import Store
from service.trainer import Trainer
from service.verification import verify_store

LAST = 120
MATURED = "(SELECT min(seq) FROM decisions WHERE state = 'matured' AND seq > 50 AND \"group\" <> 'control')"
CLICKED = "(SELECT decision_id FROM decisions WHERE state = 'matured' AND reward > 0 ORDER BY seq LIMIT 1)"


@pytest.fixture(scope="module")
def honest(worlds, tmp_path_factory):
    """A closed file with 120 decisions in three rounds, the last of them pending, and two snapshots."""
    path = tmp_path_factory.mktemp("honest") / "manyarm.db"
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(worlds.campaign(groups={"random": 0.3}), worlds.noon)
        for day in (0, 4, 8):
            at = worlds.noon + timedelta(days=day)
            made = worlds.decide(engine_for(store, log), LAST // 3, seed=day, prefix=f"r{day}-")
            store.add_decisions([store.row_of(decision, log) for decision in made])
            for decision in made[::3]:
                click = Outcome(f"{decision.decision_id} e", decision.decision_id, "click", decision.decided_at)
                store.write(lambda c, click=click: record_outcome(c, click, store.reward_of, click.at))
            if day < 8:
                Trainer(store, log).step(at + timedelta(days=4))
    return path


@pytest.fixture
def path(honest, tmp_path):
    """A copy of the honest file, to be tampered with."""
    return shutil.copy(honest, tmp_path / "manyarm.db")


@pytest.fixture
def sql(path):
    """Raw access to the copy."""
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def seq(sql):
    """A row from the middle that was learned from."""
    return sql.execute(f"SELECT {MATURED}").fetchone()[0]


@pytest.fixture
def failed(path):
    """Verifies the copy: the failures in words, by check."""

    def verify():
        with Store(path) as store:
            return {check.name: check.failures for check in verify_store(store).checks if not check.passed}

    return verify


def test_the_file_is_honest_before_anybody_touches_it(failed, sql):
    assert failed() == {}
    states = dict(sql.execute("SELECT state, count(*) FROM decisions GROUP BY state").fetchall())
    assert states == {"matured": 80, "pending": 40}


def test_a_row_deleted_from_the_middle_is_found(sql, seq, failed):
    sql.execute("DELETE FROM decisions WHERE seq = ?", (seq,))
    found = failed()
    assert found["chain"] == [f"row {seq} is missing"]
    assert "learned" in found["training"][0]


def test_a_gap_of_several_rows_is_found_once_with_both_ends(sql, seq, failed):
    sql.execute("DELETE FROM decisions WHERE seq BETWEEN ? AND ?", (seq, seq + 4))
    assert failed()["chain"] == [f"row {seq} to {seq + 4} is missing"]


def test_a_row_deleted_at_the_end_is_found(sql, failed):
    sql.execute("DELETE FROM decisions WHERE seq = 120")
    assert failed()["chain"] == ["the log ends at row 119, but row 120 was written: rows are missing at the end"]


def test_two_rows_that_changed_places_are_found(sql, seq, failed):
    for old, new in ((seq, -1), (seq + 1, seq), (-1, seq + 1)):
        sql.execute("UPDATE decisions SET seq = ? WHERE seq = ?", (new, old))
    found = failed()
    assert found.keys() == {"chain"}
    assert {failure.split(",")[0] for failure in found["chain"]} >= {f"row {seq}", f"row {seq + 1}"}


@pytest.mark.parametrize(
    ("seq", "checks"),
    [(121, {"chain", "draw", "reward"}), (130, {"chain", "draw", "reward"}), (0, {"chain", "reward"})],
)
def test_a_row_added_by_hand_is_found_wherever_it_was_put(sql, failed, seq, checks):
    columns = [name for _, name, *_ in sql.execute("PRAGMA table_info(decisions)")]
    same = ", ".join(f'"{name}"' for name in columns if name not in {"seq", "decision_id", "matured"})
    sql.execute(
        f"INSERT INTO decisions (seq, decision_id, {same}) SELECT ?, 'forged', {same} FROM decisions WHERE seq = 70",
        (seq,),
    )
    found = failed()
    assert found.keys() == checks
    assert all(f"row {seq}, decision forged" in found[check][0] for check in checks - {"chain", "reward"})
    assert found["reward"] == [f"row {seq}: its state is 'matured', which it cannot have"]


def test_a_row_added_with_a_chain_of_its_own_is_found_by_the_head(sql, failed):
    sql.execute("UPDATE head SET seq = 119, chain = (SELECT chain FROM decisions WHERE seq = 119)")
    assert failed()["chain"] == ["the log ends at row 120, but row 119 was written: rows are missing at the end"]


@pytest.mark.parametrize(
    ("edit", "check"),
    [
        (f"UPDATE decisions SET reward = 1.0 WHERE seq = {MATURED}", "reward"),
        (f"UPDATE decisions SET reward = NULL WHERE seq = {MATURED}", "reward"),
        (f"DELETE FROM outcomes WHERE decision_id = {CLICKED}", "reward"),
        (f"UPDATE outcomes SET type = 'conversion' WHERE decision_id = {CLICKED}", "reward"),
        (f"UPDATE outcomes SET late = 1 WHERE decision_id = {CLICKED}", "reward"),
        (f"UPDATE decisions SET matured = NULL WHERE seq = {MATURED}", "training"),
        (f"UPDATE decisions SET state = 'pending', reward = NULL, matured = NULL WHERE seq = {MATURED}", "training"),
        (f"UPDATE decisions SET state = 'void', reward = NULL WHERE seq = {MATURED}", "reward"),
        (f"UPDATE decisions SET state = 'void' WHERE seq = {MATURED}", "reward"),
        (f"UPDATE decisions SET matured = NULL WHERE seq = {MATURED}", "reward"),
        (f"UPDATE decisions SET state = 'expired', reward = NULL, matured = NULL WHERE seq = {MATURED}", "reward"),
        (f"UPDATE decisions SET state = 'void', reward = NULL, matured = NULL WHERE seq = {MATURED}", "reward"),
        ("UPDATE decisions SET state = 'void', reward = NULL, matured = NULL WHERE matured = 80", "reward"),
        ("UPDATE decisions SET state = 'void', sent_at = decided_at WHERE seq = 120", "reward"),
        ("UPDATE decisions SET state = 'deferred' WHERE seq = 120", "reward"),
        ("UPDATE decisions SET state = 'matured', reward = 1.0 WHERE seq = 120", "reward"),
        ("UPDATE snapshots SET n_learned = 3 WHERE snapshot = 's00001'", "training"),
        ("UPDATE snapshots SET body = zeroblob(length(body)) WHERE snapshot = 's00001'", "training"),
        ("UPDATE snapshots SET sha256 = 'abc' WHERE snapshot = 's00001'", "snapshot"),
        ("DELETE FROM snapshots WHERE snapshot = 's00001'", "snapshot"),
    ],
)
def test_an_edit_beside_the_chain_is_found_by_the_check_it_concerns(sql, failed, edit, check):
    assert sql.execute(edit).rowcount == 1
    found = failed()
    assert "chain" not in found
    assert found.get(check)


def test_rows_hidden_as_never_sent_are_named_by_the_numbers_they_leave_free(sql, failed):
    sql.execute("UPDATE decisions SET state = 'void', reward = NULL, matured = NULL WHERE matured IN (7, 20, 21, 80)")
    assert failed()["reward"] == [
        "no row has matured as number 7",
        "no row has matured as number 20 to 21",
        "rows up to number 80 were learned from, the last that has matured is number 79",
    ]


def test_a_number_that_is_given_twice_is_found(sql, failed):
    sql.execute("DROP INDEX decisions_matured")
    sql.execute("UPDATE decisions SET matured = 6 WHERE matured = 7")
    assert "the number 6 in the order of maturing stands twice" in failed()["reward"][0]


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_one_changed_byte_of_a_snapshot_is_found_wherever_it_is(sql, failed, place):
    body = bytearray(sql.execute("SELECT body FROM snapshots WHERE snapshot = 's00002'").fetchone()[0])
    body[int(place * (len(body) - 1))] ^= 0x40
    sql.execute("UPDATE snapshots SET body = ? WHERE snapshot = 's00002'", (bytes(body),))
    found = failed()
    assert found.keys() == {"snapshot", "training"}
    assert "snapshot 's00002'" in found["training"][0]
    assert "checksum differs" in found["snapshot"][0]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("pmf", b"short"),
        ("context", "not JSON"),
        ("context", "[1,2]"),
        ("arms", "[1,2]"),
        ("propensities", '["a","b"]'),
        ("decided_at", "yesterday"),
    ],
)
def test_a_row_that_cannot_even_be_read_is_named_and_stops_nothing(sql, failed, seq, column, value):
    """`verify` promises to raise nothing for a bad row: the others have to be looked at too."""
    sql.execute(f"UPDATE decisions SET {column} = ? WHERE seq = ?", (value, seq))
    assert any(f"row {seq}" in failure for failures in failed().values() for failure in failures)


@pytest.mark.parametrize(
    "edit", ["DELETE FROM head", "UPDATE head SET seq = 121", "UPDATE head SET chain = zeroblob(3)"]
)
def test_a_head_that_was_tampered_with_is_found(sql, failed, edit):
    sql.execute(edit)
    assert failed().keys() == {"chain"}
