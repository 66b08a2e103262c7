"""A replay in waves is the replay that decides one send after the other, and its clock lets nothing be known too early."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pytest

from bandit import Context, Engine, Group, LoggedDecision, Matured, Served, learner_for
from bandit.training import is_trained_on, training_row
from bandit.wear_out import PastSend
from policies import group_policies
from simulator.engine_decider import forgotten
from simulator.faults import (
    ChangedIds,
    DisorderedEvents,
    DuplicatedEvents,
    Extent,
    Faults,
    LateEvents,
    LostEvents,
    MisguidedPolicy,
    UnsentChoice,
    UnvoidedSends,
    WrongPropensities,
)
from simulator.rehearsal import remembered
from simulator.replay import Stage, replay
from simulator.replayed import DAY
from simulator.scenarios import SCENARIOS
from simulator.world import ImpossibleWorld, SendingWorld

N, STEP = 300, 4 * DAY
EVENTS = {"click": 0.2, "conversion": 1.0, "unsubscribe": -1.0}
SHAPES = {
    "plain": {},
    "wear-out": {"wear_out": {"window": "20d"}},
    "recent sends": {
        "dimension": [
            {"name": "subject", "arm": [{"id": "plain"}, {"id": "loud"}]},
            {"name": "cta", "arm": [{"id": "join"}, {"id": "no_send", "no_send": True}]},
        ],
        "reward": {"window": "48h", "events": EVENTS, "recent_send": {"cost": 0.1, "within": "9d", "most": 3}},
        "groups": {"random": 0.3},
    },
    "rules": {
        "dimension": [
            {"name": "subject", "arm": [{"id": "plain"}, {"id": "loud", "when": {"level": ["low"]}}, {"id": "calm"}]},
            {"name": "cta", "arm": [{"id": "join"}, {"id": "invite", "requires": {"subject": ["plain", "loud"]}}]},
        ]
    },
    "four candidates": {"learner": {"name": "regression"}},
    "reward": {"learner": {"name": "regression", "target": "reward", "learning_rate": 0.1}},
    "native": {"policy": {"name": "native"}, "learner": {"name": "native"}},
    "thompson": {"policy": {"name": "thompson"}, "learner": {"name": "bootstrap", "members": 3}},
    "uniform": {"policy": {"name": "uniform"}, "learner": None},
}


@pytest.fixture(scope="module")
def campaign(worlds):
    """Builds a campaign that learns from random traffic too, and has a control group."""
    groups = {"random": 0.3, "control": {"share": 0.1, "choice": {"subject": "plain", "cta": "join"}}}

    shared = {"groups": groups, "reward": {"window": "48h", "events": EVENTS}, "learner": {"learning_rate": 0.1}}

    def build(**sections):
        return worlds.campaign(**shared | sections)

    return build


def engine_of(campaign):
    return Engine(campaign, group_policies(campaign), b"salt", b"secret")


def played(campaign, scenario="steady", n=N, **arguments):
    """Stages of a scenario and their replay."""
    stages = SCENARIOS[scenario].stages(campaign, 3, n)
    return stages, replay(stages, [engine_of(stage.campaign) for stage in stages], **{"step": STEP} | arguments)


@dataclass
class Slow:
    """The replay as it reads in words: one decision after the other by `Engine.decide`, one row learned at a time."""

    stage: Stage
    step: timedelta = STEP

    def run(self):
        campaign, world = self.stage.campaign, self.stage.world
        self.engine, self.open, self.decisions = engine_of(campaign), [], []
        self.kind = learner_for(
            campaign.learner, self.engine.policies[Group.LEARNER].needs, wears=campaign.looks_back is not None
        )
        self.learner, memory, past = self.kind.fresh(campaign), {}, {}
        arrivals = list(world.arrivals(self.stage.n_sends))
        visit = arrivals[0].at + self.step
        self.rewards = np.zeros(len(arrivals))
        for number, came in enumerate(arrivals):
            while came.at >= visit:
                self.close(visit)
                visit += self.step
            known = past.setdefault(came.customer_id, [])
            decision = self.engine.decide(
                came.customer_id, Context(came.context), decision_id=f"d{number + 1}", at=came.at,
                past=known if campaign.looks_back else None,
            )  # fmt: skip
            known.append(PastSend(came.at, decision.choice))
            self.decisions.append(decision)
            arrival = remembered(world, came, decision.choice, memory)
            sent = world.sent_at(arrival, decision.choice) if isinstance(world, SendingWorld) else came.at
            outcomes = world.react(arrival, decision.choice, decision_id=decision.decision_id)
            types = frozenset(outcome.type for outcome in outcomes if outcome.at <= sent + world.window)
            self.rewards[number] = campaign.reward_of(list(decision.choice.values()), types, decision.recent_sends)
            row = Matured(number + 1, LoggedDecision.of(decision, number + 1), types)
            heapq.heappush(self.open, (sent + world.window, number, row))
        return self

    def close(self, visit):
        learned = False
        while self.open and self.open[0][0] <= visit:
            row = heapq.heappop(self.open)[2]
            if is_trained_on(row.decision):
                self.learner.learn(training_row(self.stage.campaign, row))
                learned = True
        if learned:
            self.engine = self.engine.serving(Served("s", self.kind.live(self.stage.campaign, self.learner)))


@pytest.mark.parametrize(
    ("shape", "scenario"), [*((shape, "steady") for shape in SHAPES), ("plain", "wearing"), ("wear-out", "wearing")]
)
def test_a_replay_in_waves_is_the_replay_one_by_one(campaign, shape, scenario):
    stages, found = played(campaign(**SHAPES[shape]), scenario)
    slow, (stage,) = Slow(stages[0]).run(), found.stages
    picks = [stages[0].campaign.picks_of(decision.choice) for decision in slow.decisions]
    assert stage.picks.tolist() == [list(pick) for pick in picks]
    assert stage.groups.tolist() == [decision.group.value for decision in slow.decisions]
    assert stage.rewards.tolist() == slow.rewards.tolist()
    for d, pmf in enumerate(stage.pmfs):
        assert pmf == pytest.approx(np.array([one.picks[d].pmf.probabilities for one in slow.decisions]), abs=1e-12)
    assert stage.exposures == [decision.exposures for decision in slow.decisions]
    counts = [decision.recent_sends for decision in slow.decisions]
    assert list(stage.recent_sends) == (counts if campaign(**SHAPES[shape]).reward.recent_send else [])
    assert (stage.deciders != "").tolist() == [decision.snapshot is not None for decision in slow.decisions]


def test_customers_do_come_twice_in_a_step(campaign):
    """Otherwise the test above would say little about what is remembered."""
    stages = SCENARIOS["wearing"].stages(campaign(wear_out={"window": "20d"}), 3, N)
    arrivals = list(stages[0].world.arrivals(N))
    first = [arrival.customer_id for arrival in arrivals if arrival.at < arrivals[0].at + STEP]
    assert len(set(first)) < len(first)


def test_no_row_teaches_before_its_window_has_closed(campaign):
    _, found = played(campaign(), step=DAY)
    (stage,) = found.stages
    at = np.array([arrival.at for arrival in stage.arrivals])
    assert (stage.deciders[at < at[0] + timedelta(hours=48)] == "").all()
    assert found.n_snapshots >= 20
    learner = stage.groups == "learner"
    assert (stage.deciders[learner & (at >= at[0] + 4 * DAY)] != "").all()


def test_the_same_replay_twice_is_the_same_to_the_last_bit(campaign):
    first, second = (played(campaign())[1].stages[0] for _ in range(2))
    assert np.array_equal(first.picks, second.picks)
    assert np.array_equal(first.truth.values, second.truth.values)
    assert all(np.array_equal(a, b) for a, b in zip(first.pmfs, second.pmfs, strict=True))


@pytest.mark.parametrize(("scenario", "n"), [("new-arms", N), ("new-arms", 1600), ("retired-arms", N)])
def test_a_stage_with_other_arms_begins_with_what_was_known(campaign, scenario, n):
    stages, found = played(campaign(), scenario, n)
    first, second = found.stages
    assert (len(first.rewards), len(second.rewards)) == (stages[0].n_sends, stages[1].n_sends)
    assert first.pmfs[0].shape[1] != second.pmfs[0].shape[1]
    assert second.deciders[second.groups == "learner"][0] != ""
    # Too few rows to say where a model starts cannot be carried over, and are learned again.
    _, again = played(campaign(), scenario, n, begin=forgotten)
    assert not np.array_equal(again.stages[1].pmfs[0], second.pmfs[0])
    assert np.array_equal(again.stages[0].pmfs[0], first.pmfs[0])


def test_nothing_is_learned_where_nobody_asks(campaign):
    _, found = played(campaign(policy={"name": "uniform"}))
    assert (found.n_snapshots, found.n_learned) == (0, 0)


def test_the_watcher_hears_of_every_step(campaign):
    heard = []
    played(campaign(), watch=heard.append)
    assert heard == sorted(set(heard))
    assert heard[-1] == N


@pytest.mark.parametrize(
    "arguments",
    [{"step": timedelta(0)}, {"engines": []}, {"stages": []}, {"faults": Faults((WrongPropensities(Extent(0.1)),))}],
)
def test_what_cannot_be_replayed_is_refused(campaign, arguments):
    stages = SCENARIOS["steady"].stages(campaign(), 3, N)
    engines = [engine_of(stages[0].campaign)]
    with pytest.raises(ImpossibleWorld, match=r"give one engine a stage|demo --fault"):
        replay(**{"stages": stages, "engines": engines} | arguments)


def test_a_stage_without_sends_is_refused(campaign):
    (stage,) = SCENARIOS["steady"].stages(campaign(), 3, N)
    with pytest.raises(ImpossibleWorld, match="at least 1"):
        replace(stage, n_sends=0)


def faulty(campaign, *faults, n=N):
    """A replay without faults and one with them."""
    return played(campaign, n=n)[1], played(campaign, n=n, faults=Faults(faults))[1]


@pytest.mark.parametrize("kind", [DuplicatedEvents, DisorderedEvents])
def test_what_is_harmless_by_design_changes_nothing(campaign, kind):
    without, hit = faulty(campaign(), kind(Extent(0.5)))
    assert np.array_equal(without.rewards, hit.rewards)
    assert np.array_equal(without.stages[0].picks, hit.stages[0].picks)
    assert (hit.n_duplicates > 0) == (kind is DuplicatedEvents)


@pytest.mark.parametrize(("kind", "is_late"), [(LostEvents, False), (LateEvents, True)])
def test_what_never_comes_in_time_is_not_counted(campaign, kind, is_late):
    without, hit = faulty(campaign(), kind(Extent(1.0)))
    assert (hit.rewards == 0.0).all()
    assert (without.rewards != 0.0).any()
    assert (hit.n_late > 0) == is_late
    assert without.n_late == without.n_duplicates == 0


def test_an_event_that_is_late_but_in_time_counts(campaign):
    """The trainer comes by up to some days after the window's end: an hour more is no harm to most rows."""
    without, hit = faulty(campaign(), LateEvents(Extent(1.0), timedelta(hours=1)))
    assert (without.rewards == hit.rewards).mean() > 0.95


