"""Many decisions at once, each as `Engine.decide` would have made it: the same group, the same pmf, the same draw.

What can be done in columns is: scores by a gather and a sum over the compiled tables, pmfs by the policy's own array form,
draws from the same hashes. What cannot is left to the engine, row by row: learners without tables, and rows for which a
model has gone ill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import BoolArray, FloatArray, count_true
from bandit.charged_scorer import charges_in
from bandit.compiled import CompiledScorer
from bandit.context import Context, ContextValue, EncodedContext, is_unicode
from bandit.context_columns import ContextColumns
from bandit.decision import Decision
from bandit.decisions import Decisions, Requests
from bandit.draw import draw_many, positions_of_each
from bandit.engine import LONGEST_ID, Engine, check_ids, require_zone
from bandit.errors import (
    InvalidCandidates,
    InvalidContext,
    InvalidEstimates,
    InvalidExclusion,
    InvalidPmf,
    NoEligibleArm,
)
from bandit.estimates import NO_ESTIMATES, Need
from bandit.exclusion import Excluded, excluded_in
from bandit.group import Group
from bandit.many_contexts import encoded_contexts
from bandit.many_states import ManyStates, tables_of
from bandit.pmf import SUM_TOLERANCE
from bandit.policy import Policy
from bandit.product_candidates import ProductOffers
from bandit.slot_columns import within_hours

MOST_NUMBERS = 2**17
"""In the states of one block of rows: a megabyte, which a core's own cache holds."""
_Rows = NDArray[np.int64]


def decide_many(engine: Engine, requests: Requests) -> Decisions:
    """Choose one arm of each dimension for each of many sends.

    Args:
        engine: decides; all rows from the same snapshot.
        requests: the sends.

    Raises:
        InvalidContext: as `Engine.decide`, for the first row that it would refuse.
        InvalidExclusion, InvalidCandidates, NoEligibleArm: the same.

    Caution: pmfs equal those of `Engine.decide` but for the order of sums, by 1e-16 or so; where large tables score two
    best arms alike, the engine's own product of matrices may break the tie by that much, and this does not.
    """
    wave = _Wave(engine, requests)
    if engine.campaign.looks_back is not None and requests.pasts is None:
        return wave.decided_alone()
    try:
        return wave.decided()
    except (InvalidContext, InvalidExclusion, InvalidCandidates, NoEligibleArm):
        # Row by row it is the first row's fault that is named, whichever was found first here.
        return wave.decided_alone()


