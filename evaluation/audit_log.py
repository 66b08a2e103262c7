"""What audits read of a log: all of its rows as columns, in the order in which they were decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import BoolArray, FloatArray
from bandit.campaign import Campaign
from bandit.context import ContextValue
from bandit.errors import EngineError, InvalidSettings
from bandit.group import Group


@dataclass(frozen=True, slots=True, eq=False)
class Reports:
    """Outcomes as they were reported; of shape (n_outcomes,).

    Attributes:
        delays: hours from the sending (the decision where nobody reported a sending) to the outcome; may be below 0 by
            what servers' clocks differ.
        is_late: whether it came after the window, or after the decision had matured, and so counts for nothing.
        is_machine: whether a machine did it; None where the log does not record that.
    """

    delays: FloatArray
    is_late: BoolArray
    is_machine: BoolArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AuditLog:
    """All rows of one log whose columns could be read, in order of decision; of shape (n,) where nothing else is said.

    Attributes:
        campaign: whose log it is.
        customers: their keys.
        groups: learner, random or control.
        decided_at: datetime64 in UTC.
        due_at: datetime64 in UTC, when the attribution window closes.
        states: as `bandit.reward.State` has them.
        picks: shape (n, n_dimensions), positions of the logged arms.
        propensities: shape (n, n_dimensions), each given the earlier picks.
        pmfs: for each dimension shape (n, n_arms), 0 = not eligible.
        estimates: reward that was expected of the choice; NaN where nothing was.
        rewards: final ones; NaN where there is none.
        context: a column for each field of the campaign's schema, None where missing.
        reports: outcomes of all rows.
        worths: what the outcomes behind final rewards were worth; None where recent messages cost nothing.

    Raises:
        EngineError: if a column has another length than the others.
    """

    campaign: Campaign
    customers: NDArray[np.object_]
    groups: NDArray[np.object_]
    decided_at: NDArray[np.datetime64]
    due_at: NDArray[np.datetime64]
    states: NDArray[np.object_]
    picks: NDArray[np.int64]
    propensities: FloatArray
    pmfs: tuple[FloatArray, ...]
    estimates: FloatArray
    rewards: FloatArray
    context: Mapping[str, Sequence[ContextValue]]
    reports: Reports
    worths: FloatArray | None = None

    def __post_init__(self) -> None:
        times = (self.decided_at, self.due_at)
        numbers = (self.propensities, self.estimates, self.rewards, self.earned)
        columns = (*times, self.groups, self.states, self.picks, *numbers)
        lengths = {len(self.customers), *map(len, columns), *map(len, self.pmfs), *map(len, self.context.values())}
        if len(lengths) != 1:
            raise EngineError(f"columns of {sorted(lengths)} rows are no log. Report this as a bug of what read them.")

    def __len__(self) -> int:
        return len(self.customers)

    @property
    def earned(self) -> FloatArray:
        """What outcomes were worth, before recent messages cost anything; NaN where there is no final reward."""
        return self.rewards if self.worths is None else self.worths

    @property
    def by_chance(self) -> BoolArray:
        """Rows whose arms were drawn: control sends what it always sends."""
        return np.asarray(self.groups != Group.CONTROL, dtype=np.bool_)

    def first_sends(self, among: BoolArray) -> NDArray[np.intp]:
        """Positions of each customer's first row among some, in order."""
        at = np.flatnonzero(among)
        seen: dict[object, int] = {}
        for place, customer in zip(at.tolist(), self.customers[at].tolist(), strict=True):
            seen.setdefault(customer, place)
        return np.fromiter(seen.values(), np.intp, len(seen))


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """How audits are made.

    Args:
        level: share of honest logs that may raise an alarm, in each audit.
        run_length: rows between false alarms of drift, at least; longer logs wait longer, so that `level` holds for them too.
        earlier_until: population stability compares rows before this time with those after; None for halves.

    Raises:
        InvalidSettings: if level is outside (0, 1) or run_length is not above 1.
    """

    level: float = 0.05
    run_length: float = 100_000.0
    earlier_until: datetime | None = None

    def __post_init__(self) -> None:
        if not 0 < self.level < 1 or not self.run_length > 1:
            raise InvalidSettings(
                f"level is {self.level!r} and run_length {self.run_length!r}, need a number between 0 and 1 and one above 1. "
                "They say how often an honest log may raise a false alarm: leave them at 0.05 and 100000."
            )
