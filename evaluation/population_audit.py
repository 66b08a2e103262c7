"""The audit of the population: each context field, earlier customers against later ones."""

from __future__ import annotations

from datetime import UTC

import numpy as np

from bandit.arrays import BoolArray
from bandit.errors import UnusableLog
from bandit.schema import ContextField, NumericField
from evaluation.audit import Audit, AuditVerdict, Measured, judged
from evaluation.audit_log import AuditLog, AuditSettings
from evaluation.population_stability import Stability, population_stability

LEVEL = 0.01
"""Share of stable logs that may raise an alarm, all fields together: a list that changes slowly is no news."""

MEANS = "later customers are like earlier ones in this (population stability index)"
ADVICE = (
    "Later customers differ from those that was learned from. See whether the list or a source of data changed; judge "
    "policies on later rows, and expect yesterday's lift to be another one."
)


def audit_population(log: AuditLog, settings: AuditSettings) -> tuple[Audit, ...]:
    """Each field that callers give, a customer counting once in each part, as it was at the first row in it."""
    # What is made of the time is of the hour and not of the customer, and moves as the campaign goes on.
    fields = log.campaign.declared.fields
    if not fields:
        reason = "The campaign declares no context."
        advice = "Declare what is known about customers under [context] in the campaign file."
        return (Audit("population", MEANS, AuditVerdict.CANNOT_SAY, None, None, None, 0, reason, advice),)
    earlier = _is_earlier(log, settings)
    parts = log.first_sends(earlier), log.first_sends(~earlier)
    measured = [_measured(log, field, parts) for field in fields]
    return judged(measured, MEANS, ADVICE, min(LEVEL, settings.level))


def _is_earlier(log: AuditLog, settings: AuditSettings) -> BoolArray:
    if settings.earlier_until is None:
        return np.arange(len(log)) < len(log) // 2
    until = np.datetime64(settings.earlier_until.astimezone(UTC).replace(tzinfo=None))
    return np.asarray(log.decided_at < until, dtype=np.bool_)


def _measured(log: AuditLog, field: ContextField, parts: tuple[np.ndarray, np.ndarray]) -> Measured:
    column = log.context[field.name]
    earlier, later = ([column[at] for at in part.tolist()] for part in parts)
    name = f"population: {field.name}"
    try:
        answer = population_stability(earlier, later, is_numeric=isinstance(field, NumericField))
    except UnusableLog as error:
        return Measured(name, None, None, 0, str(error))
    n = answer.n_earlier + answer.n_later
    return Measured(name, answer.statistic, answer.p_value, n, answer.reason or _words(answer))


def _words(answer: Stability) -> str:
    n, m = answer.n_earlier, answer.n_later
    moved = max(answer.bins, key=lambda one: abs(one.later / m - one.earlier / n))
    return (
        f"PSI {answer.statistic:.4f}, by itself unusual above {answer.threshold:.4f} ({n} earlier and {m} later customers); "
        f"most moved: {moved.label!r}, {moved.earlier / n:.1%} to {moved.later / m:.1%}"
    )
