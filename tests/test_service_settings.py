"""Settings: every name is known, every value is checked, no secret is shown, and the docs list all of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

import service.settings
from bandit.errors import InvalidSettings
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
