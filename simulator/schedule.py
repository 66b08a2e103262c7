"""When sends are decided: customers in rounds, evenly over the days of a campaign."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from bandit.arrays import FloatArray
from simulator.customers import Customers
from simulator.world import Arrival, ImpossibleWorld, check_utc

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
"""First moment of a simulated campaign: a Monday."""
DAYS: Final = 28.0
_ROUNDS = 104


@dataclass(frozen=True, slots=True)
class Schedule:
    """Sends of a whole campaign, and the first of them in a stage of it.

    Args:
        n_sends: of the whole campaign, spread evenly over its days.
        start: first moment of the campaign, in UTC.
        days: its length.
        first: number of the stage's first send, from 0.

    Raises:
        ImpossibleWorld: if nothing is sent, the length is not above 0, or the start is not in UTC.
    """

    n_sends: int
    start: datetime = START
    days: float = DAYS
    first: int = 0

    def __post_init__(self) -> None:
        check_utc("start", self.start)
        if self.n_sends < 1 or self.first < 0 or not 0.0 < self.days < math.inf:
            raise ImpossibleWorld(
                f"n_sends is {self.n_sends}, first {self.first}, days {self.days!r}: give at least 1 send, a first one from 0 "
                "up, and a positive number of days."
            )

    def arrivals(self, customers: Customers, seed: int, n_sends: int) -> Iterator[Arrival]:
        """The stage's sends in time order: each round all customers in a new order.

        Fewer sends are the first of more; more than the campaign has go on in the same rhythm.

        Raises:
            ImpossibleWorld: at the first arrival, if the number is negative.
        """
        if n_sends < 0:
            raise ImpossibleWorld(f"n_sends is {n_sends}: give how many sends are to be decided, 0 or more.")
        n, gap, last = customers.n, timedelta(days=self.days) / self.n_sends, self.first + n_sends
        for turn in range(self.first // n, -(-last // n)):
            rng = np.random.default_rng((seed, _ROUNDS, turn))
            order, jitter = rng.permutation(n).tolist(), rng.random(n).tolist()
            for number in range(max(self.first, turn * n), min(last, (turn + 1) * n)):
                who = order[number - turn * n]
                at = self.start + (number + jitter[number - turn * n]) * gap
                yield Arrival(customers.ids[who], at, dict(customers.contexts[who]))

    def elapsed(self, times: Sequence[datetime]) -> FloatArray:
        """Share of the campaign that is over at each time, shape (n,); not limited to [0, 1]."""
        whole = timedelta(days=self.days)
        return np.array([(at - self.start) / whole for at in times])
