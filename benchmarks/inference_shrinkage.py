"""Many estimates at once: how much shrinking takes off their error, whether its intervals hold the truth, false discoveries."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from gates import Gate
from scipy import stats
from simulations import Cell, Pool, covered

from evaluation.empirical_bayes import Shrunk, shrink
from evaluation.intervals import wilson
from evaluation.multiplicity import benjamini_hochberg

LOG_SEED = 20_261_205
N_SEGMENTS, N_ARMS = 6, 8
RATE, SENDS = 0.05, (300, 3000)
"""Rewards a send of an average arm; least and most sends of an arm in a segment."""
SPREADS = {"alike": 0.0, "some": 0.005, "far apart": 0.03, "one stands out": 0.0}
"""Standard deviation of the true rates of arms in segments; in the last world one of them is .05 above all others."""
OUTLIER = 0.05
N_QUESTIONS, SHARE_TRUE, EFFECT, Q = 40, 0.25, 3.0, 0.05
"""Of a family of tests: how many, share of them with an effect, that effect in standard errors, false discovery rate."""


def family(world: str, seeds: Sequence[np.random.SeedSequence]) -> dict[str, np.ndarray]:
    """Mean squared errors and the share of intervals that held, of each family of arms in segments."""
    found: dict[str, list[float]] = {name: [] for name in ("raw", "shrunk", "held", "width")}
    for seed in seeds:
        truths, estimates, errors = _rates(world, np.random.default_rng(seed))
        for name, figure in _judged(shrink(estimates, errors), truths).items():
            found[name].append(figure)
    return {name: np.array(figures) for name, figures in found.items()}


def _rates(world: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True rates, counted rates and their standard errors, shape (n_segments * n_arms,)."""
    n = N_SEGMENTS * N_ARMS
    truths = np.clip(rng.normal(RATE, SPREADS[world], n), 0.001, 0.5)
    if world == "one stands out":
        truths[0] = RATE + OUTLIER
    sends = rng.integers(*SENDS, n)
    rewarded = rng.binomial(sends, truths)
    # Of the counts plus two successes and two failures: a rate of 0 has an error, too.
    smooth = (rewarded + 2) / (sends + 4)
    return truths, rewarded / sends, np.sqrt(smooth * (1 - smooth) / sends)


def _judged(found: Shrunk, truths: np.ndarray) -> dict[str, float]:
    rows = [(one.raw, one.raw_se, one.value, one.ci_lower, one.ci_upper) for one in found.values if one]
    raw, errors, value, lower, upper = np.array(rows).T
    return {
        "raw": float(((raw - truths) ** 2).mean()),
        "shrunk": float(((value - truths) ** 2).mean()),
        "held": float(((lower <= truths) & (truths <= upper)).mean()),
        "width": float((upper - lower).mean() / (2 * 1.96 * errors).mean()),
    }


def questions(share_true: float, seeds: Sequence[np.random.SeedSequence]) -> dict[str, np.ndarray]:
    """False and true discoveries of each family of tests, held against one control and so correlated."""
    found: dict[str, list[float]] = {"false_share": [], "found_share": []}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        real = np.arange(N_QUESTIONS) < round(share_true * N_QUESTIONS)
        z = (rng.normal(size=N_QUESTIONS) + rng.normal()) / np.sqrt(2) + EFFECT * real
        adjusted = benjamini_hochberg(2 * stats.norm.sf(np.abs(z)))
        called = np.array([p is not None and p <= Q for p in adjusted])
        found["false_share"].append(float((called & ~real).sum() / max(called.sum(), 1)))
        found["found_share"].append(float(called[real].mean()) if real.any() else 0.0)
    return {name: np.array(figures) for name, figures in found.items()}


def shrinkage(n: int, pool: Pool) -> dict[str, Any]:
    """Every world of rates, and families of tests with some effects and with none.

    Args:
        n: families of each kind.
        pool: simulates.
    """
    cells = [Cell(f"rates {world}", partial(family, world), n) for world in SPREADS]
    shares = {"some effects": SHARE_TRUE, "no effect": 0.0}
    cells += [Cell(f"questions {name}", partial(questions, share), n) for name, share in shares.items()]
    found = pool.simulated(cells, LOG_SEED)
    return {
        "seed": LOG_SEED,
        "n_arms_in_segments": N_SEGMENTS * N_ARMS,
        "n_questions": N_QUESTIONS,
        "rates": {world: _error(found[f"rates {world}"]) for world in SPREADS if f"rates {world}" in found},
        "discoveries": {
            name: _discoveries(found[f"questions {name}"]) for name in shares if f"questions {name}" in found
        },
    }


def _error(figures: dict[str, np.ndarray]) -> dict[str, Any]:
    """Squared errors in 10^-6; coverage's error is that of families, whose intervals share one prior."""
    raw, shrunk, held = (float(figures[name].mean()) for name in ("raw", "shrunk", "held"))
    return {
        "families": len(figures["held"]),
        "mse_raw": round(raw * 1e6, 2),
        "mse_shrunk": round(shrunk * 1e6, 2),
        "ratio": round(shrunk / raw, 3),
        "coverage": round(held, 4),
        "coverage_se": round(float(figures["held"].std() / np.sqrt(len(figures["held"]))), 4),
        "width_to_raw": round(float(figures["width"].mean()), 3),
    }


def _discoveries(figures: dict[str, np.ndarray]) -> dict[str, Any]:
    n = len(figures["false_share"])
    any_false = covered(figures["false_share"] > 0)
    return {
        "families": n,
        "false_discovery_rate": round(float(figures["false_share"].mean()), 4),
        "families_with_a_false_one": any_false["coverage"],
        "found_of_true": round(float(figures["found_share"].mean()), 3),
        "largest_rate_allowed": round(wilson(Q * n, n, 0.999).ci_upper, 4),
    }


def gates_of_shrinkage(found: dict[str, Any]) -> list[Gate]:
    """Less error where there is something to gain, honest intervals, and no more false discoveries than promised."""
    rates, discoveries = found["rates"], found["discoveries"]
    gates = [
        Gate(f"shrunk error, {world}, of raw", rates.get(world, {}).get("ratio"), largest=largest)
        for world, largest in (("some", 0.6), ("alike", 0.2), ("far apart", 1.0), ("one stands out", 1.0))
    ]
    gates += [Gate(f"shrunk coverage, {world}", rates.get(world, {}).get("coverage"), least=0.92) for world in SPREADS]
    gates += [
        Gate(f"false discovery rate, {name}", one["false_discovery_rate"], largest=one["largest_rate_allowed"])
        for name, one in discoveries.items()
    ]
    return gates
