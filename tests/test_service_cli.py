"""The command line, from a campaign file to a verified log, in a fresh folder each time."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from bandit.campaign_file import load_campaign
from bandit.log import columns_of
from service.app import VERSION
from service.cli import main
from service.clock import system_clock

NOON, LATER = "2026-11-22T12:00:00Z", "2026-11-26T12:00:00Z"
USERS = [
    {"customer_id": f"c{i}", "level": ("low", "high", "")[i % 3], "days": str(i), "member": ("yes", "", "0")[i % 3]}
    for i in range(30)
]


def write_csv(path, rows):
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def with_ids(prefix="d"):
    return [{"decision_id": f"{prefix}{i}"} | user for i, user in enumerate(USERS)]


def invoke(*arguments, code=0):
    """Runs a command and checks its exit status; a traceback is a failure whatever the status."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"manyarm {' '.join(map(str, arguments))}: a traceback") from result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in a fresh folder; see `invoke`."""
    monkeypatch.chdir(tmp_path)
    return invoke


@pytest.fixture
def campaign(run, worlds, tmp_path):
    """A small campaign file in the fresh folder."""
    return campaign_in(tmp_path, worlds)


def campaign_in(folder, worlds):
    control = {"share": 0.2, "choice": {"subject": "plain", "cta": "join"}}
    text = worlds.toml(worlds.document(groups={"random": 0.2, "control": control}))
    (folder / "campaign.toml").write_text(text, encoding="utf-8")
    return load_campaign(folder / "campaign.toml")


@pytest.fixture(scope="module")
def decided_folder(worlds, tmp_path_factory):
    """A folder with thirty decisions d0 to d29, made at noon."""
    folder = tmp_path_factory.mktemp("decided")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        campaign_in(folder, worlds)
        write_csv("users.csv", with_ids())
        invoke("decide", "users.csv", "--at", NOON)
    return folder


