"""Harm stop: do customers of one randomised group unsubscribe or complain more than those of another?

May be looked at after every send, and is exact however rare the event is. It never asks how often the event happens, only
to whom: where groups do no harm, each customer who unsubscribes is a treated one with the treated group's share, or less.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from bandit.arrays import FloatArray
from bandit.errors import EngineError, InvalidSettings, UnusableLog
from evaluation.grouped_sends import GroupedSends
from evaluation.intervals import finite_rewards, is_binary, require_level

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0)
"""Rates of treated over (1 + margin) times control that are bet on, with equal wealth each."""


@dataclass(frozen=True, slots=True)
class HarmedGroup:
    """One group of a `HarmStop`.

    Args:
        n_sends: sends.
        n_customers: different customers among them.
        n_harmed: customers with at least one event.

    Raises:
        EngineError: if the numbers cannot belong together.
    """

    n_sends: int
    n_customers: int
    n_harmed: int

    def __post_init__(self) -> None:
        if not 0 <= self.n_harmed <= self.n_customers <= self.n_sends:
            raise EngineError(f"{self} cannot come from a log. Report this as a bug of harm_stop.")

    @property
    def rate(self) -> float | None:
        """Share of the customers with at least one event; None without customers."""
        return self.n_harmed / self.n_customers if self.n_customers else None


@dataclass(frozen=True, slots=True)
class HarmStop:
    """The answer of `harm_stop`.

    Args:
        e_value: most evidence of harm after any row so far; 1 is none.
        alarm: whether `e_value` reached 1 / (1 - confidence_level).
        alarm_row: rows seen when it did, or None.
        n: rows.
        treated: counts of the group asked about.
        control: counts of the group it is held against.

    Raises:
        EngineError: if alarm and row contradict each other.
    """

    e_value: float
    alarm: bool
    alarm_row: int | None
    n: int
    treated: HarmedGroup
    control: HarmedGroup

    def __post_init__(self) -> None:
        if not self.e_value >= 1 or self.alarm != (self.alarm_row is not None):
            raise EngineError(f"{self} is not a running maximum with its alarm. Report this as a bug of harm_stop.")


def harm_stop(
    sends: GroupedSends, events: ArrayLike, confidence_level: float = 0.95, *, margin: float = 0.0
) -> HarmStop:
    """Evidence that treated customers come to harm more often than control customers; may be looked at after every send.

    With S treated and C control customers who had the event, p the treated share and q = p (1 + margin) / (p (1 + margin)
    + 1 - p), e = mean over t of (t / q)^S ((1 - t) / (1 - q))^C, t being q for rates `RATIOS` times as high. Only a
    customer's first event counts.

    Args:
        sends: groups and customers.
        events: shape (n,), 0 or 1, whether the send was followed by the event, in the same order.
        confidence_level: in (0, 1). However often one looks, groups that do no harm alarm with probability at most 1 minus
            it.
        margin: what is tolerated, relative to control: at .1, treated may have the event ten percent more often.

    Returns:
        The evidence, whether and when it was enough, and the counts of both groups.

    Raises:
        UnusableLog: if events are not one 0 or 1 a send.
        InvalidSettings: if confidence_level or margin is out of range.

    Caution: "no harm" is that by any row no larger share of treated customers than of control (1 + margin times as large)
    had the event. A group that sends more mails per customer may do harm by that alone. No alarm is no proof of safety: at
    90 to 5 percent there are few control customers to tell it by.

    Source: given when the events came, whom they befell are independent draws (the binomial test of Kulldorff et al., 2011,
    Sequential Analysis 30); a mixture over alternatives, by Robbins (1970), in place of their maximum. Where treated
    customers come to harm later, S only falls, and e rises with S: so the evidence is no larger than without effect.

    >>> sends = GroupedSends.of([True, False] * 200, range(400), share=0.5)
    >>> answer = harm_stop(sends, [1, 0, 1, 0, 0, 0, 0, 1] * 5 + [1, 0] * 20 + [0, 0] * 160)
    >>> answer.treated.n_harmed, answer.control.n_harmed, answer.alarm_row
    (30, 5, 55)
    """
    require_level(confidence_level)
    if not 0 <= margin < inf:
        raise InvalidSettings(
            f"margin is {margin!r}, need a number of at least 0, relative to control. Below 0 treated would have to be safer "
            "than control: leave it at 0, or write 0.1 to tolerate ten percent more."
        )
    rows = _first_events(sends, events)
    harmed, threshold = sends.treated[rows], -log(1 - confidence_level)
    evidence = _log_e_values(harmed, sends.share, margin)
    most = max(0.0, float(evidence.max(initial=0.0)))
    reached = np.flatnonzero(evidence >= threshold)
    alarm_row = int(rows[reached[0]]) + 1 if len(reached) else None
    e_value = exp(most) if most < 709 else inf
    treated, control = _counts(sends, harmed)
    return HarmStop(e_value, alarm_row is not None, alarm_row, sends.n, treated, control)


def _log_e_values(harmed: NDArray[np.bool_], share: float, margin: float) -> FloatArray:
    """Log e-value after each harmed customer, shape (n_harmed,)."""
    odds = share / (1 - share) * (1 + margin)
    ratios = np.array(RATIOS)[:, np.newaxis]
    # (t / q) and ((1 - t) / (1 - q)) for t / (1 - t) = ratio * q / (1 - q), without the digits that 1 - t loses.
    of_control = np.log((1 + odds) / (1 + ratios * odds))
    n_treated, n_harmed = np.cumsum(harmed), np.arange(1, len(harmed) + 1)
    gained = n_harmed * of_control + n_treated * np.log(ratios)
    return np.asarray(scipy.special.logsumexp(gained, axis=0) - log(len(RATIOS)), dtype=np.float64)


def _first_events(sends: GroupedSends, events: ArrayLike) -> NDArray[np.int64]:
    """Row of each harmed customer's first event, rising."""
    values = finite_rewards(events)
    if len(values) != sends.n or not is_binary(values):
        raise UnusableLog(
            f"events have shape {values.shape} for {sends.n} sends, and values from {values.min():.6g} to {values.max():.6g}. "
            "Evidence counts who had the event: pass one 0 or 1 a send, 1 if it was followed by the event."
        )
    rows = np.flatnonzero(values)
    _, at = np.unique(sends.member[rows], return_index=True)
    return rows[np.sort(at)]


def _counts(sends: GroupedSends, harmed: NDArray[np.bool_]) -> tuple[HarmedGroup, HarmedGroup]:
    n_treated, customers, n_harmed = int(sends.treated.sum()), sends.treated[sends.first], int(harmed.sum())
    treated = HarmedGroup(n_treated, int(customers.sum()), n_harmed)
    return treated, HarmedGroup(sends.n - n_treated, len(customers) - treated.n_customers, len(harmed) - n_harmed)
