"""Audits of the draws: customers by group, arms by probability, 1/p and calibration, with words for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from evaluation.audit import LARGEST_E_VALUE, Audit, AuditVerdict, Measured, judged
from evaluation.audit_log import AuditLog, AuditSettings
from evaluation.propensity_honesty import calibration_test, inverse_propensity_test
from evaluation.sample_ratio import arm_ratio_test, group_ratio_e_value

N_LOOKS = 100
"""At the e-value of the groups. The largest is kept, so that a mismatch that was made good later still shows."""

GROUPS = "customers arrive in the groups by the campaign's shares; may be looked at every day"
ARMS = "each arm was drawn as often as its logged probabilities promise"
INVERSE = "1 / propensity averages the number of eligible arms"
CALIBRATION = "arms logged at probability p were drawn p of the time, for small p and large"

LOST = (
    "Rows were lost, repeated or misrouted on the way to the log: compare what was sent with what was logged, per group "
    "and arm, and believe no value from this log until the gap is explained."
)
WRONG_PMF = (
    "The logged pmf is not the one that was sampled from (another floor, an older snapshot, another temperature): every "
    "off-policy value is biased. Find who wrote the pmf; `manyarm verify` names rows whose pmf cannot be made again."
)

Tested = tuple[float | None, float | None, int, str]
"""Statistic, p-value, n, and what was found in words."""


def audit_groups(log: AuditLog, settings: AuditSettings) -> tuple[Audit, ...]:
    """Sample ratio of the groups, at 100 looks over the customers in order of their first row."""
    shares = {group: share for group, share in log.campaign.groups.shares.items() if share > 0.0}
    groups = log.groups[log.first_sends(np.ones(len(log), dtype=np.bool_))]
    arrived = np.stack([groups == group for group in shares], axis=1)
    if len(shares) < 2 or not arrived.any():
        reason = (
            "There are no customers yet." if len(shares) > 1 else "The campaign has one group, so nothing was drawn."
        )
        advice = "Keep some customers at random and in control: [groups] in the campaign file."
        return (Audit("groups", GROUPS, AuditVerdict.CANNOT_SAY, None, None, None, 0, reason, advice),)
    looks = np.unique(np.linspace(1, len(groups), N_LOOKS).astype(int))
    counts, promised = arrived.cumsum(axis=0), list(shares.values())
    largest = max(group_ratio_e_value(counts[n - 1], promised).e_value for n in looks)
    total = counts[-1]
    words = ", ".join(
        f"{group} {count} (expected {share * total.sum():.1f})"
        for (group, share), count in zip(shares.items(), total.tolist(), strict=True)
    )
    verdict = AuditVerdict.ALARM if largest > 1 / settings.level else AuditVerdict.OK
    advice = LOST if verdict is AuditVerdict.ALARM else ""
    e_value, n = min(largest, LARGEST_E_VALUE), int(total.sum())
    return (Audit("groups", GROUPS, verdict, e_value, None, e_value, n, words, advice, judges_log=True),)


def audit_arms(log: AuditLog, settings: AuditSettings) -> tuple[Audit, ...]:
    """Sample ratio of the arms of each dimension, probabilities varying by row."""

    def tested(d: int, pmfs: FloatArray, rows: np.ndarray) -> Tested:
        answer = arm_ratio_test(log.picks[rows, d], pmfs)
        excess = np.array(answer.drawn) - np.array(answer.expected)
        worst = int(np.abs(excess).argmax())
        arm = log.campaign.dimensions[d].ids[worst]
        found = f"furthest is {arm!r}: drawn {answer.drawn[worst]}, expected {answer.expected[worst]:.1f}"
        return answer.statistic, answer.p_value, answer.n, answer.reason or found

    return judged(list(_each("arms", log, tested)), ARMS, LOST, settings.level, judges_log=True)


def audit_inverse(log: AuditLog, settings: AuditSettings) -> tuple[Audit, ...]:
    """1/p of each dimension."""

    def tested(d: int, pmfs: FloatArray, rows: np.ndarray) -> Tested:
        answer = inverse_propensity_test(log.propensities[rows, d], pmfs)
        side = "more" if (answer.statistic or 0.0) > 0 else "less"
        found = (
            f"unlikely arms were drawn {side} often than logged, by {abs(answer.statistic or 0.0):.1f} standard errors"
        )
        return answer.statistic, answer.p_value, answer.n, answer.reason or found

    return judged(list(_each("1/p", log, tested)), INVERSE, WRONG_PMF, settings.level, judges_log=True)


def audit_calibration(log: AuditLog, settings: AuditSettings) -> tuple[Audit, ...]:
    """Draws by bins of probability, of each dimension."""

    def tested(d: int, pmfs: FloatArray, rows: np.ndarray) -> Tested:
        answer = calibration_test(log.picks[rows, d], pmfs)
        found = "no bins"
        if answer.bins:
            worst = max(answer.bins, key=lambda one: (one.drawn - one.expected) ** 2 / one.expected)
            found = (
                f"furthest are probabilities from {worst.lower:.3g} to {worst.upper:.3g}: drawn {worst.drawn}, expected "
                f"{worst.expected:.1f}"
            )
        return answer.statistic, answer.p_value, answer.n, answer.reason or found

    return judged(list(_each("calibration", log, tested)), CALIBRATION, WRONG_PMF, settings.level, judges_log=True)


def _each(name: str, log: AuditLog, tested: Callable[[int, FloatArray, np.ndarray], Tested]) -> Iterator[Measured]:
    """One test a dimension, on the rows that were drawn; one that cannot be read says so and spoils no other."""
    rows = np.flatnonzero(log.by_chance)
    for d, dimension in enumerate(log.campaign.dimensions):
        about = f"{name}: {dimension.name}"
        if not len(rows):
            yield Measured(about, None, None, 0, "No row was left to chance.")
            continue
        try:
            yield Measured(about, *tested(d, log.pmfs[d][rows], rows))
        except UnusableLog as error:
            yield Measured(about, None, None, 0, str(error))
