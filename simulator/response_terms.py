"""The terms of a fitted response: who the customer is, which arms they got, and what goes with what.

logit = base + customer + arms + customer x arms + pairs of arms of different dimensions: the terms of `ClickEffects`, as
columns of a sparse matrix with one row a send.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import combinations
from typing import Final

import numpy as np
from scipy import sparse

from bandit.arrays import FloatArray
from bandit.context import Context, ContextValue
from bandit.schema import Schema
from simulator.click_world import ClickEffects
from simulator.world import IntArray

N_KNOTS: Final = 6
"""Quantiles of a number between which its effect runs straight."""


class Part(IntEnum):
    """Which strength of the ridge holds a term down."""

    BASE = 0
    ARMS = 1
    CUSTOMER = 2
    FIT = 3  # customer x arm
    PAIRS = 4


@dataclass(frozen=True, slots=True, eq=False)
class ContextTerms:
    """A context as numbers: indicators as the schema has them, and a number as its place between two knots.

    A straight line over [low, high] would hang on a few customers at its far end; between quantiles every stretch has its
    own share of the customers.

    Args:
        schema: the campaign's; protected fields have no term.
        knots: for each numeric feature, by its number in `schema.features`, ascending, at least two; scaled to [0, 1].

    >>> from bandit.schema import CategoricalField, NumericField
    >>> schema = Schema((CategoricalField("plan", ("free", "paid")), NumericField("age", 0, 100)))
    >>> terms = ContextTerms(schema, {3: np.array([0.0, 0.5, 1.0])})
    >>> terms.matrix([{"plan": "paid", "age": 10}]).toarray().tolist()
    [[0.0, 1.0, 0.0, 0.8, 0.2, 0.0, 0.0]]
    """

    schema: Schema
    knots: Mapping[int, FloatArray]
    _firsts: IntArray = field(init=False, repr=False)
    _starts: list[int] = field(init=False, repr=False)
    _listed: dict[int, list[float]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        widths = [len(self.knots[k]) if k in self.knots else 1 for k in range(len(self.schema.features))]
        starts = [0, *np.cumsum(widths).tolist()]
        object.__setattr__(self, "_starts", starts)
        object.__setattr__(self, "_firsts", np.array(starts, dtype=np.int64))
        # Lists beside the arrays: for one context they are ten times as fast.
        object.__setattr__(self, "_listed", {feature: knots.tolist() for feature, knots in self.knots.items()})

    @classmethod
    def of(cls, schema: Schema, contexts: Sequence[Mapping[str, ContextValue]]) -> ContextTerms:
        """Knots at the quantiles of what a log holds.

        Raises:
            InvalidContext: if a context does not fit the schema.
        """
        indices, weights = _encoded(schema, contexts)
        knots = {}
        for feature in np.flatnonzero(schema.numeric).tolist():
            found = weights[indices == feature]
            places = np.unique(np.quantile(found, np.linspace(0.0, 1.0, N_KNOTS))) if found.size else np.zeros(0)
            knots[feature] = places if len(places) > 1 else np.array([0.0, 1.0])
        return cls(schema, knots)

    @property
    def size(self) -> int:
        """How many numbers describe a context."""
        return int(self._firsts[-1])

    def matrix(self, contexts: Sequence[Mapping[str, ContextValue]]) -> sparse.csr_array:
        """Shape (n_contexts, size), sparse.

        Raises:
            InvalidContext: if a context does not fit the schema.
        """
        indices, weights = _encoded(self.schema, contexts)
        columns, values = self._firsts[indices], weights.copy()
        # A number lies between two knots: each field has a second entry, which stays 0 where there is no number.
        second, share = columns.copy(), np.zeros_like(values)
        for feature, knots in self.knots.items():
            at = indices == feature
            placed = np.clip(weights[at], knots[0], knots[-1])
            below = np.clip(np.searchsorted(knots, placed, side="right") - 1, 0, len(knots) - 2)
            gone = (placed - knots[below]) / (knots[below + 1] - knots[below])
            columns[at] += below
            second[at] += below + 1
            values[at], share[at] = 1.0 - gone, gone
        n, n_fields = indices.shape
        rows = np.repeat(np.arange(n), 2 * n_fields)
        entries = (
            np.concatenate([values, share], axis=1).ravel(),
            (rows, np.concatenate([columns, second], axis=1).ravel()),
        )
        found = sparse.csr_array(entries, shape=(n, self.size))
        found.eliminate_zeros()
        return found

    def active(self, context: Mapping[str, ContextValue]) -> tuple[list[int], list[float]]:
        """The entries of one context other than 0, without the cost of a matrix: their columns, and their values.

        Raises:
            InvalidContext: if the context does not fit the schema.
        """
        encoded = self.schema.encode(Context(context))
        columns, values = [], []
        for feature, weight in zip(encoded.indices, encoded.weights, strict=True):
            first = self._starts[feature]
            if feature not in self.knots:
                columns.append(first)
                values.append(weight)
                continue
            knots = self._listed[feature]
            placed = min(max(weight, knots[0]), knots[-1])
            below = min(bisect.bisect_right(knots, placed) - 1, len(knots) - 2)
            gone = (placed - knots[below]) / (knots[below + 1] - knots[below])
            columns += [first + below, first + below + 1]
            values += [1.0 - gone, gone]
        return columns, values


def _encoded(schema: Schema, contexts: Sequence[Mapping[str, ContextValue]]) -> tuple[IntArray, FloatArray]:
    """The active feature of each learnable field, and its value; both of shape (n_contexts, n_fields)."""
    encoded = [schema.encode(Context(context)) for context in contexts]
    shape = (len(encoded), -1 if encoded and encoded[0].indices else 0)
    indices = np.array([one.indices for one in encoded], dtype=np.int64).reshape(shape)
    return indices, np.array([one.weights for one in encoded], dtype=np.float64).reshape(shape)


@dataclass(frozen=True, slots=True)
class ResponseTerms:
    """All terms, numbered: the base, the arms of every dimension, the customer, customer x arm, then pairs of arms.

    Args:
        n_features: of a customer.
        shape: number of arms of each dimension.
    """

    n_features: int
    shape: tuple[int, ...]

    @property
    def n_arms(self) -> int:
        """Of all dimensions together."""
        return sum(self.shape)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Every two dimensions."""
        return tuple(combinations(range(len(self.shape)), 2))

    @property
    def parts(self) -> IntArray:
        """The part each term belongs to, shape (n_terms,)."""
        n_pairs = sum(self.shape[d] * self.shape[e] for d, e in self.pairs)
        sizes = [1, self.n_arms, self.n_features, self.n_features * self.n_arms, n_pairs]
        return np.repeat(np.array([part.value for part in Part]), sizes)

    def design(self, features: sparse.csr_array, picks: IntArray) -> sparse.csr_array:
        """One row a send.

        Args:
            features: shape (n, n_features).
            picks: shape (n, n_dimensions), positions of the arms that were sent.

        Returns:
            Shape (n, n_terms), sparse.
        """
        n = len(picks)
        arms = picks + np.array([0, *np.cumsum(self.shape)[:-1].tolist()])
        blocks = [sparse.csr_array(np.ones((n, 1))), *(_indicators(column, self.n_arms) for column in arms.T)]
        main = [blocks[0], sum(blocks[2:], blocks[1]), features]
        fit = [_moved(features, column, self.n_arms) for column in arms.T]
        pairs = [
            _indicators(picks[:, d] * self.shape[e] + picks[:, e], self.shape[d] * self.shape[e]) for d, e in self.pairs
        ]
        return sparse.hstack([*main, sum(fit[1:], fit[0]), *pairs], format="csr")

    def effects(self, weights: FloatArray) -> ClickEffects:
        """Weights of shape (n_terms,) as what they mean."""
        n_main = 1 + self.n_arms + self.n_features
        arms, customer = np.split(weights[1:n_main], [self.n_arms])
        fit = weights[n_main : n_main + self.n_arms * self.n_features].reshape(self.n_arms, self.n_features).T
        first, tables = n_main + fit.size, {}
        for d, e in self.pairs:
            size = self.shape[d] * self.shape[e]
            tables[d, e] = weights[first : first + size].reshape(self.shape[d], self.shape[e])
            first += size
        return ClickEffects(float(weights[0]), customer, arms, np.ascontiguousarray(fit), tables)


def _indicators(columns: IntArray, size: int) -> sparse.csr_array:
    """A single 1 in each row."""
    n = len(columns)
    return sparse.csr_array((np.ones(n), columns, np.arange(n + 1)), shape=(n, size))


def _moved(features: sparse.csr_array, arms: IntArray, n_arms: int) -> sparse.csr_array:
    """Each row's features in the columns of its arm, shape (n, n_arms * n_features)."""
    n, size = features.shape
    per_row = np.diff(features.indptr)
    columns = features.indices + np.repeat(arms * size, per_row)
    return sparse.csr_array((features.data, columns, features.indptr), shape=(n, n_arms * size))
