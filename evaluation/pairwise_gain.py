"""What one policy earns more than another over whole choices, row by row, for a gate: order 2, with known bounds.

A whole choice weighs a product of ratios, and how large that could have been leaves nothing certain. Here each row is weighed
for dimensions and pairs of them (`evaluation.pseudo_inverse`), by the *difference* of both targets' weights. All choices that
a row could have drawn are known from what decided it, so the least and the largest difference are known, not read off the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.context import Context, ContextValue
from bandit.errors import UnusableLog
from bandit.exclusion import Excluded
from bandit.wear_out import Exposure
from evaluation.behavior import NOW, Behavior, Decider, Rules, behavior_of, what_drew
from evaluation.columns import ALWAYS, stack
from evaluation.cressie_read import Reach, cressie_read_gain
from evaluation.estimator import part
from evaluation.evaluate import AGAINST, TARGET, Evaluation, Tally, conclude
from evaluation.intervals import is_binary
from evaluation.joint_pmf import Joint
from evaluation.log_batch import LogBatch
from evaluation.methods import Known
from evaluation.pseudo_inverse import pinv_table
from evaluation.sums import Sums
from evaluation.weighed import Weighed, weigh

ORDER = 2
GAIN, LEAST, LARGEST = "gain:", "least", "largest"
PAIRWISE = "cressie-read-order-2"
"""Name of the difference that `gain_in` adds to an evaluation."""
KINDS_KEPT = 256
"""Customers with the same context, decided by the same snapshot, are weighed once."""


class _Kind(NamedTuple):
    """All that the weights of a row's choices hang on, and the rules that it was drawn by."""

    decider: str
    context: tuple[tuple[str, ContextValue], ...]
    exposures: tuple[Exposure, ...]
    excluded: tuple[Excluded, ...]
    recent_sends: int | None
    rules: Rules = NOW


class _Found(NamedTuple):
    """What was found of one row: both weights, and what 1 + their difference could have been."""

    new: float
    serving: float
    least: float
    largest: float


class _Tables(NamedTuple):
    """Of every choice that could have been drawn: its probability, and both weights of shape (n_arms of each dimension)."""

    behavior: Behavior
    new: FloatArray
    serving: FloatArray

    def reach(self) -> tuple[float, float]:
        """Least and largest of 1 + the difference of both weights."""
        differences = (self.new - self.serving)[self.behavior.pmf > 0.0]
        return 1.0 + float(differences.min()), 1.0 + float(differences.max())

    def of(self, picks: tuple[int, ...]) -> _Found:
        """What is found of a row with these picks."""
        return _Found(float(self.new[picks]), float(self.serving[picks]), *self.reach())


