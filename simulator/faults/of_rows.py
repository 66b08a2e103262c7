"""Faults of rows: propensities that are not the ones that were drawn from.

What was drawn and sent is as it was; only the row is wrong. Every row stays consistent in itself (each propensity is its
pmf's entry), but for those of `SwappedRows`, so that nothing but the draws, or deciding again, can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

from bandit.decision import Decision, Pick
from bandit.errors import InvalidSettings
from bandit.pmf import Pmf
from simulator.faults.extent import Extent
from simulator.faults.kinds import Earlier


@dataclass(frozen=True, slots=True)
class WrongPropensities:
    """The pmf is logged with a larger floor than it was drawn with.

    Args:
        extent: which rows.
        floor: share of the pmf that is spread evenly over the eligible arms once more, in (0, 1].

    Raises:
        InvalidSettings: if the floor changes nothing, or is no share.
    """

    extent: Extent
    floor: float = 0.3

    def __post_init__(self) -> None:
        if not 0.0 < self.floor <= 1.0:
            raise InvalidSettings(f"floor of wrong propensities is {self.floor!r}: give a share above 0 and up to 1.")

    def rows(self, decisions: Sequence[Decision], earlier: Earlier) -> list[Decision]:
        """Those that are hit with flatter pmfs."""
        del earlier
        return [self._flattened(one) if _hit(self.extent, one, "wrong") else one for one in decisions]

    def _flattened(self, decision: Decision) -> Decision:
        return _logged_with(decision, [self._flatter(pick.pmf) for pick in decision.picks])

    def _flatter(self, pmf: Pmf) -> Pmf:
        spread = self.floor / sum(p > 0.0 for p in pmf.probabilities)
        return Pmf(pmf.arms, tuple((1.0 - self.floor) * p + spread if p > 0.0 else 0.0 for p in pmf.probabilities))


@dataclass(frozen=True, slots=True)
class StalePropensities:
    """The pmf is logged as an earlier snapshot would have given it: a cache that was not emptied.

    Args:
        extent: which rows.
    """

    extent: Extent

    def rows(self, decisions: Sequence[Decision], earlier: Earlier) -> list[Decision]:
        """Those that are hit, as decided from the earlier snapshot."""
        return [_logged_with(one, earlier(one)) if _hit(self.extent, one, "stale") else one for one in decisions]


@dataclass(frozen=True, slots=True)
class SwappedArms:
    """The pmf is logged in another order of the arms than it is read in: two eligible arms have each other's probability.

    Args:
        extent: which rows.
    """

    extent: Extent

    def rows(self, decisions: Sequence[Decision], earlier: Earlier) -> list[Decision]:
        """Those that are hit, with the first two eligible arms of each dimension exchanged."""
        del earlier
        return [self._swapped(one) if _hit(self.extent, one, "arms") else one for one in decisions]

    def _swapped(self, decision: Decision) -> Decision:
        return _logged_with(decision, [_exchanged(pick.pmf) for pick in decision.picks])


@dataclass(frozen=True, slots=True)
class SwappedRows:
    """Two sends that follow each other are logged with each other's pmfs and propensities: a join that is off by one.

    Args:
        extent: which sends are exchanged with the next one.
    """

    extent: Extent

    def rows(self, decisions: Sequence[Decision], earlier: Earlier) -> list[Decision]:
        """The same sends; pairs that are hit with each other's numbers. The last of a step has no next one."""
        del earlier
        logged, swapped = list(decisions), False
        for place, (one, other) in enumerate(pairwise(decisions)):
            swapped = not swapped and _hit(self.extent, one, "rows")
            if swapped:
                logged[place : place + 2] = [_with_numbers_of(one, other), _with_numbers_of(other, one)]
        return logged


def _hit(extent: Extent, decision: Decision, purpose: str) -> bool:
    return extent.hits(decision.decision_id, decision.decided_at, purpose)


def _logged_with(decision: Decision, pmfs: Sequence[Pmf]) -> Decision:
    """The decision as if its arms had been drawn from these pmfs."""
    picks = tuple(
        replace(pick, propensity=pmf[pick.arm], pmf=pmf) for pick, pmf in zip(decision.picks, pmfs, strict=True)
    )
    return replace(decision, picks=picks, propensity=prod(pick.propensity for pick in picks))


def _with_numbers_of(decision: Decision, other: Decision) -> Decision:
    picks = tuple(
        Pick(mine.dimension, mine.arm, theirs.propensity, theirs.pmf)
        for mine, theirs in zip(decision.picks, other.picks, strict=True)
    )
    return replace(decision, picks=picks, propensity=other.propensity)


def _exchanged(pmf: Pmf) -> Pmf:
    """The first two eligible arms with each other's probability; the same where there are not two."""
    eligible = [arm for arm, p in enumerate(pmf.probabilities) if p > 0.0]
    if len(eligible) < 2:
        return pmf
    probabilities, (one, other) = list(pmf.probabilities), eligible[:2]
    probabilities[one], probabilities[other] = probabilities[other], probabilities[one]
    return Pmf(pmf.arms, tuple(probabilities))
