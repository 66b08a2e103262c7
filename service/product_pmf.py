"""Probabilities as rows keep them where nearly all are 0: of hundreds of products a customer is offered five.

Such a row holds a bit for each arm, and the probabilities of those whose bit is set: of 500 arms 103 bytes instead of 4,000.
Rows of other campaigns hold all their probabilities, as they always did; which of the two a row is, its length says.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WORTH_IT = 64
"""Campaigns with fewer arms keep all their probabilities."""
_FLOAT = 8


def pmf_bytes(probabilities: Sequence[float] | NDArray[np.float64]) -> bytes:
    """The probabilities of one decision, of all dimensions one after the other, as its row keeps them.

    >>> one = np.zeros(500)
    >>> one[7] = 1.0
    >>> len(pmf_bytes(one)), len(pmf_bytes(one[:60]))
    (71, 480)
    """
    if len(probabilities) < WORTH_IT:
        return array("d", probabilities).tobytes()  # a third of the time of numpy's
    every = np.asarray(probabilities)
    if not _is_worth_it(every.size, int(np.count_nonzero(every))):
        return every.tobytes()
    held = every != 0.0
    kept: bytes = np.packbits(held).tobytes() + every[held].tobytes()
    return kept


def pmf_rows(probabilities: NDArray[np.float64]) -> list[bytes]:
    """The same of many decisions, shape (n, n_arms)."""
    n, width = probabilities.shape
    if width >= WORTH_IT:
        return [pmf_bytes(row) for row in probabilities]
    whole, size = np.ascontiguousarray(probabilities).tobytes(), width * _FLOAT
    return [whole[start : start + size] for start in range(0, n * size, size)]


def probabilities_in(kept: bytes, n_arms: int) -> NDArray[np.float64]:
    """What `pmf_bytes` kept; of bytes that it cannot have made, the numbers that are there, for `verify` to look at.

    >>> probabilities_in(pmf_bytes(np.array([0.25, 0.75])), 2).tolist()
    [0.25, 0.75]
    """
    n_bits = -(-n_arms // 8)
    if len(kept) != n_arms * _FLOAT and n_arms >= WORTH_IT and len(kept) >= n_bits:
        held = np.unpackbits(np.frombuffer(kept, np.uint8, n_bits), count=n_arms).astype(np.bool_)
        if len(kept) == n_bits + _FLOAT * np.count_nonzero(held):
            found = np.zeros(n_arms)
            found[held] = np.frombuffer(kept[n_bits:])
            return found
    return np.frombuffer(kept)


def _is_worth_it(n_arms: int, n_held: int) -> bool:
    return n_arms >= WORTH_IT and 2 * n_held <= n_arms