@dataclass(frozen=True, slots=True)
class PairwiseGain:
    """Weighs rows of our own log for two targets at once.

    Args:
        campaign: that made the log.
        new: what is asked about.
        serving: what it is held against.
        deciders: who decided, by snapshot; the random policy under the empty name.
    """

    campaign: Campaign
    new: Joint
    serving: Joint
    deciders: Mapping[str, Decider]

    def tally(self, batches: Iterable[LogBatch]) -> Tally:
        """Sums over both targets' weights, and over 1 + their difference with the least and largest that it could have been.

        Raises:
            UnusableLog: if there is no row, if a row's probabilities are not those that its snapshot gives, or if a target
                picks what the log could not have picked.
        """
        tables = lru_cache(maxsize=KINDS_KEPT)(self._tables)
        found: Tally | None = None
        for batch in batches:
            if len(batch):
                one = self._tally(batch, tables)
                found = one if found is None else found + one
        if found is None:
            raise UnusableLog("the log has no row to judge by. Rows count once their reward is final: wait.")
        return found

    def _tally(self, batch: LogBatch, tables: Callable[[_Kind], _Tables]) -> Tally:
        if batch.deciders is None or not batch.tells_past(self.campaign):
            raise UnusableLog(
                "this log does not say which snapshot decided each row, or what customers had got before. Judge by the database "
                "itself."
            )
        propensities = batch.propensities.prod(axis=1)
        checked = weigh(batch.rewards, propensities, np.zeros(len(batch)), first_row=batch.first_row)
        checked = replace(checked, rewarded=batch.rewarded)
        picks: list[list[int]] = batch.picks.tolist()
        rows = zip(_kinds(batch), picks, propensities.tolist(), batch.numbers.tolist(), strict=True)
        found = np.array([self._weighed(tables, kind, tuple(at), p, number) for kind, at, p, number in rows])
        return Tally(_sums(checked, found), is_binary(batch.rewards))

    def _weighed(
        self, tables: Callable[[_Kind], _Tables], kind: _Kind, picks: tuple[int, ...], propensity: float, number: int
    ) -> _Found:
        """One row.

        Raises:
            UnusableLog: if it was not drawn from the tables' pmf, neither by the rules of now nor by those of before.
        """
        has_dead_ends = any(self.campaign.eligibility.looks_ahead)

        def made(rules: Rules) -> Behavior:
            return tables(kind._replace(rules=rules)).behavior

        drew = what_drew(made, picks, propensity, number, has_dead_ends=has_dead_ends)
        return tables(kind._replace(rules=drew.rules)).of(picks)

    def _tables(self, kind: _Kind) -> _Tables:
        context = self.campaign.schema.encode(Context(dict(kind.context)))
        context = context._replace(exposures=kind.exposures, excluded=kind.excluded, recent_sends=kind.recent_sends)
        decider = self.deciders[kind.decider]
        behavior = behavior_of(decider, context, kind.rules)
        targets = (joint.pmf(context) for joint in (self.new, self.serving))
        return _Tables(behavior, *(pinv_table(behavior.pmf, target, ORDER) for target in targets))


def gain_in(found: Tally, rewards: tuple[float, float], new: str, serving: str) -> Evaluation:
    """What both targets' weights say of the log, and what the one earns more than the other, under `PAIRWISE`.

    Args:
        found: by `PairwiseGain.tally`.
        rewards: least and largest that a send can have.
        new: name of what is asked about.
        serving: name of what it is held against.

    Returns:
        Both answers' verdicts, by weights of pairs, and the gain with its Cressie-Read interval.

    Caution: rewards that hang on three dimensions at once, beyond what their single arms and pairs bring, bias it.

    Source: Swaminathan et al. (2017) for the weights, with pairs among the indicators; Karampatziakis, Langford, Mineiro
    (2020) for the interval, with a least weight below 0.
    """
    told = conclude(found, (), Known(found.is_binary, rewards), new, serving)
    sums = part(found.sums, GAIN)
    reach = Reach(sums.high(LARGEST), *rewards, least_weight=sums.low(LEAST))
    return replace(told, difference={PAIRWISE: cressie_read_gain(sums, reach)})


def _kinds(batch: LogBatch) -> Iterator[_Kind]:
    nothing, unsaid = [()] * len(batch), [None] * len(batch)
    past = (batch.exposures or nothing, batch.excluded or nothing, batch.recent_sends or unsaid)
    for decider, context, exposed, excluded, recent in zip(batch.deciders or (), batch.contexts(), *past, strict=True):
        yield _Kind(decider, tuple(context.items()), tuple(exposed), tuple(excluded), recent)


def _sums(rows: Weighed, found: FloatArray) -> Sums:
    """The columns of both targets, of 1 + their difference, and of what that could have been; `found` is a `_Found` a row."""
    new, serving, least, largest = np.ascontiguousarray(found.T)
    names: list[str] = []
    columns: list[FloatArray] = []
    for prefix, weights in ((TARGET, new), (AGAINST, serving), (GAIN, 1.0 + new - serving)):
        own, values = stack(replace(rows, weights=weights), ALWAYS)
        names += [prefix + name for name in own]
        columns += list(values)
    names += [GAIN + LEAST, GAIN + LARGEST]
    return Sums.of_stack(tuple(names), np.stack([*columns, least, largest]))
