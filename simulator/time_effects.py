"""What hangs on the moment of a send and on the past: the hour, the season, a change of taste, fatigue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from bandit.arrays import FloatArray
from bandit.send_slots import SendSlots
from simulator.customers import Customers
from simulator.drift import Change
from simulator.fatigue import Fatigue
from simulator.funnel import Funnel
from simulator.habits import Habits, Season
from simulator.local_time import Moments, hours_of_week, moments_of
from simulator.ruled_hours import RuledHours
from simulator.schedule import Schedule
from simulator.send_hours import SendHours, send_hours_of
from simulator.tastes import Tastes
from simulator.world import Arrival, ChoiceGrid, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class TimeEffects:
    """Everything that makes one send to a customer unlike the next; all of it may be absent.

    The hour and the season move opens, fatigue moves clicks, and a change moves tastes and opens.

    Args:
        choices: of the campaign; the first dimension whose arms are all send slots decides when messages go out, where the
            campaign has no table that says which.
        customers: with their zones.
        funnel: of the campaign.
        schedule: which says how far the campaign has come.
        habits: at what hours each customer looks at mail.
        season: what the day of the week and of the year do to everybody.
        change: of tastes, on the way.
        fatigue: what earlier sends do.
        send_slots: the campaign's table of them.
    """

    choices: ChoiceGrid
    customers: Customers
    funnel: Funnel
    schedule: Schedule
    habits: Habits | None = None
    season: Season | None = None
    change: Change | None = None
    fatigue: Fatigue | None = None
    send_slots: SendSlots | None = None
    _slots: tuple[str, int, SendHours | RuledHours] | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found = _ruled(self.choices, self.send_slots) if self.send_slots else _send_slots(self.choices)
        object.__setattr__(self, "_slots", found)

    @property
    def memory(self) -> timedelta:
        """For how long an earlier send matters; not at all without fatigue."""
        return self.fatigue.memory if self.fatigue else timedelta(0)

    def sent_at(self, arrival: Arrival, arm: str) -> datetime:
        """When a message with this arm of the dimension of send slots goes out, in UTC."""
        if self._slots is None:
            return arrival.at
        name, _, hours = self._slots
        if isinstance(hours, RuledHours):
            return hours.sent_at(arrival, list(self.choices.dimensions[name]).index(arm))
        zone = self.customers.zones[self.customers.place(arrival.customer_id)]
        return hours.sent_at(arrival.at, list(self.choices.dimensions[name]).index(arm), zone)

    @property
    def slot_dimension(self) -> str | None:
        """The dimension whose arms say when a message goes out."""
        return self._slots[0] if self._slots else None

    def rows(
        self, tastes: Tastes, later: Tastes | None, features: FloatArray, arrivals: Sequence[Arrival], who: IntArray
    ) -> FloatArray:
        """Logits of each arrival with each arm and, in the last column, whatever is chosen.

        Args:
            tastes: at the start.
            later: those they turn into, where they change.
            features: of the arrivals' contexts, shape (n, n_features).
            arrivals: with their past.
            who: position of each one's customer.

        Returns:
            Shape (n_steps, n, n_arms + 1).
        """
        rows = tastes.rows(features)
        if self.change is not None:
            elapsed = self.schedule.elapsed([arrival.at for arrival in arrivals])
            if later is not None:
                rows = _turned(self.change, elapsed, rows, later.rows(features))
            rows[self.funnel.place("open"), :, -1] += self.change.lifts(elapsed)
        if self.fatigue is not None:
            rows[self.funnel.place("click"), :, :-1] -= self.fatigue.lost(
                arrivals, self.choices, fresh=self.slot_dimension
            )
        if self.habits is not None or self.season is not None:
            self._tell_the_time(rows[self.funnel.place("open")], arrivals, who)
        return rows

    def _tell_the_time(self, opens: FloatArray, arrivals: Sequence[Arrival], who: IntArray) -> None:
        """Add what hour and season do; with send slots those of the moment at which each would go out."""
        ats, zones = [arrival.at for arrival in arrivals], [self.customers.zones[place] for place in who]
        if self._slots is None:
            hours = hours_of_week(ats, zones)[:, None]
            opens[:, -1:] += self._lifts(who, hours, moments_of(ats)[:, None])
            return
        _, first, slots = self._slots
        planned = slots.planned(arrivals, zones) if isinstance(slots, RuledHours) else slots.planned(ats, zones)
        opens[:, first : first + planned.at.shape[1]] += self._lifts(who, planned.local_hours, planned.at)

    def _lifts(self, who: IntArray, hours: FloatArray, moments: Moments) -> FloatArray:
        lifts = np.zeros(hours.shape)
        if self.habits is not None:
            lifts += self.habits.lifts(who, hours)
        if self.season is not None:
            lifts += self.season.lifts(moments, hours)
        return lifts


def _ruled(choices: ChoiceGrid, slots: SendSlots) -> tuple[str, int, RuledHours]:
    """The campaign's own dimension of send slots, and the same of it."""
    name = list(choices.dimensions)[slots.dimension]
    return name, sum(choices.shape[: slots.dimension]), RuledHours(slots)


def _send_slots(choices: ChoiceGrid) -> tuple[str, int, SendHours] | None:
    """The first dimension of send slots, where its arms begin among all, and when they go out."""
    first = 0
    for name, arms in choices.dimensions.items():
        hours = send_hours_of(arms)
        if hours is not None:
            return name, first, hours
        first += len(arms)
    return None


def _turned(change: Change, elapsed: FloatArray, rows: FloatArray, later: FloatArray) -> FloatArray:
    """Logits on the way from one taste to another."""
    before, after = change.weights(elapsed)
    turned = before[:, None] * rows + after[:, None] * later
    # What a customer does whatever is chosen is no draw to be mixed: its bases are in between.
    done = change.done(elapsed)
    turned[:, :, -1] = (1.0 - done) * rows[:, :, -1] + done * later[:, :, -1]
    return turned
