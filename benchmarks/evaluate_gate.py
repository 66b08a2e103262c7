"""How often a gate's lower bound is above the true gain, and how often it lets a better snapshot of four dimensions through.

Two snapshots of our own learner, an early one and a later one. Three questions are asked of their sends:

- *usual*: the early one serves and has decided; is the later one better? It is.
- *worse*: the same log; the later one serves; is the early one better? It is not, and its picks weigh against it.
- *back*: the later one serves and has decided; is the early one better? It is not.

Beside the gate's bound stand those of whole choices, which the gate had before, and the normal one of the same weights, which
knows nothing of rows that could have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from evaluate_composite import N_KINDS
from gates import Gate
from scipy import stats
from sequential_worlds import EVEN, WORLD_SEEDS, WORLDS, Campaigner, begun, sent, world
from simulations import Cell, Pool, covered

from evaluation.columns import ALWAYS, REWARD, WEIGHED_REWARD, stack
from evaluation.cressie_read import Reach, cressie_read_difference, cressie_read_gain
from evaluation.pseudo_inverse import pinv_table
from evaluation.sums import Sums
from evaluation.weighed import Weighed

EXPONENT, RANDOM_SHARE = 0.5, 0.2
"""How fast the policy settles, and the random group's share."""
N_LEARNED = 20_000
"""Sends that the later snapshot has learned from since the early one."""
CASES = {
    "usual": ("later", "early", "early"),
    "worse": ("early", "later", "early"),
    "back": ("early", "later", "later"),
}
"""Who is asked about, who serves, and who has decided beside the random group."""
LENGTHS = {"usual": (20_000, 100_000), "worse": (20_000,), "back": (20_000,)}
BOUNDS = ("pairs", "whole choices", "pairs, normal")
LOG_SEED = 20_261_127
LEAST_COVERAGE, LEAST_OPEN = 0.96, 0.75
"""Of the gate's bound, .975 but for the chance of some hundred logs; and how often 100,000 sends let the better one through."""


@cache
def snapshots(name: str, seed: int, n_learned: int) -> dict[str, np.ndarray]:
    """The joint pmfs of both, shape (n_kinds, *SIZES)."""
    ours, rng, early = Campaigner.fresh(EXPONENT), np.random.default_rng(seed), begun(name, seed, EXPONENT, n_learned)
    learner, joint = ours.kind.resume(ours.campaign, early), ours.joint(early)
    is_random = rng.random(n_learned) < RANDOM_SHARE
    ours.learn(learner, sent(world(name, seed), [EVEN, joint], np.where(is_random, 0, 1), rng))
    return {"early": joint, "later": ours.joint(learner.snapshot(watermark=learner.n_learned))}


class Cells(NamedTuple):
    """Whatever a row could have been, shape (n_cells,) each: who decided, kind of customer and whole choice.

    Attributes:
        share: of the rows.
        clicks: probability.
        new, serving: weights of whole choices.
        pairs: 1 + the difference of both weights by pairs.
    """

    share: np.ndarray
    clicks: np.ndarray
    new: np.ndarray
    serving: np.ndarray
    pairs: np.ndarray


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, with its answer.

    Attributes:
        cells: what rows can be.
        gain: the truth.
    """

    cells: Cells
    gain: float


@cache
def asked(name: str, seed: int, case: str, n_learned: int) -> Asked:
    """Both snapshots in one of the `CASES`."""
    known, joints = world(name, seed), snapshots(name, seed, n_learned)
    new, serving, decided = (joints[who] for who in CASES[case])
    parts = []
    for share, behavior in ((RANDOM_SHARE, EVEN), (1.0 - RANDOM_SHARE, decided)):
        pairs = [1.0 + _by_pairs(behavior[k], new[k]) - _by_pairs(behavior[k], serving[k]) for k in range(N_KINDS)]
        parts.append((share * behavior / N_KINDS, known.clicks, new / behavior, serving / behavior, np.stack(pairs)))
    cells = Cells(*(np.concatenate([table.ravel() for table in column]) for column in zip(*parts, strict=True)))
    return Asked(cells, float(((new - serving) * known.clicks).sum()) / N_KINDS)


def _by_pairs(behavior: np.ndarray, target: np.ndarray) -> np.ndarray:
    return pinv_table(behavior, target, 2)


def lower_bounds(
    name: str, seed: int, case: str, n_rows: int, n_learned: int, seeds: Sequence[np.random.SeedSequence]
) -> dict[str, np.ndarray]:
    """By bound, of each log: the lower end of the gain's interval."""
    cells = asked(name, seed, case, n_learned).cells
    reaches = [Reach(float(one.max())) for one in (cells.new, cells.serving)]
    by_pairs = Reach(float(cells.pairs.max()), least_weight=float(cells.pairs.min()))
    found: dict[str, list[float | None]] = {one: [] for one in BOUNDS}
    for own in seeds:
        rng = np.random.default_rng(own)
        sent_of_each = rng.multinomial(n_rows, cells.share / cells.share.sum())
        clicked = rng.binomial(sent_of_each, cells.clicks)
        counts = np.concatenate([clicked, sent_of_each - clicked])
        gain = _counted({"": cells.pairs}, counts)
        found["pairs"].append(cressie_read_gain(gain, by_pairs).ci_lower)
        whole = _counted({"new:": cells.new, "serving:": cells.serving}, counts)
        found["whole choices"].append(cressie_read_difference(whole, "new:", "serving:", tuple(reaches)).ci_lower)
        score = {WEIGHED_REWARD.name: 1.0, REWARD.name: -1.0}
        value = gain.mean(WEIGHED_REWARD.name) - gain.mean(REWARD.name)
        found["pairs, normal"].append(value - float(stats.norm.ppf(0.975)) * gain.standard_error(score))
    return {one: np.array(values, dtype=np.float64) for one, values in found.items()}


