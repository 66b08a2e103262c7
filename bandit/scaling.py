"""Context features as a learner likes them: measured from the average customer, all of a comparable size.

Uncentred, the weights of a customer's features move together with the weight of the arm, and what an arm is worth to
everybody is learned many times too fast; unscaled, a number that hardly varies in its declared range is hardly learned at
all. Both are undone when the weights are read out (`bandit.compiled.in_raw_terms`), so serving knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bandit.context import EncodedContext

INDICATOR = 1.25
"""What an indicator's step from 0 to 1 becomes."""
SPREAD = 0.625
"""Standard deviation of a number after scaling: as far apart as the values of a category that is often half and half."""
LEAST_DEVIATION = 0.1
"""Numbers that vary less than this share of their declared range count as if they varied so much."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Mean and scale of every context feature; a feature of value x is learned from as (x - mean) * scale.

    >>> Scaling.of([EncodedContext({}, (0,), (1.0,)), EncodedContext({}, (1,), (1.0,))], (False, False))
    Scaling(means=(0.5, 0.5), scales=(1.25, 1.25))
    """

    means: tuple[float, ...]
    scales: tuple[float, ...]

    @classmethod
    def of(cls, contexts: Sequence[EncodedContext], numeric: Sequence[bool]) -> Scaling:
        """Measure it.

        Args:
            contexts: of the first customers, at least one.
            numeric: for each context feature, whether it is a number; the others are indicators.
        """
        values = np.zeros((len(contexts), len(numeric)))
        for row, context in enumerate(contexts):
            values[row, list(context.indices)] = context.weights
        deviations = np.maximum(values.std(axis=0), LEAST_DEVIATION)
        scales = np.where(numeric, SPREAD / deviations, INDICATOR)
        return cls(tuple(values.mean(axis=0).tolist()), tuple(scales.tolist()))
