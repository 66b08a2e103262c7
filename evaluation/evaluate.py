"""What another policy would have earned: batches of a log in, values with intervals and a verdict out.

One pass over the log, whatever its length: each batch is weighed, its columns are summed, and the sums are added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from bandit.errors import UnusableLog
from evaluation.columns import ALWAYS, LARGEST, REWARD, SUPPORT, AnyColumn, stack
from evaluation.estimator import Estimate, part
from evaluation.intervals import is_binary
from evaluation.log_batch import LogBatch
from evaluation.methods import Known, Method
from evaluation.overlap import Overlap, Verdict
from evaluation.poisson_bootstrap import Resamples
from evaluation.sums import Sums
from evaluation.weighing import Weigher

TARGET, AGAINST = "target:", "against:"


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Everything an evaluation needs of some rows; two of them add.

    Attributes:
        sums: the columns of the target, and of what it is held against, by prefix.
        is_binary: whether every reward so far is 0 or 1.
        resamples: of the same columns, where a bootstrap was asked for.
    """

    sums: Sums
    is_binary: bool
    resamples: Resamples | None = None

    def __add__(self, other: Tally) -> Tally:
        """Both parts of the log together."""
        resamples = self.resamples + other.resamples if self.resamples and other.resamples else None
        return Tally(self.sums + other.sums, self.is_binary and other.is_binary, resamples)


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How to resample: how often, and from which generator."""

    generator: np.random.Generator
    n_resamples: int = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found.

    Attributes:
        target: its name.
        overlap: what the weights say, with the verdict.
        behavior_value: mean reward of the log itself.
        estimates: by method.
    """

    target: str
    overlap: Overlap
    behavior_value: float
    estimates: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One target's answer, and how it differs from another's.

    Attributes:
        answer: of the target.
        against: of what it was held against, if anything.
        difference: target minus the other, by method, of rows weighed by both at once; empty where one cannot be answered.
    """

    answer: Answer
    against: Answer | None = None
    difference: Mapping[str, Estimate] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The worse of both answers' verdicts."""
        order = list(Verdict)
        found = [one.overlap.verdict for one in (self.answer, self.against) if one]
        return max(found, key=order.index)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, for each answer that is not reliable."""
        named = [(one.target, reason) for one in (self.answer, self.against) if one for reason in one.overlap.reasons]
        return tuple(f"{name}: {reason}" if self.against else reason for name, reason in named)


def tally(
    batches: Iterable[LogBatch],
    methods: tuple[Method, ...],
    target: Weigher,
    against: Weigher | None = None,
    bootstrap: Bootstrap | None = None,
) -> Tally:
    """One pass over a log.

    Args:
        batches: at least one row in all.
        methods: whose columns to sum.
        target: weighs rows.
        against: weighs them too, for a difference.
        bootstrap: asks for resamples.

    Raises:
        UnusableLog: if there is no row, or one cannot be weighed.
    """
    found: Tally | None = None
    for batch in batches:
        if len(batch):
            one = tally_batch(batch, methods, target, against, bootstrap)
            found = one if found is None else found + one
    if found is None:
        raise UnusableLog(
            "the log has no row to evaluate. Rows count once their reward is final: wait, or check the mapping."
        )
    return found


def tally_batch(
    batch: LogBatch,
    methods: tuple[Method, ...],
    target: Weigher,
    against: Weigher | None = None,
    bootstrap: Bootstrap | None = None,
) -> Tally:
    """One batch, to be added to others: what a worker on one partition computes."""
    names, values = _stacked(batch, target, methods, TARGET)
    if against:
        others = _stacked(batch, against, methods, AGAINST)
        names, values = (*names, *others[0]), np.concatenate([values, others[1]])
    sums = Sums.of_stack(names, values)
    resamples = None
    if bootstrap:
        resamples = Resamples.of_stack(names, values, bootstrap.generator, bootstrap.n_resamples)
    return Tally(sums, is_binary(batch.rewards), resamples)


def _stacked(
    batch: LogBatch, weigher: Weigher, methods: tuple[Method, ...], prefix: str
) -> tuple[tuple[str, ...], np.ndarray]:
    rows = replace(weigher.weigh(batch), rewarded=batch.rewarded)
    columns: list[AnyColumn] = [*ALWAYS]
    columns += [SUPPORT] * (rows.support is not None) + [LARGEST] * (rows.largest is not None)
    columns += [column for method in methods for column in method.columns]
    names, values = stack(rows, columns)
    return tuple(prefix + name for name in names), values


def conclude(
    found: Tally, methods: tuple[Method, ...], known: Known, target: str, against: str | None = None
) -> Evaluation:
    """Values, intervals and verdicts from a tally.

    Args:
        found: over the columns of `methods`.
        methods: the same.
        known: what is known beside the log; whether rewards are 0 or 1 is taken from the tally.
        target: its name, for the report.
        against: the other's.
    """
    known = replace(known, is_binary=found.is_binary)
    answer = _answer(found, methods, known, TARGET, target)
    if against is None:
        return Evaluation(answer)
    other = _answer(found, methods, known, AGAINST, against)
    differences: dict[str, Estimate] = {}
    if Verdict.CANNOT_ANSWER not in {answer.overlap.verdict, other.overlap.verdict}:
        differences = {method.name: method.difference(found.sums, TARGET, AGAINST, known) for method in methods}
    return Evaluation(answer, other, differences)


def _answer(found: Tally, methods: tuple[Method, ...], known: Known, prefix: str, name: str) -> Answer:
    sums = part(found.sums, prefix)
    support = sums.mean(SUPPORT.name) if SUPPORT.name in sums.names else None
    overlap = Overlap.of(sums, support)
    estimates: dict[str, Estimate] = {}
    if overlap.verdict is not Verdict.CANNOT_ANSWER:
        estimates = {method.name: method.estimate(sums, known) for method in methods}
        estimates |= _bootstrapped(found.resamples, methods, sums, prefix, known)
    return Answer(name, overlap, sums.mean(REWARD.name), estimates)


def _bootstrapped(
    resamples: Resamples | None, methods: tuple[Method, ...], sums: Sums, prefix: str, known: Known
) -> dict[str, Estimate]:
    if resamples is None:
        return {}
    at = [i for i, name in enumerate(resamples.names) if name.startswith(prefix)]
    own = Resamples(sums.names, resamples.counts, resamples.totals[at])
    return {
        f"{method.name} (bootstrap)": own.interval(method.estimator, sums, known.confidence_level)
        for method in methods
        if method.can_be_resampled
    }
