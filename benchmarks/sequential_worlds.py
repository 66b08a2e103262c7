"""Four dimensions and our own learner: worlds of clicks that interact more or less, snapshots, and what they send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from evaluate_composite import BASE, GREED, N_KINDS, SIZES

from bandit.campaign import Campaign
from bandit.campaign_file import read_campaign
from bandit.context import Context
from bandit.group import Group
from bandit.learner import Learner, LearnerKind, TrainingRow
from bandit.learners import learner_for
from bandit.policy import Policy
from bandit.snapshot import Snapshot
from evaluation.joint_pmf import JointPolicy
from policies.registry import group_policies

FLOOR, EARLIER = 0.1, 0.25
"""Of every pmf; and random sends that the first snapshot has learned from, for each row that follows."""
GAIN = 2.0
"""What the target earns, times an even choice; a learner's log earns more than that, so of the log it is less."""
WORLDS = {"none": 0.0, "some": 0.35, "strong": 0.8}
"""Spread of what two arms add together to the logit, beside that of single arms."""
WORLD_SEEDS = (21, 22)


class World(NamedTuple):
    """Kinds of customers, equally many of each; the target draws its dimensions apart from each other.

    Attributes:
        clicks: shape (n_kinds, *SIZES), probabilities.
        target: for each dimension shape (n_kinds, n_arms).
        joint: shape (n_kinds, *SIZES), the target's.
        value: of the target, exact.
    """

    clicks: np.ndarray
    target: tuple[np.ndarray, ...]
    joint: np.ndarray
    value: float


@cache
def world(name: str, seed: int) -> World:
    """Effects so strong that the target, which mostly picks the best whole choice of each kind, earns `GAIN` times more."""
    effects = _effects(np.random.default_rng([seed, *name.encode()]), WORLDS[name])
    low, high = 0.0, 5.0
    for _ in range(40):
        middle = (low + high) / 2.0
        found = _world(middle * effects)
        low, high = (middle, high) if found.value < GAIN * float(found.clicks.mean()) else (low, middle)
    return found


def _effects(rng: np.random.Generator, pairs: float) -> np.ndarray:
    """Logits of whole choices: half of every effect is the same for all kinds of customers."""
    found = np.zeros((N_KINDS, *SIZES))
    for n_together, spread in ((1, 1.0), (2, pairs)):
        for parts in combinations(range(len(SIZES)), n_together):
            shape = [size if d in parts else 1 for d, size in enumerate(SIZES)]
            found += spread * (rng.normal(size=(1, *shape)) + rng.normal(size=(N_KINDS, *shape))) / np.sqrt(2.0)
    return found


def _world(effects: np.ndarray) -> World:
    clicks = 1.0 / (1.0 + (1.0 / BASE - 1.0) * np.exp(-effects))
    best = np.unravel_index(clicks.reshape(N_KINDS, -1).argmax(axis=1), SIZES)
    target = tuple(GREED * np.eye(size)[picks] + (1.0 - GREED) / size for size, picks in zip(SIZES, best, strict=True))
    joint = np.einsum("ka,kb,kc,kd->kabcd", *target)
    return World(clicks, target, joint, float((joint * clicks).sum()) / N_KINDS)


@dataclass(frozen=True, slots=True)
class Campaigner:
    """The engine's own learner and policy on kinds of customers."""

    campaign: Campaign
    kind: LearnerKind
    policy: Policy

    @classmethod
    def fresh(cls, exponent: float) -> Campaigner:
        """Nothing learned yet."""
        kinds = ", ".join(f'"{kind}"' for kind in range(N_KINDS))
        arms = [", ".join(f'{{ id = "{d}-{arm}" }}' for arm in range(size)) for d, size in enumerate(SIZES)]
        dimensions = "".join(f'[[dimension]]\nname = "d{d}"\narm = [{listed}]\n' for d, listed in enumerate(arms))
        campaign = read_campaign(
            f'[campaign]\nid = "sequential"\n[context.kind]\nkind = "categorical"\nvalues = [{kinds}]\n'
            '[reward]\nwindow = "1h"\nevents = { click = 1.0 }\n'
            f'[policy]\nname = "squarecb"\nfloor = {FLOOR}\nexponent = {exponent}\n{dimensions}'
        )
        policy = group_policies(campaign)[Group.LEARNER]
        return cls(campaign, learner_for(campaign.learner, policy.needs), policy)

    def joint(self, snapshot: Snapshot) -> np.ndarray:
        """Shape (n_kinds, *SIZES): how a snapshot chooses."""
        made = JointPolicy(self.campaign, self.policy, self.kind.serve(self.campaign, snapshot))
        encode = self.campaign.schema.encode
        return np.stack([made.pmf(encode(Context({"kind": str(kind)}))) for kind in range(N_KINDS)])

    def learn(self, learner: Learner, sends: Sends) -> None:
        """All sends, in order."""
        encode = self.campaign.schema.encode
        contexts = [encode(Context({"kind": str(kind)})) for kind in range(N_KINDS)]
        evenly = tuple((1.0 / size,) * size for size in SIZES)  # what was on offer; a regression looks at no more
        for kind, picks, reward in zip(sends.kinds.tolist(), sends.picks.tolist(), sends.rewards.tolist(), strict=True):
            propensities = tuple(1.0 / size for size in SIZES)
            learner.learn(TrainingRow(contexts[kind], tuple(picks), reward, (reward,), propensities, evenly))


class Sends(NamedTuple):
    """Rows of a log: each one's kind of customer, its picks and its click, and who decided: 0 the random group."""

    kinds: np.ndarray
    picks: np.ndarray
    rewards: np.ndarray
    deciders: np.ndarray


def sent(known: World, joints: Sequence[np.ndarray], deciders: np.ndarray, rng: np.random.Generator) -> Sends:
    """Draws whole choices, which is what drawing one dimension after the other comes to."""
    kinds = rng.integers(N_KINDS, size=len(deciders))
    luck, flat = rng.random(len(deciders)), np.empty(len(deciders), dtype=np.int64)
    for decider, joint in enumerate(joints):
        for kind in range(N_KINDS):
            own = (deciders == decider) & (kinds == kind)
            ladder = joint[kind].ravel().cumsum()
            flat[own] = np.searchsorted(ladder[:-1] / ladder[-1], luck[own], side="right")
    picks = np.stack(np.unravel_index(flat, SIZES), axis=1)
    clicked = rng.random(len(deciders)) < known.clicks[(kinds, *picks.T)]
    return Sends(kinds, picks, clicked.astype(np.float64), deciders)


EVEN = np.full((N_KINDS, *SIZES), 1.0 / np.prod(SIZES))


@cache
def begun(name: str, seed: int, exponent: float, n_rows: int) -> Snapshot:
    """A snapshot that has learned from earlier sends, all at random, before a log of `n_rows`."""
    n_earlier = round(EARLIER * n_rows)
    ours, rng = Campaigner.fresh(exponent), np.random.default_rng([seed, n_earlier])
    learner = ours.kind.fresh(ours.campaign)
    ours.learn(learner, sent(world(name, seed), [EVEN], np.zeros(n_earlier, dtype=np.int64), rng))
    return learner.snapshot(watermark=n_earlier)
