"""`manyarm tune`: what may be turned, the file it writes, and that fresh worlds have the last word."""

from __future__ import annotations

import copy
import json
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.campaign_file import read_campaign
from bandit.errors import InvalidCampaign, InvalidSettings
from bandit.learners import LEARNER_OPTIONS, LEARNERS
from bandit.options import declared, option_faults
from policies import POLICIES
from service.campaign_tuning import Rehearsal, Tuning, in_processes
from service.checked_campaign import checked_campaign
from service.cli import main
from service.commands.serve import pause_of
from service.effort import Effort
from service.sample import sample_text
from service.tunable import search_space
from service.tuned_file import MARK, changes, tuned_text
from service.tuning_picture import draw_tuning, importances
from service.worlds_asked import ScenarioWorlds
from simulator.known_plays import Earned
from simulator.world import ImpossibleWorld

SAMPLE = sample_text("referral-contest")
SPACE = search_space(read_campaign(SAMPLE))
TURNED = {("policy",), ("learner",), ("groups", "random"), ("campaign", "learn_every")}


def without(document, places=TURNED):
    """A campaign file's content but for what tuning may turn."""
    rest = copy.deepcopy(document)
    for place in places:
        table = rest
        for name in place[:-1]:
            table = table.get(name, {})
        table.pop(place[-1], None)
    return rest


@st.composite
def any_settings(draw, space=SPACE):
    chosen = {}
    for knob in space.knobs:
        if knob.exists(chosen):
            numbers = [st.floats(*knob.span).map(lambda x: float(f"{x:.3g}")).filter(knob.spans)] if knob.span else []
            chosen[knob.key] = draw(st.one_of(*map(st.just, (knob.usual, *knob.among)), *numbers))
    return chosen


@settings(max_examples=15, deadline=None)
@given(any_settings())
def test_a_tuned_file_has_no_faults_and_differs_only_where_tuning_may_turn(tmp_path_factory, chosen):
    text = tuned_text(SAMPLE, chosen, ["in a test"])
    path = tmp_path_factory.mktemp("tuned") / "tuned.toml"
    path.write_text(text, encoding="utf-8")
    checked_campaign(path)
    before, after = tomllib.loads(SAMPLE), tomllib.loads(text)
    assert without(before) == without(after)
    assert after["groups"]["control"] == before["groups"]["control"]


@settings(max_examples=15, deadline=None)
@given(any_settings())
def test_a_tuned_file_says_what_was_chosen(chosen):
    text = tuned_text(SAMPLE, chosen)
    tuned = search_space(read_campaign(text), [chosen["policy.name"]])
    ranges = {"policy.floor", "groups.random"}
    assert {k: v for k, v in tuned.usual.items() if k not in ranges} == {
        k: v for k, v in chosen.items() if k not in ranges
    }
    assert read_campaign(text).policy.floor == chosen["policy.floor"]
    assert read_campaign(text).groups.random == chosen["groups.random"]


def test_the_campaign_as_it_is_is_written_letter_by_letter():
    assert tuned_text(SAMPLE, SPACE.usual) == SAMPLE
    assert changes(SAMPLE, SPACE.usual) == {}


@settings(max_examples=15, deadline=None)
@given(any_settings())
def test_comments_stay_and_a_file_tuned_again_has_one_comment_on_top(chosen):
    once = tuned_text(SAMPLE, chosen, ["first"])
    twice = tuned_text(once, chosen, ["second", "time"])
    assert twice.startswith(f"{MARK}second\n{MARK}time\n")
    assert "first" not in [line.removeprefix(MARK) for line in twice.splitlines()]
    kept = [line.split("#")[1] for line in SAMPLE.splitlines() if "#" in line and not line.startswith("name")]
    assert all(comment in twice for comment in kept)


def test_a_new_key_stands_with_its_table_and_not_with_the_next_one():
    lines = tuned_text(SAMPLE, SPACE.completed({"policy.gamma": 9.0, "campaign.learn_every": "6h"})).splitlines()
    assert lines[lines.index("gamma = 9.0") - 1].startswith("floor = 0.05")
    assert lines[lines.index('learn_every = "6h"') - 1].startswith("timezone")


