import json

import pytest
from click.testing import CliRunner

from evaluation.power import Comparison, least_control_share, needed, smallest_lift
from service.cli import main


@pytest.fixture
def file(worlds, tmp_path):
    """Writes a campaign file with these sections."""

    def write(**sections):
        path = tmp_path / "campaign.toml"
        path.write_text(worlds.toml(worlds.document(**sections)), encoding="utf-8")
        return path

    return write


@pytest.fixture
def ask(cli):
    """The answer as JSON, and its comparisons by name."""

    def asked(*arguments, code=0):
        found = json.loads(cli.run("power", *arguments, "--json", code=code))
        return found, {row["comparison"]: row for row in found["comparisons"]}

    return asked


def control(share):
    return {"share": share, "choice": {"subject": "plain", "cta": "join"}}


def test_without_groups_two_halves_are_planned(cli, ask):
    found, rows = ask("--base", "0.04", "--lift", "0.2")
    assert list(rows) == ["treated against control"]
    assert rows["treated against control"]["needed"] == {
        "customers": 20_632, "treated": 10_316, "control": 10_316, "sends": 20_632,
    }  # fmt: skip
    assert (found["base"], found["lift"], found["list_size"], found["per_day"]) == (0.04, 0.2, None, None)
    shown = cli.run("power", "--base", "0.04", "--lift", "0.2")
    assert "To show a lift of +20.0% on a base rate of 4.000%, which is 4.800%, and to see it 80% of the time" in shown
    assert "20,632 customers on the list, 10,316 against 10,316" in shown


def test_numbers_may_be_written_in_percent(ask):
    percent = ask("--base", "4%", "--lift", "20 %", "--control", "10%", "--alpha", "5%", "--power", "80%")
    assert percent == ask("--base", "0.04", "--lift", "0.2", "--control", "0.1")


def test_a_control_group_leaves_the_rest_to_the_learner(ask):
    _, rows = ask("--base", "0.04", "--lift", "0.2", "--control", "0.1")
    row = rows["learner against control"]
    assert (row["share_treated"], row["share_control"], row["n_comparisons"]) == (0.9, 0.1, 1)
    assert row["needed"]["customers"] == needed(Comparison(0.04, 0.9, 0.1), 0.2).customers


def test_two_groups_to_hold_the_learner_against_are_two_claims_unless_said_otherwise(ask):
    both = ["--base", "0.04", "--lift", "0.2", "--control", "0.1", "--random", "0.05"]
    _, rows = ask(*both)
    assert {name: (row["n_comparisons"], row["alpha_each"]) for name, row in rows.items()} == {
        "learner against control": (2, 0.025), "learner against random": (2, 0.025),
    }  # fmt: skip
    _, rows = ask(*both, "--comparisons", "1")
    assert {row["alpha_each"] for row in rows.values()} == {0.05}


def test_arms_of_the_learners_own_sends_cost_what_its_policy_costs(cli, ask):
    arms = ["--base", "0.04", "--lift", "0.2", "--arms", "4"]
    _, even = ask(*arms)
    _, greedy = ask(*arms, "--collector", "epsilon-greedy")
    (even,), (greedy,) = even.values(), greedy.values()
    assert (even["comparison"], even["multiplier"]) == ("two of 4 arms, picked by uniform", 1.0)
    assert (greedy["comparison"], greedy["multiplier"]) == ("two of 4 arms, picked by epsilon-greedy", 7.5)
    assert (even["share_treated"], even["n_comparisons"]) == (0.25, 3)
    assert greedy["needed"]["customers"] == pytest.approx(7.5 * even["needed"]["customers"], rel=1e-5)
    assert "7.5 times the sends of an even split" in cli.run("power", *arms, "--collector", "epsilon-greedy")


def test_days_follow_from_all_sends_and_rise_to_the_next_whole_one(cli, ask):
    several = ["--base", "0.04", "--lift", "0.2", "--sends-per-customer", "4", "--per-day", "5000"]
    _, rows = ask(*several)
    row = rows["treated against control"]
    # Design effect 1.15: 20,632 x 1.15 = 23,727 sends, 4.7 days of 5,000.
    assert (row["design_effect"], row["needed"]["sends"], row["days"]) == (pytest.approx(1.15), 23_727, 5)
    shown = cli.run("power", *several)
    assert "23,727 sends, 5 days at 5,000 sends a day" in shown
    assert "4 sends to a customer are worth 3.48 to different ones (correlation 0.05)" in shown