def test_a_misguided_policy_decides_by_what_it_believes_to_be_worst(campaign):
    without, hit = faulty(campaign(), MisguidedPolicy(Extent(1.0)), n=1000)
    learner = without.groups == "learner"
    late = learner & (np.arange(len(learner)) > 500)
    assert hit.truth.values[late].mean() < without.truth.values[late].mean()
    assert np.array_equal(without.stages[0].picks[~learner], hit.stages[0].picks[~learner])


def test_the_truth_is_that_of_what_was_really_sent(campaign):
    without, hit = faulty(campaign(policy={"name": "uniform"}), UnsentChoice(Extent(0.5)))
    assert np.array_equal(without.stages[0].picks, hit.stages[0].picks)
    changed = without.truth.values != hit.truth.values
    assert 0.2 < changed.mean() < 0.6


def test_what_was_not_sent_is_worth_nothing_and_brings_nothing(campaign):
    _, hit = faulty(campaign(policy={"name": "uniform"}), UnvoidedSends(Extent(0.5)))
    unsent = hit.truth.values == 0.0
    assert 0.4 < unsent.mean() < 0.6
    assert (hit.rewards[unsent] == 0.0).all()
    assert (hit.rewards[~unsent] != 0.0).any()


def test_whoever_changes_their_id_changes_groups(campaign):
    without, hit = faulty(campaign(), ChangedIds(Extent(1.0)))
    arrivals = hit.stages[0].arrivals
    assert [arrival.customer_id for arrival in arrivals] == [
        arrival.customer_id for arrival in without.stages[0].arrivals
    ]

    def n_groups(found):
        seen = {}
        for arrival, group in zip(arrivals, found.groups.tolist(), strict=True):
            seen.setdefault(arrival.customer_id, set()).add(group)
        return max(map(len, seen.values()))

    assert n_groups(without) == 1
    assert n_groups(hit) > 1


@pytest.mark.parametrize("step", [timedelta(hours=30), 5 * DAY])
def test_a_stage_begins_with_nothing_learned_that_had_not_happened_yet(campaign, step):
    stages = SCENARIOS["retired-arms"].stages(campaign(), 3, 600)
    first = next(iter(stages[1].world.arrivals(stages[1].n_sends))).at
    closed = []

    def begin(kind, changed, former):
        closed.extend(row.decision.decided_at + changed.reward.window for row in former.rows)
        return forgotten(kind, changed, former)

    replay(stages, [engine_of(stage.campaign) for stage in stages], step=step, begin=begin)
    assert closed
    assert max(closed) <= first


def test_the_trainer_comes_by_though_nobody_does(campaign):
    """What matured in a step without arrivals is served to the next ones: the same as with a visit at every moment."""
    stages = SCENARIOS["steady"].stages(campaign(), 3, 60)
    seldom, often = (
        replay(stages, [engine_of(stage.campaign) for stage in stages], step=step).stages[0].deciders
        for step in (timedelta(hours=1), timedelta(minutes=30))
    )
    known = [[name for name in names if name] for names in (seldom, often)]
    assert abs(len(known[0]) - len(known[1])) <= 1
