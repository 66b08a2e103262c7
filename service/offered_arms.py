"""What could have been sent in each row of a log: what the rules left for its context and its earlier picks, whoever decided.

A pmf that has a floor says so. A control row has one arm alone, and a policy without a floor gives some arms nothing; neither is
a rule's doing, so there the rules are asked again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from bandit.arrays import BoolArray
from bandit.campaign import Campaign
from bandit.errors import NoEligibleArm
from bandit.group import Group
from evaluation.log_batch import LogBatch


def fields_asked(campaign: Campaign | None, groups: Collection[str]) -> frozenset[str]:
    """The context fields that say what could have been sent where pmfs do not; none without a campaign.

    Args:
        campaign: whose rules hold.
        groups: whose rows are read. Control rows leave every rule unsaid, those of a policy with a floor only dead ends: an arm
            without rules of its own may have no probability.
    """
    if campaign is None:
        return frozenset()
    rules = campaign.eligibility
    asks_all = Group.CONTROL in groups or not campaign.policy.floor
    asked = (rules.asks_of_context(d) for d, ahead in enumerate(rules.looks_ahead) if ahead or asks_all)
    return frozenset(name for names in asked for name in names)


def with_offered(batch: LogBatch, is_control: BoolArray, campaign: Campaign | None) -> LogBatch:
    """The rows with what could have been sent: what had some probability, and what no rule and no caller had removed.

    Args:
        batch: with pmfs, and with what callers excluded where the log says it.
        is_control: shape (n,), whether a row is of the control group.
        campaign: whose rules hold.

    Caution: rules cannot be asked without a campaign, nor in a dimension whose rules want a context field that the log lacks, nor
        where a row is one that no decision under them can be (`manyarm verify` names it). All arms of a control row that nobody
        excluded count as offered there. Without a campaign, arms that a policy without a floor gave nothing count as removed.
    """
    if batch.pmfs is None:
        return batch
    possible = _possible(batch.pmfs, is_control, campaign)
    for row, arms in enumerate(batch.excluded or ()):
        for d, arm, _ in arms:
            possible[d][row, arm] = False
    if campaign:
        possible = [_left_by_rules(batch, d, one, campaign) for d, one in enumerate(possible)]
    return replace(batch, offered=tuple((pmf > 0.0) | one for pmf, one in zip(batch.pmfs, possible, strict=True)))


def _possible(pmfs: tuple[np.ndarray, ...], is_control: BoolArray, campaign: Campaign | None) -> list[BoolArray]:
    """For each dimension shape (n, n_arms): the arms that may have been offered although they had no probability."""
    arms = [d.arms for d in campaign.dimensions] if campaign else []
    # With a floor, whatever the rules left had some.
    is_floored = campaign is None or campaign.policy.floor > 0.0
    found = [np.repeat(is_control[:, None], pmf.shape[1], axis=1) for pmf in pmfs]
    for mask, some in zip(found, arms, strict=False):
        mask |= [not (is_floored and (arm.when or arm.requires)) for arm in some]
    return found


def _left_by_rules(batch: LogBatch, dimension: int, possible: BoolArray, campaign: Campaign) -> BoolArray:
    """What the rules leave of the arms that may have been offered; only rows are looked at whose pmf does not say it."""
    rules, pmfs = campaign.eligibility, batch.pmfs or ()
    unsaid = (possible & (pmfs[dimension] == 0.0)).any(axis=1)
    if not unsaid.any() or not batch.context.keys() >= set(rules.asks_of_context(dimension)):
        return possible
    rows = batch.only(unsaid)
    try:
        left = rules.offered_to_many(dimension, list(rows.contexts()), rows.picks, rows.excluded or [()] * len(rows))
    except NoEligibleArm:
        return possible
    found = possible.copy()
    found[unsaid] &= left
    return found
