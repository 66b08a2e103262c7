"""Reward health: do outcomes arrive, in time, and are they people's?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bandit.errors import UnusableLog
from bandit.reward import State
from evaluation.audit_log import Reports

QUANTILES = (0.5, 0.9, 0.99)
"""Of the time to an outcome."""


@dataclass(frozen=True, slots=True)
class RewardHealth:
    """The answer of `reward_health`.

    Args:
        n: decisions.
        n_matured: with a final reward.
        n_pending: whose window is open, or closed and not yet counted.
        n_overdue: pending ones whose window closed long enough ago to have been counted.
        n_void: reported as not sent.
        n_deferred: that wait for somebody to say that they were sent.
        n_expired: deferred ones of which nobody said so in time.
        n_outcomes: reported, of any kind.
        n_late: outcomes that came too late to count.
        n_machine: outcomes that a machine made; None where the log does not record that.
        delays: hours from sending to outcome, by quantile; empty without outcomes.
    """

    n: int
    n_matured: int
    n_pending: int
    n_overdue: int
    n_void: int
    n_outcomes: int
    n_late: int
    n_machine: int | None
    delays: Mapping[float, float]
    n_deferred: int = 0
    n_expired: int = 0

    def __post_init__(self) -> None:
        counted = self.n_matured + self.n_pending + self.n_void + self.n_deferred + self.n_expired
        if counted != self.n or not self.n_overdue <= self.n_pending:
            raise UnusableLog(
                f"{self} does not add up: each decision is {', '.join(State)}. Run `manyarm verify` on the log."
            )


def reward_health(states: Sequence[str], is_overdue: ArrayLike, reports: Reports) -> RewardHealth:
    """Count what became of decisions, and how outcomes arrived.

    Args:
        states: length n, as `bandit.reward.State` has them.
        is_overdue: shape (n,), whether the window closed long ago; counts where the state is pending.
        reports: outcomes of these decisions.

    Returns:
        The counts.

    Raises:
        UnusableLog: if a state is none of these, or lengths differ.

    >>> reports = Reports(np.array([1.0, 3.0]), np.array([False, True]))
    >>> answer = reward_health(["matured", "pending", "void"], [False, True, True], reports)
    >>> answer.n_overdue, answer.n_late, answer.n_machine, answer.delays[0.5]
    (1, 1, None, 2.0)
    """
    found, closed = np.asarray(states, dtype=object), np.asarray(is_overdue, dtype=np.bool_)
    if found.shape != closed.shape:
        raise UnusableLog(
            f"{len(found)} states and {closed.shape} flags of being overdue: pass one of each a decision."
        )
    pending = found == State.PENDING
    delays = (
        dict(zip(QUANTILES, np.quantile(reports.delays, QUANTILES).tolist(), strict=True))
        if len(reports.delays)
        else {}
    )
    return RewardHealth(
        n=len(found),
        n_matured=int((found == State.MATURED).sum()),
        n_pending=int(pending.sum()),
        n_overdue=int((pending & closed).sum()),
        n_void=int((found == State.VOID).sum()),
        n_outcomes=len(reports.delays),
        n_late=int(reports.is_late.sum()),
        n_machine=None if reports.is_machine is None else int(reports.is_machine.sum()),
        delays=delays,
        n_deferred=int((found == State.DEFERRED).sum()),
        n_expired=int((found == State.EXPIRED).sum()),
    )