@pytest.fixture(scope="module")
def learned_folder(decided_folder, tmp_path_factory):
    """The same with clicks, and three snapshots."""
    folder = shutil.copytree(decided_folder, tmp_path_factory.mktemp("learned") / "folder")
    events = [
        {"event_id": f"e{i}", "decision_id": f"d{i}", "type": "click", "at": "2026-11-22T15:00:00Z"}
        for i in range(0, 30, 3)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_csv("events.csv", events)
        invoke("record", "events.csv", "--at", NOON)
        invoke("learn", "--at", LATER)
        for n in (2, 3):
            write_csv("users.csv", with_ids(f"round{n}-"))
            invoke("decide", "users.csv", "--at", f"2026-12-{10 * n - 9:02}T12:00:00Z")
            invoke("learn", "--at", f"2026-12-{10 * n:02}T12:00:00Z")
    return folder


@pytest.fixture
def decided(run, decided_folder, tmp_path):
    """A copy of the folder with thirty decisions; returns the choices."""
    shutil.copytree(decided_folder, tmp_path, dirs_exist_ok=True)
    return read_csv(decided_folder / "choices.csv")


@pytest.fixture
def learned(run, learned_folder, decided_folder, tmp_path):
    """A copy of the folder with three snapshots; returns the choices of the thirty."""
    shutil.copytree(learned_folder, tmp_path, dirs_exist_ok=True)
    return read_csv(decided_folder / "choices.csv")


def test_init_writes_a_campaign_without_faults_and_never_overwrites_one(run, tmp_path):
    assert "Wrote campaign.toml" in run("init").stdout
    assert json.loads(run("check", "--json").stdout)["ok"] is True
    (tmp_path / "campaign.toml").write_text("mine")
    assert "is there already and was not touched" in run("init", code=2).stderr
    assert (tmp_path / "campaign.toml").read_text() == "mine"
    assert json.loads(run("init", "--out", "other.toml", "--json").stdout)["campaign"] == "other.toml"


def test_a_contest_begins_on_the_day_on_which_its_file_is_written(run, tmp_path):
    before = system_clock().date()
    run("init", "--out", "contest.toml")
    assert before <= load_campaign(tmp_path / "contest.toml").time.span.begins <= system_clock().date()


def test_check_says_what_is_in_a_campaign_and_what_may_surprise(run, campaign):
    assert "contest: no faults." in run("check").stdout
    found = json.loads(run("check", "--json").stdout)
    assert (found["campaign"], found["faults"], found["hash"]) == ("contest", [], campaign.content_hash)


def test_check_names_every_fault_at_once_those_of_policy_and_learner_too(run, worlds, tmp_path):
    (tmp_path / "bad.toml").write_text(
        worlds.toml(worlds.document(policy={"name": "squarecb", "floor": 1.5}, reward={}))
    )
    shown = run("check", "bad.toml", code=1).stdout
    assert all(place in shown for place in ("policy.floor: found 1.5", "reward.window", "reward.events"))
    found = json.loads(run("check", "bad.toml", "--json", code=1).stdout)
    assert found["ok"] is False
    assert {fault["where"] for fault in found["faults"]} == {"policy.floor", "reward.window", "reward.events"}
    (tmp_path / "worse.toml").write_text(worlds.toml(worlds.document(policy={"name": "squarebc"})))
    assert "policy.name: found 'squarebc'" in run("check", "worse.toml", code=1).stdout


def test_decide_answers_every_row_in_order_with_its_arms_texts_and_propensity(run, campaign, decided):
    assert [row["customer_id"] for row in decided] == [user["customer_id"] for user in USERS]
    assert [row["decision_id"] for row in decided] == [f"d{i}" for i in range(30)]
    columns = ["decision_id", "customer_id", "group", "arm.subject", "arm.cta", "text.subject", "text.cta"]
    assert list(decided[0]) == [*columns, "propensity", "send_at", "status"]
    assert {row["group"] for row in decided} == {"learner", "random", "control"}
    for row in decided:
        expected = 1.0 if row["group"] == "control" else pytest.approx(1 / 6, rel=1e-15)
        assert float(row["propensity"]) == expected


def test_parquet_in_and_out_gives_the_choices_that_csv_gives(run, campaign, decided):
    typed = [
        {"decision_id": f"d{i}", "customer_id": user["customer_id"], "level": user["level"] or None, "days": i}
        | {"member": (True, None, False)[i % 3]}
        for i, user in enumerate(USERS)
    ]
    pq.write_table(pa.Table.from_pylist(typed), "users.parquet")
    run("decide", "users.parquet", "--out", "choices.parquet", "--at", NOON)
    table = pq.read_table("choices.parquet")
    assert table.schema.field("propensity").type == pa.float64()
    assert [row["arm.subject"] for row in table.to_pylist()] == [row["arm.subject"] for row in decided]
    run("decide", "users.parquet", "--db", "fresh.db", "--out", "fresh.parquet", "--at", NOON)
    assert pq.read_table("fresh.parquet").schema == table.schema


def test_the_same_table_again_gives_the_same_file_and_no_second_row_whatever_serves(run, learned):
    write_csv("users.csv", with_ids())
    run("decide", "users.csv", "--out", "again.csv", "--at", "2027-01-01T00:00:00Z")
    assert read_csv("again.csv") == learned
    assert json.loads(run("verify", "--json").stdout)["n_rows"] == 90


def test_without_decision_ids_a_second_wave_must_be_asked_for(run, campaign):
    write_csv("users.csv", USERS)
    ids = set()
    for again in ([], ["--again"]):
        run("decide", "users.csv", "--at", NOON, *again)
        ids |= {row["decision_id"] for row in read_csv("choices.csv")}
    assert len(ids) == 60
    before = Path("choices.csv").read_bytes()
    assert "Say --again for a new wave" in run("decide", "users.csv", "--at", LATER, code=2).stderr
    assert Path("choices.csv").read_bytes() == before
    assert json.loads(run("verify", "--json").stdout)["n_rows"] == 60


def test_record_takes_a_table_and_single_events_and_says_what_became_of_each(run, decided):
    events = [
        {"event_id": "e1", "decision_id": "d1", "type": "click", "at": "2026-11-22T13:00:00+01:00"},
        {"event_id": "e1", "decision_id": "d1", "type": "click", "at": NOON},
        {"event_id": "e2", "decision_id": "d2", "type": "click", "at": "2026-11-29T12:00:00Z"},
        {"event_id": "", "decision_id": "d3", "type": "sent", "at": NOON},
        {"event_id": "", "decision_id": "d4", "type": "not_sent", "at": ""},
    ]
    write_csv("events.csv", events)
    found = json.loads(run("record", "events.csv", "--at", "2026-11-29T12:00:00Z", "--json").stdout)
    assert found == {"accepted": 3, "duplicate": 1, "late": 1, "deferred": 0, "refused": []}
    single = ("record", "--decision", "d5", "--type", "click", "--event-id", "e5", "--at", NOON)
    assert "accepted 1" in run(*single).stdout
    assert "duplicate 1" in run(*single).stdout
    assert "accepted 1" in run("record", "--decision", "d6", "--type", "not_sent").stdout


def test_a_report_that_is_refused_is_shown_and_spoils_no_other(run, decided):
    rows = [("e1", "d1", "click"), ("e2", "nobody", "click"), ("e3", "d3", "open"), ("e4", "d4", "click")]
    write_csv("events.csv", [dict(zip(("event_id", "decision_id", "type"), row, strict=True)) for row in rows])
    found = json.loads(run("record", "events.csv", "--at", NOON, "--json", code=1).stdout)
    assert (found["accepted"], len(found["refused"])) == (2, 2)
    assert "click e2: no decision 'nobody'" in found["refused"][0]
    assert "'open' is not in [reward].events" in found["refused"][1]


@pytest.mark.parametrize("bad", [("e2", "", "click", ""), ("e2", "d2", "click", "yesterday"), ("", "d2", "click", "")])
def test_a_report_that_cannot_be_read_is_shown_and_spoils_no_other(run, decided, bad):
    """`record --help`: a row that cannot be recorded is shown and spoils no other; then the exit status is 1."""
    rows = [("e1", "d1", "click", ""), bad, ("e3", "d3", "click", "")]
    write_csv("events.csv", [dict(zip(("event_id", "decision_id", "type", "at"), row, strict=True)) for row in rows])
    found = json.loads(run("record", "events.csv", "--at", NOON, "--json", code=1).stdout)
    assert (found["accepted"], len(found["refused"])) == (2, 1)
    assert "row 2" in found["refused"][0]


def test_learn_waits_for_the_windows_and_then_learns(run, decided):
    nothing = {"n_matured": 0, "n_learned": 0, "snapshot": None, "serving": None}
    assert json.loads(run("learn", "--at", NOON, "--json").stdout) == nothing
    assert "none to learn from" in run("learn", "--at", NOON).stdout
    n_learned = sum(row["group"] != "control" for row in decided)
    found = json.loads(run("learn", "--at", LATER, "--json").stdout)
    assert found == {"n_matured": 30, "n_learned": n_learned, "snapshot": "s00001", "serving": "s00001"}


def test_export_writes_the_columns_of_the_log_with_pmfs_in_the_campaigns_arm_order(run, campaign, learned):
    assert json.loads(run("export", "--json").stdout) == {"out": "log.parquet", "n_rows": 90}
    table = pq.read_table("log.parquet")
    assert tuple(table.column_names) == columns_of(campaign)
    pmf = table.schema.field("pmf.subject").type
    assert (pa.types.is_list(pmf), pmf.value_type) == (True, pa.float64())
    types = {name: str(table.schema.field(name).type) for name in ("decided_at", "context.days", "context.member")}
    assert types == {"decided_at": "timestamp[us, tz=UTC]", "context.days": "double", "context.member": "bool"}
    for row in table.to_pylist():
        arms = campaign.dimensions[0].ids
        assert row["pmf.subject"][arms.index(row["arm.subject"])] == row["propensity.subject"]
        assert sum(row["pmf.subject"]) == pytest.approx(1.0, abs=1e-9)
        assert row["propensity"] == row["propensity.subject"] * row["propensity.cta"]
        assert row["state"] == "matured"


def test_the_log_as_csv_says_what_the_log_as_parquet_says(run, campaign, learned):
    run("export", "--out", "log.parquet")
    run("export", "--out", "log.csv")
    rows = read_csv("log.csv")
    assert tuple(rows[0]) == columns_of(campaign)
    for text, typed in zip(rows, pq.read_table("log.parquet").to_pylist(), strict=True):
        assert list(json.loads(text["pmf.cta"]).items()) == list(zip(("join", "invite"), typed["pmf.cta"], strict=True))
        for name in ("propensity", "reward", "context.days"):
            assert float(text[name]) == typed[name]
        assert text["context.member"] == {True: "true", False: "false", None: ""}[typed["context.member"]]
        assert text["snapshot"] == (typed["snapshot"] or "")
        assert text["decided_at"] == typed["decided_at"].isoformat()


def test_verify_passes_on_what_the_commands_wrote(run, learned):
    assert "Every check passed." in run("verify").stdout
    found = json.loads(run("verify", "--json").stdout)
    assert (found["passed"], found["n_rows"]) == (True, 90)
    assert {check["n_failed"] for check in found["checks"]} == {0}


def test_verify_exits_with_1_and_names_the_row_of_a_log_that_was_tampered_with(run, learned):
    connection = sqlite3.connect("manyarm.db")
    connection.execute("UPDATE decisions SET propensity = 0.5 WHERE seq = 7")
    connection.commit()
    connection.close()
    shown = run("verify", code=1).stdout
    assert "row 7, decision d6: joint propensity is 0.5" in shown
    assert "This log cannot be believed as it stands" in shown
    found = json.loads(run("verify", "--json", code=1).stdout)
    assert {check["check"] for check in found["checks"] if check["n_failed"]} == {"chain", "propensity"}


def test_snapshots_are_listed_shown_promoted_and_rolled_back(run, learned):
    def serving():
        return [row["snapshot"] for row in json.loads(run("snapshot", "list", "--json").stdout) if row["is_serving"]]

    assert [row["snapshot"] for row in json.loads(run("snapshot", "list", "--json").stdout)] == [
        f"s0000{n}" for n in (1, 2, 3)
    ]
    assert "s00003*" in run("snapshot", "list").stdout
    shown = json.loads(run("snapshot", "show", "s00002", "--json").stdout)
    assert (shown["learner"], shown["watermark"], shown["parent"]) == ("regression", 60, "s00001")
    assert json.loads(run("snapshot", "rollback", "--json").stdout) == {"serving": "s00002"}
    assert serving() == ["s00002"]
    run("snapshot", "rollback")
    assert serving() == ["s00001"]
    assert "no earlier snapshot" in run("snapshot", "rollback", code=2).stderr
    assert "s00003 serves" in run("snapshot", "promote", "s00003", "--without-gate").stdout
    assert serving() == ["s00003"]
    assert "'s00009'" in run("snapshot", "promote", "s00009", code=2).stderr


def test_what_is_promoted_decides(run, learned):
    for name in ("s00001", "s00003"):
        run("snapshot", "promote", name, "--without-gate")
        write_csv("users.csv", with_ids(f"by-{name}-"))
        run("decide", "users.csv", "--at", "2027-01-01T00:00:00Z")
        run("export", "--out", "log.csv")
        assert {row["snapshot"] for row in read_csv("log.csv")[-30:] if row["group"] == "learner"} == {name}


def test_a_changed_campaign_file_is_said_to_begin_a_new_log(run, learned):
    text = Path("campaign.toml").read_text()
    Path("campaign.toml").write_text(text.replace('"72h"', '"24h"'))
    write_csv("users.csv", with_ids("changed"))
    changed = run("decide", "users.csv", "--at", LATER)
    assert "A new log begins in the same database" in changed.stderr
    assert json.loads(run("export", "--json").stdout)["n_rows"] == 30
    Path("campaign.toml").write_text(text)
    assert json.loads(run("export", "--json").stdout)["n_rows"] == 90
    assert json.loads(run("verify", "--json").stdout)["n_rows"] == 120


def test_a_gate_refuses_what_no_unseen_send_speaks_for(run, learned):
    run("snapshot", "rollback")
    shown = json.loads(run("snapshot", "promote", "s00003", "--json", code=1).stdout)
    assert (shown["serving"], shown["passed"]) == ("s00002", False)
    assert "no send has matured since s00003 was trained" in shown["reasons"][0]
    assert "--without-gate" in shown["reasons"][0]


def test_learning_with_a_gate_leaves_what_serves_until_the_next_time(run, learned):
    write_csv("users.csv", with_ids("gated-"))
    run("decide", "users.csv", "--at", "2027-01-01T00:00:00Z")
    first = json.loads(run("learn", "--gate", "--at", "2027-02-01T00:00:00Z", "--json").stdout)
    assert (first["snapshot"], first["serving"]) == ("s00004", "s00003")
    assert "gate" not in first
    second = json.loads(run("learn", "--gate", "--at", "2027-03-01T00:00:00Z", "--json", code=1).stdout)
    assert second["serving"] == "s00003"
    assert second["gate"]["passed"] is False


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("service.commands.serve", {"evaluation", "statsmodels", "scipy.special", "pandas"}),
        ("service.commands.decide", {"evaluation", "statsmodels", "scipy.special", "pandas", "cryptography"}),
        ("service.commands.learn", {"statsmodels", "scipy.special", "pandas"}),
        ("service.commands.check", {"statsmodels", "scipy.special", "pandas"}),
    ],
)
def test_nobody_waits_for_statistics_before_the_first_decision(module, unneeded):
    script = f"import sys, {module}; print(*{unneeded} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []


def test_the_command_line_starts_without_what_only_some_commands_need():
    script = "import sys, service.cli; print(*{'fastapi', 'scipy.special', 'optuna'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "\n"


def test_the_version_is_the_packages_own(run):
    assert run("--version").stdout == f"manyarm, version {VERSION}\n"
