"""`manyarm evaluate` on a table that somebody else wrote: what the document, the words and a real experiment say."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

HILLSTROM = Path(__file__).parents[2] / "shared" / "data" / "hillstrom.dev.csv.gz"
ESTIMATE = {"value", "se", "ci_lower", "ci_upper"}
KEYS = {"n", "dropped", "verdict", "reasons", "behavior_value", "ess", "max_weight", "mean_weight", "estimators"}


@pytest.fixture
def table(tmp_path):
    """600 rows that somebody else wrote: arm a is opened by every third, arm b by every sixth."""
    rows = [
        {"arm": "ab"[i % 2], "opened": int(i % 6 in {0, 1, 4}), "p": 0.5, "wanted": 0.8 if i % 2 else 0.2, "level": "xyz"[i % 3]}
        for i in range(600)
    ]  # fmt: skip

    def write(rows=rows, name="table.csv", **columns):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0] | columns)
            writer.writeheader()
            writer.writerows(row | columns for row in rows)
        return [tmp_path / name, "--arm", "arm", "--reward", "opened", "--propensity", "p"]

    write.rows = rows
    return write


def test_the_document_says_everything_a_result_must_carry(cli, table):
    found = cli.ask(*table(), "--target", "fixed:a")
    assert found.keys() >= KEYS
    assert (found["n"], found["dropped"], found["verdict"], found["reasons"]) == (600, {}, "reliable", [])
    assert found["behavior_value"] == 0.5
    assert (found["ess"], found["max_weight"], found["mean_weight"]) == (300.0, 2.0, 1.0)
    assert cli.values(found)["snips"] == pytest.approx(2 / 3)
    assert {"snips", "cressie-read", "ips"} <= found["estimators"].keys()
    for one in found["estimators"].values():
        assert one.keys() >= ESTIMATE
        assert one["ci_lower"] <= one["value"] <= one["ci_upper"]


def test_a_second_target_adds_a_difference_row_by_row(cli, table):
    found = cli.ask(*table(), "--target", "fixed:a", "--against", "fixed:b")
    other = cli.ask(*table(), "--target", "fixed:b")
    assert found["difference"].keys() == found["estimators"].keys() == found["against"]["estimators"].keys()
    # Twice as many columns are summed at once there, so that last digits may differ.
    for name, one in found["against"]["estimators"].items():
        assert {key: one[key] for key in ESTIMATE} == pytest.approx(
            {key: other["estimators"][name][key] for key in ESTIMATE}
        )
    assert found["difference"]["snips"]["value"] == pytest.approx(1 / 3)
    assert found["difference"]["snips"]["ci_lower"] > 0
    assert found["difference"]["snips"].keys() >= ESTIMATE


def test_the_answer_for_people_says_the_same(cli, table):
    found, text = (cli.run("evaluate", *table(), "--target", "fixed:a", *more) for more in (["--json"], []))
    assert text.startswith("RELIABLE: fixed:a would have earned 0.6667 a send (")
    assert f"{json.loads(found)['estimators']['snips']['ci_lower']:.5f}" in text


def test_an_unreliable_answer_is_still_an_answer_with_its_reasons_first(cli, table):
    arguments = *table(table.rows[:60]), "--target", "fixed:a"
    found, text = cli.ask(*arguments), cli.run("evaluate", *arguments)
    assert found["verdict"] == "unreliable"
    assert "worth only 30 sends of the target's own" in found["reasons"][0]
    assert found["reasons"][0] in text


def test_a_column_of_the_table_is_a_target(cli, table):
    found = cli.ask(*table(), "--target", "column:wanted")
    assert found["support"] is None
    assert cli.values(found)["snips"] == pytest.approx(0.2 * 2 / 3 + 0.8 / 3)


def test_where_keeps_only_the_rows_with_these_values(cli, table):
    assert cli.ask(*table(), "--target", "uniform", "--where", "level=x|z")["n"] == 400
    found = cli.ask(
        *table(), "--target", "uniform", "--where", "level=x|z", "--where", "arm=a", "--largest-weight", "2"
    )
    assert (found["n"], found["verdict"]) == (200, "unreliable")


def test_a_log_with_context_gets_doubly_robust_estimates_without_being_asked(cli, table):
    found = cli.ask(*table(), "--context", "level", "--target", "fixed:a", "--bootstrap", "50", "--seed", "7")
    assert {"dr", "sndr", "dm", "snips (bootstrap)"} <= found["estimators"].keys()
    assert found["estimators"]["dm"]["ci_lower"] is None
    assert cli.values(found)["dr"] == pytest.approx(2 / 3, abs=0.05)


def test_the_same_seed_gives_the_same_bytes_and_more_confidence_a_wider_interval(cli, table):
    arguments = ["evaluate", *table(), "--target", "fixed:a", "--bootstrap", "50", "--json"]
    first, second, wide = (cli.run(*arguments, *more) for more in ([], [], ["--confidence", "0.999"]))
    assert first == second
    ends = [json.loads(text)["estimators"]["snips"]["ci_lower"] for text in (first, wide)]
    assert ends[1] < ends[0]


@pytest.mark.skipif(not HILLSTROM.is_file(), reason="the real data sets are not beside this clone")
def test_on_a_real_experiment_the_better_rules_beat_the_log_and_the_log_beats_their_reverse(cli, tmp_path):
    """Hillstrom's two mails: those who only bought womens' goods get that mail, all others the mens', and the reverse."""
    mens, womens = "Mens E-Mail", "Womens E-Mail"
    for name, first, other in (("rules", womens, mens), ("reverse", mens, womens)):
        text = f'[[rule]]\nwhen = {{ mens = 0, womens = 1 }}\nchoice = {{ segment = "{first}" }}\n'
        (tmp_path / f"{name}.toml").write_text(f'{text}[[rule]]\nchoice = {{ segment = "{other}" }}\n')
    log = [
        HILLSTROM,
        "--arm",
        "segment",
        "--reward",
        "visit",
        "--propensity",
        "0.5",
        "--where",
        f"segment={mens}|{womens}",
    ]
    log += ["--context", "mens,womens", "--estimators", "snips,cressie-read"]
    better, worse = (f"rules:{tmp_path / name}.toml" for name in ("rules", "reverse"))
    for target, against in ((better, "uniform"), ("uniform", worse)):
        found = cli.ask(*log, "--target", target, "--against", against)
        assert found["verdict"] == "reliable"
        assert all(one["ci_lower"] > 0 for one in found["difference"].values())
