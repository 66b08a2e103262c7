"""Hashes of the actions that callers offer again and again, kept in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

from bandit.free_features import Named
from bandit.vw import Namespaces

MOST_REMEMBERED = 100_000
"""Features of all actions together; one takes about 300 bytes, so that all of them take about 30 MB."""
LETTERS = 100
"""So many letters of names and ids weigh as much as one feature."""

Features = tuple[Named, ...]


class RememberedActions:
    """Hashes actions, each once so long as it is remembered; those not offered for longest are forgotten first.

    Args:
        hashed: hashes an action, given its id and its features.
        most: what the remembered actions may weigh; each weighs 1, and 1 more for each feature and each 100 letters.

    For one thread at a time, as the model it belongs to.

    >>> actions = RememberedActions(lambda name, features: [], most=5)
    >>> for name in ("a", "b", "a", "c"):
    ...     _ = actions.namespaces(name, (("price", 1.0),))
    >>> actions.weight, sorted(name for name, _ in actions)
    (4, ['a', 'c'])
    """

    def __init__(self, hashed: Callable[[str, Features], Namespaces], *, most: int = MOST_REMEMBERED) -> None:
        self._hashed = hashed
        self._most = most
        self._kept: OrderedDict[tuple[str, Features], Namespaces] = OrderedDict()
        self.weight = 0

    def __iter__(self) -> Iterator[tuple[str, Features]]:
        return iter(self._kept)

    def namespaces(self, name: str, features: Features) -> Namespaces:
        """An action as Vowpal Wabbit takes it."""
        action = name, features
        found = self._kept.get(action)
        if found is not None:
            self._kept.move_to_end(action)
            return found
        found = self._kept[action] = self._hashed(name, features)
        self.weight += _weight(action)
        while self.weight > self._most:
            self.weight -= _weight(self._kept.popitem(last=False)[0])
        return found


def _weight(action: tuple[str, Features]) -> int:
    name, features = action
    return 1 + len(features) + (len(name) + sum(len(one) for one, _ in features)) // LETTERS
