"""`manyarm compare --fixed-split`: classical tests where they are right, and a refusal where they are not."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from service.cli import main


@pytest.fixture
def table(tmp_path):
    """1,200 customers: a converts 20 of 100, b 10, c 10; only among the new does a do so."""
    rng = np.random.default_rng(8)
    rows = []
    for i in range(1200):
        arm, is_new = "abc"[i % 3], bool(i // 3 % 2)
        converted = rng.random() < (0.3 if arm == "a" and is_new else 0.1)
        days = rng.exponential(5.0) if converted else 30.0
        rows.append({"arm": arm, "bought": int(converted), "new": is_new, "days": round(days, 3), "who": f"c{i}"})

    def write(rows=rows):
        with (tmp_path / "split.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        return [tmp_path / "split.csv", "--arm", "arm", "--reward", "bought", "--customer", "who", "--fixed-split"]

    write.rows = rows
    return write


def ask(cli, *arguments):
    return json.loads(cli.run("compare", *arguments, "--json"))


def test_chi_squared_is_that_of_the_table_of_arms_and_rewards(cli, table):
    found = ask(cli, *table())["every_arm"]
    counts = [[sum(r["arm"] == a and r["bought"] == b for r in table.rows) for a in "abc"] for b in (0, 1)]
    wanted = stats.chi2_contingency(counts, correction=False)
    assert (found["statistic"], found["p_value"]) == pytest.approx((wanted.statistic, wanted.pvalue))
    assert found["degrees"] == 2


def test_each_arm_is_held_against_the_baseline_and_adjusted(cli, table):
    found = ask(cli, *table(), "--baseline", "b")
    assert (found["baseline"], set(found["against_baseline"])) == ("b", {"a", "c"})
    a, c = found["against_baseline"]["a"], found["against_baseline"]["c"]
    assert a["p_adjusted"] == pytest.approx(2 * a["p_value"])
    assert c["p_adjusted"] == pytest.approx(max(c["p_value"], 2 * a["p_value"]))
    assert a["newcombe"]["ci_lower"] < a["difference"]["value"] < a["newcombe"]["ci_upper"]


def test_an_effect_that_depends_on_the_customer_is_found(cli, table):
    columns = ask(cli, *table(), "--context", "new")["interactions"]
    assert columns["new"]["p_value"] < 0.05
    assert columns["new"]["degrees"] == 2


def test_time_to_conversion_is_compared_with_who_has_not_converted_yet(cli, table):
    found = ask(cli, *table(), "--time", "days")["time_to_conversion"]
    assert found["p_value"] < 0.05
    assert {one["arm"]: one["n_customers"] for one in found["arms"]} == {"a": 400, "b": 400, "c": 400}


def test_customers_with_several_arms_are_refused_as_no_fixed_split(cli, table):
    rows = [{**row, "who": f"c{i // 2}"} for i, row in enumerate(table.rows)]
    result = CliRunner().invoke(main, ["compare", *map(str, table(rows))])
    assert result.exit_code == 2
    assert "got more than one arm, so this is no fixed split of customers" in result.output


def test_the_text_says_the_same_as_the_document(cli, table):
    arguments = [*table(), "--context", "new", "--time", "days"]
    text, found = cli.run("compare", *arguments), ask(cli, *arguments)
    assert f"chi-squared {found['every_arm']['statistic']:.2f} on 2" in text
    assert "does it depend on the customer?" in text
    assert "time to conversion: chi-squared" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--baseline", "z"], "--baseline 'z' is not among the arms: a, b, c"),
        (["--context", "mood"], "has no column 'mood'"),
        (["--time", "arm"], "row 1: arm is 'a', need a finite number"),
        (["--where", "new"], "--where 'new': write COLUMN=VALUE"),
        (["--where", "new=maybe"], "has no rows that count"),
    ],
)
def test_misuse_says_what_is_wrong(table, options, said):
    result = CliRunner().invoke(main, ["compare", *map(str, table()), *options])
    assert result.exit_code == 2, result.output
    assert said in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a log or a database"),
        (["x.csv", "--baseline", "a"], "--baseline goes with --fixed-split"),
        (["x.csv", "--time", "days"], "--time goes with --fixed-split and --arm"),
        (["x.csv", "--customer", "who"], "--customer and --where go with --arm"),
        (["x.csv", "--arm", "arm"], "--arm needs --reward and --propensity"),
        (["x.csv", "--arm", "arm", "--fixed-split"], "--fixed-split with --arm needs --reward"),
        (
            ["x.csv", "--arm", "a", "--reward", "r", "--propensity", "p", "--metric", "m"],
            "--metric names a column of our",
        ),
        (["x.csv"], "no such file"),
        (["x.csv", "--html", "nowhere/page.html"], "the folder nowhere does not exist"),
        (["x.csv", "--planned", "0"], "0 is not in the range x>=1"),
        (["x.csv", "--weighting", "heavy"], "'heavy' is not one of"),
    ],
)
def test_options_that_say_nothing_together_are_refused(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["compare", *arguments])
    assert result.exit_code == 2, result.output
    assert said in result.output
