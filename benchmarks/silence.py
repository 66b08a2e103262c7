"""How fast it is learned what no message is worth.

Run: .venv/bin/python benchmarks/silence.py [--smoke]

A campaign of channel (email, push, no_send) x four subjects x four hours. Without a message 30 % of the customers come by
themselves, whoever they are; a message brings more of the keen and fewer of the weary, and its parts have effects of their
own, drawn anew for each seed. A third of the sends are no_send, the others are drawn evenly. The same rows are learned three
ways:

- `apart`, as snapshots of old have it: the arms no_send that follow in later dimensions are features like any other, so they
  take a part of what no message is worth, and the first dimension sees the rest alone;
- `now`: the arm that ends the choice carries all;
- `flat`: the yardstick, one dimension with an arm a whole choice.

Every 250 sends the estimate of no_send in the first dimension is compared with the truth, in both moods. Said are: how far
off it is, in the mean over moods; after how many sends that is at most 10 % of the truth for good; and how often whoever takes
the best estimate of that dimension sends where nothing is best, or nothing where a send is.

Then the first 4,000 customers of ten seeds are decided for by squarecb, 250 sends at a time, with each of the first two ways, and
the rate of what it chooses is compared, in the mean of all sends, with that of the best choice for each mood.

Intervals are Student's over the seeds. Nothing is timed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice, product
from statistics import median
from typing import Any

import numpy as np
import scipy.stats
from gates import Gate
from timing import keep

from bandit import Context, Engine, LoggedDecision, Matured, Served, read_campaign
from bandit.campaign import Campaign
from bandit.context import EncodedContext
from bandit.features import FeatureSpace, Silence
from bandit.learner import Scorer, TrainingRow
from bandit.regression import REGRESSION, RegressionLearner, task_of
from bandit.training import training_row
from policies import group_policies

SEEDS, N_SENDS, STEP, SHOWN = tuple(range(21, 41)), 12_000, 250, (500, 1000, 2000, 4000, 8000, 12_000)
SERVED_SEEDS, N_SERVED = SEEDS[:10], 4000
BASE, CLOSE = 0.3, 0.1
MOODS = {"keen": 0.5, "weary": -1.0}
PARTS = {"channel": ("email", "push"), "subject": ("s1", "s2", "s3", "s4"), "hour": ("h08", "h12", "h18", "h22")}
SENDS = tuple(product(*PARTS.values()))
NOTHING = ("no_send", "no_send", "no_send")
SPREAD = 0.2
"""Standard deviation of the effects of subjects, hours and channels, in log-odds."""
HEAD = """
[campaign]
id = "silence"
[context.mood]
kind = "categorical"
values = ["keen", "weary"]
[reward]
window = "72h"
events = { visit = 1.0 }
"""
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ARM = '{{ id = "{}"{} }}'


def _dimension(name: str, arms: Sequence[str], *, quiet: bool = False) -> str:
    listed = [ARM.format(arm, "") for arm in arms] + [ARM.format("no_send", ", no_send = true")] * quiet
    return f'[[dimension]]\nname = "{name}"\narm = [{", ".join(listed)}]\n'


THREE = HEAD + "".join(_dimension(name, arms, quiet=name == "channel") for name, arms in PARTS.items())
FLAT = HEAD + _dimension("choice", ["-".join(send) for send in SENDS], quiet=True)


class World:
    """Customers whose rates are known, and a log of theirs drawn at random.

    Args:
        seed: of effects and log.
        n: sends in the log.
        moods: what a message does to each, in log-odds.
        spread: standard deviation of the effects.
    """

    def __init__(self, seed: int, n: int, *, moods: Mapping[str, float] = MOODS, spread: float = SPREAD) -> None:
        rng = np.random.default_rng(seed)
        self._by_mood = moods
        drawn = {name: rng.normal(0.0, spread, len(arms)) for name, arms in PARTS.items()}
        self._effects = {
            arm: float(effect)
            for name, arms in PARTS.items()
            for arm, effect in zip(arms, drawn[name] - drawn[name].mean(), strict=True)
        }
        self.moods = [tuple(MOODS)[place] for place in rng.integers(2, size=n)]
        silent, sends = rng.random(n) < 1.0 / 3.0, rng.integers(len(SENDS), size=n)
        self.choices = [NOTHING if quiet else SENDS[send] for quiet, send in zip(silent, sends, strict=True)]
        self.luck = rng.random(n).tolist()
        self.visits = [
            float(number < self.rate(mood, choice))
            for number, mood, choice in zip(self.luck, self.moods, self.choices, strict=True)
        ]

    def rate(self, mood: str, choice: Sequence[str]) -> float:
        """Probability that a customer comes."""
        if choice == NOTHING:
            return BASE
        z = math.log(BASE / (1.0 - BASE)) + self._by_mood[mood] + sum(self._effects[arm] for arm in choice)
        return 1.0 / (1.0 + math.exp(-z))

    @property
    def best(self) -> float:
        """Mean rate of the best choice for each mood, of the first customers."""
        rates = {mood: self.best_for(mood) for mood in MOODS}
        return float(np.mean([rates[mood] for mood in self.moods[:N_SERVED]]))

    def best_for(self, mood: str) -> float:
        """Rate of the best choice."""
        return max([BASE, *(self.rate(mood, send) for send in SENDS)])

    def sends_best(self, mood: str) -> bool:
        """Whether the best choice is a send."""
        return max(self.rate(mood, send) for send in SENDS) > BASE


@dataclass(frozen=True, slots=True)
class Curve:
    """One way of learning in one world, a figure every `STEP` sends.

    Attributes:
        off: how far the estimates of no_send are off, relative to the truth, in the mean over moods.
        wrong: share of the moods in which it is wrong whether to send.
    """

    off: list[float]
    wrong: list[float]

    @property
    def close_from(self) -> int | None:
        """After how many sends the estimates are close for good; None if they are not by the end."""
        far = [place for place, off in enumerate(self.off) if off > CLOSE]
        first = far[-1] + 1 if far else 0
        return (first + 1) * STEP if first < len(self.off) else None


def curve(world: World, campaign: Campaign, silence: Silence) -> Curve:
    """Learn a world's log."""
    learner = learner_of(campaign, silence)
    contexts = {mood: campaign.schema.encode(Context({"mood": mood})) for mood in MOODS}
    rows = [
        TrainingRow(contexts[mood], _picks(campaign, choice), visit, (visit,), (), ())
        for mood, choice, visit in zip(world.moods, world.choices, world.visits, strict=True)
    ]
    found = Curve([], [])
    for first in range(0, len(rows), STEP):
        learner.learn_many(rows[first : first + STEP])
        scorer = REGRESSION.live(campaign, learner)
        errors, wrong = [], []
        for mood, context in contexts.items():
            estimate, sends = _asked(campaign, scorer, context)
            errors.append(estimate / BASE - 1.0)
            wrong.append(sends is not world.sends_best(mood))
        found.off.append(float(np.mean(np.abs(errors))))
        found.wrong.append(float(np.mean(wrong)))
    return found


