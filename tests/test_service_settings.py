"""Settings: every name is known, every value is checked, no secret is shown, and the docs list all of them."""

from __future__ import annotations

from datetime import timedelta

import click
import pytest
from click.testing import CliRunner

import service.settings
from bandit.errors import InvalidSettings
from service.cli import main
from service.commands.options import db_option
from service.commands.settings_option import settings_option
from service.settings import KINDS, SETTINGS, Setting, Settings, read_settings


@pytest.fixture
def table(monkeypatch):
    """One setting of each kind, and a secret."""
    made = [Setting(f"a_{kind}", kind, None, "One of its kind.") for kind in KINDS]
    made.append(Setting("key", "text", None, "A secret.", is_secret=True))
    monkeypatch.setattr(service.settings, "SETTINGS", tuple(made))
    monkeypatch.setattr(service.settings, "_BY_NAME", {one.name: one for one in made})


def test_a_variable_wins_over_the_file(tmp_path, table):
    (tmp_path / "settings.toml").write_text('a_text = "file"\na_integer = 3\n')
    found = read_settings({"MANYARM_A_TEXT": "variable", "HOME": "/"}, tmp_path / "settings.toml")
    assert (found["a_text"], found["a_integer"]) == ("variable", 3)


def test_variables_are_texts_and_are_read_as_the_kind_of_their_setting(table):
    given = {"TEXT": "x", "INTEGER": "7", "NUMBER": "2.5", "BOOLEAN": "true", "DURATION": "90m"}
    found = read_settings({f"MANYARM_A_{name}": value for name, value in given.items()})
    assert [found[f"a_{kind}"] for kind in KINDS] == ["x", 7, 2.5, True, timedelta(minutes=90)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", ""),
        ("text", 7),
        ("integer", "1.5"),
        ("integer", "many"),
        ("number", "-1"),
        ("number", "nan"),
        ("boolean", "perhaps"),
        ("duration", "soon"),
    ],
)
def test_a_value_that_cannot_be_one_is_refused_by_name(table, name, value):
    with pytest.raises(InvalidSettings, match=f"a_{name}.*need {KINDS[name][0]}"):
        Settings({f"a_{name}": value})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MANYARM_PORT", "tcp://10.0.0.7:8080"),
        ("MANYARM_SERVICE_HOST", "10.0.0.7"),
        ("MANYARM_SERVICE_PORT_HTTP", "8080"),
        ("MANYARM_PORT_8080_TCP_ADDR", "10.0.0.7"),
    ],
)
def test_what_kubernetes_makes_of_a_service_of_our_name_is_refused_with_the_way_out(variable, value):
    with pytest.raises(InvalidSettings, match="put enableServiceLinks: false into the pod's spec"):
        read_settings({variable: value})
    with pytest.raises(InvalidSettings) as caught:
        read_settings({"MANYARM_PORT": "many"})
    assert "Kubernetes" not in str(caught.value)


def test_an_unknown_variable_is_refused_and_the_nearest_name_is_said(table):
    with pytest.raises(InvalidSettings, match="no setting is called 'a_txt'; 'a_text' is"):
        read_settings({"MANYARM_A_TXT": "x"})


def test_a_secret_comes_from_a_file_of_its_own_and_is_never_shown(tmp_path, table):
    (tmp_path / "key").write_text("hush\n")
    found = read_settings({"MANYARM_KEY_FILE": str(tmp_path / "key")})
    assert found.text("key") == "hush"
    assert "hush" not in repr(found)
    with pytest.raises(InvalidSettings) as refusal:
        Settings({"key": ["hush"]})
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("text", ["a_text = ", None])
def test_a_file_that_cannot_be_read_is_named(tmp_path, table, text):
    if text:
        (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(InvalidSettings, match=r"settings\.toml cannot be read"):
        read_settings({}, tmp_path / "settings.toml")


def test_every_usual_value_can_be_read_and_every_meaning_is_a_sentence():
    assert len(Settings()) == len(SETTINGS)
    assert all(one.meaning.endswith(".") for one in SETTINGS)


@click.command()
@db_option
@click.option("--port", type=int, default=8080)
@settings_option
def shown(db, port, settings):
    click.echo(f"{db} {port} {settings.text('db')}")


@pytest.mark.parametrize(
    ("arguments", "variable", "expected"),
    [
        ([], None, "file.db 9000 file.db"),
        ([], "variable.db", "variable.db 9000 variable.db"),
        (["--db", "option.db", "--port", "7"], "variable.db", "option.db 7 variable.db"),
    ],
)
def test_an_option_wins_over_a_variable_and_that_over_the_file(tmp_path, arguments, variable, expected):
    (tmp_path / "settings.toml").write_text('db = "file.db"\nport = 9000\n')
    command = ["--settings", str(tmp_path / "settings.toml"), *arguments]
    found = CliRunner().invoke(shown, command, env={"MANYARM_DB": variable}, catch_exceptions=False)
    assert found.output.strip() == expected


def test_without_a_file_options_have_their_usual_values_or_those_of_variables():
    found = CliRunner().invoke(shown, [], env={"MANYARM_PORT": "9001"}, catch_exceptions=False)
    assert found.output.strip() == "manyarm.db 9001 manyarm.db"


def test_check_names_every_value_that_cannot_be_one(tmp_path, worlds):
    (tmp_path / "campaign.toml").write_text(worlds.toml(worlds.document()))
    (tmp_path / "settings.toml").write_text('drain = "soon"\nlog_format = "xml"\nprot = 80\n')
    command = ["check", str(tmp_path / "campaign.toml"), "--settings", str(tmp_path / "settings.toml")]
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 2
    for said in ("'soon', need a duration", "'xml', need one of text, json", "no setting is called 'prot'; 'port' is"):
        assert said in found.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("personalizer_floor = 1.5", "floor"),
        ('drain = "5s"\ndrain_notice = "30s"', "drain_notice is 30 s"),
        ('webhook_sendgrid_public_key = "nonsense"', "no public key"),
        ("largest_body = 0", "largest_body"),
    ],
)
def test_check_refuses_what_serve_would_refuse_at_its_start(tmp_path, worlds, line, said):
    (tmp_path / "campaign.toml").write_text(worlds.toml(worlds.document()))
    (tmp_path / "settings.toml").write_text(f"{line}\n")
    for command in (
        ["check", str(tmp_path / "campaign.toml")],
        ["serve", "--port", "0", "--db", str(tmp_path / "a.db")],
    ):
        found = CliRunner().invoke(main, [*command, "--settings", str(tmp_path / "settings.toml")])
        assert found.exit_code == 2, found.output
        assert said in found.stderr
    assert not (tmp_path / "a.db").exists()


def test_check_looks_at_variables_where_no_file_is_named(tmp_path, worlds):
    (tmp_path / "campaign.toml").write_text(worlds.toml(worlds.document()))
    found = CliRunner().invoke(main, ["check", str(tmp_path / "campaign.toml")], env={"MANYARM_DRIAN": "3s"})
    assert found.exit_code == 2
    assert "'drian'" in found.stderr


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("30s", 30), ("2m", 120)])
def test_durations_may_be_seconds_and_none(text, seconds):
    assert Settings({"drain_notice": text}).pause("drain_notice") == timedelta(seconds=seconds)
