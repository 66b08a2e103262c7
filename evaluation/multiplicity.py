"""Many questions of one log: p-values that say how surprising each is among all that were asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog


def holm(p_values: Sequence[float | None] | NDArray[np.float64]) -> tuple[float | None, ...]:
    """Adjusted p-values for claims: calling those under alpha real is wrong even once with probability alpha at most.

    Args:
        p_values: of every question that was asked, also the dull ones; None or NaN where a test gave no answer, which
            stays out of the family.

    Returns:
        Adjusted p-values in the same order, None where there was none.

    Raises:
        UnusableLog: if a p-value is outside [0, 1].

    Source: Holm (1979). Holds under any dependence.

    >>> holm([0.01, None, 0.04])
    (0.02, None, 0.04)
    """
    return _adjusted(p_values, _holm)


def benjamini_hochberg(p_values: Sequence[float | None] | NDArray[np.float64]) -> tuple[float | None, ...]:
    """Adjusted p-values for exploration: of those under q, a share of q at most is expected to be chance.

    Args:
        p_values: of every question that was asked, also the dull ones; None or NaN where a test gave no answer, which
            stays out of the family.

    Returns:
        Adjusted p-values in the same order, None where there was none.

    Raises:
        UnusableLog: if a p-value is outside [0, 1].

    Caution: a list to look into, not a claim about any one of its members. It holds for tests that are independent or
    rise together, such as segments, or arms held against one control.

    Source: Benjamini and Hochberg (1995), through statsmodels `multipletests(method="fdr_bh")`.

    >>> benjamini_hochberg([0.01, 0.5, float("nan")])
    (0.02, 0.5, None)
    """
    return _adjusted(p_values, _benjamini_hochberg)


def _holm(family: FloatArray) -> FloatArray:
    """The formula itself: statsmodels collects garbage at each call of its own, a tenth of a second and more."""
    order = np.argsort(family)
    steps = np.maximum.accumulate(family[order] * np.arange(len(family), 0, -1))
    adjusted = np.empty_like(family)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def _benjamini_hochberg(family: FloatArray) -> FloatArray:
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415 - it takes a second to load

    # statsmodels divides by the size of the family, which may be none.
    adjusted: FloatArray = multipletests(family, method="fdr_bh")[1] if len(family) else family
    return adjusted


def _adjusted(
    p_values: Sequence[float | None] | NDArray[np.float64], adjust: Callable[[FloatArray], FloatArray]
) -> tuple[float | None, ...]:
    given = np.array([np.nan if p is None else p for p in p_values], dtype=np.float64)
    family = np.flatnonzero(~np.isnan(given))
    wrong = [p for p in given[family].tolist() if not 0 <= p <= 1]
    if wrong:
        raise UnusableLog(
            f"p-value {wrong[0]!r} ({len(wrong)} such) is no probability, and it would move all the others. Pass what a "
            "test returned, and None where it gave no answer."
        )
    found: list[float | None] = [None] * len(given)
    for position, p_value in zip(family.tolist(), adjust(given[family]).tolist(), strict=True):
        found[position] = p_value
    return tuple(found)
