"""`verify` believes every honest log, and names the row and the check of everything that was tampered with."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from datetime import timedelta

import numpy as np
import pytest

from bandit import Outcome
from bandit.draw import draw, position_of
from service.engines import engine_for
from service.integrity import check_chain
from service.outcomes_table import record_not_sent, record_outcome
from service.rows import DECIDED, next_chain
from service.store import Store
from service.trainer import Trainer
from service.verification import verify_store

GROUPS = {"random": 0.2, "control": {"share": 0.2, "choice": {"subject": "plain", "cta": "join"}}}
N, ROUNDS = 90, 4
ROWS = f"SELECT seq, {', '.join(DECIDED)} FROM decisions ORDER BY seq"


def sections(worlds, policy):
    """A campaign with rules on context and on earlier picks, three groups and a floor."""
    subject = worlds.dimension("subject", "plain", {"id": "champion", "when": {"level": ["high"]}}, "dominate")
    cta = worlds.dimension("cta", "join", {"id": "invite", "requires": {"subject": ["champion", "dominate"]}})
    return {"groups": GROUPS, "policy": {"name": policy, "floor": 0.1}, "dimension": [subject, cta]}


def live(worlds, store, log):
    """Four days of decisions, outcomes in time and late, messages that never went out, and a snapshot a day."""
    for day in range(ROUNDS):
        at = worlds.noon + timedelta(days=4 * day)
        engine = engine_for(store, log)
        contexts = worlds.contexts(log.campaign, N, seed=day)
        made = [
            engine.decide(f"c{i % 60}", context, decision_id=f"r{day}-{i}", at=at) for i, context in enumerate(contexts)
        ]
        store.add_decisions([store.row_of(decision, log) for decision in made])

        def tell(connection, made=made, at=at):
            for i, decision in enumerate(made):
                if i % 15 == 7:
                    record_not_sent(connection, decision.decision_id)
                elif i % 4 == 0 or decision.choice["subject"] == "champion":
                    kind, when = ("click", 1) if i % 3 else ("conversion", 80)
                    outcome = Outcome(
                        f"{decision.decision_id} e", decision.decision_id, kind, at + timedelta(hours=when)
                    )
                    record_outcome(connection, outcome, store.reward_of, outcome.at)

        store.write(tell)
        Trainer(store, log).step(at + timedelta(days=3))


@pytest.fixture(scope="module", params=["squarecb", "native"])
def honest(request, worlds, tmp_path_factory):
    """A closed file with an honest log of 360 decisions and four snapshots."""
    path = tmp_path_factory.mktemp(request.param) / "manyarm.db"
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        live(worlds, store, store.open_log(worlds.campaign(**sections(worlds, request.param)), worlds.noon))
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
    """A row from the middle that the learner decided with a snapshot, of a customer who has other rows."""
    query = """SELECT seq FROM decisions WHERE "group" = 'learner' AND snapshot = 's00002' AND state = 'matured'
               AND json_extract(context, '$.level') = 'high' ORDER BY seq LIMIT 1"""
    return sql.execute(query).fetchone()[0]


@pytest.fixture
def failed(path):
    """Verifies the copy: the failures in words, by check."""

    def verify():
        with Store(path) as store:
            found = verify_store(store)
        assert found.passed == (not any(check.failures for check in found.checks))
        return {check.name: check.failures for check in found.checks if check.failures}

    return verify


def edit(sql, seq, **columns):
    for name, value in columns.items():
        sql.execute(f'UPDATE decisions SET "{name}" = ? WHERE seq = ?', (value, seq))


def cell(sql, seq, name):
    return sql.execute(f'SELECT "{name}" FROM decisions WHERE seq = ?', (seq,)).fetchone()[0]


def rechain(sql):
    """What a tamperer who knows the code does last: every chain and the head are made to fit."""
    chain, last = bytes(16), 0
    sql.execute("BEGIN")
    for last, *values in sql.execute(ROWS).fetchall():
        chain = next_chain(chain, values)
        sql.execute("UPDATE decisions SET chain = ? WHERE seq = ?", (chain, last))
    sql.execute("UPDATE head SET seq = ?, chain = ?", (last, chain))
    sql.execute("COMMIT")


def other_arm(sql, seq):
    """The row's arms with another subject line that was on offer too."""
    arms, pmf = json.loads(cell(sql, seq, "arms")), np.frombuffer(cell(sql, seq, "pmf"))
    ids = ("plain", "champion", "dominate")
    arms[0] = next(arm for arm, p in zip(ids, pmf[:3], strict=True) if p > 0 and arm != arms[0])
    return json.dumps(arms, separators=(",", ":"))


