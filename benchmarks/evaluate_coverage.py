"""How often intervals of a single choice's value hold the truth: ten arms, a fixed target, clicks of one send in 18."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from simulations import Cell, Pool, covered

from evaluation.columns import ALWAYS, stack
from evaluation.cressie_read import Reach, cressie_read
from evaluation.estimator import Estimate, estimate
from evaluation.methods import METHODS
from evaluation.overlap import Overlap, Verdict
from evaluation.poisson_bootstrap import Resamples
from evaluation.snips_wilson import COLUMNS, snips_wilson
from evaluation.sums import Sums
from evaluation.weighed import Weighed, weigh

WORLD_SEED, LOG_SEED = 7, 20_261_124
N_ARMS, N_KINDS, N_FEATURES = 10, 4_000, 5
VALUE = 0.057
N_FOLDS, RIDGE = 3, 10.0
LARGEST = {"uniform": 10.0, "leaning": 10.0, "floor": 200.0}
"""Largest weight of each logging policy, known beforehand: even; softmax with .1 at least on the target's arm; softmax
with a floor of .05, which is .005 an arm."""
INTERVALS = ("snips delta", "snips wilson", "cressie-read", "bootstrap", "dr", "sndr")
SNIPS, DR, SNDR = (METHODS[name].estimator for name in ("snips", "dr", "sndr"))


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Kinds of customers, equally many of each, so that the truth is a mean and no estimate.

    Attributes:
        features: shape (n_kinds, n_features).
        clicks: shape (n_kinds, n_arms), probabilities.
        target: shape (n_kinds,), the arm it picks.
        behavior: by logging policy, shape (n_kinds, n_arms).
        value: of the target.
    """

    features: np.ndarray
    clicks: np.ndarray
    target: np.ndarray
    behavior: dict[str, np.ndarray]
    value: float


@cache
def world() -> World:
    """One world for all logs; the target mostly knows what is good, the softmax policies know it less well."""
    rng = np.random.default_rng(WORLD_SEED)
    features = rng.normal(size=(N_KINDS, N_FEATURES))
    utility = 0.4 * features @ rng.normal(size=(N_FEATURES, N_ARMS)) + 0.4 * rng.normal(size=(N_KINDS, N_ARMS))
    target = (utility + 0.5 * rng.normal(size=utility.shape)).argmax(axis=1)
    kinds = np.arange(N_KINDS)
    low, high = -10.0, 0.0
    for _ in range(60):
        middle = (low + high) / 2.0
        clicks = 1.0 / (1.0 + np.exp(-(middle + 0.5 * utility)))
        low, high = (middle, high) if clicks[kinds, target].mean() < VALUE else (low, middle)
    softmax = np.exp(2.5 * (utility + 0.5 * rng.normal(size=utility.shape)))
    softmax /= softmax.sum(axis=1, keepdims=True)
    leaning, at_target = softmax.copy(), np.maximum(softmax[kinds, target], 1.0 / N_ARMS)
    leaning *= ((1.0 - at_target) / (1.0 - softmax[kinds, target]))[:, None]
    leaning[kinds, target] = at_target
    behavior = {
        "uniform": np.full_like(softmax, 1.0 / N_ARMS),
        "leaning": leaning,
        "floor": 0.95 * softmax + 0.05 / N_ARMS,
    }
    return World(features, clicks, target, behavior, float(clicks[kinds, target].mean()))


def logged(logging: str, n: int, rng: np.random.Generator) -> Weighed:
    """One log, weighed, with a reward model that never saw the row it predicts."""
    known = world()
    kinds = rng.integers(N_KINDS, size=n)
    pmfs = known.behavior[logging][kinds]
    picks = (pmfs.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=N_ARMS - 1)
    rewards = (rng.random(n) < known.clicks[kinds, picks]).astype(np.float64)
    target = known.target[kinds]
    predicted, expected = _modelled(known.features[kinds], picks, target, rewards)
    at = np.arange(n)
    return weigh(rewards, pmfs[at, picks], (picks == target).astype(float), predicted=predicted, expected=expected)


