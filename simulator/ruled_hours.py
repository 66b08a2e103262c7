"""When messages go out in a campaign with a `[send_slots]` table: at the hours that its rules leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from bandit.send_slots import SendSlots
from simulator.local_time import hour_of_week, moments_of, zone_named
from simulator.send_hours import PlannedSends
from simulator.world import Arrival


@dataclass(frozen=True, slots=True)
class RuledHours:
    """The send slots of a campaign as the engine resolves them; an arm that is out, or sends nothing, is as if sent at once.

    Args:
        rules: of the campaign. They go by what the context says of the zone, as the engine does.
    """

    rules: SendSlots

    def sent_at(self, arrival: Arrival, arm: int) -> datetime:
        """When a message with this arm goes out, in UTC."""
        return self.rules.times(arrival.context, arrival.at).send_at[arm] or arrival.at

    def planned(self, arrivals: Sequence[Arrival], zones: Sequence[str]) -> PlannedSends:
        """When messages would go out with each arm, and what the customers' clocks show then.

        Args:
            arrivals: the decisions.
            zones: where the customers live, whatever the context says.
        """
        decided = moments_of([arrival.at for arrival in arrivals])
        sent = np.empty((len(arrivals), len(self.rules.slots)), dtype="datetime64[us]")
        hours = np.empty(sent.shape)
        clocks: dict[tuple[str, datetime], float] = {}
        for row, (arrival, zone) in enumerate(zip(arrivals, zones, strict=True)):
            found = [one or arrival.at for one in self.rules.times(arrival.context, arrival.at).send_at]
            sent[row] = moments_of(found)
            for arm, moment in enumerate(found):
                if (zone, moment) not in clocks:
                    clocks[zone, moment] = hour_of_week(moment, zone_named(zone))
                hours[row, arm] = clocks[zone, moment]
        return PlannedSends(sent, hours, (sent - decided[:, None]) / np.timedelta64(1, "h"))
