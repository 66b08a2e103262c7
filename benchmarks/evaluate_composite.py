"""How often intervals of a whole choice's value hold the truth: four dimensions, drawn evenly, in worlds that interact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations
from typing import Any

import numpy as np
from simulations import Cell, Pool, covered

from evaluation.columns import ALWAYS, stack
from evaluation.estimator import estimate
from evaluation.methods import METHODS
from evaluation.pseudo_inverse import product_weights
from evaluation.sums import Sums
from evaluation.weighed import Weighed, weigh

SIZES = (8, 4, 4, 6)
N_KINDS, N_ROWS = 12, 20_000
WORLD_SEEDS, LOG_SEED = (11, 12), 20_261_125
BASE, GAIN, GREED = 0.05, 1.6, 0.8
"""Clicks of an even choice; what the target earns, times that; the target's probability of its arm beside an even one."""
N_FOLDS, RIDGE = 3, 10.0
NAMES = ("snips", "snpi", "pi", "order-2", "order-2-sn", "dr-pi", "dr-order-2")
ESTIMATORS = {name: METHODS[name].estimator for name in NAMES}
WORLDS = ("additive", "pairs", "logit", "triples")
"""The last has effects of three dimensions together, as strong as those of single arms: beyond what order 2 promises."""
MOST_TOGETHER = {"additive": 1, "pairs": 2, "logit": 1, "triples": 3}


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Kinds of customers, equally many of each.

    Attributes:
        clicks: shape (n_kinds, *SIZES), probabilities.
        target: for each dimension shape (n_kinds, n_arms).
        value: of the target, exact.
        logged: of an even choice, exact.
    """

    clicks: np.ndarray
    target: tuple[np.ndarray, ...]
    value: float
    logged: float


@cache
def world(name: str, seed: int) -> World:
    """Effects so strong that the target, which mostly picks the best whole choice of each kind, earns `GAIN` times more."""
    rng = np.random.default_rng([seed, WORLDS.index(name)])
    together = [parts for n in range(MOST_TOGETHER[name]) for parts in combinations(range(len(SIZES)), n + 1)]
    # Skewed to the good, so that no sum of bad ones falls below 0.
    effects = sum(_spread(rng.exponential(size=(N_KINDS, *(SIZES[d] for d in parts))), parts) for parts in together)
    link = _logit if name == "logit" else _plain
    low, high = 0.0, 3.0
    for _ in range(50):
        middle = (low + high) / 2.0
        found = _world(link(middle * np.asarray(effects)))
        low, high = (middle, high) if found.value < GAIN * found.logged else (low, middle)
    if found.clicks.min() < 0.0 or found.clicks.max() > 1.0:
        raise ValueError(f"world {name!r} of seed {seed} has no probabilities: its effects are too strong.")
    return found


def _spread(effects: np.ndarray, dimensions: Sequence[int]) -> np.ndarray:
    """Effects of some dimensions' arms, without their mean, on the axes of whole choices."""
    shape = [N_KINDS, *(size if d in dimensions else 1 for d, size in enumerate(SIZES))]
    centred = effects - effects.mean(axis=tuple(range(1, effects.ndim)), keepdims=True)
    return centred.reshape(shape) + np.zeros((N_KINDS, *SIZES))


def _plain(effects: np.ndarray) -> np.ndarray:
    return BASE * (1.0 + effects)


def _logit(effects: np.ndarray) -> np.ndarray:
    """On this scale arms add up; as probabilities all of them interact."""
    found: np.ndarray = 1.0 / (1.0 + (1.0 / BASE - 1.0) * np.exp(-effects))
    return found


def _world(clicks: np.ndarray) -> World:
    best = np.unravel_index(clicks.reshape(N_KINDS, -1).argmax(axis=1), SIZES)
    target = tuple(GREED * np.eye(size)[picks] + (1.0 - GREED) / size for size, picks in zip(SIZES, best, strict=True))
    value = float(np.einsum("kabcd,ka,kb,kc,kd->", clicks, *target)) / N_KINDS
    return World(clicks, target, value, float(clicks.mean()))


def logged(known: World, rng: np.random.Generator) -> Weighed:
    """One log of the random group, weighed as `evaluate` weighs it, with a model of arms that add up."""
    kinds = rng.integers(N_KINDS, size=N_ROWS)
    picks = np.stack([rng.integers(size, size=N_ROWS) for size in SIZES], axis=1)
    rewards = (rng.random(N_ROWS) < known.clicks[(kinds, *picks.T)]).astype(np.float64)
    target = np.stack([pmf[kinds, picks[:, d]] for d, pmf in enumerate(known.target)], axis=1)
    propensities = np.broadcast_to(1.0 / np.array(SIZES), target.shape)
    additive, pairwise = product_weights(target / propensities)
    predicted, expected = _modelled(known, kinds, picks, rewards)
    return weigh(
        rewards, propensities.prod(axis=1), target.prod(axis=1), predicted=predicted, expected=expected,
        additive=additive, pairwise=pairwise,
    )  # fmt: skip


