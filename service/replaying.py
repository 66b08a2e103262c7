"""Replays of several contenders in the same worlds: the same customers, the same luck, the same draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.engine import Engine
from bandit.errors import InvalidSettings
from policies.registry import group_policies
from simulator.faults import faults_of
from simulator.replay import Worlds, replay
from simulator.replayed import DAY, ReplayedCampaign
from simulator.seeds import over_seeds

N_POINTS = 28
"""Points of a curve: stretches of the campaign with as many sends each."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A campaign as it would be run, under a name.

    Attributes:
        name: in tables and pictures.
        campaign: with its policy, learner, floor and groups.
        step: time between two visits of the trainer.
    """

    name: str
    campaign: Campaign
    step: timedelta = DAY


@dataclass(frozen=True, slots=True, eq=False)
class GroupOutcome:
    """One group of one replay; rewards a send."""

    n_sends: int
    value: float
    reported: float


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One contender in one world.

    Attributes:
        seed: of the world and of the draws.
        n_sends: that were decided.
        value, uniform, best: exact expected reward a send of what was chosen, of the random policy, of the best choice.
        reported: mean reward as the log has it.
        revenue: mean revenue a send.
        groups: by name.
        curve: shape (3, N_POINTS): value, uniform and best in each stretch of the campaign.
        n_fallbacks: decisions made at random though there was a snapshot.
        n_capped: decisions that the campaign's caps refused; none of the figures counts them.
    """

    seed: int
    n_sends: int
    value: float
    uniform: float
    best: float
    reported: float
    revenue: float
    groups: dict[str, GroupOutcome]
    curve: FloatArray
    n_fallbacks: int
    n_capped: int = 0

    @property
    def gap(self) -> float:
        """The share of the way from the random policy to the best choice; nan where there is no way to go."""
        return (self.value - self.uniform) / (self.best - self.uniform) if self.best > self.uniform else float("nan")

    @property
    def regret(self) -> float:
        """What the best choice would have earned more, a send."""
        return self.best - self.value


def run_all(
    contenders: Sequence[Contender],
    worlds: Worlds,
    n_sends: int,
    seeds: Sequence[int],
    *,
    faults: Sequence[str] = (),
    n_processes: int = 1,
    watch: Callable[[int], None] = lambda _: None,
) -> dict[str, list[Run]]:
    """Every contender in the world of every seed.

    Args:
        contenders: each under a name of its own.
        worlds: which.
        n_sends: a replay.
        seeds: of the worlds, one each; contenders meet the same ones.
        faults: names, as `simulator.faults.faults_of` takes them.
        n_processes: seeds that are played at the same time; the answer does not depend on it.
        watch: is told how many seeds are done.

    Raises:
        InvalidSettings: if two contenders have the same name.
    """
    names = [contender.name for contender in contenders]
    if len(set(names)) < len(names):
        raise InvalidSettings(f"policies are {', '.join(names)}: the same one twice says nothing new. Name each once.")
    play = partial(_run_seed, tuple(contenders), worlds, n_sends, tuple(faults))
    found = over_seeds(play, seeds, n_processes=n_processes, watch=watch)
    return {name: [runs[place] for runs in found] for place, name in enumerate(names)}


def _run_seed(
    contenders: Sequence[Contender], worlds: Worlds, n_sends: int, faults: Sequence[str], seed: int
) -> list[Run]:
    return [run_once(contender, worlds, n_sends, seed, faults) for contender in contenders]


def run_once(contender: Contender, worlds: Worlds, n_sends: int, seed: int, faults: Sequence[str] = ()) -> Run:
    """One contender in the world of one seed."""
    return summary(replayed(contender, worlds, n_sends, seed, faults), seed)


def replayed(
    contender: Contender, worlds: Worlds, n_sends: int, seed: int, faults: Sequence[str] = ()
) -> ReplayedCampaign:
    """The same with every row."""
    stages = worlds.stages(contender.campaign, seed, n_sends)
    salt = f"replay {seed}".encode()
    engines = [Engine(stage.campaign, group_policies(stage.campaign), salt, salt) for stage in stages]
    return replay(stages, engines, step=contender.step, faults=faults_of(faults, seed=seed))


def summary(found: ReplayedCampaign, seed: int) -> Run:
    """What is kept of a replay."""
    truth, groups, reported = found.truth, found.groups, found.rewards
    columns = (truth.values, truth.uniform, truth.best)
    curve = np.array([_stretches(column) for column in columns])
    return Run(
        seed,
        len(reported),
        truth.value,
        float(truth.uniform.mean()),
        float(truth.best.mean()),
        float(reported.mean()),
        float(np.concatenate([stage.revenue for stage in found.stages]).mean()),
        {str(name): _group(groups == name, truth.values, reported) for name in np.unique(groups)},
        curve,
        found.n_fallbacks,
        found.n_capped,
    )


def _stretches(column: FloatArray) -> list[float]:
    """Mean of each stretch; where there are fewer sends than stretches, the last ones repeat the last send."""
    parts = np.array_split(column, N_POINTS)
    return [float(part.mean()) if len(part) else float(column[-1]) for part in parts]


def _group(members: np.ndarray, values: FloatArray, reported: FloatArray) -> GroupOutcome:
    return GroupOutcome(int(members.sum()), float(values[members].mean()), float(reported[members].mean()))