@pytest.mark.parametrize(("customers", "enough", "code"), [(20_631, False, 1), (20_632, True, 0)])
def test_the_exit_status_says_whether_the_list_is_tall_enough(cli, ask, customers, enough, code):
    arguments = ["--base", "0.04", "--lift", "0.2", "--list", customers]
    _, rows = ask(*arguments, code=code)
    assert rows["treated against control"]["enough"] is enough
    assert ("tall enough: " in cli.run("power", *arguments, code=code)) is enough


def test_the_other_way_round_the_list_says_its_smallest_lift(cli, ask):
    _, rows = ask("--base", "0.04", "--list", "50000", "--control", "0.2")
    row = rows["learner against control"]
    assert row["smallest_lift"] == pytest.approx(smallest_lift(Comparison(0.04, 0.8, 0.2), 50_000))
    assert (row["needed"], row["enough"]) == (None, None)
    assert "the smallest lift that a list of 50,000 shows is +16.1%" in cli.run(
        "power", "--base", "0.04", "--list", "50000", "--control", "0.2"
    )
    assert "a list of 1 shows no lift at all" in cli.run("power", "--base", "0.04", "--list", "1")


def test_a_campaign_file_gives_groups_arms_policy_and_floor(ask, file):
    path = file(groups={"random": 0.05, "control": control(0.1)}, policy={"name": "squarecb", "floor": 0.06})
    found, rows = ask("--base", "0.04", "--lift", "0.2", "--campaign", path)
    assert {name: (row["share_treated"], row["share_control"], row["multiplier"]) for name, row in rows.items()} == {
        "learner against control": (0.85, 0.1, 1.0),
        "learner against random": (0.85, 0.05, 1.0),
        "leader of 3 arms of subject against another, picked 0.0200 of the time": (
            0.85 / 3, 0.85 / 3, pytest.approx((1 / 0.02 + 1 / 0.96) / 6),
        ),
        "leader of 2 arms of cta against another, picked 0.0300 of the time": (
            0.425, 0.425, pytest.approx((1 / 0.03 + 1 / 0.97) / 4),
        ),
    }  # fmt: skip
    assert len(found["warnings"]) == 1
    assert found["warnings"][0].startswith("subject: an arm may get 0.0200 of the learner's sends")
    assert "a floor of 0.075 would" in found["warnings"][0]


@pytest.mark.parametrize(
    ("policy", "least"),
    [
        ({"name": "uniform", "floor": 0.0}, 0.5),
        ({"name": "softmax", "floor": 0.2}, 0.1),
        ({"name": "epsilon-greedy", "floor": 0.2, "epsilon": 0.5}, 0.3),
        ({"name": "epsilon-greedy", "floor": 0.2}, 0.14),
    ],
)
def test_what_an_arm_gets_at_least_follows_from_policy_and_floor(ask, file, policy, least):
    _, rows = ask("--base", "0.04", "--lift", "0.2", "--campaign", file(policy=policy))
    name = f"leader of 2 arms of cta against another, picked {least:.4f} of the time"
    assert rows[name]["multiplier"] == pytest.approx(max((1 / least + 1 / (1 - least)) / 4, 1))


def test_without_a_floor_no_arm_of_the_learners_is_promised_and_it_says_so(ask, file):
    path = file(groups={"control": control(0.1)}, policy={"name": "squarecb", "floor": 0.0})
    found, rows = ask("--base", "0.04", "--lift", "0.2", "--campaign", path)
    assert list(rows) == ["learner against control"]
    assert ["an arm may get 0.0000 of the learner's sends" in said for said in found["warnings"]] == [True, True]


