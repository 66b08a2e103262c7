"""What a fault may change: events on their way to the log, rows, what a policy prefers, what is sent, who somebody is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias, runtime_checkable

from bandit.decision import Decision
from bandit.pmf import Pmf
from bandit.policy import Policy
from simulator.world import ChoiceGrid, check_utc

Earlier: TypeAlias = Callable[[Decision], Sequence[Pmf]]
"""The pmfs an earlier snapshot would have given along the picks of a decision, one a dimension."""


@dataclass(frozen=True, slots=True)
class ReportedEvent:
    """Something a customer did, on its way to the log.

    Args:
        decision_id: of the send it belongs to.
        event_id: its own; a repetition carries the same one.
        type: what happened.
        at: when it happened, in UTC.
        reported_at: when the log hears of it, in UTC; never before it happened where nothing is wrong.

    Raises:
        ImpossibleWorld: if a time is not in UTC.
    """

    decision_id: str
    event_id: str
    type: str
    at: datetime
    reported_at: datetime

    def __post_init__(self) -> None:
        check_utc("time of an event", self.at)
        check_utc("time of a report", self.reported_at)


@runtime_checkable
class EventFault(Protocol):
    """A fault of the event stream."""

    def events(self, events: Sequence[ReportedEvent]) -> list[ReportedEvent]:
        """The events that reach the log in place of these, in the order in which they come.

        Whether an event is hit depends on the event alone, so that a stream may be passed in pieces.
        """


@runtime_checkable
class RowFault(Protocol):
    """A fault of decisions on their way to the log: what was drawn and sent is as it was, the row says something else."""

    def rows(self, decisions: Sequence[Decision], earlier: Earlier) -> list[Decision]:
        """The rows that are written in place of these, in the same order.

        Args:
            decisions: of one step, as they were made.
            earlier: what an earlier snapshot says of them.
        """


@runtime_checkable
class PolicyFault(Protocol):
    """A fault of the policy: it decides otherwise than it should, and logs honestly what it did."""

    def policy(self, policy: Policy, at: datetime) -> Policy:
        """The policy that decides in place of this one at a time."""


@runtime_checkable
class SendingFault(Protocol):
    """A fault between the decision and the customer; the row says what was chosen."""

    def sent(
        self, decision_id: str, at: datetime, choice: Mapping[str, str], choices: ChoiceGrid
    ) -> Mapping[str, str] | None:
        """What the customer gets in place of a choice; None where nothing goes out and nobody says so."""


@runtime_checkable
class IdentityFault(Protocol):
    """A fault of who somebody is."""

    def known_as(self, customer_id: str, at: datetime) -> str:
        """The id under which a customer is decided for."""


Fault: TypeAlias = EventFault | RowFault | PolicyFault | SendingFault | IdentityFault
