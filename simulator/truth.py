"""What a policy is really worth: exact value and regret, where the world is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from simulator.world import Arrival, ImpossibleWorld, RememberingWorld, RuledWorld, TimedWorld, World

_CHUNK = 64  # contexts at a time: 1 MB of rewards with 1,920 choices, which stays in the cache
_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Exact expected rewards of a series of decisions, in reward units, each of shape (n_decisions,).

    Args:
        values: under the policy, or under the choices made.
        uniform: under the random policy: a uniform choice, of what may be sent where the campaign has rules.
        best: under the best choice for each customer, of what may be sent.
    """

    values: FloatArray
    uniform: FloatArray
    best: FloatArray

    @property
    def value(self) -> float:
        """Mean expected reward per decision."""
        return float(self.values.mean())

    @property
    def regret(self) -> float:
        """Best possible minus obtained, mean per decision; never negative but for rounding."""
        return float((self.best - self.values).mean())

    @property
    def gap(self) -> float:
        """The share of the way from uniform to best: see `gap`."""
        return gap(self.values, self.uniform, self.best)


def gap(values: ArrayLike, uniform: ArrayLike, best: ArrayLike) -> float:
    """The share of the way from a uniform choice to the best per customer: 0 for uniform, 1 for the best.

    (mean values - mean uniform) / (mean best - mean uniform); negative when worse than uniform.

    Args:
        values: expected rewards per decision, in reward units, any shape.
        uniform: those of a uniform choice.
        best: those of the best choice.

    Raises:
        ImpossibleWorld: if there is no decision, or the best choice is no better than a uniform one.

    >>> gap([2.0, 2.0], [1.0, 1.0], [3.0, 5.0])
    0.3333333333333333
    """
    means = [float(np.mean(np.asarray(part, dtype=np.float64))) for part in (values, uniform, best) if np.size(part)]
    if len(means) < 3:
        raise ImpossibleWorld("no decision to take the mean of, so no gap exists; give at least one.")
    value, low, high = means
    if not high > low:
        raise ImpossibleWorld(
            f"best mean reward is {high!r}, uniform {low!r}: when every choice is as good as any other there is no way "
            "to go, and no share of it. Use a world with effects."
        )
    return (value - low) / (high - low)


def value_of(world: World, arrivals: Iterable[Arrival], pmf_of: Callable[[Arrival], FloatArray]) -> Truth:
    """Exact value of a policy that draws each choice from a pmf: no draw is made, and no luck enters.

    Args:
        world: whose truth is asked.
        arrivals: the decisions.
        pmf_of: arrival to the probability of every choice, shape (n_choices,), in the order of `world.choices`. Called
            once an arrival, equal contexts together and not in time order, so it must not remember its calls.
            Dimensions drawn independently multiply: `functools.reduce(np.multiply.outer, pmfs).ravel()`.

    Raises:
        ImpossibleWorld: if a pmf has the wrong shape, a negative probability, or does not sum to 1.
    """
    sends = list(arrivals)

    def value_at(number: int, rewards: FloatArray) -> float:
        return float(_checked(pmf_of(sends[number]), rewards.size, sends[number]) @ rewards)

    return _truth(world, sends, value_at)


def value_of_choices(world: World, arrivals: Iterable[Arrival], made: Iterable[Mapping[str, str]]) -> Truth:
    """Exact expected rewards of the choices that were made: what remains of a replay when its luck is taken away.

    Args:
        world: whose truth is asked.
        arrivals: the decisions.
        made: the choice of each, in the same order.

    Raises:
        ImpossibleWorld: if there are more of one than of the other, or a choice is not one of the world's.
    """
    sends = list(arrivals)
    numbers = [world.choices.index(choice) for choice in made]
    if len(numbers) != len(sends):
        raise ImpossibleWorld(f"{len(numbers)} choices for {len(sends)} arrivals: give the choice of each, in order.")
    return _truth(world, sends, lambda number, rewards: float(rewards[numbers[number]]))


def _truth(world: World, sends: Sequence[Arrival], value_at: Callable[[int, FloatArray], float]) -> Truth:
    """The truth about each send; `value_at` turns its number and the rewards of all choices into its value."""
    if isinstance(world, RememberingWorld):
        return _truth_after(world, sends, value_at)
    groups: dict[tuple[tuple[str, ContextValue], ...], list[int]] = {}
    for number, arrival in enumerate(sends):
        groups.setdefault(tuple(arrival.context.items()), []).append(number)
    truth = Truth(np.empty(len(sends)), np.empty(len(sends)), np.empty(len(sends)))
    keys = list(groups)
    for first in range(0, len(keys), _CHUNK):
        chunk = keys[first : first + _CHUNK]
        contexts = [dict(key) for key in chunk]
        every = world.expected_rewards(contexts)
        uniform, best = _ends(world, contexts, every)
        for place, key in enumerate(chunk):
            truth.uniform[groups[key]], truth.best[groups[key]] = uniform[place], best[place]
            truth.values[groups[key]] = [value_at(number, every[place]) for number in groups[key]]
    return truth


def _truth_after(
    world: RememberingWorld, sends: Sequence[Arrival], value_at: Callable[[int, FloatArray], float]
) -> Truth:
    """The same where each send has a past of its own; the best choice is the best for this send alone."""
    truth = Truth(np.empty(len(sends)), np.empty(len(sends)), np.empty(len(sends)))
    for first in range(0, len(sends), _CHUNK):
        some = slice(first, first + _CHUNK)
        rewards = world.expected_rewards_after(sends[some])
        if isinstance(world, TimedWorld):
            truth.uniform[some], truth.best[some] = _ends_under(world.random_pmf_at(sends[some]), rewards)
        else:
            truth.uniform[some], truth.best[some] = _ends(world, [one.context for one in sends[some]], rewards)
        truth.values[some] = [value_at(first + place, row) for place, row in enumerate(rewards)]
    return truth


def _ends(
    world: World, contexts: Sequence[Mapping[str, ContextValue]], rewards: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """What the random policy and the best choice bring with each context; rewards of shape (n_contexts, n_choices)."""
    if not isinstance(world, RuledWorld):
        return rewards.mean(axis=1), rewards.max(axis=1)
    return _ends_under(world.random_pmf(contexts), rewards)


def _ends_under(pmf: FloatArray, rewards: FloatArray) -> tuple[FloatArray, FloatArray]:
    return (pmf * rewards).sum(axis=1), np.where(pmf > 0.0, rewards, -np.inf).max(axis=1)


def _checked(pmf: FloatArray, n_choices: int, arrival: Arrival) -> FloatArray:
    # Written so that NaN fails each comparison instead of passing it.
    if pmf.shape == (n_choices,) and pmf.min() >= 0.0 and abs(pmf.sum() - 1.0) <= _SUM_TOLERANCE:
        return pmf
    detail = f"a sum of {pmf.sum()!r} and a least entry of {pmf.min()!r}" if pmf.size else "no entry"
    raise ImpossibleWorld(
        f"pmf for customer {arrival.customer_id!r} has shape {pmf.shape}, {detail}: it is not a distribution over the "
        f"{n_choices} choices, so it has no value. Return shape ({n_choices},), entries at least 0 that sum to 1."
    )
