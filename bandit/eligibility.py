"""Which arms are on offer now: rules remove arms *before* the draw, and nothing edits a choice afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import BoolArray
from bandit.context import ContextValue
from bandit.dimension import Arm, Dimension
from bandit.errors import NoEligibleArm
from bandit.exclusion import BY_CALLER, Excluded

MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Removal:
    """An arm that is not on offer, and the rule that removed it."""

    arm: str
    rule: str


class Eligibility:
    """The rules of one campaign, prepared once; dimensions without rules cost nothing."""

    __slots__ = ("_all", "_dimensions", "_required", "_ruled")

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self._dimensions = tuple(dimensions)
        self._all = tuple(tuple(range(len(dimension.arms))) for dimension in dimensions)
        self._required: dict[int, BoolArray] = {}
        self._ruled = tuple(any(arm.when or arm.requires for arm in dimension.arms) for dimension in dimensions)

    def offered(
        self,
        dimension: int,
        context: Mapping[str, ContextValue],
        picks: Sequence[int],
        excluded: Collection[Excluded] = (),
    ) -> tuple[int, ...]:
        """Positions of the arms of a dimension that are eligible.

        Args:
            dimension: whose arms.
            context: what rules look at.
            picks: positions of the earlier picks.
            excluded: arms of any dimension that are out of this decision.

        Raises:
            NoEligibleArm: naming the rule that removed each arm.
        """
        if not self._ruled[dimension]:
            if not excluded:
                return self._all[dimension]
            kept_out = _kept_out(dimension, excluded)
            offered = tuple([one for one in self._all[dimension] if one not in kept_out])
            if offered:
                return offered
        removals = self.removals(dimension, context, picks, excluded)
        removed = {removal.arm for removal in removals}
        ids = self._dimensions[dimension].ids
        if len(removed) == len(ids):
            raise NoEligibleArm(_nothing_left(self._dimensions[dimension], removals))
        return tuple(position for position, arm in enumerate(ids) if arm not in removed)

    def offered_to_many(
        self,
        dimension: int,
        contexts: Sequence[Mapping[str, ContextValue]],
        picks: NDArray[np.int64],
        excluded: Sequence[Collection[Excluded]],
    ) -> BoolArray:
        """The same for many customers at once, as masks.

        Args:
            dimension: whose arms.
            contexts: of each customer.
            picks: shape (n, n_dimensions); those of earlier dimensions are read.
            excluded: for each customer.

        Returns:
            shape (n, n_arms).

        Raises:
            NoEligibleArm: for the first customer to whom rules leave nothing.
        """
        if not self._ruled[dimension]:
            kept_in = self._not_excluded(dimension, excluded)
            if kept_in.any(axis=1).all():
                return kept_in
        arms = self._dimensions[dimension].arms
        asked = sorted({name for arm in arms for name in arm.when})
        places = [
            d for d, one in enumerate(self._dimensions[:dimension]) if any(one.name in arm.requires for arm in arms)
        ]
        found: dict[tuple[object, ...], BoolArray] = {}
        masks = []
        # Hours take out dozens of arms, mostly the same object of many rows: each is hashed once.
        same: dict[Collection[Excluded], int] = {}
        numbers = {place: same.setdefault(one, len(same)) for place, one in {id(one): one for one in excluded}.items()}
        for context, earlier, kept_out in zip(contexts, picks[:, :dimension].tolist(), excluded, strict=True):
            key = (*[context[name] for name in asked], *[earlier[d] for d in places], numbers[id(kept_out)])
            if key not in found:
                found[key] = self.mask(dimension, context, earlier, kept_out)
            masks.append(found[key])
        return np.array(masks)

    def _not_excluded(self, dimension: int, excluded: Sequence[Collection[Excluded]]) -> BoolArray:
        """Masks of what callers left of a dimension without rules, shape (n, n_arms)."""
        different = {id(one): one for one in excluded}
        if 2 * len(different) < len(excluded):  # hours take out the same arms of many rows
            places = {one: place for place, one in enumerate(different)}
            masks = self._not_excluded(dimension, list(different.values()))
            return masks[[places[id(one)] for one in excluded]]
        masks = np.ones((len(excluded), len(self._all[dimension])), dtype=np.bool_)
        for mask, kept_out in zip(masks, excluded, strict=True):
            if kept_out:  # by position: there may be hundreds for each of thousands of customers
                mask[[one[1] for one in kept_out if one[0] == dimension]] = False
        return masks

    def mask(
        self,
        dimension: int,
        context: Mapping[str, ContextValue],
        picks: Sequence[int],
        excluded: Collection[Excluded] = (),
    ) -> BoolArray:
        """The same for one customer as an array.

        Returns:
            shape (n_arms,), boolean, in the campaign's order.
        """
        return self.mask_of(dimension, self.offered(dimension, context, picks, excluded))

    def masks(
        self, dimension: int, context: Mapping[str, ContextValue], excluded: Collection[Excluded] = ()
    ) -> BoolArray:
        """The same for every choice of the earlier dimensions at once; all false where a choice leaves nothing.

        Returns:
            shape (n_earlier_choices, n_arms), the last earlier dimension varying fastest.
        """
        if dimension not in self._required:
            self._required[dimension] = self._allowed_by_picks(dimension)
        kept_out = _kept_out(dimension, excluded)
        arms = enumerate(self._dimensions[dimension].arms)
        allowed = [k not in kept_out and not _broken_condition(arm, context) for k, arm in arms]
        found: BoolArray = self._required[dimension] & np.array(allowed)
        return found

    def _allowed_by_picks(self, dimension: int) -> BoolArray:
        earlier, arms = self._dimensions[:dimension], self._dimensions[dimension].arms
        names = [one.name for one in earlier]
        choices = [dict(zip(names, choice, strict=True)) for choice in product(*(one.ids for one in earlier))]
        return np.array([[not _broken_requirement(arm, picked) for arm in arms] for picked in choices])

    def mask_of(self, dimension: int, offered: Sequence[int]) -> BoolArray:
        """Positions of a dimension's arms as an array of shape (n_arms,)."""
        mask = np.zeros(len(self._dimensions[dimension].ids), dtype=np.bool_)
        mask[list(offered)] = True
        return mask

    def removals(
        self,
        dimension: int,
        context: Mapping[str, ContextValue],
        picks: Sequence[int],
        excluded: Collection[Excluded] = (),
    ) -> tuple[Removal, ...]:
        """Every arm of a dimension that is not on offer, with the first rule that removed it."""
        picked = {earlier.name: earlier.ids[pick] for earlier, pick in zip(self._dimensions, picks, strict=False)}
        found, kept_out = [], _kept_out(dimension, excluded)
        for place, arm in enumerate(self._dimensions[dimension].arms):
            rule = kept_out.get(place) or _broken_rule(arm, context, picked)
            if rule:
                found.append(Removal(arm.id, rule))
        return tuple(found)


