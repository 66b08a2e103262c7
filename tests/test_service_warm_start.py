"""A campaign that begins with what another one learned: through the command line, the store, the trainer and verify."""

from __future__ import annotations

import csv
import json
import re
import sqlite3

import pytest
from click.testing import CliRunner

from service.cli import main

NOON, LATER, LAST = "2026-11-22T12:00:00Z", "2026-11-26T12:00:00Z", "2026-12-06T12:00:00Z"
N_SENDS = 60


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in a fresh folder; a traceback is a failure whatever the status."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.output
        return result.output if code else result.stdout

    return invoke


@pytest.fixture
def played(run, worlds, tmp_path):
    """A campaign that decided, heard of clicks and learned; then its file gets a new arm."""

    def write(*arms):
        document = worlds.document(
            dimension=[worlds.dimension("subject", *arms)],
            reward={"window": "72h", "events": {"click": 1.0}},
            groups={"random": 0.2},
            learner={"learning_rate": 0.1},
        )
        (tmp_path / "campaign.toml").write_text(worlds.toml(document), encoding="utf-8")

    write("plain", "champion")
    sends(run, tmp_path, "d", NOON)
    # More than the first rows, which say where to start: a rate and its opposite have both been seen often.
    run("learn", "--at", LATER)
    run("export", "--out", "log.csv")
    write("plain", "champion", {"id": "dominate", "features": {"tone": "loud"}})
    return tmp_path


def sends(run, folder, prefix, at):
    """Sixty decisions, each third of which brings a click."""
    users = [
        {"decision_id": f"{prefix}{i}", "customer_id": f"c{i}", "level": ("low", "high")[i % 2]} for i in range(N_SENDS)
    ]
    write_csv(folder / "users.csv", users)
    run("decide", "users.csv", "--at", at)
    events = [
        {"event_id": f"e-{prefix}{i}", "decision_id": f"{prefix}{i}", "type": "click", "at": at}
        for i in range(0, N_SENDS, 3)
    ]
    write_csv(folder / "events.csv", events)
    run("record", "events.csv", "--at", at)


@pytest.mark.parametrize(
    "source",
    [("--from-snapshot", "s00001"), ("--from-log", "earlier"), ("--from-log", "log.csv")],
    ids=lambda pair: pair[1],
)
def test_a_changed_campaign_begins_warm_decides_from_it_learns_on_and_verifies(run, played, source):
    started = json.loads(run("learn", *source, "--at", LATER, "--json"))
    assert (started["snapshot"], started["n_learned"], started["skipped"]) == ("s00002", N_SENDS, {})
    sends(run, played, "second", LATER)
    run("export", "--out", "after.csv")
    with (played / "after.csv").open(newline="", encoding="utf-8") as file:
        learner = [row for row in csv.DictReader(file) if row["group"] == "learner"]
    assert {row["snapshot"] for row in learner} == {"s00002"}
    assert not any(row["fallback"] for row in learner)
    learned = json.loads(run("learn", "--at", LAST, "--json"))
    assert (learned["n_learned"], learned["serving"]) == (N_SENDS, "s00003")
    assert "ok" in run("verify")


def test_a_log_that_somebody_else_wrote_teaches_by_its_columns(run, played):
    rows = [
        {"mail": ("plain", "dominate", "other")[i % 3], "opened": int(i % 4 == 0), "level": "low"} for i in range(90)
    ]
    write_csv(played / "theirs.csv", rows)
    columns = ("--arm", "mail", "--reward", "opened", "--propensity", "0.3333", "--context", "level")
    started = json.loads(run("learn", "--from-log", "theirs.csv", *columns, "--at", LATER, "--json"))
    assert started["n_learned"] == 60
    assert list(started["skipped"].values()) == [30]


