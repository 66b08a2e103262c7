"""Interactions: whether what the arms of a fixed split do depends on the customer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from evaluation.fixed_split import SplitRows, Test, indicators


def interactions(
    arms: ArrayLike, rewards: ArrayLike, customers: ArrayLike, context: pd.DataFrame
) -> Mapping[str, Test]:
    """One test for each column of the context: do arms do the same whatever it says?

    Args:
        arms: shape (n_sends,), the name of the arm each send got.
        rewards: shape (n_sends,), in [0, 1].
        customers: shape (n_sends,), the customer key of each send; a customer has one arm.
        context: n_sends rows. A column of numbers is numeric, every other, booleans too, categorical. Missing categories
            are a category of their own; sends with a missing number are left out of that column's test.

    Returns:
        By column the Wald test of arm x column in a logistic regression on arm, column and arm x column, with errors
        clustered by customer. No p-value where the log cannot say, and the reason.

    Raises:
        UnusableLog: if there is one arm only, a customer got more than one arm, or rows are not what is said above.

    Caution: many columns are many questions: pass the p-values to `evaluation.multiplicity`. "Depends" is meant on the
    scale of log-odds: the same percentage points on a higher base are a difference there.

    Source: statsmodels `GLM(family=Binomial()).fit(cov_type="cluster")`; Liang and Zeger (1986).

    >>> arms, level = list("ab") * 400, ["new", "new", "old", "old"] * 200
    >>> clicked = ([1, 1, 1, 1] * 2 + [0, 0, 0, 1] * 3 + [0, 0, 0, 0] * 5) * 20
    >>> found = interactions(arms, clicked, range(800), pd.DataFrame({"level": level}))
    >>> found["level"].degrees, found["level"].p_value < 0.05
    (1, True)
    """
    rows = SplitRows.of(arms, rewards, customers)
    rows.require_several()
    if len(context) != len(rows.arms):
        raise UnusableLog(
            f"the context has {len(context)} rows, there are {len(rows.arms)} sends. Which belongs to which is unknown: pass "
            "the context columns of the same rows."
        )
    return {str(name): _interaction(rows, context[name]) for name in context.columns}


def _interaction(rows: SplitRows, column: pd.Series) -> Test:
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return _with_numbers(rows, column)
    return _with_labels(rows, column)


def _with_numbers(rows: SplitRows, column: pd.Series) -> Test:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    known = np.isfinite(values)
    rows, values = rows.where(known), values[known]
    if len(set(rows.names)) < 2 or np.ptp(values) == 0:
        return _no_test(column, f"{column.name} is missing or the same in every send of an arm.")
    unsaid = rows.unsaid()
    if unsaid:
        return _no_test(column, unsaid)
    # Standardised, so that a column in cents is as well conditioned as one in millions.
    return _wald(rows, ((values - values.mean()) / values.std())[:, None], column)


def _with_labels(rows: SplitRows, column: pd.Series) -> Test:
    labels = np.array([str(value) for value in column.astype(object)], dtype=object)
    levels = sorted(set(labels))
    if len(levels) < 2:
        return _no_test(column, f"{column.name} is the same in every send.")
    cells = np.array([f"{arm}\0{label}" for arm, label in zip(rows.arms, labels, strict=True)], dtype=object)
    known = {f"{arm}\0{level}": f"arm {arm} with {column.name} {level}" for arm in rows.names for level in levels}
    unsaid = rows.unsaid() or rows.unvaried(cells, known)
    if unsaid:
        return _no_test(column, unsaid)
    return _wald(rows, indicators(labels, levels), column)


def _wald(rows: SplitRows, features: FloatArray, column: pd.Series) -> Test:
    picked = indicators(rows.arms, rows.names)
    both = (picked[:, :, None] * features[:, None, :]).reshape(len(rows.arms), -1)
    return rows.wald(np.hstack([picked, features, both]), _method(column), n_tested=both.shape[1])


def _no_test(column: pd.Series, reason: str) -> Test:
    return Test(None, None, 0, _method(column), reason)


def _method(column: pd.Series) -> str:
    return f"logistic regression on arm x {column.name}, clustered by customer"