def _kept_out(dimension: int, excluded: Collection[Excluded]) -> dict[int, str]:
    """Positions of the arms of a dimension that are out of this decision, each with what took it out."""
    return {arm: rule for place, arm, rule in excluded if place == dimension}


def _broken_rule(arm: Arm, context: Mapping[str, ContextValue], picked: Mapping[str, str]) -> str:
    """The first rule of an arm that does not hold, in words; empty where all hold."""
    return _broken_condition(arm, context) or _broken_requirement(arm, picked)


def _broken_condition(arm: Arm, context: Mapping[str, ContextValue]) -> str:
    """The first rule on the context that does not hold, in words."""
    for name, allowed in arm.when.items():
        if context.get(name) not in allowed:
            return f"when {name} (found {context.get(name)!r})"
    return ""


def _broken_requirement(arm: Arm, picked: Mapping[str, str]) -> str:
    """The first rule on earlier picks that does not hold, in words."""
    for name, arms in arm.requires.items():
        if picked[name] not in arms:
            return f"requires {name} (picked {picked[name]!r})"
    return ""


def _nothing_left(dimension: Dimension, removals: Sequence[Removal]) -> str:
    reasons = "; ".join(f"{removal.arm!r} by {removal.rule}" for removal in removals[:MOST_SHOWN])
    if len(removals) > MOST_SHOWN:
        reasons += f"; and {len(removals) - MOST_SHOWN} more"
    return (
        f"no arm of dimension {dimension.name!r} is eligible: {reasons}. "
        "A send needs one arm of each dimension: give this dimension an arm without rules, or widen one of these."
    ) + (" Or exclude fewer." if any(removal.rule == BY_CALLER for removal in removals) else "")
