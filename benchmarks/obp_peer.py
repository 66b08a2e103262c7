"""Open Bandit Pipeline's side of the evaluation benchmark: a process of its own, as its pins fit no other environment.

Run by evaluate.py, which says where an interpreter with obp 0.5.7 is; imports nothing of ours.

It is given a file of arrays, says `ready`, and then answers each line on standard input (`values` or `intervals`) with one
line of JSON: the seconds of the work itself, without any reading or writing, and what it found.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

warnings.filterwarnings("ignore")  # the packages' own affairs

import numpy as np  # noqa: E402 - after the filter
from obp.ope import (  # type: ignore[import-not-found]  # noqa: E402
    DirectMethod,
    DoublyRobust,
    DoublyRobustWithShrinkage,
    InverseProbabilityWeighting,
    SelfNormalizedDoublyRobust,
    SelfNormalizedInverseProbabilityWeighting,
    SubGaussianDoublyRobust,
    SwitchDoublyRobust,
)

ESTIMATORS = {
    "ips": InverseProbabilityWeighting(),
    "ips-clipped": InverseProbabilityWeighting(lambda_=10.0),
    "snips": SelfNormalizedInverseProbabilityWeighting(),
    "dm": DirectMethod(),
    "dr": DoublyRobust(),
    "sndr": SelfNormalizedDoublyRobust(),
    "switch-dr": SwitchDoublyRobust(lambda_=10.0),
    "dros": DoublyRobustWithShrinkage(lambda_=50.0),
    "dr-subgaussian": SubGaussianDoublyRobust(lambda_=0.05),
}
"""By the names that ours go by, with the same constants."""
N_RESAMPLES, SEED = 100, 12345

Arguments = dict[str, np.ndarray]


def arguments(path: str) -> Arguments:
    """What its estimators are called with."""
    with np.load(path) as kept:
        return {
            "reward": kept["rewards"],
            "action": kept["picks"],
            "pscore": kept["propensities"],
            "action_dist": kept["target"][:, :, None],
            "estimated_rewards_by_reg_model": kept["model"][:, :, None],
            "position": np.zeros(len(kept["rewards"]), dtype=int),
        }


def values(known: Arguments) -> dict[str, object]:
    """All values, then all standard errors: there is no call for one, so they are the spread of the rows' rewards."""
    start = time.perf_counter()
    found = {name: float(estimator.estimate_policy_value(**known)) for name, estimator in ESTIMATORS.items()}
    alone = time.perf_counter() - start
    errors = {name: _error(estimator._estimate_round_rewards(**known)) for name, estimator in ESTIMATORS.items()}  # noqa: SLF001
    return {"seconds": time.perf_counter() - start, "seconds_values": alone, "values": found, "errors": errors}


def _error(rewards: np.ndarray) -> float:
    return float(np.sqrt(rewards.var() / (len(rewards) - 1)))


def intervals(known: Arguments) -> dict[str, object]:
    """A bootstrap interval of each."""
    start = time.perf_counter()
    found = {
        name: estimator.estimate_interval(n_bootstrap_samples=N_RESAMPLES, random_state=SEED, **known)
        for name, estimator in ESTIMATORS.items()
    }
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "intervals": {name: list(map(float, one.values())) for name, one in found.items()}}


def main() -> None:
    known = arguments(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        answer = {"values": values, "intervals": intervals}[line.strip()]
        print(json.dumps(answer(known)), flush=True)


if __name__ == "__main__":
    main()