def _modelled(known: World, kinds: np.ndarray, picks: np.ndarray, rewards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the logged choice and of the target: for each kind a ridge regression on single arms, by folds."""
    seen = np.hstack([np.eye(size)[picks[:, d]] for d, size in enumerate(SIZES)])
    wanted = np.hstack(known.target)
    predicted, expected = np.empty(N_ROWS), np.empty(N_ROWS)
    folds = np.arange(N_ROWS) % N_FOLDS
    for kind in range(N_KINDS):
        of_kind = kinds == kind
        for fold in range(N_FOLDS):
            own, others = of_kind & (folds == fold), of_kind & (folds != fold)
            mean = rewards[others].mean()
            gram = seen[others].T @ seen[others] + RIDGE * np.eye(seen.shape[1])
            slopes = np.linalg.solve(gram, seen[others].T @ (rewards[others] - mean))
            predicted[own], expected[own] = mean + seen[own] @ slopes, mean + wanted[kind] @ slopes
    return predicted, expected


def answers(name: str, seed: int, seeds: Sequence[np.random.SeedSequence]) -> dict[str, np.ndarray]:
    """By estimator shape (n_logs, 3): value and both ends of the interval, in units of the truth."""
    known = world(name, seed)
    found: dict[str, list[list[float | None]]] = {one: [] for one in NAMES}
    columns = [*ALWAYS, *(column for estimator in ESTIMATORS.values() for column in estimator.columns)]
    for own in seeds:
        sums = Sums.of_stack(*stack(logged(known, np.random.default_rng(own)), columns))
        for one, estimator in ESTIMATORS.items():
            answer = estimate(estimator, sums)
            found[one].append([answer.value, answer.ci_lower, answer.ci_upper])
    return {one: np.array(values, dtype=np.float64) / known.value for one, values in found.items()}


def composite(n_logs: int, pool: Pool) -> dict[str, Any]:
    """Every kind of world, several worlds of each; `n_logs` of each world."""
    cells = [
        Cell(f"{name} {seed}", partial(answers, name, seed), n_logs, 10) for name in WORLDS for seed in WORLD_SEEDS
    ]
    found = pool.simulated(cells, LOG_SEED)
    worlds: dict[str, Any] = {}
    for name in WORLDS:
        parts = [found[f"{name} {seed}"] for seed in WORLD_SEEDS if f"{name} {seed}" in found]
        known = [world(name, seed) for seed in WORLD_SEEDS]
        worlds[name] = {
            "value": [round(one.value, 5) for one in known],
            "value_to_logged": [round(one.value / one.logged, 3) for one in known],
            "not_additive": [round(unexplained(one.clicks, 1), 4) for one in known],
            "beyond_pairs": [round(unexplained(one.clicks, 2), 4) for one in known],
            "estimators": {one: quality([part[one] for part in parts]) for one in NAMES if parts},
        }
    return {
        "seeds": {"worlds": list(WORLD_SEEDS), "logs": LOG_SEED},
        "sizes": list(SIZES),
        "n_rows": N_ROWS,
        "worlds": worlds,
    }


def quality(parts: list[np.ndarray]) -> dict[str, Any]:
    """Of answers in units of the truth, one array of shape (n_logs, 3) a world."""
    together = np.concatenate(parts)
    held: Callable[[np.ndarray], np.ndarray] = lambda part: (part[:, 1] <= 1.0) & (part[:, 2] >= 1.0)  # noqa: E731
    return {
        **covered(held(together)),
        "least_of_the_worlds": round(min(float(held(part).mean()) for part in parts), 4),
        "rmse": round(float(np.sqrt(((together[:, 0] - 1.0) ** 2).mean())), 4),
        "bias": round(float(together[:, 0].mean() - 1.0), 4),
        "width": round(float((together[:, 2] - together[:, 1]).mean()), 4),
    }


def unexplained(clicks: np.ndarray, order: int) -> float:
    """Share of the variance of clicks within a kind that no sum over sets of at most `order` dimensions explains."""
    table = clicks - clicks.mean(axis=(1, 2, 3, 4), keepdims=True)
    rest, axes = table.copy(), range(1, len(SIZES) + 1)
    for size in range(1, order + 1):
        for kept in combinations(axes, size):
            rest -= rest.mean(axis=tuple(axis for axis in axes if axis not in kept), keepdims=True)
    return float((rest**2).mean() / (table**2).mean())
