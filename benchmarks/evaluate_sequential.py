"""How often intervals of a whole choice's value hold the truth on logs of our own learner: four dimensions, drawn in turn.

A snapshot decides a part of the log, the learner learns from it, and the next snapshot decides the next part, as in service:
SquareCB with a floor on Vowpal Wabbit's estimates, each dimension's pmf given the earlier picks, a small random group beside
it. Clicks are logistic, so that as probabilities all dimensions interact a little, even where none do as logits.

Two such logs: of a policy that goes on exploring (exponent 0.5), and of the policy as it comes (exponent 1), which has settled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from evaluate_composite import BASE, N_FOLDS, N_KINDS, RIDGE, SIZES, quality, unexplained
from gates import Gate
from sequential_worlds import EARLIER, EVEN, FLOOR, WORLD_SEEDS, WORLDS, Campaigner, Sends, World, begun, sent, world
from simulations import Cell, Pool

from evaluation.columns import ALWAYS, stack
from evaluation.cressie_read import Reach, cressie_read
from evaluation.effective_sample import on_effective_sample
from evaluation.estimator import estimate
from evaluation.methods import METHODS, Known
from evaluation.overlap import Overlap
from evaluation.pseudo_inverse import pinv_table
from evaluation.stage_wise import stage_wise_scores
from evaluation.sums import Sums
from evaluation.weighed import Weighed, weigh

N_ROWS, N_PARTS, RANDOM_SHARE = 20_000, 2, 0.05
"""Rows of a log, snapshots that decided it in turn, and the random group's share."""
EXPONENTS = {"exploring": 0.5, "settled": 1.0}
"""How fast the policy settles; the gate is on the first, and the second gets a share of the logs."""
SETTLED_SHARE, LOG_SEED = 0.25, 20_261_126
NAMES = ("snips", "dr", "dr-pi", "order-2", "dr-order-2", "dr-stage-wise")
DEFAULT = "dr-order-2"
"""The interval that `manyarm evaluate` puts first."""
NORMAL, WILSON, KNOWN_WEIGHTS = "dr-order-2, normal", "dr-order-2, wilson", "order-2, cressie-read"
"""More of them: of the same value the normal one, and Wilson's on the effective sample; and one that knows the least and the
largest weight by pairs, as the gate's does."""
INTERVALS = (*NAMES, NORMAL, WILSON, KNOWN_WEIGHTS)
KNOWN = Known(is_binary=True, rewards=(0.0, 1.0))


