"""The audit of fairness: each protected field of the context, in each dimension."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bandit.context import ContextValue
from bandit.errors import UnusableLog
from bandit.group import Group
from bandit.reward import UNSENT
from bandit.schema import ContextField, NumericField
from evaluation.audit import Audit, AuditVerdict, Measured, judged
from evaluation.audit_log import AuditLog, AuditSettings
from evaluation.fairness import arms_that_occur, demographic_parity, equal_opportunity
from evaluation.multiplicity import holm
from evaluation.population_stability import MISSING, binned, quantile_edges
from evaluation.shares_by_value import SharesByValue

N_QUANTILES = 4
"""Values that a protected number is cut into."""

PARITY = "the learner gives each arm the same share of the sends to customers of every value"
OPPORTUNITY = "customers of every value equally often get an arm that they respond to"
UNEQUAL = (
    "The arm follows something that goes with the protected value. Decide whether that is wanted; if not, take that field "
    "out of the learner's context (protected = true), or restrict the arm by a rule that all share."
)
WORSE = (
    "The learner serves some customers less well than others. Give it what tells these apart, raise the floor so that it "
    "learns about them, or wait: small values are learned last."
)


def audit_parity(log: AuditLog, settings: AuditSettings) -> tuple[Audit, ...]:
    """Demographic parity: one audit a field and dimension, about the arm with the clearest gap."""
    names, tests = [], []
    for field, values, rows in _fields(log):
        for d, dimension in enumerate(log.campaign.dimensions):
            names.append(f"parity: {field.name}, {dimension.name}")
            tests.append(_parity(log, d, rows, values))
    if not names:
        return _nothing("parity", PARITY)
    # Adjusted for all fields, dimensions and arms at once; each audit then is about its clearest arm.
    adjusted = iter(holm([one.p_value for arms in tests for one in arms.values()]))
    measured = [_clearest(name, arms, [next(adjusted) for _ in arms]) for name, arms in zip(names, tests, strict=True)]
    return tuple(audit for one in measured for audit in judged([one], PARITY, UNEQUAL, settings.level))


def audit_opportunity(log: AuditLog, settings: AuditSettings) -> tuple[Audit, ...]:
    """Equal opportunity: one audit a field and dimension, on rows with a final reward."""
    measured = []
    for field, values, rows in _fields(log):
        final = ~np.isnan(log.rewards[rows])
        kept = [value for value, is_final in zip(values, final.tolist(), strict=True) if is_final]
        for d, dimension in enumerate(log.campaign.dimensions):
            name = f"opportunity: {field.name}, {dimension.name}"
            measured.append(_opportunity(name, log, d, rows[final], kept))
    return judged(measured, OPPORTUNITY, WORSE, settings.level) if measured else _nothing("opportunity", OPPORTUNITY)


def _fields(log: AuditLog) -> Iterator[tuple[ContextField, list[str], np.ndarray]]:
    """Each protected field with the values of the learner's sends, and these rows; the other groups treat all alike."""
    was_sent = np.array([state not in UNSENT for state in log.states.tolist()], dtype=np.bool_)
    rows = np.flatnonzero((log.groups == Group.LEARNER) & was_sent)
    for field in log.campaign.schema.fields:
        # A personal field says who somebody is, not of which group; hours are picked by the customer's clock on purpose.
        if field.protected and not field.personal and field.name != _clock(log) and len(rows):
            column = [log.context[field.name][at] for at in rows.tolist()]
            try:
                yield field, _labels(field, column), rows
            except UnusableLog:
                continue  # a number that is none: the row checks have named it


def _clock(log: AuditLog) -> str:
    """The field that names a customer's zone for `[time]`; empty where there is none."""
    return log.campaign.time.zone if log.campaign.time else ""


def _labels(field: ContextField, column: Sequence[ContextValue]) -> list[str]:
    if not isinstance(field, NumericField):
        return [MISSING if value is None else str(value) for value in column]
    edges = quantile_edges(column, N_QUANTILES)
    names = [f"up to {edge:g}" for edge in edges.tolist()] + ["above", MISSING]
    return [names[at] for at in binned(column, edges).tolist()]


def _parity(log: AuditLog, d: int, rows: np.ndarray, values: Sequence[str]) -> dict[str, SharesByValue]:
    pmfs, ids = log.pmfs[d][rows], log.campaign.dimensions[d].ids
    occurring = arms_that_occur(pmfs)
    tests = demographic_parity(pmfs[:, occurring], log.customers[rows], values)
    return {ids[at]: one for at, one in zip(occurring, tests, strict=True)}


def _clearest(name: str, arms: dict[str, SharesByValue], adjusted: Sequence[float | None]) -> Measured:
    answered = [(p_value, arm) for arm, p_value in zip(arms, adjusted, strict=True) if p_value is not None]
    if not answered:
        reasons = [one.reason for one in arms.values() if one.reason]
        return Measured(name, None, None, 0, reasons[0] if reasons else "No arm had any probability.")
    p_value, arm = min(answered)
    return Measured(name, arms[arm].statistic, p_value, arms[arm].n, f"clearest for arm {arm!r}: {_words(arms[arm])}")


def _opportunity(name: str, log: AuditLog, d: int, rows: np.ndarray, values: Sequence[str]) -> Measured:
    if not len(rows):
        return Measured(name, None, None, 0, "No send has its final reward.")
    try:
        answer = equal_opportunity(log.earned[rows], log.propensities[rows, d], log.customers[rows], values)
    except UnusableLog as error:
        return Measured(name, None, None, 0, str(error))
    return Measured(name, answer.statistic, answer.p_value, answer.n, answer.reason or _words(answer))


def _words(answer: SharesByValue) -> str:
    low, high = (pick(answer.shares, key=lambda one: one.share) for pick in (min, max))
    left = f"; too few customers: {', '.join(answer.left_out)}" if answer.left_out else ""
    return (
        f"{low.share:.1%} for {low.value!r} ({low.n} customers) to {high.share:.1%} for {high.value!r} ({high.n}){left}"
    )


def _nothing(name: str, means: str) -> tuple[Audit, ...]:
    reason = "There are no sends of the learner with a protected field."
    advice = "Declare what must not decide what people get: `protected = true` under [context] in the campaign file."
    return (Audit(name, means, AuditVerdict.CANNOT_SAY, None, None, None, 0, reason, advice),)
