"""`manyarm replay`: what a policy would have earned on a randomised log that others wrote."""

from __future__ import annotations

import csv
import gzip
import json
import math
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner

from policies import POLICIES
from service.cli import main

HILLSTROM = Path(__file__).parents[2] / "shared" / "data" / "hillstrom.dev.csv.gz"
KEYS = ["n_rows", "n_kept", "logged_mean", "policy_mean", "ci_lower", "ci_upper", "last_half_mean"]
LEVELS = ("new", "old", "")


@pytest.fixture
def log(tmp_path):
    """400 rows with two arms; only arm a is ever opened."""
    rows = [
        {"arm": "ab"[i % 2], "opened": int(i % 2 == 0 and i % 3 == 0), "p": 0.5, "level": LEVELS[i % 3]}
        for i in range(400)
    ]
    with (tmp_path / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path / "log.csv"


def replay(path, *arguments, code=0):
    """Runs the command on a log with the columns arm, opened, p and level."""
    named = ["--arm", "arm", "--reward", "opened", "--propensity", "p", "--context", "level"]
    result = CliRunner().invoke(main, ["replay", str(path), *named, *arguments])
    assert result.exit_code == code, result.output
    return result if code else result.stdout


def test_the_answer_is_seven_numbers(log):
    found = json.loads(replay(log, "--json"))
    assert list(found) == KEYS
    assert (found["n_rows"], found["logged_mean"]) == (400, 67 / 400)
    assert 0 < found["n_kept"] < 400
    assert found["ci_lower"] < found["policy_mean"] < found["ci_upper"]


def test_the_answer_for_people_says_the_same(log):
    found, text = json.loads(replay(log, "--json")), replay(log)
    assert f"squarecb: kept {found['n_kept']} of 400 rows" in text
    for name in ("logged_mean", "policy_mean", "last_half_mean", "ci_lower"):
        assert f"{found[name]:.4f}" in text


def test_a_fixed_policy_earns_what_its_arm_earned(log):
    assert json.loads(replay(log, "--policy", "fixed:b", "--json"))["policy_mean"] == 0.0
    found = json.loads(replay(log, "--policy", "fixed:a", "--json"))
    assert (found["n_kept"], found["policy_mean"]) == (200, 67 / 200)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_replay(log):
    first, second, other = (replay(log, "--json", "--seed", seed) for seed in ("3", "3", "4"))
    assert first == second != other


def test_a_replay_with_a_holdout_says_how_many_rows_were_held_out(log):
    text = replay(log, "--holdout", "0.25")
    assert "of 400 held-out rows" not in text
    assert "of 100 held-out rows" in text


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_can_be_replayed(log, policy):
    assert json.loads(replay(log, "--policy", policy, "--json"))["n_kept"] > 100


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--policy", "fixed:c"], "the log has no arm 'c'. It has: a, b"),
        (["--policy", "best"], "best"),
        (["--reward", "clicked"], "has no column 'clicked'. It has: arm, opened, p, level"),
        (["--context", "level,age"], "Name its columns with --arm, --reward, --propensity"),
        (["--propensity", "1.5"], "need a number in (0, 1]"),
        (["--holdout", "1"], "--holdout"),
        (["--update-every", "0"], "--update-every"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_advice(log, arguments, advice):
    assert advice in replay(log, *arguments, code=2).stderr


@pytest.mark.skipif(not HILLSTROM.is_file(), reason="the real data sets are not beside this clone")
def test_on_a_real_experiment_a_third_is_kept_and_learning_does_no_harm(tmp_path):
    """Hillstrom: three arms, each sent to a third of the customers at random.

    The first 20,000 of 38,484 rows: of a share of .333 the limits are .017 away, which no wrong rule of keeping is near.
    """
    with gzip.open(HILLSTROM, "rt", encoding="utf-8") as file:
        (tmp_path / "log.csv").write_text("".join(islice(file, 20_001)), encoding="utf-8")
    context = "recency,history,mens,womens,zip_code,newbie,channel"
    named = ["--arm", "segment", "--reward", "visit", "--propensity", "0.3333333", "--context", context]
    result = CliRunner().invoke(main, ["replay", str(tmp_path / "log.csv"), *named, "--update-every", "500", "--json"])
    found = json.loads(result.stdout)
    n, third = found["n_rows"], 1 / 3
    assert abs(found["n_kept"] - n * third) < 5 * math.sqrt(n * third * (1 - third))
    assert found["ci_upper"] >= found["logged_mean"]
