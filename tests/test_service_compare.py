"""`manyarm compare`: words that follow from the log, from our database, an export or anybody's table."""

from __future__ import annotations

import csv
import json
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from service.compared_log import arrived
from service.store import Store

HILLSTROM = Path(__file__).parents[2] / "shared" / "data" / "hillstrom.dev.csv.gz"
GROUPS = {"random": 0.3, "control": {"share": 0.3, "choice": {"subject": "plain", "cta": "join"}}}
EVENTS = {"click": 1.0, "unsubscribe": -1.0}
DAY = timedelta(days=1)


def ask(cli, *arguments, code=0):
    return json.loads(cli.run("compare", *arguments, "--json", code=code))


@pytest.fixture(scope="module")
def made(worlds, tmp_path_factory, cli):
    """A campaign of 3,000 sends in which champion is clicked by 60 of 100 and all else by 10, through the real commands."""
    folder = tmp_path_factory.mktemp("compare")
    document = worlds.document(groups=GROUPS, reward={"window": "72h", "events": EVENTS})
    campaign, db = folder / "campaign.toml", folder / "manyarm.db"
    campaign.write_text(worlds.toml(document), encoding="utf-8")
    rng = np.random.default_rng(5)
    rows = [
        {"customer_id": f"c{i // 2}", "level": ["low", "high"][i // 2 % 2], "decision_id": f"d{i}"} for i in range(3000)
    ]
    with (folder / "users.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    options = ["--db", db, "--campaign", campaign]
    with Store(db, salt=worlds.salt, secret=worlds.secret):
        pass  # with fixed keys each run draws the same groups and arms
    cli.run("decide", folder / "users.csv", *options, "--out", folder / "choices.csv", "--at", "2026-11-01T12:00:00Z")
    with Store(db) as store:
        log = store.logs()[0]
        events = []
        for row in store.decisions(log):
            for kind, chance in (("click", 0.6 if "champion" in row.arms else 0.1), ("unsubscribe", 0.02)):
                if rng.random() < chance:
                    events.append({"event_id": f"{kind}-{row.decision_id}", "decision_id": row.decision_id, "type": kind,
                                   "at": (row.decided_at + DAY).isoformat()})  # fmt: skip
    with (folder / "events.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, events[0])
        writer.writeheader()
        writer.writerows(events)
    cli.run("record", folder / "events.csv", "--db", db, "--at", "2026-11-03T12:00:00Z")
    cli.run("learn", *options, "--at", "2026-11-10T12:00:00Z")
    export = folder / "log.parquet"
    cli.run("export", *options, "--out", export)
    return {"options": options, "export": export, "campaign": campaign, "found": ask(cli, *options)}


def test_the_arm_that_is_better_wins_its_dimension_and_the_other_dimension_has_no_winner(made):
    found = made["found"]
    subject, cta = found["dimensions"]["subject"], found["dimensions"]["cta"]
    assert (subject["leader"], subject["word"]) == ("champion", "winner")
    assert subject["arms"]["champion"]["against_the_rest"]["every_look"]["ci_lower"] > 0
    assert subject["arms"]["plain"]["against_the_rest"]["word"] == "stop for harm"
    assert cta["word"] != "winner"


def test_groups_are_compared_in_every_pair_and_each_has_a_word_with_its_rule(made):
    found = made["found"]
    pairs = [(one["treated"], one["control"]) for one in found["comparisons"]]
    assert pairs == [("learner", "control"), ("random", "control"), ("learner", "random")]
    for one in found["comparisons"]:
        assert one["word"]
        assert one["rule"]
        assert one["every_look"]["ci_lower"] <= one["every_look"]["ci_upper"]
    values = {name: group["value"] for name, group in found["groups"].items()}
    difference = found["comparisons"][0]["fixed_date"]["difference"]["value"]
    assert difference == pytest.approx(values["learner"] - values["control"])


def test_bounds_at_every_look_are_wider_than_the_interval_at_one(made):
    for one in made["found"]["comparisons"]:
        once, always = one["fixed_date"]["difference"], one["every_look"]
        assert always["ci_upper"] - always["ci_lower"] > once["ci_upper"] - once["ci_lower"]


def test_outcomes_worth_less_than_nothing_are_guardrails_unless_others_are_named(cli, made):
    assert set(made["found"]["comparisons"][0]["guardrails"]) == {"unsubscribe"}
    named = ask(cli, *made["options"], "--metric", "unsubscribe", "--guardrail", "click")["comparisons"][0]
    assert set(named["guardrails"]) == {"click"}


def test_a_guardrail_that_rises_overrules_a_winner(cli, made):
    # Clicks as a guardrail: random sends champion to a third, control never.
    found = ask(cli, *made["options"], "--guardrail", "click")["comparisons"]
    random = next(one for one in found if (one["treated"], one["control"]) == ("random", "control"))
    assert random["every_look"]["ci_lower"] > 0
    assert random["word"] == "stop for harm"
    assert "click" in random["rule"]


def test_a_metric_is_a_type_of_outcome_counted_as_0_and_1(cli, made):
    found = ask(cli, *made["options"], "--metric", "unsubscribe")
    assert found["reward_range"] == [0.0, 1.0]
    assert 0.005 < found["groups"]["random"]["value"] < 0.05


def test_an_export_says_the_same_as_its_database(cli, made):
    stored, exported = made["found"], ask(cli, made["export"], "--campaign", made["campaign"])
    assert exported["groups"] == stored["groups"]
    assert exported["dimensions"] == stored["dimensions"]
    for one, other in zip(exported["comparisons"], stored["comparisons"], strict=True):
        assert one["every_look"] == other["every_look"]


def test_an_export_without_its_campaign_cannot_watch_groups_and_says_what_is_missing(cli, made):
    found = ask(cli, made["export"], "--reward-range", "-1", "1")
    assert {one["word"] for one in found["comparisons"]} == {"cannot say"}
    assert "--campaign" in found["comparisons"][0]["rule"]
    assert found["comparisons"][0]["fixed_date"]["p_value"] is not None
    assert found["dimensions"]["subject"]["word"] == "winner"


def test_without_a_reward_range_nothing_is_promised_at_every_look(cli, made):
    arm = ask(cli, made["export"])["dimensions"]["subject"]["arms"]["champion"]["against_the_rest"]
    assert (arm["every_look"], arm["word"]) == (None, "cannot say")
    assert "--reward-range" in arm["rule"]
    assert arm["p_value"] < 0.05


def test_what_a_reward_can_be_is_no_range_of_another_column(cli, made):
    found = ask(cli, made["export"], "--campaign", made["campaign"], "--metric", "propensity")
    assert (found["metric"], found["reward_range"]) == ("propensity", None)


def test_before_the_planned_date_the_classical_test_is_not_to_be_read(cli, made):
    early = ask(cli, *made["options"], "--planned", "100000")["comparisons"][0]["fixed_date"]["when"]
    assert early.startswith("not to be read before the planned 100,000 sends")
    there = ask(cli, *made["options"], "--planned", "1000")["comparisons"][0]["fixed_date"]["when"]
    assert there.startswith("valid at this one look")


def test_a_wide_margin_turns_keep_going_into_no_difference(cli, made):
    found = ask(cli, *made["options"], "--margin", "0.5")["dimensions"]["cta"]
    assert (found["word"], found["margin"]) == ("no difference larger than m", 0.5)


def test_the_weighting_is_named_and_changes_the_numbers(cli, made):
    overlap = made["found"]["dimensions"]["subject"]
    plain = ask(cli, *made["options"], "--weighting", "plain")["dimensions"]["subject"]
    assert (overlap["weighting"], plain["weighting"]) == ("overlap", "plain")
    assert overlap["arms"]["champion"]["value"] == plain["arms"]["champion"]["value"]


def test_segments_are_explored_with_adjusted_values(cli, made):
    by = ask(cli, *made["options"], "--by", "level")["by"]
    assert [one["segment"] for one in by["lifts"]] == ["high", "low"]
    champions = [one for one in by["arms"]["subject"] if one["arm"] == "champion"]
    assert [one["segment"] for one in champions] == ["high", "low"]
    assert all(one["q_value"] < 0.05 and one["shrunk"] > 0.2 for one in champions)


def test_the_audits_of_the_log_stand_beside_the_answer(made):
    audits = made["found"]["audits"]
    assert {"groups", "drift"} <= {audit["name"] for audit in audits}


def test_the_text_says_the_word_first_and_the_page_holds_every_arm(cli, made, tmp_path):
    page = tmp_path / "page.html"
    text = cli.run("compare", *made["options"], "--html", page)
    word = made["found"]["comparisons"][0]["word"]
    assert text.lower().startswith(word)
    html = page.read_text(encoding="utf-8")
    for arm in ("champion", "dominate", "plain", "join", "invite", "unsubscribe"):
        assert arm in html
    assert "<script" not in html
    assert not re.search(r"https?://", html)


@pytest.mark.skipif(not HILLSTROM.exists(), reason="Hillstrom's data are not here")
def test_on_hillstroms_mails_the_mens_mail_wins_and_no_mail_loses(cli):
    found = ask(cli, HILLSTROM, "--arm", "segment", "--reward", "visit", "--propensity", "0.3333333")
    arms = found["dimensions"]["segment"]["arms"]
    assert (found["metric"], found["dimensions"]["segment"]["leader"]) == ("visit", "Mens E-Mail")
    assert {name: arm["against_the_rest"]["word"] for name, arm in arms.items()} == {
        "Mens E-Mail": "winner", "Womens E-Mail": "keep going", "No E-Mail": "stop for harm"
    }  # fmt: skip
    assert arms["Mens E-Mail"]["value"] == pytest.approx(0.1815, abs=5e-4)


def test_what_had_arrived_waits_for_an_older_reward_that_is_still_open():
    decided = np.array(["2026-01-01", "2026-01-02", "2026-01-04", "2026-01-09"], dtype="datetime64[D]")
    due = np.array(["2026-01-08", "2026-01-03", "2026-01-05", "2026-01-10"], dtype="datetime64[D]")
    # The second reward came on the 3rd; but the first row's, on the 8th, has to be counted before it.
    assert arrived(decided, due).tolist() == [0, 0, 0, 3]


def test_no_row_knows_its_own_reward_or_a_later_one():
    rng = np.random.default_rng(1)
    decided = np.sort(rng.integers(0, 1000, 200)).astype("datetime64[s]")
    due = decided + rng.integers(0, 300, 200).astype("timedelta64[s]")
    counts = arrived(decided, due)
    assert (counts <= np.arange(200)).all()
    for row, count in enumerate(counts.tolist()):
        assert (due[:count] <= decided[row]).all()