def test_their_numbers_and_yes_and_no_are_learned_as_the_campaign_declares_them(run, played):
    """Few different values once made a column a category, and every cell a missing one."""
    rows = [
        {"mail": ("plain", "champion")[i % 2], "opened": i % 4 // 3, "days": i % 7, "member": ("yes", "no")[i // 2 % 2]}
        for i in range(600)
    ]
    write_csv(played / "theirs.csv", rows)
    columns = ("--arm", "mail", "--reward", "opened", "--propensity", "0.5", "--context", "days,member")
    started = json.loads(run("learn", "--from-log", "theirs.csv", *columns, "--at", LATER, "--json"))
    assert (started["n_learned"], started["skipped"], started["unfit"]) == (600, {}, {})
    # i % 4 == 3 clicks: champion, and never together with yes. So yes and no must score far apart.
    users = [
        {"decision_id": f"{yes}{k}", "customer_id": f"u{k}", "member": yes} for yes in ("yes", "no") for k in range(40)
    ]
    write_csv(played / "users.csv", users)
    run("decide", "users.csv", "--at", LATER)
    run("export", "--out", "after.csv")
    with (played / "after.csv").open(newline="", encoding="utf-8") as file:
        expected = [(row["context.member"], float(row["estimate"])) for row in csv.DictReader(file) if row["estimate"]]
    yes, no = ([e for member, e in expected if member == word] for word in ("true", "false"))
    assert max(yes) < min(no)


def test_bad_cells_are_skipped_and_counted_and_what_does_not_fit_is_named(run, played):
    with (played / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows[0]["reward"], rows[1]["propensity.subject"], rows[2]["context.days"] = "lots", "often", "many"
    rows[3]["state"], rows[4]["group"] = "pending", "control"
    write_csv(played / "edited.csv", rows)
    started = json.loads(run("learn", "--from-log", "edited.csv", "--at", LATER, "--json"))
    assert (started["n_learned"], sum(started["skipped"].values())) == (N_SENDS - 4, 4)
    assert started["unfit"] == {"days": 1}
    assert {"no number as reward", "no number as propensity"} < started["skipped"].keys()


def test_earlier_rows_whose_window_has_passed_are_closed_first(run, worlds, played):
    sends(run, played, "more", LATER)
    (played / "campaign.toml").write_text(
        (played / "campaign.toml").read_text(encoding="utf-8").replace("loud", "louder"), encoding="utf-8"
    )
    started = json.loads(run("learn", "--from-log", "earlier", "--at", LAST, "--json"))
    assert started["n_learned"] == 2 * N_SENDS


def test_a_campaign_that_has_learned_is_not_started_over(run, played):
    run("learn", "--from-log", "earlier", "--at", LATER)
    found = run("learn", "--from-snapshot", "s00001", "--at", LATER, code=2)
    assert "has learned already (snapshot s00002)" in found
    assert json.loads(run("learn", "--at", LATER, "--json"))["serving"] == "s00002"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--from-snapshot", "s00009"), "s00009.*is not in this database"),
        (("--from-snapshot", "s00001", "--from-log", "earlier"), "two beginnings"),
        (("--from-log", "no-such.csv"), "no such file"),
        (("--from-log", "users.csv"), "no column 'reward', 'arm.subject'.*--arm, --reward"),
        (("--from-log", "log.csv", "--arm", "arm.subject"), "--arm and --reward go together"),
        (("--from-log", "log.csv", "--context", "level"), "--context goes with --arm and --reward"),
        (("--from-log", "log.csv", "--arm", "group", "--reward", "reward"), "no row teaches this campaign anything"),
        (
            ("--from-log", "log.csv", "--arm", "arm.subject", "--reward", "reward", "--context", "policy,level"),
            "no column 'level'",
        ),
        (
            ("--from-log", "log.csv", "--arm", "arm.subject", "--reward", "reward", "--context", "policy"),
            "policy, which the campaign does not declare.*Rename the columns",
        ),
    ],
)
def test_a_wrong_source_is_refused_with_what_to_do(run, played, arguments, found):
    output = run("learn", *arguments, "--at", LATER, code=2)
    assert re.search(f"(?s){found}", output.replace("\n", " ")), output
    with sqlite3.connect("manyarm.db") as connection:
        assert connection.execute("SELECT count(*) FROM snapshots WHERE log_id > 1").fetchone() == (0,)


def test_show_names_the_candidate_that_serves_and_how_the_others_stand(run, worlds, tmp_path):
    document = worlds.document(dimension=[worlds.dimension("subject", "plain", "champion")])
    (tmp_path / "campaign.toml").write_text(worlds.toml(document), encoding="utf-8")
    sends(run, tmp_path, "d", NOON)
    run("learn", "--at", LATER)
    shown = json.loads(run("snapshot", "show", "s00001", "--json"))
    assert shown["candidate"] in shown["losses"]
    assert len(shown["losses"]) == 4
    assert all(row <= N_SENDS for row, _ in shown["switches"])
