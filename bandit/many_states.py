"""What the compiled tables say to many customers at once: a gather and a sum a dimension, whatever their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy  # its parts are loaded when first used: `special` alone takes as long as all else of a command
from numpy.typing import NDArray

from bandit.arrays import BoolArray, FloatArray
from bandit.charged_scorer import ChargedScorer, Charges
from bandit.compiled import CompiledScorer, blocks_of
from bandit.context import EncodedContext
from bandit.context_columns import ContextColumns
from bandit.estimates import Estimates
from bandit.learner import Scorer
from bandit.plain_scorer import PlainScorer

BELIEVABLE = 700.0
"""Linear predictions beyond this are those of an ill model: their exponential is more than a float holds."""


def tables_of(scorer: Scorer[Any]) -> CompiledScorer | None:
    """The tables behind a scorer; None where it has none and each customer must be asked about alone."""
    if isinstance(scorer, ChargedScorer):
        return tables_of(scorer.inner)
    if isinstance(scorer, PlainScorer):
        return scorer.arrays
    return scorer if isinstance(scorer, CompiledScorer) else None


class ManyStates:
    """The states of many decisions that go from dimension to dimension together.

    Terms are added in the order in which `bandit.plain_scorer.PlainScorer` adds them, so that arms that score the same
    there do so here.

    Args:
        scorer: the tables.
        contexts: of each customer.
        charges: what recent messages cost, where the campaign says that they do.
    """

    def __init__(
        self, scorer: CompiledScorer, contexts: Sequence[EncodedContext], charges: Charges | None = None
    ) -> None:
        self._scorer, self._pairs = scorer, scorer.tables.pairs
        self._blocks = blocks_of(scorer.tables.sizes)
        self._linear = _alone(scorer, contexts)
        if scorer.worn and not isinstance(contexts, ContextColumns):
            scorer.worn.add_to_many(self._linear, [context.exposures for context in contexts])
        self._terms: FloatArray | float = 0.0
        self._charges, self._charge = charges, charges.of_many(contexts) if charges else np.zeros(0)

    def estimates(self, dimension: int) -> tuple[Estimates, BoolArray]:
        """Estimates of a dimension's arms given the picks so far, and which customers they can be believed for.

        Returns:
            arrays of shape (..., n, n_arms), and shape (n,).
        """
        linear = self._linear[:, :, self._blocks[dimension]] + self._linear[:, :, :1]
        believable: BoolArray = np.asarray((np.abs(linear) <= BELIEVABLE).all(axis=(1, 2)))
        found = self._scorer.estimates_of(linear)
        return self._charges.off(found, self._charge, dimension) if self._charges else found, believable

    def pick(self, dimension: int, picks: NDArray[np.int64]) -> None:
        """Go on after a pick; see `CompiledScorer.after`."""
        picked = self._picked(dimension, picks)
        if self._scorer.sequential:
            block = self._blocks[dimension]
            pairs = self._pairs[block.start - 1 : block.stop - 1, :, block.stop :]
            # Nobody looks at this dimension's columns and the earlier ones any more.
            self._linear[:, :, block.stop :] += pairs.transpose(1, 2, 0).take(picks, axis=2).transpose(2, 0, 1)
            self._linear[:, :, 0] += picked
        else:
            self._terms = self._terms + picked

    def whole(self, dimension: int, picks: NDArray[np.int64]) -> FloatArray:
        """Expected rewards of the whole choices, given the states before their last picks; shape (n,)."""
        linear = self._linear[:, :, 0] + self._picked(dimension, picks) + self._terms
        found: FloatArray = self._scorer.means(linear[:, :, None])[:, 0]
        return found - self._charge * self._charges.sending(dimension)[picks] if self._charges else found

    def _picked(self, dimension: int, picks: NDArray[np.int64]) -> FloatArray:
        found: FloatArray = self._linear[np.arange(len(picks)), :, self._blocks[dimension].start + picks]
        return found


def _alone(scorer: CompiledScorer, contexts: Sequence[EncodedContext]) -> FloatArray:
    """Linear predictions of each customer's context, shape (n, n_models, 1 + n_arms).

    A product with a sparse matrix, for it adds each row's terms in the order in which they stand: the constant first.
    """
    tables, n = scorer.tables, len(contexts)
    if isinstance(contexts, ContextColumns):
        active, weights = contexts.indices, contexts.weights
    else:
        active = np.array([context.indices for context in contexts], dtype=np.int64).reshape(n, -1)
        weights = np.array([context.weights for context in contexts], dtype=np.float64).reshape(n, -1)
    columns = np.concatenate([np.zeros((n, 1), dtype=np.int64), active + 1], axis=1)
    values = np.concatenate([np.ones((n, 1)), weights], axis=1)
    starts = np.arange(0, columns.size + 1, columns.shape[1])
    terms = np.concatenate([tables.constant[None], tables.context]).reshape(1 + len(tables.context), -1)
    rows = scipy.sparse.csr_array((values.ravel(), columns.ravel(), starts), shape=(n, len(terms)))
    # Customers vary fastest in memory, so that whatever goes over a few arms goes along whole columns.
    found: FloatArray = np.ascontiguousarray((rows @ terms).T).reshape(*tables.constant.shape, n).transpose(2, 0, 1)
    return found