class _Wave:
    """Columns of decisions in the making."""

    def __init__(self, engine: Engine, requests: Requests) -> None:
        n, sizes = len(requests), engine.campaign.sizes
        self._engine, self._requests = engine, requests
        self._charges = charges_in(engine.served.scorer) if engine.served else None
        self._groups = [Group.LEARNER] * n
        self._contexts: Sequence[EncodedContext] = ()
        self._picks = np.zeros((n, len(sizes)), dtype=np.int64)
        self._propensities = np.ones((n, len(sizes)))
        self._pmfs = tuple(np.zeros((n, size)) for size in sizes)
        self._policies, self._snapshots, self._candidates, self._fallbacks = (
            np.full(n, None, dtype=np.object_) for _ in range(4)
        )
        self._estimates = np.full(n, np.nan)

    def decided(self) -> Decisions:
        """Group by group, in columns as far as possible.

        Raises:
            InvalidContext: for a row that cannot be decided; perhaps not for the first.
            InvalidExclusion, InvalidCandidates, NoEligibleArm: the same.
        """
        self._contexts, self._groups = self._encoded(), self._sorted()
        for group in Group:
            rows = np.array([row for row, found in enumerate(self._groups) if found is group], dtype=np.int64)
            if rows.size:
                self._decide(group, rows)
        return self._columns()

    def decided_alone(self) -> Decisions:
        """Row by row."""
        made = [self._alone(row) for row in range(len(self._requests))]
        self._groups = [decision.group for decision in made]
        self._contexts = self._fields()
        self._contexts = [
            context._replace(
                exposures=decision.exposures, excluded=decision.excluded, recent_sends=decision.recent_sends
            )
            for context, decision in zip(self._contexts, made, strict=True)
        ]
        for row, decision in enumerate(made):
            self._take(row, decision)
        return self._columns()

    def _columns(self) -> Decisions:
        return Decisions(
            self._engine.campaign,
            self._requests,
            self._engine.secret,
            self._groups,
            self._contexts,
            self._picks,
            self._propensities,
            self._pmfs,
            self._policies.tolist(),
            self._snapshots.tolist(),
            self._candidates.tolist(),
            self._fallbacks.tolist(),
            self._estimates,
        )

    def _encoded(self) -> Sequence[EncodedContext]:
        asked, campaign = self._requests, self._engine.campaign
        _check_many(asked)
        contexts = self._fields()
        if asked.exclude is not None:
            contexts = [
                context._replace(excluded=excluded_in(campaign.dimensions, exclude)) if exclude else context
                for context, exclude in zip(contexts, asked.exclude, strict=True)
            ]
        contexts = self._offered_products(contexts)
        if campaign.send_slots:
            contexts = within_hours(contexts, campaign.send_slots, asked.at)
        if campaign.looks_back is None or asked.pasts is None:
            return contexts
        return [
            campaign.with_past(context, past, at)
            for context, past, at in zip(contexts, asked.pasts, asked.at, strict=True)
        ]

    def _offered_products(self, contexts: Sequence[EncodedContext]) -> Sequence[EncodedContext]:
        """Contexts in which all products are out that are not on offer to the customer."""
        offers, given = ProductOffers(self._engine.campaign.dimensions), self._requests.candidates
        if not offers and not (given and any(given)):
            return contexts
        return [
            context._replace(excluded=offers.out(context.values, context.excluded, given[row] if given else None))
            for row, context in enumerate(contexts)
        ]

    def _fields(self) -> Sequence[EncodedContext]:
        """Contexts without what was sent before."""
        return encoded_contexts(self._engine.campaign, self._requests.contexts, self._requests.at)

    def _sorted(self) -> list[Group]:
        """Each customer's group."""
        campaign, salt = self._engine.campaign, self._engine.salt
        return campaign.groups.groups_of(self._requests.customer_ids, campaign=campaign.id, salt=salt)

    def _decide(self, group: Group, rows: _Rows) -> None:
        """Decide for one group, as `Engine.decide` does."""
        policy, served = self._engine.policies[group], self._engine.served
        if policy.needs is Need.NOTHING:
            self._decide_alone(rows[~self._made(policy, None, rows)])
        elif served is None:
            self._decide_alone(rows[~self._made(self._engine.policies[Group.RANDOM], None, rows)])
            self._fallbacks[rows] = self._engine.unserved
        else:
            made = self._made_from(policy, tables_of(served.scorer), rows)
            self._snapshots[rows[made]], self._candidates[rows[made]] = served.snapshot, served.candidate or None
            self._decide_alone(rows[~made])

    def _made_from(self, policy: Policy, tables: CompiledScorer | None, rows: _Rows) -> BoolArray:
        """Decide from tables; says for which rows it could be done."""
        if tables is None:
            return np.zeros(len(rows), dtype=np.bool_)
        block = max(MOST_NUMBERS // tables.tables.constant.size, 1)
        try:
            # An ill model's numbers are looked at afterwards.
            with np.errstate(all="ignore"):
                parts = [self._made(policy, tables, rows[at : at + block]) for at in range(0, len(rows), block)]
        except (InvalidPmf, InvalidEstimates):
            return np.zeros(len(rows), dtype=np.bool_)
        return np.concatenate(parts)

    def _made(self, policy: Policy, tables: CompiledScorer | None, rows: _Rows) -> BoolArray:
        """Go from dimension to dimension for some rows together; says for which of them the numbers can be trusted."""
        contexts = _some(self._contexts, rows)
        values, excluded = self._looked_at(contexts)
        ids = [self._requests.decision_ids[row] for row in rows]
        states = ManyStates(tables, contexts, self._charges) if tables else None
        sound = np.ones(len(rows), dtype=np.bool_)
        campaign, salt = self._engine.campaign, self._engine.salt
        names = [dimension.name for dimension in campaign.dimensions]
        positions = positions_of_each(campaign.id, ids, names, salt=salt)
        for d in range(len(names)):
            eligible = campaign.eligibility.offered_to_many(d, values, self._picks[rows], excluded)
            estimates, believable = states.estimates(d) if states else (NO_ESTIMATES, sound)
            pmf = policy.pmf(estimates, eligible, dimension=d)
            sound &= believable & _are_pmfs(pmf, eligible)
            if not sound.all():
                pmf = np.where(sound[:, None], pmf, eligible / count_true(eligible))
            picks = draw_many(pmf, positions[d])
            self._picks[rows, d], self._pmfs[d][rows] = picks, pmf
            self._propensities[rows, d] = pmf[np.arange(len(rows)), picks]
            if states and d < len(names) - 1:
                states.pick(d, picks)
            elif states:
                self._estimates[rows] = states.whole(d, picks)
        self._policies[rows] = policy.name
        return sound

    def _looked_at(
        self, contexts: Sequence[EncodedContext]
    ) -> tuple[Sequence[Mapping[str, ContextValue]], Sequence[tuple[Excluded, ...]]]:
        """What rules look at, and what callers excluded."""
        if not isinstance(contexts, ContextColumns):
            # Equal ones as one object: there may be hundreds of arms in each, which are then looked at once.
            same: dict[tuple[Excluded, ...], tuple[Excluded, ...]] = {}
            excluded = [same.setdefault(context.excluded, context.excluded) for context in contexts]
            return [context.values for context in contexts], excluded
        has_rules = any(arm.when for dimension in self._engine.campaign.dimensions for arm in dimension.arms)
        values = contexts.values() if has_rules else [{}] * len(contexts)
        return values, contexts.excluded.rows() if contexts.excluded else [()] * len(contexts)

    def _decide_alone(self, rows: _Rows) -> None:
        for row in rows.tolist():
            self._take(row, self._alone(row))

    def _alone(self, row: int) -> Decision:
        asked, given = self._requests, self._requests.contexts[row]
        return self._engine.decide(
            asked.customer_ids[row],
            Context(self._engine.campaign.given_of(given.values)) if isinstance(given, EncodedContext) else given,
            decision_id=asked.decision_ids[row],
            at=asked.at[row],
            past=asked.pasts[row] if asked.pasts is not None else None,
            exclude=asked.exclude[row] if asked.exclude is not None else None,
            candidates=asked.candidates[row] if asked.candidates is not None else None,
        )

    def _take(self, row: int, decision: Decision) -> None:
        """Put a decision that the engine made into the columns."""
        self._picks[row] = self._engine.campaign.picks_of(decision.choice)
        self._propensities[row] = [pick.propensity for pick in decision.picks]
        for column, pick in zip(self._pmfs, decision.picks, strict=True):
            column[row] = pick.pmf.probabilities
        self._policies[row], self._snapshots[row] = decision.policy, decision.snapshot
        self._candidates[row], self._fallbacks[row] = decision.candidate, decision.fallback
        self._estimates[row] = np.nan if decision.estimate is None else decision.estimate


def _check_many(asked: Requests) -> None:
    """Refuse the first row that no decision can be made for, whatever is known of the customer."""
    if not (_are_plain(asked.customer_ids) and _are_plain(asked.decision_ids)):
        for customer_id, decision_id in zip(asked.customer_ids, asked.decision_ids, strict=True):
            check_ids(customer_id, decision_id)
    for at in dict(zip(map(id, asked.at), asked.at, strict=True)).values():  # a table has one time for all
        require_zone(at)


def _are_plain(ids: Sequence[str]) -> bool:
    """Whether all are surely ids; looked at together, for one by one takes as long as scoring."""
    if set(map(type, ids)) != {str}:
        return False
    lengths = set(map(len, ids))
    return min(lengths) > 0 and max(lengths) <= LONGEST_ID and is_unicode("".join(ids))


def _some(contexts: Sequence[EncodedContext], rows: _Rows) -> Sequence[EncodedContext]:
    return contexts.take(rows) if isinstance(contexts, ContextColumns) else [contexts[row] for row in rows]


def _are_pmfs(pmf: FloatArray, eligible: BoolArray) -> BoolArray:
    """For each row whether `bandit.pmf.Pmf` would take it; shape (n,)."""
    if pmf.shape != eligible.shape:
        raise InvalidPmf(
            f"the policy gave probabilities of shape {pmf.shape}, need {eligible.shape}: one a row and arm."
        )
    # Written so that NaN fails each comparison instead of passing it.
    fine: BoolArray = (pmf >= 0.0).all(axis=1) & (np.abs(pmf.sum(axis=1) - 1.0) <= SUM_TOLERANCE)
    return fine
