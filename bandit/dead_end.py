"""Dead ends: arms after which a later dimension would have no eligible arm, whatever else is picked.

A dimension is drawn before the later ones are looked at. If an arm could be drawn that leaves one of them empty, the draw would
decide who gets an answer, and the log would hold only those whose draw was lucky. So dead ends are out before the draw, as
arms that break a rule are. They follow from the campaign, the context, what is excluded and the earlier picks, so nothing is
stored: whoever has the row works them out again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import product

import numpy as np

from bandit.arrays import BoolArray
from bandit.context import ContextValue
from bandit.dimension import Dimension
from bandit.exclusion import Excluded
from bandit.fault import Fault
from bandit.kind import Kinds, kinds_of

_MOST_KEPT = 256
"""Sets of usable kinds whose searches are kept: hours and products take out the same few kinds again and again."""

_Usable = tuple[tuple[int, ...], ...]
"""For each dimension the kinds of which an arm can be used."""


class Onward:
    """How far one gets with the arms that are left to one customer: a search that keeps what it has found.

    Args:
        kinds: of the campaign's arms.
        usable: for each dimension the kinds of which an arm is left.
    """

    __slots__ = ("_kinds", "_known", "_leading", "_usable")

    def __init__(self, kinds: Kinds, usable: _Usable) -> None:
        self._kinds, self._usable = kinds, usable
        self._known: dict[tuple[int, ...], int] = {}
        self._leading: dict[tuple[int, ...], frozenset[int]] = {}

    def first_empty(self, dimension: int, picked: tuple[int, ...]) -> int:
        """The first dimension from this one on that stays empty, whatever is picked before it.

        Args:
            dimension: the first that is not picked yet.
            picked: kinds of the earlier picks.

        Returns:
            The number of dimensions where a whole choice is left.
        """
        end = len(self._usable)
        if dimension == end:
            return end
        # Only picks that somebody asks for later can make a difference.
        key = (dimension, *[picked[earlier] for earlier in self._kinds.asked[dimension]])
        found = self._known.get(key)
        if found is None:
            found = dimension
            for kind in self._usable[dimension]:
                if found < end and self._kinds.fits(dimension, kind, picked):
                    found = max(found, self.first_empty(dimension + 1, (*picked, kind)))
            self._known[key] = found
        return found

    def leading_on(self, dimension: int, picks: Sequence[int]) -> frozenset[int]:
        """The kinds of a dimension after which a whole choice is left, whether or not their own rules hold.

        Args:
            dimension: the next to be picked.
            picks: positions of the earlier picks.
        """
        kinds = self._kinds
        key = (dimension, *[kinds.of[earlier][picks[earlier]] for earlier in kinds.asked_after[dimension]])
        found = self._leading.get(key)
        if found is None:
            picked, end = kinds.picked(dimension, picks), len(self._usable)
            every = range(len(kinds.members[dimension]))
            leading = [kind for kind in every if self.first_empty(dimension + 1, (*picked, kind)) == end]
            found = self._leading[key] = frozenset(leading)
        return found


class DeadEnds:
    """The dead ends of one campaign, prepared once; campaigns without `requires` have none.

    Args:
        dimensions: all of the campaign's.

    >>> from bandit.dimension import Arm
    >>> channels = Dimension("channel", (Arm("email"), Arm("sms")))
    >>> hours = Dimension("send_slot", (Arm("mon-09"), Arm("mon-20", requires={"channel": frozenset(["email"])})))
    >>> ends = DeadEnds([channels, hours])
    >>> ends.leading_on(0, [0, 1], {}, (), [Excluded(1, 0)])  # without mon-09, sms has no hour
    (0,)
    """

    __slots__ = ("_changing", "_dimensions", "_full", "_has_conditions", "_kept", "_kinds", "_latest", "possible")

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self._dimensions = tuple(dimensions)
        self._kinds = kinds_of(dimensions)
        self._full = tuple(tuple(range(len(members))) for members in self._kinds.members)
        self._kept: dict[_Usable, Onward] = {}
        asked = {earlier for one in self._kinds.asked for earlier in one}
        self.possible = tuple(d in asked for d in range(len(self._dimensions)))
        """For each dimension whether an arm of it can be a dead end: whether a later one asks what was picked."""
        # Only what is left of dimensions after the first that is asked for can make a dead end.
        later = range(min(asked, default=len(self._dimensions)) + 1, len(self._dimensions))
        self._changing = {d: any(arm.when for arm in self._dimensions[d].arms) for d in later}
        self._has_conditions = any(self._changing.values())
        self._latest: tuple[Collection[Excluded], Onward] | None = None

    def leading_on(
        self,
        dimension: int,
        arms: Sequence[int],
        context: Mapping[str, ContextValue],
        picks: Sequence[int],
        excluded: Collection[Excluded],
    ) -> tuple[int, ...]:
        """Those of some arms that are no dead ends.

        Args:
            dimension: whose arms.
            arms: positions of arms that rules leave.
            context: what rules look at.
            picks: positions of the earlier picks.
            excluded: arms of any dimension that are out of this decision.
        """
        leading, kinds = self.onward(context, excluded).leading_on(dimension, picks), self._kinds.of[dimension]
        return tuple([arm for arm in arms if kinds[arm] in leading])

    def empty_after(
        self,
        dimension: int,
        arm: int,
        context: Mapping[str, ContextValue],
        picks: Sequence[int],
        excluded: Collection[Excluded],
    ) -> int:
        """The first dimension that an arm leaves empty; the number of dimensions where it is no dead end."""
        picked = (*self._kinds.picked(dimension, picks), self._kinds.of[dimension][arm])
        return self.onward(context, excluded).first_empty(dimension + 1, picked)

    def masks(self, dimension: int, context: Mapping[str, ContextValue], excluded: Collection[Excluded]) -> BoolArray:
        """Whether each arm is no dead end, for every choice of the earlier dimensions at once.

        Returns:
            shape (n_earlier_choices, n_arms), the last earlier dimension varying fastest.
        """
        onward, kinds = self.onward(context, excluded), self._kinds
        # The first arm of a kind stands for all of it, and any arm for a dimension that nobody asks for.
        firsts = [
            [members[0] for members in groups] if d in kinds.asked_after[dimension] else [0]
            for d, groups in enumerate(kinds.members[:dimension])
        ]
        n_kinds, shape = len(kinds.members[dimension]), [len(one) for one in firsts]
        leading = [onward.leading_on(dimension, picks) for picks in product(*firsts)]
        found = np.array([[kind in one for kind in range(n_kinds)] for one in leading]).reshape(*shape, n_kinds)
        places = [np.array(of) * (size > 1) for of, size in zip(kinds.of, shape, strict=False)]
        flat: BoolArray = found[np.ix_(*places, np.array(kinds.of[dimension]))].reshape(-1, len(kinds.of[dimension]))
        return flat

    def onward(self, context: Mapping[str, ContextValue], excluded: Collection[Excluded]) -> Onward:
        """The search for one customer; the same one for all to whom the same kinds are left."""
        latest = self._latest
        if latest is not None and latest[0] is excluded:
            return latest[1]
        usable = self._usable(context, excluded)
        found = self._kept.get(usable)
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            found = self._kept[usable] = Onward(self._kinds, usable)
        # The same tuple comes back for each dimension, and for all whose hours are the same; nobody can change it.
        if isinstance(excluded, tuple) and not self._has_conditions:
            self._latest = excluded, found
        return found

    def _usable(self, context: Mapping[str, ContextValue], excluded: Collection[Excluded]) -> _Usable:
        if not (excluded or self._has_conditions):
            return self._full
        out: dict[int, set[int]] = {}
        for d, arm, _ in excluded:
            out.setdefault(d, set()).add(arm)
        usable = list(self._full)
        for d, has_conditions in self._changing.items():
            if has_conditions or d in out:
                usable[d] = self._kinds_left(d, context, out.get(d, frozenset()))
        return tuple(usable)

    def _kinds_left(self, dimension: int, context: Mapping[str, ContextValue], out: Collection[int]) -> tuple[int, ...]:
        arms, found = self._dimensions[dimension].arms, []
        for kind, members in enumerate(self._kinds.members[dimension]):
            for arm in members:
                if arm not in out and arms[arm].suits(context):
                    found.append(kind)
                    break
        return tuple(found)


def refuse_dead_ends(dimensions: Sequence[Dimension], faults: list[Fault]) -> None:
    """Note arms that no whole choice has, whoever the customer is: they could never be sent.

    Args:
        dimensions: of a campaign file, with the rules that follow from its other tables.
        faults: found so far; an arm or a channel that is named there is not named again.

    Caution: what `when` asks of the context is not looked at, so arms that never meet for another reason are not found.

    >>> from bandit.dimension import Arm
    >>> channels = Dimension("channel", (Arm("email"), Arm("sms")))
    >>> hours = Dimension("send_slot", (Arm("mon-20", requires={"channel": frozenset(["email"])}),))
    >>> faults = []
    >>> refuse_dead_ends([channels, hours], faults)
    >>> print(faults[0].where)
    dimension channel, arm sms
    """
    if not all(dimension.arms for dimension in dimensions):
        return
    kinds, named = kinds_of(dimensions), {fault.where for fault in faults}
    usable = tuple(tuple(range(len(members))) for members in kinds.members)
    empty = Onward(kinds, usable).first_empty(0, ())
    if empty < len(dimensions):
        where, wanted = f"dimension {dimensions[empty].name}", "an arm that goes with earlier ones that go together"
        faults.append(Fault(where, "arms whose `requires` no earlier picks meet", wanted))
        return
    for d, dimension in enumerate(dimensions):
        for kind, members in enumerate(kinds.members[d]):
            empty = Onward(kinds, (*usable[:d], (kind,), *usable[d + 1 :])).first_empty(0, ())
            for arm in () if empty == len(dimensions) else [dimension.ids[member] for member in members]:
                where = f"dimension {dimension.name}, arm {arm}"
                if named.isdisjoint({where, f"channels.{arm}"}):
                    faults.append(Fault(where, *_never_sent(dimensions[empty], is_own=empty == d)))


def _never_sent(empty: Dimension, *, is_own: bool) -> tuple[str, str]:
    """What was found of an arm that no whole choice has, and what would be right."""
    if is_own:
        return "`requires` that no earlier picks meet together", "what earlier picks can meet: it could never be sent"
    return (
        f"an arm that leads nowhere: with it, {empty.name} has no arm",
        f"an arm of {empty.name} that goes with it: it could never be sent",
    )
