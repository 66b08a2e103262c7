"""Rehearsals: nobody learns before the batch has ended, everybody meets the same luck, and runs can be repeated."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from bandit import Engine, Group, learner_for, read_campaign
from policies import group_policies
from simulator.email_worlds import email12hi, growing
from simulator.engine_decider import EngineDecider, Refresh, carried, forgotten, rehearse, relearned
from simulator.rehearsal import Phase, play
from simulator.world import ImpossibleWorld


def engine_of(world, tables=""):
    fields = [
        f'[context.{name}]\nkind = "categorical"\nvalues = {list(values)}\n'
        for name, values in world.attributes.categories.items()
    ]
    fields += [f'[context.{name}]\nkind = "numeric"\nrange = [0.0, 1.0]\n' for name in world.attributes.ranges]
    arms = "".join(f'[[dimension.arm]]\nid = "{arm}"\n' for arm in world.choices.dimensions["subject"])
    head = '[campaign]\nid = "test"\n[reward]\nwindow = "1h"\nevents = { click = 1.0 }\n'
    campaign = read_campaign("".join([head, tables, *fields, '[[dimension]]\nname = "subject"\n', arms]))
    return Engine(campaign, group_policies(campaign), b"salt", b"secret")


def kind_of(engine):
    return learner_for(engine.campaign.learner, engine.policies[Group.LEARNER].needs)


@pytest.fixture(scope="module")
def world():
    return email12hi(0, 400)


@dataclass
class Diary:
    """Decides nothing new, and writes down what it is told, in order."""

    world: object = None
    entries: list[tuple[str, int]] = field(default_factory=list)
    told: list[frozenset[str]] = field(default_factory=list)
    arm: int = 0

    def enter(self, phase, world):
        self.world = world
        self.entries.append(("enter", phase))

    def decide(self, sends):
        self.entries += [("decide", send.number) for send in sends]
        return [self.world.choices.at(self.arm)] * len(sends)

    def learn(self, outcome_types):
        self.entries.append(("learn", len(outcome_types)))
        self.told += outcome_types


class Watched:
    """A learner that notes how many decisions had been made when it learned each row."""

    def __init__(self, learner, notes):
        self.learner, self.notes = learner, notes

    @property
    def n_learned(self):
        return self.learner.n_learned

    def learn(self, row):
        self.learner.learn(row)
        self.notes["learned"].append((self.n_learned, self.notes["decided"]))

    def snapshot(self, *, watermark):
        return self.learner.snapshot(watermark=watermark)


class Counting(EngineDecider):
    notes: dict

    def decide(self, sends):
        self.notes["decided"] = sends[-1].number
        return super().decide(sends)


def watched(engine, **settings):
    notes = {"learned": [], "snapshots": [], "decided": 0}
    kind = kind_of(engine)

    def live(campaign, learner):
        notes["snapshots"].append((learner.n_learned, notes["decided"]))
        return kind.live(campaign, learner.learner)

    kind_watched = replace(kind, fresh=lambda c: Watched(kind.fresh(c), notes), live=live)
    decider = Counting([engine], kind_watched, **settings)
    decider.notes = notes
    return decider, notes


def test_outcomes_are_told_a_batch_at_a_time_and_a_batch_ends_with_its_phase(world):
    diary = Diary()
    play([Phase(world, 5), Phase(world, 2)], diary, batch=3)
    told = [
        ("enter", 0),
        *[("decide", n) for n in (1, 2, 3)],
        ("learn", 3),
        *[("decide", n) for n in (4, 5)],
        ("learn", 2),
    ]
    assert diary.entries == [*told, ("enter", 1), ("decide", 6), ("decide", 7), ("learn", 2)]


@pytest.mark.parametrize(("batch", "n"), [(1, 20), (7, 100), (50, 100)])
def test_no_row_is_learned_before_its_batch_has_ended_and_all_are_learned_in_order(world, batch, n):
    decider, notes = watched(engine_of(world))
    play([Phase(world, n)], decider, batch=batch)
    assert [row for row, _ in notes["learned"]] == list(range(1, n + 1))
    assert all(decided == min(-(-row // batch) * batch, n) for row, decided in notes["learned"])


def test_every_snapshot_knows_all_that_was_learned_and_decides_the_next_batch(world):
    decider, notes = watched(engine_of(world))
    play([Phase(world, 100)], decider, batch=25)
    assert notes["snapshots"] == [(25, 25), (50, 50), (75, 75), (100, 100)]
    assert decider.n_snapshots == 4


def test_with_batches_of_one_snapshots_become_rarer_as_more_is_known(world):
    decider, notes = watched(engine_of(world), refresh=Refresh(growth=0.5))
    play([Phase(world, 100)], decider, batch=1)
    assert [n for n, _ in notes["snapshots"]] == [1, 2, 3, 5, 8, 12, 18, 27, 41, 62, 93]
    assert len(notes["learned"]) == 100


@pytest.mark.parametrize(("batch", "n"), [(1, 30), (40, 120)])
def test_the_same_seed_gives_the_same_run(world, batch, n):
    first, again = (
        rehearse([Phase(world, n)], [engine], kind_of(engine), batch=batch)
        for engine in (engine_of(world), engine_of(world))
    )
    assert first.choices == again.choices
    assert first.outcome_types == again.outcome_types
    assert (first.truth.values == again.truth.values).all()


def test_two_deciders_that_choose_alike_meet_the_same_luck_whatever_the_batch(world):
    one, other = Diary(), Diary()
    played = [play([Phase(world, 300)], diary, batch=batch) for diary, batch in ((one, 1), (other, 100))]
    assert played[0].outcome_types == played[1].outcome_types == one.told
    assert any(one.told)


def test_a_better_choice_never_loses_a_click_that_a_worse_one_won(world):
    arrivals = list(world.arrivals(200))
    rewards = world.expected_rewards([arrival.context for arrival in arrivals])
    clicks = np.array([
        [bool(types) for types in play([Phase(world, 200)], Diary(arm=arm), batch=50).outcome_types] for arm in range(12)
    ]).T  # fmt: skip
    better = rewards[:, :, None] >= rewards[:, None, :]
    assert (clicks[:, :, None] >= clicks[:, None, :])[better].all()


def test_truth_is_that_of_the_choices_over_all_phases(world):
    played = play([Phase(world, 5), Phase(world, 3)], Diary(arm=4), batch=2)
    rewards = world.expected_rewards(world.contexts[:5])
    assert played.truth.values == pytest.approx([*rewards[:5, 4], *rewards[:3, 4]])
    assert played.truth.best == pytest.approx([*rewards[:5].max(axis=1), *rewards[:3].max(axis=1)])


def test_a_learner_goes_on_where_the_campaign_stays_and_relearns_where_arms_arrive():
    before, after = growing(0, 200)
    engines = [engine_of(before), engine_of(before), engine_of(after)]
    decider, notes = watched(engines[0])
    decider.engines = engines
    play([Phase(before, 60), Phase(before, 40), Phase(after, 50)], decider, batch=20)
    fresh = [row for row, _ in notes["learned"]]
    assert fresh == [*range(1, 101), *range(1, 101), *range(101, 151)]
    assert notes["snapshots"][-4:] == [(100, 100), (120, 120), (140, 140), (150, 150)]
    assert decider.fallbacks == []


def test_rows_from_before_new_arms_say_that_these_were_not_on_offer():
    before, after = growing(0, 100)
    engines, seen = [engine_of(before), engine_of(after)], []

    def begin(kind, campaign, former):
        seen.extend(former.rows)
        return kind.fresh(campaign)

    play([Phase(before, 30), Phase(after, 30)], EngineDecider(engines, kind_of(engines[0]), begin=begin), batch=10)
    assert len(seen) == 30
    assert all(row.decision.pmfs[0][8:] == (0.0,) * 4 and sum(row.decision.pmfs[0]) == pytest.approx(1) for row in seen)


@pytest.mark.parametrize(("begin", "n_known"), [(relearned, 600), (carried, 600), (forgotten, 0)])
def test_a_changed_campaign_begins_with_as_much_as_it_is_told_to(begin, n_known):
    before, after = growing(0, 1200)
    engines = [engine_of(before), engine_of(after)]
    decider = EngineDecider(engines, kind_of(engines[0]), begin=begin)
    play([Phase(before, 600)], decider, batch=100)
    decider.enter(1, after)
    assert decider._learner.n_learned == n_known


def test_progress_is_told_after_each_batch(world):
    told = []
    rehearse([Phase(world, 25)], [engine_of(world)], kind_of(engine_of(world)), batch=10, watch=told.append)
    assert told == [10, 20, 25]


def test_impossible_rehearsals_are_refused_with_advice(world):
    engine = engine_of(world)
    with pytest.raises(ImpossibleWorld, match="at least one phase"):
        play([], Diary(), batch=1)
    with pytest.raises(ImpossibleWorld, match="1 or more"):
        play([Phase(world, 1)], Diary(), batch=0)
    with pytest.raises(ImpossibleWorld, match="leave the phase out"):
        Phase(world, 0)
    with pytest.raises(ImpossibleWorld, match="give one a phase"):
        rehearse([Phase(world, 1)] * 2, [engine], kind_of(engine), batch=1)
    with pytest.raises(ImpossibleWorld, match="campaign file from the world"):
        rehearse([Phase(growing(0, 10)[0], 1)], [engine], kind_of(engine), batch=1)
    with pytest.raises(ImpossibleWorld, match="0 or more"):
        Refresh(growth=-0.1)
