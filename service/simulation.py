"""A simulated campaign through the real engine, store and trainer: only the customers are made up."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, groupby

from bandit.context import Context
from bandit.decision import Decision
from bandit.reward import Outcome
from service.outcomes_table import record_outcome
from service.past_sends import PastSends
from service.store import Log, Store
from service.trainer import Trainer, engine_for
from simulator.rehearsal import Memory, remembered
from simulator.world import Arrival, World

_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Send:
    """One simulated send: who came, and what was decided."""

    arrival: Arrival
    decision: Decision


@dataclass(frozen=True, slots=True)
class Simulation:
    """A campaign to be simulated.

    Attributes:
        world: the customers and how they react.
        store, log: where everything is written.
        step: pause between two steps of the trainer; outcomes arrive in between, late as they are.
    """

    world: World
    store: Store
    log: Log
    step: timedelta = timedelta(days=1)
    _memory: Memory = field(init=False, repr=False, default_factory=dict)

    def run(self, n_sends: int) -> Iterator[list[Send]]:
        """Decide, react, record and learn, step by step; yields the sends of each step.

        After the last send the clock goes on until every window has closed.
        """
        trainer = Trainer(self.store, self.log)
        waiting: list[tuple[datetime, str, str]] = []
        now: datetime | None = None
        for now, arrivals in self._steps(n_sends):
            sends = self._decide(arrivals)
            for send in sends:
                self._react(send, waiting)
            self._deliver(waiting, now)
            trainer.step(now)
            yield sends
        if now is not None:
            end = now + self.log.campaign.reward.window
            self._deliver(waiting, end)
            trainer.step(end)

    def _steps(self, n_sends: int) -> Iterator[tuple[datetime, list[Arrival]]]:
        """Arrivals of each step, with the time at its end."""
        arrivals = iter(self.world.arrivals(n_sends))
        first = next(arrivals, None)
        if first is None:
            return
        start = first.at

        def number(arrival: Arrival) -> int:
            return int((arrival.at - start) / self.step)

        for step, group in groupby(chain([first], arrivals), key=number):
            yield start + (step + 1) * self.step, list(group)

    def _decide(self, arrivals: Sequence[Arrival]) -> list[Send]:
        engine, past = engine_for(self.store, self.log), PastSends(self.store, self.log)
        sends, rows = [], []
        for arrival in arrivals:
            decision_id = f"{arrival.customer_id}-{arrival.at:%Y%m%dT%H%M%S%f}"
            context = Context(arrival.context)
            before, seen = past.to(arrival.customer_id, arrival.at)
            decision = engine.decide(arrival.customer_id, context, decision_id=decision_id, at=arrival.at, past=before)
            past.add(decision)
            rows.append(self.store.row_of(decision, self.log, seen=seen))
            sends.append(Send(remembered(self.world, arrival, decision.choice, self._memory), decision))
        self.store.add_decisions(rows)
        return sends

    def _react(self, send: Send, waiting: list[tuple[datetime, str, str]]) -> None:
        decision = send.decision
        for outcome in self.world.react(send.arrival, decision.choice, decision_id=decision.decision_id):
            heapq.heappush(waiting, (outcome.at, decision.decision_id, outcome.type))

    def _deliver(self, waiting: list[tuple[datetime, str, str]], now: datetime) -> None:
        """Record what has happened by now."""
        due = []
        while waiting and waiting[0][0] <= now:
            due.append(heapq.heappop(waiting))
        for first in range(0, len(due), _AT_ONCE):
            self.store.write(partial(self._record, due=due[first : first + _AT_ONCE], now=now))

    def _record(
        self, connection: sqlite3.Connection, *, due: Sequence[tuple[datetime, str, str]], now: datetime
    ) -> None:
        for at, decision_id, kind in due:
            outcome = Outcome(f"{decision_id}-{kind}", decision_id, kind, at)
            record_outcome(connection, outcome, self.store.reward_of, now)