def shifted_pmf(sql, seq, worlds):
    """Another pmf of the first dimension, from which the same arm would have been drawn, with what follows from it."""
    pmf, arms = np.frombuffer(cell(sql, seq, "pmf")).copy(), json.loads(cell(sql, seq, "arms"))
    picked = ("plain", "champion", "dominate").index(arms[0])
    position = position_of("contest", cell(sql, seq, "decision_id"), "subject", salt=worlds.salt)
    pmf[:3] = np.full(3, 0.1)
    pmf[picked] = 0.8
    assert draw(pmf[:3].tolist(), position) == picked, "choose another row: this one's position lies at the edge"
    cta = json.loads(cell(sql, seq, "propensities"))[1]
    return {"pmf": pmf.tobytes(), "propensities": f"[0.8,{cta!r}]", "propensity": 0.8 * cta}


def test_an_honest_log_passes_and_every_check_has_looked_at_it(honest):
    with Store(honest) as store:
        found = verify_store(store)
        states = dict(store.reader().execute("SELECT state, count(*) FROM decisions GROUP BY state").fetchall())
        assert store.reader().execute("SELECT count(*) FROM outcomes WHERE late = 1").fetchone()[0] > 10
    assert {check.name: check.failures for check in found.checks if not check.passed} == {}
    assert found.n_rows == N * ROUNDS
    assert states == {"matured": 336, "void": 24}
    counts = {check.name: check.n_checked for check in found.checks}
    assert counts.pop("training") == ROUNDS
    assert counts.pop("reward") == 336
    assert counts.pop("sample ratio") == 60
    assert counts.pop("1/p honesty") > 200
    assert counts == dict.fromkeys(
        (
            "chain",
            "readable",
            "pmf",
            "propensity",
            "draw",
            "eligibility",
            "dead ends",
            "recomputed",
            "snapshot",
            "group",
            "campaign",
        ),
        N * ROUNDS,
    )


def test_an_honest_file_with_two_logs_passes_and_its_checks_are_told_apart(path, worlds, failed):
    with Store(path) as store:
        changed = sections(worlds, "squarecb") | {"reward": {"window": "1h", "events": {"click": 1.0}}}
        log = store.open_log(worlds.campaign(**changed), worlds.noon)
        made = worlds.decide(engine_for(store, log), 50, prefix="second")
        store.add_decisions([store.row_of(decision, log) for decision in made])
        assert {"pmf (log 1)", "pmf (log 2)"} <= {check.name for check in verify_store(store).checks}
    assert failed() == {}


def test_verifying_changes_nothing(path, failed):
    before = path.read_bytes()
    failed()
    assert path.read_bytes() == before


def test_an_edited_propensity_is_found(sql, seq, failed):
    edit(sql, seq, propensity=cell(sql, seq, "propensity") * 0.99)
    found = failed()
    assert found.keys() == {"chain", "propensity"}
    assert all(f"row {seq}, decision r2-" in found[check][0] for check in found)
    assert "joint propensity is" in found["propensity"][0]
    rechain(sql)
    assert failed().keys() == {"propensity"}


def test_a_swapped_arm_is_found(sql, seq, failed):
    edit(sql, seq, arms=other_arm(sql, seq))
    found = failed()
    assert found.keys() >= {"chain", "draw", "propensity"}
    assert all(f"row {seq}," in found[check][0] for check in found)
    rechain(sql)
    assert failed().keys() >= {"draw", "propensity"}


def test_an_arm_swapped_together_with_all_its_numbers_is_still_found_by_the_draw(sql, seq, failed):
    arms, pmf = other_arm(sql, seq), np.frombuffer(cell(sql, seq, "pmf"))
    subject = float(pmf[("plain", "champion", "dominate").index(json.loads(arms)[0])])
    cta = json.loads(cell(sql, seq, "propensities"))[1]
    edit(sql, seq, arms=arms, propensities=json.dumps([subject, cta]), propensity=subject * cta)
    rechain(sql)
    found = failed()
    assert found.keys() >= {"draw"}
    assert "propensity" not in found
    assert re.search(rf"row {seq},.*arm of 'subject' is .* draws", found["draw"][0])


