"""Looks: after how many rows a confidence sequence is read, and how many of them were planned for."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bandit.errors import InvalidSettings


def checked_looks(looks: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """Rising numbers of rows, each from 1 to n; None is one look after all n.

    Raises:
        InvalidSettings: if they are anything else.

    >>> checked_looks([10, 20], 20).tolist(), checked_looks(None, 20).tolist()
    ([10, 20], [20])
    """
    rows = np.asarray([n] if looks is None else looks)
    whole = rows.ndim == 1 and len(rows) and rows.dtype.kind in "iu"
    if not whole or rows[0] < 1 or rows[-1] > n or np.any(np.diff(rows) <= 0):
        raise InvalidSettings(
            f"looks are {rows.tolist()!r}, need rising whole numbers of rows between 1 and {n}. Bounds after other rows do not "
            "exist: pass how many rows each look shall see, or None for all."
        )
    return rows.astype(np.int64)


def horizons(planned: int | None, unplanned: tuple[float, ...]) -> tuple[float, ...]:
    """Rows that stakes are tuned to: the plan, or several where there is none.

    Raises:
        InvalidSettings: if the plan has no rows.

    >>> horizons(1000, (500.0, 2500.0)), horizons(None, (500.0, 2500.0))
    ((1000.0,), (500.0, 2500.0))
    """
    if planned is None:
        return unplanned
    if planned < 1:
        raise InvalidSettings(
            f"planned is {planned!r}, need at least 1 row, or None. Pass the rows you plan to look at last."
        )
    return (float(planned),)
