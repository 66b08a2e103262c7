"""How customers react according to a fit: the probability of every type of outcome after every choice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from simulator.click_world import ClickEffects, chances
from simulator.response_terms import ContextTerms
from simulator.world import IntArray

_LEAST_LOGIT = -700.0  # exp(700) is still a number
AT_ONCE = 2_000
"""Contexts in memory at a time: 30 MB with 1,920 choices."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedResponse:
    """A model of what follows a send.

    Args:
        context: turns contexts into features.
        shape: number of arms of each dimension.
        effects: what moves each type's logit.
        worths: of each type, in reward units.
        exclusive: whether at most one type happens; where probabilities sum to more than 1 they are scaled down to it.
    """

    context: ContextTerms
    shape: tuple[int, ...]
    effects: tuple[ClickEffects, ...]
    worths: tuple[float, ...]
    exclusive: bool = False
    _starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_starts", (0, *np.cumsum(self.shape).tolist()))

    def rewards(self, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
        """The mean reward of every choice, shape (n_contexts, n_choices)."""
        found = np.zeros((len(contexts), int(np.prod(self.shape))))
        for first in range(0, len(contexts), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            features = self.context.matrix(contexts[some]).toarray()
            total = np.zeros((len(features), found.shape[1]))
            for effects, worth in zip(self.effects, self.worths, strict=True):
                probabilities = chances(effects, features, self.shape)
                found[some] += worth * probabilities
                total += probabilities
            if self.exclusive:
                found[some] /= np.maximum(total, 1.0)
        return found

    def probabilities(self, contexts: Sequence[Mapping[str, ContextValue]], picks: IntArray) -> FloatArray:
        """Of every type after one choice each, shape (n_contexts, n_types).

        Args:
            contexts: n of them.
            picks: shape (n, n_dimensions), positions of the arms.
        """
        features = self.context.matrix(contexts)
        arms = picks + np.array(self._starts[:-1])
        found = np.empty((len(contexts), len(self.effects)))
        for k, effects in enumerate(self.effects):
            logits = effects.base + features @ effects.customer + effects.arms[arms].sum(axis=1)
            for column in arms.T:
                logits += np.asarray(features.multiply(effects.fit.T[column]).sum(axis=1))
            for (d, e), table in effects.pairs.items():
                logits += table[picks[:, d], picks[:, e]]
            found[:, k] = expit(logits)
        return found / np.maximum(found.sum(axis=1, keepdims=True), 1.0) if self.exclusive else found

    def probabilities_of_one(self, context: Mapping[str, ContextValue], places: Sequence[int]) -> list[float]:
        """The same for one send, some hundred times as fast.

        Args:
            context: who.
            places: of the arms, one a dimension.
        """
        columns, values = self.context.active(context)
        arms = [first + place for first, place in zip(self._starts, places, strict=False)]
        found = []
        for effects in self.effects:
            fit = effects.customer[columns] + effects.fit[columns][:, arms].sum(axis=1)
            logit = effects.base + float(fit @ values) + float(effects.arms[arms].sum())
            logit += sum(float(table[places[d], places[e]]) for (d, e), table in effects.pairs.items())
            found.append(1.0 / (1.0 + math.exp(-logit)) if logit > _LEAST_LOGIT else 0.0)
        most = max(sum(found), 1.0) if self.exclusive else 1.0
        return [probability / most for probability in found]
