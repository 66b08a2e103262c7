"""Types of outcome that happen together: a conversion with its click."""

from __future__ import annotations

import numpy as np

from bandit.arrays import FloatArray


def nested(labels: FloatArray) -> tuple[tuple[int, int | None], ...]:
    """Types, each after the one it only ever happened together with (the rarest of several), if there is one.

    Args:
        labels: shape (n, n_types).

    >>> nested(np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    ((0, None), (1, None), (2, 0))
    """
    counts, together = labels.sum(axis=0), labels.T @ labels
    order = np.argsort(-counts, kind="stable").tolist()
    found: list[tuple[int, int | None]] = []
    for place, k in enumerate(order):
        above = [j for j in order[:place] if counts[k] and together[j, k] == counts[k]]
        found.append((k, above[-1] if above else None))
    return tuple(found)


def given_parent(chance: float, of_parent: float, parent_happened: bool) -> float:
    """Probability of a type once it is known whether its parent happened: together as far as that goes.

    On average over the parent it is `chance` again.

    Args:
        chance: of the type, whatever the parent does.
        of_parent: of the parent.
        parent_happened: or not.

    >>> given_parent(0.125, 0.5, True), given_parent(0.125, 0.5, False)
    (0.25, 0.0)
    """
    if parent_happened:
        return min(1.0, chance / of_parent)
    return max(0.0, (chance - of_parent) / (1.0 - of_parent))
