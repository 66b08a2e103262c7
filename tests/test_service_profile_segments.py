"""Segments on the command line: by rule, learned and kept, assigned again, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bandit.errors import UnusableLog
from bandit.profile.segment_spec import LearnedSpec, SegmentSpec
from service.commands.profile_segments import SegmentsAsked, segment_options, with_segments

SPEC = SegmentSpec(
    rules=SegmentSpec().rules[2:3],
    groups={"mine": ("visits", "orders", "age")},
    learned=LearnedSpec(groups=("mine",), methods=("kmeans",), most=3),
)


def customers(seed=0, n=200, low=0.5, apart=9.0):
    rng = np.random.default_rng(seed)
    is_low = rng.random(n) < low
    visits = np.where(is_low, 0.0, apart) + rng.normal(size=n)
    table = pd.DataFrame({"visits": visits, "orders": visits + rng.normal(size=n), "age": rng.normal(size=n)})
    table["price_sensitivity"] = rng.random(n)
    return table.set_index(pd.Index([f"c{k}" for k in range(n)], name="customer_id"))


def asked(tmp_path, segments, before=None):
    return SegmentsAsked(segments, tmp_path / "segments.json", before)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learned")
    return folder / "segments.json", with_segments(customers(), SPEC, asked(folder, "learned"))


def test_rules_bring_a_segment_and_its_traits(tmp_path):
    table = customers()
    found = with_segments(table, SPEC, asked(tmp_path, "rules"))
    assert list(found.table.columns[len(table.columns) :])[:2] == ["segment", "segment_motivation"]
    counts = found.table["segment"].value_counts()
    assert counts["price_sensitive"] == (table["price_sensitivity"] >= 0.5).sum()
    assert {one["segment"]: one["n_customers"] for one in found.document["segments"]} == counts.to_dict()
    assert f"price_sensitive        {counts['price_sensitive']}" in found.text


def test_learned_segments_are_kept_and_told(learned):
    path, found = learned
    table = customers()
    high = found.table["segment"][table["visits"] > 4].unique()
    assert len(high) == 1
    assert found.table["segment"].nunique() == 2
    assert found.table["segment_confidence"].between(0.5, 1.0).all()
    assert found.document["method"] == "kmeans(2)"
    assert msgspec.json.decode(msgspec.json.encode(found.document))["found"] is True
    assert json.loads(path.read_bytes())["n_customers"] == len(table)
    assert "at most" in found.text
    assert f'values = ["{min(found.table["segment"].unique())}"' in found.text


def test_customers_are_assigned_as_they_were_and_drift_is_told(learned, tmp_path):
    path, before = learned
    same = with_segments(customers(), SPEC, asked(tmp_path, str(path)))
    pd.testing.assert_frame_equal(same.table, before.table)
    assert "as before, PSI 0.000" in same.text
    assert "No feature moved" in same.text
    later = with_segments(customers(1, n=400, low=0.2), SPEC, asked(tmp_path, str(path)))
    assert later.document["drift"]["moved"] is True
    assert "Features that moved: " in later.text
    assert "visits (changed, PSI " in later.text
    assert not (tmp_path / "segments.json").exists()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_who_moved_is_told(learned, tmp_path, ending):
    path, then = learned
    earlier = tmp_path / f"earlier.{ending}"
    table = then.table.reset_index()
    table.to_csv(earlier, index=False) if ending == "csv" else table.to_parquet(earlier, index=False)
    now = customers()
    moved = now.index[now["visits"] < 4][:12]
    now.loc[moved, ["visits", "orders"]] = 9.0
    found = with_segments(now.drop(index="c199"), SPEC, asked(tmp_path, str(path), earlier))
    assert found.document["moves"]["n_moved"] == 12
    assert (found.document["moves"]["n_new"], found.document["moves"]["n_gone"]) == (0, 1)
    assert "12 of 199 customers moved; 0 are new, 1 gone." in found.text
    assert "-> " in found.text


def test_no_segments_are_said_and_no_file_is_written(tmp_path):
    table = customers(apart=0.0)
    found = with_segments(table, SPEC, asked(tmp_path, "learned"))
    assert found.text.startswith("No segments. ")
    assert found.document["found"] is False
    assert found.document["reason"]
    assert list(found.table.columns) == list(table.columns)
    assert not (tmp_path / "segments.json").exists()


def test_protected_fields_make_no_segments(tmp_path):
    found = with_segments(customers(), SPEC, asked(tmp_path, "learned"), protected={"visits", "orders"})
    assert found.document["found"] is False
    with pytest.raises(UnusableLog, match=r"price_sensitivity, which .* protected"):
        with_segments(customers(), SPEC, asked(tmp_path, "rules"), protected={"price_sensitivity"})


def test_none_changes_nothing(tmp_path):
    table = customers()
    found = with_segments(table, SPEC, asked(tmp_path, "none"))
    assert found.table is table
    assert (found.document, found.text) == ({}, "")


@click.command()
@segment_options
def made(segments):
    click.echo(segments.segments)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--segments", "nothing.json"], "nothing.json: no such file of segments"),
        (["--segments", "other.json"], "other.json: these are no learned segments"),
        (["--segments", "learned", "--segments-out", "nowhere/segments.json"], "the folder nowhere does not exist"),
        (["--segments", "none", "--segments-before", "then.csv"], "without segments nobody moves"),
    ],
)
def test_wrong_options_are_refused_before_any_work(arguments, advice, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("other.json").write_text("{}")
    done = CliRunner().invoke(made, arguments)
    assert done.exit_code
    assert advice in done.output + str(done.exception)


def test_rules_are_what_nobody_has_to_ask_for():
    assert CliRunner().invoke(made, []).output == "rules\n"


def test_an_earlier_table_without_segments_is_refused(tmp_path):
    earlier = tmp_path / "earlier.csv"
    earlier.write_text("customer_id,visits\nc1,3\n")
    with pytest.raises(UnusableLog, match="a row without customer_id or segment"):
        with_segments(customers(), SPEC, asked(tmp_path, "rules", earlier))
