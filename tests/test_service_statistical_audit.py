"""`verify --statistics` says of each audit what was found and what to do, and fails only where the log itself is wrong."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from bandit import Context, Outcome
from evaluation.audit import Audit, AuditVerdict
from evaluation.audit_log import AuditSettings
from evaluation.audits import AUDITS
from service.commands.verify import text_of
from service.engines import engine_for
from service.outcomes_table import record_not_sent, record_outcome, record_sent
from service.statistical_audit import audit, audits_document, reports_of
from service.store import Store
from service.trainer import Trainer
from service.verification import verify_store

N, ROUNDS = 120, 2
SECTIONS = {
    "groups": {"random": 0.3, "control": {"share": 0.3, "choice": {"subject": "plain", "cta": "join"}}},
    "policy": {"name": "squarecb", "floor": 0.2},
    "context": {
        "level": {"kind": "categorical", "values": ["low", "high"]},
        "gender": {"kind": "categorical", "values": ["f", "m"], "protected": True},
    },
}
SETTINGS = AuditSettings()


def live(worlds, store, log, keeps):
    """Decisions of two days, some sent, some not, some clicked in time and some late; rows that are not kept get lost."""
    for day in range(ROUNDS):
        at = worlds.noon + timedelta(days=4 * day)
        engine = engine_for(store, log)
        contexts = worlds.contexts(log.campaign, N, seed=day)
        made = [engine.decide(f"c{day}-{i}", c, decision_id=f"r{day}-{i}", at=at) for i, c in enumerate(contexts)]
        kept = [decision for decision in made if keeps(decision)]
        store.add_decisions([store.row_of(decision, log) for decision in kept])

        def tell(connection, kept=kept, at=at, day=day):
            for i, decision in enumerate(kept):
                if i % 20 == 7:
                    record_not_sent(connection, decision.decision_id)
                    continue
                if i % 2:
                    record_sent(connection, decision.decision_id, at + timedelta(hours=1), store.reward_of, at)
                if i % 3 == 0:
                    when = at + timedelta(hours=90 if i % 60 == 0 else 3)
                    record_outcome(
                        connection, Outcome(f"e{day}-{i}", decision.decision_id, "click", when), store.reward_of, when
                    )

        store.write(tell)
        Trainer(store, log).step(at + timedelta(days=3, hours=6))


def made(worlds, path, keeps=lambda _: True):
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        live(worlds, store, store.open_log(worlds.campaign(**SECTIONS), worlds.noon), keeps)
    return path


@pytest.fixture(scope="module")
def honest(worlds, tmp_path_factory):
    """A file with an honest log of 240 decisions and two snapshots."""
    return made(worlds, tmp_path_factory.mktemp("honest") / "manyarm.db")


@pytest.fixture(scope="module")
def lossy(worlds, tmp_path_factory):
    """A file whose control rows never arrived."""
    return made(worlds, tmp_path_factory.mktemp("lossy") / "manyarm.db", lambda d: d.group != "control")


def test_an_honest_log_passes_with_every_audit(honest):
    with Store(honest) as store:
        found = verify_store(store, statistics=SETTINGS)
        alone = audit(store, store.logs()[0], SETTINGS)
        assert verify_store(store).audits == {}
    assert found.passed
    assert found.audits == {1: alone}
    assert {one.name.partition(":")[0] for one in alone} == set(AUDITS)
    assert [one.name for one in alone if one.verdict is AuditVerdict.ALARM] == []
    assert {one.name for one in alone if one.name.startswith(("population", "parity"))} == {
        "population: level",
        "population: gender",
        "parity: gender, subject",
        "parity: gender, cta",
    }


def test_rows_are_counted_where_each_audit_needs_them(honest):
    with Store(honest) as store:
        found = {one.name: one for one in audit(store, store.logs()[0])}
        reader = store.reader()
        counts = dict(reader.execute('SELECT "group", count(*) FROM decisions GROUP BY 1').fetchall())
        void = reader.execute("SELECT count(*) FROM decisions WHERE state = 'void'").fetchone()[0]
        scored = reader.execute(
            "SELECT count(*) FROM decisions WHERE estimate IS NOT NULL AND reward IS NOT NULL"
        ).fetchone()[0]
    assert found["groups"].n == N * ROUNDS
    assert found["arms: subject"].n == counts["learner"] + counts["random"]
    assert found["drift"].n == scored > 20
    assert found["rewards: void"].statistic == pytest.approx(void / (N * ROUNDS))
    assert found["rewards: machine"].found == "not recorded"


def test_outcomes_are_timed_from_the_sending_where_it_was_reported(honest):
    with Store(honest) as store:
        reports = reports_of(store, store.logs()[0])
    assert set(np.round(reports.delays, 3).tolist()) == {2.0, 3.0, 90.0}
    assert reports.is_late.tolist() == (reports.delays > 72).tolist()
    assert reports.is_machine is None


def test_rows_that_were_lost_break_the_log(lossy, cli):
    text = cli.run("verify", "--db", lossy, "--statistics", code=1)
    lines = text.splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("  groups"))
    assert "LOG IS WRONG" in lines[at]
    assert "control 0 (expected 5" in lines[at + 1]
    assert lines[at + 2].strip().startswith("What to do: Rows were lost")
    assert lines[-1] == "This log cannot be believed as it stands; see above."


def test_the_command_prints_every_audit_and_what_an_alarm_is_worth(honest, cli):
    text = cli.run("verify", "--db", honest, "--statistics")
    assert "Statistics of log 1:" in text
    for name in (
        "groups",
        "arms: cta",
        "1/p: subject",
        "calibration: cta",
        "drift",
        "opportunity: gender, cta",
        "rewards: late",
    ):
        assert f"\n  {name} " in text
    assert "1 of 20 honest logs" in text
    assert text.endswith("Every check passed.\n")
    assert "Statistics" not in cli.run("verify", "--db", honest)


def test_the_document_holds_the_same(honest, cli):
    document = json.loads(cli.run("verify", "--db", honest, "--statistics", "--json"))
    assert document["passed"]
    (log,) = document["statistics"]
    with Store(honest) as store:
        expected = audits_document(audit(store, store.logs()[0]))
    assert log["log"] == 1
    assert log["audits"] == json.loads(json.dumps(expected))
    assert {"name", "means", "verdict", "statistic", "p_value", "e_value", "n", "found", "advice"} <= log["audits"][
        0
    ].keys()
    assert "statistics" not in json.loads(cli.run("verify", "--db", honest, "--json"))


def test_the_reference_can_be_a_time(honest, cli):
    document = json.loads(
        cli.run("verify", "--db", honest, "--statistics", "--earlier-until", "2026-11-20T00:00:00Z", "--json")
    )
    found = {one["name"]: one for one in document["statistics"][0]["audits"]}
    assert found["population: level"]["verdict"] == "cannot say"
    assert "0 earlier and 240 later customers" in found["population: level"]["found"]
    cli.run("verify", "--db", honest, "--earlier-until", "2026-11-20T00:00:00Z", code=2)


def test_only_an_audit_that_judges_the_log_beyond_chance_fails_it(honest):
    with Store(honest) as store:
        found = verify_store(store)
    alarm = Audit("drift", "as expected", AuditVerdict.ALARM, 1e9, 1e-9, None, 9, "lower", "look")
    watched = replace(found, audits={1: (alarm,)})
    assert watched.passed
    assert text_of(watched).endswith("Every check passed; look at drift.")
    wrong = replace(found, audits={1: (replace(alarm, judges_log=True),)})
    assert not wrong.passed
    assert "LOG IS WRONG" in text_of(wrong)


def test_each_log_of_a_file_has_its_own_audits(worlds, tmp_path):
    with Store(tmp_path / "two.db", salt=worlds.salt, secret=worlds.secret) as store:
        for change in ({}, {"reward": {"window": "1h", "events": {"click": 1.0}}}):
            log = store.open_log(worlds.campaign(**SECTIONS | change), worlds.noon)
            made = worlds.decide(engine_for(store, log), 30, prefix=str(log.log_id))
            store.add_decisions([store.row_of(decision, log) for decision in made])
        found = verify_store(store, statistics=SETTINGS)
    assert found.passed
    assert {log_id: audits[0].n for log_id, audits in found.audits.items()} == {1: 30, 2: 30}


def test_a_row_that_does_not_fit_is_left_out_and_the_audits_are_made(worlds, tmp_path):
    path = tmp_path / "broken.db"
    with Store(path, salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(worlds.campaign(**SECTIONS), worlds.noon)
        made = worlds.decide(engine_for(store, log), 30)
        store.add_decisions([store.row_of(decision, log) for decision in made])
    connection = sqlite3.connect(path)
    connection.execute("UPDATE decisions SET pmf = ? WHERE seq = 3", (np.full(2, 0.5).tobytes(),))
    connection.execute("UPDATE decisions SET arms = ? WHERE seq = 4", ('["nothing","join"]',))
    connection.execute("UPDATE decisions SET context = 'no JSON' WHERE seq = 5")
    connection.commit()
    connection.close()
    with Store(path) as store:
        found = verify_store(store, statistics=SETTINGS)
    assert not found.passed
    assert {one.name: one.n for one in found.audits[1]}["groups"] == 27


def test_an_empty_log_cannot_say_anything(worlds, tmp_path):
    with Store(tmp_path / "empty.db") as store:
        log = store.open_log(worlds.campaign(**SECTIONS), worlds.noon)
        assert {one.verdict for one in audit(store, log)} == {AuditVerdict.CANNOT_SAY}


def test_a_delay_counts_from_when_the_message_was_to_go_out(tmp_path, worlds):
    """So does the window: a night of quiet hours is no delay of the customer's."""
    campaign = worlds.campaign(limits={"quiet_hours": {"from": "11:00", "until": "20:00"}})
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(campaign, worlds.noon)
        made = engine_for(store, log).decide("ann", Context({}), decision_id="d1", at=worlds.noon)
        assert made.send_at == worlds.noon + timedelta(hours=8)
        store.add_decisions([store.row_of(made, log)])
        click = Outcome("e1", "d1", "click", made.send_at + timedelta(hours=3))
        store.write(lambda c: record_outcome(c, click, store.reward_of, click.at))
        assert reports_of(store, log).delays == pytest.approx([3.0])
