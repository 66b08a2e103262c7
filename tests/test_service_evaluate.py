"""`manyarm evaluate`: the same log says the same as a database, an export or a table, in JSON, in words and as a page."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bandit import Outcome
from service.cli import main
from service.outcomes_table import record_outcome
from service.store import Store
from service.trainer import engine_for

HILLSTROM = Path(__file__).parents[2] / "shared" / "data" / "hillstrom.dev.csv.gz"
ESTIMATE = {"value", "se", "ci_lower", "ci_upper"}
KEYS = {"n", "dropped", "verdict", "reasons", "behavior_value", "ess", "max_weight", "mean_weight", "estimators"}
N = 250
RULES = """
[[rule]]
when = { member = true, level = ["low", "high"] }
choice = { subject = "champion" }

[[rule]]
choice = { subject = "plain" }
"""


def run(*arguments, code=0):
    """Runs `manyarm`; a traceback is a failure whatever the status."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def ask(*arguments, code=0):
    return json.loads(run("evaluate", *arguments, "--json", code=code))


def values(document):
    return {name: found["value"] for name, found in document["estimators"].items()}


def live(folder, worlds, **sections):
    """Two rounds of decisions and outcomes, learned from after each by `manyarm learn`; then exported twice."""
    (folder / "campaign.toml").write_text(worlds.toml(worlds.document(**sections)), encoding="utf-8")
    ours = ["--db", folder / "manyarm.db", "--campaign", folder / "campaign.toml"]
    rng = np.random.default_rng(1)
    for day in (0, 4):
        at = worlds.noon + timedelta(days=day)
        with Store(folder / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
            log = store.open_log(worlds.campaign(**sections), worlds.noon)
            engine, contexts = engine_for(store, log), worlds.contexts(log.campaign, N, seed=day)
            made = [engine.decide(f"c{day}-{i}", c, decision_id=f"d{day}-{i}", at=at) for i, c in enumerate(contexts)]
            store.add_decisions([store.row_of(decision, log) for decision in made])

            def tell(connection, store=store, made=made, at=at):
                for one in made:
                    if rng.random() < 0.2 + 0.5 * (one.choice["subject"] == "champion"):
                        click = Outcome(f"{one.decision_id} e", one.decision_id, "click", at + timedelta(hours=1))
                        record_outcome(connection, click, store.reward_of, at)

            store.write(tell)
        run("learn", *ours, "--at", (at + timedelta(days=3)).isoformat())
    for name in ("log.parquet", "log.csv"):
        run("export", "--out", folder / name, *ours)
    return folder


@pytest.fixture(scope="module")
def one(worlds, tmp_path_factory):
    """One dimension with a rule on context, and all three groups."""
    subject = worlds.dimension("subject", {"id": "plain"}, "champion", {"id": "dominate", "when": {"level": ["high"]}})
    groups = {"random": 0.3, "control": {"share": 0.2, "choice": {"subject": "plain"}}}
    policy = {"name": "squarecb", "floor": 0.2}
    return live(tmp_path_factory.mktemp("one"), worlds, groups=groups, policy=policy, dimension=[subject])


@pytest.fixture(scope="module")
def two(worlds, tmp_path_factory):
    """Two dimensions without rules."""
    return live(
        tmp_path_factory.mktemp("two"), worlds, groups={"random": 0.4}, policy={"name": "squarecb", "floor": 0.3}
    )


def ours(folder):
    return ["--db", folder / "manyarm.db", "--campaign", folder / "campaign.toml"]


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


def test_the_document_says_everything_a_result_must_carry(table):
    found = ask(*table(), "--target", "fixed:a")
    assert found.keys() >= KEYS
    assert (found["n"], found["dropped"], found["verdict"], found["reasons"]) == (600, {}, "reliable", [])
    assert found["behavior_value"] == 0.5
    assert (found["ess"], found["max_weight"], found["mean_weight"]) == (300.0, 2.0, 1.0)
    assert values(found)["snips"] == pytest.approx(2 / 3)
    assert {"snips", "cressie-read", "ips"} <= found["estimators"].keys()
    for one in found["estimators"].values():
        assert one.keys() >= ESTIMATE
        assert one["ci_lower"] <= one["value"] <= one["ci_upper"]


def test_a_second_target_adds_a_difference_row_by_row(table):
    found = ask(*table(), "--target", "fixed:a", "--against", "fixed:b")
    other = ask(*table(), "--target", "fixed:b")
    assert found["difference"].keys() == found["estimators"].keys() == found["against"]["estimators"].keys()
    assert found["against"]["estimators"] == other["estimators"]
    assert found["difference"]["snips"]["value"] == pytest.approx(1 / 3)
    assert found["difference"]["snips"]["ci_lower"] > 0
    assert found["difference"]["snips"].keys() >= ESTIMATE


def test_the_answer_for_people_says_the_same(table):
    found, text = (run("evaluate", *table(), "--target", "fixed:a", *more) for more in (["--json"], []))
    assert text.startswith("RELIABLE: fixed:a would have earned 0.6667 a send (")
    assert f"{json.loads(found)['estimators']['snips']['ci_lower']:.5f}" in text


def test_an_unreliable_answer_is_still_an_answer_with_its_reasons_first(table):
    arguments = *table(table.rows[:60]), "--target", "fixed:a"
    found, text = ask(*arguments), run("evaluate", *arguments)
    assert found["verdict"] == "unreliable"
    assert "worth only 30 sends of the target's own" in found["reasons"][0]
    assert found["reasons"][0] in text


@pytest.mark.parametrize(
    "target", ["uniform", "fixed:subject=champion", "best-constant", "learn:squarecb", "snapshot:s00001"]
)
@pytest.mark.parametrize("case", ["one", "two"])
def test_the_same_log_gives_the_same_numbers_from_parquet_from_csv_and_from_the_database(request, case, target):
    folder = request.getfixturevalue(case)
    wanted = f"{target},cta=join" if case == "two" and target.startswith("fixed") else target
    arguments = ["--target", wanted, "--against", "uniform", "--estimators", "snips,ips,cressie-read", *ours(folder)]
    expected = ask(*arguments)
    assert expected["n"] > 100
    assert target.startswith(("best", "learn")) or expected["n"] + sum(expected["dropped"].values()) == 2 * N
    assert values(expected).keys() == {"snips", "ips", "cressie-read"}
    for name in ("log.parquet", "log.csv"):
        assert numbers(ask(folder / name, *arguments)) == pytest.approx(numbers(expected), abs=1e-12)


def numbers(document, path=""):
    """Every number of a document by its place."""
    if not isinstance(document, dict):
        return {path: document} if isinstance(document, float | int) else {}
    return {p: n for name, item in document.items() for p, n in numbers(item, f"{path}/{name}").items()}


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", ""])
@pytest.mark.parametrize("case", ["one", "two"])
def test_the_snapshot_that_decided_every_row_earns_the_plain_mean(request, case, name):
    """Only rows that it had not learned from count, and s00001 decided all of those that the learner's group got."""
    folder = request.getfixturevalue(case)
    log = [folder / name] if name else []
    found = ask(*log, "--target", "snapshot:s00001", "--group", "learner", "--estimators", "snips,ips", *ours(folder))
    assert found["n"] > 80
    assert values(found) == pytest.approx(dict.fromkeys(("snips", "ips"), found["behavior_value"]), abs=1e-12)
    assert (found["ess"], found["max_weight"]) == pytest.approx((found["n"], 1.0))


def test_the_serving_snapshot_can_be_asked_about_by_that_word_but_not_by_what_taught_it(one):
    assert ask("--target", "snapshot:serving", *ours(one), code=1)["verdict"] == "cannot answer"
    text = run("evaluate", "--target", "snapshot:serving", *ours(one), code=1)
    assert "every send of this log taught s00002" in text


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", ""])
def test_a_log_that_never_did_what_is_asked_cannot_answer_and_exits_1(one, name):
    """Control customers all got the plain subject; that says nothing of another."""
    log = [one / name] if name else []
    arguments = *log, "--group", "control", *ours(one)
    found = ask(*arguments, "--target", "fixed:champion", "--against", "fixed:plain", code=1)
    assert (found["verdict"], found["estimators"], found["difference"]) == ("cannot answer", {}, {})
    assert "In none of the" in found["reasons"][0]
    assert run("evaluate", *arguments, "--target", "fixed:champion", code=1).startswith(
        "CANNOT ANSWER: this log does not"
    )
    plain = ask(*arguments, "--target", "fixed:plain")
    assert values(plain)["snips"] == plain["behavior_value"]


def test_rows_that_do_not_count_are_counted_by_reason(one):
    found = ask(one / "log.csv", "--target", "uniform", "--group", "random")
    assert found["n"] + sum(found["dropped"].values()) == 2 * N
    assert found["dropped"].keys() == {"other group"}


def test_the_random_group_of_two_dimensions_is_weighed_additively_alike_from_file_and_database(two):
    arguments = ["--target", "fixed:subject=champion,cta=join", "--group", "random", "--estimators", "snpi,pi,order-2"]
    expected = ask(two / "log.parquet", *arguments)
    assert values(expected).keys() == {"snpi", "pi", "order-2"}
    assert values(ask(*arguments, *ours(two))) == pytest.approx(values(expected), rel=1e-6)
    assert values(ask(two / "log.csv", *arguments)) == pytest.approx(values(expected), abs=1e-12)


def test_several_dimensions_of_our_own_log_are_weighed_by_whole_choices_without_being_asked(two):
    found = ask("--target", "fixed:subject=champion,cta=join", *ours(two))
    assert {"order-2", "snpi"} <= found["estimators"].keys()


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", ""])
def test_rules_from_a_file_send_yes_and_no_alike_whatever_the_log_is_stored_in(one, tmp_path, name):
    (tmp_path / "rules.toml").write_text(RULES, encoding="utf-8")
    log = [one / name] if name else []
    found = ask(*log, "--target", f"rules:{tmp_path / 'rules.toml'}", *ours(one))
    assert found["target"] == "rules:rules.toml"
    assert found["mean_weight"] == pytest.approx(1.0, abs=0.2)
    low, high = (values(ask("--target", f"fixed:{arm}", *ours(one)))["ips"] for arm in ("plain", "champion"))
    assert low < values(found)["ips"] < high


def test_a_column_of_the_table_is_a_target(table):
    found = ask(*table(), "--target", "column:wanted")
    assert found["support"] is None
    assert values(found)["snips"] == pytest.approx(0.2 * 2 / 3 + 0.8 / 3)


def test_a_column_of_an_export_is_a_target(two):
    found = ask(two / "log.parquet", "--target", "column:propensity")
    assert values(found)["snips"] == pytest.approx(found["behavior_value"])


def test_where_keeps_only_the_rows_with_these_values(table):
    assert ask(*table(), "--target", "uniform", "--where", "level=x|z")["n"] == 400
    found = ask(*table(), "--target", "uniform", "--where", "level=x|z", "--where", "arm=a", "--largest-weight", "2")
    assert (found["n"], found["verdict"]) == (200, "unreliable")


def test_a_log_with_context_gets_doubly_robust_estimates_without_being_asked(table):
    found = ask(*table(), "--context", "level", "--target", "fixed:a", "--bootstrap", "50", "--seed", "7")
    assert {"dr", "sndr", "dm", "snips (bootstrap)"} <= found["estimators"].keys()
    assert found["estimators"]["dm"]["ci_lower"] is None
    assert values(found)["dr"] == pytest.approx(2 / 3, abs=0.05)


def test_the_same_seed_gives_the_same_bytes_and_more_confidence_a_wider_interval(table):
    arguments = ["evaluate", *table(), "--target", "fixed:a", "--bootstrap", "50", "--json"]
    first, second, wide = (run(*arguments, *more) for more in ([], [], ["--confidence", "0.999"]))
    assert first == second
    ends = [json.loads(text)["estimators"]["snips"]["ci_lower"] for text in (first, wide)]
    assert ends[1] < ends[0]


@pytest.mark.skipif(not HILLSTROM.is_file(), reason="the real data sets are not beside this clone")
def test_on_a_real_experiment_the_better_rules_beat_the_log_and_the_log_beats_their_reverse(tmp_path):
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
        found = ask(*log, "--target", target, "--against", against)
        assert found["verdict"] == "reliable"
        assert all(one["ci_lower"] > 0 for one in found["difference"].values())
