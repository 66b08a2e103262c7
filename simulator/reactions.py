"""What happens after one send, and when: the luck of the funnel's steps, their delays, and what conversions bring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import NormalDist
from typing import Final

import numpy as np

from bandit.arrays import FloatArray
from simulator.delay import DelayMixture, DelayModel
from simulator.funnel import Funnel, Role
from simulator.world import ImpossibleWorld, SimulatedOutcome, luck

_CLICK_TAIL: Final = 4.0
"""Pareto index of the factor from the delay of an open to that of its click; the median factor is 1.2."""
_REVENUE_SPREAD: Final = 0.8
_MOST_LUCK: Final = 8
_STANDARD_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class Reactions:
    """Turns the probabilities of a send into what happens; the luck depends on seed and decision_id only.

    Args:
        seed: of the luck.
        funnel: what may happen.
        delays: how long it takes.
        revenue: mean of a conversion, in money; conversions are log-normal, with 0.8 for the standard deviation of the
            logarithm.

    Raises:
        ImpossibleWorld: if the revenue is negative or not finite.
    """

    seed: int
    funnel: Funnel
    delays: DelayModel
    revenue: float
    _delays: tuple[DelayMixture, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.revenue < math.inf:
            raise ImpossibleWorld(f"revenue is {self.revenue!r}: the mean of a conversion, so give 0 or more.")
        delays = tuple(delay_of(step.role, self.delays) for step in self.funnel.steps)
        object.__setattr__(self, "_delays", delays)

    def happened(self, decision_id: str, chances: Sequence[float]) -> list[bool]:
        """Which steps a person takes.

        Args:
            decision_id: of the send.
            chances: probability of each step given the one it needs.
        """
        numbers: list[float] = []
        while len(numbers) < len(chances):
            n = min(_MOST_LUCK, len(chances) - len(numbers))
            numbers += luck(self.seed, decision_id, f"occurs{len(numbers)}", n)
        happened: list[bool] = []
        for step, chance, number in zip(self.funnel.steps, chances, numbers, strict=True):
            happened.append(number < chance and (step.needs is None or happened[step.needs]))
        return happened

    def outcomes(self, decision_id: str, happened: Sequence[bool], sent_at: datetime) -> list[SimulatedOutcome]:
        """What is reported of the steps taken, in the order of the funnel.

        Args:
            decision_id: of the send.
            happened: whether each step was taken.
            sent_at: when the message went out, in UTC.
        """
        steps = [place for place, yes in enumerate(happened) if yes and self.funnel.steps[place].reported]
        return [self._outcome(place, decision_id, sent_at) for place in steps]

    def worths_within(self, window: timedelta) -> FloatArray:
        """Worth of each step times the share of its delays that end within the window, shape (n_steps,)."""
        shares = [delay.share_within(window) for delay in self._delays]
        return np.array([step.worth * share for step, share in zip(self.funnel.steps, shares, strict=True)])

    def revenues_within(self, window: timedelta) -> FloatArray:
        """Mean revenue of each step times the share of its delays that end within the window, shape (n_steps,)."""
        shares = [delay.share_within(window) for delay in self._delays]
        earning = [step.role is Role.CONVERSION for step in self.funnel.steps]
        return np.asarray(self.revenue * np.array(earning) * np.array(shares))

    def _outcome(self, place: int, decision_id: str, sent_at: datetime) -> SimulatedOutcome:
        step = self.funnel.steps[place]
        # Who opens, clicks and converts does so with one luck: see `delay_of`.
        is_on_the_way = step.role in {Role.OPEN, Role.CLICK, Role.CONVERSION}
        at = sent_at + self._delays[place].delay(
            luck(self.seed, decision_id, "way" if is_on_the_way else f"delay{place}", 3)
        )
        if step.role is not Role.CONVERSION:
            return SimulatedOutcome(step.type, at)
        (position,) = luck(self.seed, decision_id, f"revenue{place}", 1)
        exponent = _REVENUE_SPREAD * (_STANDARD_NORMAL.inv_cdf(position) - _REVENUE_SPREAD / 2.0)
        return SimulatedOutcome(step.type, at, revenue=self.revenue * math.exp(exponent))


def delay_of(role: Role, delays: DelayModel) -> DelayMixture:
    """How long after a send a step happens.

    A click takes the delay of its open times a Pareto factor, and a conversion that delay times a larger one, so that
    each step comes after the one it needs; steps that nobody has delays for take those of opens.

    >>> from datetime import timedelta
    >>> [round(delay_of(role, DelayModel()).share_within(timedelta(hours=24)), 2)
    ...  for role in (Role.OPEN, Role.CLICK, Role.CONVERSION)]
    [0.86, 0.82, 0.76]
    """
    match role:
        case Role.UNSUBSCRIBE:
            return delays.unsubscribe
        case Role.COMPLAINT:
            return delays.complaint
        case Role.CLICK:
            return replace(delays.click, tail=max(_CLICK_TAIL, delays.conversion_tail))
        case Role.CONVERSION:
            return replace(delays.click, tail=delays.conversion_tail)
    return replace(delays.click, tail=math.inf)
