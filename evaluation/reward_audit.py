"""The audit of rewards: whether they are counted, arrive in time, and are people's."""

from __future__ import annotations

import numpy as np

from evaluation.audit import Audit, AuditVerdict
from evaluation.audit_log import AuditLog, AuditSettings
from evaluation.intervals import wilson
from evaluation.reward_health import RewardHealth, reward_health

GRACE = np.timedelta64(24, "h")
"""Between the closing of a window and the counting of its reward: `manyarm learn` may run once a day."""

MOST_OVERDUE, MOST_VOID, MOST_LATE, MOST_MACHINE = 0.01, 0.10, 0.05, 0.50
"""Shares above which something needs doing. They are rules of thumb, so a share must be above them beyond chance."""

SILENT = 3000
"""Sends without a single outcome: with this many, a rate of 1 in 1,000 would have shown one in 95 of 100 logs."""

MATURED = "decisions whose window has closed have their final reward"
VOID = "decisions were sent"
ARRIVING = "outcomes arrive"
LATE = "outcomes arrive before the window closes"
MACHINE = "outcomes are people's"


def audit_rewards(log: AuditLog, settings: AuditSettings) -> tuple[Audit, ...]:
    """Shares of what became of decisions and of outcomes, each against its rule of thumb."""
    overdue = log.due_at + GRACE < (log.decided_at.max() if len(log) else np.datetime64("NaT"))
    health = reward_health(log.states.tolist(), overdue, log.reports)
    due = health.n_matured + health.n_overdue
    counted = (
        f"{health.n_matured} matured, {health.n_pending} pending ({health.n_overdue} overdue), {health.n_void} void"
    )
    counted += f", {health.n_deferred} deferred, {health.n_expired} expired" * bool(
        health.n_deferred + health.n_expired
    )
    unsent, settled = health.n_void + health.n_expired, health.n - health.n_deferred
    said = f"{unsent} of {settled} were not sent" + f", {health.n_expired} of them expired" * bool(health.n_expired)
    late = f"{health.n_late} of {health.n_outcomes} outcomes came too late to count{_delays(health)}"
    return (
        _against("rewards: matured", MATURED, health.n_overdue, due, MOST_OVERDUE, counted,
                 "Run `manyarm learn`: it closes windows and counts rewards; without it nothing is learned.", settings),
        _against("rewards: void", VOID, unsent, settled, MOST_VOID, said,
                 "See why the provider refuses them, or why nobody reports deferred ones as sent; what is never sent cannot be "
                 "compared.", settings),
        _arriving(health),
        _against("rewards: late", LATE, health.n_late, health.n_outcomes, MOST_LATE, late,
                 "Lengthen [reward] window, report outcomes sooner, or run `manyarm learn` later.", settings),
        _machine(health, settings),
    )  # fmt: skip


def _against(
    name: str, means: str, count: int, n: int, most: float, found: str, advice: str, settings: AuditSettings
) -> Audit:
    """Alarm where the share is above `most` beyond chance."""
    if n == 0:
        return Audit(name, means, AuditVerdict.CANNOT_SAY, None, None, None, 0, found, "Wait for more of them.")
    if wilson(count, n, 1 - 2 * min(settings.level, 0.49)).ci_lower <= most:
        return Audit(name, means, AuditVerdict.OK, count / n, None, None, n, found)
    return Audit(name, means, AuditVerdict.ALARM, count / n, None, None, n, f"{found}; more than {most:.0%}", advice)


def _arriving(health: RewardHealth) -> Audit:
    found = f"{health.n_outcomes} outcomes of {health.n_matured} matured decisions"
    name, n = "rewards: arriving", health.n_matured
    if health.n_outcomes:
        return Audit(name, ARRIVING, AuditVerdict.OK, None, None, None, n, found)
    verdict = AuditVerdict.ALARM if n >= SILENT else AuditVerdict.CANNOT_SAY
    advice = (
        "Check that the decision_id travels with the message, and that webhooks or `manyarm record` bring outcomes."
    )
    return Audit(name, ARRIVING, verdict, None, None, None, n, found, advice)


def _machine(health: RewardHealth, settings: AuditSettings) -> Audit:
    name = "rewards: machine"
    if health.n_machine is None:
        advice = "Read clicks with care: security scanners click too, and this log cannot tell."
        found = "not recorded"
        return Audit(name, MACHINE, AuditVerdict.CANNOT_SAY, None, None, None, health.n_outcomes, found, advice)
    found = f"{health.n_machine} of {health.n_outcomes} outcomes were a machine's"
    advice = "Filter them before they are rewarded, and ask which provider's scanner clicks so much."
    return _against(name, MACHINE, health.n_machine, health.n_outcomes, MOST_MACHINE, found, advice, settings)


def _delays(health: RewardHealth) -> str:
    if not health.delays:
        return ""
    return "; " + ", ".join(f"{quantile:.0%} within {hours:.1f} h" for quantile, hours in health.delays.items())
