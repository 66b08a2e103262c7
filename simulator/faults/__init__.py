"""Faults of a campaign, put in on purpose: what goes wrong between deciding and the log, and which check sees it.

Registry    `FAULTS`, `FaultKind`, `faults_of`, `Faults`: by name, and several at once
Extent      `Extent`: which share of rows, events or customers, and from when on
Events      `ReportedEvent`, `LostEvents`, `DuplicatedEvents`, `DisorderedEvents`, `LateEvents`
Rows        `WrongPropensities`, `StalePropensities`, `SwappedArms`, `SwappedRows`
Deciding    `MisguidedPolicy`, `UnsentChoice`, `UnvoidedSends`, `ChangedIds`
"""

from simulator.faults.combined import Faults
from simulator.faults.extent import Extent
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
from simulator.faults.of_deciding import ChangedIds, Misguided, MisguidedPolicy, UnsentChoice, UnvoidedSends
from simulator.faults.of_events import DisorderedEvents, DuplicatedEvents, LateEvents, LostEvents
from simulator.faults.of_rows import StalePropensities, SwappedArms, SwappedRows, WrongPropensities
from simulator.faults.registry import FAULTS, FaultKind, faults_of

__all__ = [
    "FAULTS",
    "ChangedIds",
    "DisorderedEvents",
    "DuplicatedEvents",
    "Earlier",
    "EventFault",
    "Extent",
    "Fault",
    "FaultKind",
    "Faults",
    "IdentityFault",
    "LateEvents",
    "LostEvents",
    "Misguided",
    "MisguidedPolicy",
    "PolicyFault",
    "ReportedEvent",
    "RowFault",
    "SendingFault",
    "StalePropensities",
    "SwappedArms",
    "SwappedRows",
    "UnsentChoice",
    "UnvoidedSends",
    "WrongPropensities",
    "faults_of",
]
