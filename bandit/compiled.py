"""A regression model read out into plain tables: what serves, one customer or a million.

The model is linear in its features, so its weights can be read by asking it about single features and pairs, with no
knowledge of how it hashes; a collision is simply part of the weight that the question reads. A decision is then a
gather and a sum, and the earlier picks add one row of pair terms each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations
from typing import Protocol

import numpy as np
import scipy  # its parts are loaded when first used: `special` alone takes as long as all else of a command

from bandit.arrays import FloatArray
from bandit.context import EncodedContext
from bandit.estimates import Estimates, Offer
from bandit.features import FeatureSpace
from bandit.scaling import Scaling
from bandit.wear_out import WearOut, Worn

LEAST_VARIANCE = 1e-8


class Probe(Protocol):
    """Asks each model for its linear prediction."""

    def __call__(
        self, context: int | None, picks: Sequence[tuple[int, int]], wear: int | None = None, /
    ) -> Sequence[float]:
        """With at most one context feature (by position), some (dimension, arm), and at most one of wear-out."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The weights of one or more linear models over one feature space, ready for a gather.

    Column 0 of each model's block stands for the context alone; the others for the arms of all dimensions, in order.

    Attributes:
        sizes: number of arms of each dimension.
        constant: shape (n_models, 1 + n_arms), the constant and each arm alone.
        context: shape (n_context_features, n_models, 1 + n_arms), each context feature alone and with each arm.
        pairs: shape (n_arms, n_models, 1 + n_arms), each arm with each arm of other dimensions; column 0 is 0.
        wear: shape (n_wear_features, n_models), each feature of wear-out alone, in the order of `FeatureSpace.wear`.
    """

    sizes: tuple[int, ...]
    constant: FloatArray
    context: FloatArray
    pairs: FloatArray
    wear: FloatArray

    def worn(self, spec: WearOut | None, worths: Sequence[float]) -> Worn | None:
        """What exposures add, for a campaign that asks for it."""
        if spec is None:
            return None
        n_models = self.constant.shape[0]
        by_dimension = self.wear.reshape(1 + len(self.sizes), len(spec.features), n_models)
        starts = [block.start for block in blocks_of(self.sizes)]
        return Worn(spec, by_dimension.transpose(0, 2, 1).tolist(), starts, worths)


def compile_tables(space: FeatureSpace, probe: Probe) -> Tables:
    """Read out the weights of the models by probing them.

    Args:
        space: the features of the campaign.
        probe: asks all models at once.
    """

    def ask(context: int | None, *picks: tuple[int, int], wear: int | None = None) -> FloatArray:
        return np.array(probe(context, picks, wear), dtype=np.float64)

    arms = [(d, k) for d, size in enumerate(space.sizes) for k in range(size)]
    width, n_features = 1 + len(arms), len(space.context)
    base = ask(None)
    constant = np.stack([base, *(ask(None, arm) - base for arm in arms)], axis=-1)
    context = np.zeros((n_features, base.size, width))
    for f in range(n_features):
        context[f, :, 0] = ask(f) - base
        for column, arm in enumerate(arms, start=1):
            context[f, :, column] = ask(f, arm) - base - context[f, :, 0] - constant[:, column]
    pairs = np.zeros((len(arms), base.size, width))
    for (i, first), (j, second) in combinations(enumerate(arms) if space.interactions else (), 2):
        if first[0] != second[0]:
            together = ask(None, first, second) - base - constant[:, 1 + i] - constant[:, 1 + j]
            pairs[i, :, 1 + j] = pairs[j, :, 1 + i] = together
    wear = np.zeros((len(space.wear), base.size))
    for feature in range(len(space.wear)):
        wear[feature] = ask(None, wear=feature) - base
    return Tables(space.sizes, constant, context, pairs, wear)


def in_raw_terms(tables: Tables, scaling: Scaling) -> Tables:
    """The same model over contexts as they are, from one over contexts that were centred and scaled."""
    context = tables.context * np.array(scaling.scales)[:, None, None]
    constant = tables.constant - np.tensordot(scaling.means, context, axes=1)
    return replace(tables, constant=constant, context=context)


def blocks_of(sizes: Sequence[int]) -> list[slice]:
    """The columns of each dimension's arms."""
    starts = accumulate(sizes, initial=1)
    return [slice(start, start + size) for start, size in zip(starts, sizes, strict=False)]


