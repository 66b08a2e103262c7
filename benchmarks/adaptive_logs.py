"""Logs that a learner made: each probability depends on rewards before it, while base rates drift or differ by segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bandit.estimates import Estimates
from bandit.policy import Policy
from policies.floor import Floor
from policies.squarecb import SquareCB
from policies.thompson import Thompson
from policies.uniform import Uniform

N_ARMS, N_SENDS = 4, 10_000
BATCH = 100
"""Sends whose rewards arrive together, after the last of them was decided."""
N_MEMBERS = 64
"""Beliefs that Thompson sampling counts the votes of."""
FLOOR = 0.025
"""Least probability of an arm."""
LEARNERS: dict[str, Policy] = {
    "uniform": Uniform(),
    "squarecb": Floor(SquareCB(), FLOOR * N_ARMS),
    "thompson": Floor(Thompson(), FLOOR * N_ARMS),
}
PRIOR = (1.0, 12.0)
"""Rewards and sends that every belief begins with."""
SPREAD = 0.27
"""Standard deviation of a reward, as SquareCB is told."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What sends earn.

    Attributes:
        base: reward rate of each segment at the end of the campaign; segments are as many, and the learner sees them.
        below: how far the rate is below that at the beginning, as a share of it.
        gain: what the first arm earns more; absolutely, or where `relative`, as a share of the base rate.
        relative: see gain.
    """

    base: tuple[float, ...] = (0.08,)
    below: float = 0.0
    gain: float = 0.0
    relative: bool = False

    def rates(self, kinds: np.ndarray) -> np.ndarray:
        """Of arms that gain nothing, for segments of shape (n_logs, n_sends)."""
        slope = 1 - self.below * np.linspace(1, 0, kinds.shape[1])
        return np.asarray(np.array(self.base)[kinds] * slope)

    def gains(self, rates: np.ndarray) -> np.ndarray:
        """What the first arm adds to each rate."""
        return self.gain * rates if self.relative else np.full_like(rates, self.gain)


@dataclass(frozen=True, slots=True, eq=False)
class Logs:
    """Some campaigns.

    Attributes:
        pmfs: shape (n_logs, n_sends, n_arms).
        drawn: shape (n_logs, n_sends).
        rewards: shape (n_logs, n_sends), 0 or 1.
        gains: shape (n_logs, n_sends), what the first arm would have added.
    """

    pmfs: np.ndarray
    drawn: np.ndarray
    rewards: np.ndarray
    gains: np.ndarray


def known() -> np.ndarray:
    """How many of the first sends had their reward before each was decided, shape (n_sends,)."""
    return np.arange(N_SENDS) // BATCH * BATCH


def learned(learner: str, scenario: Scenario, seeds: Sequence[np.random.SeedSequence]) -> Logs:
    """One log a seed, all at once; a log does not depend on the others."""
    policy, shape = LEARNERS[learner], (len(seeds), len(scenario.base), N_ARMS)
    kinds, draws, luck, noise = _chances(learner, scenario, seeds)
    rates = scenario.rates(kinds)
    gains = scenario.gains(rates)
    pmfs, drawn = np.empty((*kinds.shape, N_ARMS)), np.empty(kinds.shape, dtype=np.int64)
    rewards, sent, earned = np.empty(kinds.shape), np.full(shape, PRIOR[1]), np.full(shape, PRIOR[0])
    at = np.arange(len(seeds))[:, np.newaxis]
    for start in range(0, N_SENDS, BATCH):
        now = slice(start, start + BATCH)
        means = earned / sent
        beliefs = means + noise[:, start // BATCH] * np.sqrt(means * (1 - means) / sent) if noise.size else None
        estimates = Estimates(scores=means, members=beliefs, n_learned=start, spread=SPREAD)
        pmfs[:, now] = policy.pmf(estimates, np.ones(shape, dtype=np.bool_), dimension=0)[at, kinds[:, now]]
        past = pmfs[:, now].cumsum(axis=2) < draws[:, now, np.newaxis]
        drawn[:, now] = past.sum(axis=2).clip(max=N_ARMS - 1)
        rewards[:, now] = luck[:, now] < rates[:, now] + gains[:, now] * (drawn[:, now] == 0)
        np.add.at(sent, (at, kinds[:, now], drawn[:, now]), 1.0)
        np.add.at(earned, (at, kinds[:, now], drawn[:, now]), rewards[:, now])
    return Logs(pmfs, drawn, rewards, gains)


def _chances(
    learner: str, scenario: Scenario, seeds: Sequence[np.random.SeedSequence]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Segments, and luck of draws and rewards, shape (n_logs, n_sends); of beliefs, (n_members, n_batches, n_logs, ...)."""
    n_segments, n_members = len(scenario.base), N_MEMBERS if learner == "thompson" else 0
    generators = [np.random.default_rng(seed) for seed in seeds]
    kinds = np.stack([rng.integers(n_segments, size=N_SENDS) for rng in generators])
    draws = np.stack([rng.random(N_SENDS) for rng in generators])
    luck = np.stack([rng.random(N_SENDS) for rng in generators])
    size = (n_members, N_SENDS // BATCH, n_segments, N_ARMS)
    return kinds, draws, luck, np.stack([rng.standard_normal(size) for rng in generators], axis=2)