def test_a_collector_named_beside_a_campaign_is_taken_at_its_measured_cost(ask, file):
    _, rows = ask("--base", "0.04", "--lift", "0.2", "--campaign", file(), "--collector", "thompson")
    assert {name: row["multiplier"] for name, row in rows.items()} == {
        "two of 3 arms of subject, picked by thompson": 3.0, "two of 2 arms of cta, picked by thompson": 3.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--base", "0.04"], "say which lift to look for with --lift, or how long your list is with --list"),
        (["--lift", "0.2"], "Missing option '--base'"),
        (["--base", "4", "--lift", "0.2"], "'4' is not between 0 and 1; write 0.04 or 4%"),
        (["--base", "four", "--lift", "0.2"], "'four' is no number; write 0.04 or 4%"),
        (["--base", "nan", "--lift", "0.2"], "'nan' is not between 0 and 1"),
        (["--base", "0.5", "--lift", "1.5"], "gives 1.25, need a rate between 0 and 1"),
        (["--base", "0.04", "--lift", "0"], "need a rate between 0 and 1 that differs from the base"),
        (["--base", "0.04", "--lift", "0.2", "--control", "0"], "'0' is not between 0 and 1"),
        (["--base", "0.04", "--lift", "0.2", "--control", "0.6", "--random", "0.4"], "leave nobody to the learner"),
        (["--base", "0.04", "--lift", "0.2", "--power", "0.01"], "power is 0.01"),
        (["--base", "0.04", "--lift", "0.2", "--correlation", "2"], "correlation is 2.0"),
        (["--base", "0.04", "--lift", "0.2", "--campaign", "x.toml", "--arms", "3"], "are in the campaign file"),
        (["--base", "0.04", "--lift", "0.2", "--campaign", "nothing.toml"], "`manyarm init` writes one to start from"),
    ],
)
def test_misuse_is_answered_with_what_to_do(arguments, said):
    result = CliRunner().invoke(main, ["power", *arguments])
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_a_campaign_with_nothing_to_tell_apart_is_refused(file, worlds):
    path = file(dimension=[worlds.dimension("subject", "plain")])
    result = CliRunner().invoke(main, ["power", "--base", "0.04", "--lift", "0.2", "--campaign", str(path)])
    assert result.exit_code == 2
    assert "has neither two groups nor two arms to tell apart" in result.stderr


def warnings_of(cli, path, *arguments):
    return [text for text in json.loads(cli.run("check", path, *arguments, "--json"))["warnings"] if "small" in text]


def test_check_warns_of_a_control_group_that_no_list_makes_large_enough(cli, file):
    (said,) = warnings_of(cli, file(groups={"control": control(0.005)}))
    smallest = smallest_lift(Comparison(0.04, 0.995, 0.005), 1_000_000)
    assert said.startswith(
        "control group of 0.50% is small: on a list of 1,000,000 with a base rate of 4.00% the smallest lift that stands "
        f"out is {smallest:+.1%}. A control share of "
    )
    share = least_control_share(Comparison(0.04, 0.995, 0.005), 0.1, 1_000_000)
    assert 0 <= float(said.split("A control share of ")[1].split()[0]) - share < 0.001


@pytest.mark.parametrize("share", [0.025, 0.05, 0.5])
def test_check_is_silent_about_a_control_group_that_can_show_something(cli, file, share):
    assert warnings_of(cli, file(groups={"control": control(share)})) == []


def test_check_takes_the_list_and_the_base_rate_for_what_they_are(cli, file):
    path = file(groups={"control": control(0.1)})
    assert warnings_of(cli, path, "--list", "300000") == []
    (said,) = warnings_of(cli, path, "--list", "150000", "--base", "0.04")
    assert "on a list of 150,000 with a base rate of 4.00% the smallest lift that stands out is +12.3%" in said
    (said,) = warnings_of(cli, path, "--list", "20000", "--base", "0.02")
    assert "Even two equal groups do not show +10% there" in said


def test_a_learner_with_next_to_no_customers_is_the_small_group(cli, file):
    (said,) = warnings_of(cli, file(groups={"control": control(0.995)}))
    assert said.startswith("learner group of 0.50% is small")


def test_a_base_rate_near_1_is_no_reason_to_fail(cli, file):
    (said,) = warnings_of(cli, file(groups={"control": control(0.0001)}), "--base", "0.995", "--list", "1000")
    assert "no lift at all stands out" in said
