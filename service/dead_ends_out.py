"""Rows for an evaluation in which dead ends count as what they are: arms that could not be sent."""

from __future__ import annotations

from dataclasses import replace

from bandit.campaign import Campaign
from bandit.errors import NoEligibleArm
from evaluation.log_batch import LogBatch


def fields_asked(campaign: Campaign | None) -> frozenset[str]:
    """The context fields that say which of a campaign's arms lead nowhere; none without a campaign."""
    if campaign is None:
        return frozenset()
    rules = campaign.eligibility
    asked = (rules.asks_of_context(d) for d, ahead in enumerate(rules.looks_ahead) if ahead)
    return frozenset(name for names in asked for name in names)


def with_dead_ends_out(batch: LogBatch, campaign: Campaign | None) -> LogBatch:
    """The rows, in which no arm could have been sent that led nowhere; what had some probability could.

    Args:
        batch: with what rules left.
        campaign: whose rules say what leads nowhere; without one, or without `requires`, nothing changes.

    Caution: a log with a row that no decision under these rules can have is left as it is; `manyarm verify` names the row. Where
        the log lacks a context field that the rules of a dimension or of a later one ask for, that dimension is left as it is.
    """
    if campaign is None or batch.offered is None or batch.pmfs is None:
        return batch
    eligibility, offered = campaign.eligibility, list(batch.offered)
    if not any(eligibility.looks_ahead):
        return batch
    contexts = list(batch.contexts())
    excluded = batch.excluded or [()] * len(batch)
    try:
        for d, pmf in enumerate(batch.pmfs):
            if eligibility.looks_ahead[d] and batch.context.keys() >= set(eligibility.asks_of_context(d)):
                alive = eligibility.offered_to_many(d, contexts, batch.picks, excluded)
                offered[d] = (pmf > 0.0) | (offered[d] & alive)
    except NoEligibleArm:
        return batch
    return replace(batch, offered=tuple(offered))
