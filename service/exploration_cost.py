"""What exploring costs, by what it is spent on: with a known truth every part can be told from every other.

Each send could have carried the best choice for its customer. What it earned less is laid at the door of one of six: the
control group, the random group, the time before anything had been learned, the floor, the policy's own exploration, and
what the learner did not know. The six add up to the regret of the campaign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from bandit.arrays import BoolArray, FloatArray
from bandit.group import Group
from simulator.replay import Stage
from simulator.replayed import ReplayedStage
from simulator.world import Arrival, IntArray, RememberingWorld, World

_CHUNK = 256  # sends at a time: 4 MB of rewards with 1,920 choices
_EVEN = 1e-9


@dataclass(frozen=True, slots=True)
class Losses:
    """Expected reward that was left lying, summed over sends, in reward units.

    Attributes:
        control: by control's fixed choice.
        random: by the random group's draws.
        waiting: by the learner's group while nothing had been learned, and whenever it fell back.
        floor: by the share of each pmf that is spread evenly.
        exploration: by what the policy draws beside its favourite, the floor taken off; the luck of the draws is in it.
        unknown: by the favourites: what the learner did not know, or could not yet.
    """

    control: float = 0.0
    random: float = 0.0
    waiting: float = 0.0
    floor: float = 0.0
    exploration: float = 0.0
    unknown: float = 0.0

    @property
    def total(self) -> float:
        """The regret, summed over all sends."""
        return float(sum(astuple(self)))

    def __add__(self, other: Losses) -> Losses:
        return Losses(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


def losses_of(stage: Stage, found: ReplayedStage) -> Losses:
    """Tell the parts of one stage's regret apart.

    Args:
        stage: its world knows what other choices would have earned.
        found: what happened.

    Returns:
        Sums over its sends. Control, random, waiting and the total are exact. So are floor, exploration and unknown where
        there is one dimension; with more, later pmfs are logged along the path that was drawn alone, and the parts are
        weighed by how much likelier floor-free or favourite picks were to take it: right in the mean over draws, not for
        one send.
    """
    regret = found.truth.best - found.truth.values
    learner = found.groups == Group.LEARNER.value
    waits = learner & _drawn_evenly(found)
    chose = np.flatnonzero(learner & ~waits)
    floor, unknown = 0.0, 0.0
    for first in range(0, len(chose), _CHUNK):
        some = chose[first : first + _CHUNK]
        of_floor, of_favourites = _parts(stage, found, some)
        floor, unknown = floor + of_floor, unknown + of_favourites
    return Losses(
        control=float(regret[found.groups == Group.CONTROL.value].sum()),
        random=float(regret[found.groups == Group.RANDOM.value].sum()),
        waiting=float(regret[waits].sum()),
        floor=floor,
        exploration=float(regret[chose].sum()) - floor - unknown,
        unknown=unknown,
    )


def _parts(stage: Stage, found: ReplayedStage, some: IntArray) -> tuple[float, float]:
    """What the floor costs these sends, and what their favourite choices would have lost."""
    floor = stage.campaign.policy.floor
    picks, pmfs = found.picks[some], [pmf[some] for pmf in found.pmfs]
    lost = found.truth.best[some, np.newaxis] - _last_rewards(stage.world, [found.arrivals[i] for i in some], picks)
    of_random = found.truth.best[some] - found.truth.uniform[some]
    bare, favourite = [_without_floor(pmf, floor) for pmf in pmfs], [_favourite(pmf) for pmf in pmfs]
    as_drawn = (pmfs[-1] * lost).sum(axis=1)
    floor_free, favoured = (_along(picks, pmfs, other, lost, of_random) for other in (bare, favourite))
    return float((as_drawn - floor_free).sum()), float(favoured.sum())


def _last_rewards(world: World, arrivals: Sequence[Arrival], picks: IntArray) -> FloatArray:
    """Expected reward of every arm of the last dimension after the picks of the others, shape (n, n_arms)."""
    if isinstance(world, RememberingWorld):
        every = world.expected_rewards_after(arrivals)
    else:
        every = world.expected_rewards([arrival.context for arrival in arrivals])
    shape = world.choices.shape
    before = np.ravel_multi_index(tuple(picks[:, :-1].T), shape[:-1]) if len(shape) > 1 else 0
    found: FloatArray = every.reshape(len(picks), -1, shape[-1])[np.arange(len(picks)), before]
    return found


def _along(
    picks: IntArray, pmfs: Sequence[FloatArray], other: Sequence[FloatArray], lost: FloatArray, of_random: FloatArray
) -> FloatArray:
    """What the other pmfs would have lost, from the paths that were drawn, shape (n,).

    Weighed is only how much more they lose than the random policy, which is known: while little has been learned
    favourites are hardly likelier than others and their weights are large, and then they lose about as much.
    """
    weights, rows = np.ones(len(picks)), np.arange(len(picks))
    for d in range(len(pmfs) - 1):
        weights *= other[d][rows, picks[:, d]] / pmfs[d][rows, picks[:, d]]
    found: FloatArray = of_random + weights * ((other[-1] * lost).sum(axis=1) - of_random)
    return found


def _without_floor(pmf: FloatArray, floor: float) -> FloatArray:
    """The policy's own pmf: the floor is mixed in, so it can be taken out again."""
    if floor in {0.0, 1.0}:
        return pmf
    eligible = pmf > 0.0
    spread = floor / eligible.sum(axis=1, keepdims=True)
    bare: FloatArray = np.where(eligible, np.maximum(pmf - spread, 0.0), 0.0) / (1.0 - floor)
    return bare


def _favourite(pmf: FloatArray) -> FloatArray:
    """All on the likeliest arm, the first of several."""
    likeliest: FloatArray = np.eye(pmf.shape[1])[pmf.argmax(axis=1)]
    return likeliest


def _drawn_evenly(found: ReplayedStage) -> BoolArray:
    """Sends whose every arm was drawn evenly, which a policy with something to go by does not do."""
    even: BoolArray = found.propensities.prod(axis=1) < 1.0
    for pmf in found.pmfs:
        most = pmf.max(axis=1, keepdims=True)
        even &= np.where(pmf > 0.0, most - pmf, 0.0).max(axis=1) <= _EVEN
    return even
