"""One decision: what was chosen, out of what, with which probability, and who said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bandit.context import ContextValue
from bandit.exclusion import Excluded
from bandit.group import Group
from bandit.pmf import Pmf
from bandit.wear_out import Exposure


@dataclass(frozen=True, slots=True)
class Pick:
    """The arm drawn in one dimension, and the pmf it was drawn from (given the context and the earlier picks)."""

    dimension: str
    arm: str
    propensity: float
    pmf: Pmf


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice and everything needed to check it later; it never changes.

    Attributes:
        decision_id: outcomes join on it; the same id always gives the same answer.
        campaign: the campaign's id.
        campaign_hash: hash of the campaign's content, which rules and arms stand behind the row.
        customer_key: HMAC of the customer_id.
        group: learner, random or control.
        context: the context as used, protected fields included.
        picks: one a dimension, in file order.
        propensity: joint, the product of the picks' propensities.
        policy: who decided; "uniform" where the learner could not.
        snapshot: the snapshot it decided from, None for policies that need none.
        candidate: which of the learner's candidates served, None where nobody competes.
        fallback: why the random policy decided in the learner's place, None where it did not.
        estimate: the reward the learner expected from this whole choice, before the draw; None without a model.
        decided_at: when, in UTC.
        send_at: when the message is due, in UTC; None for as soon as possible.
        exposures: what the customer got lately, as used; empty where the campaign does not ask.
        excluded: arms that the caller kept out of this decision; removed before the draw, as by a rule.
        recent_sends: messages that the customer got lately, as counted for what they cost; None where the campaign does not ask.
    """

    decision_id: str
    campaign: str
    campaign_hash: str
    customer_key: str
    group: Group
    context: Mapping[str, ContextValue]
    picks: tuple[Pick, ...]
    propensity: float
    policy: str
    snapshot: str | None
    fallback: str | None
    estimate: float | None
    decided_at: datetime
    send_at: datetime | None = None
    candidate: str | None = None
    exposures: tuple[Exposure, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    recent_sends: int | None = None

    @property
    def choice(self) -> dict[str, str]:
        """The arm of each dimension."""
        return {pick.dimension: pick.arm for pick in self.picks}
