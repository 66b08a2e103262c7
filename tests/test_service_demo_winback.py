"""The demo of winback-es: contexts out of events, Spanish texts, local hours, caps, silence, and an honest log."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pandas as pd
import pytest
from click.testing import CliRunner

from service.cli import main
from service.demos.registry import DEMOS
from service.provider_counts import counts_in_log, read_counts
from service.store import Store

NAME = "winback-es"
FILES = {"manyarm.db", "campaign.toml", "learning_curve.png", "report.txt", "data", "contexts.parquet"}


def demo(*arguments):
    """Runs the demo, 300 sends in ten days unless told otherwise: just past the window, so that a snapshot decides."""
    return CliRunner().invoke(main, ["demo", "--example", NAME, "--sends", "300", "--days", "10", *map(str, arguments)])


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """The same run in two folders: what each answered, once in words and once as a document."""
    answers = []
    with pytest.MonkeyPatch.context() as patch:
        for name, arguments in (("first", ()), ("second", ("--json",))):
            folder = tmp_path_factory.mktemp(name)
            patch.chdir(folder)
            answers.append((folder / "demo-out", demo(*arguments)))
    return answers


@pytest.fixture(scope="module")
def found(twice):
    _, answered = twice[1]
    assert answered.exit_code == 0, answered.output
    return json.loads(answered.stdout)


def test_the_demo_leaves_its_files_and_a_log_that_passes_every_check(twice, found):
    folder, _ = twice[0]
    assert {path.name for path in folder.iterdir()} >= FILES
    assert {path.name for path in (folder / "data").iterdir()} == {"customers.csv", "events.csv"}
    assert found["verify"]["passed"]
    assert {"caps", "send slots", "time"} <= {check["check"] for check in found["verify"]["checks"]}
    assert found["report"]["n_decisions"] == found["report"]["n_matured"] == found["verify"]["n_rows"]
    assert found["report"]["n_decisions"] + found["hours"]["n_capped"] == 300


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(twice):
    (first, told), (second, _) = twice
    for name in ("report.txt", "learning_curve.png", "data/customers.csv", "data/events.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert told.stdout == (first / "report.txt").read_text(encoding="utf-8")


def test_contexts_are_what_profile_makes_of_the_events_before_the_campaign(twice, cli, monkeypatch):
    folder, _ = twice[0]
    monkeypatch.chdir(folder)
    start = DEMOS[NAME].start.isoformat()
    cli.run("profile", "data/events.csv", "--customers", "data/customers.csv", "--at", start, "--out", "again.parquet")
    made, again = (pd.read_parquet(name) for name in ("contexts.parquet", "again.parquet"))
    pd.testing.assert_frame_equal(made, again)
    events = pd.read_csv("data/events.csv")
    assert (pd.to_datetime(events["at"]) < DEMOS[NAME].start).all()


def test_the_truth_says_what_silence_is_worth(found, twice):
    truth, silence = found["truth"], found["silence"]
    assert truth["uniform"] < truth["best"]
    assert truth["best"] == pytest.approx(silence["best_message"] + silence["worth"])
    assert silence["worth"] >= 0.0
    assert silence["shares"]["control"] == 0.0
    assert 0.0 < silence["shares"]["learner"] < 1.0
    text = (twice[0][0] / "report.txt").read_text(encoding="utf-8")
    assert f"silence is worth {silence['worth']:.5f}" in text
    assert "(of what the rules allow)" in text
    assert "rules ignored" not in text


def test_messages_go_out_at_hours_of_the_customers_and_keep_the_caps(found):
    hours = found["hours"]
    assert "10:00" <= hours["earliest"] <= hours["latest"] <= "21:00"
    assert hours["n_quiet"] == 0
    assert hours["most"] == {"2 within 7 days": 2}
    assert set(hours["by_slot"]) <= {"weekday-10", "weekday-14", "weekday-19", "weekday-21", "weekend-11", "weekend-18"}
    n_silent = sum(
        round(found["silence"]["shares"][line["group"]] * line["n_sends"]) for line in found["report"]["lines"]
    )
    assert sum(hours["by_slot"].values()) == found["report"]["n_decisions"] - n_silent


def test_what_sends_nothing_is_no_message_to_the_provider_nor_to_the_log(found, twice):
    with Store(twice[0][0] / "manyarm.db") as store:
        counted = counts_in_log(store, store.logs()[0])
    assert counted["sent"] == sum(found["hours"]["by_slot"].values())
    assert counted["subject=silencio"] == counted["send_slot=no_send"] == 0
    assert {slot: counted[f"send_slot={slot}"] for slot in found["hours"]["by_slot"]} == found["hours"]["by_slot"]


def test_some_messages_are_shown_as_their_customers_read_them(found, twice):
    folder, _ = twice[0]
    text = (folder / "report.txt").read_text(encoding="utf-8")
    people = pd.read_csv(folder / "data" / "customers.csv").set_index("customer_id")
    assert len({shown["parts"]["subject"] for shown in found["messages"]}) == 2
    for shown in found["messages"]:
        assert all(re.search(rf"{name} +{re.escape(said)}\n", text) for name, said in shown["parts"].items())
        assert not any("{{" in said for said in shown["parts"].values())
        zone = people.loc[shown["customer_id"], "zone"]
        assert shown["goes_out"].endswith(f" in {zone if isinstance(zone, str) else 'Europe/Madrid'}")


def test_a_folder_that_was_used_is_refused_and_left_as_it_is(twice):
    folder, _ = twice[0]
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    refused = demo("--out", folder)
    assert refused.exit_code == 2
    assert "is there already. Name another folder with --out" in refused.stderr
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()} == before


def test_tables_of_ones_own_are_never_overwritten(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "events.csv").write_text("mine")
    refused = demo("--out", tmp_path)
    assert refused.exit_code == 2
    assert "data is there already. Name another folder with --out" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert (tmp_path / "data" / "events.csv").read_text() == "mine"


def test_a_fault_is_practised_on_here_too_and_the_provider_counts_no_silence(tmp_path):
    told = demo("--sends", "100", "--days", "2", "--fault", "unvoided-sends=1.0", "--out", tmp_path / "out", "--json")
    assert told.exit_code == 0, told.output
    document = json.loads(told.stdout)
    assert "check provider" in document["alarms"]
    said = (tmp_path / "out" / "report.txt").read_text(encoding="utf-8")
    assert "Went wrong on purpose, from 2026-01-02 on:\n  unvoided-sends=1.0: Nothing goes out" in said
    counted = read_counts(tmp_path / "out" / "provider.csv")
    assert counted["sent"] == sum(document["hours"]["by_slot"].values()) > 0
    assert "subject=silencio" not in counted


def test_the_campaign_begins_when_the_year_of_events_is_over():
    assert DEMOS[NAME].start == datetime(2026, 1, 1, tzinfo=UTC)
