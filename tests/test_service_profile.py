"""`manyarm profile`: from a file of events to a table that `manyarm decide` takes."""

from __future__ import annotations

import json
import sqlite3

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from bandit.campaign_file import read_campaign
from service.event_tables import read_events
from service.sample import sample_text

AT = "2026-11-01T09:00:00Z"
HEADER = "customer_id,at,type,value,device,zone,note"
ROWS = [
    "ann,2026-10-20T18:10:00Z,login,,mobile,Europe/Berlin,x",
    "ann,2026-10-21T18:00:00Z,purchase,29.90,mobile,Europe/Berlin,",
    "bob,2026-03-01T09:00:00Z,login,,tv,Mars/Base,x",
    "bob,2026-03-01T09:00:00Z,login,,tv,Mars/Base,y",
    "bob,yesterday,purchase,10,tv,UTC,x",
    "bob,2026-12-01T00:00:00Z,login,,tv,UTC,x",
    ",2026-10-20T18:10:00Z,login,,tv,UTC,x",
    "cid,2026-10-20T18:10:00,login,,tv,UTC,x",
    "cid,1970-01-01T00:00:00Z,login,,tv,UTC,x",
    "cid,2026-10-20T18:10:00Z,purchase,many,tablet,UTC,x",
    "dan,2026-10-25T10:00:00Z,share,,tv,UTC,x",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "campaign.toml").write_text(sample_text("referral-contest"), encoding="utf-8")
    (tmp_path / "events.csv").write_text("\n".join([HEADER, *ROWS]) + "\n", encoding="utf-8")
    return tmp_path


def test_what_is_made_of_events_is_what_decide_reads(folder, cli):
    document = json.loads(cli.run("profile", "events.csv", "--at", AT, "--json"))
    table = pq.read_table("contexts.parquet").to_pylist()
    assert [row["customer_id"] for row in table] == ["ann", "bob", "cid", "dan"]
    assert [row["lifecycle_stage"] for row in table] == ["new", "at_risk", "new", "new"]
    assert [row["device"] for row in table] == ["mobile", None, "tablet", None]
    assert document["fields"]["written_as"] == {
        "lifecycle_stage": {"dormant as at_risk": 1},
        "device": {"tv left empty": 1},
    }
    assert document["fields"]["left"] == ["country", "gender", "zone"]
    assert "Decided 4 sends" in cli.run("decide", "--users", "contexts.parquet", "--at", AT)


def test_everything_wrong_with_events_is_counted_with_examples(folder, cli):
    quality = json.loads(cli.run("profile", "events.csv", "--at", AT, "--json"))["quality"]
    found = {(one["column"], one["what"]): one["n"] for one in quality["findings"]}
    assert found == {
        ("customer_id", "empty"): 1,
        ("at", "no time that can be read"): 1,
        ("at", "a time without its zone"): 1,
        ("at", "a time before 1990"): 1,
        ("at", "a time not before 2026-11-01T09:00:00+00:00"): 1,
        ("zone", "no IANA zone"): 2,
        ("value", "no number in [-1e+09, 1e+09]"): 1,
        ("rows", "the same as an earlier one"): 1,
    }
    assert (quality["n_rows"], quality["n_events"]) == (11, 5)
    assert quality["ignored"] == ["note"]
    assert "row 5: 'yesterday'" in cli.run("profile", "events.csv", "--at", AT)


def test_csv_parquet_and_sqlite_say_the_same(folder, cli):
    table = pa_csv.read_csv("events.csv", convert_options=pa_csv.ConvertOptions(
        column_types=dict.fromkeys(HEADER.split(","), pa.string()), strings_can_be_null=True,
    ))  # fmt: skip
    pq.write_table(table, "events.parquet")
    with sqlite3.connect("events.db") as connection:
        connection.execute(f"CREATE TABLE events ({HEADER})")
        connection.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", [tuple(r.values()) for r in table.to_pylist()]
        )
    connection.close()
    made = []
    for name in ("events.csv", "events.parquet", "events.db"):
        cli.run("profile", name, "--at", AT, "--all", "--out", "all.parquet")
        made.append(pq.read_table("all.parquet"))
    assert made[0].equals(made[1])
    assert made[0].equals(made[2])
    assert "preferred_hour" in made[0].column_names


def test_a_number_of_sqlite_keeps_all_its_digits(folder):
    with sqlite3.connect("events.db") as connection:
        connection.execute("CREATE TABLE events (customer_id, at, type, value REAL)")
        connection.execute("INSERT INTO events VALUES ('a', 'b', 'c', ?)", (0.1 + 0.2,))
    connection.close()
    (value,) = read_events(folder / "events.db").table["value"].to_pylist()
    assert float(value) == 0.1 + 0.2


def test_nothing_is_filled_in_but_what_the_campaign_says(folder, cli):
    missing = (
        '\n[profile.missing]\ntime_zone = "Europe/Berlin"\nvalue = 5\n[profile.fields]\ncountry = "preferred_channel"\n'
    )
    (folder / "campaign.toml").write_text(sample_text("referral-contest") + missing, encoding="utf-8")
    document = json.loads(cli.run("profile", "events.csv", "--at", AT, "--all", "--json"))
    said = {one["what"]: one["done"] for one in document["quality"]["findings"]}
    assert said["a time without its zone"] == "read as times in Europe/Berlin, as the campaign file says"
    rows = {row["customer_id"]: row for row in pq.read_table("contexts.parquet").to_pylist()}
    assert rows["cid"]["monetary"] == 5.0
    assert document["fields"]["made"]["country"] == "preferred_channel"


@pytest.mark.parametrize(
    ("fields", "advice"),
    [('planet = "frequency"', "Declare it, or take it out"), ('country = "planet"', "there are engagement_score")],
)
def test_a_field_or_feature_that_there_is_not_is_refused(folder, cli, fields, advice):
    text = sample_text("referral-contest") + f"\n[profile.fields]\n{fields}\n"
    assert read_campaign(text).profile is not None
    (folder / "campaign.toml").write_text(text, encoding="utf-8")
    result = cli_refusal(cli, "profile", "events.csv", "--at", AT)
    assert advice in result


def cli_refusal(cli, *arguments):
    """What is said on standard error, with exit status 2."""
    from click.testing import CliRunner  # noqa: PLC0415

    from service.cli import main  # noqa: PLC0415

    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 2, result.output
    return result.stderr


@pytest.mark.parametrize(
    ("name", "content", "advice"),
    [
        ("e.csv", "customer_id,at\na,b\n", "need customer_id, at, type"),
        ("e.csv", "customer_id,at,type\na,b,c\n", "none of 1 rows is an event that can be used"),
        ("e.csv", "customer_id,at,type\n", "no row"),
        ("e.csv", "customer_id;at;type\na;b;c\n", "separated by semicolons"),
        ("e.csv", "customer_id,at,type\na,b,c\na,b\n", "as many cells in each row"),
        ("e.xlsx", "", "need .csv, .csv.gz, .parquet"),
        ("e.db", "no database at all, but long enough to be one", "not a readable SQLite file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_way_out(folder, cli, name, content, advice):
    (folder / name).write_text(content, encoding="utf-8")
    assert advice in cli_refusal(cli, "profile", name, "--at", AT)
