"""Each matured row is learned once; snapshot and watermark are written together; what is broken never serves."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

import service.trainer
from bandit import Group, Outcome
from bandit.errors import BrokenSnapshot
from service.engines import engine_for
from service.outcomes_table import record_not_sent, record_outcome, record_sent
from service.serving import Serving
from service.snapshots_table import list_snapshots, load_snapshot, promote, served_before
from service.store import Store
from service.trainer import Trainer, Training
from service.verification import verify_store

DAY = timedelta(days=1)
GROUPS = {"random": 0.2, "control": {"share": 0.3, "choice": {"subject": "plain", "cta": "join"}}}


@dataclass
class Campaign:
    """A running campaign: decides, hears of outcomes, trains; times in days after noon."""

    worlds: object
    store: Store
    log: object
    said: list = field(default_factory=list)

    def decide(self, n, day=0.0):
        """n decisions for customers c0, c1, ..., and a click of every third."""
        engine = engine_for(self.store, self.log)
        contexts = self.worlds.contexts(self.log.campaign, n, seed=len(self.said))
        at = self.worlds.noon + day * DAY
        made = [
            engine.decide(f"c{i}", context, decision_id=f"day{day}-{i}", at=at) for i, context in enumerate(contexts)
        ]
        self.store.add_decisions([self.store.row_of(decision, self.log) for decision in made])
        for decision in made[::3]:
            outcome = Outcome(f"{decision.decision_id} click", decision.decision_id, "click", at)
            self.write(record_outcome, outcome, self.store.reward_of, at)
        self.said += made
        return made

    def write(self, operation, *arguments):
        return self.store.write(lambda connection: operation(connection, *arguments))

    def train(self, day, **arguments):
        return Trainer(self.store, self.log).step(self.worlds.noon + day * DAY, **arguments)

    def count(self, condition):
        query = f"SELECT count(*) FROM decisions WHERE {condition}"
        return self.store.reader().execute(query).fetchone()[0]

    def snapshots(self):
        return list_snapshots(self.store.reader(), self.log.log_id)


@pytest.fixture(params=["squarecb", "native"])
def campaign(request, tmp_path, worlds):
    """A new campaign of either learner."""
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        content = worlds.campaign(groups=GROUPS, policy={"name": request.param})
        yield Campaign(worlds, store, store.open_log(content, worlds.noon))


@pytest.fixture
def learned(monkeypatch):
    """Numbers of the matured rows handed to the learner, step by step."""
    steps = []
    train = service.trainer.train

    def listening(content, kind, parent, rows):
        kept = list(rows)
        steps.append([row.number for row in kept])
        return train(content, kind, parent, kept)

    monkeypatch.setattr(service.trainer, "train", listening)
    return steps


def damage(store, snapshot):
    """Flip the last bit of a stored snapshot."""
    connection = sqlite3.connect(store.path)
    ((body,),) = connection.execute("SELECT body FROM snapshots WHERE snapshot = ?", (snapshot,)).fetchall()
    connection.execute(
        "UPDATE snapshots SET body = ? WHERE snapshot = ?", (body[:-1] + bytes([body[-1] ^ 1]), snapshot)
    )
    connection.commit()
    connection.close()


def test_each_matured_row_is_learned_once_over_many_steps(campaign, learned):
    for day in range(6):
        campaign.decide(30, day)
        for decision in campaign.said[-30::7]:
            campaign.write(record_not_sent, decision.decision_id)
        while campaign.train(day, most=17).n_learned:
            pass
    campaign.train(20)
    n_matured = campaign.count("state = 'matured'")
    assert (n_matured, campaign.count("state = 'void'")) == (180 - 6 * 5, 30)
    assert [number for step in learned for number in step] == list(range(1, n_matured + 1))
    last = load_snapshot(campaign.store.reader(), campaign.snapshots()[-1].snapshot)
    assert last.n_learned == campaign.count("state = 'matured' AND \"group\" <> 'control'") > 50
    assert last.watermark == n_matured
    assert verify_store(campaign.store).passed


def test_control_rows_move_the_watermark_and_teach_nothing(campaign):
    made = campaign.decide(60)
    trained = campaign.train(4)
    n_control = sum(decision.group is Group.CONTROL for decision in made)
    assert 0 < n_control < 60
    assert trained == Training(60, 60 - n_control, "s00001")
    assert campaign.snapshots()[0].watermark == 60


def test_pending_rows_wait_and_a_step_without_rows_leaves_no_snapshot(campaign, learned):
    campaign.decide(20)
    assert campaign.train(2.9) == Training(0, 0, None)
    assert campaign.snapshots() == []
    assert campaign.train(3).snapshot == "s00001"
    assert campaign.train(3) == Training(0, 0, None)
    assert learned == [[], list(range(1, 21)), []]


def test_a_row_whose_window_closes_after_later_ones_is_still_learned(campaign, learned):
    """A message sent two days after its decision: the row's number comes from maturing, not from deciding."""
    first = campaign.decide(1)[0]
    sent_at = campaign.worlds.noon + 2 * DAY
    campaign.write(record_sent, first.decision_id, sent_at, campaign.store.reward_of, sent_at)
    campaign.decide(10, 0.5)
    campaign.train(4)
    campaign.train(5)
    assert learned == [list(range(1, 11)), [11]]
    assert campaign.store.decision(first.decision_id, campaign.log).state == "matured"


