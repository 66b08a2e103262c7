"""`manyarm evaluate`: our log says the same as a database, as Parquet and as CSV, and never more than it knows."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from bandit import Outcome
from service.engines import engine_for
from service.outcomes_table import record_outcome
from service.store import Store

N = 250
RULES = """
[[rule]]
when = { member = true, level = ["low", "high"] }
choice = { subject = "champion" }

[[rule]]
choice = { subject = "plain" }
"""


def live(cli, folder, worlds, **sections):
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
        cli.run("learn", *ours, "--at", (at + timedelta(days=3)).isoformat())
    for name in ("log.parquet", "log.csv"):
        cli.run("export", "--out", folder / name, *ours)
    return folder


@pytest.fixture(scope="module")
def one(cli, worlds, tmp_path_factory):
    """One dimension with a rule on context, and all three groups."""
    subject = worlds.dimension("subject", {"id": "plain"}, "champion", {"id": "dominate", "when": {"level": ["high"]}})
    groups = {"random": 0.3, "control": {"share": 0.2, "choice": {"subject": "plain"}}}
    policy = {"name": "squarecb", "floor": 0.2}
    return live(cli, tmp_path_factory.mktemp("one"), worlds, groups=groups, policy=policy, dimension=[subject])


@pytest.fixture(scope="module")
def two(cli, worlds, tmp_path_factory):
    """Two dimensions without rules."""
    return live(
        cli, tmp_path_factory.mktemp("two"), worlds, groups={"random": 0.4}, policy={"name": "squarecb", "floor": 0.3}
    )


@pytest.fixture(scope="module")
def greedy(cli, worlds, tmp_path_factory):
    """One dimension without rules, and a policy that gives arms nothing in which nobody believes."""
    subject = worlds.dimension("subject", "plain", "champion", "dominate")
    policy = {"name": "thompson", "floor": 0.0}
    return live(cli, tmp_path_factory.mktemp("greedy"), worlds, policy=policy, dimension=[subject])


def ours(folder):
    return ["--db", folder / "manyarm.db", "--campaign", folder / "campaign.toml"]


@pytest.mark.parametrize(
    "target", ["uniform", "fixed:subject=champion", "best-constant", "learn:squarecb", "snapshot:s00001"]
)
@pytest.mark.parametrize("case", ["one", "two"])
def test_the_same_log_gives_the_same_numbers_from_parquet_from_csv_and_from_the_database(cli, request, case, target):
    folder = request.getfixturevalue(case)
    wanted = f"{target},cta=join" if case == "two" and target.startswith("fixed") else target
    arguments = ["--target", wanted, "--against", "uniform", "--estimators", "snips,ips,cressie-read", *ours(folder)]
    expected = cli.ask(*arguments)
    assert expected["n"] > 100
    assert target.startswith(("best", "learn")) or expected["n"] + sum(expected["dropped"].values()) == 2 * N
    assert cli.values(expected).keys() == {"snips", "ips", "cressie-read"}
    for name in ("log.parquet", "log.csv"):
        assert numbers(cli.ask(folder / name, *arguments)) == pytest.approx(numbers(expected), abs=1e-12)


def numbers(document, path=""):
    """Every number of a document by its place."""
    if not isinstance(document, dict):
        return {path: document} if isinstance(document, float | int) else {}
    return {p: n for name, item in document.items() for p, n in numbers(item, f"{path}/{name}").items()}


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", ""])
@pytest.mark.parametrize("case", ["one", "two"])
def test_the_snapshot_that_decided_every_row_earns_the_plain_mean(cli, request, case, name):
    """Only rows that it had not learned from count, and s00001 decided all of those that the learner's group got."""
    folder = request.getfixturevalue(case)
    log = [folder / name] if name else []
    found = cli.ask(
        *log, "--target", "snapshot:s00001", "--group", "learner", "--estimators", "snips,ips", *ours(folder)
    )
    assert found["n"] > 80
    assert cli.values(found) == pytest.approx(dict.fromkeys(("snips", "ips"), found["behavior_value"]), abs=1e-12)
    assert (found["ess"], found["max_weight"]) == pytest.approx((found["n"], 1.0))


