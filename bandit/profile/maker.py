"""What makes features: some columns from sums, a population and the campaign's `[profile]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandit.profile.population import Population
from bandit.profile.spec import ProfileSpec
from bandit.profile.sums import Sums

Column = NDArray[Any]
"""Numbers (NaN where not known) or texts (None where not known), shape (n,)."""
Columns = Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Maker:
    """Some features made together.

    Attributes:
        means: each feature with what it is, in one line.
        make: its columns; element by element, so that one customer gets the same as among many.
    """

    means: Mapping[str, str]
    make: Callable[[Sums, Population, ProfileSpec], Columns]


def texts(names: list[str], codes: NDArray[np.int64]) -> Column:
    """Texts by their positions in a list, shape (n,)."""
    return np.array(names, dtype=object)[codes]