def test_a_trainer_that_lost_the_race_stores_nothing(campaign, monkeypatch):
    campaign.decide(40)
    train, other = service.trainer.train, []

    def slow(*arguments):
        if not other:
            other.append(None)  # only the first of the two is overtaken
            other[0] = campaign.train(4)
        return train(*arguments)

    monkeypatch.setattr(service.trainer, "train", slow)
    lost = campaign.train(4)
    assert (lost.n_learned, lost.snapshot) == (0, None)
    assert other[0].snapshot == "s00001"
    assert [stored.snapshot for stored in campaign.snapshots()] == ["s00001"]
    assert campaign.store.reader().execute("SELECT count(*) FROM promotions").fetchone() == (1,)
    assert verify_store(campaign.store).passed


@pytest.mark.parametrize("broken", ["add_snapshot", "promote"])
def test_a_crash_while_storing_leaves_neither_snapshot_nor_watermark(campaign, learned, monkeypatch, broken):
    campaign.decide(40)
    intact = getattr(service.trainer, broken)

    def crashing(*arguments, **named):
        intact(*arguments, **named)
        raise RuntimeError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(service.trainer, broken, crashing)
        with pytest.raises(RuntimeError, match="the power went"):
            campaign.train(4)
    assert campaign.snapshots() == []
    assert campaign.store.reader().execute("SELECT count(*) FROM promotions").fetchone() == (0,)
    assert engine_for(campaign.store, campaign.log).served is None
    assert campaign.train(4).snapshot == "s00001"
    assert learned == [list(range(1, 41))] * 2
    assert verify_store(campaign.store).passed


def test_windows_of_an_earlier_campaign_go_on_closing_but_teach_the_new_one_nothing(campaign):
    made = campaign.decide(10)
    changed = campaign.worlds.campaign(groups=GROUPS, reward={"window": "1h", "events": {"click": 9.0}})
    later = Campaign(campaign.worlds, campaign.store, campaign.store.open_log(changed, campaign.worlds.noon))
    later.decide(5, 1)
    assert later.train(4) == Training(15, sum(d.group is not Group.CONTROL for d in later.said), "s00001")
    assert campaign.store.decision(made[0].decision_id, campaign.log).reward == 0.2
    assert campaign.snapshots() == []
    assert campaign.train(4).snapshot == "s00002"


