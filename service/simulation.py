"""A simulated campaign through the real engine, store and trainer: only the customers are made up."""

from __future__ import annotations

import heapq
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, count, groupby

from bandit.campaign import Campaign
from bandit.context import Context
from bandit.decision import Decision
from bandit.engine import Engine
from bandit.group import Group
from bandit.reward import Outcome
from service.decided_again import pmfs_by
from service.engines import engine_for
from service.outcomes_table import record_outcome
from service.past_sends import PastSends
from service.provider_counts import CUSTOMERS, MESSAGES, of_arm
from service.store import Log, Store
from service.trainer import Trainer
from simulator.faults import Faults, ReportedEvent
from simulator.rehearsal import Memory, remembered
from simulator.send_caps import SendCaps
from simulator.world import Arrival, World

_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Send:
    """One simulated send.

    Attributes:
        arrival: who came.
        decision: what was decided for them, as it was drawn.
        sent: what went out: the choice, but for a fault; None for nothing.
        events: what the customer did, as it would be reported without a fault.
    """

    arrival: Arrival
    decision: Decision
    sent: Mapping[str, str] | None
    events: tuple[ReportedEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Simulation:
    """A campaign to be simulated.

    Attributes:
        world: the customers and how they react.
        store, log: where everything is written.
        step: pause between two steps of the trainer; outcomes arrive in between, late as they are.
        faults: what goes wrong on purpose.
        caps: keeps the campaign's, and counts what they refused.
    """

    world: World
    store: Store
    log: Log
    step: timedelta = timedelta(days=1)
    faults: Faults = field(default_factory=Faults)
    caps: SendCaps = field(default_factory=SendCaps)
    _memory: Memory = field(init=False, repr=False, default_factory=dict)
    _ends: list[datetime] = field(init=False, repr=False, default_factory=list)

    def run(self, n_sends: int) -> Iterator[list[Send]]:
        """Decide, react, record and learn, step by step; yields the sends of each step.

        After the last send the clock goes on until every window has closed, which opens when a message goes out; what was to be
        reported later still is reported then.
        """
        trainer = Trainer(self.store, self.log)
        waiting, engine, now, end = _Waiting(), self._engine(), None, None
        for now, arrivals in self._steps(n_sends):
            before, engine = engine, self._engine(arrivals[0].at)
            sends = self._decide(engine, before, arrivals)
            waiting.add(self.faults.events([event for send in sends for event in send.events]))
            self._deliver(waiting.due(now), now)
            trainer.step(now)
            end = max(end or now, self._closes(now, sends))
            yield sends
        if end is not None:
            self._ends.append(end)
            self._deliver(waiting.due(end), end)
            trainer.step(end)
            rest = [event for event in waiting.due(None) if event.at <= end]
            self._deliver(rest, max([end, *(event.reported_at for event in rest)]))

    @property
    def end(self) -> datetime | None:
        """When the clock stopped: a window after the end of the last step, or after the last message; None if nobody came yet."""
        return self._ends[-1] if self._ends else None

    def _closes(self, end: datetime, sends: Sequence[Send]) -> datetime:
        """When the last window has closed of sends in steps that ended by then."""
        messages = [send.decision.send_at for send in sends if send.decision.send_at is not None]
        return max([end, *messages]) + self.log.campaign.reward.window

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

    def _engine(self, at: datetime | None = None) -> Engine:
        """Who decides now; at no time, without what a fault does to the policy."""
        engine = engine_for(self.store, self.log)
        if at is None:
            return engine
        learner = self.faults.policy(engine.policies[Group.LEARNER], at)
        return replace(engine, policies={**engine.policies, Group.LEARNER: learner})

    def _decide(self, engine: Engine, before: Engine, arrivals: Sequence[Arrival]) -> list[Send]:
        past = PastSends(self.store, self.log)
        tried = [(arrival, self._decide_one(engine, past, arrival)) for arrival in arrivals]
        decided = [(arrival, *made) for arrival, made in tried if made is not None]
        written = self.faults.rows([decision for _, decision, _ in decided], partial(pmfs_by, before))
        rows = [self.store.row_of(row, self.log, seen=seen) for row, (*_, seen) in zip(written, decided, strict=True)]
        self.store.add_decisions(rows)
        return [self._send(arrival, decision) for arrival, decision, _ in decided]

    def _decide_one(self, engine: Engine, past: PastSends, arrival: Arrival) -> tuple[Decision, int | None] | None:
        """The decision, and the last row that was seen of the customer's past; None where a cap refuses it."""
        customer_id = self.faults.known_as(arrival.customer_id, arrival.at)
        decision_id = f"{arrival.customer_id}-{arrival.at:%Y%m%dT%H%M%S%f}"
        before, seen = past.to(customer_id, arrival.at)
        decision = engine.decide(
            customer_id,
            Context(self.log.campaign.given_of(arrival.context)),
            decision_id=decision_id,
            at=arrival.at,
            past=before,
        )
        at, campaign = arrival.at, self.log.campaign
        if not self.caps.allow(campaign, customer_id, at, decision.send_at, decision.choice):
            return None
        past.add(decision)
        return decision, seen

    def _send(self, arrival: Arrival, decision: Decision) -> Send:
        """What went out, and what the customer did."""
        decision_id = decision.decision_id
        sent: Mapping[str, str] | None = decision.choice
        # Silence needs no provider, so nothing goes wrong with it.
        if not self.log.campaign.sends_nothing(decision.choice):
            sent = self.faults.sent(decision_id, arrival.at, decision.choice, self.world.choices)
        if sent is None:
            return Send(arrival, decision, None)
        arrival = remembered(self.world, arrival, sent, self._memory)
        outcomes = self.world.react(arrival, sent, decision_id=decision_id)
        events = [ReportedEvent(decision_id, f"{decision_id}-{one.type}", one.type, one.at, one.at) for one in outcomes]
        return Send(arrival, decision, sent, tuple(events))

    def _deliver(self, due: Sequence[ReportedEvent], now: datetime) -> None:
        """Record what was reported by now."""
        for first in range(0, len(due), _AT_ONCE):
            self.store.write(partial(self._record, due=due[first : first + _AT_ONCE], now=now))

    def _record(self, connection: sqlite3.Connection, *, due: Sequence[ReportedEvent], now: datetime) -> None:
        for event in due:
            outcome = Outcome(event.event_id, event.decision_id, event.type, event.at)
            record_outcome(connection, outcome, self.store.reward_of, now)


def provider_counts(sends: Sequence[Send], until: datetime | None, campaign: Campaign | None = None) -> dict[str, int]:
    """What the provider counts: messages that went out, to whom, by arm, and what people did, faults or not.

    Args:
        sends: in any order.
        until: outcomes are counted up to then; none at no time.
        campaign: says which choices send nothing; None where every choice is a message.
    """
    gone = [send for send in sends if send.sent is not None and not (campaign and campaign.sends_nothing(send.sent))]
    arms = Counter(of_arm(name, arm) for send in gone for name, arm in (send.sent or {}).items())
    happened = Counter(event.type for send in gone for event in send.events if until and event.at <= until)
    customers = len({send.arrival.customer_id for send in gone})
    return {MESSAGES: len(gone), CUSTOMERS: customers, **dict(sorted(happened.items())), **dict(sorted(arms.items()))}


@dataclass(slots=True)
class _Waiting:
    """Events that nobody has reported yet, in the order in which they will be; ties in the order in which they came."""

    _heap: list[tuple[datetime, int, ReportedEvent]] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=count)

    def add(self, events: Sequence[ReportedEvent]) -> None:
        """More of them."""
        for event in events:
            heapq.heappush(self._heap, (event.reported_at, next(self._number), event))

    def due(self, now: datetime | None) -> list[ReportedEvent]:
        """Those reported by now, which wait no longer; all of them at no time."""
        found = []
        while self._heap and (now is None or self._heap[0][0] <= now):
            found.append(heapq.heappop(self._heap)[2])
        return found
