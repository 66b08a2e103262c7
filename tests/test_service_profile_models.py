"""Numbers of models beside the features of customers, as `manyarm profile` adds them."""

from __future__ import annotations

from datetime import timedelta

import click
import pandas as pd
import pytest

from bandit.errors import BrokenSnapshot, UnusableEvents
from bandit.profile.customer_models import NUMBERS
from bandit.profile.features import features_at
from bandit.profile.models_spec import ModelsSpec
from bandit.profile.spec import ProfileSpec
from service.commands.profile_models import ModelsAsked, with_models
from simulator.customer_histories import BEGIN, customer_histories

NOW = BEGIN + timedelta(days=200)
SPEC = ProfileSpec(models=ModelsSpec(churn=30, value=30, conversion=30))


@pytest.fixture(scope="module")
def events():
    return customer_histories(400, days=240, seed=2, stays_for=150.0).events


def test_models_that_were_made_are_told_explained_and_drawn_and_used_again(events, tmp_path):
    table = features_at(events, NOW, SPEC)
    kept, picture = tmp_path / "models.json", tmp_path / "calibration.png"
    made = with_models(table, events, NOW, SPEC, ModelsAsked("made", kept, picture, table.index[0]))
    assert list(made.table.columns) == [*table.columns, *NUMBERS]
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert table.index[0] in made.text
    assert made.document["explained"]["numbers"]["purchase_propensity"]["factors"]
    again = with_models(table, events, NOW, SPEC, ModelsAsked(str(kept), kept, None, None))
    pd.testing.assert_frame_equal(again.table, made.table)


def test_without_models_nothing_changes(events, tmp_path):
    table = features_at(events, NOW, SPEC)
    assert with_models(table, events, NOW, SPEC, ModelsAsked("none", tmp_path / "m.json", None, None)).table is table


def test_what_cannot_be_done_is_refused_before_any_work(tmp_path):
    with pytest.raises(click.UsageError, match="--models made"):
        ModelsAsked("none", tmp_path / "m.json", None, "ann").check()
    with pytest.raises(UnusableEvents, match="no such file of models"):
        ModelsAsked(str(tmp_path / "gone.json"), tmp_path / "m.json", None, None).check()


def test_a_file_that_holds_no_models_is_named(events, tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    with pytest.raises(BrokenSnapshot, match=r"wrong\.json"):
        with_models(events, events, NOW, SPEC, ModelsAsked(str(wrong), wrong, None, None))
