"""Dimensions whose arms are made per customer: of a catalogue's products only a few are on offer to each.

Such a dimension says `candidates = 5` in the campaign file. Its arms are the catalogue, most popular first; a customer is
offered the first 5 of their own candidates that can be used, and one without any the first 5 arms. All other arms are out
of the decision before the draw, as excluded arms are, so probabilities stay exact and the row says what was on offer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from bandit.context import ContextValue
from bandit.dimension import Arm, Dimension
from bandit.errors import InvalidCandidates
from bandit.exclusion import Excluded
from bandit.fault import shown

NOT_A_CANDIDATE = "not among the customer's candidates"
"""The rule that takes out other products, in words."""
NOT_POPULAR = "not among the popular ones, for a customer without candidates"
"""The same where nobody made candidates for the customer, or none of theirs can be used."""

Candidates = Mapping[str, Sequence[str]]
"""A customer's products by dimension, best first."""


class ProductOffers:
    """The product dimensions of one campaign, prepared once; campaigns without any cost nothing.

    Args:
        dimensions: all of the campaign's.

    >>> products = Dimension("product", (Arm("tea"), Arm("cup"), Arm("pot")), candidates=1)
    >>> offers = ProductOffers([products])
    >>> [one.arm for one in offers.out({}, candidates={"product": ["pot", "cup"]})]
    [0, 1]
    >>> [(one.arm, one.rule) for one in offers.out({})][0]
    (1, 'not among the popular ones, for a customer without candidates')
    """

    __slots__ = ("_dimensions", "_places", "_removals")

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self._dimensions = tuple(dimensions)
        self._places = {dimension.name: d for d, dimension in enumerate(dimensions)}
        # Made once: hundreds for every decision would take longer than the decision.
        self._removals = {
            (d, rule): [Excluded(d, arm, rule) for arm in range(len(dimension.arms))]
            for d, dimension in enumerate(dimensions)
            if dimension.candidates
            for rule in (NOT_A_CANDIDATE, NOT_POPULAR)
        }

    def __bool__(self) -> bool:
        return bool(self._removals)

    def out(
        self,
        values: Mapping[str, ContextValue],
        excluded: Sequence[Excluded] = (),
        candidates: Candidates | None = None,
    ) -> tuple[Excluded, ...]:
        """All arms that are out of a decision: those that are out anyway, and products not on offer to this customer.

        Args:
            values: the customer's context, for arms with a `when`.
            excluded: arms that are out anyway, in order; such a candidate's place goes to the next one.
            candidates: the customer's products by dimension, best first; more than the campaign offers are in reserve.

        Raises:
            InvalidCandidates: for a dimension that offers no candidates, or a product that is none of its arms.
        """
        if candidates:
            check_candidates(self._dimensions, candidates)
        if not self:
            return tuple(excluded)
        out = {(one.dimension, one.arm) for one in excluded}
        found: list[Excluded] = []
        for d, dimension in enumerate(self._dimensions):
            mine = {one.arm: one for one in excluded if one.dimension == d}
            if dimension.candidates:
                found += self._out_of(d, values, out, mine, (candidates or {}).get(dimension.name, ()))
            else:
                found += mine.values()
        return tuple(found)

    def _out_of(
        self,
        d: int,
        values: Mapping[str, ContextValue],
        out: Collection[tuple[int, int]],
        excluded: Mapping[int, Excluded],
        ids: Iterable[str],
    ) -> list[Excluded]:
        dimension, rule = self._dimensions[d], NOT_A_CANDIDATE
        offered = self._first_usable(d, map(dimension.index_of, dict.fromkeys(ids)), values, out)
        if not offered:
            rule = NOT_POPULAR
            offered = self._first_usable(d, range(len(dimension.arms)), values, out)
        if not offered:
            # Whoever asked and the rules leave nothing at all: they are named, not we.
            return list(excluded.values())
        # What sends nothing is no product, and all that is left where an earlier dimension has ended the choice.
        offered |= {arm for arm, one in enumerate(dimension.arms) if one.no_send} if dimension.silent else frozenset()
        removals = self._removals[d, rule]
        if not excluded:
            return [one for arm, one in enumerate(removals) if arm not in offered]
        return [excluded.get(arm, one) for arm, one in enumerate(removals) if arm not in offered or arm in excluded]

    def _first_usable(
        self, d: int, places: Iterable[int], values: Mapping[str, ContextValue], out: Collection[tuple[int, int]]
    ) -> frozenset[int]:
        """The first arms that nothing takes out, as many as the dimension offers."""
        dimension, found = self._dimensions[d], list[int]()
        for place in places:
            if len(found) == dimension.candidates:
                break
            arm = dimension.arms[place]
            if (
                (d, place) not in out
                and not arm.no_send
                and arm.suits(values)
                and self._is_within_reach(arm, values, out)
            ):
                found.append(place)
        return frozenset(found)

    def _is_within_reach(self, arm: Arm, values: Mapping[str, ContextValue], out: Collection[tuple[int, int]]) -> bool:
        """Whether of each dimension that an arm asks for one of the arms it goes with can still be picked."""
        for name, ids in arm.requires.items():
            d = self._places[name]
            dimension = self._dimensions[d]
            wanted = map(dimension.index_of, ids)
            if not any((d, one) not in out and dimension.arms[one].suits(values) for one in wanted):
                return False
        return True


def check_candidates(dimensions: Sequence[Dimension], candidates: Candidates) -> None:
    """Refuse candidates that the campaign cannot offer.

    Raises:
        InvalidCandidates: for a dimension that offers no candidates, or a product that is none of its arms.
    """
    known = {dimension.name: dimension for dimension in dimensions if dimension.candidates}
    for name, ids in candidates.items():
        if name not in known:
            raise InvalidCandidates(
                f"candidates names dimension {shown(name)}, which offers none, so they would be without effect. Dimensions "
                f"with candidates: {', '.join(known) or 'none'}. Correct the name, or give this one candidates = 5 in the "
                "campaign file."
            )
        unknown = next((one for one in ids if one not in known[name]), None)
        if unknown is not None:
            raise InvalidCandidates(
                f"candidates of {name!r} names {shown(unknown)}, which is none of its {len(known[name].arms)} products, so it "
                "could not be offered. Correct the id, or write the campaign file anew with `manyarm products`."
            )
