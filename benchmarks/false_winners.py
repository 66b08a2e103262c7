"""How often a winner is named where nobody can be one, for campaigns with everything that could make one by mistake.

Run: .venv/bin/python benchmarks/false_winners.py [--smoke]

Five campaigns in worlds without effects, clicked often (opens .5, clicks .2), 2,000 decisions for 333 customers in 28 days:

- `messages`: four subject lines, and nothing else;
- `silence`: channel, subject (one arm sends nothing) and hour, with rules between them, two caps, one of them on a channel, and a
  cost for each recent message;
- `silent control`: the same, and control sends nothing;
- `slots and caps`: the same without silence;
- `winback-es`: the sample campaign, whose first dimension may end in silence.

1. *Again and again in the same world.* In a levelled campaign rewards, costs and refusals hang on nothing that is decided
   (tests/test_simulator_level_campaign.py). So a world is played once, by the random policy, and its customers are put into
   learner, random and control anew, as the hash would with another salt. Each time somebody looks daily, with the bounds of
   `manyarm compare` and with a two-proportion test. Said is in what share of the drawings one of both is named, with Student's
   interval over worlds; and the same for the campaign as it is, whose silence is a real difference: what would have counted as
   false if nothing were levelled.
2. *End to end*, as `manyarm replay --rehearse` does it, learner and arms included: one drawing a world, Wilson's intervals.
3. *Would a broken rule be caught?* As 2, with bounds half as wide as they should be, for the first campaign.

Nothing is timed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import numpy as np
from gates import Gate
from timing import keep

from bandit import read_campaign
from bandit.arrays import FloatArray
from bandit.campaign import Campaign, PolicySpec
from bandit.group import Group
from evaluation.empirical_bernstein import ConfidenceSequence
from evaluation.intervals import student, wilson
from service import lift_seen
from service.lift_seen import DailyLooks, always_valid, naive
from service.named_winners import NamedWinners, named_winners
from service.played_campaign import PlayedCampaign, played
from service.sample import sample_text
from service.worlds_asked import ScenarioWorlds
from simulator.level_campaign import levelled
from simulator.seeds import SeedPlayer, seed_player

RATES = {"open": 0.5, "click": 0.2}
N_SENDS, WORLDS, DRAWINGS, AS_PLANNED = 2000, tuple(range(101, 117)), 60, 8
END_TO_END = tuple(range(201, 231))
LEVEL = 0.95
HEAD = """
[campaign]
id = "false-winners"
learn_every = "14d"
[context.level]
kind = "categorical"
values = ["low", "high"]
[context.days]
kind = "numeric"
range = [0, 100]
[policy]
name = "squarecb"
floor = 0.1
"""
PLAIN = """
[reward]
window = "72h"
events = { click = 1.0 }
[groups]
random = 0.1
control = { share = 0.2, choice = { subject = "a" } }
[[dimension]]
name = "subject"
arm = [{ id = "a" }, { id = "b" }, { id = "c" }, { id = "d" }]
"""
EVERYTHING = """
[reward]
window = "72h"
events = { click = 1.0, unsubscribe = -3.0 }
recent_send = { cost = 0.05, within = "9d", most = 4 }
[limits]
caps = [{ most = 3, within = "14d" }, { most = 1, within = "10d", channel = "sms" }]
[send_slots]
within = "7d"
[groups]
random = 0.1
control = { share = 0.2, choice = CONTROL }
[[dimension]]
name = "channel"
arm = [{ id = "email" }, { id = "sms" }]
[[dimension]]
name = "subject"
arm = [
  { id = "plain" },
  { id = "bold", when = { level = ["high"] }, requires = { channel = ["email"] } },
  { id = "warm" },SILENCE
]
[[dimension]]
name = "send_slot"
arm = [{ id = "weekday-10" }, { id = "weekday-19" }, { id = "weekend-11" }]
"""
MESSAGE = '{ channel = "email", subject = "plain", send_slot = "weekday-10" }'
SILENT = '{ channel = "email", subject = "none" }'
NONE = '\n  { id = "none", no_send = true },'


def campaigns() -> dict[str, Campaign]:
    """By name."""
    return {
        "messages": read_campaign(HEAD + PLAIN),
        "silence": read_campaign(HEAD + EVERYTHING.replace("CONTROL", MESSAGE).replace("SILENCE", NONE)),
        "silent control": read_campaign(HEAD + EVERYTHING.replace("CONTROL", SILENT).replace("SILENCE", NONE)),
        "slots and caps": read_campaign(HEAD + EVERYTHING.replace("CONTROL", MESSAGE).replace("SILENCE", "")),
        "winback-es": replace(read_campaign(sample_text("winback-es")), learn_every=timedelta(days=14)),
    }


def without_effects() -> ScenarioWorlds:
    """The worlds."""
    return ScenarioWorlds("no-effect", RATES)


@dataclass(frozen=True, slots=True)
class Named:
    """Shares of drawings in which learner or control was named, in one world."""

    always_valid: float
    naive: float


def drawn_again(campaign: Campaign, n_sends: int, n_drawings: int, seed: int) -> Named:
    """Play one world with the random policy, and draw groups again and again."""
    level = replace(levelled(campaign), policy=PolicySpec("uniform"))
    still = played(level, without_effects(), n_sends, seed)
    log = _Log(still, still.due)
    found = [_named(campaign, log, f"{seed} {drawing}".encode()) for drawing in range(n_drawings)]
    ours, theirs = np.array(found, dtype=float).mean(axis=0).tolist()
    return Named(ours, theirs)


@dataclass(frozen=True, slots=True, eq=False)
class _Log:
    """A world that was played, and when its rewards were final."""

    still: PlayedCampaign
    due: FloatArray


def _named(campaign: Campaign, log: _Log, salt: bytes) -> tuple[bool, bool]:
    """Whether either rule names one of both groups, once they are drawn with this salt."""
    still = log.still
    names = np.unique([arrival.customer_id for arrival in still.campaign.stages[0].arrivals]).tolist()
    drawn = campaign.groups.groups_of(names, campaign=campaign.id, salt=salt)
    treats = np.array([group is Group.LEARNER for group in drawn])[still.customers]
    either = np.array([group is not Group.RANDOM for group in drawn])[still.customers]
    looks = DailyLooks.of(
        treats[either], still.customers[either], still.campaign.rewards[either], log.due[either],
        worths=still.campaign.earned[either] if still.campaign.has_costs else None,
    )  # fmt: skip
    shares = campaign.groups.shares
    learner, control = shares[Group.LEARNER], shares[Group.CONTROL]
    planned = still.planned(learner + control)
    ours = always_valid(looks, learner / (learner + control), campaign.reward.bounds, planned, LEVEL)
    return ours.claimed, naive(looks).claimed


def as_planned(campaign: Campaign, n_sends: int, seed: int) -> bool:
    """Whether learner or control is named in a world without effects if nothing is levelled, by the random policy."""
    evenly = replace(campaign, policy=PolicySpec("uniform"))
    return played(evenly, without_effects(), n_sends, seed).first_days(campaign, LEVEL).claimed


def end_to_end(campaign: Campaign, n_sends: int, seed: int) -> NamedWinners:
    """What a rehearsal hears."""
    return named_winners(campaign, without_effects(), n_sends, seed, LEVEL)


@contextmanager
def half_as_wide() -> Iterator[None]:
    """Bounds of groups that are wrong meanwhile: half as wide as they should be."""
    right = lift_seen.group_sequence

    def wrong(*given: object, **named: object) -> ConfidenceSequence:
        found = right(*given, **named)  # type: ignore[arg-type]
        middle, half = (found.lower + found.upper) / 2.0, (found.upper - found.lower) / 4.0
        return ConfidenceSequence(found.n, middle - half, middle + half, found.method)

    lift_seen.group_sequence = wrong  # type: ignore[assignment]
    try:
        yield
    finally:
        lift_seen.group_sequence = right


def broken(campaign: Campaign, n_sends: int, seed: int) -> bool:
    """Whether a winner is named end to end by a rule that is wrong."""
    with half_as_wide():
        return end_to_end(campaign, n_sends, seed).always_valid.claimed


def over_worlds(values: Sequence[float]) -> list[float]:
    """Mean with its 95 % interval."""
    found = student(np.array(values), LEVEL)
    return [round(max(one, 0.0), 4) for one in (found.estimate, found.ci_lower, found.ci_upper)]


def share(happened: Sequence[bool]) -> list[float]:
    """How many worlds, of how many, and the share's interval."""
    found = wilson(sum(happened), len(happened), LEVEL)
    return [sum(happened), len(happened), round(found.ci_lower, 4), round(found.ci_upper, 4)]