def logged(
    name: str, seed: int, exponent: float, n_rows: int, rng: np.random.Generator
) -> tuple[Sends, list[np.ndarray]]:
    """One log, and the joint pmfs of all who decided in it, the random group first."""
    ours, known, snapshot = Campaigner.fresh(exponent), world(name, seed), begun(name, seed, exponent, n_rows)
    learner = ours.kind.resume(ours.campaign, snapshot)
    joints, parts = [EVEN], []
    for part in range(N_PARTS):
        joints.append(ours.joint(snapshot))
        is_random = rng.random(n_rows // N_PARTS) < RANDOM_SHARE
        parts.append(sent(known, joints, np.where(is_random, 0, part + 1), rng))
        if part + 1 < N_PARTS:
            ours.learn(learner, parts[-1])
            snapshot = learner.snapshot(watermark=learner.n_learned)
    return Sends(*(np.concatenate(column) for column in zip(*parts, strict=True))), joints


def weighed(known: World, sends: Sends, joints: Sequence[np.ndarray]) -> tuple[Weighed, Reach]:
    """As `evaluate` weighs it, each kind of row once, with a model of arms that add up; and what pairs could have weighed."""
    at = (sends.deciders, sends.kinds, *sends.picks.T)
    additive, pairwise = (
        np.stack([[pinv_table(joint[k], known.joint[k], order) for k in range(N_KINDS)] for joint in joints])
        for order in (1, 2)
    )
    behavior = np.stack(joints)
    predicted, expected, staged = (np.empty(len(sends.rewards)) for _ in range(3))
    for own, mean, by_arm in _slopes(sends):
        some = Sends(*(column[own] for column in sends))
        chosen, hoped = _along(known, some, mean, by_arm)
        predicted[own], expected[own] = chosen[:, -1], hoped[:, 0]
        weights = _marginal_weights(known, some, behavior)
        staged[own] = stage_wise_scores(some.rewards, weights, hoped, chosen)
    found = weigh(
        sends.rewards, behavior[at], known.joint[at[1:]], predicted=predicted, expected=expected, additive=additive[at],
        pairwise=pairwise[at],
    )  # fmt: skip
    return replace(found, staged=staged), Reach(float(pairwise.max()), least_weight=float(pairwise.min()))


def _slopes(sends: Sends) -> Iterator[tuple[np.ndarray, float, list[np.ndarray]]]:
    """For each kind and fold its rows, and what a ridge regression on the other folds says: mean, and slopes by arm."""
    seen = np.hstack([np.eye(size)[sends.picks[:, d]] for d, size in enumerate(SIZES)])
    folds = np.arange(len(seen)) % N_FOLDS
    for kind in range(N_KINDS):
        for fold in range(N_FOLDS):
            own, others = ((sends.kinds == kind) & is_fold for is_fold in (folds == fold, folds != fold))
            mean = float(sends.rewards[others].mean()) if others.any() else BASE
            gram = seen[others].T @ seen[others] + RIDGE * np.eye(seen.shape[1])
            slopes = np.linalg.solve(gram, seen[others].T @ (sends.rewards[others] - mean))
            yield own, mean, np.split(slopes, np.cumsum(SIZES)[:-1])


def _along(known: World, some: Sends, mean: float, by_arm: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Shape (n, n_dimensions) each: what each stage's model expects of the logged arm, and of the target's.

    A sum over arms needs no more fitting: what later dimensions bring is what the target's arms of them bring.
    """
    hoped = [np.einsum("na,a->n", pmf[some.kinds], slope) for pmf, slope in zip(known.target, by_arm, strict=True)]
    picked = [slope[some.picks[:, d]] for d, slope in enumerate(by_arm)]
    chosen, values = [], []
    for d in range(len(SIZES)):
        later = mean + sum(picked[:d], np.zeros(len(some.kinds))) + sum(hoped[d + 1 :], np.zeros(len(some.kinds)))
        chosen.append(later + picked[d])
        values.append(later + hoped[d])
    return np.stack(chosen, axis=1), np.stack(values, axis=1)


def _marginal_weights(known: World, some: Sends, behavior: np.ndarray) -> np.ndarray:
    """Shape (n, n_dimensions): the target's probability of the first picks together over that with which they were drawn."""
    weights = []
    for d in range(len(SIZES)):
        later = tuple(range(d + 2, len(SIZES) + 1))
        first = (some.kinds, *some.picks.T[: d + 1])
        drawn = behavior.sum(axis=tuple(axis + 1 for axis in later))[(some.deciders, *first)]
        weights.append(known.joint.sum(axis=later)[first] / drawn)
    return np.stack(weights, axis=1)


def answers(
    name: str, seed: int, exponent: float, n_rows: int, seeds: Sequence[np.random.SeedSequence]
) -> dict[str, np.ndarray]:
    """By estimator shape (n_logs, 3): value and both ends of the interval, in units of the truth.

    Beside them, of each log: what it earned in the same unit, and how many of the target's own rows pairs make it worth.
    """
    known = world(name, seed)
    found: dict[str, list[Any]] = {one: [] for one in (*INTERVALS, "logged", "ess")}
    columns = [*ALWAYS, *(column for one in NAMES for column in METHODS[one].columns)]
    for own in seeds:
        sends, joints = logged(name, seed, exponent, n_rows, np.random.default_rng(own))
        rows, reach = weighed(known, sends, joints)
        sums, by_pairs = Sums.of_stack(*stack(rows, columns)), _by_pairs(rows)
        given = {one: METHODS[one].estimate(sums, KNOWN) for one in NAMES}
        normal = estimate(METHODS[DEFAULT].estimator, sums)
        given |= {NORMAL: normal, WILSON: on_effective_sample(normal), KNOWN_WEIGHTS: cressie_read(by_pairs, reach)}
        for one, answer in given.items():
            found[one].append(np.array([answer.value, answer.ci_lower, answer.ci_upper]) / known.value)
        found["logged"].append(known.clicks[(sends.kinds, *sends.picks.T)].mean() / known.value)
        found["ess"].append(Overlap.of(by_pairs).ess)
    return {one: np.array(values, dtype=np.float64) for one, values in found.items()}


def _by_pairs(rows: Weighed) -> Sums:
    """What the verdict of `evaluate` is on."""
    weights = rows.weights if rows.pairwise is None else rows.pairwise
    return Sums.of_stack(*stack(replace(rows, weights=weights), ALWAYS))


def sequential(n_logs: int, pool: Pool, n_rows: int = N_ROWS) -> dict[str, Any]:
    """Every kind of world, two worlds of each; `n_logs` of each world with the exploring policy, fewer with the settled one."""
    numbers = {"exploring": n_logs, "settled": max(round(SETTLED_SHARE * n_logs), 1)}
    cells = {
        (policy, name, seed): Cell(
            f"{policy} {name} {seed}", partial(answers, name, seed, exponent, n_rows), numbers[policy], 5
        )
        for policy, exponent in EXPONENTS.items()
        for name in WORLDS
        for seed in WORLD_SEEDS
    }
    found = pool.simulated(list(cells.values()), LOG_SEED)
    return {
        "seeds": {"worlds": list(WORLD_SEEDS), "logs": LOG_SEED},
        "sizes": list(SIZES),
        "n_rows": n_rows,
        "floor": FLOOR,
        "random_share": RANDOM_SHARE,
        "n_snapshots": N_PARTS,
        "n_learned_before": round(EARLIER * n_rows),
        "default": DEFAULT,
        "exponents": EXPONENTS,
        "worlds": {name: _about(name) for name in WORLDS},
        "policies": {
            policy: {
                name: _summary(
                    [found[cell.name] for at, cell in cells.items() if at[:2] == (policy, name) and cell.name in found]
                )
                for name in WORLDS
            }
            for policy in EXPONENTS
        },
    }


def gates_of_sequential(found: dict[str, Any]) -> list[Gate]:
    """The interval that is put first holds the truth in every world, of the policy that goes on exploring."""
    return [
        Gate(f"sequential, {name}: {DEFAULT}", one.get("estimators", {}).get(DEFAULT, {}).get("coverage"), least=0.92)
        for name, one in found["policies"]["exploring"].items()
    ]


def _about(name: str) -> dict[str, Any]:
    known = [world(name, seed) for seed in WORLD_SEEDS]
    return {
        "value": [round(one.value, 5) for one in known],
        "not_additive": [round(unexplained(one.clicks, 1), 4) for one in known],
        "beyond_pairs": [round(unexplained(one.clicks, 2), 4) for one in known],
    }


def _summary(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, Any]:
    if not parts:
        return {}
    return {
        "value_to_logged": [round(1.0 / float(part["logged"].mean()), 3) for part in parts],
        "median_ess": [round(float(np.median(part["ess"])), 1) for part in parts],
        "estimators": {one: quality([part[one] for part in parts]) for one in INTERVALS},
    }
