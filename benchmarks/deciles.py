"""Tenths of customers by the chance they were given: what was given, what came true, and what is true."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bandit.arrays import BoolArray, FloatArray

MOST_NOISE = 0.05
"""Noise of an observed share above which a mean chance is held against the truth instead."""


class Seen:
    """Chances given, what came true, and the true chances, of all seeds."""

    def __init__(self) -> None:
        self.chances: list[FloatArray] = []
        self.happened: list[BoolArray] = []
        self.truths: list[FloatArray] = []

    def add(self, chances: FloatArray, happened: BoolArray, truths: FloatArray) -> None:
        """What one seed gave."""
        self.chances.append(chances)
        self.happened.append(happened)
        self.truths.append(truths)

    def deciles(self) -> list[dict[str, Any]]:
        """Ten rows, from the lowest chances on."""
        given, came, true = (np.concatenate(one) for one in (self.chances, self.happened, self.truths))
        rows = [decile(given[part], came[part], true[part]) for part in tenths(given)]
        by_seed = [
            [error_in(given[part], true[part]) for part in tenths(given)]
            for given, true in zip(self.chances, self.truths, strict=True)
        ]
        return [{**row, "errors against truth, by seed": errors} for row, *errors in zip(rows, *by_seed, strict=True)]


def tenths(chances: FloatArray) -> list[NDArray[np.intp]]:
    """Places of customers, from the lowest chances on, in ten parts."""
    return np.array_split(np.argsort(chances, kind="stable"), 10)


def error_in(chances: FloatArray, truths: FloatArray) -> float | None:
    """Mean chance over mean true chance, less 1; None where nothing is true."""
    return float(chances.mean() / truths.mean() - 1.0) if truths.any() else None


def decile(chances: FloatArray, happened: BoolArray, truths: FloatArray) -> dict[str, Any]:
    """One row of the table."""
    given, came, true = float(chances.mean()), float(happened.mean()), float(truths.mean())
    noise = float(np.sqrt((truths * (1.0 - truths)).sum()) / len(truths) / max(true, 1e-12))
    by_observed = given / came - 1.0 if came else None
    by_truth = error_in(chances, truths)
    ends = stats.binomtest(int(happened.sum()), len(happened)).proportion_ci(0.95, "exact")
    return {
        "customers": len(chances), "came true": int(happened.sum()), "given": given, "observed": came,
        "observed, .95 interval": [float(ends.low), float(ends.high)], "true": true, "noise": noise,
        "error against observed": by_observed, "error against truth": by_truth,
        "error": by_observed if noise <= MOST_NOISE else by_truth,
    }  # fmt: skip