class CompiledScorer:
    """Serves the tables: the expected reward of an arm is the worth-weighted sum of its models' predictions.

    Args:
        tables: read out of the models.
        worths: what each model's prediction is worth in reward units, shape (n_models,).
        n_learned: decisions the models had learned from.
        logistic: whether predictions are probabilities (a logistic link) or rewards themselves.
        bounds: least and largest reward, which clip predictions that are rewards.
        sequential: whether later dimensions look at earlier picks.
        wear_out: the campaign's, if it asks for one.
    """

    __slots__ = (
        "_bounds",
        "_constant",
        "_context",
        "_first",
        "_pairs",
        "_shape",
        "logistic",
        "n_learned",
        "sequential",
        "spread",
        "tables",
        "worn",
        "worths",
    )

    def __init__(
        self,
        tables: Tables,
        worths: Sequence[float],
        n_learned: int,
        *,
        logistic: bool,
        bounds: tuple[float, float],
        sequential: bool,
        wear_out: WearOut | None = None,
    ) -> None:
        self.tables, self._shape = tables, tables.constant.shape
        self.worn = tables.worn(wear_out, worths)
        self._constant = tables.constant.ravel()
        self._context = tables.context.reshape(len(tables.context), self._constant.size)
        self._pairs = tables.pairs
        self._first = tuple(blocks_of(tables.sizes))
        self.worths = np.asarray(worths, dtype=np.float64)
        self.logistic = logistic
        self._bounds = bounds
        self.sequential = sequential
        self.spread = self._reward_spread()
        self.n_learned = n_learned

    def _reward_spread(self) -> float:
        """Standard deviation of a reward at the average choice.

        Outcomes count as independent; a reward modelled by itself has at most the spread that its mean and bounds allow
        (Bhatia and Davis, 2000).
        """
        linear = self.level
        if self.logistic:
            rates = scipy.special.expit(linear)
            variance = float(np.dot(self.worths**2, rates * (1.0 - rates)))
        else:
            low, high = self._bounds
            mean = min(max(float(linear[0]), low), high)
            variance = (mean - low) * (high - mean)
        return math.sqrt(max(variance, LEAST_VARIANCE))

    def start(self, context: EncodedContext) -> FloatArray:
        """Linear predictions for this context, shape (n_models, 1 + n_arms): column 0 alone, the others on top of it."""
        if not context.indices and not context.exposures:
            return self._constant.reshape(self._shape)
        rows = self._context.take(context.indices, axis=0)
        linear: FloatArray = (np.dot(context.weights, rows) + self._constant).reshape(self._shape)
        if self.worn and context.exposures:
            for column, sums in self.worn.added(context.exposures):
                linear[:, column] += sums
        return linear

    def estimates(self, state: FloatArray, dimension: int, offered: Sequence[int]) -> Estimates:
        """Scores of a dimension's arms given the picks so far, shape (n_arms,)."""
        del offered
        linear = self.linear(state, dimension)
        if self.logistic:
            return Estimates(np.dot(self.worths, scipy.special.expit(linear)), self.n_learned, None, self.spread)
        return Estimates(np.dot(self.worths, linear).clip(*self._bounds), self.n_learned, None, self.spread)

    def estimates_of(self, linear: FloatArray) -> Estimates:
        """The same for many customers at once, from linear predictions of shape (n, n_models, n_arms)."""
        return Estimates(self.means(linear), self.n_learned, None, self.spread)

    def means(self, linear: FloatArray) -> FloatArray:
        """Expected rewards, shape (n, n_arms)."""
        values = scipy.special.expit(linear) if self.logistic else linear
        # Summed in order and not by a product of matrices: equal arms must score the same to the last bit.
        found = np.asarray(sum(worth * values[:, model] for model, worth in enumerate(self.worths.tolist())))
        return found if self.logistic else found.clip(*self._bounds)

    def linear(self, state: FloatArray, dimension: int) -> FloatArray:
        """Linear predictions of a dimension's arms given the picks so far, shape (n_models, n_arms)."""
        found: FloatArray = state[:, self._first[dimension]] + state[:, :1]
        return found

    @property
    def level(self) -> FloatArray:
        """Linear predictions of the average choice for the average of nothing known, shape (n_models,)."""
        found: FloatArray = self._constant.reshape(self._shape)[:, 0]
        return found

    def offer(self, state: FloatArray, dimension: int, offered: Sequence[int]) -> Offer:
        """Scores of the arms on offer."""
        block = self._first[dimension]
        return self.estimates(state, dimension, offered).on_offer(dimension, offered, block.stop - block.start)

    def after(self, state: FloatArray, dimension: int, pick: int) -> FloatArray:
        """Move the picked arm's column into column 0, and its pair terms into the arms not yet picked."""
        column = self._first[dimension].start + pick
        if not self.sequential:
            # Nobody looks at earlier picks, but the whole choice is worth what all of them say.
            picked = state.copy()
            picked[:, self._first[dimension]] = state[:, column, None]
            return picked
        moved: FloatArray = state + self._pairs[column - 1]
        moved[:, 0] += state[:, column]
        return moved

    def estimates_in(self, states: FloatArray, dimension: int) -> Estimates:
        """Estimates of a dimension's arms for many states at once, of shape (n_states, n_models, 1 + n_arms)."""
        return self.estimates_of(states[:, :, self._first[dimension]] + states[:, :, :1])

    def branches(self, states: FloatArray, dimension: int) -> FloatArray:
        """The state after each arm of a dimension, for many states at once, arms in order within each state.

        Where dimensions do not look at each other, states stay as they are: their scores do not depend on the picks.
        """
        block = self._first[dimension]
        size = block.stop - block.start
        moved: FloatArray = np.repeat(states, size, axis=0)
        if self.sequential:
            moved += np.tile(self._pairs[block.start - 1 : block.stop - 1], (len(states), 1, 1))
            moved[:, :, 0] += states[:, :, block].transpose(0, 2, 1).reshape(len(moved), -1)
        return moved

    def whole(self, state: FloatArray, dimension: int, pick: int) -> float:
        """Expected reward of the whole choice, given the state before its last pick."""
        linear = state[:, 0] + state[:, self._first[dimension].start + pick]
        if not self.sequential:
            # Every earlier dimension's columns hold the picked arm's term; one of each is enough.
            linear = linear + sum(state[:, block.start] for block in self._first[:dimension])
        if self.logistic:
            return float(np.dot(self.worths, scipy.special.expit(linear)))
        return float(np.dot(self.worths, linear).clip(*self._bounds))
