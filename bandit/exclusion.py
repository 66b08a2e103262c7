"""Arms that may not be used for one send: whoever asks says so (out of stock, not wanted here), or the hour or a list does.

They are removed before the draw, as rules remove arms, and the decision keeps them, so that its pmf can be made again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bandit.dimension import Dimension
from bandit.errors import InvalidExclusion
from bandit.fault import shown

BY_CALLER = "excluded by the caller"
"""The rule that removed such an arm, in words."""
WORTH_RANGES = 4
MOST_ARMS = 100_000
"""So many arms under one rule are written together."""


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
    _require_an_end(dimensions, found)
    return tuple(sorted(found))


def _require_an_end(dimensions: Sequence[Dimension], found: Collection[Excluded]) -> None:
    """Refuse to keep out what alone is left where an earlier dimension may have ended the choice."""
    may_end = None
    for d, dimension in enumerate(dimensions):
        if dimension.silent is None:
            continue
        if Excluded(d, dimension.index_of(dimension.silent)) not in found:
            may_end = may_end or dimension
        elif may_end is not None:
            raise InvalidExclusion(
                f"exclude names {dimension.silent!r} of {dimension.name!r}, which is all that is left after "
                f"{may_end.name!r} has ended the choice. Exclude the arm that sends nothing there, too."
            )


def by_caller(excluded: Iterable[Excluded]) -> tuple[Excluded, ...]:
    """Those that whoever asked took out."""
    return tuple(one for one in excluded if one.rule == BY_CALLER)


Written = tuple[int, int] | tuple[int, int | str, str]
"""A dimension, an arm or many of them as "0-6,8,10-499", and the rule where it was not the caller."""


def written(excluded: Iterable[Excluded]) -> list[Written]:
    """As rows of the log keep them: the rule only where it was not the caller, and many arms under one rule together.

    >>> written([Excluded(0, 1), Excluded(1, 0, "quiet hours")])
    [(0, 1), (1, 0, 'quiet hours')]
    >>> written([Excluded(0, arm, "not a candidate") for arm in range(500) if arm not in {7, 9}])
    [(0, '0-6,8,10-499', 'not a candidate')]
    """
    found: list[Written] = []
    under: dict[tuple[int, str], list[int]] = {}
    for d, arm, rule in excluded:
        if rule == BY_CALLER:
            found.append((d, arm))
        else:
            under.setdefault((d, rule), []).append(arm)
    for (d, rule), arms in under.items():
        if len(arms) < WORTH_RANGES:
            found += [(d, arm, rule) for arm in arms]
        else:
            found.append((d, _ranges(arms), rule))
    return found


def unwritten(found: Iterable[Sequence[int | str]]) -> tuple[Excluded, ...]:
    """What `written` made, in the order of dimensions and arms.

    Raises:
        ValueError: for anything else; positions are not held against a campaign.

    >>> unwritten([[0, "2-3,5", "not a candidate"], [0, 4]])[2]
    Excluded(dimension=0, arm=4, rule='excluded by the caller')
    """
    excluded: list[Excluded] = []
    for d, arms, *rest in found:
        rule = rest[0] if rest else BY_CALLER
        if not isinstance(d, int) or not isinstance(rule, str) or len(rest) > 1:
            raise ValueError(f"excluded arm {(d, arms, *rest)} cannot be")
        places = _in_ranges(arms) if isinstance(arms, str) else (arms,)
        excluded += [Excluded(d, arm, rule) for arm in places]
    return tuple(sorted(excluded))


def _ranges(places: Iterable[int]) -> str:
    """Positions in rising order, those that follow each other as first-last."""
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][1] + 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)


def _in_ranges(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        if int(last or first) >= MOST_ARMS:
            raise ValueError(f"excluded arms {part} cannot be")
        yield from range(int(first), int(last or first) + 1)


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
