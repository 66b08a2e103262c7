"""Setting how often things happen: bases at which the random policy has the mean rates asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import expit, logit

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from simulator.funnel import Funnel, Role
from simulator.random_policy import RandomPolicy
from simulator.tastes import Tastes
from simulator.world import IntArray

MOST_EXACT = 400_000
"""Customers times choices up to which every pair is looked at."""
_SAMPLED = 200_000
_CLOSE, _LONGEST_STEP, _MOST_STEPS = 1e-11, 5.0, 100


def calibrated(
    rng: np.random.Generator,
    tastes: Tastes,
    funnel: Funnel,
    features: FloatArray,
    contexts: Sequence[Mapping[str, ContextValue]],
    policy: RandomPolicy,
) -> Tastes:
    """The same tastes from the bases at which the random policy's steps have their rates.

    Up to `MOST_EXACT` pairs of customer and choice all are looked at, and the rates are met to 1e-9; beyond, a sample of
    200,000 pairs, and they are met to a few thousandths of themselves.

    Args:
        rng: where the sample is drawn from.
        tastes: whose bases are set.
        funnel: the steps, with their rates.
        features: of the customers, shape (n, n_features).
        contexts: the same customers.
        policy: the campaign's random policy.
    """
    who, numbers, weights = _pairs(rng, contexts, policy, len(tastes.choices))
    places = np.stack(np.unravel_index(numbers, tastes.choices.shape), axis=1).astype(np.int64)
    rows = replace(tastes, base=np.zeros(len(tastes.base))).rows(features)
    logits = tastes.logits_of_choices(rows, who, places)
    return replace(tastes, base=_bases(logits, weights, funnel))


def _pairs(
    rng: np.random.Generator, contexts: Sequence[Mapping[str, ContextValue]], policy: RandomPolicy, n_choices: int
) -> tuple[IntArray, IntArray, FloatArray]:
    """Pairs of a customer's position and a choice's number, and how much each counts."""
    n = len(contexts)
    if n * n_choices <= MOST_EXACT:
        who, numbers = np.divmod(np.arange(n * n_choices), n_choices)
        return who, numbers, policy.pmf(contexts).ravel() / n
    n_each = max(1, _SAMPLED // n)
    groups: dict[tuple[bool, ...], list[int]] = {}
    for place, context in enumerate(contexts):
        groups.setdefault(policy.rules_met(context), []).append(place)
    numbers = np.empty((n, n_each), dtype=np.int64)
    for met, members in groups.items():
        pmf = policy.pmf_under(met, contexts[members[0]])
        numbers[members] = rng.choice(n_choices, (len(members), n_each), p=pmf / pmf.sum())
    return np.repeat(np.arange(n), n_each), numbers.ravel(), np.full(n * n_each, 1.0 / (n * n_each))


def _bases(logits: FloatArray, weights: FloatArray, funnel: Funnel) -> FloatArray:
    """Bases of all steps, from the first on: who may take a step depends on the one it needs."""
    marginals = np.empty_like(logits)
    bases = np.zeros(len(logits))
    for place, step in enumerate(funnel.steps):
        reached = weights if step.needs is None else weights * marginals[step.needs]
        wanted = step.rate * (reached.sum() if step.role is Role.CONVERSION else 1.0)
        bases[place] = base_of(logits[place], reached, wanted)
        marginals[place] = expit(logits[place] + bases[place]) * (1.0 if step.needs is None else marginals[step.needs])
    return bases


def base_of(logits: FloatArray, weights: FloatArray, rate: float) -> float:
    """The base at which the weighted sum of the probabilities is the rate.

    Newton's method on the log-odds of the mean, which are nearly a straight line in the base.

    Args:
        logits: without the base, shape (n,).
        weights: of each, at least 0, shape (n,).
        rate: above 0 and below the sum of the weights.

    >>> round(base_of(np.zeros(2), np.ones(2), 0.5), 3)  # log(0.25 / 0.75)
    -1.099
    """
    total = float(weights.sum())
    base = wanted = float(logit(rate / total))
    for _ in range(_MOST_STEPS):
        probabilities = expit(logits + base)
        mean = float(weights @ probabilities) / total
        slope = float(weights @ (probabilities * (1.0 - probabilities))) / total
        step = (float(logit(mean)) - wanted) * mean * (1.0 - mean) / slope
        base -= min(max(step, -_LONGEST_STEP), _LONGEST_STEP)
        if abs(step) < _CLOSE:
            break
    return base
