"""One decision: eligible arms, group, then for each dimension estimates, pmf, draw; the next dimension sees the pick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bandit.campaign import Campaign
from bandit.context import Context, ContextValue, EncodedContext, is_unicode
from bandit.decision import Decision, Pick
from bandit.draw import Hash, KeyedHmac, begun_position, draw, key_under, keyed_hmac, position_after, with_part
from bandit.errors import InvalidContext, InvalidEstimates, InvalidPmf, MismatchedPolicy
from bandit.estimates import Need, Offer
from bandit.exclusion import Excludes, excluded_in
from bandit.fault import shown
from bandit.group import Group
from bandit.learner import Scorer
from bandit.learners import learner_for
from bandit.pmf import Pmf
from bandit.policy import Policy
from bandit.product_candidates import Candidates, ProductOffers
from bandit.send_slots import SlotTimes, with_slots
from bandit.wear_out import PastSend

NO_SNAPSHOT = "no snapshot yet"
LONGEST_ID = 1000


@dataclass(frozen=True, slots=True)
class Served:
    """A snapshot ready to decide: its id, the scorer made from it, and which of the learner's candidates that is."""

    snapshot: str
    scorer: Scorer[Any]
    candidate: str = ""


@dataclass(frozen=True, slots=True)
class Engine:
    """Decides. It holds no state that a decision could change: serving changes only by making another engine.

    Args:
        campaign: what may be said, to whom, and who decides.
        policies: one for each group; `policies.group_policies(campaign)` makes them.
        salt: 1 to 64 secret bytes; with it every draw can be repeated, without it nobody can guess one.
        secret: key of the HMAC that the log keeps in place of a customer_id.
        served: the snapshot the learner group decides from; None until there is one.
        unserved: why there is none, for the rows that the random policy then decides.

    Raises:
        MismatchedPolicy: at construction, if the learner does not provide what the policy needs.
    """

    campaign: Campaign
    policies: Mapping[Group, Policy]
    salt: bytes
    secret: bytes
    served: Served | None = None
    unserved: str = NO_SNAPSHOT
    _products: ProductOffers = field(init=False, repr=False, compare=False)
    _keyed: KeyedHmac = field(init=False, repr=False, compare=False)
    _begun: Hash = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (0 < len(self.salt) <= 64 and self.secret):
            raise MismatchedPolicy(
                "salt must be 1 to 64 bytes and secret at least 1: without them draws can be guessed."
            )
        wears = self.campaign.looks_back is not None
        learner_for(self.campaign.learner, self.policies[Group.LEARNER].needs, wears=wears)
        object.__setattr__(self, "_products", ProductOffers(self.campaign.dimensions))
        object.__setattr__(self, "_keyed", keyed_hmac(self.secret))
        object.__setattr__(self, "_begun", begun_position(self.campaign.id, salt=self.salt))

    def serving(self, served: Served | None, *, unserved: str = NO_SNAPSHOT) -> Engine:
        """The same engine deciding from another snapshot, or from none for a reason."""
        return replace(self, served=served, unserved=unserved)

    def decide(
        self,
        customer_id: str,
        context: Context,
        *,
        decision_id: str,
        at: datetime,
        past: Iterable[PastSend] | None = None,
        exclude: Excludes | None = None,
        candidates: Candidates | None = None,
        known_as: str | None = None,
    ) -> Decision:
        """Choose one arm of each dimension for one send.

        Args:
            customer_id: who; decides the group, and is kept only as a key.
            context: what is known about them; checked against the campaign's schema. Fields that the campaign makes of the
                time are not given: they are made here, of `at`.
            decision_id: new for every send; the same id gives the same draw.
            at: the time of the decision, with a zone.
            past: earlier sends to this customer, where the campaign has a `[wear_out]` table or a cost of recent sends; an
                empty list for somebody new.
            exclude: arms by dimension that may not be used for this send. They are removed before the draw, exactly as
                rules remove arms, and with them those that would lead nowhere; where that is the arm of a customer in the
                control group, one of those left is drawn evenly, so that nobody drops out of the comparison.
            candidates: the customer's products by dimension, best first, where the campaign makes arms per customer; one
                without any is offered the popular ones. See `bandit.product_candidates`.
            known_as: the customer's key under this engine's secret, where it has been made before.

        Raises:
            InvalidContext: if something about the customer does not fit the schema, or what they got before is not given
                though the campaign asks for it.
            InvalidExclusion: if an arm is excluded that the campaign does not have.
            InvalidCandidates: if a candidate is named that the campaign does not have.
            NoEligibleArm: if no whole choice is left, whatever is drawn; names the rules of the dimension that stays empty.
        """
        check_ids(customer_id, decision_id)
        require_zone(at)
        encoded = self.campaign.schema.encode(self.campaign.completed(context, at))
        if self.campaign.looks_back is not None:
            encoded = self.campaign.with_past(encoded, _required(past), at)
        if exclude:
            encoded = encoded._replace(excluded=excluded_in(self.campaign.dimensions, exclude))
        if self._products or candidates:
            encoded = encoded._replace(excluded=self._products.out(encoded.values, encoded.excluded, candidates))
        times = self.campaign.send_slots.times(encoded.values, at) if self.campaign.send_slots else None
        if times and times.excluded:
            encoded = encoded._replace(excluded=with_slots(encoded.excluded, times.excluded))
        group = self.campaign.groups.group_after(self._begun, customer_id)
        made = self._decide_for(group, encoded, decision_id)
        campaign = self.campaign
        return Decision(
            decision_id,
            campaign.id,
            campaign.content_hash,
            known_as or key_under(self._keyed, customer_id),
            group,
            encoded.values,
            made.picks,
            made.propensity,
            made.policy,
            made.snapshot,
            made.fallback,
            made.estimate,
            at.astimezone(UTC),
            self._send_at(made.picks, encoded.values, at, times),
            candidate=made.candidate,
            exposures=encoded.exposures,
            excluded=encoded.excluded,
            recent_sends=encoded.recent_sends,
        )

    def _send_at(
        self, picks: Sequence[Pick], values: Mapping[str, ContextValue], at: datetime, times: SlotTimes | None
    ) -> datetime | None:
        """As `Campaign.send_at`, without asking again what each slot means."""
        campaign = self.campaign
        if times is not None and campaign.send_slots is not None:
            # An arm that sends nothing, of this dimension or an earlier one, has no time.
            pick = picks[campaign.send_slots.dimension]
            send_at = times.send_at[campaign.dimensions[campaign.send_slots.dimension].index_of(pick.arm)]
            return None if send_at is None or picks[-1].arm == campaign.silent else send_at
        if campaign.limits is None:
            return None
        return campaign.send_at(values, at, {pick.dimension: pick.arm for pick in picks})

    def _decide_for(self, group: Group, context: EncodedContext, decision_id: str) -> _Made:
        policy = self.policies[group]
        if policy.needs is Need.NOTHING:
            return self._pick_all(policy, None, context, decision_id)
        if self.served is None:
            return self._fall_back(self.unserved, context, decision_id)
        try:
            return self._pick_all(policy, self.served, context, decision_id)
        except (InvalidPmf, InvalidEstimates) as error:
            # A decision is never refused because the model is ill; the row says what happened.
            return self._fall_back(f"{self.served.snapshot}: {error}", context, decision_id)

    def _fall_back(self, reason: str, context: EncodedContext, decision_id: str) -> _Made:
        made = self._pick_all(self.policies[Group.RANDOM], None, context, decision_id)
        return made._replace(fallback=reason)

    def _pick_all(self, policy: Policy, served: Served | None, context: EncodedContext, decision_id: str) -> _Made:
        scorer = served.scorer if served else None
        state = scorer.start(context) if scorer else None
        positions: list[int] = []
        picks: list[Pick] = []
        propensity = 1.0
        estimate: float | None = None
        last, drawn = len(self.campaign.dimensions) - 1, with_part(self._begun, decision_id)
        for d, dimension in enumerate(self.campaign.dimensions):
            offered = self.campaign.eligibility.offered(d, context.values, positions, context.excluded)
            offer = scorer.offer(state, d, offered) if scorer else Offer(d, offered)
            pmf = Pmf(dimension.ids, _spread(policy.shares(offer), offered, len(dimension.ids)))
            position = position_after(drawn, dimension.name)
            arm = draw(pmf.probabilities, position)
            if scorer and d < last:
                state = scorer.after(state, d, arm)
            elif scorer:
                estimate = scorer.whole(state, d, arm)
            positions.append(arm)
            picks.append(Pick(dimension.name, dimension.ids[arm], pmf.probabilities[arm], pmf))
            propensity *= pmf.probabilities[arm]
        if served is None:
            return _Made(tuple(picks), propensity, policy.name)
        return _Made(
            tuple(picks), propensity, policy.name, served.snapshot, served.candidate or None, estimate=estimate
        )


