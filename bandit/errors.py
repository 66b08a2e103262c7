"""Everything that can go wrong on purpose, as one tree.

EngineError                     catch this at the edge: every message says what, why, and what to do
├── InvalidCampaign             the campaign file has faults; carries all of them
├── InvalidContext              what was said about a customer does not fit the campaign's schema
├── InvalidExclusion            a caller excluded a dimension or an arm that the campaign does not have
├── InvalidVariables            what is to be filled into texts is nothing that can be, or is declared nowhere
├── InvalidCandidates           a customer's candidates name a dimension or a product that the campaign does not have
├── InvalidOutcome              an outcome of a type, time or id that cannot be counted
├── InvalidRanking              a ranking request, a reward or an event's id that cannot be used
├── InvalidPmf                  a policy returned something that is not a distribution; the engine falls back
├── InvalidEstimates            a learner answered with the wrong shape or with numbers that are not finite
├── InvalidSettings             a policy or learner was given options it does not have
├── MismatchedPolicy            the policy needs what the learner does not provide
├── NoEligibleArm               rules leave a dimension no arm, whatever is picked; names each rule
├── CapReached                  the customer got as many messages as the campaign allows; says from when on the next may go
├── UnknownCampaign             no campaign with that id here
├── UnknownDecision             no decision with that id
├── ConflictingDecision         the decision_id was already used for another request
├── ConflictingOutcome          the event_id was already used for another outcome
├── OptedOut                    the customer does not want to be mailed: nothing may be sent
├── UnknownErasure              no receipt of an erasure with that id
├── UnusableCatalogue           a table of products, of events or of candidates that nothing can be made from
├── UnusableEvents              an events table, or a customer's sums of one, from which no features can be made
├── UnusableLog                 rows from which no honest number can be made
├── BrokenSnapshot              bytes that are not the ones that were stored
└── UnusableStore               the database file is not ours, or not of this campaign
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bandit.fault import Fault


class EngineError(Exception):
    """Base of every error this engine raises on purpose."""


class InvalidCampaign(EngineError):
    """The campaign cannot be used; `faults` lists every reason, not only the first."""

    def __init__(self, faults: Sequence[Fault], source: str = "campaign") -> None:
        self.faults = tuple(faults)
        self.source = source
        lines = "\n".join(f"  {fault}" for fault in self.faults)
        count = f"{len(self.faults)} fault" + ("s" if len(self.faults) != 1 else "")
        super().__init__(f"{source}: {count}, nothing was started.\n{lines}")


class InvalidContext(EngineError):
    """A context that does not fit the campaign's schema."""


class InvalidExclusion(EngineError):
    """Arms excluded from a decision that the campaign does not have."""


class InvalidVariables(EngineError):
    """Variables that cannot be filled into the campaign's texts."""


class InvalidCandidates(EngineError):
    """Candidates that the campaign does not have, or does not offer."""


class InvalidOutcome(EngineError):
    """An outcome that cannot be counted."""


class InvalidRanking(EngineError):
    """A ranking request, a reward or an event's id that cannot be used."""


class InvalidPmf(EngineError):
    """Something that is not a probability distribution over the arms."""


class InvalidEstimates(EngineError):
    """A learner's answer that no policy can use."""


class InvalidSettings(EngineError):
    """Options that a policy or learner does not have, or values outside their range."""


class MismatchedPolicy(EngineError):
    """A policy together with a learner that does not provide what it needs."""


class NoEligibleArm(EngineError):
    """Rules leave a dimension no arm, whatever is picked of the others."""


class CapReached(EngineError):
    """The customer got as many messages as the campaign's caps allow."""


class UnknownCampaign(EngineError):
    """No campaign with that id here."""


class UnknownDecision(EngineError):
    """No decision with that id."""


class ConflictingDecision(EngineError):
    """The decision_id was already used for another request."""


class ConflictingOutcome(EngineError):
    """The event_id was already used for another outcome."""


class OptedOut(EngineError):
    """The customer does not want to be mailed."""


class UnknownErasure(EngineError):
    """No receipt of an erasure with that id."""


class UnusableCatalogue(EngineError):
    """Products, events or candidates from which no offer can be made."""


class UnusableEvents(EngineError):
    """Events, or sums of them, from which no features can be made."""


class UnusableLog(EngineError):
    """Rows from which no honest number can be made."""


class BrokenSnapshot(EngineError):
    """Snapshot bytes that are not the ones that were stored, or of another campaign."""


class UnusableStore(EngineError):
    """A database file that is not ours, is damaged, or cannot be written."""


class OutdatedSnapshot(BrokenSnapshot):
    """A whole snapshot of an earlier version, which this one cannot read; learning begins again from the log."""


class UnknownSnapshot(BrokenSnapshot):
    """No snapshot with that name, or none to go back to."""
