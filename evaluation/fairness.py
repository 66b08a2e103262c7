"""Fairness over protected context: do customers of every value get the same, and what they would have responded to?

A fixed threshold blames a small minority for being small: the four-fifths rule on arms' shares alarmed in 16 of 100 logs that
treat a 4 % minority as all others (benchmarks/inference_audits.py, seed 20261125). Here a gap is tested, with customers as the
units and a least number of them for each value. Probabilities are compared, not draws: they say the same with less noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from evaluation.shares_by_value import SharesByValue, shares_by_value

NO_RESPONSE = "No customer has responded yet, so nobody knows what they would respond to."


def demographic_parity(pmfs: ArrayLike, customers: ArrayLike, values: Sequence[str]) -> tuple[SharesByValue, ...]:
    """Whether each arm has the same share of the sends to customers of every value.

    Share of arm a for value v = sum over the sends to customers of v of p_t(a) / number of these sends.

    Args:
        pmfs: shape (n, K), probability of each arm in each send.
        customers: shape (n,), the customer key of each send.
        values: length n, the protected value; a customer counts under that of the first send.

    Returns:
        One test an arm, in order; adjust them for each other.

    Raises:
        UnusableLog: if lengths differ, or numbers are not finite.

    Caution: a gap need not be unjust. Customers who differ in what the learner may know differ in what they get.

    Source: demographic parity as in Barocas, Hardt and Narayanan (2023), Fairness and machine learning, chapter 3.

    >>> pmfs = [[0.9, 0.1], [0.6, 0.4]] * 100
    >>> tests = demographic_parity(pmfs, range(200), ["f", "m"] * 100)
    >>> [round(one.share, 1) for one in tests[0].shares]
    [0.9, 0.6]
    """
    probabilities = np.asarray(pmfs, dtype=np.float64)
    if probabilities.ndim != 2:
        raise UnusableLog(
            f"pmfs have shape {probabilities.shape}, need (n_sends, n_arms): pass the whole pmf of each send."
        )
    member, first = _members(customers, len(probabilities), values)
    sends = np.bincount(member).astype(np.float64)
    own = [values[at] for at in first.tolist()]
    return tuple(shares_by_value(np.bincount(member, weights=arm), sends, own) for arm in probabilities.T)


def equal_opportunity(
    rewards: ArrayLike, propensities: ArrayLike, customers: ArrayLike, values: Sequence[str]
) -> SharesByValue:
    """Whether customers of every value equally often get an arm that they respond to.

    Of all pairs of a send and an arm to which its customer would respond (reward above 0), the share in which that arm was
    sent. Those with another arm are not seen, but each response to an arm of probability p stands for 1 / p of them:
    share for value v = sum over its sends of 1{r_t > 0} / sum of 1{r_t > 0} / p_t. Even pmfs over K arms give 1 / K; a
    learner that knows its customers gives more, and should to each value.

    Args:
        rewards: shape (n,), final, in reward units, without what recent messages cost: that is nobody's response.
        propensities: shape (n,), probability of the arm that was sent.
        customers: shape (n,), the customer key of each send.
        values: length n, the protected value; a customer counts under that of the first send.

    Returns:
        The test; its customers are those who responded.

    Raises:
        UnusableLog: if lengths differ, a number is not finite, or a propensity is not in (0, 1].

    Caution: values that respond more often are not favoured by that; the share is among responses. The other dimensions
    of a choice are taken as they were sent.

    Source: equal opportunity of Hardt, Price and Srebro (2016), P(got the arm | would respond to it), with the responses
    that were not seen made up for by inverse propensities.

    >>> equal_opportunity([1, 0] * 100, [0.5, 0.5] * 100, range(200), ["f", "f", "m", "m"] * 50).p_value
    1.0
    """
    earned, logged = np.asarray(rewards, dtype=np.float64), np.asarray(propensities, dtype=np.float64)
    if not earned.shape == logged.shape or not np.isfinite(earned).all() or not ((logged > 0) & (logged <= 1)).all():
        raise UnusableLog(
            f"rewards of shape {earned.shape} and propensities of shape {logged.shape}, need finite rewards with a propensity "
            "in (0, 1] each: leave out sends without a final reward."
        )
    member, first = _members(customers, len(earned), values)
    responses = (earned > 0).astype(np.float64)
    sent, wanted = np.bincount(member, weights=responses), np.bincount(member, weights=responses / logged)
    responded = wanted > 0
    if responded.sum() < 2:
        return SharesByValue(None, None, 0, (), (), 2, NO_RESPONSE)
    own = [values[at] for at in first[responded].tolist()]
    return shares_by_value(sent[responded], wanted[responded], own)


def _members(customers: ArrayLike, n: int, values: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Number of each send's customer, shape (n,), and each customer's first send, shape (n_customers,)."""
    keys = np.asarray(customers)
    if keys.shape != (n,) or len(values) != n or n == 0:
        raise UnusableLog(
            f"{n} sends, customers of shape {keys.shape}, {len(values)} values: need one of each a send, and a send at least."
        )
    member, _ = pd.factorize(keys, use_na_sentinel=False)
    _, first = np.unique(member, return_index=True)
    return member, first


def arms_that_occur(pmfs: FloatArray) -> list[int]:
    """Positions of arms that had some probability in some send: the others have no share to compare.

    >>> arms_that_occur(np.array([[0.5, 0.0, 0.5]]))
    [0, 2]
    """
    return [int(at) for at in np.flatnonzero(pmfs.any(axis=0))]
