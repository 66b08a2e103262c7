"""Can this log answer this question? What the weights say of it, and the verdict in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, sqrt

import scipy

from evaluation.columns import REWARDED, WEIGHT
from evaluation.sums import Sums

LEAST_ESS = 100.0
LEAST_REWARDED = 20.0
"""Effective sends that were rewarded, below which an answer is thin."""
LEAST_P = 1e-3
"""A mean weight this unlikely under honest propensities makes the answer unreliable."""
LEAST_SUPPORT = 1.0 - 1e-6


class Verdict(StrEnum):
    """How far an answer may be trusted, from the best to the worst."""

    RELIABLE = "reliable"
    THIN = "thin"
    UNRELIABLE = "unreliable"
    CANNOT_ANSWER = "cannot answer"


@dataclass(frozen=True, slots=True)
class Overlap:
    """What the log holds of what the target would do.

    Attributes:
        n: rows.
        ess: effective sample size, (sum w)^2 / sum w^2: the rows of the target's own that the log is worth.
        max_weight, mean_weight: of the weights; the mean is 1 where propensities are honest and nothing is missing.
        mean_weight_p: how likely a mean at least as far from 1 is by chance.
        support: share of the target's probability on choices that the log could have shown; None where the log has no
            pmfs, so that nobody knows.
        rewarded: effective sends that were rewarded: ess x the weighed share of those whose outcomes were worth anything.
    """

    n: int
    ess: float
    max_weight: float
    mean_weight: float
    mean_weight_p: float
    support: float | None
    rewarded: float

    @classmethod
    def of(cls, sums: Sums, support: float | None = None) -> Overlap:
        """From sums over `evaluation.columns.ALWAYS`."""
        mean, spread = sums.mean(WEIGHT.name), sums.covariance(WEIGHT.name, WEIGHT.name)
        square = spread + mean**2
        ess = sums.n * mean**2 / square if square else 0.0
        rewarded = max(ess * sums.mean(REWARDED.name) / mean, 0.0) if mean else 0.0
        return cls(sums.n, ess, sums.high(WEIGHT.name), mean, _p_value(mean, spread, sums.n), support, rewarded)

    @property
    def verdict(self) -> Verdict:
        """The worst that applies."""
        return self._found[0]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, and what to do, in words; empty where the answer is reliable."""
        return self._found[1]

    @property
    def _found(self) -> tuple[Verdict, tuple[str, ...]]:
        impossible = self._impossible()
        if impossible:
            return Verdict.CANNOT_ANSWER, impossible
        unreliable = self._unreliable()
        if unreliable:
            return Verdict.UNRELIABLE, unreliable
        thin = self._thin()
        return (Verdict.THIN, thin) if thin else (Verdict.RELIABLE, ())

    def _impossible(self) -> tuple[str, ...]:
        if self.mean_weight == 0.0:
            text = (
                f"In none of the {self.n:,} sends did the log do what the target would have done, so it says nothing about the "
                "target. Send some traffic at random (a random group, or a floor), or ask about a target closer to what was sent."
            )
            return (text,)
        if self.support is not None and self.support < LEAST_SUPPORT:
            text = (
                f"{1.0 - self.support:.1%} of what the target would send could never have been sent in this log: those arms had "
                "probability 0. Nobody can know what they would have earned. Restrict the target to arms that were possible, "
                "or raise the floor and collect new sends."
            )
            return (text,)
        return ()

    def _unreliable(self) -> tuple[str, ...]:
        found = []
        if self.ess < LEAST_ESS:
            found.append(
                f"The {self.n:,} sends are worth only {self.ess:.0f} sends of the target's own (at least {LEAST_ESS:.0f} are "
                f"needed). {self._collect(LEAST_ESS / self.ess)}"
            )
        elif self.mean_weight_p < LEAST_P:
            # Of a few effective rows the mean is not normal, and the test would cry wolf.
            found.append(
                f"The average weight is {self.mean_weight:.3f}; it has to be 1 to within chance (p = {self.mean_weight_p:.1g}). "
                "Either the propensities are not the ones that were used, or rows are missing, or the target wants what was "
                "never sent. Run `manyarm verify`, and check --propensity."
            )
        return tuple(found)

    def _thin(self) -> tuple[str, ...]:
        if self.rewarded >= LEAST_REWARDED:
            return ()
        needed = LEAST_REWARDED / self.rewarded if self.rewarded else LEAST_REWARDED
        text = (
            f"Only about {self.rewarded:.0f} rewarded sends speak for the target (at least {LEAST_REWARDED:.0f} are needed): the "
            f"interval leans on a handful of customers. {self._collect(needed)}"
        )
        return (text,)

    def _collect(self, times: float) -> str:
        more = max(ceil(self.n * (times - 1.0)), 1)
        return (
            f"Collect about {_rounded(more):,} more sends like these, or fewer with a larger share at random or a higher floor; "
            "or ask about a target closer to what was sent."
        )


def _rounded(count: int) -> int:
    """Two digits are all that such a forecast is good for."""
    unit = int(10 ** max(len(str(count)) - 2, 0))
    return ceil(count / unit) * unit


def _p_value(mean: float, variance: float, n: int) -> float:
    """Two-sided p-value of the mean weight against 1; a mean that cannot vary is 1 or it is wrong."""
    error = sqrt(max(variance, 0.0) / n)
    if error <= 1e-12:
        return 1.0 if abs(mean - 1.0) <= 1e-6 else 0.0
    return float(2.0 * scipy.stats.norm.sf(abs(mean - 1.0) / error))
