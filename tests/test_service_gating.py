"""The gate: what was trained goes live only if sends that it has not seen show that it earns more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bandit import Context, Outcome
from bandit.errors import BrokenSnapshot, InvalidSettings
from evaluation.gate import Gate
from service.gating import judge, pass_gate
from service.outcomes_table import record_outcome
from service.snapshots_table import list_snapshots, promote, serving_snapshot
from service.store import Store
from service.trainer import Trainer, engine_for

DAY = timedelta(days=1)


class Running:
    """A campaign of one dimension in which arm `good` is clicked by half and every other by a twentieth."""

    def __init__(self, worlds, path):
        dimension = worlds.dimension("subject", "bad", "good", "other")
        self.campaign = worlds.campaign(
            dimension=[dimension], reward={"window": "1h", "events": {"click": 1.0}}, groups={"random": 0.2},
            policy={"name": "squarecb", "floor": 0.2},
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


@pytest.fixture
def better(running):
    """s00001 learned that `bad` is the good arm and serves; s00002 learned better and waits; 3,000 sends came since."""
    running.send(400, 0, good="bad")
    running.train(1)
    running.send(3000, 2)
    running.train(3, promoting=False)
    running.send(3000, 4)
    running.close(5)
    return running


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