def test_the_serving_snapshot_can_be_asked_about_by_that_word_but_not_by_what_taught_it(cli, one):
    assert cli.ask("--target", "snapshot:serving", *ours(one), code=1)["verdict"] == "cannot answer"
    text = cli.run("evaluate", "--target", "snapshot:serving", *ours(one), code=1)
    assert "every send of this log taught s00002" in text


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", ""])
def test_a_log_that_never_did_what_is_asked_cannot_answer_and_exits_1(cli, one, name):
    """Control customers all got the plain subject; that says nothing of another."""
    log = [one / name] if name else []
    arguments = *log, "--group", "control", *ours(one)
    found = cli.ask(*arguments, "--target", "fixed:champion", "--against", "fixed:plain", code=1)
    assert (found["verdict"], found["estimators"], found["difference"]) == ("cannot answer", {}, {})
    assert "In none of the" in found["reasons"][0]
    assert cli.run("evaluate", *arguments, "--target", "fixed:champion", code=1).startswith(
        "CANNOT ANSWER: this log does not"
    )
    plain = cli.ask(*arguments, "--target", "fixed:plain")
    assert cli.values(plain)["snips"] == plain["behavior_value"]


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", ""])
def test_an_arm_that_a_policy_without_a_floor_gave_nothing_is_not_taken_for_one_that_a_rule_removed(cli, greedy, name):
    log = [greedy / name] if name else []
    found = cli.ask(*log, "--target", "fixed:dominate", "--group", "learner", *ours(greedy), code=1)
    assert found["verdict"] == "cannot answer"
    assert "could never have been sent in this log: those arms had probability 0" in found["reasons"][0]


def test_rows_that_do_not_count_are_counted_by_reason(cli, one):
    found = cli.ask(one / "log.csv", "--target", "uniform", "--group", "random")
    assert found["n"] + sum(found["dropped"].values()) == 2 * N
    assert found["dropped"].keys() == {"other group"}


def test_the_random_group_of_two_dimensions_is_weighed_additively_alike_from_file_and_database(cli, two):
    arguments = ["--target", "fixed:subject=champion,cta=join", "--group", "random", "--estimators", "snpi,pi,order-2"]
    expected = cli.ask(two / "log.parquet", *arguments)
    assert cli.values(expected).keys() == {"snpi", "pi", "order-2"}
    assert cli.values(cli.ask(*arguments, *ours(two))) == pytest.approx(cli.values(expected), rel=1e-6)
    assert cli.values(cli.ask(two / "log.csv", *arguments)) == pytest.approx(cli.values(expected), abs=1e-12)


def test_several_dimensions_of_our_own_log_are_weighed_by_whole_choices_without_being_asked(cli, two):
    found = cli.ask("--target", "fixed:subject=champion,cta=join", *ours(two))
    assert {"order-2", "snpi"} <= found["estimators"].keys()


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", ""])
def test_rules_from_a_file_send_yes_and_no_alike_whatever_the_log_is_stored_in(cli, one, tmp_path, name):
    (tmp_path / "rules.toml").write_text(RULES, encoding="utf-8")
    log = [one / name] if name else []
    found = cli.ask(*log, "--target", f"rules:{tmp_path / 'rules.toml'}", *ours(one))
    assert found["target"] == "rules:rules.toml"
    assert found["mean_weight"] == pytest.approx(1.0, abs=0.2)
    low, high = (cli.values(cli.ask("--target", f"fixed:{arm}", *ours(one)))["ips"] for arm in ("plain", "champion"))
    assert low < cli.values(found)["ips"] < high


def test_a_column_of_an_export_is_a_target(cli, two):
    found = cli.ask(two / "log.parquet", "--target", "column:propensity")
    assert cli.values(found)["snips"] == pytest.approx(found["behavior_value"])
