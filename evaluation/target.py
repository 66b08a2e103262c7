"""Target policies: what would have been sent instead, as probabilities of every arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bandit.arrays import BoolArray, FloatArray
from bandit.context import ContextValue
from bandit.errors import UnusableLog
from evaluation.log_batch import LogBatch
from evaluation.weighed import require_pmfs


class Target(Protocol):
    """Says with which probability each arm would have been sent."""

    @property
    def name(self) -> str:
        """In reports."""

    def pmfs(self, batch: LogBatch) -> tuple[FloatArray, ...]:
        """For each dimension shape (n, n_arms), given the earlier picks as logged."""


@dataclass(frozen=True, slots=True)
class UniformTarget:
    """Every arm that could have been sent, alike.

    Caution: where a log does not say what could have been sent, these are all arms.
    """

    name: str = "uniform"

    def pmfs(self, batch: LogBatch) -> tuple[FloatArray, ...]:
        """1 / number of eligible arms."""
        return tuple(_even(batch.eligible(d)) for d in range(len(batch.layout.sizes)))


@dataclass(frozen=True, slots=True)
class FixedTarget:
    """The same arms for everybody; where a rule had removed one, what was left of its dimension, alike."""

    picks: tuple[int, ...]
    name: str

    def pmfs(self, batch: LogBatch) -> tuple[FloatArray, ...]:
        """1 at the fixed arm, where it could have been sent."""
        return tuple(certain(batch.eligible(d), np.full(len(batch), pick)) for d, pick in enumerate(self.picks))


@dataclass(frozen=True, slots=True)
class Rule:
    """When a context has these values, send this.

    Attributes:
        when: allowed values by context name; an empty one holds for everybody.
        choice: positions of the arms.
    """

    when: Mapping[str, Sequence[ContextValue]]
    choice: tuple[int, ...]

    def holds(self, context: Mapping[str, ContextValue]) -> bool:
        """Whether every named value is an allowed one; numbers and their texts are the same value."""
        return all(any(_is_same(context[name], value) for value in allowed) for name, allowed in self.when.items())


def _is_same(found: ContextValue, wanted: ContextValue) -> bool:
    """Texts by their letters; a number also with its text (3, 3.0 and "3"), yes and no with true and false."""
    if found == wanted:
        return isinstance(found, bool) == isinstance(wanted, bool)
    if found is None or wanted is None or (isinstance(found, str) and isinstance(wanted, str)):
        return False
    if isinstance(found, bool) or isinstance(wanted, bool):
        return str(found).lower() == str(wanted).lower()
    try:
        return float(found) == float(wanted)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class RulesTarget:
    """A table of rules: the first that holds decides.

    Raises:
        UnusableLog: if the last rule does not hold for everybody, so that somebody could be left without a choice.
    """

    rules: tuple[Rule, ...]
    name: str

    def __post_init__(self) -> None:
        if not self.rules or self.rules[-1].when:
            raise UnusableLog(
                "the last rule has a condition, so for some rows nothing would be sent. End the table with a rule without `when`."
            )

    def pmfs(self, batch: LogBatch) -> tuple[FloatArray, ...]:
        """1 at what the first rule that holds says."""
        unknown = {name for rule in self.rules for name in rule.when} - set(batch.context)
        if unknown:
            raise UnusableLog(
                f"rules ask for {', '.join(sorted(unknown))}, which is not in the log's context "
                f"({', '.join(batch.context) or 'none was named'}). Name the columns with --context, or correct the rules."
            )
        picks = np.array([self._choice(context) for context in batch.contexts()])
        return tuple(certain(batch.eligible(d), picks[:, d]) for d in range(picks.shape[1]))

    def _choice(self, context: Mapping[str, ContextValue]) -> tuple[int, ...]:
        return next(rule.choice for rule in self.rules if rule.holds(context))


@dataclass(frozen=True, slots=True)
class CallableTarget:
    """Somebody's own function of a batch, held to what a pmf is.

    Args:
        function: a batch of rows to one array of shape (n, n_arms) a dimension.
        name: in reports.
    """

    function: Callable[[LogBatch], Sequence[FloatArray]]
    name: str

    def pmfs(self, batch: LogBatch) -> tuple[FloatArray, ...]:
        """What the function says.

        Raises:
            UnusableLog: if an array has another shape, or a row is no distribution.
        """
        found = tuple(np.asarray(pmf, dtype=np.float64) for pmf in self.function(batch))
        shapes = [(len(batch), size) for size in batch.layout.sizes]
        if [pmf.shape for pmf in found] != shapes:
            raise UnusableLog(
                f"target {self.name!r} gave arrays of shapes {[pmf.shape for pmf in found]}, need {shapes}: a probability for "
                "each row and arm, one array a dimension."
            )
        for dimension, pmf in zip(batch.layout.dimensions, found, strict=True):
            require_pmfs(pmf, f"the target's pmf of {dimension!r}", first_row=batch.first_row)
        return found


def certain(eligible: BoolArray, picks: FloatArray | np.ndarray[tuple[int], np.dtype[np.int64]]) -> FloatArray:
    """Shape (n, n_arms): 1 at each row's pick; where it is not eligible, what is, alike."""
    rows = np.arange(len(eligible))
    found = np.zeros(eligible.shape)
    found[rows, picks] = 1.0
    return np.where(eligible[rows, picks][:, None], found, _even(eligible))


def _even(eligible: BoolArray) -> FloatArray:
    found: FloatArray = eligible / np.maximum(eligible.sum(axis=1, keepdims=True), 1)
    return found