def _counted(weights: dict[str, np.ndarray], counts: np.ndarray) -> Sums:
    """Sums of rows of which many are the same: first those that were clicked, then the others."""
    kept = counts > 0
    n = len(counts) // 2
    rewards = np.repeat([1.0, 0.0], n)[kept]
    names: list[str] = []
    columns: list[np.ndarray] = []
    for prefix, weight in weights.items():
        own, values = stack(Weighed(rewards, np.tile(weight, 2)[kept]), ALWAYS)
        names += [prefix + one for one in own]
        columns += list(values)
    values, times = np.stack(columns), counts[kept]
    means = values @ times / times.sum()
    centred = values - means[:, None]
    scatter = (centred * times) @ centred.T
    return Sums(tuple(names), int(times.sum()), means, scatter, values.min(axis=1), values.max(axis=1))


def gate(n_logs: int, pool: Pool, n_learned: int = N_LEARNED) -> dict[str, Any]:
    """Every case in every kind of world, two worlds of each; `n_logs` of each."""
    cells = {
        (case, n_rows, name, seed): Cell(
            f"{case} {n_rows} {name} {seed}", partial(lower_bounds, name, seed, case, n_rows, n_learned), n_logs, 50
        )
        for case in CASES
        for n_rows in LENGTHS[case]
        for name in WORLDS
        for seed in WORLD_SEEDS
    }
    found = pool.simulated(list(cells.values()), LOG_SEED)
    cases: dict[str, Any] = {}
    for case in CASES:
        for n_rows in LENGTHS[case]:
            keys = [key for key, cell in cells.items() if key[:2] == (case, n_rows) and cell.name in found]
            gains = [asked(name, seed, case, n_learned).gain for _, _, name, seed in keys]
            parts = [found[cells[key].name] for key in keys]
            cases[f"{case}, {n_rows}"] = {
                "gains": [round(gain, 5) for gain in gains],
                "bounds": {one: _quality([part[one] for part in parts], gains) for one in BOUNDS if parts},
            }
    return {
        "seeds": {"worlds": list(WORLD_SEEDS), "logs": LOG_SEED},
        "random_share": RANDOM_SHARE,
        "exponent": EXPONENT,
        "n_learned": n_learned,
        "cases": cases,
    }


def gates_of_gate(found: dict[str, Any]) -> list[Gate]:
    """The gate's own bound holds, and opens where there is enough to see."""
    pairs = {case: one["bounds"].get("pairs", {}) for case, one in found["cases"].items()}
    held = [Gate(f"gate, {case}: held", one.get("coverage"), least=LEAST_COVERAGE) for case, one in pairs.items()]
    longest = f"usual, {max(LENGTHS['usual'])}"
    return [*held, Gate(f"gate, {longest}: opens", pairs[longest].get("opens"), least=LEAST_OPEN)]


def _quality(lows: Sequence[np.ndarray], gains: Sequence[float]) -> dict[str, Any]:
    held = [low <= gain for low, gain in zip(lows, gains, strict=True)]
    return {
        **covered(np.concatenate(held)),
        "least_of_the_worlds": round(min(float(one.mean()) for one in held), 4),
        "opens": round(float(np.concatenate([low > 0.0 for low in lows]).mean()), 4),
        "mean": round(float(np.concatenate(lows).mean()), 5),
    }
