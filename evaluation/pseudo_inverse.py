"""Importance weights for composite choices, under rewards that add up over dimensions, or over pairs of them.

The weight of a whole choice is a product over dimensions and soon huge. If what a choice earns is a sum of what its
single arms earn (order 1), or its arms and their pairs (order 2), a far smaller weight gives the same expected value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from bandit.arrays import FloatArray
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.joint_support import LEAST_MASS, checked_pmf, marginal, named, require_support

IndexArray = NDArray[np.intp]

LEAST_SHORTFALL = 10 * LEAST_MASS
"""The same after solving, which adds up what was lost and rounds."""
LEAST_REST = 1e-11
"""An indicator of which less than this share is not explained by others tells nothing new but rounding."""


def product_weights(ratios: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Weights of logged choices whose dimensions were drawn independently of each other, given the context.

    Args:
        ratios: shape (n, n_dimensions), target probability of each logged arm divided by its propensity.

    Returns:
        Order 1, 1 + sum (w_d - 1), and order 2, which adds (w_d - 1)(w_e - 1) of every pair; each of shape (n,).
        Both may be negative.

    Raises:
        UnusableLog: if the ratios do not have that shape, or one of them is negative or not finite.

    Caution: biased where a dimension's pmf depends on arms picked before it; `pinv_weights` is for such logs. The
    target must draw dimensions independently too: nothing in the ratios can tell.

    Source: Swaminathan et al. (2017), off-policy evaluation for slate recommendation (order 1).

    >>> first, second = product_weights([[2.0, 0.5, 3.0]])
    >>> first.tolist(), second.tolist()
    ([3.5], [4.0])
    """
    excess = _checked_ratios(ratios) - 1.0
    first = 1.0 + excess.sum(axis=1)
    # Each dimension times all before it: the shorter (sum^2 - squares) / 2 loses digits where one ratio is large.
    return first, first + (excess[:, 1:] * np.cumsum(excess, axis=1)[:, :-1]).sum(axis=1)


def pinv_weights(behavior: ArrayLike, target: ArrayLike, picks: ArrayLike, order: int) -> FloatArray:
    """Weights of logged choices that were drawn from the same joint pmf, however its dimensions hang together.

    Args:
        behavior: shape (n_arms of dimension 0, of dimension 1, ...), joint pmf that the choices were drawn from.
        target: same shape, joint pmf of the policy to be valued.
        picks: shape (n, n_dimensions), index of the logged arm of each dimension.
        order: 1 if rewards add up over dimensions, 2 over dimensions and pairs of them, and so on.

    Returns:
        Shape (n,); some may be negative.

    Raises:
        UnusableLog: as `pinv_table`; or if a pick is no choice that `behavior` can make.
        InvalidSettings: if the order is below 1.

    Source: Swaminathan et al. (2017), off-policy evaluation for slate recommendation (order 1).

    >>> pinv_weights([[0.25, 0.25], [0.5, 0.0]], [[0.0, 0.0], [1.0, 0.0]], [[0, 0], [1, 0]], order=1).round(6).tolist()
    [0.0, 2.0]
    """
    table = pinv_table(behavior, target, order)
    chosen = tuple(_checked_picks(picks, np.asarray(behavior, dtype=np.float64)).T)
    return np.asarray(table[chosen], dtype=np.float64)


