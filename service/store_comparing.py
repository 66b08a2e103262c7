"""Comparing groups and arms of a database's own log, with its audits: what `manyarm compare --db` and the report say."""

from __future__ import annotations

from dataclasses import replace

from bandit.campaign import Campaign
from bandit.reward import REWARD
from service.compared_log import Watch, from_store
from service.comparing import Compared, Wanted, compared
from service.statistical_audit import audit
from service.store import Log, Store


def compare_store(store: Store, log: Log, wanted: Wanted, *, metric: str = REWARD, watch: Watch = iter) -> Compared:
    """Compare, and say whether the log can be believed.

    Args:
        store: with the log.
        log: the campaign's.
        wanted: how; without guardrails, all outcomes that cost something are.
        metric: `reward`, or a type of outcome.
        watch: sees every batch.

    Raises:
        UnusableLog: if nothing has matured, or a name is not the campaign's.
    """
    rows = from_store(store, log, metric, wanted.by, watch)
    if not wanted.guardrails:
        wanted = replace(wanted, guardrails=harmful(log.campaign, metric))
    return replace(compared(rows, wanted), audits=audit(store, log))


def harmful(campaign: Campaign, metric: str) -> tuple[str, ...]:
    """Types of outcomes that cost something, but for the one that is compared."""
    return tuple(name for name, worth in campaign.reward.events.items() if worth < 0.0 and name != metric)
