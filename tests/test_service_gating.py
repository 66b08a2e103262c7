"""The gate: what was trained goes live only if sends that it has not seen show that it earns more."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest

from bandit import Context, Outcome
from bandit.errors import BrokenSnapshot, InvalidSettings
from evaluation.evaluate import conclude, tally
from evaluation.gate import GATE_METHODS, Gate
from evaluation.methods import Known
from evaluation.weighing import TargetWeigher
from service import pairwise_gating
from service.engines import engine_for
from service.gating import judge, pass_gate
from service.log_source import USUAL_GROUPS, StoreSource
from service.outcomes_table import record_outcome
from service.snapshots_table import list_snapshots, promote, serving_snapshot
from service.store import Store
from service.target_text import snapshot_target
from service.trainer import Trainer

DAY = timedelta(days=1)


class Running:
    """A campaign in which arm `good` of the first dimension is clicked by half and every other by a twentieth."""

    def __init__(self, worlds, path, *more, **policy):
        dimension = worlds.dimension("subject", "bad", "good", "other")
        self.campaign = worlds.campaign(
            dimension=[dimension, *more], reward={"window": "1h", "events": {"click": 1.0}}, groups={"random": 0.2},
            policy={"name": "squarecb", "floor": 0.2} | policy,
        )  # fmt: skip
        self.store, self.noon = Store(path, salt=worlds.salt, secret=worlds.secret), worlds.noon
        self.log = self.store.open_log(self.campaign, worlds.noon)

    def send(self, n, day, good="good"):
        """n sends in a day, every second one of the good arm clicked and every twentieth of the others."""
        engine, at, seen = engine_for(self.store, self.log), self.noon + day * DAY, {}
        made = [
            engine.decide(f"{day}-{i}", Context({"level": "low"}), decision_id=f"{day}-{i}", at=at) for i in range(n)
        ]
        self.store.add_decisions([self.store.row_of(decision, self.log) for decision in made])
        for decision in made:
            arm = decision.choice["subject"]
            seen[arm] = seen.get(arm, 0) + 1
            if seen[arm] % (2 if arm == good else 20) == 0:
                self.write(record_outcome, Outcome(f"{decision.decision_id} c", decision.decision_id, "click", at))

    def write(self, operation, outcome):
        now = outcome.at
        self.store.write(lambda connection: operation(connection, outcome, self.store.reward_of, now))

    def train(self, day, **arguments):
        return Trainer(self.store, self.log).step(self.noon + day * DAY, **arguments)

    def close(self, day):
        Trainer(self.store, self.log).close_windows(self.noon + day * DAY)

    @property
    def serving(self):
        return serving_snapshot(self.store.reader(), self.log.log_id)

    def promote(self, name):
        self.store.write(lambda c: promote(c, self.log.log_id, name, at=self.noon, reason="test"))


@pytest.fixture
def running(worlds, tmp_path):
    found = Running(worlds, tmp_path / "gate.db")
    yield found
    found.store.close()


@pytest.fixture(scope="module")
def better_file(worlds, tmp_path_factory):
    """s00001 learned that `bad` is the good arm and serves; s00002 learned better and waits; 1,500 sends came since."""
    path = tmp_path_factory.mktemp("better") / "gate.db"
    made = Running(worlds, path)
    made.send(400, 0, good="bad")
    made.train(1)
    made.send(1200, 2)
    made.train(3, promoting=False)
    made.send(1500, 4)
    made.close(5)
    made.store.close()
    return path


@pytest.fixture
def better(better_file, worlds, tmp_path):
    """A copy of that."""
    shutil.copytree(better_file.parent, tmp_path, dirs_exist_ok=True)
    found = Running(worlds, tmp_path / better_file.name)
    yield found
    found.store.close()


def more_dimensions(worlds):
    return worlds.dimension("cta", "join", "invite"), worlds.dimension("benefit", "base", "vip", "gift")


@pytest.fixture(scope="module")
def several(worlds, tmp_path_factory):
    """The same with three dimensions: what was learned of the first is what the two snapshots differ in most."""
    found = Running(worlds, tmp_path_factory.mktemp("several") / "gate.db", *more_dimensions(worlds))
    found.send(300, 0, good="bad")
    found.train(1)
    found.send(1200, 2)
    found.train(3, promoting=False)
    found.send(2000, 4)
    found.close(5)
    yield found
    found.store.close()


def test_a_snapshot_that_earns_more_for_certain_goes_live(better):
    assert better.serving == "s00001"
    ruling = pass_gate(better.store, better.log, Gate(), better.noon + 5 * DAY)
    assert ruling.passed
    assert ruling.gain.ci_lower > 0
    assert "above the margin" in ruling.reasons[0]
    assert better.serving == "s00002"


def test_a_margin_that_the_gain_does_not_reach_keeps_what_serves(better):
    ruling = pass_gate(better.store, better.log, Gate(margin=0.45), better.noon + 5 * DAY)
    assert not ruling.passed
    assert "not above the margin of 0.45" in ruling.reasons[0]
    assert better.serving == "s00001"


def test_a_snapshot_that_earns_less_is_refused(better):
    better.promote("s00002")
    ruling = judge(better.store, better.log, "s00001", Gate())
    assert not ruling.passed
    assert ruling.gain.ci_upper < 0
    assert "not better" in ruling.reasons[1]


def test_a_snapshot_is_not_judged_by_what_it_learned_from(better):
    better.train(6, promoting=False)
    ruling = judge(better.store, better.log, "s00003", Gate())
    assert not ruling.passed
    assert "no send has matured since s00003 was trained" in ruling.reasons[0]


def test_a_handful_of_sends_opens_no_gate(better):
    better.train(6, promoting=False)
    better.send(40, 7)
    better.close(8)
    ruling = judge(better.store, better.log, "s00003", Gate(margin=-1.0))
    assert not ruling.passed
    assert "the log cannot tell" in ruling.reasons[0]
    assert "Collect about" in ruling.reasons[1]


def test_the_first_snapshot_needs_no_gate(running):
    running.send(100, 0)
    assert running.train(1, promoting=False).snapshot == running.serving == "s00001"
    assert pass_gate(running.store, running.log, Gate(), running.noon + DAY) is None


def test_a_snapshot_that_does_not_exist_is_refused(better):
    with pytest.raises(BrokenSnapshot, match="s00009"):
        judge(better.store, better.log, "s00009", Gate())
    assert len(list_snapshots(better.store.reader(), better.log.log_id)) == 2


def test_a_margin_that_is_no_number_is_refused():
    with pytest.raises(InvalidSettings, match="margin is nan"):
        Gate(float("nan"))


def test_several_dimensions_open_the_gate_for_what_earns_more_and_say_what_that_counts_on(several):
    assert several.serving == "s00001"
    ruling = judge(several.store, several.log, "s00002", Gate())
    assert ruling.passed
    assert ruling.gain.ci_lower > 0.1
    assert "snapshot:s00002 against snapshot:s00001, on 2,000 sends that neither learned from" in ruling.reasons[0]
    assert "pairs of them (order 2)" in ruling.reasons[1]
    assert "counts on no three of them acting together only as a trio" in ruling.reasons[1]


def test_several_dimensions_weighed_by_pairs_say_more_than_whole_choices_do(several):
    unseen = StoreSource(several.store, several.log, USUAL_GROUPS, 1500)
    names = ("s00002", "s00001")
    sides = [TargetWeigher(snapshot_target(several.store, several.log, name)) for name in names]
    found = tally(unseen.batches(), GATE_METHODS, *sides)
    whole = conclude(found, GATE_METHODS, Known(found.is_binary), *names).difference["cressie-read"]
    ruling = judge(several.store, several.log, "s00002", Gate())
    assert found.sums.n == 2000
    assert ruling.gain.ci_lower > whole.ci_lower + 0.05
    assert abs(ruling.gain.value - whole.value) < 0.1


def test_several_dimensions_keep_what_serves_where_the_new_one_earns_less_or_too_little(several):
    short = judge(several.store, several.log, "s00002", Gate(margin=0.45))
    assert not short.passed
    assert "not above the margin of 0.45" in short.reasons[0]
    assert "order 2" in short.reasons[-1]
    several.promote("s00002")
    worse = judge(several.store, several.log, "s00001", Gate())
    several.promote("s00001")
    assert not worse.passed
    assert worse.gain.ci_upper < 0
    assert "not better" in worse.reasons[1]


def test_of_very_many_sends_a_random_part_is_weighed(several, monkeypatch):
    monkeypatch.setattr(pairwise_gating, "MOST_ROWS", 400)
    ruling, again = (judge(several.store, several.log, "s00002", Gate(margin=-1.0)) for _ in range(2))
    n_weighed = int(ruling.reasons[0].split(" on ")[1].split(" sends")[0])
    assert 300 < n_weighed < 500
    assert again.reasons == ruling.reasons


def test_thompson_over_several_dimensions_can_be_judged_and_evaluated_by_whole_choices(worlds, cli, tmp_path):
    running = Running(
        worlds, tmp_path / "many.db", worlds.dimension("cta", "join", "invite"), name="thompson", floor=0.4
    )
    running.send(60, 0, good="bad")
    running.train(1)
    running.send(100, 2)
    running.train(3, promoting=False)
    running.send(150, 4)
    running.close(5)
    ruling = judge(running.store, running.log, "s00002", Gate(margin=-1.0))
    (tmp_path / "campaign.toml").write_text(running.campaign.toml, encoding="utf-8")
    running.store.close()
    assert "on 150 sends that neither learned from" in ruling.reasons[0]
    assert ruling.gain is not None
    ours = ["--db", tmp_path / "many.db", "--campaign", tmp_path / "campaign.toml"]
    found = cli.ask("--target", "snapshot:s00002", "--estimators", "order-2", *ours)
    assert found["n"] == 150
    assert "order-2" in cli.values(found)


def test_a_handful_of_sends_of_several_dimensions_is_said_to_be_too_few(worlds, tmp_path):
    running = Running(worlds, tmp_path / "few.db", *more_dimensions(worlds))
    for day in (0, 2):
        running.send(100, day)
        running.train(day + 1, promoting=False)
    running.send(40, 4)
    ruling = pass_gate(running.store, running.log, Gate(margin=-1.0), running.noon + 5 * DAY)
    running.store.close()
    assert not ruling.passed
    assert "on 40 sends that neither learned from: the log cannot tell" in ruling.reasons[0]
    assert "Collect about" in ruling.reasons[1]


def test_a_snapshot_that_picks_what_the_log_never_did_is_refused_with_the_reason(worlds, tmp_path):
    running = Running(
        worlds, tmp_path / "greedy.db", *more_dimensions(worlds), name="epsilon-greedy", floor=0.0, epsilon=0.0
    )
    running.send(400, 0, good="bad")
    running.train(1)
    running.send(1000, 2)
    running.train(3, promoting=False)
    running.send(100, 4)
    ruling = pass_gate(running.store, running.log, Gate(), running.noon + 5 * DAY)
    serving = running.serving
    running.store.close()
    assert not ruling.passed
    assert "the log cannot tell. target picks dimension" in ruling.reasons[0]
    assert serving == "s00001"