def served(world: World, campaign: Campaign, silence: Silence) -> float:
    """Mean rate of what squarecb chooses for the first customers while it learns."""
    learner = learner_of(campaign, silence)
    engine = Engine(campaign, group_policies(campaign), salt=b"silence", secret=b"silence")
    rates, rows = [], []
    for number, (mood, luck) in enumerate(islice(zip(world.moods, world.luck, strict=True), N_SERVED), start=1):
        decision = engine.decide(f"c{number}", Context({"mood": mood}), decision_id=f"d{number}", at=NOON)
        rates.append(world.rate(mood, tuple(decision.choice.values())))
        visits = frozenset({"visit"} if luck < rates[-1] else ())
        rows.append(training_row(campaign, Matured(number, LoggedDecision.of(decision, number), visits)))
        if len(rows) == STEP:
            learner.learn_many(rows)
            rows.clear()
            engine = engine.serving(Served(f"s{number}", REGRESSION.live(campaign, learner)))
    return float(np.mean(rates))


def learner_of(campaign: Campaign, silence: Silence) -> RegressionLearner:
    task = replace(task_of(campaign), space=FeatureSpace.graded(campaign, silence=silence))
    return RegressionLearner(campaign, None, task)


def _picks(campaign: Campaign, choice: Sequence[str]) -> tuple[int, ...]:
    if len(campaign.dimensions) == 1:
        choice = ["no_send" if choice == NOTHING else "-".join(choice)]
    return tuple(dimension.index_of(arm) for dimension, arm in zip(campaign.dimensions, choice, strict=True))


