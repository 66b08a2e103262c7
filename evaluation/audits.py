"""Every audit of a log, in the order in which a report prints them: a new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bandit.errors import UnusableLog
from evaluation.audit import Audit, AuditVerdict
from evaluation.audit_log import AuditLog, AuditSettings
from evaluation.draw_audits import audit_arms, audit_calibration, audit_groups, audit_inverse
from evaluation.drift_audit import audit_drift
from evaluation.fairness_audit import audit_opportunity, audit_parity
from evaluation.guidance_audit import audit_guidance
from evaluation.population_audit import audit_population
from evaluation.reward_audit import audit_rewards

AUDITS: Mapping[str, Callable[[AuditLog, AuditSettings], tuple[Audit, ...]]] = MappingProxyType(
    {
        "groups": audit_groups,
        "arms": audit_arms,
        "1/p": audit_inverse,
        "calibration": audit_calibration,
        "drift": audit_drift,
        "guidance": audit_guidance,
        "population": audit_population,
        "parity": audit_parity,
        "opportunity": audit_opportunity,
        "rewards": audit_rewards,
    }
)
"""By name; each reads the same log."""


def all_audits(log: AuditLog, settings: AuditSettings | None = None) -> tuple[Audit, ...]:
    """Make every audit.

    Args:
        log: all rows that can be read.
        settings: how; None for the usual level of .05 an audit.

    Returns:
        At least one answer of each audit.

    Caution: each audit may raise a false alarm in one honest log of twenty, so a log with ten of them raises one now and
    then. Tests of arms, 1/p, calibration, guidance, population and fairness are for one look; groups and drift for any number.
    """
    wanted = settings or AuditSettings()
    return tuple(audit for name in AUDITS for audit in _made(name, log, wanted))


def _made(name: str, log: AuditLog, settings: AuditSettings) -> tuple[Audit, ...]:
    """One audit; where a row forbids it, that is its answer, and the others are made all the same."""
    try:
        return AUDITS[name](log, settings)
    except UnusableLog as error:
        advice = "Run `manyarm verify`: it names the rows that are wrong."
        means = "the audit can be made"
        return (Audit(name, means, AuditVerdict.CANNOT_SAY, None, None, None, len(log), str(error), advice),)
