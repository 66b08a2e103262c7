"""The command line against wrong input: exit 2, a message that says what to do, and never a traceback."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from service.cli import main

NOON = "2026-11-22T12:00:00Z"
GOOD = [{"customer_id": f"c{i}", "level": "high", "days": "3"} for i in range(5)]


def leaves(group, path=()):
    """Every command that does something, by its full name."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(leaves(main))
MISUSE = {
    ("init",): (["--example", "nothing-of-the-kind"], "referral-contest"),
    ("check",): (["--jsno"], "No such option"),
    ("demo",): (["--sends", "3"], "x>=100"),
    ("serve",): (["--port", "70000"], "0<=x<=65535"),
    ("decide",): (["nobody.csv"], "nobody.csv: no such file. Name a CSV or Parquet file"),
    ("profile",): (["nobody.csv"], "nobody.csv: no such file. Name a CSV or Parquet file"),
    ("record",): (["nobody.csv"], "nobody.csv: no such file. Name a CSV or Parquet file"),
    ("learn",): (["--at", "yesterday"], "need an ISO 8601 time with its zone"),
    ("export",): (["--out", "log.xlsx"], "found the ending '.xlsx', need .csv or .parquet"),
    ("verify",): (["--db", "nothing.db"], "nothing.db: no such database. Name one with --db"),
    ("evaluate",): (["nobody.csv", "--target", "uniform"], "nobody.csv: no such file. Name a CSV or Parquet file"),
    ("compare",): (["--by", "level"], "name a log or a database: LOG, or --db without LOG"),
    ("power",): (["--base", "0.04"], "say which lift to look for"),
    ("replay",): (["nobody.csv", "--arm", "a", "--reward", "r", "--propensity", "0.5"], "nobody.csv: no such file"),
    ("tune",): (["--out", "no-folder/tuned.toml"], "the folder no-folder does not exist"),
    ("key", "create"): (["--name", "mailer", "--scope", "read"], "'decide', 'record', 'admin'"),
    ("key", "list"): (["--db", "nothing.db"], "nothing.db: no such database"),
    ("key", "revoke"): (["0a1b2c3d4e", "--db", "nothing.db"], "nothing.db: no such database"),
    ("key", "rotate"): (["0a1b2c3d4e", "--grace", "soon"], "write it like 24h or 90d"),
    ("webhooks",): (["--db", "nothing.db"], "nothing.db: no such database. Name one with --db"),
    ("snapshot", "list"): (["--campaign", "nothing.toml"], "`manyarm init` writes one to start from"),
    ("snapshot", "show"): (["s00007"], "`manyarm snapshot list` shows what"),
    ("snapshot", "promote"): (["s00007"], "`manyarm snapshot list` shows what"),
    ("erase",): ([], "say what to do, one thing at a time"),
    ("products",): (["catalogue.csv"], "name a catalogue, --events, and what is to be made of them"),
    ("opt-out",): ([], "name one customer, CUSTOMER_ID, or a table of them with --file"),
    ("snapshot", "rollback"): ([], "there is no earlier snapshot to go back to"),
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command in a fresh folder; a traceback is a failure whatever the status. Returns standard error."""
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def invoke(*arguments, code=2):
        result = runner.invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise AssertionError(f"manyarm {' '.join(map(str, arguments))}: a traceback") from result.exception
        assert result.exit_code == code, result.output
        return result.stderr if code else result.stdout

    return invoke


@pytest.fixture
def campaign(run, worlds, tmp_path):
    """A small campaign file, with a list of customers beside it."""
    (tmp_path / "campaign.toml").write_text(worlds.toml(worlds.document()), encoding="utf-8")
    users(GOOD)


def users(rows, path="users.csv"):
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def n_decided():
    connection = sqlite3.connect("manyarm.db")
    (count,) = connection.execute("SELECT count(*) FROM decisions").fetchone()
    connection.close()
    return count


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(run, name):
    text = run(*name, "--help", code=0)
    assert f"Example:  manyarm {' '.join(name)}" in " ".join(text.split("\n")).replace(
        "Example: manyarm", "Example:  manyarm"
    )
    assert COMMANDS[name].help.split("\n")[0][:30] in text
    assert run(*name, "-h", code=0) == text


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {("serve",)}), ids=" ".join)
def test_every_command_that_answers_can_answer_in_json(name):
    assert "--json" in {flag for option in COMMANDS[name].params for flag in option.opts}


def test_each_command_has_its_misuse_below():
    assert COMMANDS.keys() == MISUSE.keys()


@pytest.mark.usefixtures("campaign")
@pytest.mark.parametrize("name", MISUSE, ids=" ".join)
def test_misuse_is_answered_with_exit_2_and_a_message(run, name):
    arguments, advice = MISUSE[name]
    run("decide", "users.csv", "--at", NOON, code=0)  # so that there is a database, but for the one named here
    assert advice in run(*name, *arguments)


@pytest.mark.usefixtures("campaign")
@pytest.mark.parametrize(
    "name", [("decide", "users.csv"), ("learn",), ("export",), ("verify",), ("snapshot", "list")], ids=" ".join
)
def test_a_database_that_is_none_is_refused_by_every_command(run, name):
    Path("manyarm.db").write_text("not a database at all\n" * 100)
    assert "manyarm.db cannot be used as a database (file is not a database). Name another file" in run(*name)


@pytest.mark.parametrize(
    "command", [("decide", "users.csv"), ("serve",), ("learn",), ("export",), ("snapshot", "list")], ids=" ".join
)
def test_a_campaign_with_faults_is_refused_with_all_of_them(run, worlds, command):
    users(GOOD)
    Path("campaign.toml").write_text(worlds.toml(worlds.document(policy={"floor": 2}, reward={"window": "soon"})))
    message = run(*command)
    assert all(place in message for place in ("policy.floor: found 2", "reward.window: found 'soon'", "reward.events"))
    assert not Path("manyarm.db").exists()


@pytest.mark.usefixtures("campaign")
def test_bad_rows_are_all_named_and_nothing_is_decided(run):
    users(
        [
            *GOOD,
            {"customer_id": "", "level": "high"},
            {"customer_id": "x", "level": "medium"},
            {"customer_id": "y", "days": "many"},
        ]
    )
    message = run("decide", "users.csv", "--at", NOON)
    assert "3 of 8 rows cannot be decided, so none was" in message
    for line in (
        "row 6: customer_id is ''",
        "row 7: context 'level' is 'medium'",
        "row 8: context 'days' is 'many'",
    ):
        assert line in message
    assert n_decided() == 0
    assert not Path("choices.csv").exists()


@pytest.mark.usefixtures("campaign")
def test_of_many_bad_rows_the_first_are_named_and_the_others_counted(run):
    users([{"customer_id": "c", "level": "?"}] * 50)
    message = run("decide", "users.csv", "--at", NOON)
    assert message.count("row ") == 20
    assert "and 30 more" in message


@pytest.mark.usefixtures("campaign")
def test_a_decision_id_that_stands_twice_is_refused(run):
    users([{"decision_id": f"d{i % 4}", **row} for i, row in enumerate(GOOD)])
    assert "row 5: decision_id 'd0' stands above already" in run("decide", "users.csv", "--at", NOON)


@pytest.mark.usefixtures("campaign")
def test_an_id_that_no_decision_can_have_is_found_before_anything_is_decided(run):
    """`decide --help`: the whole table is checked before anything is decided."""
    users([{"customer_id": "x" * (1001 if i == 1200 else 5)} for i in range(1300)])
    message = run("decide", "users.csv", "--at", NOON)
    assert n_decided() == 0
    assert "row 1201" in message


@pytest.mark.usefixtures("campaign")
def test_an_undeclared_column_is_refused_by_name_and_can_be_left_out(run):
    users([row | {"name": "Ann", "age": "7"} for row in GOOD])
    message = run("decide", "users.csv", "--at", NOON)
    assert "columns that the campaign does not declare: name, age" in message
    assert "leave them out with --ignore name,age" in message
    run("decide", "users.csv", "--at", NOON, "--ignore", "name,age", code=0)
    assert n_decided() == 5


@pytest.mark.usefixtures("campaign")
def test_a_column_of_decision_ids_can_be_left_out_too(run):
    users([row | {"decision_id": "same"} for row in GOOD])
    run("decide", "users.csv", "--at", NOON, "--ignore", "decision_id", code=0)
    assert n_decided() == 5


@pytest.mark.usefixtures("campaign")
@pytest.mark.parametrize("name", ["customer_id", "decision_id"])
def test_ids_that_are_numbers_begin_at_nought(run, name):
    table = [{"customer_id": f"c{i}", "decision_id": f"d{i}"} | {name: i} for i in range(5)]
    pq.write_table(pa.Table.from_pylist(table), "users.parquet")
    run("decide", "users.parquet", "--at", NOON, code=0)
    assert n_decided() == 5


@pytest.mark.usefixtures("campaign")
def test_a_table_without_customers_is_refused(run):
    users([{"level": "high"}])
    assert "has the columns level; need customer_id" in run("decide", "users.csv")


@pytest.mark.usefixtures("campaign")
def test_an_id_of_another_request_stops_the_table_and_says_which(run):
    users([{"decision_id": f"d{i}", **row} for i, row in enumerate(GOOD)])
    run("decide", "users.csv", "--at", NOON, code=0)
    before = Path("choices.csv").read_bytes()
    users([{"decision_id": f"d{i}", **row, "level": "low"} for i, row in enumerate(GOOD)])
    assert "decision 'd0' was made at" in run("decide", "users.csv", "--at", NOON)
    assert Path("choices.csv").read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["campaign.toml", "choices.csv", "manyarm.db", "users.csv"]


@pytest.mark.usefixtures("campaign")
@pytest.mark.parametrize("out", ["choices.txt", "no/such/folder/choices.csv"])
def test_a_place_where_nothing_can_be_written_is_refused_before_anything_is_decided(run, out):
    run("decide", "users.csv", "--out", out, "--at", NOON)
    assert not Path("manyarm.db").exists()


@pytest.mark.usefixtures("campaign")
@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ([], "name a table of events, or one event with --decision and --type"),
        (["events.csv", "--decision", "d1"], "name a table of events, or one event with --decision and --type"),
        (["--decision", "d1"], "one event needs --type"),
        (["--decision", "d1", "--type", "click"], "and --event-id unless the type is sent or not_sent"),
        (["--decision", "d1", "--type", "sent", "--at", "2026-11-22T12:00:00"], "with its zone"),
    ],
)
def test_half_an_event_is_refused_with_what_is_missing(run, arguments, advice):
    run("decide", "users.csv", "--at", NOON, code=0)
    assert advice in run("record", *arguments)


@pytest.mark.usefixtures("campaign")
def test_an_argument_that_is_no_text_is_a_message_too(run):
    """Bytes that are not UTF-8 reach a program as lone surrogates."""
    run("decide", "users.csv", "--at", NOON, code=0)
    for names in (("d\udcff", "click", "e1"), ("d1", "cl\udcff", "e1"), ("d1", "click", "e\udcff")):
        run(
            "record",
            *(part for pair in zip(("--decision", "--type", "--event-id"), names, strict=True) for part in pair),
            code=1,
        )


@pytest.mark.usefixtures("campaign")
@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "2026-11-22", ""])
def test_a_time_that_cannot_be_used_is_a_message_too(run, at):
    assert "time" in run("decide", "users.csv", "--at", at)


@pytest.mark.usefixtures("campaign")
def test_a_progress_bar_is_silent_where_nobody_watches():
    result = CliRunner().invoke(main, ["decide", "users.csv", "--at", NOON])
    assert (result.exit_code, result.stderr) == (0, "")


def test_to_look_at_the_log_of_another_campaign_file_begins_none_and_says_what_is_there(run, tmp_path):
    run("init", code=0)
    pq.write_table(pa.table({"customer_id": ["a"]}), tmp_path / "one.parquet")
    run("decide", "one.parquet", code=0)
    other = (tmp_path / "campaign.toml").read_text(encoding="utf-8").replace("floor = 0.05", "floor = 0.06")
    (tmp_path / "other.toml").write_text(other, encoding="utf-8")
    for command in (["snapshot", "list"], ["export", "--out", "log.csv"]):
        said = run(*command, "--campaign", "other.toml")
        assert "holds no log of campaign 'referral-contest' with the content" in said
        assert "It holds: referral-contest (" in said
    with sqlite3.connect(tmp_path / "manyarm.db") as connection:
        assert connection.execute("SELECT count(*) FROM logs").fetchone() == (1,)
