"""Columns of a table of features as numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog


def numbers_of(values: pd.Series) -> FloatArray:
    """A column as float64; what is missing is NaN.

    Args:
        values: of one feature.

    Raises:
        UnusableLog: if it holds texts.

    >>> numbers_of(pd.Series([1, None])).tolist()
    [1.0, nan]
    """
    if values.dtype == np.float64:
        return np.asarray(values)
    try:
        return np.asarray(pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan))
    except (ValueError, TypeError) as error:
        raise UnusableLog(
            f"column {values.name!r} holds something that is no number ({error}), where numbers stood when this was learned. "
            "Correct it, or learn anew."
        ) from error
