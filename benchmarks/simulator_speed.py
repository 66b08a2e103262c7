"""How long a replay takes, beside plain Vowpal Wabbit text on the same rows, and what a second process brings.

Run: .venv/bin/python benchmarks/simulator_speed.py

A campaign of 12 x 4 x 4 x 10 arms is replayed in the scenario `steady` with a trainer that comes by every day. Its decisions and
its learning are timed with reactions that were recorded before, so that neither the customers nor the truth count; so is the
straightforward way with Vowpal Wabbit's text: for every send and every dimension a `--cb_explore_adf` predict over its arms, and
for every row learned from a learn. They take turns, and each round gives one ratio.

What Vowpal Wabbit learns of a send is a matter of the campaign: one example where only clicks are rewarded and the learning rate
is set ("one learn a send", to which the gate belongs), four of them where candidates compete, and sixteen in the sample campaign,
whose four outcome types have a model each, and which remembers what was sent before.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
from gates import Gate
from sample_without_hours import sample_without_hours
from timing import keep, ratio
from vowpalwabbit import pyvw

from bandit import Campaign, Engine, read_campaign
from policies import group_policies
from simulator.engine_decider import known_so_far
from simulator.faults import Faults
from simulator.replay import Stage, replay, steps_of
from simulator.replay_state import ReplayState
from simulator.replayed import DAY, ReplayedCampaign
from simulator.scenarios import SCENARIOS
from simulator.seeds import over_seeds
from simulator.world import Arrival, SimulatedOutcome

SEED = 0
ALONE = "\n[learner]\nlearning_rate = 0.1\n"
CLICKS = re.compile(r"^events = .*$", re.MULTILINE), "events = { click = 1.0 }"
NO_WEAR = re.compile(r"^\[wear_out\].*\nwindow.*\n", re.MULTILINE), ""
ONE_LEARN, FOUR, SAMPLE = "one learn a send", "four candidates", "sample campaign"


def campaign_of(name: str) -> Campaign:
    """The sample campaign, or less of it: clicks alone and nothing remembered; and perhaps a learning rate."""
    text = sample_without_hours()
    if name != SAMPLE:
        for pattern, instead in (CLICKS, NO_WEAR):
            text = pattern.sub(instead, text)
    return read_campaign(text + (ALONE if name == ONE_LEARN else ""))


def engine_of(campaign: Campaign) -> Engine:
    """Its engine."""
    return Engine(campaign, group_policies(campaign), b"salt", b"secret")


class Recorded:
    """A world that remembers what its customers did instead of asking them again."""

    def __init__(self, stage: Stage) -> None:
        self.world = stage.world
        self.came = list(stage.world.arrivals(stage.n_sends))
        self._outcomes: dict[tuple[str, int], tuple[SimulatedOutcome, ...]] = {}

    def reactions(
        self, arrivals: Sequence[Arrival], choices: Sequence[Mapping[str, str]], decision_ids: Sequence[str]
    ) -> list[tuple[SimulatedOutcome, ...]]:
        """Those of the world; known ones are looked up."""
        keys = [(name, self.world.choices.index(choice)) for name, choice in zip(decision_ids, choices, strict=True)]
        new = [place for place, key in enumerate(keys) if key not in self._outcomes]
        if new:
            asked = ([column[place] for place in new] for column in (arrivals, choices, decision_ids))
            found = self.world.reactions(*asked)
            self._outcomes.update({keys[place]: outcome for place, outcome in zip(new, found, strict=True)})
        return [self._outcomes[key] for key in keys]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.world, name)


def decide_and_learn(campaign: Campaign, recorded: Recorded, step: timedelta) -> ReplayState:
    """A replay without its truth, and with reactions that are looked up."""
    state = ReplayState([engine_of(campaign)], known_so_far, Faults())
    state.enter(0, recorded)
    for begins, arrivals in steps_of(recorded.came, recorded.came[0].at, step):
        state.visit(begins, step)
        state.decide(arrivals)
    state.finish(step)
    return state


def vw_text(found: ReplayedCampaign):  # noqa: ANN201 - a closure for the clock
    """Predict and learn the same rows as text, one workspace a dimension; earlier picks are features of later ones."""
    (stage,) = found.stages
    arms = [[f"|A id={arm}" for arm in dimension.ids] for dimension in stage.campaign.dimensions]
    fields = [item.name for item in stage.campaign.schema.fields if not item.protected]
    contexts = [arrival.context for arrival in stage.arrivals]

    def run() -> None:
        explorers = [pyvw.Workspace("--cb_explore_adf --squarecb -q CA -q PA -b 18 --quiet") for _ in arms]
        for row, (context, picks) in enumerate(zip(contexts, stage.picks.tolist(), strict=True)):
            known = " ".join(_feature(name, context[name]) for name in fields)
            for d, (explorer, lines) in enumerate(zip(explorers, arms, strict=True)):
                earlier = " ".join(f"d{i}={pick}" for i, pick in enumerate(picks[:d]))
                shared, pick = f"shared |C {known} |P {earlier}", picks[d]
                explorer.predict([shared, *lines])
                if row < found.n_learned:
                    label = f"0:{-stage.rewards[row]!r}:{stage.propensities[row, d]!r} {lines[pick]}"
                    explorer.learn([shared, *lines[:pick], label, *lines[pick + 1 :]])

    return run


def _feature(name: str, value: object) -> str:
    return f"{name}:{value}" if isinstance(value, int | float) else f"{name}={value}"


def timed(call) -> float:  # noqa: ANN001
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def whole(n_sends: int, name: str, step: timedelta, seed: int) -> float:
    """A replay with everything: its mean true value."""
    campaign = campaign_of(name)
    stages = SCENARIOS["steady"].stages(campaign, seed, n_sends)
    return float(replay(stages, [engine_of(stage.campaign) for stage in stages], step=step).truth.value)


def in_turns(names: Sequence[str], n_sends: int, rounds: int, step: timedelta) -> tuple[dict[str, list[float]], int]:
    """Seconds of each contestant, one figure a round; and the rows that are learned from."""
    contestants: dict[str, Callable[[], object]] = {}
    for name in names:
        campaign = campaign_of(name)
        (stage,) = SCENARIOS["steady"].stages(campaign, SEED, n_sends)
        recorded = Recorded(stage)
        decide_and_learn(campaign, recorded, step)
        contestants[name] = partial(decide_and_learn, campaign, recorded, step)
        contestants[f"whole replay, {name}"] = partial(whole, n_sends, name, step, SEED)
    found = replay([stage], [engine_of(stage.campaign)], step=step)
    contestants["vw text"] = vw_text(found)
    rows = [{name: timed(call) for name, call in contestants.items()} for _ in range(rounds)]
    return {name: [row[name] for row in rows] for name in contestants}, found.n_learned


def scaling(n_sends: int, n_seeds: int, rounds: int, step: timedelta) -> dict[str, Any]:
    """How much sooner two processes are done than one, their start included."""
    play, seeds = partial(whole, n_sends, ONE_LEARN, step), range(n_seeds)
    times: dict[str, list[float]] = {"one process": [], "two processes": []}
    answers = []
    for _ in range(rounds):
        for name, n_processes in (("one process", 1), ("two processes", 2)):
            times[name].append(timed(lambda n=n_processes: answers.append(over_seeds(play, seeds, n_processes=n))))
    return {
        "n_seeds": n_seeds,
        "n_sends": n_sends,
        "seconds": {name: round(min(seconds), 2) for name, seconds in times.items()},
        "one / two, time": ratio(times, "one process", "two processes"),
        "same answers": all(answer == answers[0] for answer in answers),
    }


def speed(*, smoke: bool) -> dict[str, Any]:
    """All figures."""
    n_sends, rounds, n_seeds, step = (20, 1, 2, 14 * DAY) if smoke else (20_000, 2, 6, DAY)
    names = (ONE_LEARN,) if smoke else (ONE_LEARN, FOUR, SAMPLE)
    times, n_learned = in_turns(names, n_sends, rounds, step)
    return {
        "n_sends": n_sends,
        "n_learned": n_learned,
        "seconds": {name: round(float(np.median(seconds)), 2) for name, seconds in times.items()},
        **{f"{name} / vw text, time": ratio(times, name, "vw text") for name in names},
        "seeds": scaling(n_sends, n_seeds, 1, step),
    }


def gates_of_speed(found: dict[str, Any]) -> list[Gate]:
    """Three tenths of the straightforward way's time, and nearly twice as fast with two processes."""
    return [
        Gate("decide and learn / vw text, time", found[f"{ONE_LEARN} / vw text, time"]["median"], largest=0.3),
        Gate("seeds: one / two processes, time", found["seeds"]["one / two, time"]["median"], least=1.8),
        Gate("seeds: same answers", float(found["seeds"]["same answers"]), least=1.0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few sends, nothing written: does it run?")
    options = parser.parse_args()
    if options.smoke:
        print(json.dumps(speed(smoke=True), indent=2))
        return
    keep("simulator_speed", {"seed": SEED, **speed(smoke=False)})


if __name__ == "__main__":
    main()