def test_a_trained_snapshot_decides_the_next_rows_and_is_named_in_them(campaign):
    campaign.decide(60)
    campaign.train(4)
    learner = [d for d in campaign.decide(40, 4) if d.group is Group.LEARNER]
    assert {(d.snapshot, d.fallback) for d in learner} == {("s00001", None)}
    served = load_snapshot(campaign.store.reader(), "s00001").candidate
    assert bool(served) == (campaign.log.campaign.policy.name != "native")  # native explorers have nobody to compete
    assert {campaign.store.decision(d.decision_id, campaign.log).candidate for d in learner} == {served or None}
    campaign.train(8)
    assert {d.snapshot for d in campaign.decide(40, 8) if d.group is Group.LEARNER} == {"s00002"}


def test_with_a_broken_snapshot_the_random_policy_decides_and_every_row_says_why(campaign):
    campaign.decide(60)
    campaign.train(4)
    damage(campaign.store, "s00001")
    engine = engine_for(campaign.store, campaign.log)
    assert engine.served is None
    assert "s00001" in engine.unserved
    learner = [d for d in campaign.decide(40, 4) if d.group is Group.LEARNER]
    assert {(d.policy, d.snapshot) for d in learner} == {("uniform", None)}
    assert all("checksum differs" in d.fallback and "s00001" in d.fallback for d in learner)
    with pytest.raises(BrokenSnapshot, match="roll back to another one, or restore the database"):
        campaign.train(8)


def test_rolling_back_from_a_broken_snapshot_serves_and_learns_again(campaign):
    """The advice of the error is to roll back; afterwards learning must go on from what is whole."""
    for day in (0, 4):
        campaign.decide(60, day)
        campaign.train(day + 4)
    damage(campaign.store, "s00002")
    name = served_before(campaign.store.reader(), campaign.log.log_id)
    campaign.store.write(
        lambda connection: promote(connection, campaign.log.log_id, name, at=campaign.worlds.noon, reason="by hand")
    )
    assert engine_for(campaign.store, campaign.log).served.snapshot == "s00001"
    campaign.decide(60, 9)
    assert campaign.train(13).snapshot == "s00003"


def test_the_snapshot_before_the_hundred_thousandth_is_the_one_before(campaign):
    """A trainer that steps every minute gets there in 70 days."""
    campaign.decide(60)
    campaign.train(4)
    connection = sqlite3.connect(campaign.store.path)
    for table in ("snapshots", "promotions"):
        connection.execute(f"UPDATE {table} SET number = 99998, snapshot = 's99998'")
    connection.commit()
    connection.close()
    for day in (4, 8):
        campaign.decide(20, day)
        campaign.train(day + 4)
    assert campaign.snapshots()[-1].is_serving
    assert served_before(campaign.store.reader(), campaign.log.log_id) == campaign.snapshots()[-2].snapshot


def test_a_service_takes_up_what_another_process_promoted(campaign):
    at = campaign.worlds.noon + 4 * DAY
    serving = Serving(campaign.store, campaign.log, clock=lambda: at)
    campaign.decide(60)
    campaign.train(4)
    assert serving.engine.served is None
    assert serving.train() is False
    assert serving.engine.served.snapshot == "s00001"


def test_a_trainer_in_trouble_says_so_and_the_service_goes_on(campaign, monkeypatch, caplog):
    """Whatever it is: a thread that dies in silence would leave /readyz saying that all is well."""
    serving = Serving(campaign.store, campaign.log, clock=lambda: campaign.worlds.noon)
    steps = []

    def ill(*_, **__):
        steps.append(1)
        if len(steps) == 3:
            serving._stop.set()
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Trainer, "step", ill)
    serving.train_every(timedelta(0))
    serving._thread.join(5)
    serving.stop()
    assert len(steps) == 3
    assert serving.last_error == "OperationalError", "/readyz is for everybody, and the text may name rows and files"
    assert "disk I/O error" in caplog.text