def test_another_policy_takes_its_own_learner_and_leaves_no_option_of_the_former(worlds):
    text = worlds.toml(
        worlds.document(
            policy={"name": "squarecb", "gamma": 2.0, "interactions": False}, learner={"l2": 1e-5, "bits": 20}
        )
    )
    space = search_space(read_campaign(text))
    found = tomllib.loads(tuned_text(text, space.completed({"policy.name": "thompson"})))
    assert found["policy"] == {"name": "thompson", "interactions": False}
    assert found["learner"] == {"learning_rate": 0.1}
    kept = tomllib.loads(tuned_text(text, space.completed({"policy.name": "softmax", "policy.floor": 0.05})))
    assert kept["policy"] == {"name": "softmax", "floor": 0.05, "temperature": 0.01, "interactions": False}
    assert kept["learner"] == {"l2": 1e-5, "bits": 20}


@pytest.mark.parametrize("owner", [*POLICIES.values(), *LEARNER_OPTIONS.values()])
def test_every_searched_range_lies_within_what_the_option_accepts(owner):
    for name, item in declared(owner).items():
        for end in item.metadata["searched"] or ():
            assert not option_faults(owner, {name: end}, "here")
            assert isinstance(item.default, float), "a range is of numbers, and a count is none"


def test_every_learner_says_where_its_options_are_declared():
    assert LEARNER_OPTIONS.keys() == LEARNERS.keys()
    for name, kind in LEARNERS.items():
        assert kind.faults({"nonsense": 1.0}) == option_faults(LEARNER_OPTIONS[name], {"nonsense": 1.0}, "learner")


def test_whatever_policy_declares_a_range_is_searched_and_native_ones_only_when_asked_for(worlds):
    campaign = worlds.campaign(groups=None)
    names = next(knob for knob in search_space(campaign).knobs if knob.key == "policy.name").among
    assert set(names) == {"squarecb", "epsilon-greedy", "softmax", "thompson"}
    assert "native explorer" in {knob.name for knob in search_space(campaign, ["native"]).knobs}


@pytest.mark.parametrize(("name", "why"), [("magic", "does not exist"), ("native", "wear_out")])
def test_a_policy_that_cannot_be_tried_is_refused_with_those_that_can(name, why):
    with pytest.raises(InvalidSettings, match=f"(?s)'{name}' cannot be tried: .*{why}.*Choose from .*squarecb"):
        search_space(read_campaign(SAMPLE), [name])


def test_control_is_never_turned_and_random_is_only_where_the_campaign_has_it(worlds):
    assert not [knob for knob in SPACE.knobs if "control" in knob.key]
    assert search_space(worlds.campaign(groups=None)).usual.keys().isdisjoint({"groups.random"})
    (random,) = [knob for knob in SPACE.knobs if knob.key == "groups.random"]
    assert random.span == pytest.approx((0.01, 0.05))


@pytest.mark.parametrize(
    ("tables", "key", "value"),
    [
        ({"policy": {"gamma": 500.0}}, "policy.gamma", 500.0),
        ({"policy": {"floor": 0.0}}, "policy.floor", 0.0),
        ({"policy": {"floor": 0.3}}, "policy.floor", 0.3),
        ({"learner": {"learning_rate": 5.0}}, "learner.learning_rate", 5.0),
        ({"policy": {"name": "uniform"}}, "policy.name", "uniform"),
        ({"policy": {"name": "native"}, "learner": {"name": "native", "explorer": "bag"}}, "learner.explorer", "bag"),
        ({"campaign": {"id": "c", "learn_every": "90m"}}, "campaign.learn_every", "90m"),
    ],
)
def test_whatever_the_campaign_has_belongs_to_the_space(worlds, tables, key, value):
    text = worlds.toml(worlds.document(**tables))
    space = search_space(read_campaign(text))
    assert space.usual[key] == value
    assert tuned_text(text, space.usual) == text
    for single in space.one_change_each():
        read_campaign(tuned_text(text, single))


