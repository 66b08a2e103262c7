"""Rows whose windows are open: what is reported of them in time, and what comes too late."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bandit.context import EncodedContext
from bandit.decisions import Decisions, PlainRow
from bandit.learner import TrainingRow
from bandit.log import LoggedDecision
from bandit.training import Matured, teaches
from simulator.faults import EventFault, Faults, ReportedEvent
from simulator.world import Arrival, SimulatedOutcome

Choice = Mapping[str, str]
"""The arm of each dimension."""


@dataclass(slots=True, eq=False)
class OpenRow:
    """A send, from its decision until its window has closed.

    Attributes:
        number: in the whole campaign, from 1.
        decisions, place: where its decision stands.
        plain: picks, propensities and pmfs.
        arrival: who came, when, and what they got before.
        due: when its window closes.
        sent: what went out; None for nothing.
        types: what was reported in time.
        revenue: money brought by a person within the window.
        reported: times and types of what was reported through faults of the stream.
    """

    number: int
    decisions: Decisions
    place: int
    plain: PlainRow
    arrival: Arrival
    due: datetime
    sent: Choice | None
    types: set[str] = field(default_factory=set)
    revenue: float = 0.0
    reported: list[tuple[datetime, str]] = field(default_factory=list)

    @property
    def decision_id(self) -> str:
        """That of its decision."""
        return self.decisions.requests.decision_ids[self.place]

    @property
    def context(self) -> EncodedContext:
        """As used."""
        return self.decisions.contexts[self.place]

    @property
    def is_trained_on(self) -> bool:
        """Whether it teaches the learner; see `bandit.training.is_trained_on`."""
        return teaches(self.decisions.groups[self.place])

    @property
    def worth(self) -> float:
        """What was reported in time is worth, whatever recent messages cost."""
        return self.decisions.campaign.reward.worth_of(self.types)

    @property
    def reward(self) -> float:
        """What the log has once it is closed."""
        campaign, (picks, _, _) = self.decisions.campaign, self.plain
        if campaign.reward.recent_send is None:
            return self.worth
        return campaign.reward_of(list(campaign.choice_of(picks).values()), self.types, self.context.recent_sends)

    def lesson(self) -> TrainingRow:
        """The closed row as the learner sees it."""
        reward, (picks, propensities, pmfs) = self.decisions.campaign.reward, self.plain
        types = self.types
        return TrainingRow(self.context, picks, reward.worth_of(types), reward.labels_of(types), propensities, pmfs)

    def matured(self) -> Matured:
        """The closed row as it stands in a log."""
        logged = LoggedDecision.of(self.decisions.decision(self.place), self.number)
        return Matured(self.number, logged, frozenset(self.types))


@dataclass(slots=True, eq=False)
class OpenRows:
    """All of them, in the order in which their windows close.

    Args:
        faults: those of the event stream act on what is reported.

    Attributes:
        n_late: events within a window that were reported only after its row had matured.
        n_duplicates: events that were reported again.
    """

    faults: Faults
    n_late: int = 0
    n_duplicates: int = 0
    _heap: list[tuple[datetime, int, OpenRow]] = field(default_factory=list)
    _by_id: dict[str, OpenRow] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _is_faulty: bool = field(init=False)

    def __post_init__(self) -> None:
        self._is_faulty = any(isinstance(fault, EventFault) for fault in self.faults.faults)

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, rows: Sequence[OpenRow], outcomes: Sequence[Sequence[SimulatedOutcome]]) -> None:
        """Rows just decided, with all that will happen."""
        events: list[ReportedEvent] = []
        for row, found in zip(rows, outcomes, strict=True):
            heapq.heappush(self._heap, (row.due, row.number, row))
            counted = [outcome for outcome in found if outcome.at <= row.due]
            row.revenue = sum(outcome.revenue for outcome in counted if not outcome.machine)
            if self._is_faulty:
                self._by_id[row.decision_id] = row
                events += _events(row.decision_id, found)
            else:
                row.types.update([outcome.type for outcome in counted])
        if events:
            self._hear(self.faults.events(events))

    def closed(self, now: datetime) -> list[OpenRow]:
        """Rows whose windows have closed by now, with what was reported of them in time; they are open no more."""
        rows = []
        while self._heap and self._heap[0][0] <= now:
            row = heapq.heappop(self._heap)[2]
            if self._is_faulty:
                self._count(row, now)
            rows.append(row)
        return rows

    def _hear(self, events: Sequence[ReportedEvent]) -> None:
        for event in events:
            row = self._by_id.get(event.decision_id)
            if event.event_id in self._known:
                self.n_duplicates += 1
            elif row is not None and event.at <= row.due:
                row.reported.append((event.reported_at, event.type))
            self._known.add(event.event_id)

    def _count(self, row: OpenRow, now: datetime) -> None:
        in_time = [kind for reported_at, kind in row.reported if reported_at <= now]
        self.n_late += len(row.reported) - len(in_time)
        row.types.update(in_time)
        del self._by_id[row.decision_id]


def _events(decision_id: str, outcomes: Sequence[SimulatedOutcome]) -> list[ReportedEvent]:
    """Outcomes as the log would hear of them: at once."""
    return [
        ReportedEvent(decision_id, f"{decision_id}:{number}", outcome.type, outcome.at, outcome.at)
        for number, outcome in enumerate(outcomes)
    ]
