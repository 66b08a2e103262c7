"""`verify` on a store: every check of rows, chain, rewards, snapshots and groups, for each log in the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import numpy as np

from bandit.errors import UnusableLog
from bandit.group import Group
from bandit.log import LoggedDecision
from evaluation.audit import CERTAIN, Audit
from evaluation.audit_log import AuditLog, AuditSettings
from evaluation.audits import all_audits
from evaluation.exposure_check import EarlierSend
from evaluation.propensity_honesty import inverse_propensity_test
from evaluation.sample_ratio import group_ratio_e_value
from evaluation.verify import Check, Recomputation, verify_rows
from policies.registry import group_policies
from service.caps_check import check_caps
from service.customer_keys import OLD_KEY_IN_USE, rotations
from service.engines import served_by
from service.erasure import expiries
from service.integrity import check_chain, check_erasures, check_rewards, check_snapshots
from service.past_sends import sends_before
from service.provider_counts import check_provider
from service.rankings.checks import check_rankings
from service.statistical_audit import AuditRows, reports_of
from service.store import Log, Store

ALARM = CERTAIN
"""False alarm rate of each statistical check: `verify` is run often, and must pass on honest logs."""

_EVER = datetime.min.replace(tzinfo=UTC)

Watch = Callable[[Iterable[LoggedDecision]], Iterable[LoggedDecision]]
"""Passes rows through, so that a progress bar can watch them."""


@dataclass(frozen=True, slots=True)
class Verification:
    """All checks of a store."""

    checks: tuple[Check, ...]
    n_rows: int
    audits: Mapping[int, tuple[Audit, ...]] = field(default_factory=dict)
    """Statistical audits by log; empty where nobody asked for them."""

    @property
    def passed(self) -> bool:
        """Whether nothing failed, and no audit shows beyond chance that the log is wrong."""
        found = (audit for audits in self.audits.values() for audit in audits)
        return all(check.passed for check in self.checks) and not any(audit.breaks_log for audit in found)


def verify_store(
    store: Store,
    *,
    watch: Watch = lambda rows: rows,
    statistics: AuditSettings | None = None,
    provider: Mapping[str, int] | None = None,
) -> Verification:
    """Check everything there is in a store as it stands now; nothing is changed and nothing is raised for a bad row.

    Others may go on writing meanwhile: what they write is not looked at.

    Args:
        store: with any number of logs.
        watch: sees the rows that pass by.
        statistics: how to make the statistical audits as well; None leaves them out.
        provider: what the provider counted of the newest log; None leaves it out. See `check_provider`.

    Raises:
        UnusableLog: if the provider counted something that is not in the log.
    """
    with _standing_still(store.reader()) as reader:
        return _verified(store, reader, watch, statistics, provider)


@contextmanager
def _standing_still(reader: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All that this thread reads from a store is of one moment; a row of later must not look like one too many."""
    reader.execute("BEGIN")
    try:
        yield reader
    finally:
        reader.execute("ROLLBACK")


def _verified(
    store: Store,
    reader: sqlite3.Connection,
    watch: Watch,
    statistics: AuditSettings | None,
    provider: Mapping[str, int] | None,
) -> Verification:
    erasures = check_erasures(reader, store.receipts_key)
    checks = [check_chain(reader), *([erasures] if erasures.n_checked or erasures.failures else [])]
    n_rows = checks[0].n_checked
    logs = store.logs()
    audits = {}
    for log in logs:
        found, rows = _verify_log(store, log, watch)
        if statistics:
            audits[log.log_id] = all_audits(rows, statistics)
        for check in found:
            check.name = check.name if len(logs) == 1 else f"{check.name} (log {log.log_id})"
        checks += found
    checks += check_rankings(store)
    if provider is not None and logs:
        checks.append(check_provider(store, logs[-1], provider))
    return Verification(tuple(checks), n_rows, audits)


def _verify_log(store: Store, log: Log, watch: Watch) -> tuple[list[Check], AuditLog]:
    reader, campaign = store.reader(), log.campaign
    policies = group_policies(campaign)
    passing = AuditRows(campaign)
    readable = Check("readable", "each row's columns hold values of their types")
    found = store.decisions(log, unreadable=lambda _, error: readable.fail(str(error)))
    recomputation = Recomputation(
        campaign, policies, store.salt, partial(served_by, store, log), _earlier_sends(store, log)
    )
    by_row = verify_rows(passing.watching(watch(found)), recomputation)
    readable.n_checked = by_row["pmf"].n_checked + readable.n_failed
    snapshots = check_snapshots(reader, log)
    rows = passing.log(reports_of(store, log))
    caps = [check_caps(reader, log, lambda log_id: store.log(log_id).campaign)] if campaign.has_caps else []
    statistical = [_sample_ratio(rows), _honesty(rows)]
    return [readable, *by_row.values(), check_rewards(reader, log), snapshots, *caps, *statistical], rows


def _earlier_sends(store: Store, log: Log) -> Callable[[LoggedDecision], Sequence[EarlierSend] | None]:
    """What the log held of a row's customer; None where rows of that time were erased, or bear another key, since."""
    reader, span = store.reader(), log.campaign.looks_back
    # A row from before an expiry has lost its past as well, while it waits to be erased itself.
    breaks = [(_EVER, moment) for moment in expiries(reader)]
    breaks += [(moment, moment + OLD_KEY_IN_USE) for moment in rotations(reader)]

    def earlier(row: LoggedDecision) -> Sequence[EarlierSend] | None:
        if span and any(row.decided_at - span < last and first <= row.decided_at for first, last in breaks):
            return None
        return sends_before(store, log, row)

    return earlier


def _sample_ratio(log: AuditLog) -> Check:
    check = Check("sample ratio", f"customers per group fit the campaign's shares (false alarm {ALARM:g})")
    shares = {group: share for group, share in log.campaign.groups.shares.items() if share > 0.0}
    groups = log.groups[log.first_sends(np.ones(len(log), dtype=np.bool_))]
    counts = [int((groups == group).sum()) for group in shares]
    check.n_checked = sum(counts)
    if check.n_checked and len(shares) > 1:
        result = group_ratio_e_value(np.array(counts), np.array(list(shares.values())), confidence_level=1.0 - ALARM)
        if result.alarm:
            found = ", ".join(f"{name} {count}" for name, count in zip(shares, counts, strict=True))
            check.fail(
                f"customers by group: {found}; e-value {result.e_value:.3g} against shares {list(shares.values())}"
            )
    return check


def _honesty(log: AuditLog) -> Check:
    check = Check("1/p honesty", f"arms were drawn as often as their probabilities say (false alarm {ALARM:g})")
    learners = log.groups == Group.LEARNER
    for d, dimension in enumerate(log.campaign.dimensions):
        check.n_checked += int(learners.sum())
        try:
            pmfs = log.pmfs[d][learners]
            result = inverse_propensity_test(log.propensities[learners, d], pmfs) if len(pmfs) else None
        except UnusableLog:
            continue  # the row checks have named these rows already
        if result and result.p_value is not None and result.p_value < ALARM / len(log.pmfs):
            check.fail(f"dimension {dimension.name!r}: z = {result.statistic:.2f}, p = {result.p_value:.2g}")
    return check