def test_a_pmf_that_does_not_sum_to_one_is_found(sql, seq, failed):
    pmf = np.frombuffer(cell(sql, seq, "pmf")) * 0.98
    edit(sql, seq, pmf=pmf.tobytes())
    found = failed()
    assert found.keys() >= {"chain", "pmf", "recomputed"}
    assert f"row {seq}," in found["pmf"][0]
    rechain(sql)
    assert failed().keys() >= {"pmf", "recomputed"}


def test_a_pmf_that_is_consistent_in_itself_is_found_by_recomputing_it(sql, seq, failed, worlds):
    edit(sql, seq, **shifted_pmf(sql, seq, worlds))
    rechain(sql)
    found = failed()
    assert found.keys() == {"recomputed"}
    assert re.search(rf"row {seq},.*pmf of 'subject' differs by 0\.\d+", found["recomputed"][0])


def test_probability_on_an_arm_that_rules_removed_is_found(sql, failed):
    query = (
        """SELECT seq FROM decisions WHERE "group" = 'random' AND json_extract(context, '$.level') = 'low' LIMIT 1"""
    )
    seq = sql.execute(query).fetchone()[0]
    pmf = np.frombuffer(cell(sql, seq, "pmf")).copy()
    pmf[:3] = 1 / 3
    edit(sql, seq, pmf=pmf.tobytes())
    rechain(sql)
    assert f"row {seq}," in failed()["eligibility"][0]


def test_a_deleted_row_is_missed_by_the_snapshots_even_where_all_rows_were_chained_again(sql, seq, failed):
    sql.execute("DELETE FROM decisions WHERE seq = ?", (seq,))
    sql.execute("PRAGMA synchronous = OFF")
    for later in range(seq + 1, 361):
        sql.execute("UPDATE decisions SET seq = ? WHERE seq = ?", (later - 1, later))
    rechain(sql)
    found = failed()
    assert found.keys() == {"training", "reward"}
    assert [failure[:16] for failure in found["training"]] == ["snapshot s00003 ", "snapshot s00004 "]


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("group", "random", "recomputed"),
        ("group", "vip", "group"),
        ("context", '{"level":"low","days":3.0,"member":true}', "recomputed"),
        ("policy", "uniform", "recomputed"),
        ("snapshot", "s00001", "recomputed"),
        ("snapshot", None, "recomputed"),
        ("candidate", "steady-0.4", "recomputed"),
        ("snapshot", "s00099", "snapshot"),
        ("fallback", "the model was ill", "recomputed"),
        ("decision_id", "another id of 3", "draw"),
    ],
)
def test_whatever_else_was_edited_is_found_even_where_all_rows_were_chained_again(
    sql, seq, failed, column, value, check
):
    edit(sql, seq, **{column: value})
    rechain(sql)
    found = failed()
    assert "chain" not in found
    assert f"row {seq}, " in found[check][0] or column == "group"  # the row before it may name the customer first


def test_every_column_of_what_was_decided_is_covered_by_the_chain(sql, seq):
    for column in DECIDED:
        sql.execute("SAVEPOINT edit")
        value = b"other" if column == "pmf" else 77
        sql.execute(f"UPDATE decisions SET {column} = ? WHERE seq = ?", (value, seq))
        found = check_chain(sql).failures
        assert len(found) == 1, column
        assert found[0].startswith(f"row {seq}, decision "), column
        sql.execute("ROLLBACK TO edit")
    assert check_chain(sql).failures == []


def test_a_row_that_is_written_while_verify_reads_is_not_taken_for_one_too_many(path, worlds):
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        log = store.logs()[0]
        (late,) = worlds.decide(engine_for(store, log), 1, prefix="late ")
        row = store.row_of(late, log)

        def write_before(statement):
            if statement == "SELECT seq, chain FROM head":
                store.add_decisions([row])

        store.reader().set_trace_callback(write_before)
        found = verify_store(store)
        store.reader().set_trace_callback(None)
        assert store.last_seq() == 361
        assert [check.failures for check in found.checks if check.failures] == []
        assert not store.reader().in_transaction
