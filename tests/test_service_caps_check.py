"""`verify` finds every message that the caps ought to have kept back, and none in an honest log."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest

from bandit import Context
from bandit.errors import CapReached
from bandit.reward import State
from service.caps import _SENDS
from service.caps_check import check_caps
from service.decisions_table import insert_decisions
from service.outcomes_table import record_not_sent, record_sent
from service.rows import DECIDED
from service.simulation import Simulation
from service.store import Store
from service.verification import verify_store
from simulator.scenarios import SCENARIOS

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CAPS = {"caps": [{"most": 2, "within": "3d"}, {"most": 1, "within": "2d", "channel": "sms"}], "gap": "2h"}


@pytest.fixture
def build(worlds):
    """A campaign with caps, which may send nothing."""

    def made(**sections):
        channels = worlds.dimension("channel", "email", "sms", {"id": "no_send", "no_send": True})
        dimensions = [channels, worlds.dimension("subject", "plain", "bold")]
        return worlds.campaign(**{"dimension": dimensions, "limits": CAPS} | sections)

    return made


@pytest.fixture
def store(tmp_path, worlds):
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        yield store


class Log:
    """A log in which the same few customers are decided for again and again."""

    def __init__(self, worlds, store, campaign):
        self.store, self.log, self.now = store, store.open_log(campaign, worlds.noon), worlds.noon
        self.engine = worlds.engine(campaign, salt=store.salt, secret=store.secret)
        self.n = 0

    def row(self, customer_id, at=None):
        self.n += 1
        name = f"log{self.log.log_id}-d{self.n}"
        decision = self.engine.decide(customer_id, Context.of(), decision_id=name, at=at or self.now)
        return decision, self.store.row_of(decision, self.log)

    def checked(self):
        return check_caps(self.store.reader(), self.log, lambda log_id: self.store.log(log_id).campaign)


@pytest.mark.parametrize("seed", range(4))
def test_no_honest_log_breaks_its_caps_whatever_is_reported_of_sends(worlds, store, build, seed):
    """Messages go out late, not at all, and under an older campaign file; each is told when it suits."""
    rng, other = random.Random(seed), {"id": "contest", "timezone": "Asia/Tokyo"}
    logs = [Log(worlds, store, build()), Log(worlds, store, build(campaign=other))]
    waiting, refused = [], 0
    for _ in range(150):
        now = logs[0].now = logs[1].now = logs[0].now + rng.random() * 8 * HOUR
        log = rng.choice(logs)
        decision, row = log.row(rng.choice("abc"))
        try:
            store.add_decisions([row])
        except CapReached:
            refused += 1
        else:
            waiting.append(decision)
        if waiting and rng.random() < 0.6:
            decision = waiting.pop(rng.randrange(len(waiting)))
            if decision.choice["channel"] != "no_send":
                sent_at = (
                    None if rng.random() < 0.3 else decision.decided_at + rng.random() * (now - decision.decided_at)
                )
                report(store, decision, sent_at, now)
    assert refused > 10
    checks = [log.checked() for log in logs]
    assert [check.failures for check in checks] == [[], []]
    assert min(check.n_checked for check in checks) > 5


def report(store, decision, sent_at, now):
    def told(connection):
        if sent_at is None:
            return record_not_sent(connection, decision.decision_id)
        return record_sent(
            connection, decision.decision_id, sent_at, lambda log_id: store.log(log_id).campaign.reward, now
        )

    store.write(told)


def test_each_message_that_was_put_in_behind_the_writers_back_is_found(worlds, store, build):
    log = Log(worlds, store, build(limits={"caps": [{"most": 1, "within": "7d"}]}))
    rows = []
    for day in range(12):
        decision, row = log.row("ann", worlds.noon + day * DAY)
        if decision.choice["channel"] != "no_send":
            rows.append(row)
    kept, put_in = rows[0], rows[1:4]
    store.add_decisions([kept])
    store.write(lambda connection: insert_decisions(connection, put_in))
    check = log.checked()
    assert (check.n_checked, check.n_failed) == (4, 3)
    assert "more than 1 within 7 days" in check.failures[0]
    found = verify_store(store)
    (named,) = (check for check in found.checks if check.name == "caps")
    assert named.n_failed == 3
    assert not found.passed
    void = put_in[0][0][1], State.VOID.value
    store.write(lambda connection: connection.execute("UPDATE decisions SET state = ?2 WHERE decision_id = ?1", void))
    assert log.checked().n_failed == 2, "what was not sent was in nobody's way"


def test_a_message_counts_however_many_choices_of_silence_follow_it(worlds, store, build):
    log = Log(worlds, store, build(limits={"caps": [{"most": 1, "within": "30d"}]}))
    made = [log.row("ann", worlds.noon + step * HOUR) for step in range(40)]
    sent = [row for one, row in made if one.choice["channel"] != "no_send"]
    silent, due_at = next(row for one, row in made if one.choice["channel"] == "no_send")
    place = DECIDED.index("decision_id")
    copies = [(*silent[:place], f"silent-{number}", *silent[place + 1 :]) for number in range(1200)]
    store.add_decisions([sent[0]])
    assert set(store.add_each([(copy, due_at) for copy in copies])) == {None}
    assert {type(error) for error in store.add_each(sent[1:])} == {CapReached}
    assert log.checked().failures == []
    store.write(lambda connection: insert_decisions(connection, sent[1:]))
    assert log.checked().n_failed == len(sent) - 1


def test_a_message_that_went_out_long_after_its_decision_is_found_without_reading_all_that_were_decided(
    worlds, store, build
):
    log = Log(worlds, store, build(limits={"caps": [{"most": 1, "within": "2d"}]}))
    made = [log.row("ann", worlds.noon + step * 60 * DAY) for step in range(12)]
    (first, early), (_, late) = [one for one in made if one[0].choice["channel"] != "no_send"][:2]
    store.add_decisions([early])
    went_at = datetime.fromisoformat(late[0][DECIDED.index("decided_at")]) - DAY
    report(store, first, went_at, went_at)
    with pytest.raises(CapReached):
        store.add_decisions([late])
    assert log.checked().failures == []
    names = ("key", "campaign", "everywhere", "since", "planned")
    plan = store.reader().execute(f"EXPLAIN QUERY PLAN {_SENDS}", dict.fromkeys(names, "")).fetchall()
    said = " ".join(row[3] for row in plan)
    assert "decisions_customer (customer_key=? AND decided_at>?)" in said
    assert "decisions_sent (customer_key=? AND sent_at>?)" in said


def test_a_log_of_a_campaign_without_caps_is_not_asked(worlds, store, build):
    log = Log(worlds, store, build(limits=None))
    store.add_decisions([log.row("ann")[1] for _ in range(5)])
    assert "caps" not in {check.name for check in verify_store(store).checks}


def test_a_row_that_cannot_be_read_stops_nothing(worlds, store, build):
    log = Log(worlds, store, build())
    store.add_decisions([log.row(name)[1] for name in "abcdef"])
    store.write(lambda connection: connection.execute("UPDATE decisions SET arms = '[]' WHERE seq = 1"))
    store.write(
        lambda connection: connection.execute(
            "UPDATE decisions SET decided_at = 'soon', send_at = 'soon' WHERE seq = 2"
        )
    )
    assert log.checked().n_checked <= 4


def test_a_simulated_campaign_sends_what_its_caps_allow_and_verifies(worlds, store, build):
    campaign = build(limits={"caps": [{"most": 1, "within": "10d"}]}, learner=None, policy={"name": "uniform"})
    (stage,) = SCENARIOS["steady"].stages(campaign, 1, 150)
    log = store.open_log(campaign, worlds.noon)
    simulation = Simulation(stage.world, store, log, step=14 * DAY)
    sends = [send for step in simulation.run(150) for send in step]
    assert simulation.caps.n_capped > 10
    assert len(sends) + simulation.caps.n_capped == 150
    assert len(list(store.decisions(log))) == len(sends)
    (check,) = (check for check in verify_store(store).checks if check.name == "caps")
    assert check.passed
    assert check.n_checked > 50