class _Made(NamedTuple):
    """The part of a decision that depends on who decides."""

    picks: tuple[Pick, ...]
    propensity: float
    policy: str
    snapshot: str | None = None
    candidate: str | None = None
    estimate: float | None = None
    fallback: str | None = None


def _spread(shares: list[float], offered: Sequence[int], n_arms: int) -> tuple[float, ...]:
    """Shares of the arms on offer, as probabilities of all arms: 0 where an arm is not eligible."""
    if len(shares) != len(offered):
        raise InvalidPmf(f"the policy gave {len(shares)} shares for {len(offered)} arms on offer; need one an arm.")
    if len(offered) == n_arms:
        return tuple(shares)
    every = [0.0] * n_arms
    for arm, share in zip(offered, shares, strict=True):
        every[arm] = share
    return tuple(every)


def _required(past: Iterable[PastSend] | None) -> list[PastSend]:
    if past is None:
        raise InvalidContext(
            "the campaign has a [wear_out] table or [reward].recent_send, and what this customer got before was not given: "
            "everything would look as if never sent. Pass past=[...] with their earlier sends, or past=[] for somebody new."
        )
    return list(past)


def check_ids(customer_id: str, decision_id: str) -> None:
    """Refuse ids that no decision can have.

    Raises:
        InvalidContext: for anything but a text of 1 to 1,000 characters.
    """
    for name, value in (("customer_id", customer_id), ("decision_id", decision_id)):
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID or not is_unicode(value):
            # Messages end up in logs and tickets, and a customer_id may be an address.
            is_hidden = name == "customer_id" and isinstance(value, str) and value
            found = f"{len(value)} characters" if is_hidden else shown(value)
            raise InvalidContext(
                f"{name} is {found}, need a text of 1 to {LONGEST_ID} characters, all of them Unicode: outcomes and "
                "groups hang on it."
            )


def require_zone(at: datetime) -> None:
    """Refuse a time without a zone.

    Raises:
        InvalidContext: because a window cannot be counted from it.
    """
    if at.tzinfo is None:
        raise InvalidContext(
            f"time {at.isoformat()} has no zone; a window cannot be counted from it. Add one, such as Z."
        )
