"""`manyarm replay` in worlds: scenarios, fitted worlds, rehearsals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bandit import read_campaign
from service.cli import main
from service.replayed_log import batch_of
from service.replaying import Contender, replayed
from service.worlds_asked import ScenarioWorlds, customers_in, rates_in

CAMPAIGN = """
[campaign]
id = "small"
learn_every = "7d"
[context.plan]
kind = "categorical"
values = ["free", "basic", "pro"]
[reward]
window = "48h"
events = { click = 1.0 }
[groups]
random = 0.1
control = { share = 0.2, choice = { subject = "plain" } }
[[dimension]]
name = "subject"
[[dimension.arm]]
id = "plain"
[[dimension.arm]]
id = "question"
[[dimension.arm]]
id = "urgent"
"""


@pytest.fixture
def campaign(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(CAMPAIGN)
    return path


def asked(*arguments, code=0):
    result = CliRunner().invoke(main, ["replay", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result if code else result.stdout


def small(campaign, *arguments, code=0):
    given = ["--scenario", "steady", "--campaign", campaign, "--sends", 150, "--seeds", 2, "--processes", 1]
    return asked(*given, *arguments, code=code)


def test_every_policy_meets_the_same_worlds(campaign):
    found = json.loads(small(campaign, "--policy", "squarecb", "--policy", "control", "--json"))
    first, second = found["policies"].values()
    assert (first["uniform"], first["best"]) == (second["uniform"], second["best"])
    assert first["difference"] is None
    assert second["difference"]["ci_lower"] < second["difference"]["ci_upper"]
    assert second["difference"]["value"] == pytest.approx(second["value"] - first["value"])
    assert list(second["groups"]) == ["control"]


def test_the_same_seeds_give_the_same_bytes_on_one_process_or_two(campaign):
    one, again = (small(campaign, "--policy", "squarecb", "--json") for _ in range(2))
    two = small(campaign, "--policy", "squarecb", "--json", "--processes", 2)
    other = small(campaign, "--policy", "squarecb", "--json", "--seed", 7)
    assert one == again == two != other


def test_a_fault_costs_what_is_reported_and_not_the_truth_of_control(campaign):
    clean, lossy = (
        json.loads(small(campaign, "--policy", "control", "--rates", "click=0.4", "--json", *extra))["policies"][
            "control"
        ]
        for extra in ([], ["--fault", "lost-events=0.9"])
    )
    assert clean["value"] == lossy["value"]
    assert lossy["reported"] < 0.5 * clean["reported"]


def test_rates_and_customers_are_the_users_own(campaign, tmp_path):
    table = tmp_path / "list.csv"
    table.write_text("customer_id,plan,notes\n" + "".join(f"c{i},pro,x\n" for i in range(60)))
    found = json.loads(small(campaign, "--rates", "click=0.3", "--customers", table, "--json"))
    assert found["policies"]["squarecb"]["uniform"] == pytest.approx(0.3, abs=0.05)
    worlds = ScenarioWorlds("steady", {}, *customers_in(table, read_campaign(CAMPAIGN).schema))
    (stage,) = worlds.stages(read_campaign(CAMPAIGN), 1, 100)
    came = list(stage.world.arrivals(100))
    assert {arrival.context["plan"] for arrival in came} == {"pro"}
    assert {arrival.customer_id for arrival in came} == {f"c{i}" for i in range(60)}


def test_curves_are_drawn(campaign, tmp_path):
    small(campaign, "--picture", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_world_is_fitted_to_a_foreign_log_and_any_policy_played_in_it(tmp_path):
    rng = np.random.default_rng(0)
    arms, level = rng.integers(3, size=900), rng.integers(2, size=900)
    clicked = rng.random(900) < np.array([[0.1, 0.3, 0.1], [0.1, 0.1, 0.5]])[level, arms]
    lines = [f"{'abc'[a]},{int(c)},{'xy'[v]}" for a, c, v in zip(arms, clicked, level, strict=True)]
    log = tmp_path / "log.csv"
    log.write_text("\n".join(["arm,click,level", *lines]))
    given = ["--fit", log, "--arm", "arm", "--reward", "click", "--propensity", "0.3333333", "--context", "level"]
    out = asked(
        *given, "--policy", "fixed:a", "--policy", "fixed:c", "--sends", 200, "--seeds", 2, "--processes", 1, "--json"
    )
    found = json.loads(out[out.index("{") :])["policies"]
    assert found["fixed:a"]["value"] == pytest.approx(0.1, abs=0.04)
    assert found["fixed:c"]["value"] == pytest.approx(0.3, abs=0.06)
    assert found["fixed:a"]["best"] == pytest.approx(0.4, abs=0.07)


def test_a_rehearsal_is_one_page_and_one_document(campaign, tmp_path):
    page = tmp_path / "page.html"
    given = ["--rehearse", campaign, "--sends", 200, "--seeds", 2, "--processes", 1, "--html", page]
    found = json.loads(asked(*given, "--json"))
    assert found["campaign"] == "small"
    assert "</html>" in page.read_text()


def test_a_replayed_stage_is_a_log_that_can_be_evaluated():
    campaign = read_campaign(CAMPAIGN)
    stage = replayed(Contender("a", campaign), ScenarioWorlds("steady"), 150, 1).stages[0]
    batch = batch_of(stage)
    at = np.arange(150)
    assert (batch.pmfs[0][at, batch.picks[:, 0]] == batch.propensities[:, 0]).all()
    assert set(batch.sends.groups) == {"learner", "random", "control"}
    assert [c["plan"] for c in batch.contexts()] == [arrival.context["plan"] for arrival in stage.arrivals]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a world"),
        (["--scenario", "sunny"], "sunny"),
        (["--scenario", "steady", "--policy", "best"], "'best' is unknown"),
        (["--scenario", "steady", "--policy", "uniform", "--policy", "uniform"], "the same one twice"),
        (["--scenario", "steady", "--rates", "click=4"], "not percent"),
        (["--scenario", "steady", "--rates", "smile=0.1"], "smile"),
        (["--scenario", "steady", "--fault", "gremlins"], "gremlins"),
        (["--scenario", "steady", "--customers", "nobody.csv"], "nobody.csv"),
        (["--scenario", "steady", "--fit", "log.csv"], "leave out --scenario"),
        (["--scenario", "steady", "--picture", "nowhere/curves.png"], "does not exist"),
        (["--fit", "nothing.db"], "no such database"),
        (["--scenario", "steady", "--calibration", "x.png"], "it goes with --fit"),
        (["--scenario", "steady", "--picture", "x.jpg"], "end in .png"),
        (["--scenario", "steady", "--floor", "0.1"], "--floor"),
        (["log.csv", "--scenario", "steady"], "--scenario"),
        (
            ["log.csv", "--arm", "a", "--reward", "r", "--propensity", "1", "--batch-hours", "3"],
            "--batch-hours",
        ),
        (["--scenario", "steady", "--doubly-robust"], "--doubly-robust mean nothing"),
        (["--scenario", "steady", "--html", "page.html"], "--html mean nothing"),
        (["--scenario", "steady", "--arm", "a"], "--arm"),
        (["--scenario", "steady", "--fault", "swapped-rows"], "never stored"),
        (["--rehearse", "small.toml", "--policy", "uniform"], "--policy"),
        (["--rehearse", "nothing.toml"], "nothing at that path"),
    ],
)
def test_what_cannot_be_replayed_is_refused(arguments, said):
    assert said in asked(*arguments, "--sends", 100, "--processes", 1, code=2).output


def test_a_log_needs_its_columns():
    assert "--arm, --reward and --propensity" in asked("log.csv", code=2).output


def test_without_a_policy_the_campaign_plays_as_it_is(campaign):
    campaign.write_text(CAMPAIGN + '[policy]\nname = "uniform"\n')
    assert list(json.loads(small(campaign, "--json"))["policies"]) == ["uniform"]


@pytest.mark.parametrize("text", ["click", "click=0", "click=1", "=0.5", "click=much"])
def test_rates_that_are_none_are_refused(text):
    with pytest.raises(Exception, match="write TYPE=SHARE"):
        rates_in(text)


@pytest.mark.parametrize(
    ("rows", "said"),
    [("plan\nfree\ngold\n", "row 2"), ("plan\n", "no rows"), ("colour\nred\n", "declares none as context")],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path, rows, said):
    path = tmp_path / "list.csv"
    path.write_text(rows)
    with pytest.raises(Exception, match=said):
        customers_in(Path(path), read_campaign(CAMPAIGN).schema)