def pinv_table(behavior: ArrayLike, target: ArrayLike, order: int) -> FloatArray:
    """The weight of every choice at once: 1_a' pinv(E_behavior[1_a 1_a']) E_target[1_a], 1_a being a choice's indicators.

    Args:
        behavior: shape (n_arms of dimension 0, of dimension 1, ...), joint pmf that choices were drawn from.
        target: same shape, joint pmf of the policy to be valued.
        order: how many dimensions an indicator may speak of, at least 1; at the number of dimensions, and above,
            the weights are the plain target / behavior.

    Returns:
        Same shape; 0 for a choice that `behavior` cannot make. The mean under `behavior` is 1.

    Raises:
        UnusableLog: if a pmf is none, if the target picks an arm (or pair) that the log never does, or if the log
            picks arms only together that the target picks apart.
        InvalidSettings: if the order is below 1.

    Caution: memory grows with the square of the number of indicators: 255 of order 2 for 12 x 4 x 4 x 10 arms.

    Source: Swaminathan et al. (2017), off-policy evaluation for slate recommendation (order 1).

    >>> sequential = [[0.4, 0.1], [0.1, 0.4]]
    >>> pinv_table(sequential, [[0.1, 0.5], [0.2, 0.2]], order=1).round(6).tolist()
    [[0.875, 2.5], [-0.5, 1.125]]
    >>> pinv_table(sequential, [[0.1, 0.5], [0.2, 0.2]], order=2).round(6).tolist()
    [[0.25, 5.0], [2.0, 0.5]]
    """
    logged, wanted = checked_pmf(behavior, "behavior"), checked_pmf(target, "target")
    if logged.shape != wanted.shape:
        raise UnusableLog(
            f"behavior is over {logged.shape} arms, target over {wanted.shape}. Weights compare the two choice by choice: "
            "give an arm that one of them does not have probability 0 there."
        )
    if order < 1:
        raise InvalidSettings(f"order is {order!r}, need at least 1: 1 for single dimensions, 2 for pairs of them.")
    require_support(logged, wanted, order)
    # Arm 0 of a dimension gets no indicator. With the likeliest arm there, the other indicators overlap least.
    swap = _Swap.of(logged)
    weights = swap(_solve(swap(logged), swap(wanted), order, swap))
    return np.where(logged > 0.0, weights, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Swap:
    """Exchanges arm 0 and the likeliest arm of every dimension; called twice it changes nothing."""

    likeliest: tuple[int, ...]
    grid: tuple[IndexArray, ...]

    @classmethod
    def of(cls, pmf: FloatArray) -> _Swap:
        dimensions = range(pmf.ndim)
        likeliest = tuple(int(marginal(pmf, (dimension,)).argmax()) for dimension in dimensions)
        orders = [np.arange(n_arms) for n_arms in pmf.shape]
        for order, first in zip(orders, likeliest, strict=True):
            order[[0, first]] = first, 0
        return cls(likeliest, np.ix_(*orders))

    def __call__(self, table: FloatArray) -> FloatArray:
        return table[self.grid]

    def arm(self, dimension: int, swapped: int) -> int:
        """The arm's index before the exchange."""
        first = self.likeliest[dimension]
        return first if swapped == 0 else 0 if swapped == first else swapped


@dataclass(frozen=True, slots=True, eq=False)
class _Indicators:
    """The columns 1_a is made of: one for each set of at most `order` arms of different dimensions, none of them arm 0.

    A column is written as a choice in which arm 0 means "any arm", so it has a place in a table shaped like a pmf. The
    product of two columns is such a column again, or 0 where they want different arms of one dimension.

    Attributes:
        arms: shape (n_columns, n_dimensions).
        places: shape (n_columns,), of each column in a flattened table.
        products: shape (n_columns, n_columns), place of the product; one past the table's end where it is 0.
    """

    arms: IndexArray
    places: IndexArray
    products: IndexArray


@lru_cache(maxsize=32)
def _indicators(sizes: tuple[int, ...], order: int) -> _Indicators:
    """A pure function of a campaign's sizes, and dearer than what a row does with it: hence kept."""
    arms = np.indices(sizes).reshape(len(sizes), -1).T
    arms = arms[np.count_nonzero(arms, axis=1) <= order]
    one, other = arms[:, None, :], arms[None, :, :]
    contradict = ((one != other) & (one > 0) & (other > 0)).any(axis=-1)
    products = np.ravel_multi_index(tuple(np.moveaxis(np.maximum(one, other), -1, 0)), sizes)
    products[contradict] = np.prod(sizes)
    return _Indicators(arms, np.ravel_multi_index(tuple(arms.T), sizes), products)


def _solve(behavior: FloatArray, target: FloatArray, order: int, swap: _Swap) -> FloatArray:
    """The table of weights: coefficients of the indicators, then their sum for each choice."""
    columns = _indicators(behavior.shape, order)
    # Expectations of all columns' products are marginals of the pmf: no choice has to be visited.
    gram = np.append(_marginals(behavior).ravel(), 0.0)[columns.products]
    wanted = _marginals(target).ravel()[columns.places]
    coefficients = _solve_semidefinite(gram, wanted)
    _require_reached(wanted, gram @ coefficients, columns, swap)
    table = np.zeros(behavior.shape)
    table.ravel()[columns.places] = coefficients
    return _sum_of_columns(table)


def _solve_semidefinite(gram: FloatArray, wanted: FloatArray) -> FloatArray:
    """A solution of gram x = wanted, where rules made columns 0 or dependent: x is 0 for those that add nothing.

    Any solution gives the same weights as the pseudo-inverse's, for choices that can be made. Cholesky with pivots finds
    the independent columns in half a millisecond, where lstsq takes fifty.
    """
    scale = np.sqrt(gram.diagonal())
    scale[scale == 0.0] = 1.0
    # Scaled, so that a rare arm's column is judged by how new it is and not by how rare.
    factor, pivots, rank, _ = scipy.linalg.lapack.dpstrf(gram / np.outer(scale, scale), tol=LEAST_REST)
    kept = pivots[:rank] - 1
    solution = np.zeros(len(wanted))
    solution[kept] = scipy.linalg.cho_solve((factor[:rank, :rank], False), (wanted / scale)[kept], check_finite=False)
    return np.asarray(solution / scale, dtype=np.float64)


def _marginals(pmf: FloatArray) -> FloatArray:
    """A table in which arm 0 means any arm: each entry is the probability of the other arms together."""
    table = pmf.copy()
    for dimension in range(table.ndim):
        along = np.moveaxis(table, dimension, 0)
        along[0] = along.sum(axis=0)
    return table


def _sum_of_columns(table: FloatArray) -> FloatArray:
    """For each choice the sum of all entries that hold for it, arm 0 meaning any arm; changes the table given."""
    for dimension in range(table.ndim):
        along = np.moveaxis(table, dimension, 0)
        along[1:] += along[0]
    return table


def _require_reached(wanted: FloatArray, reached: FloatArray, columns: _Indicators, swap: _Swap) -> None:
    """Refuse what no weights can do: the log may pick each arm, but some only together."""
    shortfall = np.abs(wanted - reached)
    worst = int(shortfall.argmax())
    if shortfall[worst] <= LEAST_SHORTFALL:
        return
    # Which column it shows in depends on the arms without indicator, so all of its dimensions are suspect.
    arms = {dimension: swap.arm(dimension, int(arm)) for dimension, arm in enumerate(columns.arms[worst]) if arm > 0}
    raise UnusableLog(
        f"target picks {named(arms)} with probability {wanted[worst]:.3g}; weighted logged choices reach "
        f"{reached[worst]:.3g} at best, as behavior picks some arms only together. Their effects cannot be told apart: "
        "value a target that keeps them together, or log with more exploration."
    )


def _checked_ratios(ratios: ArrayLike) -> FloatArray:
    values = np.asarray(ratios, dtype=np.float64)
    if values.ndim != 2 or not values.shape[1]:
        raise UnusableLog(
            f"ratios have shape {values.shape}, need (n, n_dimensions). A choice's weight needs the ratio of each of its "
            "arms: give one column for each dimension."
        )
    broken = np.argwhere(~(np.isfinite(values) & (values >= 0.0)))
    if len(broken):
        row, dimension = map(int, broken[0])
        raise UnusableLog(
            f"ratio of row {row}, dimension {dimension} is {float(values[row, dimension])!r}, need a finite number, at least "
            "0. One of them spoils every mean: check the row's propensity and the target's probability."
        )
    return values


def _checked_picks(picks: ArrayLike, behavior: FloatArray) -> IndexArray:
    chosen = np.asarray(picks)
    if chosen.ndim != 2 or chosen.shape[1] != behavior.ndim or chosen.dtype.kind not in "iu":
        raise UnusableLog(
            f"picks have shape {chosen.shape} and type {chosen.dtype}, need whole numbers of shape (n, {behavior.ndim}). "
            "A pick is the index of its arm in each dimension: give one row for each logged choice."
        )
    outside = np.asarray(((chosen < 0) | (chosen >= behavior.shape)).any(axis=1), dtype=np.bool_)
    outside[~outside] = behavior[tuple(chosen[~outside].T)] == 0.0
    if outside.any():
        row = int(outside.argmax())
        raise UnusableLog(
            f"pick of row {row} is {tuple(map(int, chosen[row]))}, to which behavior gives probability 0. The row was not "
            "drawn from that pmf: recompute the pmf from the snapshot and rules that the row names."
        )
    return chosen.astype(np.intp)
