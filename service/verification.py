"""`verify` on a store: every check of rows, chain, rewards, snapshots and groups, for each log in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from bandit.campaign import Campaign
from bandit.engine import Served
from bandit.errors import UnusableLog
from bandit.group import Group
from bandit.learners import learner_for
from bandit.log import LoggedDecision
from evaluation.propensity_honesty import inverse_propensity_test
from evaluation.sample_ratio import group_ratio_e_value
from evaluation.verify import Check, Recomputation, verify_rows
from policies.registry import group_policies
from service.integrity import check_chain, check_rewards, check_snapshots
from service.past_sends import sends_before
from service.snapshots_table import load_snapshot
from service.store import Log, Store

ALARM = 1e-4
"""False alarm rate of each statistical check: `verify` is run often, and must pass on honest logs."""

Watch = Callable[[Iterable[LoggedDecision]], Iterable[LoggedDecision]]
"""Passes rows through, so that a progress bar can watch them."""


@dataclass(frozen=True, slots=True)
class Verification:
    """All checks of a store."""

    checks: tuple[Check, ...]
    n_rows: int

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(check.passed for check in self.checks)


def verify_store(store: Store, *, watch: Watch = lambda rows: rows) -> Verification:
    """Check everything there is in a store; nothing is changed and nothing is raised for a bad row."""
    reader = store.reader()
    checks = [check_chain(reader)]
    n_rows = checks[0].n_checked
    logs = store.logs()
    for log in logs:
        found = _verify_log(store, log, watch)
        for check in found:
            check.name = check.name if len(logs) == 1 else f"{check.name} (log {log.log_id})"
        checks += found
    return Verification(tuple(checks), n_rows)


def _verify_log(store: Store, log: Log, watch: Watch) -> list[Check]:
    reader, campaign = store.reader(), log.campaign
    policies = group_policies(campaign)
    kind = learner_for(campaign.learner, policies[Group.LEARNER].needs)

    def served_by(snapshot: str) -> Served:
        loaded = load_snapshot(reader, snapshot)
        return Served(snapshot, kind.serve(campaign, loaded), loaded.candidate)

    audit = _Audit(campaign)
    readable = Check("readable", "each row's columns hold values of their types")
    found = store.decisions(log, unreadable=lambda _, error: readable.fail(str(error)))
    recomputation = Recomputation(campaign, policies, store.salt, served_by, partial(sends_before, store, log))
    by_row = verify_rows(audit.watching(watch(found)), recomputation)
    readable.n_checked = by_row["pmf"].n_checked + readable.n_failed
    snapshots = check_snapshots(reader, log)
    return [readable, *by_row.values(), check_rewards(reader, log), snapshots, *audit.checks()]


class _Audit:
    """Collects what the statistical checks need while the rows pass by."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._groups: dict[str, str] = {}
        self._pmfs: list[list[tuple[float, ...]]] = [[] for _ in campaign.dimensions]
        self._propensities: list[list[float]] = [[] for _ in campaign.dimensions]

    def watching(self, rows: Iterable[LoggedDecision]) -> Iterator[LoggedDecision]:
        """Pass rows through and remember them."""
        for row in rows:
            self._groups.setdefault(row.customer_key, row.group)
            if row.group == Group.LEARNER and len(row.pmfs) == len(self._pmfs):
                for d, (pmf, propensity) in enumerate(zip(row.pmfs, row.propensities, strict=False)):
                    self._pmfs[d].append(pmf)
                    self._propensities[d].append(propensity)
            yield row

    def checks(self) -> list[Check]:
        """Sample ratio of the groups, and honesty of 1/p in each dimension."""
        return [self._sample_ratio(), self._honesty()]

    def _sample_ratio(self) -> Check:
        check = Check("sample ratio", f"customers per group fit the campaign's shares (false alarm {ALARM:g})")
        shares = {group: share for group, share in self._campaign.groups.shares.items() if share > 0.0}
        counts = [sum(group == name for group in self._groups.values()) for name in shares]
        check.n_checked = sum(counts)
        if check.n_checked and len(shares) > 1:
            result = group_ratio_e_value(
                np.array(counts), np.array(list(shares.values())), confidence_level=1.0 - ALARM
            )
            if result.alarm:
                found = ", ".join(f"{name} {count}" for name, count in zip(shares, counts, strict=True))
                check.fail(
                    f"customers by group: {found}; e-value {result.e_value:.3g} against shares {list(shares.values())}"
                )
        return check

    def _honesty(self) -> Check:
        check = Check("1/p honesty", f"arms were drawn as often as their probabilities say (false alarm {ALARM:g})")
        for dimension, pmfs, propensities in zip(
            self._campaign.dimensions, self._pmfs, self._propensities, strict=True
        ):
            check.n_checked += len(pmfs)
            try:
                result = inverse_propensity_test(np.array(propensities), np.array(pmfs)) if pmfs else None
            except UnusableLog:
                continue  # the row checks have named these rows already
            if result and result.p_value is not None and result.p_value < ALARM / len(self._pmfs):
                check.fail(f"dimension {dimension.name!r}: z = {result.statistic:.2f}, p = {result.p_value:.2g}")
        return check