def _modelled(
    features: np.ndarray, picks: np.ndarray, target: np.ndarray, rewards: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of the logged arm and of the target's: a ridge regression on features and arms, by folds."""
    seen, wanted = (np.hstack([features, np.eye(N_ARMS)[arms]]) for arms in (picks, target))
    predicted, expected = np.empty(len(rewards)), np.empty(len(rewards))
    folds = np.arange(len(rewards)) % N_FOLDS
    for fold in range(N_FOLDS):
        own, others = folds == fold, folds != fold
        mean = rewards[others].mean()
        gram = seen[others].T @ seen[others] + RIDGE * np.eye(seen.shape[1])
        slopes = np.linalg.solve(gram, seen[others].T @ (rewards[others] - mean))
        predicted[own], expected[own] = mean + seen[own] @ slopes, mean + wanted[own] @ slopes
    return predicted, expected


def intervals(logging: str, n: int, n_resamples: int, seeds: Sequence[np.random.SeedSequence]) -> dict[str, np.ndarray]:
    """Lower and upper ends by interval, shape (n_logs, 2), NaN where there is none; and the verdicts on the logs."""
    found: dict[str, list[Any]] = {name: [] for name in (*INTERVALS, "verdict")}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        names, columns = stack(logged(logging, n, rng), [*ALWAYS, *COLUMNS, *DR.columns, *SNDR.columns])
        sums = Sums.of_stack(names, columns)
        verdict = Overlap.of(sums).verdict
        found["verdict"].append(verdict.value)
        ends = dict.fromkeys(INTERVALS, (np.nan, np.nan))
        if verdict is not Verdict.CANNOT_ANSWER:
            ends |= _ends(sums, LARGEST[logging])
            if n_resamples:
                resamples = Resamples.of_stack(names, columns, rng, n_resamples)
                ends["bootstrap"] = _pair(resamples.interval(SNIPS, sums))
        for name, pair in ends.items():
            found[name].append(pair)
    return {name: np.array(values) for name, values in found.items()}


def _ends(sums: Sums, largest: float) -> dict[str, tuple[float, float]]:
    return {
        "snips delta": _pair(estimate(SNIPS, sums)),
        "snips wilson": _pair(snips_wilson(sums)),
        "cressie-read": _pair(cressie_read(sums, Reach(largest))),
        "dr": _pair(estimate(DR, sums)),
        "sndr": _pair(estimate(SNDR, sums)),
    }


def _pair(found: Estimate) -> tuple[float, float]:
    if found.ci_lower is None or found.ci_upper is None:
        return np.nan, np.nan
    return found.ci_lower, found.ci_upper


def coverage(n_logs: dict[int, int], n_bootstrapped: int, n_resamples: int, pool: Pool) -> dict[str, Any]:
    """Every logging policy at every length.

    Args:
        n_logs: logs by their length.
        n_bootstrapped: how many of them are bootstrapped; they are logs of their own.
        n_resamples: of each of those.
        pool: simulates.
    """
    kinds = [(f"{logging} n={n}", logging, n, count) for n, count in n_logs.items() for logging in LARGEST]
    cells = [
        Cell(f"{name} bootstrap", partial(intervals, p, n, n_resamples), n_bootstrapped) for name, p, n, _ in kinds
    ]
    cells += [Cell(name, partial(intervals, p, n, 0), count) for name, p, n, count in kinds]
    found = pool.simulated(cells, LOG_SEED)
    summaries = {}
    for name, logging, n, _ in kinds:
        if name in found:
            resampled = found.get(f"{name} bootstrap", {})
            summaries[name] = {"largest_weight": LARGEST[logging], "n": n, **_summary(found[name], resampled)}
    return {
        "seeds": {"world": WORLD_SEED, "logs": LOG_SEED},
        "n_arms": N_ARMS,
        "value": round(world().value, 6),
        "n_resamples": n_resamples,
        "cells": summaries,
    }


def _summary(plain: dict[str, np.ndarray], resampled: dict[str, np.ndarray]) -> dict[str, Any]:
    """Coverage and relative width of each; a bootstrap is held against the delta intervals of the same logs."""
    answered = plain["verdict"] != Verdict.CANNOT_ANSWER.value
    reliable = plain["verdict"] == Verdict.RELIABLE.value
    summary: dict[str, Any] = {
        "logs": len(answered),
        "cannot_answer": int((~answered).sum()),
        "verdicts": {one.value: int((plain["verdict"] == one.value).sum()) for one in Verdict},
        "delta_width": round(float(_width(plain["snips delta"][answered])), 5),
    }
    for name in INTERVALS:
        source = resampled if name == "bootstrap" else plain
        if source:
            summary[name] = _quality(source[name], source["snips delta"])
    summary["snips wilson"]["where_reliable"] = covered(_held(plain["snips wilson"][reliable]))
    return summary


def _quality(ends: np.ndarray, delta: np.ndarray) -> dict[str, Any]:
    there = ~np.isnan(ends[:, 0])
    width = float(_width(ends[there]) / _width(delta[there]))
    below, above = ends[there, 1] < world().value, ends[there, 0] > world().value
    missed = {"too_low": round(float(below.mean()), 4), "too_high": round(float(above.mean()), 4)}
    return {**covered(_held(ends[there])), "width_to_delta": round(width, 3), "missed": missed}


def _held(ends: np.ndarray) -> np.ndarray:
    held: np.ndarray = (ends[:, 0] <= world().value) & (world().value <= ends[:, 1])
    return held


def _width(ends: np.ndarray) -> float:
    return float((ends[:, 1] - ends[:, 0]).mean())
