"""What a learner's uneven sends cost: sends it takes to tell two arms apart, against an even split."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from adaptive_logs import FLOOR, N_ARMS, N_SENDS, Scenario, learned
from gates import Gate
from simulations import Cell, Pool

from evaluation.power import COLLECTORS, settled_multiplier

LOG_SEED = 20_261_206
SCENARIOS = {"no effect": Scenario((0.04,)), "one arm better": Scenario((0.04,), gain=0.2, relative=True)}
LEARNERS = ("squarecb", "thompson")


def cost(learner: str, scenario: Scenario, seeds: Sequence[np.random.SeedSequence]) -> dict[str, np.ndarray]:
    """Mean over pairs of arms and sends of (1 / p + 1 / p') / 2K: squared width of AIPW against that of an even split."""
    inverse = (1 / learned(learner, scenario, seeds).pmfs).mean(axis=1)
    pairs = [(inverse[:, one] + inverse[:, other]) / (2 * N_ARMS) for one, other in combinations(range(N_ARMS), 2)]
    return {"cost": np.mean(pairs, axis=0)}


def collectors(n: int, pool: Pool) -> dict[str, Any]:
    """Every learner of `adaptive_logs`, with and without a better arm.

    Args:
        n: logs of each.
        pool: simulates.
    """
    cells = [
        Cell(f"{learner}, {name}", partial(cost, learner, scenario), n)
        for learner in LEARNERS
        for name, scenario in SCENARIOS.items()
    ]
    found = pool.simulated(cells, LOG_SEED)
    return {
        "seed": LOG_SEED,
        "n_arms": N_ARMS,
        "n_sends": N_SENDS,
        "least_propensity": FLOOR,
        "settled": round(settled_multiplier(N_ARMS, FLOOR), 3),
        "cost": {cell.name: round(float(found[cell.name]["cost"].mean()), 3) for cell in cells if cell.name in found},
    }


def gates_of_collectors(found: dict[str, Any]) -> list[Gate]:
    """`manyarm power` plans with no less than was measured, and with no more than half as much again."""
    return [
        Gate(
            f"cost of {name}",
            figure,
            least=COLLECTORS[name.split(",")[0]] / 1.5,
            largest=COLLECTORS[name.split(",")[0]] * 1.05,
        )
        for name, figure in found["cost"].items()
    ]