@pytest.mark.parametrize("text", ["6h", "1m", "30d"])
def test_a_campaign_may_say_how_often_it_learns(worlds, text):
    campaign = worlds.campaign(campaign={"id": "c", "learn_every": text})
    assert (
        campaign.learn_every == {"6h": timedelta(hours=6), "1m": timedelta(minutes=1), "30d": timedelta(days=30)}[text]
    )
    assert pause_of(campaign, None) == campaign.learn_every
    assert pause_of(campaign, 5.0) == timedelta(seconds=5)
    assert pause_of(campaign, 0.0) is None


def test_a_campaign_that_does_not_say_learns_every_minute_when_served(worlds):
    assert worlds.campaign().learn_every is None
    assert pause_of(worlds.campaign(), None) == timedelta(minutes=1)


@pytest.mark.parametrize("wrong", ["31d", "soon", "", 6, "0h"])
def test_a_pause_that_is_none_is_a_fault(worlds, wrong):
    with pytest.raises(InvalidCampaign) as refusal:
        worlds.campaign(campaign={"id": "c", "learn_every": wrong})
    (fault,) = refusal.value.faults
    assert fault.where == "campaign.learn_every"
    assert "between two steps of the trainer" in fault.wanted


@pytest.fixture
def file(worlds, tmp_path):
    """A campaign file of two arms; a trainer that rarely comes makes its replays quick."""
    path = tmp_path / "campaign.toml"
    dimension = [worlds.dimension("subject", "plain", "warm")]
    head = {"id": "contest", "learn_every": "10d"}
    text = worlds.toml(worlds.document(campaign=head, dimension=dimension))
    path.write_text(f"# ours\n{text}", encoding="utf-8")
    return path


