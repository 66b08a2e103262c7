"""What could have been sent in each row of a log: what the rules left for its context and its earlier picks, whoever decided.

A pmf of the random policy, or of one with a floor, says so: what it gives nothing was out. A control row has one arm alone, and
a policy without a floor gives some arms nothing; neither is a rule's doing, so there the rules are asked again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from bandit.arrays import BoolArray
from bandit.campaign import Campaign
from bandit.context import ContextValue
from bandit.eligibility import Eligibility
from bandit.errors import NoEligibleArm
from bandit.exclusion import Excluded
from bandit.group import Group
from evaluation.log_batch import LogBatch


def fields_asked(campaign: Campaign | None, groups: Collection[str]) -> frozenset[str]:
    """The context fields that say what could have been sent where pmfs do not; none without a campaign.

    Args:
        campaign: whose rules hold.
        groups: whose rows are read. Pmfs of the random group, and of a learner with a floor, say it themselves.
    """
    if campaign is None:
        return frozenset()
    if Group.CONTROL not in groups and (campaign.policy.floor or Group.LEARNER not in groups):
        return frozenset()
    rules = campaign.eligibility
    return frozenset(name for d in range(len(campaign.dimensions)) for name in rules.asks_of_context(d))


def with_offered(batch: LogBatch, is_control: BoolArray, is_random: BoolArray, campaign: Campaign | None) -> LogBatch:
    """The rows with what could have been sent: what had some probability, and what no rule and no caller had removed.

    Args:
        batch: with pmfs, and with what callers excluded where the log says it.
        is_control: shape (n,), whether a row is of the control group.
        is_random: the same of the random group.
        campaign: whose rules hold.

    Caution: rules cannot be asked without a campaign, nor in a dimension whose rules want a context field that the log lacks, nor
        for a row that no decision under them can be (`manyarm verify` names it). All arms of a control row that nobody excluded
        count as offered there, and of a learner without a floor those without rules of their own. Without a campaign, arms that
        a policy without a floor gave nothing count as removed.
    """
    if batch.pmfs is None:
        return batch
    is_unsaid = is_control | ~is_random if campaign and not campaign.policy.floor else is_control
    possible = [np.repeat(is_unsaid[:, None], pmf.shape[1], axis=1) for pmf in batch.pmfs]
    for row, arms in enumerate(batch.excluded or ()):
        for d, arm, _ in arms:
            possible[d][row, arm] = False
    if campaign:
        possible = [_left_by_rules(batch, d, one, is_control, campaign) for d, one in enumerate(possible)]
    return replace(batch, offered=tuple((pmf > 0.0) | one for pmf, one in zip(batch.pmfs, possible, strict=True)))


def _left_by_rules(
    batch: LogBatch, dimension: int, possible: BoolArray, is_control: BoolArray, campaign: Campaign
) -> BoolArray:
    """What the rules leave of the arms that may have been offered; only rows are looked at whose pmf does not say it."""
    rules, pmfs = campaign.eligibility, batch.pmfs or ()
    unsaid = (possible & (pmfs[dimension] == 0.0)).any(axis=1)
    if not unsaid.any():
        return possible
    # Where the rules cannot be asked, it is better to miss an arm than to offer one that they may have removed.
    is_free = np.array([not (arm.when or arm.requires) for arm in campaign.dimensions[dimension].arms])
    unasked: BoolArray = possible & (is_control[:, None] | is_free)
    if not batch.context.keys() >= set(rules.asks_of_context(dimension)):
        return unasked
    left, is_known = _asked(rules, dimension, batch.only(unsaid))
    found = possible.copy()
    found[unsaid] = np.where(is_known[:, None], possible[unsaid] & left, unasked[unsaid])
    return found


def _asked(rules: Eligibility, dimension: int, rows: LogBatch) -> tuple[BoolArray, BoolArray]:
    """What the rules leave, shape (n, n_arms), and whether that is anything at all, shape (n,)."""
    contexts, excluded = list(rows.contexts()), rows.excluded or [()] * len(rows)
    try:
        return rules.offered_to_many(dimension, contexts, rows.picks, excluded), np.ones(len(rows), dtype=np.bool_)
    except NoEligibleArm:
        asked = rules.asks_of_context(dimension)
    # One such row says nothing of the others: each kind of row is asked for by itself.
    kinds = [
        (tuple([(name, context[name]) for name in asked]), tuple(picks), tuple(out))
        for context, picks, out in zip(contexts, rows.picks[:, :dimension].tolist(), excluded, strict=True)
    ]
    masks = {kind: _mask(rules, dimension, *kind) for kind in dict.fromkeys(kinds)}
    left: BoolArray = np.array([masks[kind] for kind in kinds])
    is_known: BoolArray = np.logical_or.reduce(left, axis=1)
    return left, is_known


def _mask(
    rules: Eligibility,
    dimension: int,
    context: tuple[tuple[str, ContextValue], ...],
    picks: tuple[int, ...],
    excluded: tuple[Excluded, ...],
) -> BoolArray:
    """What the rules leave to one kind of row, shape (n_arms,); all false where that is nothing."""
    try:
        return rules.mask(dimension, dict(context), picks, excluded)
    except NoEligibleArm:
        return rules.mask_of(dimension, ())
