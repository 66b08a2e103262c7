"""The demo: a whole simulated campaign, the same for the same seed, that leaves an honest log behind."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bandit.errors import UnusableStore
from service.cli import main
from service.commands.demo import USUAL
from service.demos.registry import DEMOS
from service.sample import SAMPLES

FILES = {"manyarm.db", "campaign.toml", "learning_curve.png", "report.txt"}


def demo(folder, *arguments):
    """Runs the demo, 600 sends in two days unless told otherwise: each day costs sixteen models, whatever is sent."""
    return CliRunner().invoke(main, ["demo", "--sends", "600", "--days", "2", "--out", str(folder), *arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One run: its folder and what it answered."""
    folder = tmp_path_factory.mktemp("first") / "out"
    return folder, demo(folder, "--json")


def test_every_sample_campaign_has_a_demo_and_the_referral_contest_is_the_usual_one():
    assert list(DEMOS) == list(SAMPLES)
    assert USUAL == "referral-contest"


def test_the_demo_leaves_its_files_and_a_log_that_passes_every_check(made):
    folder, result = made
    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.iterdir()} >= FILES
    assert (folder / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(result.stdout)
    assert (found["report"]["n_decisions"], found["verify"]["n_rows"]) == (600, 600)
    assert found["verify"]["passed"] is True


def test_the_demo_reports_every_group_and_the_truth(made):
    folder, result = made
    found = json.loads(result.stdout)
    assert {line["group"] for line in found["report"]["lines"]} == {"learner", "random", "control"}
    assert sum(line["n_sends"] for line in found["report"]["lines"]) == 600
    assert 0 < found["truth"]["uniform"] < found["truth"]["best"]
    text = (folder / "report.txt").read_text()
    assert all(word in text for word in ("lift over control", "Every check passed.", "Next: manyarm export"))


def test_the_same_seed_gives_the_same_bytes(made, tmp_path):
    folder, first = made
    again = demo(tmp_path / "again", "--json")
    assert again.stdout.replace(str(tmp_path / "again"), str(folder)) == first.stdout
    for name in ("learning_curve.png", "campaign.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_a_folder_with_a_database_is_refused_and_left_as_it_is(made):
    folder, _ = made
    before = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    refused = demo(folder)
    assert refused.exit_code == 2
    assert "is there already. Name another folder with --out" in refused.stderr
    assert {path: path.read_bytes() for path in sorted(folder.iterdir())} == before


def test_a_campaign_file_of_ones_own_is_never_overwritten(tmp_path):
    (tmp_path / "campaign.toml").write_text("mine")
    demo(tmp_path, "--sends", "100")
    assert (tmp_path / "campaign.toml").read_text() == "mine"


@pytest.mark.parametrize("example", list(DEMOS))
def test_a_demo_that_cannot_be_finished_leaves_nothing_and_no_file_of_ones_own_is_touched(
    example, tmp_path, monkeypatch
):
    def full(*_, **__):
        raise UnusableStore("the disk is full")

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    early, late = "service.demo.Simulation", "service.commands.demo._text"
    for step, folder in ((early, tmp_path / "new" / "out"), (late, tmp_path / "mine")):
        with monkeypatch.context() as patch:
            patch.setattr(step, full)
            failed = demo(folder, "--example", example, "--sends", "100", "--days", "1")
        assert (failed.exit_code, "the disk is full" in failed.stderr) == (2, True)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["mine", "mine/notes.txt"]


def test_a_seed_of_more_than_64_bits_is_refused_and_the_largest_is_not(tmp_path):
    refused = demo(tmp_path / "out", "--seed", str(2**64))
    assert refused.exit_code == 2
    assert "is not in the range" in refused.stderr
    assert not (tmp_path / "out").exists()
    asked = ("--sends", "100", "--days", "1", "--seed", str(2**64 - 1))
    assert demo(tmp_path / "out", *asked).exit_code == 0
