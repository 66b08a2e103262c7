"""Why an arm is not on offer, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bandit.context import ContextValue
from bandit.dimension import Arm, Dimension
from bandit.exclusion import BY_CALLER

MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Removal:
    """An arm that is not on offer, and the rule that removed it."""

    arm: str
    rule: str


def leads_nowhere(dimension: str) -> str:
    """The rule that removes a dead end, in words.

    >>> leads_nowhere("send_slot")
    'leads nowhere (send_slot would have no arm)'
    """
    return f"leads nowhere ({dimension} would have no arm)"


def broken_rule(arm: Arm, context: Mapping[str, ContextValue], picked: Mapping[str, str]) -> str:
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


def without_arms(dimension: Dimension, removals: Sequence[Removal]) -> str:
    """What is said of a dimension that no arm is left of."""
    reasons = "; ".join(f"{removal.arm!r} by {removal.rule}" for removal in removals[:MOST_SHOWN])
    if len(removals) > MOST_SHOWN:
        reasons += f"; and {len(removals) - MOST_SHOWN} more"
    return (
        f"no arm of dimension {dimension.name!r} is eligible: {reasons}. "
        "A send needs one arm of each dimension: give this dimension an arm without rules, or widen one of these."
    ) + (" Or exclude fewer." if any(removal.rule == BY_CALLER for removal in removals) else "")