def tune(file, *arguments, code):
    sizes = ["--sends", "60", "--seeds", "2", "--fresh", "3", "--trials", "3", "--processes", "1"]
    words = ["tune", "--campaign", str(file), *sizes, "--out", str(file.with_name("tuned.toml")), *arguments]
    result = CliRunner().invoke(main, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def earning(monkeypatch, gain):
    """Replays in which a floor unlike the campaign's adds a gain, in worlds that differ."""

    def play(self, chosen, seed):
        is_other = chosen["policy.floor"] != search_space(read_campaign(self.text)).usual["policy.floor"]
        return Earned(0.05 + seed % 7 / 100 + (gain(seed) if is_other else 0.0), 0.3 + is_other * 0.1)

    monkeypatch.setattr("service.campaign_tuning.Rehearsal.play", play)


def test_better_settings_are_written_with_where_they_come_from(monkeypatch, file):
    earning(monkeypatch, lambda seed: 0.01 + seed % 3 / 1000)
    found = json.loads(tune(file, "--trials", "12", "--json", code=0).stdout)
    assert found["is_better"]
    assert next(iter(found["changes"])) == "policy.floor"
    assert 0.0 < found["confirmed"]["ci_lower"] < found["confirmed"]["gain"] < found["confirmed"]["ci_upper"]
    tuned = file.with_name("tuned.toml")
    lines = tuned.read_text().splitlines()
    assert lines[0].startswith(f"{MARK}in steady, 60 sends a replay, 12 trials on seeds 0 to 1")
    assert any(line.startswith(f"{MARK}manyarm tune --campaign") and "--trials 12" in line for line in lines)
    assert "# ours" in lines
    assert checked_campaign(tuned).policy.floor == found["changes"]["policy.floor"][1]


def test_settings_that_only_shone_where_they_were_chosen_are_not_written(monkeypatch, file):
    earning(monkeypatch, lambda seed: 0.01 if seed < 2000 else (-1) ** seed * 0.01)
    result = tune(file, "--trials", "12", code=1)
    assert "the lower end is not above 0" in result.stdout
    assert file.with_name("tuned.toml").read_text() == file.read_text()


def test_where_nothing_is_better_nothing_is_confirmed(monkeypatch, file):
    earning(monkeypatch, lambda _: -0.01)
    found = json.loads(tune(file, "--trials", "12", "--json", code=1).stdout)
    assert (found["is_better"], found["confirmed"], found["changes"]) == (False, None, {})
    assert file.with_name("tuned.toml").read_text() == file.read_text()


def test_the_same_command_again_goes_on_and_says_the_same(monkeypatch, file):
    earning(monkeypatch, lambda seed: 0.01 + seed % 3 / 1000)
    first = tune(file, "--trials", "12", "--json", code=0)
    again = tune(file, "--trials", "12", "--json", code=0)
    assert "going on" not in first.stderr
    assert "going on with a study of 12 trials" in again.stderr
    assert json.loads(again.stdout) == json.loads(first.stdout)
    more = json.loads(tune(file, "--trials", "14", "--json", code=0).stdout)
    assert more["trials"][:12] == json.loads(first.stdout)["trials"]


def test_worlds_seen_while_choosing_never_confirm():
    effort = Effort(n_seeds=900, n_fresh=900, seed=5)
    chosen = {*effort.searched, *effort.second_round}
    assert len(chosen) == 1800
    assert chosen.isdisjoint(effort.fresh)


@pytest.mark.parametrize("wrong", [{"n_seeds": 1}, {"n_fresh": 1}, {"n_seeds": 1001}, {"n_trials": 0}])
def test_an_effort_that_shows_nothing_is_refused(wrong):
    with pytest.raises(ImpossibleWorld, match="give 2 to 1000 of each kind"):
        Effort(**wrong)


def test_a_whole_search_plays_the_file_that_would_be_written(file, tmp_path):
    result = tune(file, "--scenario", "steady", "--picture", str(tmp_path / "search.png"), "--json", code=1)
    found = json.loads(result.stdout)
    assert [len(trial["gains"]) for trial in found["trials"]] == [2, 2, 2]
    assert any(gain for trial in found["trials"][1:] for gain in trial["gains"])
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")
    assert Path(f"{file.with_name('tuned.toml')}.study").exists()


def test_replays_in_two_processes_earn_the_same(file):
    campaign = checked_campaign(file)
    rehearsal = Rehearsal(campaign.toml, ScenarioWorlds("steady"), 60)
    chosen = search_space(campaign).completed({"policy.floor": 0.01})
    with in_processes(rehearsal, 2) as plays, in_processes(rehearsal, 1) as plays_here:
        assert plays(chosen, (0, 1)) == plays_here(chosen, (0, 1))


def test_time_that_is_up_still_gives_an_answer(monkeypatch, file):
    earning(monkeypatch, lambda _: 0.0)
    found = json.loads(tune(file, "--budget", "0.0000001", "--json", code=1).stdout)
    assert len(found["trials"]) == 1


def test_what_mattered_is_found_in_the_trials(monkeypatch, file, tmp_path):
    def play(self, chosen, seed):
        return Earned(seed % 7 / 100 - 0.1 * abs(chosen["policy.floor"] - 0.07), 0.5)

    monkeypatch.setattr("service.campaign_tuning.Rehearsal.play", play)
    tuning = Tuning(checked_campaign(file), ScenarioWorlds("steady"), Effort(60, 2, 2, 30), ["squarecb"])
    study = tuning.study(None)
    tuned = tuning.run(study)
    shares = importances(study)
    assert max(shares, key=shares.get) == "floor"
    assert sum(shares.values()) == pytest.approx(1.0)
    for name in ("one.png", "two.png"):
        draw_tuning(tmp_path / name, study, tuned.trials)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_study_that_is_none_and_an_out_that_is_the_campaign_are_refused(tmp_path):
    campaign = tmp_path / "campaign.toml"
    campaign.write_text(sample_text("referral-contest"))
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    runner, given = CliRunner(), ["tune", "--campaign", str(campaign)]
    wrong = runner.invoke(main, [*given, "--out", str(tmp_path / "t.toml"), "--study", str(other)])
    assert (wrong.exit_code, "is no study" in wrong.output) == (2, True)
    same = runner.invoke(main, [*given, "--out", str(campaign)])
    assert (same.exit_code, "is the campaign itself" in same.output) == (2, True)
    assert campaign.read_text() == sample_text("referral-contest")
