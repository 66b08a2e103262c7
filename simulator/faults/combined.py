"""Several faults at once, each applied where it belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bandit.decision import Decision
from bandit.policy import Policy
from simulator.faults.kinds import (
    Earlier,
    EventFault,
    Fault,
    IdentityFault,
    PolicyFault,
    ReportedEvent,
    RowFault,
    SendingFault,
)
from simulator.world import ChoiceGrid


@dataclass(frozen=True, slots=True)
class Faults:
    """Faults in the order in which they act; without any, everything stays as it is.

    >>> from simulator.faults.of_deciding import ChangedIds, UnvoidedSends
    >>> from simulator.faults.extent import Extent
    >>> Faults((UnvoidedSends(Extent(1.0)),)).sent("d1", datetime(2026, 1, 5), {"cta": "join"}, ChoiceGrid({"cta": ["join"]}))
    >>> Faults().known_as("ann", datetime(2026, 1, 5))
    'ann'
    """

    faults: tuple[Fault, ...] = ()

    def events(self, events: Sequence[ReportedEvent]) -> list[ReportedEvent]:
        """The events that reach the log in place of these."""
        for fault in self.faults:
            if isinstance(fault, EventFault):
                events = fault.events(events)
        return list(events)

    def rows(self, decisions: Sequence[Decision], earlier: Earlier) -> list[Decision]:
        """The rows that are written in place of these."""
        for fault in self.faults:
            if isinstance(fault, RowFault):
                decisions = fault.rows(decisions, earlier)
        return list(decisions)

    def policy(self, policy: Policy, at: datetime) -> Policy:
        """The policy that decides in place of this one."""
        for fault in self.faults:
            if isinstance(fault, PolicyFault):
                policy = fault.policy(policy, at)
        return policy

    def sent(
        self, decision_id: str, at: datetime, choice: Mapping[str, str], choices: ChoiceGrid
    ) -> Mapping[str, str] | None:
        """What the customer gets in place of a choice; None for nothing."""
        sent: Mapping[str, str] | None = choice
        for fault in self.faults:
            if isinstance(fault, SendingFault) and sent is not None:
                sent = fault.sent(decision_id, at, sent, choices)
        return sent

    def known_as(self, customer_id: str, at: datetime) -> str:
        """The id under which a customer is decided for."""
        for fault in self.faults:
            if isinstance(fault, IdentityFault):
                customer_id = fault.known_as(customer_id, at)
        return customer_id