def measured(
    name: str,
    campaign: Campaign,
    n_sends: int,
    worlds: Sequence[int],
    n_drawings: int,
    seeds: Sequence[int],
    player: SeedPlayer,
) -> dict[str, object]:
    """All of one campaign."""
    play: Callable[[int], Named] = partial(drawn_again, campaign, n_sends, n_drawings)
    again = player(play, worlds)
    found: dict[str, object] = {
        "drawn again, bounds": over_worlds([one.always_valid for one in again]),
        "drawn again, daily test": over_worlds([one.naive for one in again]),
        "drawings": len(worlds) * n_drawings,
        "named if nothing is levelled": share(player(partial(as_planned, campaign, n_sends), worlds[:AS_PLANNED])),
    }
    heard = player(partial(end_to_end, campaign, n_sends), seeds)
    found |= {
        "end to end, bounds": share([one.always_valid.claimed for one in heard]),
        "end to end, arms": share([bool(one.dimensions) for one in heard]),
        "end to end, daily test": share([one.naive.claimed for one in heard]),
    }
    if name == "messages":
        wrong = player(partial(broken, campaign, n_sends), seeds)
        found["end to end, bounds half as wide"] = share(wrong)
    print(name, found, flush=True)
    return found


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two small worlds of each campaign, nothing kept")
    parser.add_argument("--processes", type=int, default=1, help="worlds at a time; no figure depends on it")
    options = parser.parse_args()
    sizes = (120, WORLDS[:2], 3, END_TO_END[:1]) if options.smoke else (N_SENDS, WORLDS, DRAWINGS, END_TO_END)
    with seed_player(options.processes) as player:
        found = {name: measured(name, one, *sizes, player) for name, one in campaigns().items()}
    if options.smoke:
        print("ok")
        return
    gates = []
    for name, one in found.items():
        for kind in ("drawn again, bounds", "end to end, bounds", "end to end, arms"):
            values = one[kind]
            if isinstance(values, list):
                # Intervals of a true .05 would reach below it; above it lies what cannot be.
                gates.append(Gate(f"{name}: {kind}, least it may be", values[-2], largest=1.0 - LEVEL))
    for gate in gates:
        print(f"{gate.name}: {gate.figure} {'holds' if gate.holds else 'FAILS'}")
    kept = {"n_sends": N_SENDS, "worlds": [WORLDS[0], WORLDS[-1]], "end_to_end": [END_TO_END[0], END_TO_END[-1]]}
    keep("false_winners", {**kept, **found, "gates": {gate.name: gate.holds for gate in gates}})


if __name__ == "__main__":
    main()
