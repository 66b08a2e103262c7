"""Which arms are on offer now: rules remove arms *before* the draw, and nothing edits a choice afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import BoolArray
from bandit.context import ContextValue
from bandit.dead_end import DeadEnds
from bandit.dimension import Dimension
from bandit.errors import NoEligibleArm
from bandit.exclusion import Excluded
from bandit.removal import Removal, broken_rule, leads_nowhere, without_arms


class Eligibility:
    """The rules of one campaign, prepared once; dimensions without rules cost nothing.

    An arm is eligible if its rules hold, nothing took it out of this decision, and a whole choice is left after it: see
    `bandit.dead_end`. So whoever is offered an arm of the first dimension is offered one of each.

    Args:
        dimensions: all of the campaign's.
        looks_ahead: whether dead ends are out; they were not in decisions made before there was this look ahead.
    """

    __slots__ = ("_all", "_dead_ends", "_dimensions", "_is_free", "_looks_ahead", "_required", "_ruled")

    def __init__(self, dimensions: Sequence[Dimension], *, looks_ahead: bool = True) -> None:
        self._dimensions = tuple(dimensions)
        self._all = tuple(tuple(range(len(dimension.arms))) for dimension in dimensions)
        self._required: dict[int, BoolArray] = {}
        self._ruled = tuple(any(arm.when or arm.requires for arm in dimension.arms) for dimension in dimensions)
        self._dead_ends = DeadEnds(dimensions)
        self._looks_ahead = tuple(looks_ahead and possible for possible in self._dead_ends.possible)
        self._is_free = tuple(not (ruled or ahead) for ruled, ahead in zip(self._ruled, self._looks_ahead, strict=True))

    @property
    def looks_ahead(self) -> tuple[bool, ...]:
        """For each dimension whether an arm of it may be out because it leads nowhere."""
        return self._looks_ahead

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
        if self._is_free[dimension] and not excluded:
            return self._all[dimension]
        left = self._left_by_rules(dimension, context, picks, excluded)
        offered = left
        if left and self._looks_ahead[dimension]:
            offered = self._dead_ends.leading_on(dimension, left, context, picks, excluded)
        if not offered:
            raise self._nothing_left(dimension, left, context, picks, excluded)
        return offered

    def _left_by_rules(
        self,
        dimension: int,
        context: Mapping[str, ContextValue],
        picks: Sequence[int],
        excluded: Collection[Excluded],
    ) -> tuple[int, ...]:
        """Positions of the arms whose own rules hold, dead ends among them."""
        kept_out = _kept_out(dimension, excluded)
        if not self._ruled[dimension]:
            return tuple([one for one in self._all[dimension] if one not in kept_out])
        picked = self._picked(picks)
        arms = enumerate(self._dimensions[dimension].arms)
        return tuple([k for k, arm in arms if k not in kept_out and arm.suits(context) and arm.goes_with(picked)])

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
        if self._is_free[dimension] and not any(excluded):
            # Arms vary slowest in memory: whoever adds over them goes along whole columns.
            return np.ones((len(self._all[dimension]), len(excluded)), dtype=np.bool_).T
        if self._is_free[dimension]:
            kept_in = self._not_excluded(dimension, excluded)
            if kept_in.any(axis=1).all():
                return kept_in
        asked, places = self._looked_at(dimension)
        rows = _numbered(contexts, asked, excluded)
        for earlier in places:
            _, rows = np.unique(rows * len(self._all[earlier]) + picks[:, earlier], return_inverse=True)
        _, first, rows = np.unique(rows, return_index=True, return_inverse=True)
        # In the order of rows, so that it is the first customer without an arm who is named.
        masks = {
            row: self.mask(dimension, contexts[row], picks[row, :dimension].tolist(), excluded[row])
            for row in sorted(first.tolist())
        }
        found: BoolArray = np.array([masks[row] for row in first.tolist()])[rows]
        return found

    def _looked_at(self, dimension: int) -> tuple[list[str], list[int]]:
        """The context fields and the earlier dimensions that have a say in what is eligible."""
        until = len(self._dimensions) if self._looks_ahead[dimension] else dimension + 1
        arms = [arm for one in self._dimensions[dimension:until] for arm in one.arms]
        required = {name for arm in arms for name in arm.requires}
        places = [d for d, one in enumerate(self._dimensions[:dimension]) if one.name in required]
        return sorted({name for arm in arms for name in arm.when}), places

    def asks_of_context(self, dimension: int) -> tuple[str, ...]:
        """The context fields that have a say in what is eligible in a dimension, dead ends looked at."""
        return tuple(self._looked_at(dimension)[0])

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
        allowed = [k not in kept_out and arm.suits(context) for k, arm in arms]
        found: BoolArray = self._required[dimension] & np.array(allowed)
        return found & self._dead_ends.masks(dimension, context, excluded) if self._looks_ahead[dimension] else found

    def _allowed_by_picks(self, dimension: int) -> BoolArray:
        earlier, arms = self._dimensions[:dimension], self._dimensions[dimension].arms
        names = [one.name for one in earlier]
        choices = [dict(zip(names, choice, strict=True)) for choice in product(*(one.ids for one in earlier))]
        return np.array([[arm.goes_with(picked) for arm in arms] for picked in choices])

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
        picked = self._picked(picks[:dimension])
        found, kept_out = [], _kept_out(dimension, excluded)
        for place, arm in enumerate(self._dimensions[dimension].arms):
            rule = kept_out.get(place) or broken_rule(arm, context, picked)
            if not rule and self._looks_ahead[dimension]:
                empty = self._dead_ends.empty_after(dimension, place, context, picks, excluded)
                rule = "" if empty == len(self._dimensions) else leads_nowhere(self._dimensions[empty].name)
            if rule:
                found.append(Removal(arm.id, rule))
        return tuple(found)

    def _picked(self, picks: Sequence[int]) -> dict[str, str]:
        return {one.name: one.ids[pick] for one, pick in zip(self._dimensions, picks, strict=False)}

    def _nothing_left(
        self,
        dimension: int,
        left: Sequence[int],
        context: Mapping[str, ContextValue],
        picks: Sequence[int],
        excluded: Collection[Excluded],
    ) -> NoEligibleArm:
        """What to say of a dimension without an eligible arm: the rules of the one that stays empty whatever is picked."""
        after = [self._dead_ends.empty_after(dimension, arm, context, picks, excluded) for arm in left]
        empty, picked = max(after, default=dimension), self._picked(picks[:dimension])
        kept_out, removals = _kept_out(empty, excluded), []
        for place, arm in enumerate(self._dimensions[empty].arms):
            known = {name: ids for name, ids in arm.requires.items() if name in picked}
            rule = kept_out.get(place) or broken_rule(replace(arm, requires=known), context, picked)
            removals.append(Removal(arm.id, rule or f"requires {', '.join(sorted(arm.requires))} (nothing left fits)"))
        return NoEligibleArm(without_arms(self._dimensions[empty], removals))


def _numbered(
    contexts: Sequence[Mapping[str, ContextValue]], asked: Sequence[str], excluded: Sequence[Collection[Excluded]]
) -> NDArray[np.int64]:
    """The same number for rows that agree in some context fields and in what is excluded."""
    # Hours take out dozens of arms, mostly the same object of many rows: each is hashed once.
    same: dict[object, int] = {}
    out = {place: same.setdefault(one, len(same)) for place, one in {id(one): one for one in excluded}.items()}
    numbers = [out[id(one)] for one in excluded]
    if asked:
        keys = [(number, *[one[name] for name in asked]) for number, one in zip(numbers, contexts, strict=True)]
        known = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        numbers = [known[key] for key in keys]
    return np.array(numbers, dtype=np.int64)


def _kept_out(dimension: int, excluded: Collection[Excluded]) -> dict[int, str]:
    """Positions of the arms of a dimension that are out of this decision, each with what took it out."""
    return {arm: rule for place, arm, rule in excluded if place == dimension}
