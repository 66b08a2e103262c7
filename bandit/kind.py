"""Kinds of arms: arms of one dimension that no `requires` tells apart.

Whether a choice can be completed depends on the kinds of its picks alone. There may be hundreds of products and hours, and of
their kinds there are a few, so that searches over kinds are short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bandit.dimension import Dimension

Needs = tuple[tuple[int, frozenset[int]], ...]
"""Earlier dimensions that a kind asks for, each with the kinds of its picks that will do."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds of a campaign's arms.

    Attributes:
        of: for each dimension the kind of each arm.
        members: for each dimension and kind its arms.
        needs: for each dimension and kind what it asks of earlier picks.
        asked: for each dimension, and one past the last, the earlier ones that it or a later one asks for.
        asked_after: for each dimension, the earlier ones that a later one asks for.
    """

    of: tuple[tuple[int, ...], ...]
    members: tuple[tuple[tuple[int, ...], ...], ...]
    needs: tuple[tuple[Needs, ...], ...]
    asked: tuple[tuple[int, ...], ...]
    asked_after: tuple[tuple[int, ...], ...]

    def picked(self, dimension: int, picks: Sequence[int]) -> tuple[int, ...]:
        """Kinds of the picks that come before a dimension."""
        return tuple([kinds[pick] for kinds, pick in zip(self.of[:dimension], picks, strict=False)])

    def fits(self, dimension: int, kind: int, picked: Sequence[int]) -> bool:
        """Whether earlier picks of these kinds are what a kind asks for."""
        return all(picked[earlier] in allowed for earlier, allowed in self.needs[dimension][kind])


def kinds_of(dimensions: Sequence[Dimension]) -> Kinds:
    """The kinds of the arms of a campaign.

    >>> from bandit.dimension import Arm
    >>> channels = Dimension("channel", (Arm("email"), Arm("push"), Arm("sms")))
    >>> subjects = Dimension("subject", (Arm("short"), Arm("long", requires={"channel": frozenset(["email", "push"])})))
    >>> found = kinds_of([channels, subjects])
    >>> found.of, found.needs[1]
    (((0, 0, 1), (0, 1)), ((), ((0, frozenset({0})),)))
    """
    if not any(arm.requires for dimension in dimensions for arm in dimension.arms):
        return _all_alike(dimensions)
    wants, asked = _wants(dimensions)
    made = [_told_apart(*one) for one in zip(dimensions, wants, asked, strict=True)]
    of, members = tuple(kinds for kinds, _ in made), tuple(groups for _, groups in made)
    needs = tuple(
        tuple(_needs(wants[d][arms[0]], dimensions, of) for arms in groups) for d, groups in enumerate(members)
    )
    places = [{place for kind in one for place, _ in kind} for one in needs]
    asked_from = tuple(
        tuple(sorted({place for later in places[d:] for place in later if place < d}))
        for d in range(len(dimensions) + 1)
    )
    asked_after = tuple(tuple(place for place in asked_from[d + 1] if place < d) for d in range(len(dimensions)))
    return Kinds(of, members, needs, asked_from, asked_after)


def _all_alike(dimensions: Sequence[Dimension]) -> Kinds:
    """One kind a dimension."""
    n, sizes = len(dimensions), [len(dimension.arms) for dimension in dimensions]
    members = tuple((tuple(range(size)),) if size else () for size in sizes)
    return Kinds(tuple((0,) * size for size in sizes), members, (((),),) * n, ((),) * (n + 1), ((),) * n)


_Want = dict[int, frozenset[str]]
"""Earlier dimensions by position, and the arms of theirs that will do."""


def _wants(dimensions: Sequence[Dimension]) -> tuple[list[list[_Want]], list[list[frozenset[str]]]]:
    """What each arm of each dimension asks for, where it does not take any arm; and what each dimension is asked for."""
    every = [frozenset(dimension.ids) for dimension in dimensions]
    # Of each dimension, what was asked for so far: hundreds of products ask for the same.
    known: list[dict[frozenset[str], frozenset[str]]] = [{} for _ in dimensions]
    found, places = list[list[_Want]](), dict[str, int]()
    for d, dimension in enumerate(dimensions):
        wants = []
        for arm in dimension.arms:
            want = {places[name]: ids & every[places[name]] for name, ids in arm.requires.items() if name in places}
            wants.append(
                {place: known[place].setdefault(ids, ids) for place, ids in want.items() if ids != every[place]}
            )
        found.append(wants)
        places[dimension.name] = d
    return found, [list(one) for one in known]


def _told_apart(
    dimension: Dimension, wants: Sequence[_Want], asked: Sequence[frozenset[str]]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The kind of each arm, and the arms of each kind."""
    inside: dict[str, list[int]] = {arm: [] for arm in dimension.ids}
    for number, ids in enumerate(asked):
        for arm in ids:
            inside[arm].append(number)
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, (arm, want) in enumerate(zip(dimension.ids, wants, strict=True)):
        groups.setdefault((frozenset(want.items()), *inside[arm]), []).append(place)
    kinds = {place: kind for kind, group in enumerate(groups.values()) for place in group}
    return tuple(kinds[place] for place in range(len(wants))), tuple(map(tuple, groups.values()))


def _needs(want: Mapping[int, frozenset[str]], dimensions: Sequence[Dimension], of: Sequence[Sequence[int]]) -> Needs:
    return tuple((d, frozenset(of[d][dimensions[d].index_of(arm)] for arm in ids)) for d, ids in want.items())
