"""From a send to its outcomes: who opens may click, who clicks may convert, and what else a campaign rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import numpy as np

from bandit.arrays import FloatArray
from simulator.world import ImpossibleWorld


class Role(StrEnum):
    """What an outcome type is in the life of a message."""

    OPEN = "open"
    CLICK = "click"
    CONVERSION = "conversion"
    UNSUBSCRIBE = "unsubscribe"
    COMPLAINT = "complaint"
    OTHER = "other"


ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {
        "open": Role.OPEN,
        "click": Role.CLICK,
        "conversion": Role.CONVERSION,
        "purchase": Role.CONVERSION,
        "order": Role.CONVERSION,
        "sale": Role.CONVERSION,
        "signup": Role.CONVERSION,
        "unsubscribe": Role.UNSUBSCRIBE,
        "complaint": Role.COMPLAINT,
    }
)
"""Outcome types that are understood by their names; every other one happens by itself."""

USUAL_RATES: Final[Mapping[Role, float]] = MappingProxyType(
    {
        Role.OPEN: 0.25,
        Role.CLICK: 0.04,
        Role.CONVERSION: 0.20,
        Role.UNSUBSCRIBE: 0.003,
        Role.COMPLAINT: 0.0005,
        Role.OTHER: 0.02,
    }
)
"""Share of the random policy's sends; for conversions, of its clicks."""

_NEEDS: Final[Mapping[Role, Role]] = MappingProxyType({Role.CLICK: Role.OPEN, Role.CONVERSION: Role.CLICK})


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that may happen after a send.

    Args:
        type: of the outcome, as the campaign calls it.
        role: what it is.
        rate: mean probability under the random policy: a share of its sends, of its clicks for a conversion.
        worth: in reward units, once a decision.
        reported: whether the campaign hears of it; a step that only leads to others is hidden.
        needs: position of the step without which it cannot happen; None where it happens by itself.

    Raises:
        ImpossibleWorld: if the rate is not between 0 and 1.
    """

    type: str
    role: Role
    rate: float
    worth: float
    reported: bool
    needs: int | None

    def __post_init__(self) -> None:
        if not 0.0 < self.rate < 1.0:
            raise ImpossibleWorld(
                f"rate of {self.type} is {self.rate!r}: no base gives that. Give a mean probability between 0 and 1 "
                "(a share, not percent)."
            )


@dataclass(frozen=True, slots=True)
class Funnel:
    """The steps after a send, each after the one it needs; use `Funnel.of`.

    >>> funnel = Funnel.of({"click": 0.2, "purchase": 1.0})
    >>> [(step.type, step.needs, step.reported) for step in funnel.steps]
    [('open', None, False), ('click', 0, True), ('purchase', 1, True)]
    """

    steps: tuple[Step, ...]
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {step.type: place for place, step in enumerate(self.steps)})

    @classmethod
    def of(
        cls,
        events: Mapping[str, float],
        rates: Mapping[str, float] | None = None,
        *,
        usual: Mapping[Role, float] | None = None,
    ) -> Funnel:
        """The funnel of a campaign's reward events.

        Opens and clicks are there although nobody rewards them, for clicks need opens and conversions clicks.
        Where only the rate of clicks is given and is high, there are more opens than usual.

        Args:
            events: outcome type to its worth.
            rates: outcome type to its mean probability under the random policy, where it is not the usual one.
            usual: role to the mean probability of its types, where it is not that of `USUAL_RATES`.

        Raises:
            ImpossibleWorld: if a rate is given for a type that is neither rewarded nor leads to one, or is not between 0
                and 1, or clicks are not rarer than opens.
        """
        types = [*(["open"] if "open" not in events else []), *(["click"] if "click" not in events else []), *events]
        types.sort(key=lambda name: list(Role).index(ROLES.get(name, Role.OTHER)))
        places = {name: place for place, name in enumerate(types)}
        given, usual = dict(rates or {}), {**USUAL_RATES, **(usual or {})}
        usual[Role.OPEN] = _opens_for(given.get("click", 0.0), usual[Role.OPEN])
        _refuse_unknown(given, types)
        steps = []
        for name in types:
            role = ROLES.get(name, Role.OTHER)
            needs = places[_NEEDS[role]] if role in _NEEDS else None
            rate = given.get(name, usual[role])
            steps.append(Step(name, role, rate, events.get(name, 0.0), name in events, needs))
        _refuse_more_clicks_than_opens(steps[places["open"]], steps[places["click"]])
        return cls(tuple(steps))

    def place(self, event_type: str) -> int:
        """Position of a step."""
        return self._places[event_type]

    def marginals(self, probabilities: FloatArray) -> FloatArray:
        """Probability that each step happens, from that of each given the step it needs.

        Args:
            probabilities: shape (n_steps, ...); overwritten.

        Returns:
            The same array: products along each step's needs.
        """
        for place, step in enumerate(self.steps):
            if step.needs is not None:
                probabilities[place] *= probabilities[step.needs]
        return probabilities

    def expected(self, marginals: FloatArray, worths: Sequence[float] | FloatArray) -> FloatArray:
        """Sum of worth times marginal over the steps.

        Args:
            marginals: shape (n_steps, ...).
            worths: one a step.
        """
        total = np.zeros(marginals.shape[1:])
        for worth, marginal in zip(worths, marginals, strict=True):
            if worth:
                total += worth * marginal
        return total


def _opens_for(clicks: float, usual: float) -> float:
    """The rate of opens where only that of clicks is told: the usual one, unless so many clicks need more."""
    if not 0.0 < clicks < 1.0:
        return usual  # the refusal shall name the clicks
    return max(usual, min(1.6 * clicks, (1.0 + clicks) / 2.0))


def _refuse_unknown(rates: Mapping[str, float], types: Sequence[str]) -> None:
    unknown = sorted(set(rates) - set(types))
    if unknown:
        raise ImpossibleWorld(
            f"rates are given for {', '.join(unknown)}, which nothing here rewards or needs, so they would silently be "
            f"ignored. This campaign's types: {', '.join(types)}."
        )


def _refuse_more_clicks_than_opens(opened: Step, clicked: Step) -> None:
    if not clicked.rate < opened.rate:
        raise ImpossibleWorld(
            f"rate of click is {clicked.rate} of the sends, that of open {opened.rate}: who clicks has opened, so let "
            "clicks be rarer than opens; give both."
        )
