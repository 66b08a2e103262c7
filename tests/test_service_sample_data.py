"""The sample campaigns can be walked from events to verified decisions, with customers that are made up."""

from __future__ import annotations

import csv
import json

import pandas as pd
import pytest
from click.testing import CliRunner

from bandit import read_campaign
from bandit.profile.checked_events import checked_events
from bandit.profile.spec import ProfileSpec
from service.cli import main
from service.event_tables import read_events
from service.sample import SAMPLES, sample_text
from service.sample_data import DATA, sample_tables

AT = "2026-01-01T00:00:00Z"


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def refused(*arguments):
    """What a command says that cannot be done."""
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 2, found.output
    return found.stderr


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_sample_has_customers_and_events_of_its_own():
    assert DATA.keys() == SAMPLES.keys()


@pytest.mark.parametrize("example", SAMPLES)
def test_every_sample_goes_from_events_to_decisions_that_verify(cli, folder, example):
    cli.run("init", "--example", example, "--data", "data", "--customers", 60)
    cli.run("check")
    cli.run("profile", "data/events.csv", "--customers", "data/customers.csv", "--at", AT, "--load", "manyarm.db")
    campaign = read_campaign(sample_text(example))
    others = [
        name
        for name in rows(folder / "data" / "customers.csv")[0]
        if name not in {"customer_id", *(f.name for f in campaign.schema.fields)}
    ]
    assert others, "a sample's texts name somebody"
    cli.run("decide", "--users", "contexts.parquet", "--variables", ",".join(others), "--at", AT)
    made = rows(folder / "choices.csv")
    assert len(made) == 60
    assert not any("{{" in cell for row in made for name, cell in row.items() if name.startswith("text."))
    assert "Every check passed" in cli.run("verify")


def test_the_same_seed_makes_the_same_customers_and_another_one_others():
    first, again, other = (sample_tables("winback-es", 30, seed) for seed in (4, 4, 5))
    pd.testing.assert_frame_equal(first[0], again[0])
    pd.testing.assert_frame_equal(first[1], again[1])
    assert not first[0].equals(other[0])


@pytest.mark.parametrize("example", SAMPLES)
def test_made_up_events_have_no_fault_and_zones_that_the_campaign_knows(cli, folder, example):
    cli.run("init", "--example", example, "--data", "data", "--customers", 40)
    events, quality = checked_events(
        read_events(folder / "data" / "events.csv").table, ProfileSpec(), until=pd.Timestamp(AT)
    )
    assert len(events) == len(rows(folder / "data" / "events.csv"))
    assert "duplicate" not in str(quality)
    if example == "winback-es":
        assert set(events["zone"].cat.categories) <= set(read_campaign(sample_text(example)).schema["zone"].values)


def test_files_that_are_there_are_not_touched(cli, folder):
    (folder / "data").mkdir()
    (folder / "data" / "events.csv").write_text("mine")
    found = refused("init", "--data", "data")
    assert "data/events.csv is there already and was not touched" in found
    assert (folder / "data" / "events.csv").read_text() == "mine"
    assert not (folder / "campaign.toml").exists()


def test_what_the_table_of_customers_says_stands_before_what_events_say(cli, folder):
    cli.run("init", "--data", "data", "--customers", 20)
    (folder / "more.csv").write_text("customer_id,device,country\nc000000,tablet,jp\n007,desktop,\n", encoding="utf-8")
    said = json.loads(cli.run("profile", "data/events.csv", "--customers", "more.csv", "--at", AT, "--json"))
    table = pd.read_parquet(folder / "contexts.parquet").set_index("customer_id")
    assert (table.loc["c000000", "device"], table.loc["c000000", "country"]) == ("tablet", "jp")
    assert table.loc["007", "device"] == "desktop"
    assert pd.isna(table.loc["007", "account_age_days"])
    assert table["device"].notna().sum() > 10
    assert said["n_customers"] == len(table)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("customer_id,device\na,mobile\na,tablet\n", "names 1 customers more than once, 'a' for one"),
        ("name,device\na,mobile\n", "every row needs a customer_id; it has the columns name, device"),
        ("customer_id,device\n,mobile\n", "every row needs a customer_id"),
    ],
)
def test_a_table_of_customers_that_leaves_a_doubt_is_refused_and_nothing_is_written(cli, folder, text, said):
    cli.run("init", "--data", "data", "--customers", 5)
    (folder / "more.csv").write_text(text, encoding="utf-8")
    found = refused("profile", "data/events.csv", "--customers", "more.csv", "--at", AT, "--load", "x.db")
    assert said in found
    assert not (folder / "contexts.parquet").exists()
    assert not (folder / "x.db").exists()


def test_loading_a_table_twice_adds_nothing_and_needs_a_profile(cli, folder, worlds):
    cli.run("init", "--data", "data", "--customers", 5)
    command = ["profile", "data/events.csv", "--at", AT, "--load", "live.db", "--json"]
    first, again = (json.loads(cli.run(*command))["loaded"] for _ in range(2))
    assert (first["accepted"], first["duplicate"]) == (again["duplicate"], 0)
    assert again["accepted"] == 0
    (folder / "bare.toml").write_text(worlds.toml(worlds.document()), encoding="utf-8")
    assert "has no [profile] table" in refused(*command, "--campaign", "bare.toml")
