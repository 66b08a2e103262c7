"""An arm that sends nothing: it ends the choice.

Whoever gets it gets no message, so nothing is left to choose in later dimensions. Each of them gets an arm `no_send` of its
own, which is eligible after such a pick alone, and then alone: its probability is 1. So a choice still has one arm of each
dimension, propensities are products as always, and whatever reads the log stays exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, NamedTuple

from bandit.dimension import Arm, Dimension
from bandit.fault import Fault

NO_SEND: Final = "no_send"
"""Id of the arms that later dimensions get, and by convention of the one that the file lists."""


class Implied(NamedTuple):
    """An arm that is on offer after the arm that ended the choice in the dimension before, and then alone.

    Attributes:
        dimension: position of its own dimension.
        arm: its position there.
        follows: position of the arm in the dimension before.
    """

    dimension: int
    arm: int
    follows: int


def implied_arms(dimensions: Sequence[Dimension]) -> tuple[Implied, ...]:
    """Arms that `with_no_send` made, in order of dimensions.

    Of an arm that the file lists after an earlier dimension that may end the choice nothing of the kind can be said: it can be
    picked by itself too.

    >>> subjects = Dimension("subject", (Arm("plain"), Arm("no_send", no_send=True)))
    >>> implied_arms(with_no_send([subjects, Dimension("cta", (Arm("join"),))], []))
    (Implied(dimension=1, arm=1, follows=1),)
    """
    found = []
    for place, (before, dimension) in enumerate(pairwise(dimensions), start=1):
        if before.silent is None or dimension.silent is None:
            continue
        arm = dimension.index_of(dimension.silent)
        if dimension.arms[arm].requires:
            found.append(Implied(place, arm, before.index_of(before.silent)))
    return tuple(found)


def with_no_send(dimensions: Sequence[Dimension], faults: list[Fault]) -> tuple[Dimension, ...]:
    """The dimensions with the arms and rules that follow from arms which send nothing; faults are noted.

    >>> subjects = Dimension("subject", (Arm("plain"), Arm("no_send", no_send=True)))
    >>> ctas = with_no_send([subjects, Dimension("cta", (Arm("join"),))], [])[1]
    >>> {arm.id: sorted(arm.requires["subject"]) for arm in ctas.arms}
    {'join': ['plain'], 'no_send': ['no_send']}
    """
    found: list[Dimension] = []
    for dimension in dimensions:
        before = found[-1] if found else None
        _check(dimension, faults)
        ends = before.silent if before else None
        found.append(_after(dimension, before, ends, faults) if before and ends is not None else dimension)
    return tuple(found)


def _after(dimension: Dimension, before: Dimension, ends: str, faults: list[Fault]) -> Dimension:
    """A dimension after one in which the choice may have ended."""
    goes_on = frozenset(before.ids) - {ends}
    arms = [arm if arm.no_send else _only_after(arm, before.name, goes_on) for arm in dimension.arms]
    for arm in dimension.arms:
        if arm.no_send and (arm.when or arm.requires):
            wanted = f"no rules: {before.name} may send nothing, and then this arm alone is left"
            faults.append(Fault(f"dimension {dimension.name}, arm {arm.id}", "when or requires", wanted))
    for arm in arms:
        if not arm.requires.get(before.name, goes_on):
            wanted = f"an arm of {before.name} that sends something: after {ends} nothing is left to choose"
            faults.append(Fault(f"dimension {dimension.name}, arm {arm.id}", f"requires {before.name} {ends}", wanted))
    if dimension.silent is None:
        if NO_SEND in dimension:
            wanted = f"another id, or no_send = true: an arm of this id is made, for {before.name} may send nothing"
            faults.append(Fault(f"dimension {dimension.name}, arm {NO_SEND}", "an arm that sends something", wanted))
            return dimension
        arms.append(Arm(NO_SEND, requires={before.name: frozenset((ends,))}, no_send=True))
    return replace(dimension, arms=tuple(arms))


def _only_after(arm: Arm, name: str, arms: frozenset[str]) -> Arm:
    """An arm that goes with some arms of an earlier dimension, besides what it asks for itself."""
    return replace(arm, requires={**arm.requires, name: arm.requires.get(name, arms) & arms})


def _check(dimension: Dimension, faults: list[Fault]) -> None:
    silent = [arm for arm in dimension.arms if arm.no_send]
    if len(silent) > 1:
        found = f"{len(silent)} arms with no_send = true"
        faults.append(Fault(f"dimension {dimension.name}", found, "one: whichever it is, nothing is sent"))
    if len(silent) == len(dimension.arms) > 0:
        faults.append(Fault(f"dimension {dimension.name}", "no arm that sends anything", "at least one that does"))
    faults += [
        Fault(f"dimension {dimension.name}, arm {arm.id}", "a text", "none: nobody would read it")
        for arm in silent
        if arm.text
    ]
