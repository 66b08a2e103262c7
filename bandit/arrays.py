"""The two array types that cross module borders, and counting in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
"""float64; the shape stands in the docstring of whoever uses it."""

BoolArray = NDArray[np.bool_]
"""boolean; the shape stands in the docstring of whoever uses it."""


def count_true(mask: BoolArray) -> FloatArray | int:
    """How many entries of the last axis are true, in a form that broadcasts against it.

    One row is counted in C and comes back as an int: it stands in the hot path of every decision. So does the count of rows
    in which all are true.

    >>> count_true(np.array([True, False, True])), count_true(np.array([[True, False], [True, True]])).tolist()
    (2, [[1.0], [2.0]])
    """
    if mask.ndim == 1:
        return int(np.count_nonzero(mask))
    if mask.all():
        return int(mask.shape[-1])
    return np.add.reduce(mask, axis=-1, keepdims=True, dtype=np.float64)