def _asked(campaign: Campaign, scorer: Scorer[Any], context: EncodedContext) -> tuple[float, bool]:
    """The estimate of no_send in the first dimension, and whether the best one there is a send."""
    first = campaign.dimensions[0]
    scores = scorer.estimates(scorer.start(context), 0, range(len(first.arms))).scores
    if scores is None:
        raise RuntimeError("the regression gives scores, or this benchmark means nothing")
    quiet = first.index_of("no_send")
    return float(scores[quiet]), int(scores.argmax()) != quiet


def figures(curves: Sequence[Curve], shown: Sequence[int]) -> dict[str, Any]:
    """Over the seeds."""
    at = {f"{n}": n // STEP - 1 for n in shown}
    close = [one.close_from for one in curves]
    return {
        "off": {n: interval([one.off[place] for one in curves]) for n, place in at.items()},
        "wrong": {n: interval([one.wrong[place] for one in curves]) for n, place in at.items()},
        "close_from": close,
        "close_by_the_end": sum(one is not None for one in close) / len(close),
        "median_close_from": _median(close),
    }


def _median(found: Sequence[int | None]) -> float | None:
    middle = median(math.inf if one is None else one for one in found)
    return middle if math.isfinite(middle) else None


def interval(values: Sequence[float]) -> list[float]:
    """Mean with its 95 % interval."""
    mean, n = float(np.mean(values)), len(values)
    half = float(scipy.stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
    return [round(one, 4) for one in (mean, mean - half, mean + half)]


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two seeds and few sends, nothing kept")
    smoke = parser.parse_args().smoke
    seeds, n, shown = (SEEDS[:2], 500, SHOWN[:1]) if smoke else (SEEDS, N_SENDS, SHOWN)
    three, flat = read_campaign(THREE), read_campaign(FLAT)
    ways = {"apart": (three, Silence.APART), "now": (three, Silence.LEFT_OUT), "flat": (flat, Silence.LEFT_OUT)}
    curves: dict[str, list[Curve]] = {name: [] for name in ways}
    lost: dict[str, list[float]] = {"apart": [], "now": []}
    for seed in seeds:
        world = World(seed, n)
        for name, way in ways.items():
            curves[name].append(curve(world, *way))
        for name, losses in lost.items() if seed in SERVED_SEEDS else ():
            losses.append(world.best - served(world, *ways[name]))
        print(f"seed {seed}: close from { ({name: one[-1].close_from for name, one in curves.items()}) }", flush=True)
    found = {name: figures(one, shown) for name, one in curves.items()}
    if smoke:
        print("ok")
        return
    last = f"{SHOWN[-1]}"
    off = {name: found[name]["off"][last][0] for name in ways}
    gates = [
        Gate("estimate of no_send at the end, how far off", off["now"], largest=CLOSE),
        Gate("the same, now / flat", off["now"] / off["flat"], largest=1.25),
        Gate("the same, now / apart", off["now"] / off["apart"], largest=0.6),
    ]
    for gate in gates:
        print(f"{gate.name}: {gate.figure} {'holds' if gate.holds else 'FAILS'}")
    saved = [before - now for before, now in zip(lost["apart"], lost["now"], strict=True)]
    by_squarecb = {name: interval(one) for name, one in {**lost, "apart minus now": saved}.items()}
    kept = {
        "n_sends": n,
        "seeds": list(seeds),
        "served_seeds": list(SERVED_SEEDS),
        **found,
        "lost_by_squarecb": by_squarecb,
    }
    keep("silence", kept | {"gates": {gate.name: gate.holds for gate in gates}})


if __name__ == "__main__":
    main()
