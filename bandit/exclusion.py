"""Arms that may not be used for one send: whoever asks says so (out of stock, not wanted here), or the hour or a list does.

They are removed before the draw, as rules remove arms, and the decision keeps them, so that its pmf can be made again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from bandit.dimension import Dimension
from bandit.errors import InvalidExclusion
from bandit.fault import shown

BY_CALLER = "excluded by the caller"
"""The rule that removed such an arm, in words."""


class Excluded(NamedTuple):
    """An arm that is out of one decision: positions in the campaign, and what took it out, in words."""

    dimension: int
    arm: int
    rule: str = BY_CALLER


Excludes = Mapping[str, Collection[str]]
"""Arms by dimension, as a caller names them."""


def excluded_in(dimensions: Sequence[Dimension], exclude: Excludes) -> tuple[Excluded, ...]:
    """The arms that a caller names, each once, in the order of dimensions and arms.

    Raises:
        InvalidExclusion: for a dimension or an arm that the campaign does not have.

    >>> from bandit.dimension import Arm
    >>> subjects = Dimension("subject", (Arm("plain"), Arm("champion")))
    >>> excluded_in([subjects], {"subject": ["champion", "champion"]})
    (Excluded(dimension=0, arm=1, rule='excluded by the caller'),)
    """
    places = {dimension.name: d for d, dimension in enumerate(dimensions)}
    found = set()
    for name, arms in exclude.items():
        if name not in places:
            raise InvalidExclusion(_unknown(f"dimension {shown(name)}", places))
        dimension = dimensions[places[name]]
        for arm in arms:
            if arm not in dimension:
                raise InvalidExclusion(_unknown(f"arm {shown(arm)} of dimension {name!r}", dimension.ids))
            found.add(Excluded(places[name], dimension.index_of(arm)))
    return tuple(sorted(found))


def by_caller(excluded: Iterable[Excluded]) -> tuple[Excluded, ...]:
    """Those that whoever asked took out."""
    return tuple(one for one in excluded if one.rule == BY_CALLER)


def written(excluded: Iterable[Excluded]) -> list[tuple[int, int] | tuple[int, int, str]]:
    """As rows of the log keep them: the rule only where it was not the caller.

    >>> written([Excluded(0, 1), Excluded(1, 0, "quiet hours")])
    [(0, 1), (1, 0, 'quiet hours')]
    """
    return [(d, arm) if rule == BY_CALLER else (d, arm, rule) for d, arm, rule in excluded]


def named(excluded: Iterable[Excluded], dimensions: Sequence[Dimension]) -> dict[str, list[str]]:
    """Excluded arms by dimension, as a caller would name them.

    >>> from bandit.dimension import Arm
    >>> named([Excluded(0, 1)], [Dimension("subject", (Arm("plain"), Arm("champion")))])
    {'subject': ['champion']}
    """
    found: dict[str, list[str]] = {}
    for d, arm, _ in excluded:
        found.setdefault(dimensions[d].name, []).append(dimensions[d].ids[arm])
    return found


def _unknown(what: str, known: Iterable[str]) -> str:
    return (
        f"exclude names {what}, which the campaign does not have, so it could not be kept away from anybody. It has: "
        f"{', '.join(list(known)[:20])}. Correct the name, or leave it out."
    )
