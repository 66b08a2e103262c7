"""The compiled tables in plain lists: for single decisions over small tables, several times as fast as arrays.

Everything is defined by `bandit.compiled.CompiledScorer`; this says the same numbers, and the tests hold the two together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import add

import numpy as np

from bandit.compiled import CompiledScorer, Tables, blocks_of
from bandit.context import EncodedContext
from bandit.errors import InvalidEstimates
from bandit.estimates import Estimates, Offer
from bandit.wear_out import WearOut

PlainState = list[float]
"""Linear predictions, model after model: each model's column 0, then its arms of all dimensions."""


class PlainScorer:
    """Serves small logistic tables, one decision at a time.

    Args:
        tables: read out of the models.
        arrays: the same tables as arrays, for the audit and for many decisions at once.
        worths: what each model's prediction is worth in reward units.
        sequential: whether later dimensions look at earlier picks.
        wear_out: the campaign's, if it asks for one.
    """

    __slots__ = (
        "_arrays",
        "_blocks",
        "_constant",
        "_context",
        "_pairs",
        "_sequential",
        "_starts",
        "_worn",
        "_worths",
        "n_learned",
    )

    def __init__(
        self,
        tables: Tables,
        arrays: CompiledScorer,
        worths: Sequence[float],
        *,
        sequential: bool,
        wear_out: WearOut | None = None,
    ) -> None:
        n_models, width = tables.constant.shape
        self._arrays = arrays
        self._blocks = [(block.start, block.stop) for block in blocks_of(tables.sizes)]
        self._starts = [model * width for model in range(n_models)]
        self._constant: list[float] = tables.constant.ravel().tolist()
        self._context: list[list[float]] = tables.context.reshape(len(tables.context), n_models * width).tolist()
        self._pairs: list[list[float]] = tables.pairs.reshape(len(tables.pairs), n_models * width).tolist()
        self._worths = tuple(map(float, worths))
        self._sequential = sequential
        self._worn = tables.worn(wear_out, worths)
        self.n_learned = arrays.n_learned

    @property
    def arrays(self) -> CompiledScorer:
        """The same tables as arrays, for many decisions at once."""
        return self._arrays

    def start(self, context: EncodedContext) -> PlainState:
        """Linear predictions for this context."""
        known = self._context
        rows = [
            known[index] if weight == 1.0 else [weight * x for x in known[index]]
            for index, weight in zip(context.indices, context.weights, strict=True)
        ]
        state: PlainState = list(map(sum, zip(self._constant, *rows, strict=True)))
        if self._worn and context.exposures:
            for column, sums in self._worn.added(context.exposures):
                for start, added in zip(self._starts, sums, strict=True):
                    state[start + column] += added
        return state

    def offer(self, state: PlainState, dimension: int, offered: Sequence[int]) -> Offer:
        """Scores of the arms on offer.

        Raises:
            InvalidEstimates: if a prediction is beyond what a float can hold: the model is ill.
        """
        first, last = self._blocks[dimension]
        try:
            scores = self._expected_rewards(state, first, last)
        except OverflowError as error:
            linear = [[state[start] + z for z in state[start + first : start + last]] for start in self._starts]
            raise InvalidEstimates(f"predictions of {linear} are out of range; the model is ill.") from error
        if len(offered) < last - first:
            scores = [scores[arm] for arm in offered]
        return Offer(dimension, offered, scores, None, self.n_learned, self._arrays.spread)

    def estimates(self, state: PlainState, dimension: int, offered: Sequence[int]) -> Estimates:
        """The same as arrays of shape (n_arms,)."""
        return self._arrays.estimates(self._as_array(state), dimension, offered)

    def after(self, state: PlainState, dimension: int, pick: int) -> PlainState:
        """The state after a pick; see `CompiledScorer.after`."""
        column = self._blocks[dimension][0] + pick
        if not self._sequential:
            return self._arrays.after(self._as_array(state), dimension, pick).ravel().tolist()
        moved = list(map(add, state, self._pairs[column - 1]))
        for start in self._starts:
            moved[start] += state[start + column]
        return moved

    def whole(self, state: PlainState, dimension: int, pick: int) -> float:
        """Expected reward of the whole choice, given the state before its last pick."""
        if not self._sequential:
            return self._arrays.whole(self._as_array(state), dimension, pick)
        column = self._blocks[dimension][0] + pick
        return sum(
            worth / (1.0 + math.exp(-(state[start] + state[start + column])))
            for worth, start in zip(self._worths, self._starts, strict=True)
        )

    def _expected_rewards(self, state: PlainState, first: int, last: int) -> list[float]:
        """Worth-weighted sum of the models' logistic predictions of the arms in some columns."""
        exp, scores = math.exp, list[float]()
        for worth, start in zip(self._worths, self._starts, strict=True):
            level = state[start]
            terms = [worth / (1.0 + exp(-(level + z))) for z in state[start + first : start + last]]
            scores = list(map(add, scores, terms)) if scores else terms
        return scores

    def _as_array(self, state: PlainState) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.array(state).reshape(len(self._starts), -1)
