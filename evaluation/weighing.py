"""From a batch of a log and a target to weighed rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from evaluation.log_batch import LogBatch
from evaluation.pseudo_inverse import product_weights
from evaluation.target import FixedTarget, RulesTarget, Target, UniformTarget
from evaluation.weighed import Weighed, require_pmfs, weigh

PRODUCT_TARGETS = (UniformTarget, FixedTarget, RulesTarget)
"""Targets whose dimensions do not look at each other, so that their weights have a closed form."""


class RewardModel(Protocol):
    """Says what reward each arm would bring. It has not learned from the rows it is asked about."""

    def values(self, batch: LogBatch) -> FloatArray:
        """Shape (n, n_arms), in reward units; for logs of one dimension."""


class Weigher(Protocol):
    """Weighs batches of one log for one target."""

    @property
    def name(self) -> str:
        """The target's, in reports."""

    def weigh(self, batch: LogBatch) -> Weighed:
        """The batch, weighed."""


@dataclass(frozen=True, slots=True)
class ColumnWeigher:
    """A target known only by its probability of what was logged: a column of the log.

    Caution: whatever needs the target's other probabilities (reward models, support) is not to be had.
    """

    column: str

    @property
    def name(self) -> str:
        """As on the command line."""
        return f"column:{self.column}"

    def weigh(self, batch: LogBatch) -> Weighed:
        """The batch by that column."""
        rows = weigh(batch.rewards, _joint(batch), batch.targets[self.column], first_row=batch.first_row)
        return replace(rows, largest=_reciprocal(batch) if batch.pmfs is None else _least_reciprocal(batch))


@dataclass(frozen=True, slots=True)
class TargetWeigher:
    """A target that knows the probability of every arm, and perhaps a reward model beside it."""

    target: Target
    model: RewardModel | None = None

    @property
    def name(self) -> str:
        """The target's."""
        return self.target.name

    def weigh(self, batch: LogBatch) -> Weighed:
        """The batch, with support and largest weights where the log has pmfs, and additive ones for several dimensions.

        Raises:
            UnusableLog: for rows that cannot be weighed.
        """
        _require_honest_pmfs(batch)
        pmfs = self.target.pmfs(batch)
        at = np.arange(len(batch))
        logged = np.stack([pmf[at, batch.picks[:, d]] for d, pmf in enumerate(pmfs)], axis=1)
        predicted, expected = self._modelled(batch, pmfs)
        rows = weigh(
            batch.rewards, _joint(batch), logged.prod(axis=1), predicted=predicted, expected=expected,
            first_row=batch.first_row,
        )  # fmt: skip
        additive = pairwise = None
        drawn_apart = batch.is_product is not None and bool(batch.is_product.all())
        if drawn_apart and len(pmfs) > 1 and isinstance(self.target, PRODUCT_TARGETS):
            additive, pairwise = product_weights(logged / batch.propensities)
        support, largest = _possible(batch, pmfs)
        return replace(rows, support=support, largest=largest, additive=additive, pairwise=pairwise)

    def _modelled(
        self, batch: LogBatch, pmfs: tuple[FloatArray, ...]
    ) -> tuple[FloatArray, FloatArray] | tuple[None, None]:
        if self.model is None:
            return None, None
        if len(pmfs) > 1:
            raise UnusableLog(
                f"a reward model of single arms cannot value choices of {len(pmfs)} dimensions. Use snips, pi or order-2."
            )
        values = self.model.values(batch)
        return values[np.arange(len(batch)), batch.picks[:, 0]], np.einsum("na,na->n", values, pmfs[0])


def _joint(batch: LogBatch) -> FloatArray:
    """Propensity of the whole logged choice; a part that is none stands for it, so that the row is refused."""
    parts = batch.propensities
    valid = (parts > 0.0) & (parts <= 1.0)
    found: FloatArray = parts.prod(axis=1)
    if not valid.all():
        found = np.where(valid.all(axis=1), found, parts[np.arange(len(parts)), np.argmin(valid, axis=1)])
    return found


def _require_honest_pmfs(batch: LogBatch) -> None:
    """The pmfs are distributions, and the propensities stand in them."""
    if batch.pmfs is None:
        return
    at = np.arange(len(batch))
    for d, (name, pmf) in enumerate(zip(batch.layout.dimensions, batch.pmfs, strict=True)):
        require_pmfs(pmf, f"the logged pmf of {name!r}", first_row=batch.first_row)
        apart = np.abs(pmf[at, batch.picks[:, d]] - batch.propensities[:, d])
        if (apart > 1e-9).any():
            row = int(np.argmax(apart > 1e-9))
            raise UnusableLog(
                f"row {batch.first_row + row}: the propensity of {name!r} is {float(batch.propensities[row, d])!r}, its pmf says "
                f"{float(pmf[row, batch.picks[row, d]])!r}. One of them is not what was used: run `manyarm verify`."
            )


def _possible(batch: LogBatch, pmfs: tuple[FloatArray, ...]) -> tuple[FloatArray | None, FloatArray]:
    """Share of the target on what could have been logged, and the largest weight each row could have had."""
    if batch.pmfs is None:
        return None, _reciprocal(batch)
    support, largest = np.ones(len(batch)), np.ones(len(batch))
    for logged, target in zip(batch.pmfs, pmfs, strict=True):
        possible = logged > 0.0
        support *= np.where(possible, target, 0.0).sum(axis=1)
        largest *= np.divide(target, logged, out=np.zeros_like(target), where=possible).max(axis=1)
    return support, largest


def _reciprocal(batch: LogBatch) -> FloatArray:
    """Without pmfs, no more is known than the least propensity that was drawn."""
    found: FloatArray = 1.0 / _joint(batch)
    return found


def _least_reciprocal(batch: LogBatch) -> FloatArray:
    """With pmfs, but not the target's: 1 over the least probability anything had."""
    largest = np.ones(len(batch))
    for pmf in batch.pmfs or ():
        largest /= np.where(pmf > 0.0, pmf, 1.0).min(axis=1)
    return largest
