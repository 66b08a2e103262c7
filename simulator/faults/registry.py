"""Every fault by its name: a new one is a class and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from bandit.errors import InvalidSettings
from simulator.faults.combined import Faults
from simulator.faults.extent import Extent
from simulator.faults.kinds import Fault
from simulator.faults.of_deciding import ChangedIds, MisguidedPolicy, UnsentChoice, UnvoidedSends
from simulator.faults.of_events import DisorderedEvents, DuplicatedEvents, LateEvents, LostEvents
from simulator.faults.of_rows import StalePropensities, SwappedArms, SwappedRows, WrongPropensities


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault's entry.

    Attributes:
        about: what goes wrong, in one sentence.
        share: what is hit where nobody says.
        make: the fault, from what it hits.
    """

    about: str
    share: float
    make: Callable[[Extent], Fault]


FAULTS: Mapping[str, FaultKind] = MappingProxyType(
    {
        "lost-events": FaultKind("Events happen and never reach the log.", 0.3, LostEvents),
        "duplicated-events": FaultKind("Events are reported twice, with the same id.", 0.3, DuplicatedEvents),
        "disordered-events": FaultKind("Events of an hour come in any order.", 0.5, DisorderedEvents),
        "late-events": FaultKind("Events are reported after their window has closed.", 0.3, LateEvents),
        "wrong-propensities": FaultKind("Rows log a larger floor than was drawn with.", 0.3, WrongPropensities),
        "stale-propensities": FaultKind("Rows log the pmf of the snapshot before.", 0.3, StalePropensities),
        "swapped-arms": FaultKind("Rows log two arms with each other's probability.", 0.3, SwappedArms),
        "swapped-rows": FaultKind("Two sends are logged with each other's propensities.", 0.15, SwappedRows),
        "misguided-policy": FaultKind("The learner prefers what it believes to be worst.", 1.0, MisguidedPolicy),
        "unsent-choice": FaultKind("The default goes out in place of what was chosen.", 0.3, UnsentChoice),
        "unvoided-sends": FaultKind("Nothing goes out, and nobody says so.", 0.3, UnvoidedSends),
        "changed-ids": FaultKind("Customers have another id every week.", 0.3, ChangedIds),
    }
)
"""By the name that commands know it by."""


def faults_of(texts: Sequence[str], *, seed: int = 0, since: datetime | None = None) -> Faults:
    """Faults as somebody names them, `NAME` or `NAME=SHARE`.

    Args:
        texts: in the order in which the faults act.
        seed: which rows are hit.
        since: nothing before is hit; None for the whole campaign.

    Raises:
        InvalidSettings: for a name that is not in `FAULTS`, or a share that is not in (0, 1].

    >>> faults_of(["lost-events=0.5", "misguided-policy"]).faults[0]
    LostEvents(extent=Extent(share=0.5, seed=0, since=None))
    """
    return Faults(tuple(_fault_of(text, seed, since) for text in texts))


def _fault_of(text: str, seed: int, since: datetime | None) -> Fault:
    name, _, share = text.partition("=")
    if name not in FAULTS:
        raise InvalidSettings(
            f"fault {text!r} is unknown: name one of {', '.join(FAULTS)}, or NAME=SHARE of what is hit."
        )
    kind = FAULTS[name]
    return kind.make(Extent(_share_of(text, share) if share else kind.share, seed, since))


def _share_of(text: str, share: str) -> float:
    try:
        return float(share)
    except ValueError:
        raise InvalidSettings(f"fault {text!r}: {share!r} is no share; give a number above 0 and up to 1.") from None
