"""What no_send should be held against: the average message that may follow, the best one, or what the policy would choose.

Run: .venv/bin/python benchmarks/silence_held.py [--smoke]

The customers of `silence.py`, in three worlds: *far* is its own, where the average message already says whether to send;
*close* is one in which the average message is worth no more than none to the weary, and less than the best one; in *quiet* no
message is worth sending. Squarecb decides for 4,000 customers and learns every 250, with the estimates of the first dimension
(email, push, no_send) made in four ways:

- `average`, as they are served: a channel is worth what the average message of it is;
- `policy`: what comes of it if the policy goes on choosing as its pmf says, over all that may follow;
- `best`: what the message is worth that follows best;
- `reference`: what the message is worth that follows best where nothing is known of a customer. Tables of a model could say it
  by themselves: to move what one arm says from a later dimension into the first changes no whole choice.

Said is what is lost a send against the best choice for each mood, over all sends and over the last quarter, and what either
way loses less than `average` does. Propensities are those of the draw in each way. Intervals are Student's over the seeds.
Nothing is timed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import silence
from timing import keep

from bandit import Context, Engine, LoggedDecision, Matured, Served, read_campaign
from bandit.campaign import Campaign
from bandit.context import EncodedContext
from bandit.estimates import Offer
from bandit.features import Silence
from bandit.group import Group
from bandit.policy import Policy
from bandit.regression import REGRESSION
from bandit.training import training_row
from policies import group_policies

SEEDS, N_SENDS, LATE, WORKERS = tuple(range(61, 71)), 4000, 4, 6
WORLDS: Mapping[str, Mapping[str, Any]] = {
    "far": {},
    "close": {"moods": {"keen": 0.15, "weary": -0.3}, "spread": 0.3},
    "quiet": {"moods": {"keen": -0.6, "weary": -1.0}},
}
WAYS = ("average", "policy", "best", "reference")

State = tuple[Any, tuple[int, ...]]
"""What the scorer inside remembers, and the picks so far."""


@dataclass(frozen=True, slots=True)
class Onward:
    """Another scorer's estimates, but for the first dimension: there an arm is worth what may follow it.

    Attributes:
        inner: what was learned.
        campaign: whose rules say what may follow; they ask for no context here.
        policy: of the learner group.
        way: any but `average`.
    """

    inner: Any
    campaign: Campaign
    policy: Policy
    way: str

    @property
    def n_learned(self) -> int:
        """Decisions learned from."""
        return int(self.inner.n_learned)

    def start(self, context: EncodedContext) -> State:
        """The state before the first pick."""
        return self.inner.start(context), ()

    def after(self, state: State, dimension: int, pick: int) -> State:
        """The state after a pick."""
        return self.inner.after(state[0], dimension, pick), (*state[1], pick)

    def whole(self, state: State, dimension: int, pick: int) -> float:
        """Expected reward of the whole choice."""
        return float(self.inner.whole(state[0], dimension, pick))

    def offer(self, state: State, dimension: int, offered: Sequence[int]) -> Offer:
        """Scores of the arms on offer."""
        made: Offer = self.inner.offer(state[0], dimension, offered)
        if dimension:
            return made
        value = self._value_of_reference if self.way == "reference" else self._value
        return made._replace(scores=[value(state, dimension, arm) for arm in offered])

    def _value_of_reference(self, state: State, dimension: int, arm: int) -> float:
        """That of the arm with what follows it best where nothing is known of a customer."""
        average = self.start(EncodedContext({}, (), ()))
        for later in range(dimension + 1, len(self.campaign.dimensions)):
            average, state = (self.after(one, later - 1, arm) for one in (average, state))
            arm = self._best(average, later)
        return self.whole(state, len(self.campaign.dimensions) - 1, arm)

    def _value(self, state: State, dimension: int, arm: int) -> float:
        later = dimension + 1
        if later == len(self.campaign.dimensions):
            return self.whole(state, dimension, arm)
        after = self.after(state, dimension, arm)
        offered = self.campaign.eligibility.offered(later, {}, after[1])
        offer: Offer = self.inner.offer(after[0], later, offered)
        if self.way == "policy":
            shares = self.policy.shares(offer)
            return sum(share * self._value(after, later, one) for share, one in zip(shares, offered, strict=True))
        return self._value(after, later, self._best(after, later))

    def _best(self, state: State, dimension: int) -> int:
        offered = self.campaign.eligibility.offered(dimension, {}, state[1])
        scores = self.inner.offer(state[0], dimension, offered).scored()
        return offered[scores.index(max(scores))]


def lost(seed: int, name: str, way: str, n: int) -> tuple[float, float]:
    """What is lost a send in one world, over all sends and over the last ones."""
    world, campaign = silence.World(seed, n, **WORLDS[name]), read_campaign(silence.THREE)
    learner, policies, rows = silence.learner_of(campaign, Silence.LEFT_OUT), group_policies(campaign), []
    engine, losses = Engine(campaign, policies, salt=b"silence", secret=b"silence"), []
    for number, (mood, luck) in enumerate(zip(world.moods, world.luck, strict=True), start=1):
        decision = engine.decide(f"c{number}", Context({"mood": mood}), decision_id=f"d{number}", at=silence.NOON)
        rate = world.rate(mood, tuple(decision.choice.values()))
        losses.append(world.best_for(mood) - rate)
        visits = frozenset({"visit"} if luck < rate else ())
        rows.append(training_row(campaign, Matured(number, LoggedDecision.of(decision, number), visits)))
        if len(rows) == silence.STEP:
            learner.learn_many(rows)
            rows.clear()
            scorer: Any = REGRESSION.live(campaign, learner)
            scorer = scorer if way == "average" else Onward(scorer, campaign, policies[Group.LEARNER], way)
            engine = engine.serving(Served(f"s{number}", scorer))
    return float(np.mean(losses)), float(np.mean(losses[-n // LATE :]))


def figures(seeds: Sequence[int], n: int) -> dict[str, Any]:
    """Of every world and way, over the seeds."""
    asked = [(name, way) for name in WORLDS for way in WAYS]
    with ProcessPoolExecutor(WORKERS) as pool:
        told = {one: [pool.submit(lost, seed, *one, n) for seed in seeds] for one in asked}
        found = {one: [each.result() for each in of_seeds] for one, of_seeds in told.items()}
    return {name: {way: _said(found[name, way], found[name, WAYS[0]]) for way in WAYS} for name in WORLDS}


def _said(way: Sequence[tuple[float, float]], average: Sequence[tuple[float, float]]) -> dict[str, list[float]]:
    one, other = np.array(way), np.array(average)
    parts = {"lost": one, "less than average": other - one}
    return {
        f"{part}, {when}": silence.interval(values[:, place].tolist())
        for part, values in parts.items()
        for place, when in enumerate(("all sends", "last quarter"))
    }


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two seeds and few sends, nothing kept")
    smoke = parser.parse_args().smoke
    found = figures(SEEDS[:2] if smoke else SEEDS, 500 if smoke else N_SENDS)
    if smoke:
        print("ok")
        return
    keep("silence_held", {"n_sends": N_SENDS, "seeds": list(SEEDS), **found})


if __name__ == "__main__":
    main()
